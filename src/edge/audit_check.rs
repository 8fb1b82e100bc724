//! `/v1/audit/check`: what the last tamper search found.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Authenticated;
use super::objects::answers::Invalid;
use super::request::Query;
use super::time::rfc3339;
use crate::audit::check::Finding;
use crate::flow::audit::check::{Checks, LookedAt, Shown};

/// The route.
pub fn routes() -> OpenApiRouter<Checks> {
    OpenApiRouter::new().routes(routes!(read_audit_check))
}

/// What the last search found.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditCheck {
    /// `clean`, `findings`, or `not_checked` before the first search has ended.
    #[schema(value_type = String, max_length = 16, pattern = "^(clean|findings|not_checked)$")]
    outcome: &'static str,
    /// When the search began.
    #[schema(required, max_length = 35, format = "date-time")]
    began_at: Option<String>,
    /// When it ended.
    #[schema(required, max_length = 35, format = "date-time")]
    ended_at: Option<String>,
    /// How much was looked at, over all tenants; for the server's operator only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    looked_at: Option<AuditCheckCounts>,
    /// What does not fit: the first of each kind in each log.
    #[schema(max_items = 10_000)]
    findings: Vec<AuditFinding>,
}

/// How much was looked at.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditCheckCounts {
    /// Logs, each epoch for itself.
    #[schema(minimum = 0)]
    logs: u64,
    /// Entries that have their place.
    #[schema(minimum = 0)]
    entries: u64,
    /// Entries that waited for theirs.
    #[schema(minimum = 0)]
    waiting: u64,
    /// Stored tiles.
    #[schema(minimum = 0)]
    tiles: u64,
    /// Checkpoints.
    #[schema(minimum = 0)]
    checkpoints: u64,
    /// Rows of clicks.
    #[schema(minimum = 0)]
    clicks: u64,
    /// Rows of conversions that are a person's.
    #[schema(minimum = 0)]
    conversions: u64,
    /// Moments in which later signals were recorded.
    #[schema(minimum = 0)]
    consent_records: u64,
    /// Rows of objects, policies and keys.
    #[schema(minimum = 0)]
    objects: u64,
}

/// Something that does not fit.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditFinding {
    /// What, by a stable code; docs/audit-check.md lists them.
    #[schema(value_type = String, max_length = 32, pattern = "^[a-z_]+$")]
    kind: &'static str,
    /// The log: a tenant's id, or `server`.
    #[schema(max_length = 36, pattern = "^(tnt_[0-9a-f]{32}|server|unknown)$")]
    log: String,
    /// The log's epoch, where it is about one.
    #[schema(required, minimum = 0)]
    epoch: Option<i64>,
    /// The first entry that it can be about, where it is about entries.
    #[schema(required, minimum = 0)]
    index: Option<u64>,
    /// Where, in words.
    #[schema(max_length = 256, pattern = "^[^\\r\\n]+$")]
    place: String,
    /// How many of this kind there are in this log.
    #[schema(minimum = 1)]
    count: u64,
}

impl AuditCheck {
    fn of(shown: Option<Shown>) -> Self {
        let Some(shown) = shown else {
            return Self {
                outcome: "not_checked",
                began_at: None,
                ended_at: None,
                looked_at: None,
                findings: Vec::new(),
            };
        };
        Self {
            outcome: if shown.findings.is_empty() {
                "clean"
            } else {
                "findings"
            },
            began_at: Some(rfc3339(shown.began_at_ms)),
            ended_at: Some(rfc3339(shown.ended_at_ms)),
            looked_at: shown.looked_at.map(AuditCheckCounts::from),
            findings: shown.findings.into_iter().map(AuditFinding::from).collect(),
        }
    }

    fn example() -> Self {
        Self {
            outcome: "findings",
            began_at: Some("2026-11-28T03:00:00.000Z".to_owned()),
            ended_at: Some("2026-11-28T03:00:07.412Z".to_owned()),
            looked_at: None,
            findings: vec![AuditFinding {
                kind: "entry_altered",
                log: "tnt_01a0b1c2d3e47f00a1b2c3d4e5f60718".to_owned(),
                epoch: Some(0),
                index: Some(4_711),
                place: "entry 4711".to_owned(),
                count: 1,
            }],
        }
    }
}

impl From<LookedAt> for AuditCheckCounts {
    fn from(at: LookedAt) -> Self {
        Self {
            logs: at.logs,
            entries: at.entries,
            waiting: at.waiting,
            tiles: at.tiles,
            checkpoints: at.checkpoints,
            clicks: at.clicks,
            conversions: at.conversions,
            consent_records: at.consent_records,
            objects: at.objects,
        }
    }
}

impl From<(String, Finding)> for AuditFinding {
    fn from((log, one): (String, Finding)) -> Self {
        Self {
            kind: one.kind.code(),
            log,
            epoch: one.epoch,
            index: one.index,
            place: one.place,
            count: one.count,
        }
    }
}

/// It takes no parameters, and says so to whoever sends one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoQuery {}

/// Read what the last tamper search found
///
/// The server compares its audit logs with themselves, with what was signed and with its tables, once a day unless it is
/// configured otherwise. The server's operator sees the whole result, everybody else their own tenant's part. Nothing in
/// it is about a person.
#[utoipa::path(get, path = "/v1/audit/check", operation_id = "read_audit_check", tag = "audit",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The last result.", body = AuditCheck, example = json!(AuditCheck::example())),
        Invalid,
    ))]
async fn read_audit_check(
    State(checks): State<Checks>,
    Authenticated(principal): Authenticated,
    Query(NoQuery {}): Query<NoQuery>,
) -> Json<AuditCheck> {
    Json(AuditCheck::of(checks.shown_to(&principal)))
}
