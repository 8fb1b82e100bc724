//! Policies: a version is made, never edited; a draft runs in the shadow; what is laxer than the default needs a reason.
//!
//! Where the tenant works by the four-eyes principle a version waits for the approval of another user and has no effect
//! until then.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{Caller, Managed, ObjectsFlow, Session};
use crate::domain::approval::{ApprovalKind, ApprovalState};
use crate::domain::campaign::{Object, Tenant, local_day};
use crate::domain::draft::{Fault, differences};
use crate::domain::event::Change;
use crate::domain::policy::{Policy, PolicyDraft, PolicyRecord, Stand};
use crate::domain::refusal::Reason;
use crate::domain::report::key::TooManyRows;
use crate::domain::report::period::Period;
use crate::domain::report::{Dimension, Names};
use crate::domain::scope::TenantScope;
use crate::flow::FlowError;
use crate::store::policies::ShadowSum;

/// What is asked for beside the document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyWish {
    /// The policy that it begins as; without one, what is in force at its time.
    pub base: Option<Uuid>,
    /// Whether it is a draft.
    pub shadow: bool,
    /// From when it is to be in force; at once if empty.
    pub from_ms: Option<i64>,
    /// Why.
    pub reason: Option<String>,
}

/// A policy with its place in time, and what it changes where that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyStanding {
    /// The record.
    pub record: PolicyRecord,
    /// Where it is in its life.
    pub stand: Stand,
    /// What differs from the version that it was made to replace.
    pub changes: Option<Vec<Change>>,
}

/// What a draft said, over some days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowReport {
    /// The days.
    pub period: Period,
    /// The zone that they begin in.
    pub time_zone: String,
    /// Every count, the agreeing ones too.
    pub sums: Vec<ShadowSum>,
    /// The campaigns in them.
    pub names: Names,
}

impl Managed for PolicyRecord {
    common!(PolicyDraft, "policy"; draft of its own);

    async fn draft(&self, _: &Session<'_>) -> Result<PolicyDraft, FlowError> {
        Ok(PolicyDraft {
            policy: self.policy.clone(),
            reason: self.reason.clone(),
            from_ms: self.requested_from_ms,
            shadow: self.version.is_none(),
        })
    }

    async fn build(
        session: &Session<'_>,
        object: Object,
        draft: &PolicyDraft,
        old: Option<&Self>,
    ) -> Result<Self, FlowError> {
        if old.is_some() {
            // The verdicts that were made under a document must stay explainable.
            return Err(Fault::Clash("id", "a policy is never edited; make a new version").into());
        }
        let tenant = object.tenant;
        let now_ms = session.live.now_ms();
        let from_ms = draft.from_ms.unwrap_or(now_ms);
        let before = session.tx.policy_at(tenant, from_ms).await?;
        draft.check_against(before.as_ref().map(|before| &before.policy), now_ms)?;
        let author = session.person().await?;
        let (mut version, mut approval) = (None, None);
        if !draft.shadow {
            let last = session.tx.last_policy_version(tenant).await?;
            let next = last.checked_add(1);
            version = Some(next.ok_or(Fault::Clash("mode", "the policy has been changed too often"))?);
            if before.is_some() && works_by_four_eyes(session, tenant).await? {
                approval = Some(session.next_approval().await?);
            }
        }
        Ok(PolicyRecord {
            object,
            version,
            policy: draft.policy.clone().normal(),
            author,
            reason: draft.reason.clone(),
            replaces: before.map(|before| before.version),
            approval,
            requested_from_ms: version.map(|_| from_ms),
            effective_from_ms: version.filter(|_| approval.is_none()).map(|_| from_ms),
            rejected: false,
        })
    }

    async fn settle(
        session: &mut Session<'_>,
        _: Option<&Self>,
        new: &Self,
        _: &PolicyDraft,
    ) -> Result<Vec<Change>, FlowError> {
        if let Some(approval) = new.approval {
            session
                .ask(approval, ApprovalKind::Policy, new.object.number)
                .await?;
        }
        for other in session.tx.drafts(new.object.tenant).await? {
            // One draft runs at a time, and what has become a version is no draft any more.
            let ends = new.version.is_none() || other.policy == new.policy;
            if ends && other.object.number != new.object.number {
                session.archive(other).await?;
            }
        }
        let before = match new.replaces {
            None => None,
            Some(number) => session.tx.policy_document(new.object.tenant, number).await?,
        };
        Ok(changes(before.as_ref(), &new.policy))
    }

    async fn release(session: &mut Session<'_>, record: &Self) -> Result<(), FlowError> {
        let is_over = record
            .effective_from_ms
            .is_some_and(|from_ms| from_ms <= session.live.now_ms());
        if is_over {
            let words = "has been in force; make another version to replace it";
            return Err(Fault::Clash("id", words).into());
        }
        if let Some(approval) = record.approval {
            session
                .end_approval(approval.number, ApprovalState::Withdrawn)
                .await?;
        }
        Ok(())
    }
}

