//! `/v1/consent-records`: what each decision was made on, as a record, as a receipt for the person, and decided again.

pub(in crate::edge) mod answer;
mod evidence;
mod receipt;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::json;
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoParams, IntoResponses};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::answer::{ConsentProof, ConsentRecord, ConsentRecordPage, ConsentReplay};
use self::receipt::ConsentReceipt;
use super::auth::Authenticated;
use super::looks::{LookQuery, MaybeLookQuery, NO_STORE, NoStore};
use super::objects::answers::{Invalid, NotFound};
use super::objects::fields::{Moment, ShopId};
use super::problem::Problem;
use super::request::{Id, Named, Query};
use crate::domain::consent::ConsentState;
use crate::domain::ids::RecordId;
use crate::domain::refusal::Reason;
use crate::flow::looks::Looker;
use crate::flow::records::{RecordQuery, RecordsFlow};

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 100;

/// The routes of this capability.
pub fn routes() -> OpenApiRouter<RecordsFlow> {
    OpenApiRouter::new()
        .routes(routes!(list_consent_records))
        .routes(routes!(read_consent_record))
        .routes(routes!(read_consent_receipt))
        .routes(routes!(replay_consent_record))
        .routes(routes!(read_consent_proof))
}

/// 410: the person was erased.
struct Erased;

impl IntoResponses for Erased {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let body = Problem::new(Reason::ConsentWithdrawn).body("req_01a0b1c2d3e47f00a1b2c3d4e5f60718");
        let mut content = Content::new(Some(Ref::from_schema_name("Problem")));
        content.example = Some(json!(body));
        let response = ResponseBuilder::new()
            .description("The person's data was erased.")
            .content("application/problem+json", content)
            .build();
        BTreeMap::from([("410".to_owned(), RefOr::T(response))])
    }
}

/// Which records are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct RecordsQuery {
    /// Only those of this token's click; a token that does not open here has none.
    #[param(
        min_length = 1,
        max_length = 120,
        pattern = "^[A-Za-z0-9_-]+$",
        nullable = false
    )]
    token: Option<String>,
    /// Only those of the click behind this order of a shop's, as long as the order may still be repeated.
    #[param(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    order_id: Option<String>,
    /// The order's goal; `order` if left out. Only with `order_id`.
    #[param(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    goal: Option<String>,
    /// The order's shop; any if left out. Only with `order_id`.
    #[param(value_type = Option<String>, max_length = 36, pattern = "^sho_[0-9a-f]{32}$", nullable = false)]
    shop: Option<ShopId>,
    /// Decided at this time or later; postbacks to the second.
    #[param(value_type = Option<String>, format = DateTime, nullable = false, example = "2026-11-01T00:00:00Z")]
    from: Option<Moment>,
    /// Decided before this time.
    #[param(value_type = Option<String>, format = DateTime, nullable = false, example = "2026-12-01T00:00:00Z")]
    to: Option<Moment>,
    /// Decided on this state.
    #[param(value_type = Option<String>, max_length = 9, pattern = "^(granted|denied|unknown|malformed)$", nullable = false)]
    state: Option<ConsentState>,
    /// Records on a page; 50 if left out.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 100, nullable = false, example = 50)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    #[param(
        min_length = 64,
        max_length = 96,
        pattern = "^csr_[A-Za-z0-9_-]{60,92}$",
        nullable = false
    )]
    cursor: Option<String>,
}

impl RecordsQuery {
    fn checked(self) -> Result<RecordQuery, Problem> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Problem::invalid("limit", "must be 1 to 100"));
        }
        for (name, text, longest) in [
            ("token", &self.token, 120),
            ("order_id", &self.order_id, 255),
            ("goal", &self.goal, 255),
        ] {
            let Some(text) = text else { continue };
            if !(1..=longest).contains(&text.chars().count()) || text.chars().any(char::is_control) {
                return Err(Problem::invalid(name, "is empty, too long or unprintable"));
            }
        }
        let in_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if self
            .token
            .as_ref()
            .is_some_and(|token| !token.bytes().all(in_alphabet))
        {
            return Err(Problem::invalid("token", "must be a tracking token"));
        }
        let broken = |_| Problem::invalid("cursor", "must be a next_cursor of this list");
        let cursor = self.cursor.map(|text| text.parse::<RecordId>().map_err(broken));
        Ok(RecordQuery {
            token: self.token,
            order_id: self.order_id,
            goal: self.goal,
            shop: self.shop.map(Into::into),
            from_ms: self.from.map(|Moment(at_ms)| at_ms),
            until_ms: self.to.map(|Moment(at_ms)| at_ms),
            state: self.state,
            cursor: cursor.transpose()?,
            limit,
        })
    }
}

/// List consent records
///
/// One for every tracked click, accepted postback and later signal, in this order, each in the order of time. What was
/// refused left none. A click is named by the commitment that names it in the audit trail, never by itself; what was
/// sealed is shown by the single record.
#[utoipa::path(get, path = "/v1/consent-records", operation_id = "list_consent_records", tag = "consent-records",
    security(("bearer" = [])), params(RecordsQuery),
    responses(
        (status = 200, description = "A page.", body = ConsentRecordPage, example = json!(ConsentRecordPage::example())),
        Invalid, NotFound,
    ))]
