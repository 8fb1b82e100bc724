//! Reasons: every answer's stable code, and what each means for the caller.
//!
//! The codes are part of the public contract (DESIGN 4.2): they may be added to, never renamed. A refusal is a value,
//! not an error: it is decided, counted and written to the trail like an acceptance.

use serde::{Deserialize, Serialize};

/// The stable code of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Recorded.
    Accepted,
    /// The same order with the same content came again.
    Duplicate,
    /// The same order came again with other content.
    DuplicateConflict,
    /// The person declined at the shop.
    ConsentDenied,
    /// No usable signal where the policy needs one.
    ConsentMissing,
    /// Consent ended, or the data was erased, after the click.
    ConsentWithdrawn,
    /// A signal that cannot be read.
    ConsentMalformed,
    /// No token: the click was never tracked.
    NoToken,
    /// The token does not open.
    UnknownToken,
    /// Authentic, but older than the attribution window and its margin.
    TokenExpired,
    /// The goal happened too long after the click.
    OutsideWindow,
    /// The goal is not one of the campaign's.
    UnknownGoal,
    /// The shop does not take this currency.
    CurrencyMismatch,
    /// Processing is restricted (GDPR Art. 18).
    Restricted,
    /// A parameter is wrong; it is named.
    InvalidRequest,
    /// The body or a value is too long.
    TooLarge,
    /// The caller is not known.
    Unauthenticated,
    /// The caller is known and may not do this.
    Forbidden,
    /// The server's operator has no grant of the tenant's that is in force and covers this look.
    NoGrant,
    /// No such thing, or not this tenant's.
    NotFound,
    /// An entry of the audit log that is committed and has no place in the tree, or no checkpoint over it, as yet.
    NotYetSequenced,
    /// The path does not take this method.
    MethodNotAllowed,
    /// The body's media type is not taken here.
    UnsupportedMediaType,
    /// The change clashes with what is there (a slug that is taken).
    Conflict,
    /// The object has ended or is archived.
    Gone,
    /// The request did not arrive in time.
    Timeout,
    /// Too many requests from this caller.
    RateLimited,
    /// The ledger cannot be reached.
    Unavailable,
    /// The tenant's root key is not on this server.
    TenantLocked,
    /// A fault of ours.
    Internal,
}

impl Reason {
    /// Every reason, in the order of the documentation.
    pub const ALL: [Reason; 30] = [
        Reason::Accepted,
        Reason::Duplicate,
        Reason::DuplicateConflict,
        Reason::ConsentDenied,
        Reason::ConsentMissing,
        Reason::ConsentWithdrawn,
        Reason::ConsentMalformed,
        Reason::NoToken,
        Reason::UnknownToken,
        Reason::TokenExpired,
        Reason::OutsideWindow,
        Reason::UnknownGoal,
        Reason::CurrencyMismatch,
        Reason::Restricted,
        Reason::InvalidRequest,
        Reason::TooLarge,
        Reason::Unauthenticated,
        Reason::Forbidden,
        Reason::NoGrant,
        Reason::NotFound,
        Reason::NotYetSequenced,
        Reason::MethodNotAllowed,
        Reason::UnsupportedMediaType,
        Reason::Conflict,
        Reason::Gone,
        Reason::Timeout,
        Reason::RateLimited,
        Reason::Unavailable,
        Reason::TenantLocked,
        Reason::Internal,
    ];

