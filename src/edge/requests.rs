//! `/v1/subject-requests`: requests of people, from the day they come to the day they are answered.

mod answer;
mod body;
mod result;
mod values;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{StatusCode, header};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::answer::{SubjectRequest, SubjectRequestPage, SubjectRequestWhole};
use self::body::{NewSubjectRequest, SubjectRequestChange};
use self::result::SubjectData;
use super::auth::Authenticated;
use super::looks::{GrantedLookQuery, NO_STORE, NoStore};
use super::objects::answers::{Clashing, Gone, Invalid, Missing, NotFound};
use super::objects::fields::{Moment, RequestStatusWord, SubjectRequestId};
use super::problem::Problem;
use super::request::{Id, Json as Body, Named, Query};
use crate::flow::looks::Looker;
use crate::flow::requests::{By, CaseFilter, RequestsFlow};

const PATH: &str = "/v1/subject-requests";
const LIMIT_DEFAULT: u64 = 50;
const LIMIT_MAX: u64 = 100;

/// The routes.
pub fn routes() -> OpenApiRouter<RequestsFlow> {
    OpenApiRouter::new()
        .routes(routes!(create_subject_request))
        .routes(routes!(list_subject_requests))
        .routes(routes!(read_subject_request))
        .routes(routes!(change_subject_request))
        .routes(routes!(execute_subject_request))
        .routes(routes!(read_subject_request_result))
}

/// Which requests are asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RequestsQuery {
    /// In this status.
    #[param(value_type = Option<String>, max_length = 11, pattern = "^(pending|in_progress|completed|rejected|cancelled)$",
        nullable = false)]
    status: Option<RequestStatusWord>,
    /// `true`: only those whose deadline has passed with nothing done.
    #[param(nullable = false)]
    overdue: Option<bool>,
    /// Whose deadline ends before this.
    #[param(value_type = Option<String>, format = DateTime, nullable = false, example = "2026-12-01T00:00:00Z")]
    due_before: Option<Moment>,
    /// Requests on a page; 50 if left out.
    #[param(minimum = 1, maximum = 100, nullable = false, example = 50)]
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    #[param(
        min_length = 11,
        max_length = 11,
        pattern = "^[A-Za-f][A-Za-z0-9_-]{9}[AEIMQUYcgkosw048]$",
        nullable = false,
        example = "AAAAAAAAADI"
    )]
    cursor: Option<String>,
}

/// Take a request
///
/// A person's request for access, portability, rectification, restriction, objection or erasure. The person is named by
/// exactly one of `token`, `order_id` and `customer_ref`; what is held is not looked at, so a name that leads to nobody is
/// taken like any other. The deadline is one month from `submitted_at` by the calendar, in the tenant's time zone.
#[utoipa::path(post, path = "/v1/subject-requests", operation_id = "create_subject_request", tag = "subject-requests",
    security(("bearer" = [])),
    request_body(content = NewSubjectRequest, description = "The request."),
    responses(
        (status = 201, description = "The case.", body = SubjectRequest,
            headers(("Location" = String, description = "Where it is read.")),
            example = json!(SubjectRequest::example())),
        Invalid, Missing, Clashing,
    ))]
async fn create_subject_request(
    State(flow): State<RequestsFlow>,
    Authenticated(principal): Authenticated,
    Named(request): Named,
    Body(body): Body<NewSubjectRequest>,
) -> Result<
    (
        StatusCode,
        [(header::HeaderName, String); 1],
        Json<SubjectRequest>,
    ),
    Problem,
> {
    let by = By::of(&principal, request);
    let new = body.checked()?;
    let shop = new.shop;
    let shown = flow.create(&by, new.request, shop).await?;
    let body = SubjectRequest::of(&shown);
    let location = (header::LOCATION, format!("{PATH}/{}", body.id()));
    Ok((StatusCode::CREATED, [location], Json(body)))
}

/// List requests
///
/// In the order in which they came, a page at a time, with how many are open, due within seven days, and overdue.
#[utoipa::path(get, path = "/v1/subject-requests", operation_id = "list_subject_requests", tag = "subject-requests",
    security(("bearer" = [])), params(RequestsQuery),
    responses(
        (status = 200, description = "A page.", body = SubjectRequestPage,
            example = json!(SubjectRequestPage::example())),
        Invalid,
    ))]
async fn list_subject_requests(
    State(flow): State<RequestsFlow>,
    Authenticated(principal): Authenticated,
    Query(query): Query<RequestsQuery>,
) -> Result<Json<SubjectRequestPage>, Problem> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::invalid("limit", "must be 1 to 100"));
    }
    let after = match &query.cursor {
        None => 0,
        Some(cursor) => super::objects::pages::number(cursor)
            .ok_or_else(|| Problem::invalid("cursor", "must be a next_cursor of this list"))?,
    };
    let filter = CaseFilter {
        status: query.status.map(|word| word.0),
        overdue_at_ms: query.overdue.unwrap_or(false).then(|| flow.now_ms()),
        due_before_ms: query.due_before.map(|Moment(at_ms)| at_ms),
    };
    let (mut shown, counts) = flow.list(principal.tenant, &filter, after, limit + 1).await?;
    let length = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = shown.len() > length;
    shown.truncate(length);
    let last = shown.last().filter(|_| more);
    let next = last.map(|last| URL_SAFE_NO_PAD.encode(last.case.number.to_be_bytes()));
    Ok(Json(SubjectRequestPage::of(&shown, counts, next, &principal)))
}

