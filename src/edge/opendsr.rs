//! OpenDSR 2.0, and OpenGDPR, its old name: how a controller's system hands requests of people to its processor.
//!
//! Controllers are known by an API key of the role privacy, which the specification leaves to the parties. Replies are
//! signed over the very bytes that are sent. Nothing of a person is in a reply but what the controller has just sent
//! (`encoded_request`, which it must not store); errors have the specification's form, beside our own members.

mod body;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use self::body::{OpenDsrAccepted, OpenDsrCancelled, OpenDsrDiscovery, OpenDsrRequest, OpenDsrStatus};
use super::auth::Authenticated;
use super::problem::{OpenDsrError, Problem};
use super::request::{Named, body, media_type, parse_json};
use crate::domain::access::Principal;
use crate::domain::ids::{RequestId, TenantId};
use crate::domain::refusal::Reason;
use crate::domain::subject_request::{Case, RequestSource};
use crate::flow::FlowError;
use crate::flow::requests::callbacks::{expected_at_ms, header_names, results_url, status_word, time};
use crate::flow::requests::{By, Processor, RequestsFlow};

/// The routes under both names.
pub fn routes() -> OpenApiRouter<RequestsFlow> {
    OpenApiRouter::new()
        .routes(routes!(discover_opendsr))
        .routes(routes!(create_opendsr_request))
        .routes(routes!(read_opendsr_request, cancel_opendsr_request))
        .routes(routes!(discover_opengdpr))
        .routes(routes!(create_opengdpr_request))
        .routes(routes!(read_opengdpr_request, cancel_opengdpr_request))
}

/// Where OpenDSR is not set up, there is nothing.
fn processor(flow: &RequestsFlow) -> Result<&Processor, Problem> {
    flow.processor().ok_or_else(|| Problem::new(Reason::NotFound))
}

/// A reply with its signature.
fn signed(
    processor: &Processor,
    status: StatusCode,
    old_names: bool,
    body: &impl Serialize,
) -> Result<Response, Problem> {
    let internal = || Problem::new(Reason::Internal);
    let bytes = serde_json::to_vec(body).map_err(|_| internal())?;
    let signature = processor.signer.sign(&bytes).ok_or_else(internal)?;
    let mut response = (status, bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, text) in header_names(old_names)
        .into_iter()
        .zip([processor.domain.as_str(), &signature])
    {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| internal())?;
        headers.insert(name, HeaderValue::from_str(text).map_err(|_| internal())?);
    }
    Ok(response)
}

/// The id in a path: a UUID of version 4 in lower case.
fn id(text: &str) -> Result<Uuid, Problem> {
    body::request_id(text)
        .ok_or_else(|| Problem::invalid("subject_request_id", "must be a UUID of version 4 in lower case"))
}

/// The specification has one status for what is wrong with a request.
fn of_flow(error: FlowError) -> Problem {
    match error {
        FlowError::Clash(_, words) => Problem::invalid("subject_request_id", words),
        FlowError::Taken(_) => {
            Problem::invalid("subject_request_id", "is that of a request that came before")
        }
        FlowError::Invalid("submitted_at", words) => Problem::invalid("submitted_time", words),
        other => other.into(),
    }
}

async fn create(
    flow: &RequestsFlow,
    principal: &Principal,
    named: RequestId,
    request: Request,
    old_names: bool,
) -> Result<Response, Problem> {
    let processor = processor(flow)?;
    if media_type(request.headers()) != Some("application/json") {
        return Err(Problem::new(Reason::UnsupportedMediaType));
    }
    let bytes: Bytes = body(request).await?;
    let read: OpenDsrRequest = parse_json(&bytes)?;
    let source = if old_names {
        RequestSource::OpenGdpr
    } else {
        RequestSource::OpenDsr
    };
    let takes = |url: &str| processor.carrier.takes(url);
    let new = read.checked(source, &processor.domain, &takes)?;
    let by = By::of(principal, named);
    let shown = flow.create(&by, new, None).await.map_err(of_flow)?;
    let controller = flow.controller_id(principal.tenant)?;
    let accepted = OpenDsrAccepted {
        controller_id: TenantId(controller).to_string(),
        expected_completion_time: time(expected_at_ms(processor, &shown.case)),
        received_time: time(shown.case.received_at_ms),
        encoded_request: STANDARD.encode(&bytes),
        subject_request_id: external_id(&shown.case),
    };
    signed(processor, StatusCode::CREATED, old_names, &accepted)
}

fn external_id(case: &Case) -> String {
    case.external_id.map(|id| id.to_string()).unwrap_or_default()
}

fn version(old_names: bool) -> &'static str {
    if old_names { "0.1" } else { "2.0" }
}

