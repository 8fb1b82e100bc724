//! What is held of a person, put together when it is asked for and kept nowhere.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::{By, RequestsFlow, Shown};
use crate::domain::campaign::Controller;
use crate::domain::draft::Fault;
use crate::domain::ids::{ClickId, ClickKey};
use crate::domain::look::Look;
use crate::domain::policy::Policy;
use crate::domain::record::{RecordKey, RecordKind};
use crate::domain::refusal::Reason;
use crate::domain::retention::Rule;
use crate::domain::routing::TenantRoute;
use crate::domain::scope::TenantScope;
use crate::domain::subject_request::{Name, RequestStatus, Subject};
use crate::flow::FlowError;
use crate::flow::conversion::{DEFAULT_GOAL, goals_named};
use crate::flow::looks::Looker;
use crate::flow::records::{Shown as ShownRecord, show};
use crate::store::StoreError;
use crate::store::held::{HeldClick, HeldConversion};
use crate::store::records::RecordFilter;

/// How many clicks are looked up at once.
const AT_ONCE: usize = 100;
/// The most rows of one kind that are looked for.
const ROWS_MAX: u64 = 10_000;

/// A conversion with all that hangs on it.
#[derive(Debug, Clone)]
pub struct HeldOfConversion {
    /// Its row.
    pub row: HeldConversion,
    /// What was sealed: order, coupon, items, the shop's own values.
    pub details: Option<serde_json::Value>,
    /// The consent that it was recorded on.
    pub record: Option<ShownRecord>,
}

/// A click with all that hangs on it.
#[derive(Debug, Clone)]
pub struct HeldOfClick {
    /// Its row.
    pub row: HeldClick,
    /// What was sealed: sub-ids, notice.
    pub details: Option<serde_json::Value>,
    /// The consent that it was tracked on.
    pub record: Option<ShownRecord>,
    /// The conversions that it led to.
    pub conversions: Vec<HeldOfConversion>,
    /// Consent that was forwarded later.
    pub signals: Vec<ShownRecord>,
}

/// Clicks, and conversions without theirs.
type Found = (Vec<HeldOfClick>, Vec<HeldOfConversion>);

/// What is held of a person.
#[derive(Debug, Clone)]
pub struct Held {
    /// The case.
    pub case: Shown,
    /// When it was put together.
    pub at_ms: i64,
    /// Who decides over the data.
    pub controller: Option<Controller>,
    /// The policy in force.
    pub policy: Policy,
    /// The tenant's own rules on how long anything is kept.
    pub rules: Vec<Rule>,
    /// The clicks.
    pub clicks: Vec<HeldOfClick>,
    /// Conversions whose click has had its time, while their details have not.
    pub conversions: Vec<HeldOfConversion>,
}

impl Held {
    /// Whether anything is held.
    pub fn is_any(&self) -> bool {
        !self.clicks.is_empty() || !self.conversions.is_empty()
    }
}

impl RequestsFlow {
    /// What is held of the person whom a case is about. The look is an entry of the audit log before anything is shown.
    pub async fn held(&self, looker: &Looker<'_>, id: Uuid, look: Look) -> Result<Held, FlowError> {
        let tenant = looker
            .admit(&self.live, "read_subject_request_result", look)
            .await?;
        let by = By {
            tenant: tenant.number(),
            ..By::of(looker.principal, looker.request)
        };
        let found = self
            .live
            .store()
            .reader(TenantScope::Only(by.tenant))
            .case(by.tenant, id)
            .await?;
        let case = found.ok_or(FlowError::Refused(Reason::NotFound))?;
        if !case.kind.asks_for_a_copy() {
            return Err(Fault::Clash("id", "asks for no copy").into());
        }
        if case.status.is_open() {
            return Err(Fault::Clash("id", "has not been carried out").into());
        }
        let now_ms = self.live.now_ms();
        let is_over = case
            .closed_at_ms
            .is_none_or(|closed_at_ms| closed_at_ms <= now_ms);
        if is_over || case.status != RequestStatus::Completed {
            return Err(FlowError::Refused(Reason::Gone));
        }
        let subject = Subject::open(&tenant.keys, &case).map_err(StoreError::from)?;
        let subject = subject.ok_or(FlowError::Refused(Reason::Gone))?;
        let mut event = self.event(&by, &case, "subject_request.result_read", "shown");
        let tx = self.live.store().begin(TenantScope::Only(by.tenant)).await?;
        event.changes = looker.enter(&self.live, &tx, by.tenant, look).await?;
        self.note(
            &tx,
            &by,
            &case,
            "result_read",
            Some(look.reason.code().to_owned()),
        )
        .await?;
        tx.commit_with(&event.into()).await?;
        let keys = self.clicks_of(by.tenant, &subject).await?;
        let (clicks, conversions) = self.all_of(&tenant, &keys).await?;
        Ok(Held {
            rules: self
                .live
                .store()
                .reader(TenantScope::Only(by.tenant))
                .retention_rules(by.tenant)
                .await?,
            clicks,
            conversions,
            case: self.shown_alone(case),
            at_ms: now_ms,
            controller: tenant.tenant.controller.clone(),
            policy: tenant.policy_at(now_ms).policy.clone(),
        })
    }

