//! Consent records: finding them, showing them to those who may see them, deciding them again.
//!
//! Promise: a person's click is shown as a commitment and nothing of what was sealed, unless somebody looks who may and
//! says why; that stands in the audit trail before it is shown.

mod proof;
pub mod replay;

pub use proof::RecordProof;

use std::sync::Arc;

use uuid::Uuid;

use super::conversion::{DEFAULT_GOAL, goals_named};
use super::looks::Looker;
use super::{FlowError, Live};
use crate::domain::access::{Principal, Role};
use crate::domain::campaign::{Controller, Shop};
use crate::domain::consent::ConsentState;
use crate::domain::event::{AuditEvent, LOG_EPOCH, commitment};
use crate::domain::ids::{ClickKey, RecordId, RequestId};
use crate::domain::look::Look;
use crate::domain::policy::Policy;
use crate::domain::record::{Opened, Record, RecordKey, RecordKind, Redone, redo};
use crate::domain::refusal::Reason;
use crate::domain::routing::TenantRoute;
use crate::domain::scope::TenantScope;
use crate::domain::token;
use crate::store::StoreError;
use crate::store::records::RecordFilter;

/// Which records are asked for.
#[derive(Debug, Default)]
pub struct RecordQuery {
    /// Those of this token's click.
    pub token: Option<String>,
    /// Those of the click behind this order.
    pub order_id: Option<String>,
    /// The order's goal.
    pub goal: Option<String>,
    /// The order's shop.
    pub shop: Option<Uuid>,
    /// Decided at this time or later.
    pub from_ms: Option<i64>,
    /// Decided before this time.
    pub until_ms: Option<i64>,
    /// Decided on this state.
    pub state: Option<ConsentState>,
    /// Behind this one.
    pub cursor: Option<RecordId>,
    /// At most so many.
    pub limit: usize,
}

/// A record as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its id.
    pub id: RecordId,
    /// Its row.
    pub record: Record,
    /// The commitment that names the click in the audit trail; nothing where the click's key is gone.
    pub commitment: Option<String>,
    /// What was sealed, where the caller sees it.
    pub opened: Option<Opened>,
}

/// A page of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordPage {
    /// The records.
    pub items: Vec<Shown>,
    /// The last one's id, if others follow.
    pub next: Option<RecordId>,
}

/// What a receipt is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The record.
    pub shown: Shown,
    /// The policy that decided.
    pub policy: Policy,
    /// The controller, where it is configured.
    pub controller: Option<Controller>,
}

/// A decision that was made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The record.
    pub shown: Shown,
    /// What it comes to now; nothing where the row is of before inputs were kept.
    pub redone: Option<Redone>,
    /// Whether that is what was recorded.
    pub equal: Option<bool>,
}

/// Shows consent records.
#[derive(Clone)]
pub struct RecordsFlow {
    live: Arc<Live>,
}

impl RecordsFlow {
    /// Over the shared parts.
    pub fn new(live: Arc<Live>) -> Self {
        Self { live }
    }

    /// A page of records: clicks, then postbacks, then later signals, each in the order of time.
    pub async fn list(&self, principal: &Principal, query: &RecordQuery) -> Result<RecordPage, FlowError> {
        let tenant = self.tenant(principal)?;
        let unknown = FlowError::Invalid("cursor", "must be a next_cursor of this list");
        let after = match &query.cursor {
            None => None,
            Some(id) => Some(RecordKey::open(&tenant.keys, id).ok_or(unknown)?),
        };
        let filter = RecordFilter {
            clicks: self.clicks(&tenant, query).await?,
            from_ms: query.from_ms,
            until_ms: query.until_ms,
            state: query.state,
        };
        let begin = after.map_or(RecordKind::Click, |key| key.kind());
        let mut items = Vec::new();
        for kind in RecordKind::ALL.into_iter().filter(|kind| *kind >= begin) {
            let wanted = u64::try_from((query.limit + 1).saturating_sub(items.len())).unwrap_or(0);
            if wanted == 0 {
                break;
            }
            let last = after.as_ref().filter(|key| key.kind() == kind);
            let reader = self.live.store().reader(tenant.scope());
            items.extend(
                reader
                    .records(tenant.number(), kind, &filter, last, wanted)
                    .await?,
            );
        }
        let more = items.len() > query.limit;
        items.truncate(query.limit);
        let items: Vec<Shown> = items.into_iter().map(|record| show(&tenant, record)).collect();
        Ok(RecordPage {
            next: items.last().filter(|_| more).map(|last| last.id.clone()),
            items,
        })
    }

