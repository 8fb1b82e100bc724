//! Authentication: an API key is a look-up in the routing snapshot, a token is verified. Nothing is stored.

use std::sync::Arc;

use super::Live;
use super::identity::{Identity, NotKnown};
use crate::domain::access::Principal;
use crate::domain::ids::RequestId;
use crate::domain::keys::sha256;
use crate::identity::token::looks_like_token;

/// Looks callers up.
#[derive(Clone)]
pub struct AccessFlow {
    live: Arc<Live>,
    identity: Arc<Identity>,
}

impl AccessFlow {
    /// Over the shared parts.
    pub fn new(live: Arc<Live>, identity: Arc<Identity>) -> Self {
        Self { live, identity }
    }

    /// A name for a new request. Random, not time-ordered: it stands in the trail of refusals, where only the day may.
    pub fn request_id(&self) -> RequestId {
        RequestId(uuid::Builder::from_random_bytes(self.live.random()).into_uuid())
    }

    /// The caller whose key or token this is. Keys are random, so their digest may be looked up in a table: what the time
    /// of the look-up tells is about the digest.
    pub async fn identify(&self, bearer: &str) -> Result<Principal, NotKnown> {
        let routing = self.live.routing();
        if let Some(principal) = routing.api_keys.get(&sha256(bearer.as_bytes())) {
            return Ok(principal.clone());
        }
        if !looks_like_token(bearer) {
            return Err(NotKnown::Key);
        }
        self.identity.judge(bearer, &routing, self.live.now_ms()).await
    }
}
