//! `GET /c/{link}`: a tracking link is followed.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Origin;
use super::pairs;
use super::problem::{Problem, ProblemBody};
use crate::domain::refusal::Reason;
use crate::domain::signal::{Signals, is_signal, switches};
use crate::flow::agents::Agents;
use crate::flow::click::{ClickFlow, ClickOutcome, ClickRequest};

/// The route.
pub fn routes() -> OpenApiRouter<Clicks> {
    OpenApiRouter::new().routes(routes!(follow_link))
}

/// The parameters of a tracking link. All are optional; unknown ones are ignored.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "describes the parameters; they are read as pairs, since a repeated one is a signal too"
)]
struct ClickParams {
    /// The publisher's own word; it grants only with a contract on record. `cons` is an alias.
    #[param(
        max_length = 16,
        pattern = "^(granted|denied|1|0)$",
        nullable = false,
        example = "granted"
    )]
    consent: Option<String>,
    /// Whether the GDPR applies. `0` relaxes nothing.
    #[param(max_length = 1, pattern = "^[01]$", nullable = false)]
    gdpr: Option<String>,
    /// A TC string (IAB TCF 2.3).
    #[param(max_length = 16384, pattern = "^[A-Za-z0-9_.-]+$", nullable = false)]
    gdpr_consent: Option<String>,
    /// Google's additional consent string.
    #[param(max_length = 16384, pattern = "^[0-9~.dv]+$", nullable = false)]
    addtl_consent: Option<String>,
    /// A GPP string.
    #[param(max_length = 16384, pattern = "^[A-Za-z0-9_.~-]+$", nullable = false)]
    gpp: Option<String>,
    /// The GPP sections in force.
    #[param(max_length = 64, pattern = "^[0-9,-]+$", nullable = false)]
    gpp_sid: Option<String>,
    /// A US Privacy string; an opt-out is a refusal.
    #[param(max_length = 4, pattern = "^1[YN-]{3}$", nullable = false)]
    us_privacy: Option<String>,
    /// Google consent mode, short form; it can speak about the device only.
    #[param(max_length = 64, pattern = "^G1[01-]+$", nullable = false)]
    gcs: Option<String>,
    /// Google consent mode, long form; a default alone grants nothing.
    #[param(max_length = 64, pattern = "^[0-9a-zA-Z]+$", nullable = false)]
    gcd: Option<String>,
    /// Global Privacy Control; `1` is a refusal.
    #[param(max_length = 1, pattern = "^[01]$", nullable = false)]
    gpc: Option<String>,
    /// A sub-id of the publisher; `sub1` to `sub10`, at most 255 characters each. A longer one is left out.
    #[param(
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f]+$",
        nullable = false,
        example = "banner-7"
    )]
    sub1: Option<String>,
    /// A deep link, where the campaign allows it and onto the shop's allow-listed hosts; any other is ignored.
    #[param(
        max_length = 2048,
        pattern = "^https?://[^\\u0000-\\u0020]+$",
        nullable = false
    )]
    url: Option<String>,
    /// A reference to the notice that the person saw.
    #[param(max_length = 255, pattern = "^[^\\u0000-\\u001f\\u007f]+$", nullable = false)]
    notice: Option<String>,
}

