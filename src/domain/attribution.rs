//! The verdict on a postback: one pure function over the facts of one moment.
//!
//! The checks stand in the order of DESIGN 4.2 and the first that applies is the answer. Authentication and syntax come
//! before, at the edge; everything from the goal on is decided here, from facts that were read in the transaction that
//! writes the verdict.

use super::consent::{Assessment, ConsentState};
use super::policy::{Mode, Policy};
use super::refusal::Reason;

/// How long after the window a token still opens, in seconds: late senders get a clear answer.
pub const TOKEN_MARGIN_SECONDS: i64 = 7 * 86_400;
/// How far ahead of our clock a sender's may be, in seconds.
pub const CLOCK_TOLERANCE_SECONDS: i64 = 300;

/// What the token turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFact {
    /// None was sent.
    Missing,
    /// It does not open, or belongs to another shop.
    Unreadable,
    /// It opened.
    Opened {
        /// When its click happened.
        issued_at_s: i64,
    },
}

/// The present state of the click that the token names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClickFact {
    /// The row is there.
    Live {
        /// Whether the click's own signal was a grant.
        granted: bool,
        /// Whether processing is restricted.
        restricted: bool,
    },
    /// The row is gone and a suppression entry says why.
    Erased,
    /// The row is gone by retention, or never was.
    Missing,
}

/// What was recorded before under the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriorFact {
    /// Nothing.
    None,
    /// The same order with the same content.
    Same,
    /// The same order with other content.
    Other,
}

/// Everything that a verdict depends on.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Whether the goal is one of the campaign's (without a campaign: of any of the shop's).
    pub goal_known: bool,
    /// Whether the shop takes the currency.
    pub currency_taken: bool,
    /// The postback's own signals.
    pub consent: &'a Assessment,
    /// The policy in force.
    pub policy: &'a Policy,
    /// The token.
    pub token: TokenFact,
    /// The click.
    pub click: ClickFact,
    /// Whether the order itself is suppressed: it belonged to an erased click.
    pub order_suppressed: bool,
    /// What was recorded before.
    pub prior: PriorFact,
    /// The campaign's attribution window.
    pub window_seconds: i64,
    /// When the goal happened.
    pub occurred_at_s: i64,
    /// Now.
    pub now_s: i64,
}

/// The verdict and its one side effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The reason; `Accepted` records.
    pub reason: Reason,
    /// Whether the click is erased and suppressed.
    pub erase_click: bool,
}

impl Verdict {
    fn of(reason: Reason) -> Self {
        Self {
            reason,
            erase_click: reason == Reason::ConsentDenied,
        }
    }
}

/// A check on a postback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The goal is one of the campaign's.
    Goal,
    /// The shop takes the currency.
    Currency,
    /// Every signal can be read.
    Readable,
    /// There is a token.
    Token,
    /// The token opens here.
    Opens,
    /// Neither click nor order was withdrawn or erased.
    Withdrawn,
    /// Processing is not restricted.
    Restricted,
    /// Nothing that is required was declined.
    Declined,
    /// The click is still there, and the token is not older than window and margin.
    Age,
    /// The goal happened within the attribution window.
    Window,
    /// What was said, or the click's own grant, is enough under the policy.
    Enough,
    /// The order was not recorded before.
    First,
}

impl Check {
    /// Every check, in the order of DESIGN 4.2.
    pub const ALL: [Check; 12] = [
        Check::Goal,
        Check::Currency,
        Check::Readable,
        Check::Token,
        Check::Opens,
        Check::Withdrawn,
        Check::Restricted,
        Check::Declined,
        Check::Age,
        Check::Window,
        Check::Enough,
        Check::First,
    ];

