//! Holds: what is kept beyond its time, why, and until when it has to be looked at again.
//!
//! A hold stops purging and nothing else: a person's erasure, withdrawal or objection goes through it. It names a case by
//! a reference of the tenant's own and never a person.

use serde::{Deserialize, Serialize};

use super::campaign::{Object, Reference};
use super::draft::{Fault, Fields, Name, agree, require};
use super::retention::Class;

/// The longest reference, in characters.
const REFERENCE_CHARS: usize = 64;
/// How far ahead a review may lie, in milliseconds: a year, leap day included.
const REVIEW_MAX_MS: i64 = 366 * 86_400_000;

/// What a hold keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldClass {
    /// Every class.
    All,
    /// Clicks.
    Click,
    /// What names a person in conversions.
    ConversionDetails,
    /// Consent records, and so the rows that they stand in.
    ConsentRecord,
    /// What remains of consent records.
    MinimalProof,
    /// Keyed hashes of orders.
    Idempotency,
    /// Keyed hashes of what was erased.
    Suppression,
    /// Test conversions.
    TestConversion,
}

impl HoldClass {
    /// The word in rows, answers and the trail.
    pub fn code(self) -> &'static str {
        self.class().map_or("all", Class::code)
    }

    /// The class, unless it is every one.
    pub fn class(self) -> Option<Class> {
        Some(match self {
            HoldClass::All => return None,
            HoldClass::Click => Class::Click,
            HoldClass::ConversionDetails => Class::ConversionDetails,
            HoldClass::ConsentRecord => Class::ConsentRecord,
            HoldClass::MinimalProof => Class::MinimalProof,
            HoldClass::Idempotency => Class::Idempotency,
            HoldClass::Suppression => Class::Suppression,
            HoldClass::TestConversion => Class::TestConversion,
        })
    }
}

/// Why something is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// Claims are made, or have to be answered.
    LegalClaims,
    /// A law asks for it.
    LegalObligation,
    /// An authority or a court asked for it.
    AuthorityRequest,
    /// Fraud or a breach is looked into.
    Investigation,
    /// Figures are in dispute between advertiser and publisher.
    BillingDispute,
}

impl HoldReason {
    /// The word in rows, answers and the trail.
    pub fn code(self) -> &'static str {
        match self {
            HoldReason::LegalClaims => "legal_claims",
            HoldReason::LegalObligation => "legal_obligation",
            HoldReason::AuthorityRequest => "authority_request",
            HoldReason::Investigation => "investigation",
            HoldReason::BillingDispute => "billing_dispute",
        }
    }
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Common parts; archived is lifted.
    pub object: Object,
    /// What it keeps.
    pub class: HoldClass,
    /// Only of this campaign.
    pub campaign: Option<Reference>,
    /// Why.
    pub reason: HoldReason,
    /// The case, as the tenant names it.
    pub reference: String,
    /// From when.
    pub from_ms: i64,
    /// Until when, if it ends by itself.
    pub until_ms: Option<i64>,
    /// When it has to be looked at again.
    pub review_at_ms: i64,
    /// Who asked for it, as the trail names them.
    pub author: String,
}

/// A hold that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldDraft {
    /// What it keeps.
    pub class: HoldClass,
    /// Only of this campaign.
    pub campaign: Option<Name>,
    /// Why.
    pub reason: HoldReason,
    /// The case, as the tenant names it.
    pub reference: String,
    /// From when; at once if left out.
    pub from_ms: Option<i64>,
    /// Until when, if it ends by itself.
    pub until_ms: Option<i64>,
    /// When it has to be looked at again.
    pub review_at_ms: i64,
}

/// Whether a text names a case and nothing else: no `@`, no free text.
pub(super) fn valid_reference(text: &str) -> bool {
    let mut bytes = text.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    begins
        && text.len() <= REFERENCE_CHARS
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte))
}

impl HoldDraft {
    /// Whether it may come into being, as far as it alone tells.
    pub fn check(&self) -> Result<(), Fault> {
        require(
            valid_reference(&self.reference),
            "reference",
            "must be 1 to 64 letters, digits, ., _, / or -, beginning with a letter or digit",
        )?;
        let of_campaign = self.class.class().is_none_or(Class::has_campaigns);
        agree(
            self.campaign.is_none() || of_campaign,
            "campaign",
            "belongs to no row of this class",
        )?;
        let ends_later = self
            .until_ms
            .zip(self.from_ms)
            .is_none_or(|(until_ms, from_ms)| until_ms > from_ms);
        agree(ends_later, "until", "must be later than its beginning")
    }

    /// Whether its times go with now.
    pub fn check_times(&self, now_ms: i64) -> Result<(), Fault> {
        let ahead = now_ms + 1..=now_ms + REVIEW_MAX_MS;
        agree(
            ahead.contains(&self.review_at_ms),
            "review_at",
            "must lie ahead, and not more than a year",
        )?;
        agree(
            self.until_ms.is_none_or(|until_ms| until_ms > now_ms),
            "until",
            "must lie ahead",
        )
    }