/// Follow a tracking link
///
/// Redirects to the shop's landing page. With consent the click is stored before the answer leaves, and the page's URL
/// carries a tracking token; without consent nothing about the visitor is stored and the URL carries none. Both answers
/// look alike to caches. An ended or paused campaign redirects to its fallback page or answers 410.
#[utoipa::path(
    get,
    path = "/c/{link}",
    operation_id = "follow_link",
    tag = "click",
    params(
        ("link" = String, Path, description = "The link's slug.", max_length = 64,
            pattern = "^[A-Za-z0-9][A-Za-z0-9_-]*$", example = "Ab3xK9"),
        ("Sec-GPC" = Option<String>, Header, description = "Global Privacy Control; exactly `1` is a refusal.",
            max_length = 16, pattern = "^[!-~]+$"),
        ClickParams
    ),
    responses(
        (status = 302, description = "To the landing page.",
            headers(("Location" = String, description = "The landing page."))),
        (status = 404, description = "No such link.", body = ProblemBody, content_type = "application/problem+json",
            example = json!({"type": "about:blank", "title": "Not Found", "status": 404,
                "detail": "There is no such thing here.", "outcome": "refused", "reason": "not_found", "retry": false,
                "request_id": "req_00000000000040008000000000000000"})),
        (status = 410, description = "The campaign does not run and names no other page.", body = ProblemBody,
            content_type = "application/problem+json",
            example = json!({"type": "about:blank", "title": "Gone", "status": 410, "detail": "This has ended.",
                "outcome": "refused", "reason": "gone", "retry": false,
                "request_id": "req_00000000000040008000000000000000"})),
        (status = 431, description = "The URL and the headers together are over 32 KiB. Sent without a body."),
    )
)]
pub async fn follow_link(
    State(clicks): State<Clicks>,
    link: Result<Path<String>, PathRejection>,
    Origin(address): Origin,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // A segment that does not decode is no link's slug.
    let Path(link) = link.map_err(|_| Problem::new(Reason::NotFound))?;
    let query = query.unwrap_or_default();
    clicks.follow(&link, &query, &method, &headers, address).await
}

/// Follows tracking links.
#[derive(Clone)]
pub struct Clicks {
    flow: ClickFlow,
    agents: Arc<Agents>,
}

impl Clicks {
    /// Over the flow.
    pub fn new(flow: ClickFlow) -> Self {
        let agents = Arc::default();
        Self { flow, agents }
    }

    /// Follows a link by its decoded slug.
    pub(super) async fn follow(
        &self,
        link: &str,
        query: &str,
        method: &Method,
        headers: &HeaderMap,
        address: IpAddr,
    ) -> Result<Response, Problem> {
        let pairs = pairs::read(query);
        let agent = headers
            .get(header::USER_AGENT)
            .and_then(|value| value.to_str().ok());
        let mut request = ClickRequest {
            link,
            signals: Signals::with_header(sec_gpc(headers)),
            subs: [None; 10],
            url: None,
            notice: None,
            agent: self.agents.class_of(agent),
            address,
            head: *method == Method::HEAD,
        };
        fill(&mut request, &pairs);
        match self.flow.follow(request).await {
            ClickOutcome::Redirect { to, tracked } => {
                if tracked {
                    self.agents.keep(agent, request.agent);
                }
                redirect(&to)
            }
            ClickOutcome::NotFound => Err(Problem::new(Reason::NotFound)),
            ClickOutcome::Gone => Err(Problem::new(Reason::Gone)),
        }
    }
}

/// What does not decode is left out, except a signal: that is malformed.
pub(super) fn fill<'a>(request: &mut ClickRequest<'a>, pairs: &'a [pairs::Pair<'a>]) {
    let mut twice = [false; 10];
    for (name, value) in pairs {
        if is_signal(name) {
            request.signals.note(name, value.as_deref().unwrap_or(""));
            continue;
        }
        let Some(value) = value.as_deref().filter(|value| !value.is_empty()) else {
            continue;
        };
        match name.as_ref() {
            "url" => request.url = Some(value),
            "notice" => request.notice = Some(value),
            name => {
                let place = name
                    .strip_prefix("sub")
                    .and_then(|digits| digits.parse::<usize>().ok());
                let place = place.unwrap_or(0).wrapping_sub(1);
                if let (Some(slot), Some(twice)) = (request.subs.get_mut(place), twice.get_mut(place)) {
                    // Two values for one sub-id: neither can be trusted to be the one.
                    *slot = if *twice { None } else { Some(value) };
                    *twice = true;
                }
            }
        }
    }
}

/// Whether some `Sec-GPC` header is exactly `1`.
pub fn sec_gpc(headers: &HeaderMap) -> bool {
    switches::sec_gpc(headers.get_all("sec-gpc").iter().map(HeaderValue::as_bytes))
}

/// Tracked and untracked redirects are alike in everything but the URL.
fn redirect(to: &str) -> Result<Response, Problem> {
    let location = HeaderValue::from_str(to).map_err(|_| Problem::new(Reason::Internal))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    let headers = response.headers_mut();
    // With those that every answer has.
    headers.reserve(8);
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}
