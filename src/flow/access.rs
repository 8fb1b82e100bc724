//! Authentication by API key: a look-up in the routing snapshot. That somebody was turned away is counted, and entered in
//! the audit log from time to time.

use std::sync::Arc;

use super::refusals::{Claimant, Refusals};
use super::{FlowError, Live};
use crate::domain::access::Principal;
use crate::domain::ids::RequestId;
use crate::domain::keys::sha256;

/// Looks callers up.
#[derive(Clone)]
pub struct AccessFlow {
    live: Arc<Live>,
    refusals: Refusals,
}

impl AccessFlow {
    /// Over the shared parts.
    pub fn new(live: Arc<Live>) -> Self {
        Self {
            live,
            refusals: Refusals::default(),
        }
    }

    /// A name for a new request. Random, not time-ordered: it stands in the trail of refusals, where only the day may.
    pub fn request_id(&self) -> RequestId {
        RequestId(uuid::Builder::from_random_bytes(self.live.random()).into_uuid())
    }

    /// The caller whose key this is. Keys are random, so their digest may be looked up in a table: what the time of the
    /// look-up tells is about the digest.
    pub fn identify(&self, key: &str) -> Option<Principal> {
        self.live.routing().api_keys.get(&sha256(key.as_bytes())).cloned()
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
