//! `/v1/audit/evidence-packs`: packs are ordered, watched and fetched.

use std::io;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Authenticated;
use super::objects::answers::{Clashing, Invalid, Missing, NotFound};
use super::objects::fields::Moment;
use super::problem::Problem;
use super::request::{Id, Json, Named, Query, given};
use super::time::rfc3339;
use crate::domain::ids::EvidencePackId;
use crate::flow::audit::packs::{PackFlow, PackOrder, PackQuery, PackState, SAMPLE_MAX};

const LIMIT_DEFAULT: u64 = 50;
const LIMIT_MAX: u64 = 100;
/// The greatest size in requests: what every JSON reader holds exactly (RFC 8259, section 6).
const SIZE_MAX: u64 = (1 << 53) - 1;

/// The routes of this capability.
pub fn routes() -> OpenApiRouter<PackFlow> {
    OpenApiRouter::new()
        .routes(routes!(order_evidence_pack, list_evidence_packs))
        .routes(routes!(read_evidence_pack))
        .routes(routes!(fetch_evidence_pack))
}

/// What is to be packed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "2026-07-01T00:00:00Z", "to": "2026-10-01T00:00:00Z"}))]
pub struct EvidencePackOrder {
    /// From this moment.
    from: Moment,
    /// Up to before this moment: at most 366 days later, and not in the future.
    to: Moment,
    /// By the checkpoint of this size; the latest if left out.
    #[serde(default, deserialize_with = "given")]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, nullable = false)]
    checkpoint_size: Option<u64>,
    /// What draws the sample, 32 bytes in hexadecimal: the same seed draws the same decisions. A random one if left out.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        min_length = 64,
        max_length = 64,
        pattern = "^[0-9a-f]{64}$",
        nullable = false
    )]
    seed: Option<String>,
    /// How many decisions are drawn; 100 if left out.
    #[serde(default, deserialize_with = "given")]
    #[schema(minimum = 0, maximum = 1000, nullable = false)]
    sample: Option<u32>,
    /// The credential whose doings the scope of a breach is to hold, as entries name it (`key:3`, `user:2`).
    #[serde(default, deserialize_with = "given")]
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[a-z_]+(:([0-9]{1,19}|[0-9a-f]{32}))?$",
        nullable = false
    )]
    credential: Option<String>,
}

impl EvidencePackOrder {
    fn checked(self) -> Result<PackQuery, Problem> {
        let seed = self.seed.map(|text| {
            let mut seed = [0; 32];
            let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
            let read = hex::decode_to_slice(&text, &mut seed).is_ok() && is_lower;
            read.then_some(seed)
                .ok_or_else(|| Problem::invalid("seed", "must be 64 lower-case hexadecimal digits"))
        });
        if self
            .checkpoint_size
            .is_some_and(|size| !(1..=SIZE_MAX).contains(&size))
        {
            return Err(Problem::invalid("checkpoint_size", "is out of range"));
        }
        if self.sample.is_some_and(|sample| sample > SAMPLE_MAX) {
            return Err(Problem::invalid("sample", "must be 0 to 1000"));
        }
        if self.credential.as_deref().is_some_and(|text| !is_actor(text)) {
            return Err(Problem::invalid(
                "credential",
                "must be an actor as entries write it",
            ));
        }
        Ok(PackQuery {
            from_ms: self.from.0,
            to_ms: self.to.0,
            size: self.checkpoint_size,
            seed: seed.transpose()?,
            sample: self.sample,
            credential: self.credential,
        })
    }
}

fn is_actor(text: &str) -> bool {
    let (word, number) = match text.split_once(':') {
        Some((word, number)) => (word, Some(number)),
        None => (text, None),
    };
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let is_name = |number: &str| {
        let digits = (1..=19).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        let digest = number.len() == 32
            && number
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        digits || digest
    };
    (1..=64).contains(&text.len())
        && !word.is_empty()
        && word.bytes().all(is_word)
        && number.is_none_or(is_name)
}