fn changes(before: Option<&Policy>, after: &Policy) -> Vec<Change> {
    differences(before.map(Policy::fields).as_ref(), &after.fields())
}

async fn works_by_four_eyes(session: &Session<'_>, tenant: i64) -> Result<bool, FlowError> {
    let found: Option<Tenant> = session.tx.numbered(tenant, tenant).await?;
    Ok(found.is_some_and(|tenant| tenant.four_eyes))
}

impl Session<'_> {
    /// The last version of this scope's policy, whatever became of it.
    pub async fn last_policy_version(&self) -> Result<u16, FlowError> {
        Ok(self.tx.last_policy_version(self.scope()).await?)
    }

    /// The versions of this scope's policy that wait for their time or for an approval.
    pub async fn pending_policies(&self) -> Result<Vec<u16>, FlowError> {
        let now_ms = self.live.now_ms();
        let pending = self.tx.pending_policies(self.scope(), now_ms).await?;
        Ok(pending.into_iter().map(|pending| pending.version).collect())
    }
}

impl ObjectsFlow {
    /// Makes a version or a draft: what is in force at its time, or another policy's document, with an edit.
    pub async fn create_policy(
        &self,
        caller: &Caller,
        wish: PolicyWish,
        edit: impl FnOnce(&mut Policy) + Send,
    ) -> Result<PolicyStanding, FlowError> {
        let mut session = Session::begin(&self.live, caller).await?;
        let at_ms = wish.from_ms.unwrap_or(self.live.now_ms());
        let mut policy = if let Some(id) = wish.base {
            let base: Option<PolicyRecord> = session.tx.find(caller.scope, id).await?;
            base.ok_or(FlowError::Missing("base"))?.policy
        } else {
            let in_force = session.tx.policy_at(caller.scope, at_ms).await?;
            in_force.ok_or(FlowError::Refused(Reason::NotFound))?.policy
        };
        edit(&mut policy);
        let draft = PolicyDraft {
            policy,
            reason: wish.reason,
            from_ms: wish.from_ms,
            shadow: wish.shadow,
        };
        let (record, _): (PolicyRecord, _) = session.put(None, &draft).await?;
        session.finish().await?;
        self.explained(record).await
    }

    /// Where policies of one tenant are in their lives.
    pub async fn standing(
        &self,
        caller: &Caller,
        records: Vec<PolicyRecord>,
    ) -> Result<Vec<PolicyStanding>, FlowError> {
        let now_ms = self.live.now_ms();
        let reader = self.live.store().reader(caller.tenant_scope());
        let in_force = reader.policy(caller.scope, now_ms).await?;
        let standing = |record: PolicyRecord| PolicyStanding {
            stand: record.stand(in_force.version, now_ms),
            record,
            changes: None,
        };
        Ok(records.into_iter().map(standing).collect())
    }

    /// A policy with its place in time and what it changes.
    pub async fn explained(&self, record: PolicyRecord) -> Result<PolicyStanding, FlowError> {
        let (tenant, now_ms) = (record.object.tenant, self.live.now_ms());
        let reader = self.live.store().reader(TenantScope::Only(tenant));
        let in_force = reader.policy(tenant, now_ms).await?;
        let before = match record.replaces {
            None => None,
            Some(number) => reader.policy_document(tenant, number).await?,
        };
        Ok(PolicyStanding {
            stand: record.stand(in_force.version, now_ms),
            changes: Some(changes(before.as_ref(), &record.policy)),
            record,
        })
    }

    /// What a draft said beside the policy in force. A version that was never a draft has said nothing.
    pub async fn shadow_report(
        &self,
        caller: &Caller,
        id: Uuid,
        days: (Option<i64>, Option<i64>),
    ) -> Result<ShadowReport, FlowError> {
        let record: PolicyRecord = self.read(caller, id).await?;
        let tenant = self.tenant_route(caller.scope)?;
        let present_day = local_day(self.live.now_ms(), tenant.zone);
        let period = Period::of(days.0, days.1, present_day)
            .map_err(|error| FlowError::Invalid("from", error.sentence()))?;
        let store = self.live.store();
        let sums = store
            .shadow_sums(caller.scope, record.object.number, period)
            .await?;
        let words = "gives more than 10,000 rows: ask about fewer days";
        TooManyRows::check(sums.len()).map_err(|_| FlowError::Invalid("from", words))?;
        let campaigns: BTreeSet<i64> = sums.iter().map(|sum| sum.campaign).collect();
        let campaigns: Vec<i64> = campaigns.into_iter().filter(|number| *number != 0).collect();
        let named = store
            .reported_names(caller.scope, Dimension::Campaign, &campaigns)
            .await?;
        let named = named.into_iter();
        Ok(ShadowReport {
            period,
            time_zone: tenant.tenant.time_zone.clone(),
            names: named
                .map(|(number, name)| ((Dimension::Campaign, number), name))
                .collect(),
            sums,
        })
    }
}
