//! Authentication by API key: a look-up in the routing snapshot, nothing stored.

use std::sync::Arc;

use super::Live;
use crate::domain::access::Principal;
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

    /// The caller whose key this is. Keys are random, so their digest may be looked up in a table: what the time of the
    /// look-up tells is about the digest.
    pub fn identify(&self, key: &str) -> Option<Principal> {
        self.live.routing().api_keys.get(&sha256(key.as_bytes())).cloned()
    }
}
