//! Admission to decrypted data: the tenant's own privacy role, and the server's operator under a grant of the tenant's.
//!
//! Promise: a grant is judged by what is committed, in the very transaction that enters the look, so that on no node
//! anything is shown after a revocation; nothing is shown whose entry is not committed.

use std::sync::Arc;

use uuid::Uuid;

use super::{FlowError, Live};
use crate::domain::access::{Principal, Role};
use crate::domain::event::Change;
use crate::domain::grant::granted;
use crate::domain::ids::RequestId;
use crate::domain::look::{Look, may_look};
use crate::domain::refusal::Reason;
use crate::domain::routing::TenantRoute;
use crate::domain::scope::TenantScope;
use crate::store::tx::Tx;

/// Somebody in front of a door.
#[derive(Debug, Clone, Copy)]
pub struct Looker<'p> {
    /// The caller.
    pub principal: &'p Principal,
    /// The tenant that the operator names; everybody else is in one.
    pub tenant: Option<Uuid>,
    /// The request.
    pub request: RequestId,
}

impl Looker<'_> {
    fn is_operator(&self) -> bool {
        self.principal.role == Role::Operator
    }

    /// The tenant that is looked into. The operator has none and names one; whether there is one of that name is not told
    /// to whoever has no grant of it.
    pub(super) fn tenant(&self, live: &Live) -> Result<Arc<TenantRoute>, FlowError> {
        let routing = live.routing();
        let found = match (self.is_operator(), self.tenant) {
            (false, None) => routing.tenants.get(&self.principal.tenant),
            (false, Some(_)) => return Err(FlowError::Invalid("tenant", "is named by the operator alone")),
            (true, None) => return Err(FlowError::Invalid("tenant", "has to be named by the operator")),
            (true, Some(id)) => {
                let mut tenants = routing.tenants.values();
                let found = tenants.find(|route| route.tenant.object.id == id);
                return found.cloned().ok_or(FlowError::Refused(Reason::NoGrant));
            }
        };
        found.cloned().ok_or(FlowError::Refused(Reason::NotFound))
    }

    /// Refuses whoever may not take this look now, before it is told whether there is anything to see.
    pub(super) async fn admit(
        &self,
        live: &Live,
        operation: &str,
        look: Look,
    ) -> Result<Arc<TenantRoute>, FlowError> {
        if !may_look(self.principal.role, operation) {
            return Err(FlowError::Refused(Reason::Forbidden));
        }
        let tenant = self.tenant(live)?;
        if self.is_operator() {
            let now_ms = live.now_ms();
            let reader = live.store().reader(TenantScope::Only(tenant.number()));
            let grants = reader.grants_in_force(tenant.number(), now_ms).await?;
            granted(&grants, look, now_ms).ok_or(FlowError::Refused(Reason::NoGrant))?;
            // A tenant's own callers are turned away at the gate.
            if tenant.keys.is_locked() {
                return Err(FlowError::Refused(Reason::TenantLocked));
            }
        }
        Ok(tenant)
    }

    /// What the entry of a look says, the operator's grant with it. Judged anew, as it stands in this transaction.
    pub(super) async fn enter(
        &self,
        live: &Live,
        tx: &Tx,
        tenant: i64,
        look: Look,
    ) -> Result<Vec<Change>, FlowError> {
        let mut changes = look.changes();
        if self.is_operator() {
            let now_ms = live.now_ms();
            let grants = tx.grants_in_force(tenant, now_ms).await?;
            let grant = granted(&grants, look, now_ms).ok_or(FlowError::Refused(Reason::NoGrant))?;
            changes.push(Change {
                field: "grant",
                new: Some(grant.name()),
                old: None,
            });
        }
        Ok(changes)
    }
}