    /// One record; with what was sealed for whoever looks, and may. The operator has no other way to it.
    pub async fn read(
        &self,
        looker: &Looker<'_>,
        id: &RecordId,
        look: Option<Look>,
    ) -> Result<Shown, FlowError> {
        let Some(look) = look else {
            if looker.principal.role == Role::Operator {
                return Err(FlowError::Invalid("reason", "has to be stated by the operator"));
            }
            let tenant = looker.tenant(&self.live)?;
            return self.find(&tenant, id).await;
        };
        let tenant = looker.admit(&self.live, "read_consent_record", look).await?;
        let mut shown = self.find(&tenant, id).await?;
        self.note_look(looker, &tenant, &shown, "consent_record.read", look)
            .await?;
        shown.opened = shown.record.open(&tenant.keys);
        Ok(shown)
    }

    /// What a receipt for the person is made of.
    pub async fn receipt(
        &self,
        looker: &Looker<'_>,
        id: &RecordId,
        look: Look,
    ) -> Result<Receipt, FlowError> {
        let tenant = looker.admit(&self.live, "read_consent_receipt", look).await?;
        let mut shown = self.find(&tenant, id).await?;
        let policy = self.policy(&tenant, &shown.record).await?;
        self.note_look(looker, &tenant, &shown, "consent_receipt.issued", look)
            .await?;
        shown.opened = shown.record.open(&tenant.keys);
        Ok(Receipt {
            shown,
            policy,
            controller: tenant.tenant.controller.clone(),
        })
    }

    /// Decides a record again, under the policy version that decided it. Shows nothing of what was sealed, but opens it.
    pub async fn replay(
        &self,
        principal: &Principal,
        id: &RecordId,
        request: RequestId,
    ) -> Result<Replayed, FlowError> {
        let tenant = self.tenant(principal)?;
        let shown = self.find(&tenant, id).await?;
        let event = self.event(
            principal,
            tenant.number(),
            &shown,
            "consent_record.replayed",
            request,
        );
        let scope = TenantScope::Only(tenant.number());
        let tx = self.live.store().begin(scope).await?;
        tx.commit_with(&event.into()).await?;
        let policy = self.policy(&tenant, &shown.record).await?;
        let inputs = shown.record.open(&tenant.keys).and_then(|opened| opened.inputs);
        let redone = inputs.map(|inputs| redo(&shown.record, &inputs, &policy));
        let equal = redone
            .zip(inputs)
            .map(|(redone, inputs)| redone.agrees(&shown.record, &inputs));
        Ok(Replayed { shown, redone, equal })
    }

    fn tenant(&self, principal: &Principal) -> Result<Arc<TenantRoute>, FlowError> {
        let routing = self.live.routing();
        let found = routing.tenants.get(&principal.tenant).map(Arc::clone);
        found.ok_or(FlowError::Refused(Reason::NotFound))
    }

