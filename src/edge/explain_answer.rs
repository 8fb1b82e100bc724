//! What an explanation looks like: the types that the OpenAPI document shows.

use serde::Serialize;
use utoipa::ToSchema;

use super::explain::ExplainKind;
use super::request::Named;
use super::time::rfc3339;
use crate::domain::explain::{Kept, Merged, SignalLine, Step, Verdict, Words};
use crate::domain::signal::finding::StringFacts;
use crate::flow::explain::Explained;

/// A sentence in two languages.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainWords {
    /// English.
    #[schema(max_length = 400, pattern = "^[^\\u0000-\\u001f\\u007f]+$")]
    en: &'static str,
    /// German.
    #[schema(max_length = 400, pattern = "^[^\\u0000-\\u001f\\u007f]+$")]
    de: &'static str,
}

/// What is said about each purpose.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainPurposes {
    /// Access to the device: `granted`, `denied` or `unknown`.
    #[schema(max_length = 8, pattern = "^(granted|denied|unknown)$")]
    access: &'static str,
    /// Measurement.
    #[schema(max_length = 8, pattern = "^(granted|denied|unknown)$")]
    measure: &'static str,
    /// Personalisation.
    #[schema(max_length = 8, pattern = "^(granted|denied|unknown)$")]
    personalise: &'static str,
}

/// What a TC string says of itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainString {
    /// The consent platform that made it.
    #[schema(minimum = 0, maximum = 4095)]
    cmp_id: u16,
    /// The vendor list that it was made with.
    #[schema(minimum = 0, maximum = 4095)]
    vendor_list_version: u16,
    /// The policies that it was made under.
    #[schema(minimum = 0, maximum = 63)]
    policy_version: u8,
    /// When it was last changed.
    #[schema(max_length = 35, format = "date-time")]
    last_updated: String,
}

/// A signal as it was understood.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainSignal {
    /// The parameter's name; `consent_mode` for Google's four fields together.
    #[schema(max_length = 16, pattern = "^[a-z_]+$")]
    kind: &'static str,
    /// The section of a GPP string that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 65535, nullable = false)]
    section: Option<u16>,
    /// `read`, `malformed` or `unusable` (well formed, and proves nothing).
    #[schema(max_length = 9, pattern = "^(read|malformed|unusable)$")]
    taken: &'static str,
    /// Why it is malformed or unusable: a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, max_length = 32, pattern = "^[a-z_]+$", nullable = false)]
    because: Option<&'static str>,
    /// What it says about each purpose, where it says anything about them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    says: Option<ExplainPurposes>,
    /// What a TC string says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tc_string: Option<ExplainString>,
    /// Where the rule stands by which it was read.
    #[schema(max_length = 64, pattern = "^[a-z0-9/.-]+$")]
    source: &'static str,
    /// The same for a person.
    words: ExplainWords,
}

/// What all signals come to.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainConsent {
    /// `granted`, `denied`, `unknown` or `malformed`.
    #[schema(max_length = 9, pattern = "^(granted|denied|unknown|malformed)$")]
    state: &'static str,
    /// What makes it so: `granted`, `declined`, `privacy_control`, `unreadable`, `unusable`, `not_granted` or
    /// `other_terms`.
    #[schema(max_length = 16, pattern = "^[a-z_]+$")]
    ground: &'static str,
    /// The required purpose that it turns on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, max_length = 11, pattern = "^(access|measure|personalise)$", nullable = false)]
    purpose: Option<&'static str>,
    /// The regime that the request is decided under.
    #[schema(max_length = 13, pattern = "^(strict_opt_in|inherit_click|opt_out)$")]
    regime: &'static str,
    /// What is said about each purpose.
    says: ExplainPurposes,
    /// Where the rule stands.
    #[schema(max_length = 64, pattern = "^[a-z0-9/.-]+$")]
    source: &'static str,
    /// The same for a person.
    words: ExplainWords,
}

/// A check.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainStep {
    /// Its code.
    #[schema(max_length = 32, pattern = "^[a-z_]+$")]
    rule: &'static str,
    /// Where it stands.
    #[schema(max_length = 64, pattern = "^[a-z0-9/.-]+$")]
    source: &'static str,
    /// `passed`, or `decides`: it gave the answer, and later checks were not made.
    #[schema(max_length = 7, pattern = "^(passed|decides)$")]
    result: &'static str,
    /// What it asks, for a person.
    words: ExplainWords,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainVerdict {
    /// Of a click `tracked`, `untracked` or `not_running`; of a postback `recorded`, `duplicate`, `dropped` or `refused`.
    #[schema(max_length = 16, pattern = "^[a-z_]+$")]
    outcome: &'static str,
    /// The stable code.
    #[schema(max_length = 32, pattern = "^[a-z_]+$")]
    reason: &'static str,
    /// The HTTP status of the live answer.
    #[schema(minimum = 200, maximum = 599)]
    status: u16,
    /// Whether a person's "no" ends the click.
    ends_click: bool,
    /// The same for a person.
    words: ExplainWords,
}

/// One thing that is stored or not.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainKept {
    /// Its code.
    #[schema(max_length = 32, pattern = "^[a-z_]+$")]
    code: &'static str,
    /// The same for a person.
    words: ExplainWords,
}

