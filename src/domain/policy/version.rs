//! Versions, drafts and time: which document is in force at a moment, and what becomes of the others.
//!
//! Promise: of the versions that are approved, the one whose time came last is in force; of two with the same time, the
//! later one. A decision asks for the version at its own time, so that a version that was made ahead takes over at its
//! moment on every node, with nothing having to happen then.

use super::Policy;
use crate::domain::campaign::{Object, Reference, valid_text};
use crate::domain::draft::{Fault, Fields};

/// The longest reason or note, in characters.
pub const REASON_CHARS: usize = 500;

/// A policy with the number it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Counts from 1 within the tenant.
    pub version: u16,
    /// The document.
    pub policy: Policy,
}

/// The versions of a tenant that are, or will be, in force. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    first: PolicyVersion,
    /// In the order in which they take over.
    later: Vec<(i64, PolicyVersion)>,
}

impl Timeline {
    /// A version that holds until another one takes over.
    pub fn new(first: PolicyVersion) -> Self {
        Self {
            first,
            later: Vec::new(),
        }
    }

    /// Adds a version that takes over at a time; versions are added in that order.
    pub fn then(&mut self, from_ms: i64, version: PolicyVersion) {
        self.later.push((from_ms, version));
    }

    /// The version in force at a time.
    pub fn at(&self, at_ms: i64) -> &PolicyVersion {
        let come = self.later.iter().rev().find(|(from_ms, _)| *from_ms <= at_ms);
        come.map_or(&self.first, |(_, version)| version)
    }
}

/// The draft that runs in the shadow of the policy in force: asked about everything, obeyed in nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// The number of its record.
    pub draft: i64,
    /// The document.
    pub policy: Policy,
}

/// Who proposed or decided something, as the trail names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The actor of the trail, for example `key:3`.
    pub actor: String,
    /// The user whose key it is, if it is a user's.
    pub user: Option<Reference>,
}

/// A policy as it is kept: a draft, or a version with its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRecord {
    /// Common parts.
    pub object: Object,
    /// The version; a draft has none.
    pub version: Option<u16>,
    /// The document.
    pub policy: Policy,
    /// Who made it.
    pub author: Person,
    /// Why.
    pub reason: Option<String>,
    /// The version that it was made to replace, and is compared with.
    pub replaces: Option<u16>,
    /// The approval that it needs or needed.
    pub approval: Option<Reference>,
    /// From when it was to be in force.
    pub requested_from_ms: Option<i64>,
    /// From when it is; empty for drafts and while it waits for an approval.
    pub effective_from_ms: Option<i64>,
    /// Whether another user refused to approve it.
    pub rejected: bool,
}

/// Where a policy is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// A draft that runs in the shadow.
    Draft,
    /// It waits for the approval of another user.
    Waiting,
    /// Its time has not come yet.
    Scheduled,
    /// In force.
    InForce,
    /// Another version has taken over.
    Past,
    /// Another user refused to approve it.
    Rejected,
    /// Ended before it had an effect: withdrawn, or a draft that another one replaced.
    Withdrawn,
}

impl Stand {
    /// The word in answers.
    pub fn code(self) -> &'static str {
        match self {
            Stand::Draft => "draft",
            Stand::Waiting => "waiting",
            Stand::Scheduled => "scheduled",
            Stand::InForce => "in_force",
            Stand::Past => "past",
            Stand::Rejected => "rejected",
            Stand::Withdrawn => "withdrawn",
        }
    }
}

impl PolicyRecord {
    /// Where it is in its life, while this version is in force.
    pub fn stand(&self, in_force: u16, now_ms: i64) -> Stand {
        match (self.version, self.effective_from_ms) {
            _ if self.rejected => Stand::Rejected,
            _ if self.object.archived_at_ms.is_some() => Stand::Withdrawn,
            (None, _) => Stand::Draft,
            (Some(_), None) => Stand::Waiting,
            (Some(version), _) if version == in_force => Stand::InForce,
            (Some(_), Some(from_ms)) if from_ms > now_ms => Stand::Scheduled,
            (Some(_), Some(_)) => Stand::Past,
        }
    }

    /// What the trail says of it beside what it changes.
    pub fn fields(&self) -> Fields {
        let number = |number: Option<u16>| number.map(|number| number.to_string());
        vec![
            ("version", number(self.version)),
            ("replaces", number(self.replaces)),
            ("policy_reason", self.reason.clone()),
            (
                "effective_from_ms",
                self.requested_from_ms.map(|at_ms| at_ms.to_string()),
            ),
            (
                "approval",
                self.approval.map(|approval| approval.number.to_string()),
            ),
        ]
    }
}

