//! Tenants: each is made with its keys and the first version of its policy.

use super::{Caller, Managed, ObjectsFlow, Session};
use crate::domain::access::Role;
use crate::domain::approval::ApprovalKind;
use crate::domain::campaign::{ApiKey, Object, Tenant};
use crate::domain::draft::{ApiKeyDraft, TenantDraft};
use crate::domain::event::Change;
use crate::domain::keys::epoch_of;
use crate::domain::policy::{Policy, PolicyRecord, PolicyVersion};
use crate::domain::scope::TenantScope;
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
        let in_force = session.tx.policy_at(self.object.number, session.live.now_ms());
        Ok(TenantDraft {
            slug: self.slug.clone(),
            time_zone: self.time_zone.clone(),
            controller: self.controller.clone(),
            four_eyes: Some(self.four_eyes),
            policy: in_force
                .await?
                .map_or_else(Policy::default, |in_force| in_force.policy),
            policy_reason: None,
            policy_from_ms: None,
        })
    }

    async fn build(
        _: &Session<'_>,
        object: Object,
        draft: &TenantDraft,
        old: Option<&Self>,
    ) -> Result<Self, FlowError> {
        Ok(draft.onto(object, old))
    }

    async fn settle(
        session: &mut Session<'_>,
        old: Option<&Self>,
        new: &Self,
        draft: &TenantDraft,
    ) -> Result<Vec<Change>, FlowError> {
        let number = new.object.number;
        if old.is_none() {
            make_keys(session, number, &new.slug).await?;
        }
        // A tenant is made in the server's scope; what is made with it is its own.
        let scope = session.scope();
        session.enter(number);
        if old.is_some_and(|old| old.four_eyes) && draft.four_eyes == Some(false) {
            session.ask_once(ApprovalKind::FourEyesEnd, number).await?;
        }
        let changes = settle_policy(session, number, draft).await;
        session.enter(scope);
        changes
    }
}

/// Makes a policy version, unless the one that is wanted is in force at its time, or waits for that or for an approval.
async fn settle_policy(
    session: &mut Session<'_>,
    tenant: i64,
    draft: &TenantDraft,
) -> Result<Vec<Change>, FlowError> {
    let wanted = draft.policy_draft();
    let now_ms = session.live.now_ms();
    let in_force = session
        .tx
        .policy_at(tenant, wanted.from_ms.unwrap_or(now_ms))
        .await?;
    let mut standing = session.tx.pending_policies(tenant, now_ms).await?;
    standing.extend(in_force);
    if standing.iter().any(|version| version.policy == wanted.policy) {
        return Ok(Vec::new());
    }
    let (made, _): (PolicyRecord, _) = session.put(None, &wanted).await?;
    let text = |version: Option<u16>| version.map(|version| version.to_string());
    Ok(vec![Change {
        field: "policy_version",
        old: text(made.replaces),
        new: text(made.version),
    }])
}

/// Makes a new tenant's keys, those of the coming month included, so that its first month's end needs nobody.
async fn make_keys(session: &Session<'_>, tenant: i64, slug: &str) -> Result<(), FlowError> {
    let (live, tx) = (session.live, &session.tx);
    let (roots, now_ms, month) = (live.roots(), live.now_ms(), epoch_of(live.now_s()));
    let fill = live.fill();
    let root = tx.wrapping_root(roots, slug).await?;
    tx.make_keys(tenant, root.as_ref(), month, now_ms, &fill).await?;
    let next = month.saturating_add(1);
    tx.make_epoch(tenant, roots, next, now_ms, &fill).await?;
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
        let reader = self.live.store().reader(TenantScope::Only(tenant.object.number));
        let policy = reader.policy(tenant.object.number, self.live.now_ms()).await?;
        Ok(TenantInForce { tenant, policy })
    }
}
