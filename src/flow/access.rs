//! Authentication: an API key is a look-up in the routing snapshot, a token is verified. That somebody was turned away is
//! counted, and entered in the audit log from time to time.

use std::sync::Arc;

use super::identity::{Identity, NotKnown};
use super::refusals::{Claimant, Refusals};
use super::{FlowError, Live};
use crate::domain::access::Principal;
use crate::domain::ids::RequestId;
use crate::domain::keys::sha256;
use crate::identity::token::looks_like_token;

/// Looks callers up.
#[derive(Clone)]
pub struct AccessFlow {
    live: Arc<Live>,
    identity: Arc<Identity>,
    refusals: Refusals,
}

impl AccessFlow {
    /// Over the shared parts.
    pub fn new(live: Arc<Live>, identity: Arc<Identity>, refusals: Refusals) -> Self {
        Self {
            live,
            identity,
            refusals,
        }
    }

    /// A name for a new request. Random, not time-ordered: it stands in the trail of refusals, where only the day may.
    pub fn request_id(&self) -> RequestId {
        RequestId(uuid::Builder::from_random_bytes(self.live.random()).into_uuid())
    }

    /// The caller whose key or token this is. Keys are random, so their digest may be looked up in a table: what the time
    /// of the look-up tells is about the digest.
    pub async fn identify(&self, bearer: &str) -> Result<Principal, NotKnown> {
        let routing = self.live.routing();
        let principal = if let Some(principal) = routing.api_keys.get(&sha256(bearer.as_bytes())) {
            principal.clone()
        } else if looks_like_token(bearer) {
            self.identity.judge(bearer, &routing, self.live.now_ms()).await?
        } else {
            return Err(NotKnown::Key);
        };
        let tenant = routing.tenants.get(&principal.tenant);
        if tenant.is_some_and(|tenant| tenant.keys.is_locked()) {
            return Err(NotKnown::Locked);
        }
        Ok(principal)
    }

    /// The shop that a public reference names.
    pub fn shop(&self, reference: &str) -> Option<Claimant> {
        let routing = self.live.routing();
        let (tenant, shop) = *routing.shop_references.get(reference)?;
        Some(Claimant::Shop(tenant, shop))
    }

    /// Counts somebody who was turned away.
    pub fn refused(
        &self,
        claimant: Claimant,
        operation: &'static str,
        reason: crate::domain::refusal::Reason,
    ) {
        self.refusals.count(claimant, operation, reason);
    }

    /// Enters in the audit logs who was turned away since the last time; returns how many entries that made.
    pub async fn enter_refusals(&self) -> Result<usize, FlowError> {
        self.refusals.enter(&self.live).await
    }
}
