//! The facts of a postback without what they were read for: what the ledger found, to be explained elsewhere.

use crate::domain::attribution::{ClickFact, Facts, PriorFact, TokenFact};
use crate::domain::consent::Assessment;
use crate::domain::policy::Policy;

/// Facts of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    goal_known: bool,
    currency_taken: bool,
    token: TokenFact,
    click: ClickFact,
    order_suppressed: bool,
    prior: PriorFact,
    window_seconds: i64,
    occurred_at_s: i64,
    now_s: i64,
}

impl From<&Facts<'_>> for Found {
    fn from(facts: &Facts<'_>) -> Self {
        Self {
            goal_known: facts.goal_known,
            currency_taken: facts.currency_taken,
            token: facts.token,
            click: facts.click,
            order_suppressed: facts.order_suppressed,
            prior: facts.prior,
            window_seconds: facts.window_seconds,
            occurred_at_s: facts.occurred_at_s,
            now_s: facts.now_s,
        }
    }
}

impl Found {
    /// The same facts with the signals and the policy that decide on them.
    pub fn under<'a>(self, consent: &'a Assessment, policy: &'a Policy) -> Facts<'a> {
        Facts {
            goal_known: self.goal_known,
            currency_taken: self.currency_taken,
            consent,
            policy,
            token: self.token,
            click: self.click,
            order_suppressed: self.order_suppressed,
            prior: self.prior,
            window_seconds: self.window_seconds,
            occurred_at_s: self.occurred_at_s,
            now_s: self.now_s,
        }
    }
}