    /// The hold as it then is.
    pub fn onto(&self, object: Object, campaign: Option<Reference>, author: String) -> Hold {
        Hold {
            class: self.class,
            campaign,
            reason: self.reason,
            reference: self.reference.clone(),
            from_ms: self.from_ms.unwrap_or(object.created_at_ms),
            until_ms: self.until_ms,
            review_at_ms: self.review_at_ms,
            author,
            object,
        }
    }
}

impl Hold {
    /// The draft that changes nothing.
    pub fn draft(&self) -> HoldDraft {
        HoldDraft {
            class: self.class,
            campaign: self.campaign.map(|campaign| Name::Id(campaign.id)),
            reason: self.reason,
            reference: self.reference.clone(),
            from_ms: Some(self.from_ms),
            until_ms: self.until_ms,
            review_at_ms: self.review_at_ms,
        }
    }

    /// Whether it keeps anything at this moment.
    pub fn is_in_force(&self, now_ms: i64) -> bool {
        let has_ended = self.until_ms.is_some_and(|until_ms| until_ms <= now_ms);
        self.object.archived_at_ms.is_none() && self.from_ms <= now_ms && !has_ended
    }

    /// The fields as the trail writes them.
    pub fn fields(&self) -> Fields {
        let number = |value: i64| Some(value.to_string());
        vec![
            ("class", Some(self.class.code().to_owned())),
            (
                "campaign",
                self.campaign.map(|campaign| campaign.number.to_string()),
            ),
            ("reason", Some(self.reason.code().to_owned())),
            ("reference", Some(self.reference.clone())),
            ("from_ms", number(self.from_ms)),
            ("until_ms", self.until_ms.and_then(number)),
            ("review_at_ms", number(self.review_at_ms)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const NOW_MS: i64 = 1_795_000_000_000;

    fn draft() -> HoldDraft {
        HoldDraft {
            class: HoldClass::Click,
            campaign: None,
            reason: HoldReason::LegalClaims,
            reference: "LG-HH/324-O-17.26".to_owned(),
            from_ms: None,
            until_ms: None,
            review_at_ms: NOW_MS + 1,
        }
    }

    fn object() -> Object {
        Object {
            tenant: 1,
            number: 1,
            id: Uuid::nil(),
            created_at_ms: NOW_MS,
            updated_at_ms: NOW_MS,
            archived_at_ms: None,
        }
    }

    #[test]
    fn a_reference_has_no_room_for_a_person() {
        assert_eq!(draft().check(), Ok(()));
        for text in ["", "jane@shop.example", "Jane Doe", "-1", &"a".repeat(65), "a\n"] {
            let draft = HoldDraft {
                reference: text.to_owned(),
                ..draft()
            };
            assert!(draft.check().is_err(), "{text}");
        }
    }

    #[test]
    fn a_campaign_goes_with_classes_whose_rows_have_one() {
        let of_campaign = |class| HoldDraft {
            class,
            campaign: Some(Name::Id(Uuid::nil())),
            ..draft()
        };
        for class in [HoldClass::All, HoldClass::Click, HoldClass::ConversionDetails] {
            assert_eq!(of_campaign(class).check(), Ok(()));
        }
        for class in [
            HoldClass::MinimalProof,
            HoldClass::Idempotency,
            HoldClass::Suppression,
        ] {
            assert!(of_campaign(class).check().is_err(), "{class:?}");
        }
    }

    #[test]
    fn a_hold_is_looked_at_again_within_a_year() {
        for (review_at_ms, good) in [
            (NOW_MS, false),
            (NOW_MS + 1, true),
            (NOW_MS + REVIEW_MAX_MS, true),
            (NOW_MS + REVIEW_MAX_MS + 1, false),
        ] {
            let draft = HoldDraft {
                review_at_ms,
                ..draft()
            };
            assert_eq!(draft.check_times(NOW_MS).is_ok(), good, "{review_at_ms}");
        }
        let ended = HoldDraft {
            until_ms: Some(NOW_MS),
            ..draft()
        };
        assert!(ended.check_times(NOW_MS).is_err());
    }

    #[test]
    fn it_keeps_from_its_beginning_until_its_end_or_its_lifting() {
        let mut hold = draft().onto(object(), None, "key:1".to_owned());
        hold.until_ms = Some(NOW_MS + 10);
        assert!(!hold.is_in_force(NOW_MS - 1));
        assert!(hold.is_in_force(NOW_MS) && hold.is_in_force(NOW_MS + 9));
        assert!(!hold.is_in_force(NOW_MS + 10));
        hold.object.archived_at_ms = Some(NOW_MS);
        assert!(!hold.is_in_force(NOW_MS));
    }
}
