//! A consent record as it is answered.

use serde::Serialize;
use utoipa::ToSchema;

use super::evidence::RecordedEvidence;

use crate::domain::consent::{Answer, Assessment, ConsentState, purpose_word};
use crate::domain::ids::{ConversionId, RecordId};
use crate::domain::policy::Purpose;
use crate::domain::record::{ACCEPTED, Opened, RecordKey, RecordKind, Redone};
use crate::edge::objects::fields::Moment;
use crate::flow::records::replay::outcome;
use crate::flow::records::{RecordPage, RecordProof, Replayed, Shown};

/// What a signal or a whole request says of each purpose.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct PurposeAnswers {
    /// Reading from and writing to the device.
    #[schema(max_length = 8, pattern = "^(granted|denied|unknown)$")]
    access: &'static str,
    /// Measuring advertising.
    #[schema(max_length = 8, pattern = "^(granted|denied|unknown)$")]
    measure: &'static str,
    /// Profiles and personalised advertising.
    #[schema(max_length = 8, pattern = "^(granted|denied|unknown)$")]
    personalise: &'static str,
}

impl PurposeAnswers {
    fn of_bits(bits: i64) -> Self {
        Self {
            access: purpose_word(bits, Purpose::Access),
            measure: purpose_word(bits, Purpose::Measure),
            personalise: purpose_word(bits, Purpose::Personalise),
        }
    }

    pub(super) fn of([access, measure, personalise]: [Answer; 3]) -> Self {
        Self {
            access: access.code(),
            measure: measure.code(),
            personalise: personalise.code(),
        }
    }
}

/// A consent record: one decision about a person's data.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConsentRecord {
    /// Its id.
    #[schema(min_length = 64, max_length = 96, pattern = "^csr_[A-Za-z0-9_-]{60,92}$")]
    pub id: String,
    /// `click`, `postback`, or `signal` (one that came later, without an order).
    #[schema(max_length = 8, pattern = "^(click|postback|signal)$")]
    kind: &'static str,
    /// When it was decided.
    pub decided_at: Moment,
    /// Who collected the signals.
    #[schema(max_length = 9, pattern = "^(publisher|shop)$")]
    collector: &'static str,
    /// Which way they came.
    #[schema(max_length = 14, pattern = "^(click_url|postback|consent_signal)$")]
    channel: &'static str,
    /// The kinds of signal that came; none where a postback did without.
    #[schema(max_items = 11)]
    signal_kinds: Vec<SignalName>,
    /// What they came to.
    #[schema(max_length = 9, pattern = "^(granted|denied|unknown|malformed)$")]
    pub state: &'static str,
    /// What they said of each purpose.
    purposes: PurposeAnswers,
    /// What was decided: `tracked`, `recorded` or `applied`.
    #[schema(max_length = 9, pattern = "^(tracked|recorded|applied)$")]
    decision: &'static str,
    /// Why: a record exists only of what was accepted.
    #[schema(max_length = 8, pattern = "^accepted$")]
    reason: &'static str,
    /// The policy version that decided.
    #[schema(minimum = 1, maximum = 65_535, format = Int32)]
    policy_version: u16,
    /// The commitment that names the click in the audit trail; left out where the click's key is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, pattern = "^[0-9a-f]{64}$", nullable = false)]
    click_commitment: Option<String>,
    /// The conversion that a postback became.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 36, pattern = "^cnv_[0-9a-f]{32}$", nullable = false)]
    conversion_id: Option<String>,
    /// What the decision was made on, for whoever looks and may. Left out in lists, and where it was not yet kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    evidence: Option<RecordedEvidence>,
}

/// A kind of signal.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(max_length = 16, pattern = "^[a-z_]+$")]
pub struct SignalName(&'static str);

impl ConsentRecord {
    /// The record of a row of which nothing was opened.
    pub fn closed(shown: &Shown) -> Self {
        Self::of(shown, false)
    }

    /// The record of a shown row.
    pub fn of(shown: &Shown, unmasked: bool) -> Self {
        let record = &shown.record;
        let kind = record.key.kind();
        let (collector, channel) = match kind {
            RecordKind::Click => ("publisher", "click_url"),
            RecordKind::Postback => ("shop", "postback"),
            RecordKind::Signal => ("shop", "consent_signal"),
        };
        let kinds = u16::try_from(record.signal_kinds).unwrap_or(0);
        let evidence = |opened: &Opened| {
            let inputs = opened.inputs.as_ref()?;
            Some(RecordedEvidence::of(inputs, opened.notice.as_ref(), unmasked))
        };
        Self {
            id: shown.id.to_string(),
            kind: kind.code(),
            decided_at: Moment(record.decided_at_ms),
            collector,
            channel,
            signal_kinds: Assessment::kind_codes(kinds)
                .into_iter()
                .map(SignalName)
                .collect(),
            state: record.state().code(),
            purposes: PurposeAnswers::of_bits(record.consent_bits),
            decision: outcome(kind, ACCEPTED),
            reason: ACCEPTED,
            policy_version: record.policy_version,
            click_commitment: shown.commitment.clone(),
            conversion_id: match record.key {
                RecordKey::Conversion(id) => Some(ConversionId(id).to_string()),
                RecordKey::Click(_) | RecordKey::Signal(..) => None,
            },
            evidence: shown.opened.as_ref().and_then(evidence),
        }
    }

    /// The answer in the document.
    pub fn example() -> Self {
        let all = PurposeAnswers::of([Answer::Granted; 3]);
        Self {
            id: example_id(),
            kind: "click",
            decided_at: Moment(1_795_000_000_000),
            collector: "publisher",
            channel: "click_url",
            signal_kinds: vec![SignalName("consent")],
            state: ConsentState::Granted.code(),
            purposes: all,
            decision: "tracked",
            reason: ACCEPTED,
            policy_version: 1,
            click_commitment: Some("a7".repeat(32)),
            conversion_id: None,
            evidence: Some(RecordedEvidence::example(all)),
        }
    }
}

pub(super) fn example_id() -> String {
    RecordId((0..51).collect()).to_string()
}

/// A page of consent records.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsentRecordPage {
    /// The records.
    #[schema(max_items = 100)]
    items: Vec<ConsentRecord>,
    /// Names the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 64,
        max_length = 96,
        pattern = "^csr_[A-Za-z0-9_-]{60,92}$",
        nullable = false
    )]
    next_cursor: Option<String>,
}

