//! The front: everything goes to the router, but for clicks and the plain postback, which take a short way.
//!
//! Nearly every request is one of them. The router finds their handlers through boxed layers, which cost more than a click's
//! handler; here the same functions are called in the same order, without looking the route up.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use http::{Method, Request};

use super::auth::{Entrance, Gate, Maybe, Origin};
use super::click::Clicks;
use super::listener::{Application, PeerAddr};
use super::postback::receive;
use super::problem::Problem;
use super::request::{MAX_BODY_BYTES, Named};
use super::router::{dress, panicked};
use crate::domain::access::Principal;
use crate::flow::access::AccessFlow;
use crate::flow::conversion::ConversionFlow;

/// The whole application.
#[derive(Clone)]
pub struct Front {
    router: Router,
    short: Arc<Short>,
}

/// What the short way needs.
struct Short {
    clicks: Clicks,
    conversion: ConversionFlow,
    gate: Arc<Gate>,
    access: AccessFlow,
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
enum Way<'a> {
    /// Following the link of this slug.
    Click(&'a str),
    /// To the operation that takes a postback without a shop in its path.
    Postback(&'static str),
    /// To the router.
    Long,
}

impl Front {
    pub(super) fn new(
        router: Router,
        clicks: Clicks,
        conversion: ConversionFlow,
        gate: Arc<Gate>,
        access: AccessFlow,
    ) -> Self {
        let short = Short {
            clicks,
            conversion,
            gate,
            access,
        };
        Self {
            // Turns every route into its final form once, instead of once per request.
            router: router.with_state(()),
            short: Arc::new(short),
        }
    }

    /// Every route, those of the short way as well.
    pub fn router(&self) -> &Router {
        &self.router
    }
}

impl Application for Front {
    async fn answer(&self, request: Request<Body>, peer: PeerAddr) -> Response {
        // Their futures are large, and every connection, a silent one as well, would have room for the largest.
        match way(&request) {
            Way::Click(_) => {
                // A link has no use for a body.
                let (parts, _) = request.into_parts();
                Box::pin(self.short.click(Request::from_parts(parts, ()), peer)).await
            }
            Way::Postback(operation) => Box::pin(self.short.postback(operation, request, peer)).await,
            Way::Long => self.router.answer(request, peer).await,
        }
    }
}

impl Short {
    async fn click(&self, request: Request<()>, peer: PeerAddr) -> Response {
        let id = self.access.request_id();
        let Way::Click(link) = way(&request) else {
            return dress(
                Problem::new(crate::domain::refusal::Reason::NotFound).into_response(),
                id,
            );
        };
        let address = self.gate.origin(request.headers(), peer);
        let query = request.uri().query().unwrap_or_default();
        let following = self
            .clicks
            .follow(link, query, request.method(), request.headers(), address);
        dress(caught(following).await, id)
    }

    async fn postback(
        &self,
        operation: &'static str,
        mut request: Request<Body>,
        peer: PeerAddr,
    ) -> Response {
        let id = self.access.request_id();
        let address = self.gate.origin(request.headers(), peer);
        DefaultBodyLimit::max(MAX_BODY_BYTES).apply(&mut request);
        let receiving = |request: Request<Body>, principal: Option<Principal>| {
            let receiving = receive(
                &self.conversion,
                Maybe(principal),
                Origin(address),
                Named(id),
                None,
                request,
            );
            async { receiving.await.into_response() }
        };
        let entrance = Entrance::Signed(operation);
        let guarded = self.gate.guarded(entrance, address, request, receiving);
        dress(caught(guarded.map(Ok)).await, id)
    }
}

/// What comes of answering, a panic included.
async fn caught(answering: impl Future<Output = Result<Response, Problem>>) -> Response {
    match AssertUnwindSafe(answering).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) => problem.into_response(),
        Err(payload) => panicked(payload),
    }
}

/// The way of a request. Any unusual way of writing a path goes through the router.
fn way<B>(request: &Request<B>) -> Way<'_> {
    let (path, method) = (request.uri().path(), request.method());
    match path.strip_prefix("/c/") {
        Some(link) if *method == Method::GET => {
            let plain = !link.is_empty() && !link.bytes().any(|byte| byte == b'/' || byte == b'%');
            if plain { Way::Click(link) } else { Way::Long }
        }
        None if path == "/postback" && *method == Method::POST => Way::Postback("send_postback_form"),
        None if path == "/postback" && *method == Method::GET => Way::Postback("send_postback"),
        _ => Way::Long,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, uri: &str) -> String {
        let request = Request::builder().method(method).uri(uri).body(());
        format!("{:?}", way(&request.expect("a request")))
    }

    #[test]
    fn only_plain_clicks_and_postbacks_take_the_short_way() {
        assert_eq!(of("GET", "/c/Ab3xK9?consent=granted"), "Click(\"Ab3xK9\")");
        assert_eq!(of("GET", "/postback?token=a"), "Postback(\"send_postback\")");
        assert_eq!(of("POST", "/postback"), "Postback(\"send_postback_form\")");
        for (method, uri) in [
            ("HEAD", "/c/Ab3xK9"),
            ("POST", "/c/Ab3xK9"),
            ("GET", "/c/"),
            ("GET", "/c/a/b"),
            ("GET", "/c/a%62"),
            ("GET", "/v1/c/a"),
            ("HEAD", "/postback"),
            ("POST", "/postback/shp_1"),
            ("POST", "/postback/"),
        ] {
            assert_eq!(of(method, uri), "Long", "{method} {uri}");
        }
    }

    #[test]
    fn the_operations_of_the_short_way_are_those_of_the_document() {
        let entrances = super::super::openapi::entrances();
        for (method, operation) in [
            (Method::GET, "send_postback"),
            (Method::POST, "send_postback_form"),
        ] {
            assert_eq!(entrances.of(&method, "/postback"), Entrance::Signed(operation));
        }
        assert_eq!(entrances.of(&Method::GET, "/c/{link}"), Entrance::Open);
    }
}