/// A policy that is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDraft {
    /// The document.
    pub policy: Policy,
    /// Why.
    pub reason: Option<String>,
    /// From when it is to be in force; at once if empty.
    pub from_ms: Option<i64>,
    /// Whether it is a draft, to run in the shadow.
    pub shadow: bool,
}

impl PolicyDraft {
    /// Whether this may come into being, as far as it alone tells.
    pub fn check(&self) -> Result<(), Fault> {
        self.policy.check()?;
        let is_text = self
            .reason
            .as_deref()
            .is_none_or(|text| valid_text(text, REASON_CHARS));
        if !is_text {
            let words = "must be 1 to 500 characters, none of them a control character";
            return Err(Fault::Form("policy_reason", words));
        }
        if self.shadow && self.from_ms.is_some() {
            return Err(Fault::Clash(
                "effective_from",
                "a draft comes into force at no time; make a version of it",
            ));
        }
        Ok(())
    }

    /// Whether it may replace a policy at this moment: never backwards in time, and no lax choice without a reason. A
    /// draft has no effect and needs none.
    pub fn check_against(&self, before: Option<&Policy>, now_ms: i64) -> Result<(), Fault> {
        if self.shadow {
            return Ok(());
        }
        if self.from_ms.is_some_and(|from_ms| from_ms < now_ms) {
            let words = "must not lie in the past: what was decided stays decided";
            return Err(Fault::Clash("effective_from", words));
        }
        if self.reason.is_some() {
            return Ok(());
        }
        let words = match self.policy.newly_lax(before) {
            None => return Ok(()),
            Some("mode") => "must say why the mode is laxer than strict_opt_in",
            Some("jurisdictions") => "must say why gdpr=0 lets opting out be enough",
            Some("max_consent_age_days") => "must say why consent may be older than 395 days",
            Some("gpc") => "must say why a TC string may override Global Privacy Control",
            Some("inherit_window_hours") => {
                "must say why a postback may do without a signal for over 24 hours"
            }
            Some(_) => "must say why a no from the shop erases nothing",
        };
        Err(Fault::Clash("policy_reason", words))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Mode;
    use super::*;

    fn version(version: u16) -> PolicyVersion {
        PolicyVersion {
            version,
            policy: Policy::default(),
        }
    }

    #[test]
    fn the_version_whose_time_came_last_is_in_force() {
        let mut timeline = Timeline::new(version(1));
        timeline.then(100, version(3));
        timeline.then(200, version(2));
        timeline.then(200, version(4));
        let at = |at_ms| timeline.at(at_ms).version;
        assert_eq!(
            [at(i64::MIN), at(99), at(100), at(199), at(200), at(i64::MAX)],
            [1, 1, 3, 3, 4, 4]
        );
    }

    fn draft() -> PolicyDraft {
        PolicyDraft {
            policy: Policy::default(),
            reason: None,
            from_ms: None,
            shadow: false,
        }
    }

    #[test]
    fn a_lax_choice_without_a_reason_is_refused_by_name() {
        let mut lax = draft();
        lax.policy.mode = Mode::OptOut;
        let field = |draft: &PolicyDraft| {
            let checked = draft.check().and_then(|()| draft.check_against(None, 0));
            checked.map_err(|fault| fault.parts().0)
        };
        assert_eq!(field(&lax), Err("policy_reason"));
        lax.reason = Some("visitors in the US only".to_owned());
        assert_eq!(field(&lax), Ok(()));
        for empty in ["", "a\nb", &"x".repeat(501)] {
            lax.reason = Some(empty.to_owned());
            assert_eq!(field(&lax), Err("policy_reason"));
        }
        lax.reason = None;
        lax.shadow = true;
        assert_eq!(field(&lax), Ok(()), "a draft has no effect");
    }

    #[test]
    fn no_version_reaches_back() {
        let from = |from_ms| PolicyDraft {
            from_ms: Some(from_ms),
            ..draft()
        };
        assert_eq!(from(1_000).check_against(None, 1_000), Ok(()));
        assert!(from(999).check_against(None, 1_000).is_err());
        let shadow = PolicyDraft {
            shadow: true,
            ..from(1_000)
        };
        assert!(shadow.check().is_err());
    }
}
