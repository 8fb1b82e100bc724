//! How a body names a person: by exactly one of a token, an order and a customer reference.

use super::problem::Problem;
use crate::domain::postback::{MAX_TOKEN_CHARS, MAX_VALUE_CHARS};
use crate::flow::consent::About;

/// The members that can name one, as they were sent.
#[derive(Debug, Clone, Copy)]
pub struct PersonNames<'a> {
    /// The tracking token.
    pub token: Option<&'a str>,
    /// A shop's order id.
    pub order_id: Option<&'a str>,
    /// The order's goal.
    pub goal: Option<&'a str>,
    /// A shop's pseudonym for the person.
    pub customer_ref: Option<&'a str>,
}

impl<'a> PersonNames<'a> {
    /// Whether each that is there can be what it is said to be.
    pub fn check(&self) -> Result<(), Problem> {
        for (name, text, limit) in [
            ("token", self.token, MAX_TOKEN_CHARS),
            ("order_id", self.order_id, MAX_VALUE_CHARS),
            ("goal", self.goal, MAX_VALUE_CHARS),
            ("customer_ref", self.customer_ref, MAX_VALUE_CHARS),
        ] {
            let Some(text) = text else { continue };
            if !(1..=limit).contains(&text.chars().count()) || text.chars().any(char::is_control) {
                return Err(Problem::invalid(name, "is empty, too long or unprintable"));
            }
        }
        Ok(())
    }

    /// Whom they name.
    pub fn about(&self) -> Result<About<'a>, Problem> {
        let Self { goal, .. } = *self;
        match (self.token, self.order_id, self.customer_ref) {
            (Some(token), None, None) => Ok(About::Token(token)),
            (None, Some(order_id), None) => Ok(About::Order { order_id, goal }),
            (None, None, Some(reference)) => Ok(About::Customer(reference)),
            _ => Err(Problem::invalid(
                "token",
                "exactly one of token, order_id and customer_ref is needed",
            )),
        }
    }
}
