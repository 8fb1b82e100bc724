//! Authentication by API key: a look-up in the routing snapshot, nothing stored.

use std::sync::Arc;

use super::Live;
use crate::domain::access::Principal;
use crate::domain::ids::RequestId;
use crate::domain::keys::sha256;

/// Looks callers up.
#[derive(Clone)]
pub struct AccessFlow {
    live: Arc<Live>,
}

impl AccessFlow {
    /// Over the shared parts.
    pub fn new(live: Arc<Live>) -> Self {
        Self { live }
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
}