    /// The code as it stands in answers, counters and the trail.
    pub fn code(self) -> &'static str {
        match self {
            Reason::Accepted => "accepted",
            Reason::Duplicate => "duplicate",
            Reason::DuplicateConflict => "duplicate_conflict",
            Reason::ConsentDenied => "consent_denied",
            Reason::ConsentMissing => "consent_missing",
            Reason::ConsentWithdrawn => "consent_withdrawn",
            Reason::ConsentMalformed => "consent_malformed",
            Reason::NoToken => "no_token",
            Reason::UnknownToken => "unknown_token",
            Reason::TokenExpired => "token_expired",
            Reason::OutsideWindow => "outside_window",
            Reason::UnknownGoal => "unknown_goal",
            Reason::CurrencyMismatch => "currency_mismatch",
            Reason::Restricted => "restricted",
            Reason::InvalidRequest => "invalid_request",
            Reason::TooLarge => "too_large",
            Reason::Unauthenticated => "unauthenticated",
            Reason::Forbidden => "forbidden",
            Reason::NoGrant => "no_grant",
            Reason::NotFound => "not_found",
            Reason::NotYetSequenced => "not_yet_sequenced",
            Reason::MethodNotAllowed => "method_not_allowed",
            Reason::UnsupportedMediaType => "unsupported_media_type",
            Reason::Conflict => "conflict",
            Reason::Gone => "gone",
            Reason::Timeout => "timeout",
            Reason::RateLimited => "rate_limited",
            Reason::Unavailable => "unavailable",
            Reason::TenantLocked => "tenant_locked",
            Reason::Internal => "internal",
        }
    }

    /// The reason with this code.
    pub fn from_code(code: &str) -> Option<Reason> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// The HTTP status where nothing is dropped (DESIGN 4.2, column "refuse mode").
    pub fn status(self) -> u16 {
        match self {
            Reason::Accepted | Reason::Duplicate => 200,
            Reason::ConsentMalformed | Reason::InvalidRequest => 400,
            Reason::Unauthenticated => 401,
            Reason::ConsentDenied | Reason::Forbidden | Reason::NoGrant => 403,
            Reason::UnknownToken | Reason::NotFound | Reason::NotYetSequenced => 404,
            Reason::MethodNotAllowed => 405,
            Reason::Timeout => 408,
            Reason::DuplicateConflict | Reason::Restricted | Reason::Conflict => 409,
            Reason::ConsentWithdrawn | Reason::TokenExpired | Reason::Gone => 410,
            Reason::TooLarge => 413,
            Reason::UnsupportedMediaType => 415,
            Reason::ConsentMissing
            | Reason::NoToken
            | Reason::OutsideWindow
            | Reason::UnknownGoal
            | Reason::CurrencyMismatch => 422,
            Reason::RateLimited => 429,
            Reason::Internal => 500,
            Reason::Unavailable | Reason::TenantLocked => 503,
        }
    }

    /// Whether a tenant in drop mode answers 200 `dropped` instead.
    pub fn droppable(self) -> bool {
        matches!(
            self,
            Reason::ConsentDenied
                | Reason::ConsentMissing
                | Reason::ConsentWithdrawn
                | Reason::NoToken
                | Reason::Restricted
                | Reason::OutsideWindow
        )
    }

    /// Whether the same request may succeed later as it is.
    pub fn retry(self) -> bool {
        matches!(
            self,
            Reason::RateLimited | Reason::Unavailable | Reason::TenantLocked | Reason::NotYetSequenced
        )
    }

    /// One sentence for a person; never holds a value that a client sent.
    pub fn sentence(self) -> &'static str {
        match self {
            Reason::Accepted => "The conversion was recorded.",
            Reason::Duplicate => "This order was recorded before.",
            Reason::DuplicateConflict => {
                "This order was recorded before with other content; use PATCH to change it."
            }
            Reason::ConsentDenied => "The person declined; the click counts no more.",
            Reason::ConsentMissing => "The policy needs a consent signal and none that can be used came.",
            Reason::ConsentWithdrawn => "Consent ended after the click; it counts no more.",
            Reason::ConsentMalformed => "A consent signal cannot be read; correct it and send again.",
            Reason::NoToken => "No tracking token came: the click was not tracked.",
            Reason::UnknownToken => "The tracking token does not open here.",
            Reason::TokenExpired => "The tracking token is older than the attribution window and its margin.",
            Reason::OutsideWindow => "The goal happened outside the attribution window.",
            Reason::UnknownGoal => "The goal is not one of the campaign's.",
            Reason::CurrencyMismatch => "The shop does not take this currency.",
            Reason::Restricted => "Processing of this person's data is restricted.",
            Reason::InvalidRequest => "A parameter is not acceptable.",
            Reason::TooLarge => "The request or one of its values is too large.",
            Reason::Unauthenticated => "The caller could not be authenticated.",
            Reason::Forbidden => "The caller may not do this.",
            Reason::NoGrant => "No grant of the tenant's is in force that covers this look.",
            Reason::NotFound => "There is no such thing here.",
            Reason::NotYetSequenced => {
                "The entry has no place in the signed log yet; ask again when expected_by has passed."
            }
            Reason::MethodNotAllowed => "This path does not take this method.",
            Reason::UnsupportedMediaType => "This media type is not taken here.",
            Reason::Conflict => "The change clashes with what is already there.",
            Reason::Gone => "This has ended.",
            Reason::Timeout => "The request did not arrive in time.",
            Reason::RateLimited => "Too many requests; wait as Retry-After says.",
            Reason::Unavailable => "The ledger cannot be reached; try again as Retry-After says.",
            Reason::TenantLocked => {
                "The tenant's root key is not on this server, so that nothing of the tenant can be opened."
            }
            Reason::Internal => "A fault on our side; the request had no effect.",
        }
    }
}