async fn list_consent_records(
    State(flow): State<RecordsFlow>,
    Authenticated(principal): Authenticated,
    Query(query): Query<RecordsQuery>,
) -> Result<Json<ConsentRecordPage>, Problem> {
    let page = flow.list(&principal, &query.checked()?).await?;
    Ok(Json(ConsentRecordPage::of(page)))
}

/// Read a consent record
///
/// With a `reason`, the privacy role also sees what the decision was made on: every kind of signal as it was understood,
/// the TC string's banner, list, dates and standing towards the tenant, the notice, the decoder. Each such look is in the
/// audit trail before it is shown; who may not look is refused. Without a reason nothing of what was sealed is shown.
/// The server's operator may look under a grant of the `tenant`, and not otherwise (`no_grant`).
#[utoipa::path(get, path = "/v1/consent-records/{id}", operation_id = "read_consent_record", tag = "consent-records",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The record's id.", min_length = 64, max_length = 96,
        pattern = "^csr_[A-Za-z0-9_-]{60,92}$"), MaybeLookQuery),
    responses(
        (status = 200, description = "The record.", body = ConsentRecord, example = json!(ConsentRecord::example())),
        Invalid, NotFound, Erased,
    ))]
async fn read_consent_record(
    State(flow): State<RecordsFlow>,
    Authenticated(principal): Authenticated,
    Named(request): Named,
    Id(id): Id<RecordId>,
    Query(query): Query<MaybeLookQuery>,
) -> Result<(NoStore, Json<ConsentRecord>), Problem> {
    let look = query.look()?;
    let looker = Looker {
        principal: &principal,
        tenant: query.tenant(),
        request,
    };
    let shown = flow.read(&looker, &id, look).await?;
    let unmasked = look.is_some_and(|look| look.unmasked);
    Ok((NO_STORE, Json(ConsentRecord::of(&shown, unmasked))))
}

/// Issue a consent receipt
///
/// What the person may be given, whole with `unmasked=true`: an ISO/IEC TS 27560 receipt in terms of W3C's Data Privacy
/// Vocabulary, with the controller from the tenant's configuration. Each issuing is in the audit trail with its reason
/// before anything is shown.
#[utoipa::path(get, path = "/v1/consent-records/{id}/receipt", operation_id = "read_consent_receipt",
    tag = "consent-records", security(("bearer" = [])),
    params(("id" = String, Path, description = "The record's id.", min_length = 64, max_length = 96,
        pattern = "^csr_[A-Za-z0-9_-]{60,92}$"), LookQuery),
    responses(
        (status = 200, description = "The receipt.", body = ConsentReceipt, example = json!(ConsentReceipt::example())),
        Invalid, NotFound, Erased,
    ))]
async fn read_consent_receipt(
    State(flow): State<RecordsFlow>,
    Authenticated(principal): Authenticated,
    Named(request): Named,
    Id(id): Id<RecordId>,
    Query(query): Query<LookQuery>,
) -> Result<(NoStore, Json<ConsentReceipt>), Problem> {
    let look = query.look();
    let looker = Looker {
        principal: &principal,
        tenant: None,
        request,
    };
    let receipt = flow.receipt(&looker, &id, look).await?;
    Ok((NO_STORE, Json(ConsentReceipt::of(&receipt, look.unmasked))))
}

/// Decide a record again
///
/// Makes the decision again from the recorded inputs, under the recorded policy version, with the code in force, and
/// compares. Nothing of what was sealed is shown.
#[utoipa::path(get, path = "/v1/consent-records/{id}/replay", operation_id = "replay_consent_record",
    tag = "consent-records", security(("bearer" = [])),
    params(("id" = String, Path, description = "The record's id.", min_length = 64, max_length = 96,
        pattern = "^csr_[A-Za-z0-9_-]{60,92}$")),
    responses(
        (status = 200, description = "What it comes to.", body = ConsentReplay, example = json!(ConsentReplay::example())),
        Invalid, NotFound, Erased,
    ))]
async fn replay_consent_record(
    State(flow): State<RecordsFlow>,
    Authenticated(principal): Authenticated,
    Named(request): Named,
    Id(id): Id<RecordId>,
) -> Result<Json<ConsentReplay>, Problem> {
    let replayed = flow.replay(&principal, &id, request).await?;
    Ok(Json(ConsentReplay::of(&replayed)))
}

/// Read what remains of a consent record
///
/// Time, state and policy version, without anything that leads to a click. It outlives the record itself: a year by default
/// (`minimal_proof`). Nothing remains of an erased person's record.
#[utoipa::path(get, path = "/v1/consent-records/{id}/proof", operation_id = "read_consent_proof",
    tag = "consent-records", security(("bearer" = [])),
    params(("id" = String, Path, description = "The record's id.", min_length = 64, max_length = 96,
        pattern = "^csr_[A-Za-z0-9_-]{60,92}$")),
    responses(
        (status = 200, description = "What remains.", body = ConsentProof, example = json!(ConsentProof::example())),
        Invalid, NotFound, Erased,
    ))]
async fn read_consent_proof(
    State(flow): State<RecordsFlow>,
    Authenticated(principal): Authenticated,
    Id(id): Id<RecordId>,
) -> Result<Json<ConsentProof>, Problem> {
    let proof = flow.proof(&principal, &id).await?;
    Ok(Json(ConsentProof::of(&proof)))
}