    /// The clicks that a query names, if it names any.
    async fn clicks(
        &self,
        tenant: &TenantRoute,
        query: &RecordQuery,
    ) -> Result<Option<Vec<ClickKey>>, FlowError> {
        if query.order_id.is_none() {
            let lonely = "only narrows an order_id down";
            if query.goal.is_some() {
                return Err(FlowError::Invalid("goal", lonely));
            }
            if query.shop.is_some() {
                return Err(FlowError::Invalid("shop", lonely));
            }
        }
        match (&query.token, &query.order_id) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(FlowError::Invalid("token", "must stand without an order_id")),
            (Some(text), None) => {
                let Ok(claims) = token::open(&tenant.keys, text) else {
                    return Ok(Some(Vec::new()));
                };
                Ok(Some(vec![ClickKey {
                    tenant: tenant.number(),
                    issued_at_ticks: i64::try_from(claims.issued_at_ticks).unwrap_or(0),
                    click: claims.click,
                }]))
            }
            (None, Some(order_id)) => {
                let reader = self.live.store().reader(tenant.scope());
                let shops: Vec<i64> = match query.shop {
                    None => tenant.shops.keys().copied().collect(),
                    Some(id) => {
                        let shop: Option<Shop> = reader.find(tenant.number(), id).await?;
                        vec![shop.ok_or(FlowError::Missing("shop"))?.object.number]
                    }
                };
                let name = query.goal.as_deref().unwrap_or(DEFAULT_GOAL);
                let goals = shops
                    .iter()
                    .flat_map(|shop| goals_named(tenant, *shop, name))
                    .collect();
                let hash = tenant.keys.order_hash(order_id);
                let clicks = reader
                    .clicks_of_order(tenant.number(), shops, goals, hash)
                    .await?;
                Ok(Some(clicks))
            }
        }
    }

    /// A record that is there. What was erased is gone for good; what was never there, or had its time, is not found.
    pub(super) async fn find(&self, tenant: &TenantRoute, id: &RecordId) -> Result<Shown, FlowError> {
        let key = RecordKey::open(&tenant.keys, id).ok_or(FlowError::Refused(Reason::NotFound))?;
        let reader = self.live.store().reader(tenant.scope());
        let number = tenant.number();
        let found = reader.record(number, &key).await?;
        // A row without its click's salt is what a cut-off erasure could leave behind.
        if let Some(record) = found.filter(|record| record.salt.is_some()) {
            return Ok(show(tenant, record));
        }
        let erased = match &key {
            RecordKey::Click(click) | RecordKey::Signal(click, _) => {
                let entry = tenant.keys.suppressed_click(&click.click);
                reader.is_suppressed(number, entry).await?
            }
            RecordKey::Conversion(id) => reader.is_purged_conversion(number, *id).await? == Some(false),
        };
        Err(FlowError::Refused(if erased {
            Reason::ConsentWithdrawn
        } else {
            Reason::NotFound
        }))
    }

    async fn policy(&self, tenant: &TenantRoute, record: &Record) -> Result<Policy, FlowError> {
        let reader = self.live.store().reader(tenant.scope());
        let found = reader
            .policy_document(tenant.number(), record.policy_version)
            .await?;
        let missing = StoreError::Inconsistent {
            table: "policy",
            column: "version",
        };
        Ok(found.ok_or(missing)?)
    }

    /// Committed before anything is opened.
    async fn note_look(
        &self,
        looker: &Looker<'_>,
        tenant: &TenantRoute,
        shown: &Shown,
        action: &'static str,
        look: Look,
    ) -> Result<(), FlowError> {
        let number = tenant.number();
        let mut event = self.event(looker.principal, number, shown, action, looker.request);
        let tx = self.live.store().begin(TenantScope::Only(number)).await?;
        event.changes = looker.enter(&self.live, &tx, number, look).await?;
        tx.commit_with(&event.into()).await?;
        Ok(())
    }

    fn event(
        &self,
        principal: &Principal,
        tenant: i64,
        shown: &Shown,
        action: &'static str,
        request: RequestId,
    ) -> AuditEvent {
        let mut event = self.live.event(tenant, action, &principal.actor(), "shown");
        event.commitment.clone_from(&shown.commitment);
        event.request_id = Some(request.to_string());
        event
    }
}

/// A record with its id and its click's commitment, which is the one of the click's own leaf.
pub(super) fn show(tenant: &TenantRoute, record: Record) -> Shown {
    let secrets = record.secrets(&tenant.keys);
    let named = secrets.zip(record.salt).map(|(secrets, salt)| {
        let click = &record.click.click.0;
        hex::encode(commitment(&secrets.subject, LOG_EPOCH, &salt, click, &[]))
    });
    Shown {
        id: record.key.seal(&tenant.keys),
        commitment: named,
        opened: None,
        record,
    }
}
