//! Retention: which classes of data there are, how long each is kept, and what may be asked for instead.
//!
//! A rule is a number of days for one class in one tenant. Defaults and bounds stand here and nowhere else; whoever wants
//! a class kept longer than its default has to say why, in a word that the trail keeps. What hangs on a click's key is
//! not a class of its own: a salt stays as long as a click or a conversion's details hang on it, and goes with the last.

use serde::{Deserialize, Serialize};

use super::draft::{Fault, Fields, agree, require};

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;
/// How many days a click is kept at least beyond its campaign's window: as long as its token opens.
pub const CLICK_MARGIN_DAYS: i64 = 7;
/// How long after its cut-off a row may still be there before its class is overdue: a day, and half a day's delay.
pub const OVERDUE_MS: i64 = 36 * 3_600_000;

/// What is kept for a time of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Rows of clicks, with the later signals about them.
    Click,
    /// What names a person in the rows of conversions. Their totals stay.
    ConversionDetails,
    /// Consent records: they stand in rows of the other two and are kept as long as those.
    ConsentRecord,
    /// What remains of a consent record without its click.
    MinimalProof,
    /// Keyed hashes of orders, so that none counts twice.
    Idempotency,
    /// Keyed hashes of what was erased, so that it stays out.
    Suppression,
    /// Test conversions, whole.
    TestConversion,
    /// Files of people's requests that were closed. They name nobody any more.
    SubjectRequest,
    /// Counts of what was refused, and of clicks that were not tracked.
    Counters,
    /// The audit log.
    Audit,
}

/// How a class's time is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// By a number of days that a tenant may set within bounds.
    Days {
        /// Unless the tenant says otherwise.
        default: i64,
        /// At least.
        min: i64,
        /// At most.
        max: i64,
    },
    /// Each row carries its own end.
    OwnExpiry,
    /// As long as the row that it stands in.
    Follows,
    /// For good: nothing in it is about a person.
    Kept,
}

impl Class {
    /// Every class, in the order in which a run purges them: what hangs on a click goes before it or with it.
    pub const ALL: [Class; 10] = [
        Class::ConversionDetails,
        Class::TestConversion,
        Class::Click,
        Class::ConsentRecord,
        Class::MinimalProof,
        Class::Idempotency,
        Class::Suppression,
        Class::SubjectRequest,
        Class::Counters,
        Class::Audit,
    ];

    /// The classes that a run has to look at.
    pub const PURGED: [Class; 7] = [
        Class::ConversionDetails,
        Class::TestConversion,
        Class::Click,
        Class::MinimalProof,
        Class::Idempotency,
        Class::Suppression,
        Class::SubjectRequest,
    ];

    /// The word in rows, answers and the trail.
    pub fn code(self) -> &'static str {
        match self {
            Class::Click => "click",
            Class::ConversionDetails => "conversion_details",
            Class::ConsentRecord => "consent_record",
            Class::MinimalProof => "minimal_proof",
            Class::Idempotency => "idempotency",
            Class::Suppression => "suppression",
            Class::TestConversion => "test_conversion",
            Class::SubjectRequest => "subject_request",
            Class::Counters => "counters",
            Class::Audit => "audit",
        }
    }

    /// The class with this word.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.code() == code)
    }

    /// How long it is kept.
    pub fn term(self) -> Term {
        match self {
            // A window has at most 90 days, and a token opens for seven more: no click is of use longer than that.
            Class::Click => days(30, 1, 104),
            Class::ConversionDetails => days(90, 7, 1_095),
            Class::MinimalProof => days(365, 30, 1_095),
            Class::TestConversion => days(7, 1, 30),
            // So that it can be shown that and how a request was answered (GDPR Art. 5(2)).
            Class::SubjectRequest => days(1_095, 90, 1_095),
            Class::Idempotency | Class::Suppression => Term::OwnExpiry,
            Class::ConsentRecord => Term::Follows,
            Class::Counters | Class::Audit => Term::Kept,
        }
    }

    /// The words of holds that keep rows of this class. A consent record stands in rows of others, so whoever holds
    /// consent records holds those.
    pub fn held_by(self) -> &'static [&'static str] {
        match self {
            Class::Click => &["all", "click", "consent_record"],
            Class::ConversionDetails => &["all", "conversion_details", "consent_record"],
            Class::MinimalProof => &["all", "minimal_proof"],
            Class::Idempotency => &["all", "idempotency"],
            Class::Suppression => &["all", "suppression"],
            Class::TestConversion => &["all", "test_conversion"],
            Class::SubjectRequest => &["all"],
            Class::ConsentRecord => &["all", "consent_record"],
            Class::Counters | Class::Audit => &[],
        }
    }

    /// Whether its rows belong to campaigns.
    pub fn has_campaigns(self) -> bool {
        matches!(
            self,
            Class::Click | Class::ConversionDetails | Class::ConsentRecord | Class::TestConversion
        )
    }
}

fn days(default: i64, min: i64, max: i64) -> Term {
    Term::Days { default, min, max }
}

