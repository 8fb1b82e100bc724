//! `POST /v1/consent-signals`: a shop forwards a change of consent, with or without an order.

use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Maybe, Origin};
use super::inbound::Inbound;
use super::person::PersonNames;
use super::problem::{Problem, ProblemBody};
use super::request::{Named, given, parse_json};
use crate::domain::postback::{BadParameter, moment};
use crate::domain::signal::Signals;
use crate::flow::consent::{About, ConsentFlow};
use crate::flow::conversion::ConversionFlow;

/// The flows that this route needs: consent changes, and the check of signatures.
#[derive(Clone)]
pub struct ConsentRoutes {
    /// Consent changes.
    pub consent: ConsentFlow,
    /// Knows the shops that sign.
    pub conversion: ConversionFlow,
}

/// The route.
pub fn routes() -> OpenApiRouter<ConsentRoutes> {
    OpenApiRouter::new().routes(routes!(send_consent_signal))
}

/// A change of consent. Names its person by exactly one of `token`, `order_id` and `customer_ref`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"order_id": "A-1001", "consent": "denied"}))]
pub struct ConsentSignalRequest {
    /// The tracking token.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        min_length = 1,
        max_length = 120,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    token: Option<String>,
    /// The shop's order id.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    order_id: Option<String>,
    /// The order's goal; `order` if left out.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    goal: Option<String>,
    /// The shop's pseudonym for the person: all of the person's clicks.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    customer_ref: Option<String>,
    /// When the person changed it (RFC 3339); not in the future.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 35, format = "date-time", nullable = false)]
    occurred_at: Option<String>,
    /// The shop's own word: `granted`, `denied`, `1` or `0`.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 16, pattern = "^[!-~]*$", nullable = false)]
    consent: Option<String>,
    /// Whether the GDPR applies: `1` or `0`.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 16, pattern = "^[!-~]*$", nullable = false)]
    gdpr: Option<String>,
    /// A TC string (IAB TCF 2.3).
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 16384, pattern = "^[!-~]*$", nullable = false)]
    gdpr_consent: Option<String>,
    /// Google's additional consent string.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 16384, pattern = "^[!-~]*$", nullable = false)]
    addtl_consent: Option<String>,
    /// A GPP string.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 16384, pattern = "^[!-~]*$", nullable = false)]
    gpp: Option<String>,
    /// The GPP sections in force.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 64, pattern = "^[!-~]*$", nullable = false)]
    gpp_sid: Option<String>,
    /// A US Privacy string; an opt-out is a refusal.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 16, pattern = "^[!-~]*$", nullable = false)]
    us_privacy: Option<String>,
    /// Google consent mode, short form; it can speak about the device only.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 64, pattern = "^[!-~]*$", nullable = false)]
    gcs: Option<String>,
    /// Google consent mode, long form; a default alone grants nothing.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 64, pattern = "^[!-~]*$", nullable = false)]
    gcd: Option<String>,
    /// Global Privacy Control; `1` is a refusal.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 16, pattern = "^[!-~]*$", nullable = false)]
    gpc: Option<String>,
    /// Google consent mode, by name: `granted` or `denied`. Needed for access to the device and, with `ad_user_data`, for measuring.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 16, pattern = "^[!-~]*$", nullable = false)]
    ad_storage: Option<String>,
    /// Google consent mode, by name: `granted` or `denied`.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 16, pattern = "^[!-~]*$", nullable = false)]
    ad_user_data: Option<String>,
    /// Google consent mode, by name: `granted` or `denied`.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 16, pattern = "^[!-~]*$", nullable = false)]
    ad_personalization: Option<String>,
    /// Google consent mode, by name: `granted` or `denied`. Has to be readable and decides nothing.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 16, pattern = "^[!-~]*$", nullable = false)]
    analytics_storage: Option<String>,
}

/// Whether a change had an effect.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"outcome": "applied", "request_id": "req_00000000000040008000000000000000"}))]
pub struct ConsentSignalAnswer {
    /// `applied`, or `no_effect` (also where the reference is not known here).
    #[schema(value_type = String, max_length = 16, pattern = "^(applied|no_effect)$")]
    outcome: &'static str,
    /// Names the request in support questions and in the audit trail.
    #[schema(max_length = 36, pattern = "^req_[0-9a-f]{32}$")]
    request_id: String,
}

