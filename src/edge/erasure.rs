//! `/v1/erasures`: erasing a person, what was erased, and the certificate of it.

use axum::Json as Answer;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::NotThere;
use super::auth::Authenticated;
use super::objects::answers::{Invalid, Missing, NotFound};
use super::objects::fields::{Moment, ShopId};
use super::person::PersonNames;
use super::problem::Problem;
use super::request::{Id, Json, Named, Query, given};
use crate::audit::certificate::Certificate;
use crate::domain::erasure::{Door, Ground};
use crate::domain::ids::{AuditEntryId, ErasureId};
use crate::flow::audit::AuditFlow;
use crate::flow::consent::About;
use crate::flow::erasure::{Erasure, ErasureBy, ErasureFlow};

const LIMIT_DEFAULT: u64 = 50;
const LIMIT_MAX: u64 = 100;

/// The flows that these routes need, and how long what PostgreSQL keeps may stay.
#[derive(Clone)]
pub struct ErasureRoutes {
    /// Erases.
    pub erasure: ErasureFlow,
    /// Attests it.
    pub audit: AuditFlow,
    /// For certificates.
    pub remains_hours: u32,
}

/// The routes.
pub fn routes() -> OpenApiRouter<ErasureRoutes> {
    OpenApiRouter::new()
        .routes(routes!(create_erasure))
        .routes(routes!(list_erasures))
        .routes(routes!(read_erasure))
        .routes(routes!(read_erasure_certificate))
}

/// Whom to erase. Names the person by exactly one of `token`, `order_id` and `customer_ref`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"customer_ref": "c-20311"}))]
pub struct ErasureRequest {
    /// The tracking token.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        min_length = 1,
        max_length = 120,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    token: Option<String>,
    /// A shop's order id.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    order_id: Option<String>,
    /// The order's goal; `order` if left out. Only with `order_id`.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    goal: Option<String>,
    /// A shop's pseudonym for the person.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    customer_ref: Option<String>,
    /// The shop whose reference it is; any of the tenant's if left out.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 36, pattern = "^sho_[0-9a-f]{32}$", nullable = false)]
    shop: Option<ShopId>,
    /// Why; `erasure_requested` if left out.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        max_length = 32,
        pattern = "^(erasure_requested|consent_withdrawn|objection|no_longer_needed|unlawful_processing|legal_obligation)$",
        nullable = false
    )]
    reason: Option<String>,
}

impl ErasureRequest {
    fn about(&self) -> Result<About<'_>, Problem> {
        let names = PersonNames {
            token: self.token.as_deref(),
            order_id: self.order_id.as_deref(),
            goal: self.goal.as_deref(),
            customer_ref: self.customer_ref.as_deref(),
        };
        names.check()?;
        if self.goal.is_some() && self.order_id.is_none() {
            return Err(Problem::invalid("goal", "stands with order_id only"));
        }
        names.about()
    }

    fn ground(&self) -> Result<Option<Ground>, Problem> {
        let Some(code) = &self.reason else { return Ok(None) };
        let ground = Ground::from_code(code).filter(|ground| *ground != Ground::ConsentDenied);
        ground
            .map(Some)
            .ok_or_else(|| Problem::invalid("reason", "is not one of the codes"))
    }
}

/// That it was done. It looks the same whether or not anything was found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "era_01a0b1c2d3e47f00a1b2c3d4e5f60718",
    "request_id": "req_00000000000040008000000000000000"}))]
pub struct ErasureAccepted {
    /// The act: `GET /v1/erasures/{id}` says what went, its certificate attests it.
    #[schema(value_type = String, max_length = 36, pattern = "^era_[0-9a-f]{32}$")]
    id: ErasureId,
    /// Names the request in support questions and in the audit trail.
    #[schema(max_length = 36, pattern = "^req_[0-9a-f]{32}$")]
    request_id: String,
}

