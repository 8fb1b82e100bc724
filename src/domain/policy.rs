//! The consent policy: what must be granted before anything is processed.
//!
//! A policy is an immutable, versioned document. Every decision names the version it was made under; changing a policy
//! makes a new version and never edits an old one. There is no version that switches enforcement off.

use serde::{Deserialize, Serialize};

use super::refusal::RefusalMode;

/// Hours that `inherit_click` lets a postback do without a signal of its own.
pub const INHERIT_WINDOW_SECONDS: i64 = 24 * 3_600;
/// The oldest consent that may still authorise: 13 months of 30.5 days (consent.md 2.3), rounded down to whole days.
pub const MAX_CONSENT_AGE_SECONDS: i64 = 395 * 86_400;

/// What an ad server does with a person's data; each is granted or declined on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Storing and reading on the device: the token in the URL and in the shop's cookie.
    Access,
    /// Measuring advertising: clicks, conversions, values.
    Measure,
    /// Personalised advertising. Einklang does none; the answer is recorded all the same.
    Personalise,
}

impl Purpose {
    /// Every purpose, in the order of their bits.
    pub const ALL: [Purpose; 3] = [Purpose::Access, Purpose::Measure, Purpose::Personalise];

    /// The place of this purpose in arrays and bit sets.
    pub fn index(self) -> usize {
        match self {
            Purpose::Access => 0,
            Purpose::Measure => 1,
            Purpose::Personalise => 2,
        }
    }

    /// The word in configuration and answers.
    pub fn code(self) -> &'static str {
        match self {
            Purpose::Access => "access",
            Purpose::Measure => "measure",
            Purpose::Personalise => "personalise",
        }
    }
}

/// The legal regime that a tenant works under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Granted at the click and granted at the postback (EEA, UK, CH).
    #[default]
    StrictOptIn,
    /// The postback may omit its signal for a short time after a granted click.
    InheritClick,
    /// Tracked unless the person opted out (US).
    OptOut,
}

impl Mode {
    /// The word in configuration and answers.
    pub fn code(self) -> &'static str {
        match self {
            Mode::StrictOptIn => "strict_opt_in",
            Mode::InheritClick => "inherit_click",
            Mode::OptOut => "opt_out",
        }
    }
}

/// Where untracked clicks are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum UntrackedCounts {
    /// Per campaign.
    #[default]
    Campaign,
    /// Per tenant only, for campaigns so small that a count could point at a person.
    Tenant,
}

/// One version of a tenant's policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The regime.
    #[serde(default)]
    pub mode: Mode,
    /// How refusals are answered.
    #[serde(default)]
    pub refusal: RefusalMode,
    /// Purposes that must be granted.
    #[serde(default = "required_by_default")]
    pub require: Vec<Purpose>,
    /// The tenant's id on the Global Vendor List; without it no TC string can authorise.
    #[serde(default)]
    pub tcf_vendor_id: Option<u16>,
    /// Where untracked clicks are counted.
    #[serde(default)]
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
            tcf_vendor_id: None,
            untracked_counts: UntrackedCounts::default(),
        }
    }
}

impl Policy {
    /// Whether this document may come into force. Access and measurement are what tracking *is*, so no policy may
    /// waive them.
    pub fn check(&self) -> Result<(), &'static str> {
        let needs = [Purpose::Access, Purpose::Measure];
        if !needs.iter().all(|purpose| self.require.contains(purpose)) {
            return Err("require");
        }
        if self.tcf_vendor_id == Some(0) {
            return Err("tcf_vendor_id");
        }
        Ok(())
    }
}

/// A policy with the number it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Counts from 1 within the tenant.
    pub version: u16,
    /// The document.
    pub policy: Policy,
}