async fn read(
    flow: &RequestsFlow,
    principal: &Principal,
    text: &str,
    old_names: bool,
) -> Result<Response, Problem> {
    let processor = processor(flow)?;
    let case = flow
        .read_of_controller(principal.tenant, id(text)?)
        .await
        .map_err(of_flow)?;
    let controller = flow.controller_id(principal.tenant)?;
    let status = OpenDsrStatus {
        controller_id: TenantId(controller).to_string(),
        expected_completion_time: time(expected_at_ms(processor, &case)),
        subject_request_id: external_id(&case),
        request_status: status_word(case.status),
        api_version: version(old_names),
        results_url: results_url(processor, &case),
        results_count: case.results_count,
    };
    signed(processor, StatusCode::OK, old_names, &status)
}

async fn cancel(
    flow: &RequestsFlow,
    principal: &Principal,
    named: RequestId,
    text: &str,
    old_names: bool,
) -> Result<Response, Problem> {
    let processor = processor(flow)?;
    let found = flow
        .read_of_controller(principal.tenant, id(text)?)
        .await
        .map_err(of_flow)?;
    let by = By::of(principal, named);
    let case = flow.cancel(&by, found.id).await.map_err(of_flow)?;
    let controller = flow.controller_id(principal.tenant)?;
    let cancelled = OpenDsrCancelled {
        controller_id: TenantId(controller).to_string(),
        subject_request_id: external_id(&case),
        received_time: time(case.updated_at_ms),
        api_version: version(old_names),
    };
    signed(processor, StatusCode::ACCEPTED, old_names, &cancelled)
}

/// What OpenDSR requests may be about
///
/// Which identities something can be held under, which requests are taken, and where the certificate of the signatures is.
#[utoipa::path(get, path = "/v2/discovery", operation_id = "discover_opendsr", tag = "opendsr",
    responses(
        (status = 200, description = "What is taken.", body = OpenDsrDiscovery,
            example = json!(OpenDsrDiscovery::example())),
        (status = 404, description = "OpenDSR is not set up.", body = OpenDsrError),
    ))]
async fn discover_opendsr(State(flow): State<RequestsFlow>) -> Result<axum::Json<OpenDsrDiscovery>, Problem> {
    let processor = processor(&flow).map_err(Problem::in_opendsr)?;
    Ok(axum::Json(OpenDsrDiscovery::of(
        "2.0",
        &processor.certificate_url,
    )))
}

/// What OpenGDPR requests may be about
///
/// `GET /v2/discovery` under its old name.
#[utoipa::path(get, path = "/discovery", operation_id = "discover_opengdpr", tag = "opendsr",
    responses(
        (status = 200, description = "What is taken.", body = OpenDsrDiscovery,
            example = json!(OpenDsrDiscovery::example())),
        (status = 404, description = "OpenDSR is not set up.", body = OpenDsrError),
    ))]
async fn discover_opengdpr(
    State(flow): State<RequestsFlow>,
) -> Result<axum::Json<OpenDsrDiscovery>, Problem> {
    let processor = processor(&flow).map_err(Problem::in_opendsr)?;
    Ok(axum::Json(OpenDsrDiscovery::of(
        "0.1",
        &processor.certificate_url,
    )))
}

/// Hand a request over (OpenDSR)
///
/// Takes a controller's request for access, portability or erasure. It is carried out by itself once the time in which it
/// can be taken back is over; each change of its status is told to every `status_callback_urls`. Identities of kinds that
/// nothing is held under are taken and lead to nothing.
#[utoipa::path(post, path = "/v2/requests", operation_id = "create_opendsr_request", tag = "opendsr",
    security(("bearer" = [])),
    request_body(content = OpenDsrRequest, description = "The request."),
    responses(
        (status = 201, description = "It is taken.", body = OpenDsrAccepted,
            headers(
                ("X-OpenDSR-Processor-Domain" = String, description = "Our domain."),
                ("X-OpenDSR-Signature" = String, description = "The signature over the body, in base64."))),
        (status = 400, description = "It is wrong, or came before.", body = OpenDsrError),
        (status = 404, description = "OpenDSR is not set up.", body = OpenDsrError),
    ))]
async fn create_opendsr_request(
    State(flow): State<RequestsFlow>,
    Authenticated(principal): Authenticated,
    Named(named): Named,
    request: Request,
) -> Result<Response, Problem> {
    let created = create(&flow, &principal, named, request, false).await;
    created.map_err(Problem::in_opendsr)
}

/// Hand a request over (OpenGDPR)
///
/// `POST /v2/requests` under its old name, with the old headers.
#[utoipa::path(post, path = "/opengdpr_requests", operation_id = "create_opengdpr_request", tag = "opendsr",
    security(("bearer" = [])),
    request_body(content = OpenDsrRequest, description = "The request."),
    responses(
        (status = 201, description = "It is taken.", body = OpenDsrAccepted,
            headers(
                ("X-OpenGDPR-Processor-Domain" = String, description = "Our domain."),
                ("X-OpenGDPR-Signature" = String, description = "The signature over the body, in base64."))),
        (status = 400, description = "It is wrong, or came before.", body = OpenDsrError),
        (status = 404, description = "OpenDSR is not set up.", body = OpenDsrError),
    ))]
