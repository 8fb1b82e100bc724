//! Working on a case: assigning, extending, noting, taking back, declining. Each step is one transaction with its events.

use uuid::Uuid;

use super::{By, RequestsFlow, Shown, ShownWhole, decided, field};
use crate::domain::access::Role;
use crate::domain::campaign::User;
use crate::domain::deadline::Calendar;
use crate::domain::draft::Fault;
use crate::domain::event::{Change as Field, Trail};
use crate::domain::refusal::Reason;
use crate::domain::scope::TenantScope;
use crate::domain::subject_request::{Case, ExtensionReason, Ground, RequestSource, RequestStatus, Subject};
use crate::flow::FlowError;

/// What a change does to a field that can be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Edit<T> {
    /// Nothing.
    #[default]
    Keep,
    /// Empties it.
    Clear,
    /// Fills it.
    Set(T),
}

/// What is to be changed about a case.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Who works on it.
    pub assignee: Edit<Uuid>,
    /// Extend the deadline by two months, for this reason.
    pub extension: Option<ExtensionReason>,
    /// A word into the history.
    pub note: Option<String>,
    /// Decide it: taken back, or declined on a ground.
    pub decision: Option<Decision>,
}

/// How a case ends without being carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The person took it back.
    Cancelled,
    /// Declined on this ground.
    Rejected(Ground),
}

/// One step of a case.
pub(super) struct Step {
    /// What the case says of it.
    pub event: &'static str,
    /// What the trail says of it.
    pub action: &'static str,
    /// What came of it.
    pub outcome: &'static str,
    /// A word about it.
    pub code: Option<String>,
    /// The fields, for the trail.
    pub changes: Vec<Field>,
}

impl Step {
    pub(super) fn plain(event: &'static str, action: &'static str, outcome: &'static str) -> Self {
        Self {
            event,
            action,
            outcome,
            code: None,
            changes: Vec::new(),
        }
    }

    fn about(event: &'static str, name: &'static str, code: &str) -> Self {
        Self {
            code: Some(code.to_owned()),
            changes: vec![field(name, code)],
            ..Self::plain(event, "subject_request.changed", "changed")
        }
    }
}

impl RequestsFlow {
    /// Changes a case.
    pub async fn change(&self, by: &By, id: Uuid, change: Change) -> Result<ShownWhole, FlowError> {
        let assignee = match change.assignee {
            Edit::Keep => Edit::Keep,
            Edit::Clear => Edit::Clear,
            Edit::Set(user) => Edit::Set((user, self.worker(by.tenant, user).await?)),
        };
        let tenant = self.tenant(by.tenant)?;
        let holidays = self.holidays(&tenant, &[]);
        let now_ms = self.live.now_ms();
        let case = self
            .step(by, id, |case| {
                if !case.status.is_open() {
                    return Err(decided());
                }
                let mut steps = Vec::new();
                match assignee {
                    Edit::Keep => {}
                    Edit::Clear => {
                        case.assignee = None;
                        steps.push(Step::about("assigned", "assignee", "none"));
                    }
                    Edit::Set((_, number)) => {
                        case.assignee = Some(number);
                        steps.push(Step::about("assigned", "assignee", &format!("user:{number}")));
                    }
                }
                if let Some(reason) = change.extension {
                    let calendar = Calendar {
                        zone: tenant.zone,
                        holidays: &holidays,
                    };
                    steps.push(extend(case, &calendar, reason, now_ms)?);
                }
                if let Some(note) = &change.note {
                    steps.push(Step::about("noted", "note", note));
                }
                if let Some(decision) = change.decision {
                    steps.push(end(case, decision, now_ms)?);
                }
                Ok(steps)
            })
            .await?;
        self.whole(case).await
    }

    /// Takes back a request that nobody has begun, as its controller may.
    pub async fn cancel(&self, by: &By, id: Uuid) -> Result<Case, FlowError> {
        let now_ms = self.live.now_ms();
        self.step(by, id, |case| {
            if case.status != RequestStatus::Pending {
                return Err(Fault::Clash("subject_request_id", "is not pending any more").into());
            }
            Ok(vec![end(case, Decision::Cancelled, now_ms)?])
        })
        .await
    }

