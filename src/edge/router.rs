//! The whole router: every route with the flow it needs, and the layers around all of them.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderName, HeaderValue, header};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::auth::{Gate, guard};
use super::click::Clicks;
use super::consent::ConsentRoutes;
use super::erasure::ErasureRoutes;
use super::front::Front;
use super::problem::{Problem, finish};
use super::request::{MAX_BODY_BYTES, Named};
use super::{
    audit, audit_check, click, consent, correction, erasure, evidence_packs, explain, health, keys, objects,
    openapi, opendsr, postback, records, report, requests, retention, signal, token,
};
use crate::domain::ids::RequestId;
use crate::domain::refusal::Reason;
use crate::flow::access::AccessFlow;
use crate::flow::audit::AuditFlow;
use crate::flow::audit::check::Checks;
use crate::flow::audit::packs::PackFlow;
use crate::flow::click::ClickFlow;
use crate::flow::consent::ConsentFlow;
use crate::flow::conversion::ConversionFlow;
use crate::flow::erasure::ErasureFlow;
use crate::flow::explain::ExplainFlow;
use crate::flow::health::HealthFlow;
use crate::flow::identity::IdentityFlow;
use crate::flow::keys::KeysFlow;
use crate::flow::objects::ObjectsFlow;
use crate::flow::records::RecordsFlow;
use crate::flow::report::ReportFlow;
use crate::flow::requests::RequestsFlow;
use crate::flow::retention::RetentionFlow;
use crate::flow::signal::SignalFlow;

/// The largest body of a batch, in bytes.
const MAX_BATCH_BYTES: usize = 1024 * 1024;

/// Every flow that a route needs.
#[derive(Clone)]
pub struct Flows {
    /// Callers.
    pub access: AccessFlow,
    /// The audit log.
    pub audit: AuditFlow,
    /// Clicks.
    pub click: ClickFlow,
    /// Postbacks and corrections.
    pub conversion: ConversionFlow,
    /// Consent changes.
    pub consent: ConsentFlow,
    /// Erasures.
    pub erasure: ErasureFlow,
    /// Consent records.
    pub records: RecordsFlow,
    /// Explanations of decisions.
    pub explain: ExplainFlow,
    /// Reports.
    pub report: ReportFlow,
    /// Retention.
    pub retention: RetentionFlow,
    /// Looking into signals.
    pub signal: SignalFlow,
    /// The tamper search.
    pub checks: Checks,
    /// Evidence packs.
    pub packs: PackFlow,
    /// Which keys there are.
    pub keys: KeysFlow,
    /// Health.
    pub health: HealthFlow,
    /// The management of objects.
    pub objects: ObjectsFlow,
    /// Our own tokens.
    pub identity: IdentityFlow,
    /// Requests of people.
    pub requests: RequestsFlow,
}

/// What an operator may set about the router.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Requests per caller and minute.
    pub requests_per_minute: NonZeroU32,
    /// Proxies whose forwarded addresses count.
    pub proxies: Vec<ipnet::IpNet>,
    /// Hours after which PostgreSQL keeps nothing of an erasure any more.
    pub remains_hours: u32,
}

/// The application, and the gate whose quotas have to be tidied up from time to time.
pub fn router(flows: Flows, settings: Settings) -> (Front, Arc<Gate>) {
    let gate = Gate::new(
        flows.access.clone(),
        openapi::entrances(),
        settings.requests_per_minute,
        settings.proxies,
    );
    let gate = Arc::new(gate);
    let erasures = ErasureRoutes {
        erasure: flows.erasure,
        audit: flows.audit.clone(),
        remains_hours: settings.remains_hours,
    };
    let clicks = Clicks::new(flows.click);
    let (plain, _) = click::routes()
        .with_state(clicks.clone())
        .merge(postback::routes().with_state(flows.conversion.clone()))
        .merge(correction::routes().with_state(flows.conversion.clone()))
        .merge(consent::routes().with_state(ConsentRoutes {
            consent: flows.consent,
            conversion: flows.conversion.clone(),
        }))
        .merge(erasure::routes().with_state(erasures))
        .merge(audit::routes().with_state(flows.audit))
        .merge(records::routes().with_state(flows.records))
        .merge(explain::routes().with_state(flows.explain))
        .merge(report::routes().with_state(flows.report))
        .merge(retention::routes().with_state(flows.retention))
        .merge(signal::routes().with_state(flows.signal))
        .merge(audit_check::routes().with_state(flows.checks))
        .merge(evidence_packs::routes().with_state(flows.packs))
        .merge(keys::routes().with_state(flows.keys))
        .merge(health::routes().with_state(flows.health))
        .merge(objects::routes().with_state(flows.objects))
        .merge(token::routes().with_state(flows.identity))
        .merge(requests::routes().with_state(flows.requests.clone()))
        .merge(opendsr::routes().with_state(flows.requests))
        .split_for_parts();
    let (batch, _) = postback::batch_routes()
        .with_state(flows.conversion.clone())
        .split_for_parts();
    let router = plain
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .merge(batch.layer(DefaultBodyLimit::max(MAX_BATCH_BYTES)))
        .merge(documents())
        .method_not_allowed_fallback(|| async { Problem::new(Reason::MethodNotAllowed) })
        .fallback(|| async { Problem::new(Reason::NotFound) })
        .layer(middleware::from_fn_with_state(Arc::clone(&gate), guard))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(flows.access.clone(), outermost));
    let front = Front::new(router, clicks, flows.conversion, Arc::clone(&gate), flows.access);
    (front, gate)
}

/// What a panic left behind is not looked at: it could hold anything.
pub(super) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    Problem::new(Reason::Internal).into_response()
}

/// Names the request and dresses its answer.
async fn outermost(State(access): State<AccessFlow>, mut request: Request, next: Next) -> Response {
    let id = access.request_id();
    request.extensions_mut().insert(Named(id));
    dress(next.run(request).await, id)
}

/// Writes the body of a problem, and sets what every answer has.
pub(super) fn dress(response: Response, id: RequestId) -> Response {
    let text = id.to_string();
    tracing::debug!(request_id = %text, status = response.status().as_u16(), "answered");
    let mut response = finish(response, &text);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'",
        ));
    response
}

/// The OpenAPI document and its browser, from files inside the binary.
fn documents() -> Router {
    const POLICY: HeaderValue = HeaderValue::from_static(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    let text = openapi::text();
    let served = text.clone();
    let browser: Router = SwaggerUi::new("/docs")
        .config(Config::from("/openapi.json"))
        .into();
    let with_policy = |mut response: Response| async move {
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, POLICY);
        response
    };
    let json = move || {
        let text = served.clone();
        async move {
            (
                [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
                text,
            )
        }
    };
    browser
        .layer(middleware::map_response(with_policy))
        .route("/openapi.json", get(json))
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt;

    use super::*;

    async fn broken() -> &'static str {
        panic!("canary")
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_that_says_nothing() {
        let router: Router = Router::new()
            .route("/", get(broken))
            .layer(CatchPanicLayer::custom(panicked));
        let response = router
            .oneshot(Request::new(Body::empty()))
            .await
            .expect("an answer");
        let response = finish(response, "req_0");
        assert_eq!(response.status(), 500);
        let body = to_bytes(response.into_body(), 4_096).await.expect("a body");
        let text = String::from_utf8_lossy(&body);
        assert!(
            text.contains("\"reason\":\"internal\"") && text.contains("req_0"),
            "{text}"
        );
        assert!(!text.contains("canary"), "{text}");
    }
}
