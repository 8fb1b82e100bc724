//! Postbacks: `GET|POST /postback`, `/postback/{shop}`, `POST /v1/conversions` and its batch.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Maybe, Origin};
use super::inbound::{Inbound, read_pairs};
use super::postback_schema::{
    BatchAnswer, BatchRequest, ConversionRequest, LineAnswer, PostbackAnswer, PostbackForm, PostbackParams,
    VerdictAnswers,
};
use super::problem::Problem;
use super::request::{Named, parse_json};
use crate::domain::postback;
use crate::domain::refusal::Outcome;
use crate::flow::conversion::{ConversionFlow, Sender};
use crate::flow::ledger::command::Answer;

/// The most postbacks in one batch.
pub const MAX_BATCH: usize = 1_000;

/// The routes.
pub fn routes() -> OpenApiRouter<ConversionFlow> {
    OpenApiRouter::new()
        .routes(routes!(send_postback, send_postback_form))
        .routes(routes!(send_shop_postback, send_shop_postback_form))
        .routes(routes!(create_conversion))
}

/// The batch, whose body may be larger.
pub fn batch_routes() -> OpenApiRouter<ConversionFlow> {
    OpenApiRouter::new().routes(routes!(create_conversions))
}

/// Send a postback as a URL
///
/// For senders that can only call a URL. Names of other systems are understood: `clickid`, `click_id`, `cid`, `subid`,
/// `transaction_id`, `trkinfo` for `token`; `txid`, `tid`, `oid`, `saleid`, `transaction` for `order_id`; `sum`, `price`,
/// `payout`, `revenue` for `amount`. Unknown parameters are ignored. The same postback may be sent again: the first
/// verdict stands.
#[utoipa::path(get, path = "/postback", operation_id = "send_postback", tag = "postback",
    params(PostbackParams), responses(VerdictAnswers, (status = 431,
        description = "The URL and the headers together are over 32 KiB; a body has room for more. Sent without a body.")),
    security(("bearer" = [])))]
pub async fn send_postback(
    State(flow): State<ConversionFlow>,
    maybe: Maybe,
    origin: Origin,
    named: Named,
    request: Request,
) -> Result<Response, Problem> {
    receive(&flow, maybe, origin, named, None, request).await
}

/// Send a postback as a form or JSON
///
/// The same as the URL form, with the parameters in the body (or partly in the URL). In JSON every value is a string,
/// except `items`, `test` and `dry_run`.
#[utoipa::path(post, path = "/postback", operation_id = "send_postback_form", tag = "postback",
    request_body(description = "The postback's parameters.",
        content((PostbackForm = "application/json"), (PostbackForm = "application/x-www-form-urlencoded"))),
    responses(VerdictAnswers), security(("bearer" = [])))]
pub async fn send_postback_form(
    State(flow): State<ConversionFlow>,
    maybe: Maybe,
    origin: Origin,
    named: Named,
    request: Request,
) -> Result<Response, Problem> {
    receive(&flow, maybe, origin, named, None, request).await
}

/// Send a shop's postback as a URL
///
/// The same as `GET /postback`, for shops that sign (`ts` in seconds and `sig`, the hexadecimal HMAC-SHA256 over method,
/// path, raw query without `sig`, and hexadecimal SHA-256 of the body, joined by line feeds) or, while they migrate, send
/// the token alone.
#[utoipa::path(get, path = "/postback/{shop}", operation_id = "send_shop_postback", tag = "postback",
    params(
        ("shop" = String, Path, description = "The shop's public reference.", max_length = 64,
            pattern = "^[A-Za-z0-9_-]{4,64}$", example = "shp_Q7mZ2kT9xWbL4nRc"),
        PostbackParams
    ),
    responses(VerdictAnswers, (status = 431,
        description = "The URL and the headers together are over 32 KiB; a body has room for more. Sent without a body.")),
    security(("bearer" = []), ("signature" = []), ()))]
pub async fn send_shop_postback(
    State(flow): State<ConversionFlow>,
    shop: Result<Path<String>, PathRejection>,
    maybe: Maybe,
    origin: Origin,
    named: Named,
    request: Request,
) -> Result<Response, Problem> {
    receive(&flow, maybe, origin, named, Some(reference(shop)), request).await
}

/// Send a shop's postback as a form or JSON
///
/// The same as `POST /postback`, for shops that sign: in the URL as above, or with the headers of Standard Webhooks 1.0,
/// which cover the body, so that the URL then carries no parameters.
#[utoipa::path(post, path = "/postback/{shop}", operation_id = "send_shop_postback_form", tag = "postback",
    params(("shop" = String, Path, description = "The shop's public reference.", max_length = 64,
        pattern = "^[A-Za-z0-9_-]{4,64}$", example = "shp_Q7mZ2kT9xWbL4nRc")),
    request_body(description = "The postback's parameters.",
        content((PostbackForm = "application/json"), (PostbackForm = "application/x-www-form-urlencoded"))),
    responses(VerdictAnswers), security(("bearer" = []), ("signature" = []), ()))]
pub async fn send_shop_postback_form(
    State(flow): State<ConversionFlow>,
    shop: Result<Path<String>, PathRejection>,
    maybe: Maybe,
    origin: Origin,
    named: Named,
    request: Request,
) -> Result<Response, Problem> {
    receive(&flow, maybe, origin, named, Some(reference(shop)), request).await
}

