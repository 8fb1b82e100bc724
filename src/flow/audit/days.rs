//! Untracked clicks enter the log as one leaf per closed day: counts by reason, and nothing finer.
//!
//! A leaf per refusal would be a record of a person's refusal to the millisecond.

use std::sync::Arc;

use crate::domain::campaign::{day_text, local_day};
use crate::domain::event::{Actor, Count};
use crate::domain::scope::TenantScope;
use crate::flow::{FlowError, Live};

/// How long after midnight a day counts as closed: longer than any command waits in a queue.
const CLOSED_AFTER_MS: i64 = 10 * 60 * 1_000;

/// Enters the closed days of every tenant.
#[derive(Clone)]
pub struct ClosedDays {
    live: Arc<Live>,
}

impl ClosedDays {
    /// Over the shared parts.
    pub fn new(live: Arc<Live>) -> Self {
        Self { live }
    }

    /// Enters what is not in the log yet; returns how many days that were.
    pub async fn enter(&self) -> Result<usize, FlowError> {
        let routing = self.live.routing();
        let mut entered = 0;
        for (number, tenant) in &routing.tenants {
            let today = local_day(self.live.now_ms() - CLOSED_AFTER_MS, tenant.zone);
            let reader = self.live.store().reader(TenantScope::Only(*number));
            for day in reader.untracked_days(*number, today).await? {
                let mut event = self
                    .live
                    .event(*number, "clicks.untracked", &Actor::Server, "untracked");
                event.at_ms = None;
                event.day = Some(day_text(day.day));
                event.count = Some(day.counts.iter().map(|(_, count)| count).sum());
                event.counts = day
                    .counts
                    .into_iter()
                    .map(|(reason, count)| Count { count, reason })
                    .collect();
                let tx = self.live.store().begin(TenantScope::Only(*number)).await?;
                // Another node may have entered it meanwhile.
                if tx.close_day(*number, day.day).await? {
                    tx.commit_with(&event.into()).await?;
                    entered += 1;
                }
            }
        }
        Ok(entered)
    }
}