    /// How many clicks and conversions are held of a person.
    pub(super) async fn count_held(&self, tenant: i64, subject: &Subject) -> Result<i64, FlowError> {
        let keys = self.clicks_of(tenant, subject).await?;
        let mut count = self.conversions_of(tenant, &keys).await?.len();
        for keys in keys.chunks(AT_ONCE) {
            count += self
                .live
                .store()
                .reader(TenantScope::Only(tenant))
                .held_clicks(tenant, keys)
                .await?
                .len();
        }
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
    }

    pub(super) async fn conversions_of(
        &self,
        tenant: i64,
        keys: &[ClickKey],
    ) -> Result<Vec<HeldConversion>, FlowError> {
        let mut found = Vec::new();
        for keys in keys.chunks(AT_ONCE) {
            found.extend(
                self.live
                    .store()
                    .reader(TenantScope::Only(tenant))
                    .held_conversions(tenant, keys)
                    .await?,
            );
        }
        Ok(found)
    }

    /// The clicks that a person's names lead to, and those whose orders name the same person: the same as an erasure
    /// finds.
    pub(super) async fn clicks_of(&self, tenant: i64, subject: &Subject) -> Result<Vec<ClickKey>, FlowError> {
        let tenant = self.tenant(tenant)?;
        let mut clicks = Vec::new();
        for name in &subject.names {
            clicks.extend(self.clicks_named(&tenant, name).await?);
        }
        let reader = self.live.store().reader(tenant.scope());
        for keys in clicks.clone().chunks(AT_ONCE) {
            clicks.extend(reader.clicks_of_same_person(tenant.number(), keys).await?);
        }
        clicks.sort_unstable();
        clicks.dedup();
        Ok(clicks)
    }

    async fn clicks_named(&self, tenant: &Arc<TenantRoute>, name: &Name) -> Result<Vec<ClickKey>, FlowError> {
        let number = tenant.number();
        let reader = self.live.store().reader(tenant.scope());
        Ok(match name {
            Name::Nothing => Vec::new(),
            Name::Click {
                issued_at_ticks,
                click,
            } => vec![ClickKey {
                tenant: number,
                issued_at_ticks: *issued_at_ticks,
                click: ClickId(*click),
            }],
            Name::Order { hash, goal, shop } => {
                let shops = tenant.shops.keys().copied();
                let shops: Vec<i64> = shops
                    .filter(|other| shop.is_none_or(|only| only == *other))
                    .collect();
                let goal = goal.as_deref().unwrap_or(DEFAULT_GOAL);
                let goals = shops
                    .iter()
                    .flat_map(|shop| goals_named(tenant, *shop, goal))
                    .collect();
                reader.clicks_of_order(number, shops, goals, *hash).await?
            }
            Name::Customer(hashes) => reader.clicks_of_customers(number, hashes).await?,
        })
    }

    async fn all_of(&self, tenant: &Arc<TenantRoute>, keys: &[ClickKey]) -> Result<Found, FlowError> {
        let mut all = Found::default();
        for keys in keys.chunks(AT_ONCE) {
            let (clicks, conversions) = self.some_of(tenant, keys).await?;
            all.0.extend(clicks);
            all.1.extend(conversions);
        }
        Ok(all)
    }

    async fn some_of(&self, tenant: &Arc<TenantRoute>, keys: &[ClickKey]) -> Result<Found, FlowError> {
        let number = tenant.number();
        let reader = self.live.store().reader(tenant.scope());
        let filter = RecordFilter {
            clicks: Some(keys.to_vec()),
            ..RecordFilter::default()
        };
        let mut clicks: HashMap<ClickKey, (Option<ShownRecord>, Option<serde_json::Value>)> = HashMap::new();
        let mut postbacks: HashMap<Uuid, (ShownRecord, Option<serde_json::Value>)> = HashMap::new();
        let mut signals: HashMap<ClickKey, Vec<ShownRecord>> = HashMap::new();
        for kind in RecordKind::ALL {
            for record in reader.records(number, kind, &filter, None, ROWS_MAX).await? {
                let details = record.details(&tenant.keys);
                let opened = record.open(&tenant.keys);
                let mut shown = show(tenant, record);
                shown.opened = opened;
                match shown.record.key {
                    RecordKey::Click(key) => drop(clicks.insert(key, (Some(shown), details))),
                    RecordKey::Conversion(id) => drop(postbacks.insert(id, (shown, details))),
                    RecordKey::Signal(key, _) => signals.entry(key).or_default().push(shown),
                }
            }
        }
        let mut conversions: HashMap<ClickKey, Vec<HeldOfConversion>> = HashMap::new();
        for row in reader.held_conversions(number, keys).await? {
            let (record, details) = match postbacks.remove(&row.id) {
                Some((record, details)) => (Some(record), details),
                None => (None, None),
            };
            conversions
                .entry(row.click)
                .or_default()
                .push(HeldOfConversion { row, details, record });
        }
        let rows = reader.held_clicks(number, keys).await?.into_iter();
        let held = rows.map(|row| {
            let (record, details) = clicks.remove(&row.key).unwrap_or_default();
            HeldOfClick {
                details,
                record,
                conversions: conversions.remove(&row.key).unwrap_or_default(),
                signals: signals.remove(&row.key).unwrap_or_default(),
                row,
            }
        });
        let held: Vec<HeldOfClick> = held.collect();
        let mut alone: Vec<HeldOfConversion> = conversions.into_values().flatten().collect();
        alone.sort_by_key(|one| one.row.id);
        Ok((held, alone))
    }
}