/// An evidence pack.
#[derive(Debug, Serialize, ToSchema)]
pub struct EvidencePack {
    /// Its id.
    #[schema(value_type = String, max_length = 36, pattern = "^evp_[0-9a-f]{32}$")]
    id: EvidencePackId,
    /// `queued`, `running`, `done` or `failed`.
    #[schema(value_type = String, max_length = 7, pattern = "^(queued|running|done|failed)$")]
    state: &'static str,
    /// From this moment.
    #[schema(format = DateTime)]
    from: String,
    /// Up to before this moment.
    #[schema(format = DateTime)]
    to: String,
    /// The epoch of the log.
    #[schema(minimum = 0)]
    epoch: i64,
    /// The size of the log that it goes by.
    #[schema(minimum = 1)]
    checkpoint_size: u64,
    /// What draws the sample.
    #[schema(min_length = 64, max_length = 64, pattern = "^[0-9a-f]{64}$")]
    seed: String,
    /// How many decisions are drawn at most.
    #[schema(minimum = 0, maximum = 1000)]
    sample: u32,
    /// How many entries were looked at so far, of `checkpoint_size`.
    #[schema(minimum = 0)]
    entries_seen: u64,
    /// When it was ordered.
    #[schema(format = DateTime)]
    ordered_at: String,
    /// When it was done or failed.
    #[schema(required, format = DateTime)]
    ended_at: Option<String>,
    /// The file's bytes.
    #[schema(required, minimum = 0)]
    bytes: Option<u64>,
    /// The file's SHA-256.
    #[schema(required, min_length = 64, max_length = 64, pattern = "^[0-9a-f]{64}$")]
    sha256: Option<String>,
}

impl EvidencePack {
    fn of(order: &PackOrder) -> Self {
        Self {
            id: EvidencePackId(order.id),
            state: order.state.code(),
            from: rfc3339(order.from_ms),
            to: rfc3339(order.to_ms),
            epoch: order.log.epoch,
            checkpoint_size: order.size,
            seed: hex::encode(order.seed),
            sample: order.sample,
            entries_seen: order.seen,
            ordered_at: rfc3339(order.ordered_at_ms),
            ended_at: order.ended_at_ms.map(rfc3339),
            bytes: order.file.map(|(bytes, _)| bytes),
            sha256: order.file.map(|(_, digest)| hex::encode(digest)),
        }
    }

    fn example() -> Self {
        Self {
            id: EvidencePackId(uuid::Uuid::from_u128(0x01a0_b1c2_d3e4_7f00_a1b2_c3d4_e5f6_0718)),
            state: PackState::Running.code(),
            from: "2026-07-01T00:00:00.000Z".to_owned(),
            to: "2026-10-01T00:00:00.000Z".to_owned(),
            epoch: 0,
            checkpoint_size: 481_516,
            seed: hex::encode([0x42; 32]),
            sample: 100,
            entries_seen: 131_072,
            ordered_at: "2026-11-28T09:00:00.000Z".to_owned(),
            ended_at: None,
            bytes: None,
            sha256: None,
        }
    }
}

/// A page of packs.
#[derive(Debug, Serialize, ToSchema)]
pub struct EvidencePacks {
    /// The packs, the latest first.
    #[schema(max_items = 100)]
    items: Vec<EvidencePack>,
    /// Names the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 36, pattern = "^evp_[0-9a-f]{32}$", nullable = false)]
    next_cursor: Option<EvidencePackId>,
}

/// Which page of the list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EvidencePacksQuery {
    /// Packs on a page; 50 if left out.
    #[param(minimum = 1, maximum = 100, nullable = false, example = 50)]
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    #[param(max_length = 36, pattern = "^evp_[0-9a-f]{32}$", nullable = false)]
    cursor: Option<String>,
}

/// Order an evidence pack
///
/// What the audit log says of a period, as a ZIP that verifies offline: records of processing (GDPR Article 30), policies,
/// decisions by day and reason, erasures, retention, requests, keys, access, the scope of a breach (Article 33), and a
/// random sample of decisions, each with its proof. It is made in the background; nobody is named in it. A pack is kept
/// for 90 days and can be ordered again: the same checkpoint and seed draw the same sample.
#[utoipa::path(post, path = "/v1/audit/evidence-packs", operation_id = "order_evidence_pack", tag = "audit",
    security(("bearer" = [])), request_body = EvidencePackOrder,
    responses(
        (status = 202, description = "The order.", body = EvidencePack, example = json!(EvidencePack::example())),
        Invalid, Missing,
    ))]