/// Why a class is kept longer than by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LongerReason {
    /// A law asks for it.
    LegalObligation,
    /// Claims may be made, or have to be answered.
    LegalClaims,
    /// A contract with the person asks for it.
    Contract,
    /// Fraud is looked into.
    FraudPrevention,
}

impl LongerReason {
    /// Every reason.
    pub const ALL: [LongerReason; 4] = [
        LongerReason::LegalObligation,
        LongerReason::LegalClaims,
        LongerReason::Contract,
        LongerReason::FraudPrevention,
    ];

    /// The word in rows, answers and the trail.
    pub fn code(self) -> &'static str {
        match self {
            LongerReason::LegalObligation => "legal_obligation",
            LongerReason::LegalClaims => "legal_claims",
            LongerReason::Contract => "contract",
            LongerReason::FraudPrevention => "fraud_prevention",
        }
    }
}

/// What a tenant says of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The class.
    pub class: Class,
    /// How many days.
    pub days: i64,
    /// Why so many, where they are more than by default.
    pub reason: Option<LongerReason>,
}

impl Rule {
    /// Whether it may be set.
    pub fn check(&self) -> Result<(), Fault> {
        let Term::Days { default, min, max } = self.class.term() else {
            return Err(Fault::Clash("class", "has a time that cannot be set"));
        };
        // The document has one pair of bounds for all classes; those of one class are told apart from them.
        require((1..=1_095).contains(&self.days), "days", "must be 1 to 1095")?;
        agree(
            (min..=max).contains(&self.days),
            "days",
            "is outside the bounds of this class",
        )?;
        agree(
            self.days <= default || self.reason.is_some(),
            "reason",
            "is needed for longer than the default",
        )
    }

    /// The fields as the trail writes them.
    pub fn fields(&self) -> Fields {
        vec![
            ("days", Some(self.days.to_string())),
            ("reason", self.reason.map(|reason| reason.code().to_owned())),
        ]
    }
}

/// The days of a class: the tenant's, or the default; nothing where they are not told in days.
pub fn days_of(class: Class, rule: Option<&Rule>) -> Option<i64> {
    match class.term() {
        Term::Days { default, .. } => Some(rule.map_or(default, |rule| rule.days)),
        Term::OwnExpiry | Term::Follows | Term::Kept => None,
    }
}

/// Rows of a class from before this moment have had their time. Rows that carry their own end have had it now.
pub fn cut_off_ms(class: Class, rule: Option<&Rule>, now_ms: i64) -> i64 {
    now_ms - days_of(class, rule).unwrap_or(0) * DAY_MS
}

/// How many days a click is kept whose campaign has this window.
pub fn click_days(days: i64, window_days: i64) -> i64 {
    days.max(window_days + CLICK_MARGIN_DAYS)
}

#[cfg(test)]
mod tests {
    use super::super::campaign::MAX_WINDOW_DAYS;
    use super::*;

    fn rule(class: Class, days: i64, reason: Option<LongerReason>) -> Rule {
        Rule { class, days, reason }
    }

    #[test]
    fn words_read_back() {
        for class in Class::ALL {
            assert_eq!(Class::from_code(class.code()), Some(class));
            assert_eq!(
                serde_json::to_value(class).expect("a word"),
                serde_json::json!(class.code())
            );
        }
        for reason in LongerReason::ALL {
            assert_eq!(
                serde_json::to_value(reason).expect("a word"),
                serde_json::json!(reason.code())
            );
        }
    }

    #[test]
    fn longer_than_by_default_needs_a_reason_and_has_an_end() {
        let contract = Some(LongerReason::Contract);
        for class in Class::ALL {
            let Term::Days { default, min, max } = class.term() else {
                assert!(rule(class, 30, contract).check().is_err(), "{class:?}");
                continue;
            };
            assert!(min <= default && default <= max);
            assert_eq!(rule(class, default, None).check(), Ok(()));
            assert_eq!(rule(class, min, None).check(), Ok(()));
            assert_eq!(rule(class, max, contract).check(), Ok(()));
            assert!(rule(class, default + 1, None).check().is_err(), "{class:?}");
            for days in [0, min - 1, max + 1] {
                assert!(rule(class, days, contract).check().is_err(), "{class:?} {days}");
            }
        }
    }

    #[test]
    fn a_click_outlives_its_window_and_margin() {
        assert_eq!(click_days(30, 7), 30);
        assert_eq!(click_days(30, 30), 37);
        assert_eq!(click_days(1, MAX_WINDOW_DAYS), 97);
        let Term::Days { max, .. } = Class::Click.term() else {
            panic!("days");
        };
        assert!(click_days(1, MAX_WINDOW_DAYS) <= max);
    }

    #[test]
    fn the_cut_off_lies_as_many_days_back_as_the_rule_says() {
        let own = rule(Class::Click, 10, None);
        assert_eq!(cut_off_ms(Class::Click, None, 100 * DAY_MS), 70 * DAY_MS);
        assert_eq!(cut_off_ms(Class::Click, Some(&own), 100 * DAY_MS), 90 * DAY_MS);
        assert_eq!(cut_off_ms(Class::Suppression, None, 100 * DAY_MS), 100 * DAY_MS);
    }
}
