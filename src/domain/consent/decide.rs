//! What a state rests on, and what becomes of a click: its checks in their order, of which the first that applies is the
//! answer.

use super::super::policy::{Mode, Policy, Purpose};
use super::super::refusal::Untracked;
use super::{Assessment, ConsentState};

/// What a state rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// This required purpose was declined.
    Declined(Purpose),
    /// The browser sends Global Privacy Control, and nothing stands above it.
    PrivacyControl,
    /// A signal cannot be read.
    Unreadable,
    /// A signal is well formed and proves nothing.
    Unusable,
    /// Nothing grants this required purpose.
    NotGranted(Purpose),
    /// The signals were read on other terms than the policy's.
    OtherTerms,
    /// Everything required was granted.
    Granted,
}

impl Ground {
    /// The state that it makes.
    pub fn state(self) -> ConsentState {
        match self {
            Ground::Declined(_) | Ground::PrivacyControl => ConsentState::Denied,
            Ground::Unreadable => ConsentState::Malformed,
            Ground::Unusable | Ground::NotGranted(_) | Ground::OtherTerms => ConsentState::Unknown,
            Ground::Granted => ConsentState::Granted,
        }
    }
}

/// A check on a click's signals. Whether anybody visited at all is asked before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClickCheck {
    /// Nothing that is required was declined.
    Declined,
    /// Every signal can be read.
    Readable,
    /// What was said is enough under the policy.
    Enough,
}

impl ClickCheck {
    /// Every check, in the order in which they are made.
    pub const ALL: [ClickCheck; 3] = [ClickCheck::Declined, ClickCheck::Readable, ClickCheck::Enough];

    /// The reason for which this check stops a click, if it does.
    pub fn stops(self, state: ConsentState, mode: Mode) -> Option<Untracked> {
        let (stops, reason) = match self {
            ClickCheck::Declined => (state == ConsentState::Denied, Untracked::ConsentDenied),
            ClickCheck::Readable => (state == ConsentState::Malformed, Untracked::ConsentMalformed),
            ClickCheck::Enough => (
                state == ConsentState::Unknown && mode != Mode::OptOut,
                Untracked::ConsentMissing,
            ),
        };
        stops.then_some(reason)
    }
}

/// What becomes of a click: tracked, or counted under a reason and nothing else.
pub fn decide_click(assessment: &Assessment, policy: &Policy) -> Result<ConsentState, Untracked> {
    let (state, mode) = (assessment.state(policy), assessment.mode(policy));
    let stopped = ClickCheck::ALL
        .into_iter()
        .find_map(|check| check.stops(state, mode));
    stopped.map_or(Ok(state), Err)
}
