//! Checkpoints, consistency between them, the keys that verify them, and the proof of a click.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::{AuditCheckpoint, AuditConsistency, AuditKeys};
use super::opened::AuditClickProof;
use super::published::LogText;
use super::{EpochNumber, Erased, NotThere, Place, Places, plain, prefers_text};
use crate::domain::ids::RecordId;
use crate::edge::auth::Authenticated;
use crate::edge::objects::answers::Invalid;
use crate::edge::objects::fields::Moment;
use crate::edge::problem::Problem;
use crate::edge::request::Query;
use crate::flow::audit::AuditFlow;
use crate::flow::audit::read::CheckpointRef;

/// Prove a click
///
/// A click is in the log through its batch. Given the id of its consent record, this shows the bytes of the click's own
/// event, the way from their hash to the root that stands in the batch's entry, and the proof of that entry.
#[utoipa::path(get, path = "/v1/audit/clicks/{record}/proof", operation_id = "prove_click", tag = "audit",
    security(("bearer" = [])),
    params(("record" = String, Path, description = "The id of the click's consent record.", min_length = 64,
        max_length = 96, pattern = "^csr_[A-Za-z0-9_-]{60,92}$")),
    responses(
        (status = 200, description = "The proof.", body = AuditClickProof, example = json!(AuditClickProof::example())),
        Invalid, NotThere, Erased,
    ))]
pub(super) async fn prove_click(
    State(flow): State<AuditFlow>,
    Authenticated(principal): Authenticated,
    places: Places,
) -> Result<Json<AuditClickProof>, Problem> {
    let words = "must be the id of a consent record";
    let id: RecordId = places.read("record", words, |text| text.parse().ok())?;
    let proof = flow.prove_click(&principal, &id).await?;
    Ok(Json(AuditClickProof::of(&proof)))
}

/// Which checkpoint is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckpointQuery {
    /// The last one that was signed at this time or before.
    #[param(value_type = Option<String>, format = DateTime, nullable = false, example = "2026-12-01T00:00:00Z")]
    at: Option<Moment>,
    /// The one of this size. Not beside `at`.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 9_007_199_254_740_991_i64, nullable = false)]
    size: Option<Place>,
    /// Of this epoch; the latest if left out, and with `at` whichever signed then.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 2_147_483_647, nullable = false, example = 0)]
    epoch: Option<EpochNumber>,
}

/// Read a checkpoint
///
/// The log's state at a moment: its size and root, signed. The latest one if nothing is asked for; `text/plain` gives the
/// signed note alone.
#[utoipa::path(get, path = "/v1/audit/checkpoint", operation_id = "read_audit_checkpoint", tag = "audit",
    security(("bearer" = [])), params(CheckpointQuery),
    responses(
        (status = 200, description = "The checkpoint.", content(
            (AuditCheckpoint = "application/json", example = json!(AuditCheckpoint::example())),
            (LogText = "text/plain", example = "ads.example/audit/server/0\n1\np6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6c=\n"),
        )),
        Invalid, NotThere,
    ))]
pub(super) async fn read_audit_checkpoint(
    State(flow): State<AuditFlow>,
    Authenticated(principal): Authenticated,
    headers: HeaderMap,
    Query(query): Query<CheckpointQuery>,
) -> Result<Response, Problem> {
    let which = match (query.at, query.size) {
        (None, None) => CheckpointRef::Latest,
        (Some(Moment(at_ms)), None) => CheckpointRef::At(at_ms),
        (None, Some(Place(size))) => CheckpointRef::Size(size),
        (Some(_), Some(_)) => return Err(Problem::invalid("size", "stands without at")),
    };
    let epoch = query.epoch.map(|EpochNumber(epoch)| epoch);
    let shown = flow.checkpoint(&principal, epoch, which).await?;
    if prefers_text(&headers) {
        return Ok(plain(shown.signed.note));
    }
    Ok(Json(AuditCheckpoint::of(&shown)).into_response())
}

/// Between which sizes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsistencyQuery {
    /// The smaller size.
    #[param(value_type = u64, minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 1)]
    from: Place,
    /// The greater size.
    #[param(value_type = u64, minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 1)]
    to: Place,
    /// Of this epoch; the latest if left out.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 2_147_483_647, nullable = false, example = 0)]
    epoch: Option<EpochNumber>,
}

/// Prove that the log only grew
///
/// The consistency proof of RFC 6962 between any two sizes that the log has or had, with the checkpoints of those sizes
/// as far as they were signed.
#[utoipa::path(get, path = "/v1/audit/consistency", operation_id = "prove_audit_consistency", tag = "audit",
    security(("bearer" = [])), params(ConsistencyQuery),
    responses(
        (status = 200, description = "The proof.", body = AuditConsistency, example = json!(AuditConsistency::example())),
        Invalid, NotThere,
    ))]
pub(super) async fn prove_audit_consistency(
    State(flow): State<AuditFlow>,
    Authenticated(principal): Authenticated,
    Query(query): Query<ConsistencyQuery>,
) -> Result<Json<AuditConsistency>, Problem> {
    let epoch = query.epoch.map(|EpochNumber(epoch)| epoch);
    let sizes = [query.from.0, query.to.0];
    let proof = flow.consistency(&principal, epoch, sizes).await?;
    Ok(Json(AuditConsistency::of(&proof)))
}

/// Of which epoch.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct KeysQuery {
    /// Of this epoch; of all if left out.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 2_147_483_647, nullable = false, example = 0)]
    epoch: Option<EpochNumber>,
}

/// List the keys of the log
///
/// What verifies the caller's log, one item for each epoch, in the forms that foreign tools take.
#[utoipa::path(get, path = "/v1/audit/keys", operation_id = "list_audit_keys", tag = "audit",
    security(("bearer" = [])), params(KeysQuery),
    responses(
        (status = 200, description = "The keys.", body = AuditKeys, example = json!(AuditKeys::example())),
        Invalid, NotThere,
    ))]
pub(super) async fn list_audit_keys(
    State(flow): State<AuditFlow>,
    Authenticated(principal): Authenticated,
    Query(query): Query<KeysQuery>,
) -> Result<Json<AuditKeys>, Problem> {
    let epoch = query.epoch.map(|EpochNumber(epoch)| epoch);
    Ok(Json(AuditKeys::of(flow.keys(&principal, epoch).await?)))
}