/// A decision with all that leads to it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"kind": "click", "policy_version": 1,
    "signals": [{"kind": "consent", "taken": "read",
        "says": {"access": "granted", "measure": "granted", "personalise": "granted"},
        "source": "einklang/4.1/explicit-consent",
        "words": {"en": "Readable; it says this about each purpose.", "de": "Lesbar; es sagt dies zu jedem Zweck."}}],
    "consent": {"state": "granted", "ground": "granted", "regime": "strict_opt_in",
        "says": {"access": "granted", "measure": "granted", "personalise": "granted"},
        "source": "einklang/4.1/merging",
        "words": {"en": "Everything that the policy requires was granted.",
            "de": "Alles, was die Policy verlangt, wurde erlaubt."}},
    "steps": [{"rule": "consent_denied", "source": "einklang/4.1/merging", "result": "passed",
        "words": {"en": "Was nothing declined that the policy requires?",
            "de": "Wurde nichts abgelehnt, was die Policy verlangt?"}}],
    "verdict": {"outcome": "tracked", "reason": "accepted", "status": 302, "ends_click": false,
        "words": {"en": "The click is tracked: it is stored, and then the landing page's URL carries a token.",
            "de": "Der Klick wird erfasst: Er wird gespeichert, dann trägt die URL der Zielseite einen Token."}},
    "stored": [{"code": "audit_entry", "words": {"en": "An audit entry without personal data.",
        "de": "Ein Eintrag im Prüfprotokoll ohne personenbezogene Daten."}}],
    "not_stored": [{"code": "signal_texts", "words": {"en": "The texts of the signals.",
        "de": "Die Texte der Signale."}}],
    "request_id": "req_00000000000040008000000000000000"}))]
pub struct ExplainAnswer {
    /// As it came.
    #[schema(value_type = String, max_length = 8, pattern = "^(click|postback)$")]
    kind: ExplainKind,
    /// The policy version in force.
    #[schema(minimum = 1, maximum = 65535)]
    policy_version: u16,
    /// Every signal, in the order in which it was read.
    #[schema(max_items = 64)]
    signals: Vec<ExplainSignal>,
    /// What they come to.
    consent: ExplainConsent,
    /// Every check up to the one that gave the answer.
    #[schema(max_items = 16)]
    steps: Vec<ExplainStep>,
    /// The answer.
    verdict: ExplainVerdict,
    /// What would be stored.
    #[schema(max_items = 16)]
    stored: Vec<ExplainKept>,
    /// What would not.
    #[schema(max_items = 16)]
    not_stored: Vec<ExplainKept>,
    /// Names the request in support questions.
    #[schema(max_length = 36, pattern = "^req_[0-9a-f]{32}$")]
    request_id: String,
}

impl ExplainAnswer {
    pub(super) fn of(kind: ExplainKind, explained: Explained, named: Named) -> Self {
        let explanation = explained.explanation;
        Self {
            kind,
            policy_version: explained.policy_version,
            signals: explanation.signals.into_iter().map(Into::into).collect(),
            consent: explanation.merged.into(),
            steps: explanation.steps.into_iter().map(Into::into).collect(),
            verdict: explanation.verdict.into(),
            stored: explanation.stored.into_iter().map(Into::into).collect(),
            not_stored: explanation.not_stored.into_iter().map(Into::into).collect(),
            request_id: named.0.to_string(),
        }
    }
}

impl From<Words> for ExplainWords {
    fn from(Words { en, de }: Words) -> Self {
        Self { en, de }
    }
}

impl From<[&'static str; 3]> for ExplainPurposes {
    fn from([access, measure, personalise]: [&'static str; 3]) -> Self {
        Self {
            access,
            measure,
            personalise,
        }
    }
}

impl From<StringFacts> for ExplainString {
    fn from(string: StringFacts) -> Self {
        Self {
            cmp_id: string.cmp_id,
            vendor_list_version: string.vendor_list_version,
            policy_version: string.policy_version,
            last_updated: rfc3339(string.last_updated_s.saturating_mul(1_000)),
        }
    }
}

impl From<SignalLine> for ExplainSignal {
    fn from(line: SignalLine) -> Self {
        Self {
            kind: line.kind,
            section: line.section,
            taken: line.taken,
            because: line.because,
            says: line.answers.map(Into::into),
            tc_string: line.string.map(Into::into),
            source: line.source,
            words: line.words.into(),
        }
    }
}

impl From<Merged> for ExplainConsent {
    fn from(merged: Merged) -> Self {
        Self {
            state: merged.state.code(),
            ground: merged.ground,
            purpose: merged.purpose,
            regime: merged.regime.code(),
            says: merged.answers.into(),
            source: merged.source,
            words: merged.words.into(),
        }
    }
}

impl From<Step> for ExplainStep {
    fn from(step: Step) -> Self {
        Self {
            rule: step.rule,
            source: step.source,
            result: if step.decides { "decides" } else { "passed" },
            words: step.words.into(),
        }
    }
}

impl From<Verdict> for ExplainVerdict {
    fn from(verdict: Verdict) -> Self {
        Self {
            outcome: verdict.outcome,
            reason: verdict.reason,
            status: verdict.status,
            ends_click: verdict.ends_click,
            words: verdict.words.into(),
        }
    }
}

impl From<Kept> for ExplainKept {
    fn from(kept: Kept) -> Self {
        Self {
            code: kept.code,
            words: kept.words.into(),
        }
    }
}
