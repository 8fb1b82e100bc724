//! Tenants: each is made with its keys and the first version of its policy.

use super::{Caller, Managed, ObjectsFlow, Session};
use crate::domain::access::Role;
use crate::domain::campaign::{ApiKey, Object, Tenant};
use crate::domain::draft::{ApiKeyDraft, Fault, TenantDraft};
use crate::domain::event::Change;
use crate::domain::keys::epoch_of;
use crate::domain::policy::{Policy, PolicyVersion};
use crate::flow::FlowError;

use super::NewKey;

/// A tenant and the policy that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantInForce {
    /// The tenant.
    pub tenant: Tenant,
    /// The policy.
    pub policy: PolicyVersion,
}

impl Managed for Tenant {
    common!(TenantDraft, "tenant"; draft of its own);

    async fn draft(&self, session: &Session<'_>) -> Result<TenantDraft, FlowError> {
        let newest = session.tx.newest_policy(self.object.number).await?;
        Ok(TenantDraft {
            slug: self.slug.clone(),
            time_zone: self.time_zone.clone(),
            controller: self.controller.clone(),
            policy: newest.map_or_else(Policy::default, |newest| newest.policy),
        })
    }

    async fn build(
        _: &Session<'_>,
        object: Object,
        draft: &TenantDraft,
        _: Option<&Self>,
    ) -> Result<Self, FlowError> {
        Ok(draft.onto(object))
    }

    async fn settle(
        session: &mut Session<'_>,
        old: Option<&Self>,
        new: &Self,
        draft: &TenantDraft,
    ) -> Result<Vec<Change>, FlowError> {
        let number = new.object.number;
        if old.is_none() {
            make_keys(session, number).await?;
        }
        let newest = session.tx.newest_policy(number).await?;
        let policy = draft.normal_policy();
        if newest.as_ref().is_some_and(|newest| newest.policy == policy) {
            return Ok(Vec::new());
        }
        // Versions are never edited: the verdicts that were made under one must stay explainable.
        let version = newest.as_ref().map_or(0, |newest| newest.version);
        let version = version
            .checked_add(1)
            .ok_or(Fault::Clash("policy", "has been changed too often"))?;
        let next = PolicyVersion { version, policy };
        let author = session.author();
        let now_ms = session.live.now_ms();
        session.tx.insert_policy(number, &next, &author, now_ms).await?;
        let text = |version: &PolicyVersion| serde_json::to_string(&version.policy).ok();
        Ok(vec![
            Change {
                field: "policy",
                old: newest.as_ref().and_then(text),
                new: text(&next),
            },
            Change {
                field: "policy_version",
                old: newest.map(|newest| newest.version.to_string()),
                new: Some(version.to_string()),
            },
        ])
    }
}

/// Makes a new tenant's keys, those of the coming month included, so that its first month's end needs nobody.
async fn make_keys(session: &Session<'_>, tenant: i64) -> Result<(), FlowError> {
    let live = session.live;
    let (root, now_ms, month) = (live.root(), live.now_ms(), epoch_of(live.now_s()));
    let fill = live.fill();
    session.tx.make_keys(tenant, root, month, now_ms, &fill).await?;
    let next = month.saturating_add(1);
    session.tx.make_epoch(tenant, root, next, now_ms, &fill).await?;
    Ok(())
}

impl ObjectsFlow {
    /// Makes a tenant, if wanted with a first key for its manager: without one, nobody could get in.
    pub async fn create_tenant(
        &self,
        caller: &Caller,
        draft: TenantDraft,
        manager_key: Option<&NewKey>,
    ) -> Result<TenantInForce, FlowError> {
        let mut session = Session::begin(&self.live, caller).await?;
        let (tenant, _): (Tenant, _) = session.put(None, &draft).await?;
        if let Some(key) = manager_key {
            session.enter(tenant.object.number);
            let key = ApiKeyDraft {
                label: "first manager".to_owned(),
                role: Role::Manager,
                shop: None,
                publisher: None,
                user: None,
                hash: key.hash(),
            };
            session.put::<ApiKey>(None, &key).await?;
        }
        session.finish().await?;
        self.in_force(tenant).await
    }

    /// A tenant with its policy.
    pub async fn in_force(&self, tenant: Tenant) -> Result<TenantInForce, FlowError> {
        let reader = self.live.store().reader();
        let policy = reader.policy(tenant.object.number, self.live.now_ms()).await?;
        Ok(TenantInForce { tenant, policy })
    }
}
