//! An event as the document describes it. What is answered is the stored event itself, read as JSON.

use serde::Serialize;
use utoipa::ToSchema;

/// One event of the audit log. Members that do not apply are left out.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEvent {
    /// What was done.
    #[schema(max_length = 64, pattern = "^[a-z_]+\\.[a-z_]+$")]
    action: &'static str,
    /// Who did it: `key:N`, `operator:N`, `user:N`, `oidc:D` (of an outside issuer; D is a digest), `hmac:N` and
    /// `token_only:N` (shops), `link`, `command_line` or `server`.
    #[schema(max_length = 64, pattern = "^[a-z_]+(:([0-9]{1,19}|[0-9a-f]{32}))?$")]
    actor: &'static str,
    /// When, in milliseconds since 1970; left out where only the day may be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    at_ms: Option<i64>,
    /// The campaign's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    campaign: Option<i64>,
    /// The fields that were changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 1_000, nullable = false)]
    changes: Option<Vec<AuditChange>>,
    /// SHA-256 over the entry's key, the click and the order: names a person without naming anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, pattern = "^[0-9a-f]{64}$", nullable = false)]
    commitment: Option<String>,
    /// How many items the event speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    count: Option<i64>,
    /// How many by reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 1_000, nullable = false)]
    counts: Option<Vec<AuditCount>>,
    /// The day in the tenant's time zone, where only the day is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 10, pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", nullable = false)]
    day: Option<String>,
    /// 16 random bytes.
    #[schema(max_length = 32, pattern = "^[0-9a-f]{32}$")]
    nonce: String,
    /// The object that was created or changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1_024, pattern = "^[\\s\\S]*$", nullable = false)]
    object: Option<String>,
    /// What came of it.
    #[schema(max_length = 64, pattern = "^[a-z_]+$")]
    outcome: &'static str,
    /// The policy version that was in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    policy_version: Option<i64>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, pattern = "^[a-z_]+$", nullable = false)]
    reason: Option<&'static str>,
    /// The request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 36, pattern = "^req_[0-9a-f]{32}$", nullable = false)]
    request_id: Option<String>,
    /// The Merkle root over a batch's clicks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, pattern = "^[0-9a-f]{64}$", nullable = false)]
    root: Option<String>,
    /// The shop's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    shop: Option<i64>,
    /// The tenant's number; 0 is the server.
    tenant: i64,
    /// Left out unless it was a test.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    test: Option<bool>,
    /// The version of the encoding.
    #[schema(minimum = 1, maximum = 255)]
    v: i64,
}

/// One changed field.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditChange {
    /// Its name.
    #[schema(max_length = 128, pattern = "^[a-z0-9_.]+$")]
    field: &'static str,
    /// Its value after; left out where it is secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65_535, pattern = "^[\\s\\S]*$", nullable = false)]
    new: Option<String>,
    /// Its value before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65_535, pattern = "^[\\s\\S]*$", nullable = false)]
    old: Option<String>,
}

/// How many of one reason.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditCount {
    /// How many.
    count: i64,
    /// The reason's code.
    #[schema(max_length = 64, pattern = "^[a-z_]+$")]
    reason: String,
}

impl AuditEvent {
    /// A verdict, for the document.
    pub fn example() -> Self {
        Self {
            action: "postback.verdict",
            actor: "key:3",
            at_ms: Some(1_795_000_000_000),
            campaign: Some(1),
            changes: None,
            commitment: Some("a7".repeat(32)),
            count: None,
            counts: None,
            day: None,
            nonce: "3c".repeat(16),
            object: None,
            outcome: "recorded",
            policy_version: Some(1),
            reason: Some("accepted"),
            request_id: Some("req_01a0b1c2d3e47f00a1b2c3d4e5f60718".to_owned()),
            root: None,
            shop: Some(1),
            tenant: 1,
            test: None,
            v: 1,
        }
    }

    /// A click batch, for the document.
    pub fn batch() -> Self {
        Self {
            action: "click.batch",
            actor: "link",
            commitment: None,
            count: Some(2),
            outcome: "tracked",
            reason: None,
            request_id: None,
            root: Some("5e".repeat(32)),
            campaign: None,
            shop: None,
            ..Self::example()
        }
    }
}
