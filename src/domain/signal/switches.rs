//! The signals that are a single digit: `gdpr`, `gpc` and the header `Sec-GPC`.
//!
//! Promise: each is exactly its digit or nothing. They differ in what anything else means: a parameter that says
//! something else was written by somebody and is malformed, while the header's specification has any value but `1`
//! ignored.

/// Whether the GDPR applies, as the sender says. It relaxes nothing.
pub fn gdpr(text: &str) -> Option<bool> {
    digit(text)
}

/// Whether Global Privacy Control is on, as the parameter says.
pub fn gpc(text: &str) -> Option<bool> {
    digit(text)
}

/// Whether one of the `Sec-GPC` headers is exactly `1`.
pub fn sec_gpc<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> bool {
    values.into_iter().any(|value| value == b"1")
}

fn digit(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_digit_counts() {
        assert_eq!(
            (gdpr("1"), gdpr("0"), gpc("1"), gpc("0")),
            (Some(true), Some(false), Some(true), Some(false))
        );
        for text in ["", "2", "01", " 1", "true"] {
            assert_eq!((gdpr(text), gpc(text)), (None, None), "{text}");
            assert!(!sec_gpc([text.as_bytes()]), "{text}");
        }
        assert!(sec_gpc([&b"0"[..], b"1"]));
        assert!(!sec_gpc([&b"1,1"[..], b"0"]));
    }
}