/// Record a conversion
///
/// The JSON form for new integrations: unknown fields are refused by name, so that a misspelt one is noticed.
#[utoipa::path(post, path = "/v1/conversions", operation_id = "create_conversion", tag = "postback",
    params(("Einklang-Shop" = Option<String>, Header, description = "The shop's public reference, for callers that sign.",
        max_length = 64, pattern = "^[A-Za-z0-9_-]{4,64}$",
        example = "shp_Q7mZ2kT9xWbL4nRc")),
    request_body(content = ConversionRequest, description = "The conversion.", content_type = "application/json"),
    responses(VerdictAnswers), security(("bearer" = []), ("signature" = [])))]
pub async fn create_conversion(
    State(flow): State<ConversionFlow>,
    maybe: Maybe,
    origin: Origin,
    named: Named,
    request: Request,
) -> Result<Response, Problem> {
    let inbound = Inbound::read(request).await?;
    let sender = inbound.sender(&flow, &maybe, origin, None)?;
    inbound.require_json()?;
    let body: ConversionRequest = parse_json(&inbound.body)?;
    let answer = judge(&flow, &sender, &body, inbound.sec_gpc, named).await;
    respond(answer, named)
}

/// Record many conversions
///
/// Up to 1,000 at once; each line gets its own verdict, in the order in which they came, and one that is refused does
/// not touch the others. The answer is 200 whatever the verdicts are.
#[utoipa::path(post, path = "/v1/conversions/batch", operation_id = "create_conversions", tag = "postback",
    params(("Einklang-Shop" = Option<String>, Header, description = "The shop's public reference, for callers that sign.",
        max_length = 64, pattern = "^[A-Za-z0-9_-]{4,64}$",
        example = "shp_Q7mZ2kT9xWbL4nRc")),
    request_body(content = BatchRequest, description = "The conversions.", content_type = "application/json"),
    responses(
        (status = 200, description = "A verdict for each line.", body = BatchAnswer),
        (status = 400, description = "The batch cannot be read; no line was processed.", body = super::problem::ProblemBody,
            content_type = "application/problem+json",
            example = json!({"type": "about:blank", "title": "Bad Request", "status": 400,
                "detail": "A parameter is not acceptable.", "outcome": "refused", "reason": "invalid_request",
                "retry": false, "request_id": "req_00000000000040008000000000000000", "parameter": "conversions"})),
    ),
    security(("bearer" = []), ("signature" = [])))]
pub async fn create_conversions(
    State(flow): State<ConversionFlow>,
    maybe: Maybe,
    origin: Origin,
    named: Named,
    request: Request,
) -> Result<axum::Json<BatchAnswer>, Problem> {
    let inbound = Inbound::read(request).await?;
    let sender = inbound.sender(&flow, &maybe, origin, None)?.of_lines();
    inbound.require_json()?;
    let body: BatchRequest = parse_json(&inbound.body)?;
    if body.conversions.is_empty() || body.conversions.len() > MAX_BATCH {
        return Err(Problem::invalid(
            "conversions",
            "holds no line or more than 1,000",
        ));
    }
    // All lines are submitted together: they share one batch and one commit as far as the queue lets them.
    let lines = body
        .conversions
        .iter()
        .map(|line| judge(&flow, &sender, line, inbound.sec_gpc, named));
    let answers = futures_util::future::join_all(lines).await;
    let items = answers.into_iter().map(LineAnswer::of).collect();
    Ok(axum::Json(BatchAnswer {
        request_id: named.0.to_string(),
        items,
    }))
}

/// The reference in the path. One that does not decode is one that no shop has.
fn reference(shop: Result<Path<String>, PathRejection>) -> String {
    shop.map_or_else(|_| String::new(), |Path(shop)| shop)
}

/// Judges a postback whose parameters stand in the URL, in the body, or in both.
pub(super) async fn receive(
    flow: &ConversionFlow,
    maybe: Maybe,
    origin: Origin,
    named: Named,
    shop: Option<String>,
    request: Request,
) -> Result<Response, Problem> {
    let inbound = Inbound::read(request).await?;
    let sender = inbound.sender(flow, &maybe, origin, shop.as_deref())?;
    let owned = inbound.pairs()?;
    // Names of other systems are for URLs; what is built anew uses ours.
    let aliases = inbound.method == http::Method::GET;
    let mut form = read_pairs(&owned, aliases, flow.now_ms())?;
    form.signals.sec_gpc = inbound.sec_gpc;
    let answer = flow
        .judge(&sender, &form, named.0)
        .await
        .map_err(Problem::from)
        .and_then(verdict);
    respond(answer, named)
}

async fn judge(
    flow: &ConversionFlow,
    sender: &Sender,
    body: &ConversionRequest,
    sec_gpc: bool,
    named: Named,
) -> Result<Answer, Problem> {
    let items = serde_json::to_string(&body.items).unwrap_or_default();
    let pairs = body.pairs(&items);
    let bad = |bad: postback::BadParameter| Problem::invalid(bad.name, bad.why);
    let mut form = postback::read(pairs, false, flow.now_ms()).map_err(bad)?;
    form.signals.sec_gpc = sec_gpc;
    flow.judge(sender, &form, named.0)
        .await
        .map_err(Problem::from)
        .and_then(verdict)
}

/// A refusal is a problem; everything else is an answer.
fn verdict(answer: Answer) -> Result<Answer, Problem> {
    if answer.outcome != Outcome::Refused {
        return Ok(answer);
    }
    let mut problem = Problem::new(answer.reason);
    problem.conversion_id = answer
        .conversion
        .map(|id| crate::domain::ids::ConversionId(id).to_string());
    Err(problem)
}

fn respond(answer: Result<Answer, Problem>, named: Named) -> Result<Response, Problem> {
    answer.map(|answer| axum::Json(PostbackAnswer::of(&answer, named)).into_response())
}