/// An act of erasing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erasure)]
pub struct ErasureBody {
    /// Its id.
    #[schema(value_type = String, max_length = 36, pattern = "^era_[0-9a-f]{32}$")]
    id: ErasureId,
    /// When; of a refusal or withdrawal the beginning of its hour.
    erased_at: Moment,
    /// Where it was asked for.
    #[schema(value_type = String, max_length = 16,
        pattern = "^(withdrawal|subject_request|opendsr|command_line|objection|postback)$")]
    door: &'static str,
    /// Why.
    #[schema(
        max_length = 32,
        pattern = "^(erasure_requested|consent_withdrawn|consent_denied|objection|no_longer_needed|unlawful_processing|legal_obligation)$"
    )]
    reason: String,
    /// Clicks that went, each with its keys.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    clicks: u64,
    /// Conversions that lost everything personal; their amounts stay in the totals.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    conversions: u64,
    /// Records of later signals that went.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    consent_records: u64,
    /// Customer references that went.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    customer_refs: u64,
    /// Keyed hashes that keep late postbacks out.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    suppressed: u64,
    /// The audit entry that says so.
    #[schema(value_type = String, max_length = 36, pattern = "^aud_[0-9a-f]{32}$")]
    entry: AuditEntryId,
}

impl ErasureBody {
    fn of(act: &Erasure) -> Self {
        Self {
            id: ErasureId(act.id),
            erased_at: Moment(act.erased_at_ms),
            door: act.door.code(),
            reason: act.ground.code().to_owned(),
            clicks: act.counts.clicks,
            conversions: act.counts.conversions,
            consent_records: act.counts.consent_records,
            customer_refs: act.counts.customer_refs,
            suppressed: act.counts.suppressed,
            entry: AuditEntryId(act.entry),
        }
    }

    fn example() -> Self {
        let id = uuid::Uuid::from_u128(0x01a0_b1c2_d3e4_7f00_a1b2_c3d4_e5f6_0718);
        Self {
            id: ErasureId(id),
            erased_at: Moment(1_790_000_000_000),
            door: Door::SubjectRequest.code(),
            reason: Ground::ErasureRequested.code().to_owned(),
            clicks: 3,
            conversions: 1,
            consent_records: 0,
            customer_refs: 1,
            suppressed: 4,
            entry: AuditEntryId(id),
        }
    }
}

/// A page of acts.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErasurePage {
    /// The acts, oldest first.
    #[schema(max_items = 100)]
    items: Vec<ErasureBody>,
    /// Names the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 36, pattern = "^era_[0-9a-f]{32}$", nullable = false)]
    next_cursor: Option<ErasureId>,
}

impl ErasurePage {
    fn example() -> Self {
        let first = ErasureBody::example();
        Self {
            next_cursor: Some(first.id),
            items: vec![first],
        }
    }
}

/// Which page of the list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ErasuresQuery {
    /// Acts on a page; 50 if left out.
    #[param(minimum = 1, maximum = 100, nullable = false, example = 50)]
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>, max_length = 36, pattern = "^era_[0-9a-f]{32}$", nullable = false)]
    cursor: Option<String>,
}

/// A certificate of erasure. `document` is a JSON text of its own: the signature is over exactly its bytes.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErasureCertificate {
    /// What is attested: what went, what remains on which ground, and the entry in the audit log.
    #[schema(max_length = 16384, pattern = "^\\{[\\s\\S]*\\}\\s*$")]
    document: String,
    /// The public key that verifies it, as PEM; trust the one that you had from elsewhere.
    #[schema(max_length = 256, pattern = "^-----BEGIN PUBLIC KEY-----[\\s\\S]+$")]
    public_key: String,
    /// Ed25519, in base64.
    #[schema(max_length = 88, pattern = "^[A-Za-z0-9+/]{86}==$")]
    signature: String,
}

impl ErasureCertificate {
    fn of(certificate: Certificate) -> Self {
        Self {
            document: certificate.document,
            public_key: certificate.public_key,
            signature: certificate.signature,
        }
    }

    fn example() -> Self {
        Self {
            document: "{\"database\":\"sqlite\",\"door\":\"subject_request\"}".to_owned(),
            public_key: "-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n".to_owned(),
            signature: format!("{}==", "A".repeat(86)),
        }
    }
}

/// Erase a person
///
/// Everything that names the person goes, at any of the tenant's shops: the clicks that the reference leads to, and every
/// click whose orders name the same person as theirs do. Keys are destroyed, late postbacks stay out, totals stay. The
/// answer is the same for a reference that is not known here.
#[utoipa::path(post, path = "/v1/erasures", operation_id = "create_erasure", tag = "erasures",
    security(("bearer" = [])),
    request_body(content = ErasureRequest, description = "Whom, and why."),
    responses(
        (status = 200, description = "Done.", body = ErasureAccepted),
        Invalid, Missing,
    ))]
