//! The search on a schedule, and its last result for those who may see it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::{CheckFlow, CheckReport, Extent, LookedAt};
use crate::audit::check::Finding;
use crate::domain::access::{Principal, Role};
use crate::domain::event::Actor;
use crate::domain::scope::TenantScope;
use crate::flow::FlowError;

/// How long a scheduled search rests after every page: some hundred pages a second, and the disk is others' meanwhile.
const PAUSE: Duration = Duration::from_millis(5);

/// Searches, and remembers the last result. Clones share it.
#[derive(Clone)]
pub struct Checks {
    flow: CheckFlow,
    last: Arc<RwLock<Option<Arc<CheckReport>>>>,
}

/// What a caller may see of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// When the search began, in milliseconds since 1970.
    pub began_at_ms: i64,
    /// When it ended.
    pub ended_at_ms: i64,
    /// How much was looked at; for the operator only.
    pub looked_at: Option<LookedAt>,
    /// What does not fit, each with its log: the tenant's id, or `server`.
    pub findings: Vec<(String, Finding)>,
}

impl Checks {
    /// Nothing was searched yet.
    pub fn new(flow: CheckFlow) -> Self {
        Self {
            flow,
            last: Arc::default(),
        }
    }

    /// What searches.
    pub fn flow(&self) -> &CheckFlow {
        &self.flow
    }

    /// Searches everything without hurry, remembers the result, and enters in the server's log that it was done.
    pub async fn run(&self) -> Result<Arc<CheckReport>, FlowError> {
        let extent = Extent {
            pause: PAUSE,
            ..Extent::default()
        };
        let report = Arc::new(self.flow.run(extent).await?);
        let found = u32::try_from(report.findings.len()).unwrap_or(u32::MAX);
        metrics::gauge!("einklang_audit_check_findings").set(found);
        // Seconds since 1970 are far below 2^32 until 2106.
        let at_s = u32::try_from(report.ended_at_ms.div_euclid(1_000)).unwrap_or(u32::MAX);
        metrics::gauge!("einklang_audit_check_timestamp_seconds").set(at_s);
        for one in &report.findings {
            tracing::error!(
                kind = one.kind.code(),
                tenant = one.tenant,
                epoch = one.epoch,
                index = one.index,
                count = one.count,
                "the audit logs and the database do not fit together"
            );
        }
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&report));
        self.enter(&report).await?;
        Ok(report)
    }

    async fn enter(&self, report: &CheckReport) -> Result<(), FlowError> {
        let outcome = if report.findings.is_empty() {
            "clean"
        } else {
            "findings"
        };
        let live = &self.flow.live;
        let mut event = live.event(0, "audit.checked", &Actor::Server, outcome);
        event.count = i64::try_from(report.findings.len()).ok();
        let tx = live.store().begin(TenantScope::Server).await?;
        Ok(tx.commit_with(&event.into()).await?)
    }

    /// The last result, as far as the caller may see it: the operator all of it, others their own tenant's part.
    pub fn shown_to(&self, principal: &Principal) -> Option<Shown> {
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        let is_operator = principal.role == Role::Operator;
        let may_see = |one: &&Finding| is_operator || one.tenant == principal.tenant;
        Some(Shown {
            began_at_ms: last.began_at_ms,
            ended_at_ms: last.ended_at_ms,
            looked_at: is_operator.then_some(last.looked_at),
            findings: last
                .findings
                .iter()
                .filter(may_see)
                .map(|one| (self.flow.tenant_text(one.tenant), one.clone()))
                .collect(),
        })
    }
}