async fn order_evidence_pack(
    State(flow): State<PackFlow>,
    Authenticated(principal): Authenticated,
    Named(request): Named,
    Json(body): Json<EvidencePackOrder>,
) -> Result<Response, Problem> {
    let order = flow.order(&principal, &body.checked()?, request).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(EvidencePack::of(&order))).into_response())
}

/// List evidence packs
///
/// The tenant's packs of the last 90 days, the latest first.
#[utoipa::path(get, path = "/v1/audit/evidence-packs", operation_id = "list_evidence_packs", tag = "audit",
    security(("bearer" = [])), params(EvidencePacksQuery),
    responses(
        (status = 200, description = "A page.", body = EvidencePacks,
            example = json!(EvidencePacks { items: vec![EvidencePack::example()], next_cursor: None })),
        Invalid,
    ))]
async fn list_evidence_packs(
    State(flow): State<PackFlow>,
    Authenticated(principal): Authenticated,
    Query(query): Query<EvidencePacksQuery>,
) -> Result<axum::Json<EvidencePacks>, Problem> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::invalid("limit", "must be 1 to 100"));
    }
    let broken = |_| Problem::invalid("cursor", "must be a next_cursor of this list");
    let after = query
        .cursor
        .map(|text| text.parse::<EvidencePackId>().map_err(broken));
    let after = after.transpose()?.map(|EvidencePackId(id)| id);
    let mut orders = flow.list(&principal, after, limit + 1).await?;
    let more = orders.len() as u64 > limit;
    orders.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(axum::Json(EvidencePacks {
        next_cursor: orders.last().filter(|_| more).map(|last| EvidencePackId(last.id)),
        items: orders.iter().map(EvidencePack::of).collect(),
    }))
}

/// Read how far an evidence pack is
///
/// `entries_seen` grows while it is made.
#[utoipa::path(get, path = "/v1/audit/evidence-packs/{id}", operation_id = "read_evidence_pack", tag = "audit",
    security(("bearer" = [])), params(PackPath),
    responses(
        (status = 200, description = "The pack.", body = EvidencePack, example = json!(EvidencePack::example())),
        Invalid, NotFound,
    ))]
async fn read_evidence_pack(
    State(flow): State<PackFlow>,
    Authenticated(principal): Authenticated,
    Id(EvidencePackId(id)): Id<EvidencePackId>,
) -> Result<axum::Json<EvidencePack>, Problem> {
    Ok(axum::Json(EvidencePack::of(&flow.read(&principal, id).await?)))
}

/// Which pack.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it only describes the path")]
struct PackPath {
    /// The pack's id.
    #[param(max_length = 36, pattern = "^evp_[0-9a-f]{32}$")]
    id: String,
}

/// A pack's file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary, max_length = 1_073_741_824)]
#[expect(dead_code, reason = "it only describes the bytes of an answer")]
struct PackBytes(Vec<u8>);

/// Fetch an evidence pack
///
/// The ZIP. `einklang audit verify-pack` and standard tools check it without a server; read `index.en.html` or
/// `index.de.html` first. Fetching it is an entry of the log.
#[utoipa::path(get, path = "/v1/audit/evidence-packs/{id}/file", operation_id = "fetch_evidence_pack", tag = "audit",
    security(("bearer" = [])), params(PackPath),
    responses(
        (status = 200, description = "The pack.", body = PackBytes, content_type = "application/zip"),
        Invalid, NotFound, Clashing,
    ))]
async fn fetch_evidence_pack(
    State(flow): State<PackFlow>,
    Authenticated(principal): Authenticated,
    Named(request): Named,
    Id(EvidencePackId(id)): Id<EvidencePackId>,
) -> Result<Response, Problem> {
    let order = flow.fetch(&principal, id, request).await?;
    let bytes = order.file.map(|(bytes, _)| bytes);
    let disposition = format!("attachment; filename=\"{}.zip\"", EvidencePackId(id));
    let parts = stream::try_unfold((flow, order, 0), |(flow, order, part)| async move {
        match flow.part(&order, part).await {
            Ok(content) => Ok(content.map(|bytes| (Bytes::from(bytes), (flow, order, part + 1)))),
            Err(error) => {
                tracing::error!(%error, "an evidence pack could not be sent whole");
                Err(io::Error::other("broken off"))
            }
        }
    });
    let mut response = Response::new(Body::from_stream(parts));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    if let Some(bytes) = bytes {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    }
    Ok(response)
}
