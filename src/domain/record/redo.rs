//! Decides again what a record says was decided, by the functions that decide live requests.

use super::super::attribution::{self, ClickFact, Facts, PriorFact, TokenFact};
use super::super::consent::{ConsentState, decide_click};
use super::super::policy::Policy;
use super::super::refusal::{Reason, Untracked};
use super::super::signal::record::Inputs;
use super::{Record, RecordKey};

/// The reason of what is recorded: a record exists of nothing else.
pub const ACCEPTED: &str = "accepted";

/// What a decision comes to, made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redone {
    /// `accepted`, or why not.
    pub reason: &'static str,
    /// State and answers.
    pub consent_bits: i64,
    /// The kinds of signal.
    pub signal_kinds: i64,
}

impl Redone {
    /// Whether it is what the record says. Where the policy came in between, the answers were read on other terms.
    pub fn agrees(&self, record: &Record, inputs: &Inputs) -> bool {
        let compared = if inputs.stale_terms { 3 } else { i64::MAX };
        self.reason == ACCEPTED
            && self.consent_bits & compared == record.consent_bits & compared
            && self.signal_kinds == record.signal_kinds
    }
}

/// Decides again, under a policy.
pub fn redo(record: &Record, inputs: &Inputs, policy: &Policy) -> Redone {
    let at_s = record.decided_at_ms.div_euclid(1_000);
    let assessment = inputs.assess(policy, at_s);
    let state = assessment.state(policy);
    let reason = match record.key {
        RecordKey::Click(_) => decide_click(&assessment, policy).map_or_else(Untracked::code, |_| ACCEPTED),
        RecordKey::Signal(..) => match state {
            ConsentState::Granted => ACCEPTED,
            ConsentState::Denied => Reason::ConsentDenied.code(),
            ConsentState::Unknown => Reason::ConsentMissing.code(),
            ConsentState::Malformed => Reason::ConsentMalformed.code(),
        },
        RecordKey::Conversion(_) => {
            let around = inputs.surroundings;
            let facts = Facts {
                goal_known: true,
                currency_taken: true,
                consent: &assessment,
                policy,
                token: TokenFact::Opened {
                    issued_at_s: record.click.issued_at_s(),
                },
                click: ClickFact::Live {
                    granted: around.is_some_and(|one| one.click_granted),
                    restricted: false,
                },
                order_suppressed: false,
                prior: PriorFact::None,
                window_seconds: around.map_or(0, |one| i64::from(one.window_seconds)),
                occurred_at_s: record.occurred_at_ms.div_euclid(1_000),
                now_s: at_s,
            };
            attribution::decide(&facts).reason.code()
        }
    };
    // A postback that sent nothing has no record of its own, but of the click's.
    let inherits = matches!(record.key, RecordKey::Conversion(_)) && assessment.absent();
    Redone {
        reason,
        consent_bits: if inherits {
            0
        } else {
            i64::from(assessment.bits(state))
        },
        signal_kinds: if inherits {
            0
        } else {
            i64::from(assessment.kinds())
        },
    }
}