/// The verdict on a postback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A conversion was recorded.
    Recorded,
    /// It was recorded before.
    Duplicate,
    /// Nothing was kept, and the sender is told so with a 200.
    Dropped,
    /// Nothing was kept, and the sender gets an error.
    Refused,
}

impl Outcome {
    /// The code as it stands in answers and counters.
    pub fn code(self) -> &'static str {
        match self {
            Outcome::Recorded => "recorded",
            Outcome::Duplicate => "duplicate",
            Outcome::Dropped => "dropped",
            Outcome::Refused => "refused",
        }
    }
}

/// How a tenant (or a shop that overrides it) answers what it cannot record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum RefusalMode {
    /// An error status with a problem document.
    #[default]
    Refuse,
    /// 200 with outcome `dropped`, for senders that disable a hook on any error.
    Drop,
}

impl RefusalMode {
    /// The code as it stands in configuration and rows.
    pub fn code(self) -> &'static str {
        match self {
            RefusalMode::Refuse => "refuse",
            RefusalMode::Drop => "drop",
        }
    }

    /// What a reason becomes in this mode.
    pub fn outcome(self, reason: Reason) -> Outcome {
        match reason {
            Reason::Accepted => Outcome::Recorded,
            Reason::Duplicate => Outcome::Duplicate,
            _ if self == RefusalMode::Drop && reason.droppable() => Outcome::Dropped,
            _ => Outcome::Refused,
        }
    }
}

/// Why a click was redirected without being tracked: the only thing that is counted of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Untracked {
    /// The person declined.
    ConsentDenied,
    /// No usable signal.
    ConsentMissing,
    /// A signal that cannot be read.
    ConsentMalformed,
    /// A known robot, or a `HEAD` request.
    Bot,
    /// The ledger could not be reached in time.
    Unavailable,
}

impl Untracked {
    /// Every reason.
    pub const ALL: [Untracked; 5] = [
        Untracked::ConsentDenied,
        Untracked::ConsentMissing,
        Untracked::ConsentMalformed,
        Untracked::Bot,
        Untracked::Unavailable,
    ];

    /// The code as it stands in counters.
    pub fn code(self) -> &'static str {
        match self {
            Untracked::ConsentDenied => "consent_denied",
            Untracked::ConsentMissing => "consent_missing",
            Untracked::ConsentMalformed => "consent_malformed",
            Untracked::Bot => "bot",
            Untracked::Unavailable => "unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_read_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
        }
    }

    #[test]
    fn only_what_the_table_allows_is_dropped() {
        for reason in Reason::ALL {
            let dropped = RefusalMode::Drop.outcome(reason) == Outcome::Dropped;
            assert_eq!(dropped, reason.droppable());
            assert_ne!(RefusalMode::Refuse.outcome(reason), Outcome::Dropped);
        }
    }
}