/// Forward a change of consent
///
/// A denial erases the click and everything that hangs on it and keeps late postbacks out. A grant is noted beside a
/// living click and revives nothing. A reference that is not known here has no effect, and the answer does not tell it
/// from one that is known. Where a visitor declined at the shop and there is no order, this is what the shop sends.
#[utoipa::path(post, path = "/v1/consent-signals", operation_id = "send_consent_signal", tag = "consent",
    params(("Einklang-Shop" = Option<String>, Header, description = "The shop's public reference, for callers that sign.",
        max_length = 64, pattern = "^[A-Za-z0-9_-]{4,64}$",
        example = "shp_Q7mZ2kT9xWbL4nRc")),
    request_body(content = ConsentSignalRequest, description = "Whom it is about, and the signals.",
        content_type = "application/json"),
    responses(
        (status = 200, description = "Applied, or without effect.", body = ConsentSignalAnswer),
        (status = 400, description = "A member is not acceptable, or a signal cannot be read (`consent_malformed`).",
            body = ProblemBody, content_type = "application/problem+json",
            example = json!({"type": "about:blank", "title": "Bad Request", "status": 400,
                "detail": "A consent signal cannot be read; correct it and send again.", "outcome": "refused",
                "reason": "consent_malformed", "retry": false,
                "request_id": "req_00000000000040008000000000000000"})),
        (status = 422, description = "No consent signal came (`consent_missing`).", body = ProblemBody,
            content_type = "application/problem+json",
            example = json!({"type": "about:blank", "title": "Unprocessable Entity", "status": 422,
                "detail": "The policy needs a consent signal and none that can be used came.", "outcome": "refused",
                "reason": "consent_missing", "retry": false,
                "request_id": "req_00000000000040008000000000000000"})),
    ),
    security(("bearer" = []), ("signature" = [])))]
pub async fn send_consent_signal(
    State(routes): State<ConsentRoutes>,
    maybe: Maybe,
    origin: Origin,
    named: Named,
    request: Request,
) -> Result<axum::Json<ConsentSignalAnswer>, Problem> {
    let inbound = Inbound::read(request).await?;
    let caller = inbound.caller(&routes.conversion, &maybe, origin)?;
    inbound.require_json()?;
    let body: ConsentSignalRequest = parse_json(&inbound.body)?;
    let about = body.about()?;
    if let Some(text) = &body.occurred_at {
        let bad = |bad: BadParameter| Problem::invalid(bad.name, bad.why);
        moment("occurred_at", text, routes.consent.now_ms()).map_err(bad)?;
    }
    let signals = body.signals(inbound.sec_gpc);
    let applied = routes.consent.change(&caller, about, &signals, named.0).await?;
    let outcome = if applied { "applied" } else { "no_effect" };
    Ok(axum::Json(ConsentSignalAnswer {
        outcome,
        request_id: named.0.to_string(),
    }))
}

impl ConsentSignalRequest {
    fn about(&self) -> Result<About<'_>, Problem> {
        let names = PersonNames {
            token: self.token.as_deref(),
            order_id: self.order_id.as_deref(),
            goal: self.goal.as_deref(),
            customer_ref: self.customer_ref.as_deref(),
        };
        names.check()?;
        names.about()
    }

    fn signals(&self, sec_gpc: bool) -> Signals<'_> {
        let mut signals = Signals::with_header(sec_gpc);
        for (name, value) in [
            ("consent", &self.consent),
            ("gdpr", &self.gdpr),
            ("gdpr_consent", &self.gdpr_consent),
            ("addtl_consent", &self.addtl_consent),
            ("gpp", &self.gpp),
            ("gpp_sid", &self.gpp_sid),
            ("us_privacy", &self.us_privacy),
            ("gcs", &self.gcs),
            ("gcd", &self.gcd),
            ("gpc", &self.gpc),
            ("ad_storage", &self.ad_storage),
            ("ad_user_data", &self.ad_user_data),
            ("ad_personalization", &self.ad_personalization),
            ("analytics_storage", &self.analytics_storage),
        ] {
            if let Some(value) = value {
                signals.note(name, value);
            }
        }
        signals
    }
}
