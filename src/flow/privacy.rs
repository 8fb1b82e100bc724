//! Retention: what has had its time goes.

use std::sync::Arc;

use super::{FlowError, Live};
use crate::domain::event::Actor;

/// How long test conversions are kept.
const TESTS_KEPT_SECONDS: i64 = 7 * 86_400;

/// Applies retention.
#[derive(Clone)]
pub struct PrivacyFlow {
    live: Arc<Live>,
}

impl PrivacyFlow {
    /// Over the shared parts.
    pub fn new(live: Arc<Live>) -> Self {
        Self { live }
    }

    /// Removes test conversions that are older than seven days, tenant by tenant; returns how many.
    pub async fn purge_tests(&self) -> Result<u64, FlowError> {
        let before_s = self.live.now_s() - TESTS_KEPT_SECONDS;
        let mut all = 0;
        for tenant in self.live.routing().tenants.keys() {
            let tx = self.live.store().begin().await?;
            let purged = tx.purge_tests(*tenant, before_s).await?;
            if purged > 0 {
                let mut event = self
                    .live
                    .event(*tenant, "conversions.purged", &Actor::Server, "purged");
                event.count = i64::try_from(purged).ok();
                event.test = true;
                tx.commit_with(&event.into()).await?;
                all += purged;
            }
        }
        Ok(all)
    }
}
