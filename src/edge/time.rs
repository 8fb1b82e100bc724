//! Times in answers: RFC 3339, UTC.

/// Milliseconds since 1970 as RFC 3339 with milliseconds.
pub fn rfc3339(at_ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(at_ms)
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
