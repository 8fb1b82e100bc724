//! Grants for the server's operator: a tenant lets whoever runs the server look at decrypted data, for a while.
//!
//! A grant opens the doors of [`DOORS`](super::look::DOORS) that have the operator in them and nothing else, and changes
//! nothing. It ends by itself, and before that when it is revoked. It names a case by a reference of the tenant's own and
//! never a person.

use serde::{Deserialize, Serialize};

use super::campaign::Object;
use super::draft::{Fault, Fields, require};
use super::hold::valid_reference;
use super::look::Look;

/// For how many hours a grant is in force if nothing is said.
pub const HOURS_DEFAULT: u32 = 8;
/// For how many hours a grant is in force at most.
pub const HOURS_MAX: u32 = 72;
const HOUR_MS: i64 = 3_600_000;

/// Why the operator is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantReason {
    /// The tenant asked for help.
    Support,
    /// A fault or a breach is looked into.
    Incident,
    /// Data that is damaged is put right.
    DataRepair,
    /// An authority or a court asked for something that only the operator can find.
    AuthorityRequest,
}

impl GrantReason {
    /// The word in rows, answers and the trail.
    pub fn code(self) -> &'static str {
        match self {
            GrantReason::Support => "support",
            GrantReason::Incident => "incident",
            GrantReason::DataRepair => "data_repair",
            GrantReason::AuthorityRequest => "authority_request",
        }
    }
}

/// A grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorGrant {
    /// Common parts; archived is revoked.
    pub object: Object,
    /// Why.
    pub reason: GrantReason,
    /// The case, as the tenant names it.
    pub reference: String,
    /// Whether the operator may ask for everything, or for masked looks only.
    pub unmasked: bool,
    /// When it ends by itself.
    pub ends_at_ms: i64,
    /// Who gave it, as the trail names them.
    pub author: String,
}

/// A grant that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantDraft {
    /// Why.
    pub reason: GrantReason,
    /// The case, as the tenant names it.
    pub reference: String,
    /// Whether the operator may ask for everything.
    pub unmasked: bool,
    /// For how long it is in force, in hours.
    pub hours: u32,
}

impl GrantDraft {
    /// Whether it may come into being.
    pub fn check(&self) -> Result<(), Fault> {
        require(
            valid_reference(&self.reference),
            "reference",
            "must be 1 to 64 letters, digits, ., _, / or -, beginning with a letter or digit",
        )?;
        require((1..=HOURS_MAX).contains(&self.hours), "hours", "must be 1 to 72")
    }

    /// The grant as it then is; it begins when it is made.
    pub fn onto(&self, object: Object, author: String) -> OperatorGrant {
        OperatorGrant {
            reason: self.reason,
            reference: self.reference.clone(),
            unmasked: self.unmasked,
            ends_at_ms: object
                .created_at_ms
                .saturating_add(i64::from(self.hours) * HOUR_MS),
            author,
            object,
        }
    }
}

impl OperatorGrant {
    /// The draft that changes nothing.
    pub fn draft(&self) -> GrantDraft {
        let hours = (self.ends_at_ms - self.object.created_at_ms) / HOUR_MS;
        GrantDraft {
            reason: self.reason,
            reference: self.reference.clone(),
            unmasked: self.unmasked,
            hours: u32::try_from(hours).unwrap_or(0),
        }
    }

    /// Whether it lets the operator take this look at this moment.
    pub fn covers(&self, look: Look, now_ms: i64) -> bool {
        let has_begun = self.object.created_at_ms <= now_ms;
        let is_over = self.object.archived_at_ms.is_some() || self.ends_at_ms <= now_ms;
        has_begun && !is_over && (self.unmasked || !look.unmasked)
    }

    /// The grant as entries name it.
    pub fn name(&self) -> String {
        format!("operator_grant:{}", self.object.number)
    }

    /// The fields as the trail writes them.
    pub fn fields(&self) -> Fields {
        vec![
            ("reason", Some(self.reason.code().to_owned())),
            ("reference", Some(self.reference.clone())),
            ("unmasked", Some(self.unmasked.to_string())),
            ("ends_at_ms", Some(self.ends_at_ms.to_string())),
        ]
    }
}

/// The grant under which a look is taken: of those that cover it the narrowest, and of these the one that ends last.
pub fn granted(grants: &[OperatorGrant], look: Look, now_ms: i64) -> Option<&OperatorGrant> {
    grants
        .iter()
        .filter(|grant| grant.covers(look, now_ms))
        .min_by_key(|grant| (grant.unmasked, std::cmp::Reverse(grant.ends_at_ms)))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::subject_request::LookReason;
    use super::*;

    const NOW_MS: i64 = 1_795_000_000_000;
    const MASKED: Look = Look {
        reason: LookReason::Complaint,
        unmasked: false,
    };
    const WHOLE: Look = Look {
        unmasked: true,
        ..MASKED
    };

    fn draft() -> GrantDraft {
        GrantDraft {
            reason: GrantReason::Support,
            reference: "INC-2026/17".to_owned(),
            unmasked: false,
            hours: HOURS_DEFAULT,
        }
    }

    fn grant(draft: &GrantDraft) -> OperatorGrant {
        let object = Object {
            tenant: 1,
            number: 3,
            id: Uuid::nil(),
            created_at_ms: NOW_MS,
            updated_at_ms: NOW_MS,
            archived_at_ms: None,
        };
        draft.onto(object, "key:1".to_owned())
    }

    #[test]
    fn a_grant_lasts_three_days_at_most_and_names_no_person() {
        for (hours, good) in [(0, false), (1, true), (HOURS_MAX, true), (HOURS_MAX + 1, false)] {
            assert_eq!(GrantDraft { hours, ..draft() }.check().is_ok(), good, "{hours}");
        }
        let reference = "jane@shop.example".to_owned();
        assert!(GrantDraft { reference, ..draft() }.check().is_err());
        assert_eq!(grant(&draft()).draft(), draft());
    }

    #[test]
    fn it_is_in_force_from_its_making_to_its_end_or_its_revocation() {
        let mut grant = grant(&draft());
        let end_ms = NOW_MS + 8 * HOUR_MS;
        for (now_ms, wanted) in [
            (NOW_MS - 1, false),
            (NOW_MS, true),
            (end_ms - 1, true),
            (end_ms, false),
            (i64::MAX, false),
        ] {
            assert_eq!(grant.covers(MASKED, now_ms), wanted, "{now_ms}");
        }
        grant.object.archived_at_ms = Some(NOW_MS);
        assert!(!grant.covers(MASKED, NOW_MS));
    }

    #[test]
    fn the_narrowest_grant_that_covers_a_look_is_named() {
        let narrow = grant(&draft());
        let longer = grant(&GrantDraft { hours: 9, ..draft() });
        let wide = grant(&GrantDraft {
            unmasked: true,
            hours: 72,
            ..draft()
        });
        let all = [wide.clone(), narrow.clone(), longer.clone()];
        assert_eq!(granted(&all, MASKED, NOW_MS), Some(&longer));
        assert_eq!(granted(&all, WHOLE, NOW_MS), Some(&wide));
        assert_eq!(
            granted(&[narrow, longer], WHOLE, NOW_MS),
            None,
            "masked looks only"
        );
        assert_eq!(granted(&[], MASKED, NOW_MS), None);
    }
}
