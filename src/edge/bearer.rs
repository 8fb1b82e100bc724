//! The bearer value of a request, and what is answered when it opens nothing.

use http::{HeaderMap, header};

use super::problem::Problem;
use crate::domain::refusal::Reason;
use crate::flow::identity::NotKnown;

/// The value of an `Authorization: Bearer` header that occurs once (RFC 6750, section 2.1).
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// What a caller is told who is not known. A token is refused with what is wrong with it; a key is only unknown.
pub fn refusal(why: NotKnown) -> Problem {
    match why {
        NotKnown::Key => Problem::new(Reason::Unauthenticated),
        NotKnown::Token(fault) => Problem {
            detail: Some(fault.sentence()),
            fault: Some(fault),
            challenge: Some(fault.challenge()),
            ..Problem::new(Reason::Unauthenticated)
        },
        NotKnown::Locked => Problem::new(Reason::TenantLocked),
        NotKnown::Unavailable => Problem {
            detail: Some(
                "The keys of the bearer token's issuer cannot be fetched; try again as Retry-After says.",
            ),
            ..Problem::new(Reason::Unavailable)
        },
    }
}