    /// The reason that this check gives for an answer of its own, if it has one. `state` is that of the postback's
    /// signals. Each check may take for granted that those before it gave no answer.
    pub fn stops(self, facts: &Facts<'_>, state: ConsentState) -> Option<Reason> {
        let (issued_at_s, click_granted) = match (facts.token, facts.click) {
            (TokenFact::Opened { issued_at_s }, ClickFact::Live { granted, .. }) => (issued_at_s, granted),
            (TokenFact::Opened { issued_at_s }, _) => (issued_at_s, false),
            (TokenFact::Missing | TokenFact::Unreadable, _) => (facts.occurred_at_s, false),
        };
        let is_live = matches!(facts.click, ClickFact::Live { .. });
        let elapsed_seconds = facts.occurred_at_s - issued_at_s;
        let (stops, reason) = match self {
            Check::Goal => (!facts.goal_known, Reason::UnknownGoal),
            Check::Currency => (!facts.currency_taken, Reason::CurrencyMismatch),
            Check::Readable => (state == ConsentState::Malformed, Reason::ConsentMalformed),
            Check::Token => (facts.token == TokenFact::Missing, Reason::NoToken),
            Check::Opens => (facts.token == TokenFact::Unreadable, Reason::UnknownToken),
            Check::Withdrawn => (
                facts.click == ClickFact::Erased || facts.order_suppressed,
                Reason::ConsentWithdrawn,
            ),
            Check::Restricted => (
                matches!(facts.click, ClickFact::Live { restricted: true, .. }),
                Reason::Restricted,
            ),
            Check::Declined => (state == ConsentState::Denied, Reason::ConsentDenied),
            Check::Age => (
                !is_live || facts.now_s - issued_at_s > facts.window_seconds + TOKEN_MARGIN_SECONDS,
                Reason::TokenExpired,
            ),
            Check::Window => (
                elapsed_seconds > facts.window_seconds || elapsed_seconds < -CLOCK_TOLERANCE_SECONDS,
                Reason::OutsideWindow,
            ),
            Check::Enough => (
                !enough(state, facts, click_granted, issued_at_s),
                Reason::ConsentMissing,
            ),
            Check::First => match facts.prior {
                PriorFact::Same => (true, Reason::Duplicate),
                PriorFact::Other => (true, Reason::DuplicateConflict),
                PriorFact::None => (false, Reason::Accepted),
            },
        };
        stops.then_some(reason)
    }
}

/// Decides a postback.
pub fn decide(facts: &Facts<'_>) -> Verdict {
    let state = facts.consent.state(facts.policy);
    let reason = Check::ALL.into_iter().find_map(|check| check.stops(facts, state));
    Verdict::of(reason.unwrap_or(Reason::Accepted))
}

