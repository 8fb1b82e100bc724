//! The consent policy: what must be granted before anything is processed.
//!
//! A policy is an immutable, versioned document. Every decision names the version it was made under; changing a policy
//! makes a new version and never edits an old one. There is no version that switches enforcement off, and every choice
//! that is laxer than the default needs a reason on record.

mod version;
mod words;

use serde::{Deserialize, Serialize};

pub use version::{Person, PolicyDraft, PolicyRecord, PolicyVersion, REASON_CHARS, Shadow, Stand, Timeline};
pub use words::{DenialErases, GpcHandling, Jurisdiction, Mode, Purpose, UntrackedCounts};

use super::draft::{Fault, Fields, agree, require};
use super::refusal::RefusalMode;

/// Hours for which `inherit_click` lets a postback do without a signal of its own, unless the policy says otherwise.
pub const INHERIT_WINDOW_HOURS: u16 = 24;
/// The longest time for which it may.
pub const INHERIT_WINDOW_HOURS_MAX: u16 = 72;
/// The oldest consent that may still authorise, unless the policy says otherwise: 13 months of 30.5 days (consent.md
/// 2.3), rounded down to whole days.
pub const CONSENT_AGE_DAYS: u16 = 395;
/// The most that 13 months of the calendar can have.
pub const CONSENT_AGE_DAYS_MAX: u16 = 397;

/// What the reading of signals depends on. An assessment that was made on other terms than those in force proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The vendor id that TC strings are read for.
    pub vendor: Option<u16>,
    /// The oldest consent that counts.
    pub max_consent_age_days: u16,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            vendor: None,
            max_consent_age_days: CONSENT_AGE_DAYS,
        }
    }
}

impl Terms {
    /// The oldest consent that counts, in seconds.
    pub fn max_consent_age_seconds(self) -> i64 {
        i64::from(self.max_consent_age_days) * 86_400
    }
}

/// A policy: one immutable document. What an older row does not name has its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The regime.
    pub mode: Mode,
    /// How refusals are answered.
    pub refusal: RefusalMode,
    /// Purposes that must be granted.
    pub require: Vec<Purpose>,
    /// Where the tenant's visitors are; empty: where the mode is meant for.
    pub jurisdictions: Vec<Jurisdiction>,
    /// The tenant's id on the Global Vendor List; without it no TC string can authorise.
    pub tcf_vendor_id: Option<u16>,
    /// The oldest consent that may still authorise.
    pub max_consent_age_days: u16,
    /// What Global Privacy Control means.
    pub gpc: GpcHandling,
    /// How long after a granted click `inherit_click` lets a postback do without a signal.
    pub inherit_window_hours: u16,
    /// What a "no" from the shop erases.
    pub shop_denial_erases: DenialErases,
    /// Where untracked clicks are counted.
    pub untracked_counts: UntrackedCounts,
}

/// Device access and measurement: what a tracking link does.
pub fn required_by_default() -> Vec<Purpose> {
    vec![Purpose::Access, Purpose::Measure]
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            refusal: RefusalMode::default(),
            require: required_by_default(),
            jurisdictions: Vec::new(),
            tcf_vendor_id: None,
            max_consent_age_days: CONSENT_AGE_DAYS,
            gpc: GpcHandling::default(),
            inherit_window_hours: INHERIT_WINDOW_HOURS,
            shop_denial_erases: DenialErases::default(),
            untracked_counts: UntrackedCounts::default(),
        }
    }
}

