//! Approvals: a change is asked for by one user and takes effect by the word of another.
//!
//! What each kind of change does once it is approved, or not, stands in [`Session::take_effect`] and nowhere else.

use uuid::Uuid;

use super::{Caller, Effect, Managed, ObjectsFlow, Session};
use crate::domain::approval::{Approval, ApprovalDraft, ApprovalKind, ApprovalState};
use crate::domain::campaign::{ApiKey, Object, Reference, Tenant, User, valid_text};
use crate::domain::draft::{Fault, differences};
use crate::domain::event::Actor;
use crate::domain::policy::{Person, PolicyRecord, REASON_CHARS};
use crate::domain::refusal::Reason;
use crate::flow::FlowError;

impl Managed for Approval {
    common!(ApprovalDraft, "approval"; draft of its own);

    async fn draft(&self, _: &Session<'_>) -> Result<ApprovalDraft, FlowError> {
        Ok(ApprovalDraft {
            kind: self.kind,
            subject: self.subject,
            author: self.author.clone(),
        })
    }

    async fn build(
        _: &Session<'_>,
        object: Object,
        draft: &ApprovalDraft,
        _: Option<&Self>,
    ) -> Result<Self, FlowError> {
        Ok(draft.onto(object))
    }
}

/// An approval with the public name of what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalOf {
    /// The approval.
    pub approval: Approval,
    /// The policy, where it is about one.
    pub policy: Option<Uuid>,
}

impl Session<'_> {
    /// Who acts, with the user whose key or password it is.
    pub(super) async fn person(&self) -> Result<Person, FlowError> {
        Ok(Person {
            actor: self.author(),
            user: self.acting_user().await?.map(|(user, _)| user),
        })
    }

    /// The user who acts, and when what proves it was last changed, in milliseconds since 1970.
    async fn acting_user(&self) -> Result<Option<(Reference, i64)>, FlowError> {
        Ok(match self.actor() {
            Actor::Key(number) => {
                let key: Option<ApiKey> = self.tx.numbered(self.scope(), *number).await?;
                key.and_then(|key| Some((key.user?, key.object.updated_at_ms)))
            }
            Actor::User(number) => {
                let user: Option<User> = self.tx.numbered(self.scope(), *number).await?;
                user.map(|user| (user.reference(), user.object.updated_at_ms))
            }
            _ => None,
        })
    }

    /// The name of the approval that will be asked for next.
    pub(super) async fn next_approval(&self) -> Result<Reference, FlowError> {
        let Object { number, id, .. } = self.fresh::<Approval>().await?;
        Ok(Reference { number, id })
    }

    /// Asks for an approval.
    pub(super) async fn ask(
        &mut self,
        name: Reference,
        kind: ApprovalKind,
        subject: i64,
    ) -> Result<(), FlowError> {
        let draft = ApprovalDraft {
            kind,
            subject,
            author: self.person().await?,
        };
        draft.check()?;
        let approval = draft.onto(Object {
            number: name.number,
            id: name.id,
            ..self.fresh::<Approval>().await?
        });
        self.tx.insert(&approval).await?;
        let changes = differences(None, &approval.fields());
        self.note(&approval, Effect::Created, changes);
        Ok(())
    }

    /// Asks for an approval, unless one for the same waits already.
    pub(super) async fn ask_once(&mut self, kind: ApprovalKind, subject: i64) -> Result<(), FlowError> {
        let waiting = self.tx.waiting(self.scope(), kind).await?;
        if waiting.iter().any(|approval| approval.subject == subject) {
            return Ok(());
        }
        let name = self.next_approval().await?;
        self.ask(name, kind, subject).await
    }

    /// Ends an approval that still waits.
    pub(super) async fn end_approval(&mut self, number: i64, state: ApprovalState) -> Result<(), FlowError> {
        let found: Option<Approval> = self.tx.numbered(self.scope(), number).await?;
        let Some(old) = found.filter(|approval| approval.state == ApprovalState::Waiting) else {
            return Ok(());
        };
        self.rewrite_approval(Approval { state, ..old.clone() }, &old)
            .await?;
        Ok(())
    }

    async fn rewrite_approval(&mut self, mut new: Approval, old: &Approval) -> Result<Approval, FlowError> {
        self.rewrite(&mut new).await?;
        let changes = differences(Some(&old.fields()), &new.fields());
        let action = match new.state {
            ApprovalState::Waiting => "approval.changed",
            ApprovalState::Approved => "approval.approved",
            ApprovalState::Rejected => "approval.rejected",
            ApprovalState::Withdrawn => "approval.withdrawn",
        };
        self.enter_in_trail(&new, action, new.state.code(), changes);
        Ok(new)
    }

    /// Does what was asked for, or sees to it that it is never done.
    async fn take_effect(&mut self, approval: &Approval, approved: bool) -> Result<(), FlowError> {
        let gone = || FlowError::Refused(Reason::Gone);
        let now_ms = self.live.now_ms();
        match approval.kind {
            ApprovalKind::Policy => {
                let found = self.tx.numbered(self.scope(), approval.subject).await?;
                let mut record: PolicyRecord = found.ok_or_else(gone)?;
                if approved {
                    // Never backwards: what was decided while it waited stays decided.
                    record.effective_from_ms = record.requested_from_ms.map(|from_ms| from_ms.max(now_ms));
                } else {
                    record.rejected = true;
                    record.object.archived_at_ms = Some(now_ms);
                }
                self.rewrite(&mut record).await
            }
            ApprovalKind::FourEyesEnd if approved => {
                let found = self.tx.numbered(self.scope(), approval.subject).await?;
                let old: Tenant = found.ok_or_else(gone)?;
                let mut tenant = old.clone();
                tenant.four_eyes = false;
                self.rewrite(&mut tenant).await?;
                let changes = differences(Some(&old.fields()), &tenant.fields());
                self.note(&tenant, Effect::Changed, changes);
                Ok(())
            }
            ApprovalKind::FourEyesEnd => Ok(()),
        }
    }
}