    /// The number of a user who may work on cases.
    async fn worker(&self, tenant: i64, id: Uuid) -> Result<i64, FlowError> {
        let found: Option<User> = self
            .live
            .store()
            .reader(TenantScope::Only(tenant))
            .find(tenant, id)
            .await?;
        let user = found.ok_or(FlowError::Missing("assignee"))?;
        if user.role != Role::Privacy || user.object.archived_at_ms.is_some() {
            return Err(Fault::Clash("assignee", "is no user of the role privacy").into());
        }
        Ok(user.object.number)
    }

    /// Changes a case in one transaction with its history, its trail, and callbacks where its status changed. Without a
    /// step nothing is written.
    pub(super) async fn step(
        &self,
        by: &By,
        id: Uuid,
        change: impl FnOnce(&mut Case) -> Result<Vec<Step>, FlowError>,
    ) -> Result<Case, FlowError> {
        let tenant = self.tenant(by.tenant)?;
        let tx = self.live.store().begin(TenantScope::Only(by.tenant)).await?;
        let found = tx.case(by.tenant, id).await?;
        let old = found.ok_or(FlowError::Refused(Reason::NotFound))?;
        let mut case = old.clone();
        let steps = change(&mut case)?;
        if steps.is_empty() {
            return Ok(case);
        }
        case.updated_at_ms = self.live.now_ms();
        tx.replace_case(&case).await?;
        let mut entries = Vec::with_capacity(steps.len());
        for step in steps {
            self.note(&tx, by, &case, step.event, step.code).await?;
            let mut event = self.event(by, &case, step.action, step.outcome);
            event.changes = step.changes;
            entries.push(event.into());
        }
        if old.status != case.status && old.source != RequestSource::Api {
            let subject = Subject::open(&tenant.keys, &old).map_err(crate::store::StoreError::from)?;
            self.queue(&tx, &tenant, &case, &subject.unwrap_or_default())
                .await?;
        }
        let is_emptied = old.subject.is_some() && case.subject.is_none();
        if is_emptied {
            tx.owe_keys_and_cases(self.live.new_id(), case.updated_at_ms)
                .await?;
        }
        let Some(trail) = Trail::from_entries(entries) else {
            return Ok(case);
        };
        tx.commit_with(&trail).await?;
        if is_emptied {
            self.scrub().await;
        }
        Ok(case)
    }

    /// Old pages may still hold what named the person.
    pub(super) async fn scrub(&self) {
        if let Err(error) = self.live.store().scrub().await {
            tracing::warn!(%error, "old pages of closed requests could not be removed yet");
        }
    }

    pub(super) fn shown_alone(&self, case: Case) -> Shown {
        self.shown(case, None)
    }
}

/// Two further months, once, and only while the first one runs: the person has to be told within it.
fn extend(
    case: &mut Case,
    calendar: &Calendar<'_>,
    reason: ExtensionReason,
    now_ms: i64,
) -> Result<Step, FlowError> {
    if case.extension.is_some() {
        return Err(Fault::Clash("extension", "was made before").into());
    }
    if now_ms >= case.due_at_ms {
        return Err(Fault::Clash("extension", "comes after the deadline").into());
    }
    let due = calendar.extended(case.submitted_at_ms);
    let due = due.ok_or(FlowError::Refused(Reason::Internal))?;
    case.due_on = due.on.to_string();
    case.due_at_ms = due.ends_at_ms;
    case.extension = Some(reason);
    let mut step = Step::about("extended", "extension", reason.code());
    step.changes.push(field("due_on", &case.due_on));
    Ok(step)
}

fn end(case: &mut Case, decision: Decision, now_ms: i64) -> Result<Step, FlowError> {
    let step = match decision {
        Decision::Cancelled => {
            case.status = RequestStatus::Cancelled;
            Step::plain("cancelled", "subject_request.cancelled", "cancelled")
        }
        Decision::Rejected(ground) => {
            if !ground.fits(case.kind) {
                return Err(Fault::Clash("ground", "does not limit what is asked for").into());
            }
            case.status = RequestStatus::Rejected;
            case.ground = Some(ground);
            Step {
                code: Some(ground.code().to_owned()),
                changes: vec![field("ground", ground.code())],
                ..Step::plain("rejected", "subject_request.rejected", "rejected")
            }
        }
    };
    case.done_at_ms = Some(now_ms);
    case.closed_at_ms = Some(now_ms);
    case.forget();
    Ok(step)
}