pub async fn create_erasure(
    State(routes): State<ErasureRoutes>,
    Authenticated(principal): Authenticated,
    Named(request): Named,
    Json(mut body): Json<ErasureRequest>,
) -> Result<Answer<ErasureAccepted>, Problem> {
    let shop = body.shop.take();
    let (about, ground) = (body.about()?, body.ground()?);
    let shop = match shop {
        Some(shop) => Some(routes.erasure.shop(principal.tenant, shop.into()).await?),
        None => None,
    };
    let by = ErasureBy {
        tenant: principal.tenant,
        shop,
        actor: principal.actor(),
        request: Some(request),
        ground,
    };
    let door = match by.ground {
        Some(Ground::Objection) => Door::Objection,
        _ => Door::SubjectRequest,
    };
    let done = routes.erasure.erase(&by, about, door).await?;
    Ok(Answer(ErasureAccepted {
        id: ErasureId(done.erasure.unwrap_or_default()),
        request_id: request.to_string(),
    }))
}

/// List erasures
///
/// Every act of erasing, through whichever door, oldest first. None of them says who was erased.
#[utoipa::path(get, path = "/v1/erasures", operation_id = "list_erasures", tag = "erasures",
    security(("bearer" = [])), params(ErasuresQuery),
    responses(
        (status = 200, description = "A page.", body = ErasurePage, example = json!(ErasurePage::example())),
        Invalid,
    ))]
pub async fn list_erasures(
    State(routes): State<ErasureRoutes>,
    Authenticated(principal): Authenticated,
    Query(query): Query<ErasuresQuery>,
) -> Result<Answer<ErasurePage>, Problem> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::invalid("limit", "must be 1 to 100"));
    }
    let cursor = query.cursor.map(|text| text.parse::<ErasureId>()).transpose();
    let cursor = cursor.map_err(|_| Problem::invalid("cursor", "must be a next_cursor of this list"))?;
    let after = cursor.map(|id| id.0);
    let mut acts = routes.erasure.list(principal.tenant, after, limit + 1).await?;
    let more = u64::try_from(acts.len()).is_ok_and(|found| found > limit);
    if more {
        acts.pop();
    }
    Ok(Answer(ErasurePage {
        next_cursor: acts.last().filter(|_| more).map(|act| ErasureId(act.id)),
        items: acts.iter().map(ErasureBody::of).collect(),
    }))
}

/// Read an erasure
///
/// What went with one act, in numbers, and the audit entry that says so.
#[utoipa::path(get, path = "/v1/erasures/{id}", operation_id = "read_erasure", tag = "erasures",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The act's id.", max_length = 36, pattern = "^era_[0-9a-f]{32}$")),
    responses(
        (status = 200, description = "The act.", body = ErasureBody, example = json!(ErasureBody::example())),
        Invalid, NotFound,
    ))]
pub async fn read_erasure(
    State(routes): State<ErasureRoutes>,
    Authenticated(principal): Authenticated,
    Id(id): Id<ErasureId>,
) -> Result<Answer<ErasureBody>, Problem> {
    let act = routes.erasure.read(principal.tenant, id.0).await?;
    Ok(Answer(ErasureBody::of(&act)))
}

/// Get the certificate of an erasure
///
/// Signed with the key of the audit log: what went, in numbers; what remains, on which ground and how long; the entry in
/// the log. `einklang audit verify-certificate` verifies it offline, and so does openssl.
#[utoipa::path(get, path = "/v1/erasures/{id}/certificate", operation_id = "read_erasure_certificate",
    tag = "erasures", security(("bearer" = [])),
    params(("id" = String, Path, description = "The act's id.", max_length = 36, pattern = "^era_[0-9a-f]{32}$")),
    responses(
        (status = 200, description = "The certificate.", body = ErasureCertificate,
            example = json!(ErasureCertificate::example())),
        Invalid, NotThere,
    ))]
pub async fn read_erasure_certificate(
    State(routes): State<ErasureRoutes>,
    Authenticated(principal): Authenticated,
    Id(id): Id<ErasureId>,
) -> Result<Answer<ErasureCertificate>, Problem> {
    let certificate = routes
        .audit
        .certificate(&principal, id, routes.remains_hours)
        .await?;
    Ok(Answer(ErasureCertificate::of(certificate)))
}
