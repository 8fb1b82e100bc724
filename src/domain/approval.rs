//! Approvals: what takes effect only after another user agreed, where a tenant works by the four-eyes principle.
//!
//! An approval is about one subject of one kind; author and decider are both on record and never the same user. New
//! kinds of change (a retention period, a hold's release, a key's destruction) are new words here and one effect each in
//! `flow::objects::approval`.

use serde::{Deserialize, Serialize};

use super::campaign::{Object, Reference};
use super::draft::{Fault, Fields};
use super::policy::Person;

/// What kind of change it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalKind {
    /// A policy version comes into force; the subject is the number of its record.
    Policy,
    /// The four-eyes principle itself is given up; the subject is the tenant.
    FourEyesEnd,
}

impl ApprovalKind {
    /// The word in rows and answers.
    pub fn code(self) -> &'static str {
        match self {
            ApprovalKind::Policy => "policy",
            ApprovalKind::FourEyesEnd => "four_eyes_end",
        }
    }
}

/// What has become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// Nobody has decided.
    Waiting,
    /// Another user agreed.
    Approved,
    /// Another user did not.
    Rejected,
    /// What it was about was taken back.
    Withdrawn,
}

impl ApprovalState {
    /// The word in rows and answers.
    pub fn code(self) -> &'static str {
        match self {
            ApprovalState::Waiting => "waiting",
            ApprovalState::Approved => "approved",
            ApprovalState::Rejected => "rejected",
            ApprovalState::Withdrawn => "withdrawn",
        }
    }
}

/// A change that waits for, or got, another user's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Common parts.
    pub object: Object,
    /// The kind.
    pub kind: ApprovalKind,
    /// The number of what it is about.
    pub subject: i64,
    /// What has become of it.
    pub state: ApprovalState,
    /// Who asked for the change.
    pub author: Person,
    /// Who decided.
    pub decider: Option<Person>,
    /// When.
    pub decided_at_ms: Option<i64>,
    /// What the decider had to say.
    pub note: Option<String>,
}

/// A change that another user has to agree to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalDraft {
    /// The kind.
    pub kind: ApprovalKind,
    /// The number of what it is about.
    pub subject: i64,
    /// Who asks for it.
    pub author: Person,
}

impl ApprovalDraft {
    /// Whether it may come into being.
    pub fn check(&self) -> Result<(), Fault> {
        author_is_known(&self.author)
    }

    /// The approval as it then is.
    pub fn onto(&self, object: Object) -> Approval {
        Approval {
            object,
            kind: self.kind,
            subject: self.subject,
            state: ApprovalState::Waiting,
            author: self.author.clone(),
            decider: None,
            decided_at_ms: None,
            note: None,
        }
    }
}

/// Whether an author is somebody that a second pair of eyes can be told from: a user, or whoever runs the server. A key
/// that is nobody's could be the approver's own.
fn author_is_known(author: &Person) -> Result<(), Fault> {
    let is_nobodys = ["key:", "oidc:"]
        .iter()
        .any(|kind| author.actor.starts_with(kind));
    if author.user.is_some() || !is_nobodys {
        return Ok(());
    }
    let words = "asks for changes by users: give the key to a user, or use a user's key";
    Err(Fault::Clash("four_eyes", words))
}

impl Approval {
    /// Whether this user may decide it: another one than the author, with a key or password that is no younger than the
    /// question, so that nobody makes himself a second pair of eyes for the occasion.
    pub fn may_be_decided_by(&self, user: Option<Reference>, changed_at_ms: i64) -> bool {
        let is_other = user.is_some() && user != self.author.user;
        is_other && changed_at_ms <= self.object.created_at_ms
    }

    /// The fields as the trail writes them.
    pub fn fields(&self) -> Fields {
        vec![
            ("kind", Some(self.kind.code().to_owned())),
            ("subject", Some(self.subject.to_string())),
            ("state", Some(self.state.code().to_owned())),
            ("author", Some(self.author.actor.clone())),
            (
                "decider",
                self.decider.as_ref().map(|decider| decider.actor.clone()),
            ),
            ("note", self.note.clone()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn user(number: u128) -> Reference {
        Reference {
            number: 1,
            id: Uuid::from_u128(number),
        }
    }

    fn object(at_ms: i64) -> Object {
        Object {
            tenant: 1,
            number: 1,
            id: Uuid::nil(),
            created_at_ms: at_ms,
            updated_at_ms: at_ms,
            archived_at_ms: None,
        }
    }

    fn asked(actor: &str, user: Option<Reference>) -> ApprovalDraft {
        ApprovalDraft {
            kind: ApprovalKind::Policy,
            subject: 2,
            author: Person {
                actor: actor.to_owned(),
                user,
            },
        }
    }

    #[test]
    fn only_another_user_with_an_older_key_decides() {
        let approval = asked("key:1", Some(user(1))).onto(object(100));
        assert!(approval.may_be_decided_by(Some(user(2)), 100));
        assert!(!approval.may_be_decided_by(Some(user(1)), 100), "the author");
        assert!(!approval.may_be_decided_by(None, 100), "nobody's key");
        assert!(
            !approval.may_be_decided_by(Some(user(2)), 101),
            "made for the occasion"
        );
        let from_the_server = asked("command_line", None).onto(object(100));
        assert!(from_the_server.may_be_decided_by(Some(user(1)), 100));
        assert!(!from_the_server.may_be_decided_by(None, 100));
    }

    #[test]
    fn a_key_that_is_nobodys_asks_for_nothing() {
        assert!(asked("key:1", None).check().is_err());
        assert!(
            asked("oidc:00", None).check().is_err(),
            "somebody whom others vouch for"
        );
        for (actor, user) in [
            ("key:1", Some(user(1))),
            ("user:1", Some(user(1))),
            ("command_line", None),
            ("operator:1", None),
        ] {
            assert_eq!(asked(actor, user).check(), Ok(()));
        }
    }
}