impl ObjectsFlow {
    /// Decides an approval. Only another user than the one who asked may, with a key or password that is no younger than the question.
    pub async fn decide_approval(
        &self,
        caller: &Caller,
        id: Uuid,
        approved: bool,
        note: Option<String>,
    ) -> Result<ApprovalOf, FlowError> {
        if !note.as_deref().is_none_or(|text| valid_text(text, REASON_CHARS)) {
            let words = "must be 1 to 500 characters, none of them a control character";
            return Err(FlowError::Invalid("note", words));
        }
        let mut session = Session::begin(&self.live, caller).await?;
        let old: Approval = session.find(id).await?;
        if old.state != ApprovalState::Waiting {
            return Err(Fault::Clash("id", "has been decided").into());
        }
        let acting = session.acting_user().await?;
        if !acting.is_some_and(|(user, changed_at_ms)| old.may_be_decided_by(Some(user), changed_at_ms)) {
            return Err(FlowError::Refused(Reason::Forbidden));
        }
        let new = Approval {
            state: if approved {
                ApprovalState::Approved
            } else {
                ApprovalState::Rejected
            },
            decider: Some(session.person().await?),
            decided_at_ms: Some(self.live.now_ms()),
            note,
            ..old.clone()
        };
        let approval = session.rewrite_approval(new, &old).await?;
        session.take_effect(&approval, approved).await?;
        session.finish().await?;
        self.about(caller, approval).await
    }

    /// An approval with the name of what it is about.
    pub async fn about(&self, caller: &Caller, approval: Approval) -> Result<ApprovalOf, FlowError> {
        let policy = match approval.kind {
            ApprovalKind::FourEyesEnd => None,
            ApprovalKind::Policy => {
                let reader = self.live.store().reader(caller.tenant_scope());
                let found: Option<PolicyRecord> = reader.numbered(caller.scope, approval.subject).await?;
                found.map(|record| record.object.id)
            }
        };
        Ok(ApprovalOf { approval, policy })
    }
}
