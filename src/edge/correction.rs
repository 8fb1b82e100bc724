//! Corrections of recorded conversions, and consent changes without an order.

use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Maybe, Origin};
use super::inbound::Inbound;
use super::problem::{Problem, ProblemBody};
use super::request::{Id, Named, given, parse_json};
use crate::domain::campaign::valid_slug;
use crate::domain::ids::ConversionId;
use crate::domain::money::{Currency, format_amount, is_decimal};
use crate::domain::postback::{MAX_VALUE_CHARS, Status};
use crate::domain::refusal::Reason;
use crate::flow::conversion::{ConversionFlow, Correction, DEFAULT_GOAL};
use crate::flow::ledger::command::Amended;

/// The routes.
pub fn routes() -> OpenApiRouter<ConversionFlow> {
    OpenApiRouter::new()
        .routes(routes!(change_conversion))
        .routes(routes!(change_conversion_by_order))
}

/// A correction: another status, or a lower amount.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"status": "cancelled", "reason": "returned"}))]
pub struct CorrectionRequest {
    /// `pending` → `confirmed` → `cancelled`; a cancelled one stays so.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 9, pattern = "^(pending|confirmed|cancelled)$", nullable = false)]
    status: Option<String>,
    /// A decimal string in the conversion's currency, not above the present amount.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 17, pattern = "^[0-9]{1,12}(\\.[0-9]{1,4})?$", nullable = false)]
    amount: Option<String>,
    /// Why, as a code of the shop's; it stands in the audit trail, so it must not hold personal data.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 64, pattern = "^[a-z0-9_]{1,64}$", nullable = false)]
    reason: Option<String>,
}

/// A correction that names its conversion by the order.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"order_id": "A-1001", "status": "cancelled", "reason": "returned"}))]
pub struct OrderCorrectionRequest {
    /// The shop's order id.
    #[schema(
        required,
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"
    )]
    order_id: String,
    /// The goal; `order` if left out.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 64, pattern = "^[A-Za-z0-9][A-Za-z0-9_-]*$", nullable = false)]
    goal: Option<String>,
    /// Whether it is a test conversion.
    #[serde(default)]
    test: bool,
    /// `pending` → `confirmed` → `cancelled`; a cancelled one stays so.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 9, pattern = "^(pending|confirmed|cancelled)$", nullable = false)]
    status: Option<String>,
    /// A decimal string in the conversion's currency, not above the present amount.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 17, pattern = "^[0-9]{1,12}(\\.[0-9]{1,4})?$", nullable = false)]
    amount: Option<String>,
    /// Why, as a code of the shop's; it stands in the audit trail, so it must not hold personal data.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 64, pattern = "^[a-z0-9_]{1,64}$", nullable = false)]
    reason: Option<String>,
}

/// A conversion after a correction.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "cnv_019a0000000070008000000000000000", "status": "cancelled",
    "amount": "49.90", "amount_minor": 4990, "currency": "EUR", "updated_at": "2026-11-24T12:00:00Z"}))]
pub struct ConversionView {
    /// Its id.
    #[schema(max_length = 36, pattern = "^cnv_[0-9a-f]{32}$")]
    id: String,
    /// Its status.
    #[schema(max_length = 9, pattern = "^(pending|confirmed|cancelled)$")]
    status: String,
    /// Its amount as a decimal string.
    #[schema(max_length = 24, pattern = "^[0-9]+(\\.[0-9]+)?$")]
    amount: String,
    /// Its amount in minor units of the currency.
    #[schema(minimum = 0, maximum = 1_000_000_000_000_000_i64)]
    amount_minor: i64,
    /// ISO 4217.
    #[schema(max_length = 3, pattern = "^[A-Z]{3}$")]
    currency: String,
    /// When it was last changed.
    #[schema(max_length = 35, format = "date-time")]
    updated_at: String,
}

/// What a correction can come to.
#[derive(IntoResponses)]
pub enum CorrectionAnswers {
    /// The conversion as it now stands.
    #[response(status = 200)]
    Corrected(ConversionView),
    /// A member is not acceptable; it is named.
    #[response(status = 400, content_type = "application/problem+json", example = json!({"type": "about:blank",
        "title": "Bad Request", "status": 400, "detail": "A parameter is not acceptable.", "outcome": "refused",
        "reason": "invalid_request", "retry": false, "request_id": "req_00000000000040008000000000000000",
        "parameter": "amount"}))]
    Bad(ProblemBody),
    /// No such conversion of this tenant and shop.
    #[response(status = 404, content_type = "application/problem+json", example = json!({"type": "about:blank",
        "title": "Not Found", "status": 404, "detail": "There is no such thing here.", "outcome": "refused",
        "reason": "not_found", "retry": false, "request_id": "req_00000000000040008000000000000000"}))]
    Unknown(ProblemBody),
    /// The status cannot move that way, or the amount would rise.
    #[response(status = 409, content_type = "application/problem+json", example = json!({"type": "about:blank",
        "title": "Conflict", "status": 409, "detail": "The change clashes with what is already there.",
        "outcome": "refused", "reason": "conflict", "retry": false,
        "request_id": "req_00000000000040008000000000000000"}))]
    Conflict(ProblemBody),
    /// The person's data was erased.
    #[response(status = 410, content_type = "application/problem+json", example = json!({"type": "about:blank",
        "title": "Gone", "status": 410, "detail": "Consent ended after the click; it counts no more.",
        "outcome": "refused", "reason": "consent_withdrawn", "retry": false,
        "request_id": "req_00000000000040008000000000000000"}))]
    Gone(ProblemBody),
}

