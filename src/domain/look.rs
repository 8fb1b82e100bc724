//! Looks at decrypted data: who may, why they say they do, and what of it is masked.
//!
//! Promise: nobody looks without a reason, and the reason is a code, so that it cannot hold anybody's name. What is masked
//! leads to nobody by itself; what a decision was made on stays readable.

use super::access::{Role, may};
use super::event::Change;
use super::retention::DAY_MS;
use super::subject_request::LookReason;
use Role::{Operator, Privacy};

/// The doors to decrypted data: operations that show what was sealed, with the roles that they show it to; the operator needs
/// a grant of the tenant's besides (`grant`).
pub const DOORS: &[(&str, &[Role])] = &[
    ("read_consent_record", &[Operator, Privacy]),
    ("read_consent_receipt", &[Privacy]),
    ("read_subject_request_result", &[Operator, Privacy]),
];

/// How many characters of a text are shown of it when it is masked; of shorter ones than twice that, none.
const SHOWN_CHARS: usize = 2;

/// A look at decrypted data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Why.
    pub reason: LookReason,
    /// Whether everything is shown whole.
    pub unmasked: bool,
}

impl Look {
    /// The look as the trail writes it.
    pub fn changes(self) -> Vec<Change> {
        let field = |field, new: &str| Change {
            field,
            new: Some(new.to_owned()),
            old: None,
        };
        vec![
            field("reason", self.reason.code()),
            field("unmasked", if self.unmasked { "true" } else { "false" }),
        ]
    }
}

/// Whether a role is shown what was sealed at this door.
pub fn may_look(role: Role, operation: &str) -> bool {
    let shown = |(name, roles): &(&str, &[Role])| *name == operation && roles.contains(&role);
    may(role, operation) && DOORS.iter().any(shown)
}

/// The beginning of a text, or nothing of a short one.
pub fn masked_text(text: &str) -> String {
    let shown = if text.chars().count() >= 2 * SHOWN_CHARS {
        SHOWN_CHARS
    } else {
        0
    };
    text.chars().take(shown).chain("***".chars()).collect()
}

/// The day of a time, in UTC: to the tenth of a second the two dates of a TC string are as good as a name.
pub fn masked_time(at_ms: i64) -> i64 {
    at_ms.saturating_sub(at_ms.rem_euclid(DAY_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managers_and_auditors_find_every_door_shut() {
        for (name, roles) in DOORS {
            assert!(roles.iter().all(|role| may(*role, name)), "{name}");
            for role in [Role::Manager, Role::Auditor, Role::Shop, Role::Publisher] {
                assert!(!may_look(role, name), "{name} by {role:?}");
            }
            assert!(may_look(Privacy, name), "{name}");
        }
        assert!(!may_look(Privacy, "replay_consent_record"), "no door");
    }

    #[test]
    fn of_a_masked_text_only_its_beginning_is_left() {
        for (text, wanted) in [("A-1001", "A-***"), ("ab", "***"), ("äöüß", "äö***"), ("", "***")] {
            assert_eq!(masked_text(text), wanted);
        }
    }

    #[test]
    fn of_a_masked_time_only_the_day_is_left() {
        for (at_ms, wanted) in [(86_400_000, 86_400_000), (86_399_999, 0), (-1, -86_400_000)] {
            assert_eq!(masked_time(at_ms), wanted);
        }
    }
}