/// Whether the postback's signal, or its absence, is enough under the policy.
fn enough(state: ConsentState, facts: &Facts<'_>, click_granted: bool, issued_at_s: i64) -> bool {
    match (state, facts.consent.mode(facts.policy)) {
        (ConsentState::Granted, _) | (ConsentState::Unknown, Mode::OptOut) => true,
        // Only an omitted signal inherits: one that is there and proves nothing does not.
        (ConsentState::Unknown, Mode::InheritClick) => {
            let elapsed_seconds = facts.now_s - issued_at_s;
            click_granted
                && facts.consent.absent()
                && elapsed_seconds <= facts.policy.inherit_window_seconds()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::consent::{Answer, SignalKind};
    use super::*;

    const NOW_S: i64 = 1_795_000_000;
    const WINDOW_S: i64 = 30 * 86_400;

    fn consent(answer: Option<Answer>) -> Assessment {
        let mut assessment = Assessment::default();
        match answer {
            Some(answer) => assessment.add_all(SignalKind::Explicit, answer),
            None => assessment.add_malformed(SignalKind::Explicit),
        }
        assessment
    }

    /// For each reason, in the order of checks, the change that makes it apply.
    fn apply<'a>(
        reason: Reason,
        facts: &mut Facts<'a>,
        denied: &'a Assessment,
        malformed: &'a Assessment,
        none: &'a Assessment,
    ) {
        match reason {
            Reason::UnknownGoal => facts.goal_known = false,
            Reason::CurrencyMismatch => facts.currency_taken = false,
            Reason::ConsentMalformed => facts.consent = malformed,
            Reason::NoToken => facts.token = TokenFact::Missing,
            Reason::UnknownToken => facts.token = TokenFact::Unreadable,
            Reason::ConsentWithdrawn => facts.order_suppressed = true,
            Reason::Restricted => {
                facts.click = ClickFact::Live {
                    granted: true,
                    restricted: true,
                }
            }
            Reason::ConsentDenied => facts.consent = denied,
            Reason::TokenExpired => {
                facts.now_s += WINDOW_S + TOKEN_MARGIN_SECONDS + 1;
                facts.occurred_at_s = NOW_S;
            }
            Reason::OutsideWindow => facts.occurred_at_s = NOW_S + WINDOW_S + 1,
            Reason::ConsentMissing => facts.consent = none,
            Reason::DuplicateConflict => facts.prior = PriorFact::Other,
            other => panic!("no change for {other:?}"),
        }
    }

    #[test]
    fn of_any_two_reasons_the_earlier_check_answers() {
        let order = [
            Reason::UnknownGoal,
            Reason::CurrencyMismatch,
            Reason::ConsentMalformed,
            Reason::NoToken,
            Reason::UnknownToken,
            Reason::ConsentWithdrawn,
            Reason::Restricted,
            Reason::ConsentDenied,
            Reason::TokenExpired,
            Reason::OutsideWindow,
            Reason::ConsentMissing,
            Reason::DuplicateConflict,
        ];
        let (granted, denied) = (consent(Some(Answer::Granted)), consent(Some(Answer::Denied)));
        let (malformed, none) = (consent(None), Assessment::default());
        let policy = Policy::default();
        let base = Facts {
            goal_known: true,
            currency_taken: true,
            consent: &granted,
            policy: &policy,
            token: TokenFact::Opened { issued_at_s: NOW_S },
            click: ClickFact::Live {
                granted: true,
                restricted: false,
            },
            order_suppressed: false,
            prior: PriorFact::None,
            window_seconds: WINDOW_S,
            occurred_at_s: NOW_S,
            now_s: NOW_S,
        };
        assert_eq!(decide(&base).reason, Reason::Accepted);
        for (place, first) in order.into_iter().enumerate() {
            let mut alone = base;
            apply(first, &mut alone, &denied, &malformed, &none);
            assert_eq!(decide(&alone).reason, first, "alone");
            for second in order.into_iter().skip(place + 1) {
                // The later one is applied first, so that where both touch one fact the earlier one stands.
                let mut both = base;
                apply(second, &mut both, &denied, &malformed, &none);
                apply(first, &mut both, &denied, &malformed, &none);
                assert_eq!(decide(&both).reason, first, "{first:?} before {second:?}");
            }
        }
    }

    #[test]
    fn a_missing_signal_is_enough_as_long_and_as_far_as_the_policy_says() {
        let none = Assessment::default();
        let policy = |mode, inherit_window_hours| Policy {
            mode,
            inherit_window_hours,
            ..Policy::default()
        };
        let reason = |policy: &Policy, after_seconds: i64, consent: &Assessment| {
            decide(&Facts {
                goal_known: true,
                currency_taken: true,
                consent,
                policy,
                token: TokenFact::Opened { issued_at_s: NOW_S },
                click: ClickFact::Live {
                    granted: true,
                    restricted: false,
                },
                order_suppressed: false,
                prior: PriorFact::None,
                window_seconds: WINDOW_S,
                occurred_at_s: NOW_S,
                now_s: NOW_S + after_seconds,
            })
            .reason
        };
        for hours in [1_u16, 24, 72] {
            let inherit = policy(Mode::InheritClick, hours);
            let end = i64::from(hours) * 3_600;
            assert_eq!(reason(&inherit, end, &none), Reason::Accepted, "{hours}");
            assert_eq!(
                reason(&inherit, end + 1, &none),
                Reason::ConsentMissing,
                "{hours}"
            );
        }
        let opt_out = policy(Mode::OptOut, 24);
        assert_eq!(reason(&opt_out, 0, &none), Reason::Accepted);
        let mut gdpr = Assessment::default();
        gdpr.add_gdpr(true);
        assert_eq!(reason(&opt_out, 0, &gdpr), Reason::ConsentMissing);
    }

    #[test]
    fn only_a_denial_that_is_the_answer_erases() {
        let denied = consent(Some(Answer::Denied));
        let policy = Policy::default();
        let mut facts = Facts {
            goal_known: true,
            currency_taken: true,
            consent: &denied,
            policy: &policy,
            token: TokenFact::Opened { issued_at_s: NOW_S },
            click: ClickFact::Missing,
            order_suppressed: false,
            prior: PriorFact::None,
            window_seconds: WINDOW_S,
            occurred_at_s: NOW_S,
            now_s: NOW_S,
        };
        assert!(decide(&facts).erase_click);
        facts.token = TokenFact::Unreadable;
        assert!(!decide(&facts).erase_click);
    }
}