/// Correct a conversion
///
/// A repeated postback never changes what was recorded; this does. It needs neither token nor consent signal. Once the
/// person's data is erased the answer is 410.
#[utoipa::path(patch, path = "/v1/conversions/{id}", operation_id = "change_conversion", tag = "postback",
    params(
        ("id" = String, Path, description = "The conversion's id.", max_length = 36, pattern = "^cnv_[0-9a-f]{32}$",
            example = "cnv_019a0000000070008000000000000000"),
        ("Einklang-Shop" = Option<String>, Header, description = "The shop's public reference, for callers that sign.",
            max_length = 64, pattern = "^[A-Za-z0-9_-]{4,64}$",
        example = "shp_Q7mZ2kT9xWbL4nRc")
    ),
    request_body(content = CorrectionRequest, description = "What to change.", content_type = "application/json"),
    responses(CorrectionAnswers),
    security(("bearer" = []), ("signature" = [])))]
pub async fn change_conversion(
    State(flow): State<ConversionFlow>,
    id: Result<Id<ConversionId>, Problem>,
    maybe: Maybe,
    origin: Origin,
    named: Named,
    request: Request,
) -> Result<axum::Json<ConversionView>, Problem> {
    let inbound = Inbound::read(request).await?;
    let caller = inbound.caller(&flow, &maybe, origin)?;
    let Id(id) = id?;
    inbound.require_json()?;
    let body: CorrectionRequest = parse_json(&inbound.body)?;
    let correction = correction(
        body.status.as_deref(),
        body.amount.as_deref(),
        body.reason.as_deref(),
    )?;
    let amended = flow.correct(&caller, id.0, &correction, named.0).await?;
    Ok(axum::Json(view(&amended)?))
}

/// Correct a conversion by its order
///
/// The same, for shops that keep their own order id and not ours.
#[utoipa::path(patch, path = "/v1/conversions", operation_id = "change_conversion_by_order", tag = "postback",
    params(("Einklang-Shop" = Option<String>, Header, description = "The shop's public reference, for callers that sign.",
        max_length = 64, pattern = "^[A-Za-z0-9_-]{4,64}$",
        example = "shp_Q7mZ2kT9xWbL4nRc")),
    request_body(content = OrderCorrectionRequest, description = "Which order, and what to change.",
        content_type = "application/json"),
    responses(CorrectionAnswers),
    security(("bearer" = []), ("signature" = [])))]
pub async fn change_conversion_by_order(
    State(flow): State<ConversionFlow>,
    maybe: Maybe,
    origin: Origin,
    named: Named,
    request: Request,
) -> Result<axum::Json<ConversionView>, Problem> {
    let inbound = Inbound::read(request).await?;
    let caller = inbound.caller(&flow, &maybe, origin)?;
    inbound.require_json()?;
    let body: OrderCorrectionRequest = parse_json(&inbound.body)?;
    let length = body.order_id.chars().count();
    if length == 0 || length > MAX_VALUE_CHARS || body.order_id.chars().any(char::is_control) {
        return Err(Problem::invalid(
            "order_id",
            "is missing, too long or unprintable",
        ));
    }
    let correction = correction(
        body.status.as_deref(),
        body.amount.as_deref(),
        body.reason.as_deref(),
    )?;
    let goal = body.goal.as_deref().unwrap_or(DEFAULT_GOAL);
    if !valid_slug(goal) {
        return Err(Problem::invalid("goal", "is no goal's name"));
    }
    let amended = flow
        .correct_order(&caller, &body.order_id, goal, body.test, &correction, named.0)
        .await?;
    Ok(axum::Json(view(&amended)?))
}

fn correction<'a>(
    status: Option<&'a str>,
    amount: Option<&'a str>,
    reason: Option<&'a str>,
) -> Result<Correction<'a>, Problem> {
    let status = status.map(|text| {
        Status::from_code(text)
            .ok_or_else(|| Problem::invalid("status", "is not pending, confirmed or cancelled"))
    });
    let code = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        (1..=64).contains(&text.len()) && text.bytes().all(plain)
    };
    if reason.is_some_and(|text| !code(text)) {
        return Err(Problem::invalid("reason", "is not a code of a-z, 0-9 and _"));
    }
    // How many decimals it may have depends on the conversion; that it is no number can be said before looking.
    if amount.is_some_and(|text| !is_decimal(text)) {
        return Err(Problem::invalid(
            "amount",
            "is not a decimal number such as 49.90",
        ));
    }
    Ok(Correction {
        status: status.transpose()?,
        amount,
        reason,
    })
}

fn view(amended: &Amended) -> Result<ConversionView, Problem> {
    let currency = Currency::parse(&amended.currency).map_err(|_| Problem::new(Reason::Internal))?;
    Ok(ConversionView {
        id: ConversionId(amended.conversion).to_string(),
        status: amended.status.clone(),
        amount: format_amount(amended.amount_minor, currency),
        amount_minor: amended.amount_minor,
        currency: amended.currency.clone(),
        updated_at: super::time::rfc3339(amended.updated_at_ms),
    })
}