/// Whether a policy makes a choice that is laxer than the default, and the field that makes it.
type Laxity = (&'static str, fn(&Policy) -> bool);

/// Every choice that needs a reason on record.
const LAX: [Laxity; 6] = [
    ("mode", |policy| policy.mode != Mode::StrictOptIn),
    ("jurisdictions", |policy| {
        policy.mode != Mode::OptOut && policy.opting_out_is_enough_somewhere()
    }),
    ("max_consent_age_days", |policy| {
        policy.max_consent_age_days > CONSENT_AGE_DAYS
    }),
    ("gpc", |policy| policy.gpc != GpcHandling::Deny),
    ("inherit_window_hours", |policy| {
        policy.inherit_window_hours > INHERIT_WINDOW_HOURS
    }),
    ("shop_denial_erases", |policy| {
        policy.shop_denial_erases == DenialErases::Nothing
    }),
];

impl Policy {
    /// Whether this document may come into force. Access and measurement are what tracking *is*, so no policy may
    /// waive them.
    pub fn check(&self) -> Result<(), Fault> {
        require(
            self.require.len() <= Purpose::ALL.len(),
            "require",
            "must be at most 3 purposes",
        )?;
        agree(
            required_by_default()
                .iter()
                .all(|purpose| self.require.contains(purpose)),
            "require",
            "must hold access and measure: tracking is nothing without them",
        )?;
        require(
            self.tcf_vendor_id != Some(0),
            "tcf_vendor_id",
            "must be 1 or more",
        )?;
        require(
            (1..=CONSENT_AGE_DAYS_MAX).contains(&self.max_consent_age_days),
            "max_consent_age_days",
            "must be 1 to 397: consent is never older than 13 months",
        )?;
        require(
            (1..=INHERIT_WINDOW_HOURS_MAX).contains(&self.inherit_window_hours),
            "inherit_window_hours",
            "must be 1 to 72",
        )?;
        require(
            self.jurisdictions.len() <= Jurisdiction::ALL.len(),
            "jurisdictions",
            "must be at most 4",
        )?;
        let asks_first = self.jurisdictions.iter().any(|one| one.asks_first());
        agree(
            self.mode != Mode::OptOut || !asks_first,
            "jurisdictions",
            "opt_out is for us alone: where consent is asked for first, use strict_opt_in and add us",
        )
    }

    /// The same in its one spelling: lists in order and without repetition.
    #[must_use]
    pub fn normal(mut self) -> Self {
        self.require.sort_unstable();
        self.require.dedup();
        self.jurisdictions.sort_unstable();
        self.jurisdictions.dedup();
        self
    }

    /// The first lax choice that this policy makes and the one before did not make in the same way.
    pub fn newly_lax(&self, before: Option<&Policy>) -> Option<&'static str> {
        let value = |policy: &Policy, field: &str| {
            let fields = policy.fields();
            fields.into_iter().find(|(name, _)| *name == field)
        };
        let is_new = |field: &str| before.is_none_or(|before| value(before, field) != value(self, field));
        LAX.into_iter()
            .find(|(field, is_lax)| is_lax(self) && is_new(field))
            .map(|(field, _)| field)
    }

    /// Where the tenant's visitors are.
    pub fn jurisdictions(&self) -> Vec<Jurisdiction> {
        match (self.jurisdictions.as_slice(), self.mode) {
            ([], Mode::OptOut) => vec![Jurisdiction::Us],
            ([], _) => vec![Jurisdiction::Eea, Jurisdiction::Uk, Jurisdiction::Ch],
            (named, _) => named.to_vec(),
        }
    }

    /// Whether some of its visitors are where nobody has to be asked first.
    pub fn opting_out_is_enough_somewhere(&self) -> bool {
        self.mode == Mode::OptOut || self.jurisdictions.contains(&Jurisdiction::Us)
    }

    /// What the reading of signals depends on.
    pub fn terms(&self) -> Terms {
        Terms {
            vendor: self.tcf_vendor_id,
            max_consent_age_days: self.max_consent_age_days,
        }
    }

    /// How long after a granted click a postback may do without a signal, where it may at all.
    pub fn inherit_window_seconds(&self) -> i64 {
        i64::from(self.inherit_window_hours) * 3_600
    }

    /// The fields as the trail and a comparison write them.
    pub fn fields(&self) -> Fields {
        let text = |text: &str| Some(text.to_owned());
        let require: Vec<&str> = self.require.iter().map(|one| one.code()).collect();
        let jurisdictions: Vec<&str> = self.jurisdictions().into_iter().map(Jurisdiction::code).collect();
        vec![
            ("mode", text(self.mode.code())),
            ("refusal", text(self.refusal.code())),
            ("require", Some(require.join(", "))),
            ("jurisdictions", Some(jurisdictions.join(", "))),
            ("tcf_vendor_id", self.tcf_vendor_id.map(|id| id.to_string())),
            (
                "max_consent_age_days",
                Some(self.max_consent_age_days.to_string()),
            ),
            ("gpc", text(self.gpc.code())),
            (
                "inherit_window_hours",
                Some(self.inherit_window_hours.to_string()),
            ),
            ("shop_denial_erases", text(self.shop_denial_erases.code())),
            ("untracked_counts", text(self.untracked_counts.code())),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Policy);

    fn changed(change: Change) -> Policy {
        let mut policy = Policy::default();
        change(&mut policy);
        policy
    }

    #[test]
    fn a_document_of_an_older_version_reads_with_the_defaults() {
        let old = r#"{"mode":"strict_opt_in","refusal":"refuse","require":["access","measure"],
            "tcf_vendor_id":null,"untracked_counts":"campaign"}"#;
        let read: Policy = serde_json::from_str(old).expect("read");
        assert_eq!(read, Policy::default());
        let unknown = serde_json::from_str::<Policy>(r#"{"enforce":false}"#);
        assert!(unknown.is_err(), "nothing switches enforcement off");
    }

    #[test]
    fn bounds_are_held_and_the_field_is_named() {
        let cases: [(&str, Change); 8] = [
            ("require", |policy| policy.require = vec![Purpose::Access]),
            ("require", |policy| policy.require = vec![Purpose::Access; 4]),
            ("tcf_vendor_id", |policy| policy.tcf_vendor_id = Some(0)),
            ("max_consent_age_days", |policy| policy.max_consent_age_days = 0),
            ("max_consent_age_days", |policy| policy.max_consent_age_days = 398),
            ("inherit_window_hours", |policy| policy.inherit_window_hours = 0),
            ("inherit_window_hours", |policy| policy.inherit_window_hours = 73),
            ("jurisdictions", |policy| {
                policy.mode = Mode::OptOut;
                policy.jurisdictions = vec![Jurisdiction::Eea, Jurisdiction::Us];
            }),
        ];
        assert_eq!(Policy::default().check(), Ok(()));
        for (field, change) in cases {
            let found = changed(change).check().map_err(|fault| fault.parts().0);
            assert_eq!(found, Err(field));
        }
    }

    #[test]
    fn every_choice_that_is_laxer_than_the_default_needs_a_reason_once() {
        let cases: [(&str, Change); 7] = [
            ("mode", |policy| policy.mode = Mode::InheritClick),
            ("mode", |policy| policy.mode = Mode::OptOut),
            ("jurisdictions", |policy| {
                policy.jurisdictions = vec![Jurisdiction::Eea, Jurisdiction::Us];
            }),
            ("max_consent_age_days", |policy| policy.max_consent_age_days = 396),
            ("gpc", |policy| policy.gpc = GpcHandling::TcfOverrides),
            ("inherit_window_hours", |policy| policy.inherit_window_hours = 25),
            ("shop_denial_erases", |policy| {
                policy.shop_denial_erases = DenialErases::Nothing;
            }),
        ];
        for (field, change) in cases {
            let lax = changed(change);
            assert_eq!(lax.newly_lax(None), Some(field));
            assert_eq!(lax.newly_lax(Some(&Policy::default())), Some(field));
            assert_eq!(lax.newly_lax(Some(&lax)), None, "{field} was chosen before");
            assert_eq!(Policy::default().newly_lax(Some(&lax)), None);
        }
        let stricter = changed(|policy| {
            policy.max_consent_age_days = 180;
            policy.inherit_window_hours = 1;
            policy.shop_denial_erases = DenialErases::Person;
            policy.require = Purpose::ALL.to_vec();
            policy.jurisdictions = vec![Jurisdiction::Ch];
        });
        assert_eq!(stricter.newly_lax(None), None);
    }

    #[test]
    fn no_policy_lets_a_string_grow_older_than_the_decoder_does() {
        let oldest = changed(|policy| policy.max_consent_age_days = CONSENT_AGE_DAYS_MAX);
        let seconds = oldest.terms().max_consent_age_seconds();
        assert_eq!(seconds, crate::domain::tcf::LONGEST_AGE_SECONDS);
    }

    #[test]
    fn a_longer_age_than_before_is_chosen_anew() {
        let long = changed(|policy| policy.max_consent_age_days = 396);
        let longer = changed(|policy| policy.max_consent_age_days = 397);
        assert_eq!(longer.newly_lax(Some(&long)), Some("max_consent_age_days"));
    }
}