async fn create_opengdpr_request(
    State(flow): State<RequestsFlow>,
    Authenticated(principal): Authenticated,
    Named(named): Named,
    request: Request,
) -> Result<Response, Problem> {
    let created = create(&flow, &principal, named, request, true).await;
    created.map_err(Problem::in_opendsr)
}

/// Ask for a request's status (OpenDSR)
///
/// By the id that the controller gave it.
#[utoipa::path(get, path = "/v2/requests/{request}", operation_id = "read_opendsr_request", tag = "opendsr",
    security(("bearer" = [])),
    params(("request" = String, Path, description = "The controller's `subject_request_id`.", min_length = 36,
        max_length = 36, pattern = "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")),
    responses(
        (status = 200, description = "Its status.", body = OpenDsrStatus,
            headers(
                ("X-OpenDSR-Processor-Domain" = String, description = "Our domain."),
                ("X-OpenDSR-Signature" = String, description = "The signature over the body, in base64."))),
        (status = 400, description = "The id is no UUID of version 4.", body = OpenDsrError),
        (status = 404, description = "No such request of this controller's.", body = OpenDsrError),
    ))]
async fn read_opendsr_request(
    State(flow): State<RequestsFlow>,
    Authenticated(principal): Authenticated,
    Path(text): Path<String>,
) -> Result<Response, Problem> {
    let status = read(&flow, &principal, &text, false).await;
    status.map_err(Problem::in_opendsr)
}

/// Ask for a request's status (OpenGDPR)
///
/// `GET /v2/requests/{request}` under its old name, with the old headers.
#[utoipa::path(get, path = "/opengdpr_requests/{request}", operation_id = "read_opengdpr_request", tag = "opendsr",
    security(("bearer" = [])),
    params(("request" = String, Path, description = "The controller's `subject_request_id`.", min_length = 36,
        max_length = 36, pattern = "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")),
    responses(
        (status = 200, description = "Its status.", body = OpenDsrStatus,
            headers(
                ("X-OpenGDPR-Processor-Domain" = String, description = "Our domain."),
                ("X-OpenGDPR-Signature" = String, description = "The signature over the body, in base64."))),
        (status = 400, description = "The id is no UUID of version 4.", body = OpenDsrError),
        (status = 404, description = "No such request of this controller's.", body = OpenDsrError),
    ))]
async fn read_opengdpr_request(
    State(flow): State<RequestsFlow>,
    Authenticated(principal): Authenticated,
    Path(text): Path<String>,
) -> Result<Response, Problem> {
    let status = read(&flow, &principal, &text, true).await;
    status.map_err(Problem::in_opendsr)
}

/// Take a request back (OpenDSR)
///
/// As long as it is pending.
#[utoipa::path(delete, path = "/v2/requests/{request}", operation_id = "cancel_opendsr_request", tag = "opendsr",
    security(("bearer" = [])),
    params(("request" = String, Path, description = "The controller's `subject_request_id`.", min_length = 36,
        max_length = 36, pattern = "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")),
    responses(
        (status = 202, description = "It is taken back.", body = OpenDsrCancelled,
            headers(
                ("X-OpenDSR-Processor-Domain" = String, description = "Our domain."),
                ("X-OpenDSR-Signature" = String, description = "The signature over the body, in base64."))),
        (status = 400, description = "It is not pending any more, or the id is no UUID of version 4.", body = OpenDsrError),
        (status = 404, description = "No such request of this controller's.", body = OpenDsrError),
    ))]
async fn cancel_opendsr_request(
    State(flow): State<RequestsFlow>,
    Authenticated(principal): Authenticated,
    Named(named): Named,
    Path(text): Path<String>,
) -> Result<Response, Problem> {
    let cancelled = cancel(&flow, &principal, named, &text, false).await;
    cancelled.map_err(Problem::in_opendsr)
}

/// Take a request back (OpenGDPR)
///
/// `DELETE /v2/requests/{request}` under its old name, with the old headers.
#[utoipa::path(delete, path = "/opengdpr_requests/{request}", operation_id = "cancel_opengdpr_request", tag = "opendsr",
    security(("bearer" = [])),
    params(("request" = String, Path, description = "The controller's `subject_request_id`.", min_length = 36,
        max_length = 36, pattern = "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")),
    responses(
        (status = 202, description = "It is taken back.", body = OpenDsrCancelled,
            headers(
                ("X-OpenGDPR-Processor-Domain" = String, description = "Our domain."),
                ("X-OpenGDPR-Signature" = String, description = "The signature over the body, in base64."))),
        (status = 400, description = "It is not pending any more, or the id is no UUID of version 4.", body = OpenDsrError),
        (status = 404, description = "No such request of this controller's.", body = OpenDsrError),
    ))]
async fn cancel_opengdpr_request(
    State(flow): State<RequestsFlow>,
    Authenticated(principal): Authenticated,
    Named(named): Named,
    Path(text): Path<String>,
) -> Result<Response, Problem> {
    let cancelled = cancel(&flow, &principal, named, &text, true).await;
    cancelled.map_err(Problem::in_opendsr)
}
