//! What a timer does about requests: carries out those of OpenDSR, forgets whom closed cases were about, removes old
//! case files, and shows how many wait.

use super::{By, RequestsFlow, change::Step};
use crate::domain::event::Actor;
use crate::domain::refusal::Reason;
use crate::domain::subject_request::KEPT_MS;
use crate::flow::FlowError;

/// How many cases of a tenant are worked on in one round.
const AT_ONCE: u64 = 50;

impl RequestsFlow {
    /// One round over all tenants; returns how many cases it moved on. What fails for one case is tried again in the
    /// next round and keeps no other waiting.
    pub async fn round(&self) -> Result<usize, FlowError> {
        let tenants: Vec<i64> = self.live.routing().tenants.keys().copied().collect();
        let mut moved = 0;
        for tenant in tenants {
            let by = By {
                tenant,
                actor: Actor::Server,
                request: None,
            };
            moved += self.run_due(&by).await?;
            moved += self.close_due(&by).await?;
            moved += self.purge(&by).await?;
        }
        self.gauge().await?;
        Ok(moved)
    }

    async fn run_due(&self, by: &By) -> Result<usize, FlowError> {
        let Some(processor) = self.processor() else {
            return Ok(0);
        };
        let before_ms = self.live.now_ms().saturating_sub(processor.wait_ms);
        let reader = self.live.store().reader();
        let due = reader.cases_to_run(by.tenant, before_ms, AT_ONCE).await?;
        let mut done = 0;
        for case in due {
            match self.execute(by, case.id).await {
                Ok(_) => done += 1,
                // Somebody took it back, or another node was faster.
                Err(FlowError::Clash(..) | FlowError::Refused(Reason::NotFound)) => {}
                Err(error) => tracing::warn!(%error, "a request could not be carried out yet"),
            }
        }
        Ok(done)
    }

    async fn close_due(&self, by: &By) -> Result<usize, FlowError> {
        let now_ms = self.live.now_ms();
        let reader = self.live.store().reader();
        let over = reader.cases_to_close(by.tenant, now_ms, AT_ONCE).await?;
        let count = over.len();
        for case in over {
            self.step(by, case.id, |case| {
                if case.subject.is_none() {
                    return Ok(Vec::new());
                }
                case.forget();
                Ok(vec![Step::plain("closed", "subject_request.closed", "closed")])
            })
            .await?;
        }
        Ok(count)
    }

    async fn purge(&self, by: &By) -> Result<usize, FlowError> {
        let before_ms = self.live.now_ms().saturating_sub(KEPT_MS);
        let tx = self.live.store().begin().await?;
        let purged = tx.purge_cases(by.tenant, before_ms).await?;
        if purged == 0 {
            return Ok(0);
        }
        let mut event = self
            .live
            .event(by.tenant, "subject_requests.purged", &by.actor, "purged");
        event.count = i64::try_from(purged).ok();
        tx.commit_with(&event.into()).await?;
        Ok(usize::try_from(purged).unwrap_or(usize::MAX))
    }

    async fn gauge(&self) -> Result<(), FlowError> {
        let reader = self.live.store().reader();
        let counts = reader.case_counts(None, self.live.now_ms()).await?;
        for (state, count) in [
            ("open", counts.open),
            ("due_soon", counts.due_soon),
            ("overdue", counts.overdue),
        ] {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            metrics::gauge!("einklang_subject_requests", "state" => state).set(f64::from(count));
        }
        Ok(())
    }
}
