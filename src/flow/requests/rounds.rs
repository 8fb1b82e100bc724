//! What a timer does about requests: carries out those of OpenDSR, forgets whom closed cases were about, and shows how
//! many wait. Old case files go with the purge.

use super::{By, RequestsFlow, change::Step};
use crate::domain::event::Actor;
use crate::domain::refusal::Reason;
use crate::domain::scope::TenantScope;
use crate::flow::FlowError;

/// How many cases are worked on in one round.
const AT_ONCE: u64 = 50;

fn server(tenant: i64) -> By {
    By {
        tenant,
        actor: Actor::Server,
        request: None,
    }
}

impl RequestsFlow {
    /// One round over all tenants; returns how many cases it moved on. What fails for one case is tried again in the
    /// next round and keeps no other waiting.
    pub async fn round(&self) -> Result<usize, FlowError> {
        let moved = self.run_due().await? + self.close_due().await?;
        self.gauge().await?;
        Ok(moved)
    }

    async fn run_due(&self) -> Result<usize, FlowError> {
        let Some(processor) = self.processor() else {
            return Ok(0);
        };
        let before_ms = self.live.now_ms().saturating_sub(processor.wait_ms);
        let due = self
            .live
            .store()
            .reader(TenantScope::Server)
            .cases_to_run(before_ms, AT_ONCE)
            .await?;
        let mut done = 0;
        for case in due {
            match self.execute(&server(case.tenant), case.id).await {
                Ok(_) => done += 1,
                // Somebody took it back, or another node was faster.
                Err(FlowError::Clash(..) | FlowError::Refused(Reason::NotFound)) => {}
                Err(error) => tracing::warn!(%error, "a request could not be carried out yet"),
            }
        }
        Ok(done)
    }

    async fn close_due(&self) -> Result<usize, FlowError> {
        let now_ms = self.live.now_ms();
        let over = self
            .live
            .store()
            .reader(TenantScope::Server)
            .cases_to_close(now_ms, AT_ONCE)
            .await?;
        let count = over.len();
        for case in over {
            self.step(&server(case.tenant), case.id, |case| {
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

    async fn gauge(&self) -> Result<(), FlowError> {
        let reader = self.live.store().reader(TenantScope::Server);
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
