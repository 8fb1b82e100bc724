//! The answers that the API document shows.

use serde_json::{Value, json};

use crate::edge::problem::Problem;

/// What a problem looks like, for the document.
pub(super) fn problem(problem: &Problem) -> Value {
    serde_json::to_value(problem.body("req_0193f1d2a7c47b0e8a1f5c3d2e4b6a70")).unwrap_or_default()
}

/// The performance report of the documentation.
pub(super) fn performance() -> Value {
    let figures = json!({
        "clicks": 120,
        "conversions": { "pending": 0, "confirmed": 6, "cancelled": 1 },
        "duplicates": 1,
        "refused": [{ "reason": "consent_denied", "events": 2 }],
        "dropped": [],
        "revenue": { "pending": [], "confirmed": [{ "amount_minor": 29_940, "currency": "EUR" }] },
        "conversion_rate": "0.0500",
    });
    let mut row = json!({
        "day": "2026-11-24",
        "campaign": { "id": "cmp_0193f1d2a7c47b0e8a1f5c3d2e4b6a71", "slug": "autumn" },
    });
    if let (Some(row), Some(figures)) = (row.as_object_mut(), figures.as_object()) {
        row.extend(figures.clone());
    }
    json!({
        "from": "2026-11-01",
        "to": "2026-11-24",
        "time_zone": "Europe/Berlin",
        "group_by": ["day", "campaign"],
        "rows": [row],
        "totals": figures,
    })
}

/// The consent report of the documentation.
pub(super) fn consent() -> Value {
    json!({
        "from": "2026-11-01",
        "to": "2026-11-24",
        "time_zone": "Europe/Berlin",
        "group_by": ["day", "campaign", "reason"],
        "rows": [{
            "day": "2026-11-24",
            "campaign": { "id": "cmp_0193f1d2a7c47b0e8a1f5c3d2e4b6a71", "slug": "autumn" },
            "reason": "consent_denied",
            "untracked_clicks": 48,
            "refused_postbacks": 2,
            "dropped_postbacks": 0,
        }],
        "totals": { "untracked_clicks": 48, "refused_postbacks": 2, "dropped_postbacks": 0 },
    })
}