impl ConsentRecordPage {
    /// The answer.
    pub fn of(page: RecordPage) -> Self {
        Self {
            items: page.items.iter().map(ConsentRecord::closed).collect(),
            next_cursor: page.next.map(|id| id.to_string()),
        }
    }

    /// The answer in the document.
    pub fn example() -> Self {
        Self {
            items: vec![ConsentRecord {
                evidence: None,
                ..ConsentRecord::example()
            }],
            next_cursor: Some(example_id()),
        }
    }
}

/// What remains of a consent record once it had its time.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsentProof {
    /// The record's id.
    #[schema(min_length = 64, max_length = 96, pattern = "^csr_[A-Za-z0-9_-]{60,92}$")]
    id: String,
    /// `click`, `postback`, or `signal` (one that came later, without an order).
    #[schema(max_length = 8, pattern = "^(click|postback|signal)$")]
    kind: &'static str,
    /// When it was decided.
    decided_at: Moment,
    /// What the signals came to.
    #[schema(max_length = 9, pattern = "^(granted|denied|unknown|malformed)$")]
    state: &'static str,
    /// What they said of each purpose.
    purposes: PurposeAnswers,
    /// The policy version that decided.
    #[schema(minimum = 1, maximum = 65_535, format = Int32)]
    policy_version: i64,
    /// Whether the record itself is still there.
    full_record: bool,
}

impl ConsentProof {
    /// The answer.
    pub fn of(proof: &RecordProof) -> Self {
        let bits = proof.remains.consent_bits;
        Self {
            id: proof.id.to_string(),
            kind: proof.kind.code(),
            decided_at: Moment(proof.remains.recorded_at_ms),
            state: ConsentState::of_bits(bits).code(),
            purposes: PurposeAnswers::of_bits(bits),
            policy_version: proof.remains.policy_version,
            full_record: proof.full_record,
        }
    }

    /// The answer in the document.
    pub fn example() -> Self {
        Self {
            id: example_id(),
            kind: "click",
            decided_at: Moment(1_795_000_000_000),
            state: ConsentState::Granted.code(),
            purposes: PurposeAnswers::of([Answer::Granted; 3]),
            policy_version: 1,
            full_record: false,
        }
    }
}

/// A decision that was made again.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsentReplay {
    /// The record.
    record: ConsentRecord,
    /// `equal`, `different`, or `not_replayable`: a row of before inputs were kept.
    #[schema(max_length = 14, pattern = "^(equal|different|not_replayable)$")]
    comparison: &'static str,
    /// What was decided this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    again: Option<DecidedAgain>,
}

/// What the recorded inputs come to with the code in force.
#[derive(Debug, Serialize, ToSchema)]
pub struct DecidedAgain {
    /// What would be done.
    #[schema(
        max_length = 9,
        pattern = "^(tracked|untracked|recorded|refused|applied|no_effect)$"
    )]
    decision: &'static str,
    /// Why.
    #[schema(max_length = 32, pattern = "^[a-z_]+$")]
    reason: &'static str,
    /// What the signals say of each purpose.
    purposes: PurposeAnswers,
}

impl ConsentReplay {
    /// The answer.
    pub fn of(replayed: &Replayed) -> Self {
        let kind = replayed.shown.record.key.kind();
        let again = |redone: Redone| DecidedAgain {
            decision: outcome(kind, redone.reason),
            reason: redone.reason,
            purposes: PurposeAnswers::of_bits(redone.consent_bits),
        };
        Self {
            record: ConsentRecord::closed(&replayed.shown),
            comparison: match replayed.equal {
                Some(true) => "equal",
                Some(false) => "different",
                None => "not_replayable",
            },
            again: replayed.redone.map(again),
        }
    }

    /// The answer in the document.
    pub fn example() -> Self {
        let record = ConsentRecord {
            evidence: None,
            ..ConsentRecord::example()
        };
        Self {
            comparison: "equal",
            again: Some(DecidedAgain {
                decision: record.decision,
                reason: ACCEPTED,
                purposes: record.purposes,
            }),
            record,
        }
    }
}
