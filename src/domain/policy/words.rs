//! The choices that a policy is made of, each a small closed set of words: what is not among them cannot be chosen, and
//! "off" is among none.

use serde::{Deserialize, Serialize};

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

impl UntrackedCounts {
    /// The word in configuration and answers.
    pub fn code(self) -> &'static str {
        match self {
            UntrackedCounts::Campaign => "campaign",
            UntrackedCounts::Tenant => "tenant",
        }
    }
}

/// Where a tenant's visitors are, as far as the law there asks for different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jurisdiction {
    /// The European Economic Area: consent first.
    Eea,
    /// The United Kingdom: consent first.
    Uk,
    /// Switzerland: consent first.
    Ch,
    /// The United States: tracked until the person opts out.
    Us,
}

impl Jurisdiction {
    /// Every jurisdiction.
    pub const ALL: [Jurisdiction; 4] = [
        Jurisdiction::Eea,
        Jurisdiction::Uk,
        Jurisdiction::Ch,
        Jurisdiction::Us,
    ];

    /// The word in configuration and answers.
    pub fn code(self) -> &'static str {
        match self {
            Jurisdiction::Eea => "eea",
            Jurisdiction::Uk => "uk",
            Jurisdiction::Ch => "ch",
            Jurisdiction::Us => "us",
        }
    }

    /// Whether its law asks for consent before anything is stored or read.
    pub fn asks_first(self) -> bool {
        self != Jurisdiction::Us
    }
}

/// What a browser's Global Privacy Control means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum GpcHandling {
    /// A no, whatever else is said.
    #[default]
    Deny,
    /// A no, unless a usable TC string in the same request grants us all that is required.
    TcfOverrides,
}

impl GpcHandling {
    /// The word in configuration and answers.
    pub fn code(self) -> &'static str {
        match self {
            GpcHandling::Deny => "deny",
            GpcHandling::TcfOverrides => "tcf_overrides",
        }
    }
}

/// What a "no" that comes from the shop erases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum DenialErases {
    /// The click that it is about, with everything that hangs on it.
    #[default]
    Click,
    /// Every click of the person at that shop, as far as the shop's customer references tell.
    Person,
    /// Nothing: the click only counts no more. For controllers that have it on record why a "no" at the shop does not
    /// concern the publisher's side.
    Nothing,
}

impl DenialErases {
    /// The word in configuration and answers.
    pub fn code(self) -> &'static str {
        match self {
            DenialErases::Click => "click",
            DenialErases::Person => "person",
            DenialErases::Nothing => "nothing",
        }
    }
}