/// Read a request
///
/// The case with its deadline, who works on it, and what happened. It names nobody.
#[utoipa::path(get, path = "/v1/subject-requests/{id}", operation_id = "read_subject_request",
    tag = "subject-requests", security(("bearer" = [])),
    params(("id" = SubjectRequestId, Path, description = "The request's id.")),
    responses(
        (status = 200, description = "The case.", body = SubjectRequestWhole,
            example = json!(SubjectRequestWhole::example())),
        Invalid, NotFound,
    ))]
async fn read_subject_request(
    State(flow): State<RequestsFlow>,
    Authenticated(principal): Authenticated,
    Id(id): Id<SubjectRequestId>,
) -> Result<Json<SubjectRequestWhole>, Problem> {
    let whole = flow.read(principal.tenant, id.into()).await?;
    Ok(Json(SubjectRequestWhole::of(&whole, &principal)))
}

/// Work on a request
///
/// Assigns it, extends its deadline by two months from the receipt (GDPR Art. 12(3), once, within the first month), notes
/// a word, and decides it: `cancelled` where the person takes it back, `rejected` on a ground.
#[utoipa::path(patch, path = "/v1/subject-requests/{id}", operation_id = "change_subject_request",
    tag = "subject-requests", security(("bearer" = [])),
    params(("id" = SubjectRequestId, Path, description = "The request's id.")),
    request_body(content = SubjectRequestChange, description = "What changes; what is left out stays."),
    responses(
        (status = 200, description = "The case.", body = SubjectRequestWhole,
            example = json!(SubjectRequestWhole::example())),
        Invalid, Missing, Clashing,
    ))]
async fn change_subject_request(
    State(flow): State<RequestsFlow>,
    Authenticated(principal): Authenticated,
    Named(request): Named,
    Id(id): Id<SubjectRequestId>,
    Body(body): Body<SubjectRequestChange>,
) -> Result<Json<SubjectRequestWhole>, Problem> {
    let by = By::of(&principal, request);
    let whole = flow.change(&by, id.into(), body.checked()?).await?;
    Ok(Json(SubjectRequestWhole::of(&whole, &principal)))
}

/// Carry a request out
///
/// Erases, restricts or corrects, or makes the copy ready to be read for seven days. Carrying out what was begun and not
/// finished goes on with it. Except for a copy, the person's names are gone from the case afterwards.
#[utoipa::path(post, path = "/v1/subject-requests/{id}/execution", operation_id = "execute_subject_request",
    tag = "subject-requests", security(("bearer" = [])),
    params(("id" = SubjectRequestId, Path, description = "The request's id.")),
    responses(
        (status = 200, description = "The case.", body = SubjectRequestWhole,
            example = json!(SubjectRequestWhole::example())),
        Invalid, NotFound, Clashing,
    ))]
async fn execute_subject_request(
    State(flow): State<RequestsFlow>,
    Authenticated(principal): Authenticated,
    Named(request): Named,
    Id(id): Id<SubjectRequestId>,
) -> Result<Json<SubjectRequestWhole>, Problem> {
    let by = By::of(&principal, request);
    let whole = flow.execute(&by, id.into()).await?;
    Ok(Json(SubjectRequestWhole::of(&whole, &principal)))
}

/// Read what is held of a person
///
/// The answer to a request for access or portability that was carried out, put together now: clicks, consent, conversions,
/// purposes, recipients, how long it is kept. Nothing held is an empty list. Each reading is in the audit trail with its
/// reason before anything is shown. The server's operator may look under a grant of the `tenant`, and not otherwise
/// (`no_grant`).
#[utoipa::path(get, path = "/v1/subject-requests/{id}/result", operation_id = "read_subject_request_result",
    tag = "subject-requests", security(("bearer" = [])),
    params(("id" = SubjectRequestId, Path, description = "The request's id."), GrantedLookQuery),
    responses(
        (status = 200, description = "What is held.", body = SubjectData, example = json!(SubjectData::example())),
        Invalid, NotFound, Clashing, Gone,
    ))]
async fn read_subject_request_result(
    State(flow): State<RequestsFlow>,
    Authenticated(principal): Authenticated,
    Named(request): Named,
    Id(id): Id<SubjectRequestId>,
    Query(query): Query<GrantedLookQuery>,
) -> Result<(NoStore, Json<SubjectData>), Problem> {
    let look = query.look();
    let looker = Looker {
        principal: &principal,
        tenant: query.tenant(),
        request,
    };
    let held = flow.held(&looker, id.into(), look).await?;
    let body = SubjectData::of(&held, look.unmasked);
    Ok((NO_STORE, Json(body)))
}
