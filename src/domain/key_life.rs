//! How long a key lives: when it gets a successor, from when the successor is used, and when it is destroyed.
//!
//! AES-GCM with random nonces is safe for 2^32 messages under one key (NIST SP 800-38D, section 8.3). Token keys are the
//! only ones that are used often; they are succeeded at half of that, so that nothing depends on an exact count.

use serde::{Deserialize, Serialize};

use super::campaign::MAX_WINDOW_DAYS;

/// How many tokens a key seals before it gets a successor.
pub const TOKEN_KEY_SEALS: i64 = 1 << 31;
/// How old a token key gets before it has a successor, in seconds.
pub const TOKEN_KEY_SECONDS: i64 = 30 * 86_400;
/// How long a token key is there before anything is sealed with it, in seconds: until then every node has read it.
pub const TOKEN_KEY_LEAD_SECONDS: i64 = 60;
/// How long a token key is kept after its successor took over, in seconds: the longest window with its margin of seven
/// days, and a day for clocks that are apart.
pub const TOKEN_KEY_KEPT_SECONDS: i64 = (MAX_WINDOW_DAYS + 7 + 1) * 86_400;

/// What a row of keys says about one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Seals, wraps or hashes what comes.
    Primary,
    /// Opens what it sealed before.
    Retired,
}

impl KeyState {
    /// The word in rows.
    pub fn code(self) -> &'static str {
        match self {
            KeyState::Primary => "primary",
            KeyState::Retired => "retired",
        }
    }

    /// The state with this word.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Primary, Self::Retired]
            .into_iter()
            .find(|state| state.code() == code)
    }
}

/// Whether the newest token key needs a successor.
pub fn needs_successor(created_at_ms: i64, seals: i64, now_ms: i64) -> bool {
    seals >= TOKEN_KEY_SEALS || now_ms - created_at_ms >= TOKEN_KEY_SECONDS * 1_000
}

/// Whether a key of this age is in use on every node.
pub fn has_taken_over(created_at_ms: i64, now_ms: i64) -> bool {
    now_ms - created_at_ms >= TOKEN_KEY_LEAD_SECONDS * 1_000
}

/// Whether a token key is of no use any more whose successor was made at this time: every token that it sealed has expired.
pub fn is_over(successor_created_at_ms: i64, now_ms: i64) -> bool {
    now_ms - successor_created_at_ms > (TOKEN_KEY_LEAD_SECONDS + TOKEN_KEY_KEPT_SECONDS) * 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_succeeded_by_age_or_by_use() {
        let month = TOKEN_KEY_SECONDS * 1_000;
        assert!(!needs_successor(0, 0, month - 1));
        assert!(needs_successor(0, 0, month));
        assert!(!needs_successor(0, TOKEN_KEY_SEALS - 1, 0));
        assert!(needs_successor(0, TOKEN_KEY_SEALS, 0));
    }

    #[test]
    fn half_of_the_limit_is_left_for_what_was_not_counted() {
        assert_eq!(TOKEN_KEY_SEALS * 2, 1 << 32);
    }

    #[test]
    fn a_key_outlives_every_token_that_it_sealed() {
        let last_seal_s = TOKEN_KEY_LEAD_SECONDS;
        let expires_s = last_seal_s + (MAX_WINDOW_DAYS + 7) * 86_400;
        assert!(!is_over(0, expires_s * 1_000));
        assert!(is_over(0, (expires_s + 86_400) * 1_000 + 1));
    }
}
