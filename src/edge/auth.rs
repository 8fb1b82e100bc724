//! Who is calling: a bearer key or token to a [`Principal`], the access table, and the limit per caller.
//!
//! One layer does it for every operation of the OpenAPI document before any body is read, so that no handler can forget
//! it: the matched path and method give the operation, the operation gives the roles. Postbacks may come without a key;
//! their handler then checks the shop's signature.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::{HeaderMap, HeaderValue, Method, header};

use super::bearer::{bearer, refusal};
use super::listener::PeerAddr;
use super::problem::Problem;
use crate::domain::access::{Bearer, Principal, TABLE, may};
use crate::domain::refusal::Reason;
use crate::flow::access::AccessFlow;
use crate::flow::identity::NotKnown;
use crate::flow::refusals::Claimant;

const WINDOW_SECONDS: u32 = 60;

/// How a route may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    /// By anybody.
    Open,
    /// With a key or a token.
    Keyed(&'static str),
    /// With a key or a token, or with a shop's signature, which the handler checks.
    Signed(&'static str),
}

/// Routes by path template and method.
#[derive(Debug, Default)]
pub struct Entrances(HashMap<String, Vec<(Method, Entrance)>>);

/// Operations that a shop may call with its signature instead of a key.
pub const SIGNED: [&str; 9] = [
    "send_postback",
    "send_postback_form",
    "send_shop_postback",
    "send_shop_postback_form",
    "create_conversion",
    "create_conversions",
    "change_conversion",
    "change_conversion_by_order",
    "send_consent_signal",
];

impl Entrances {
    /// Adds an operation: what stands in the access table needs a key, everything else is open.
    pub fn add(&mut self, method: Method, path: &str, operation: &str) {
        let keyed = TABLE
            .iter()
            .map(|(name, _)| *name)
            .find(|name| *name == operation);
        let entrance = match keyed {
            Some(name) if SIGNED.contains(&name) => Entrance::Signed(name),
            Some(name) => Entrance::Keyed(name),
            None => Entrance::Open,
        };
        self.0
            .entry(path.to_owned())
            .or_default()
            .push((method, entrance));
    }

    /// The entrance of a request to a path template. What is not in the document is open by nature (documentation,
    /// health) or does not exist.
    pub(super) fn of(&self, method: &Method, path: &str) -> Entrance {
        // HEAD is answered by the handler of GET.
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        // The document names a value that may hold slashes like any other.
        let known = if path.contains("{*") {
            self.0.get(&path.replace("{*", "{"))
        } else {
            self.0.get(path)
        };
        let entrances = known.map_or(&[][..], Vec::as_slice);
        entrances
            .iter()
            .find(|(other, _)| other == method)
            .map_or(Entrance::Open, |(_, entrance)| *entrance)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Caller {
    Known(i64, Bearer),
    Address(IpAddr),
}

type Limiter = RateLimiter<
    Caller,
    governor::state::keyed::DefaultKeyedStateStore<Caller>,
    DefaultClock,
    StateInformationMiddleware,
>;

/// The gate in front of every route.
pub struct Gate {
    access: AccessFlow,
    entrances: Entrances,
    limiter: Limiter,
    per_minute: u32,
    proxies: Vec<ipnet::IpNet>,
}

impl Gate {
    /// A gate with this many requests per caller and minute.
    pub fn new(
        access: AccessFlow,
        entrances: Entrances,
        per_minute: NonZeroU32,
        proxies: Vec<ipnet::IpNet>,
    ) -> Self {
        let quota = Quota::per_minute(per_minute);
        let limiter: DefaultKeyedRateLimiter<Caller> = RateLimiter::keyed(quota);
        let limiter = limiter.with_middleware::<StateInformationMiddleware>();
        Self {
            access,
            entrances,
            limiter,
            per_minute: per_minute.get(),
            proxies,
        }
    }

    /// Forgets callers that were quiet long enough to have their whole quota again.
    pub fn forget_quiet_callers(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }

    /// Where a request came from: the peer, or behind configured proxies the rightmost address that is none of them.
    pub(super) fn origin(&self, headers: &HeaderMap, peer: PeerAddr) -> IpAddr {
        origin(headers, peer.0.ip(), &self.proxies)
    }

    /// Takes one request from the caller's quota: what is left, or how long to wait.
    fn take(&self, caller: Caller) -> Result<u32, Duration> {
        match self.limiter.check_key(&caller) {
            Ok(state) => Ok(state.remaining_burst_capacity()),
            Err(not_until) => Err(not_until.wait_time_from(DefaultClock::default().now())),
        }
    }
}

/// Where a request came from: the peer, or behind configured proxies the rightmost address that is none of them.
#[derive(Debug, Clone, Copy)]
pub struct Origin(pub IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Origin>()
            .copied()
            .ok_or_else(|| Problem::new(Reason::Internal))
    }
}

fn origin(headers: &HeaderMap, peer: IpAddr, proxies: &[ipnet::IpNet]) -> IpAddr {
    let trusted = |address: &IpAddr| proxies.iter().any(|net| net.contains(address));
    if !trusted(&peer) {
        return peer;
    }
    let mut hops: Vec<IpAddr> = Vec::new();
    for value in headers.get_all("x-forwarded-for") {
        for hop in value.to_str().unwrap_or("").split(',') {
            match hop.trim().parse() {
                Ok(address) => hops.push(address),
                // What cannot be read cannot be trusted either, nor can anything left of it.
                Err(_) => hops.clear(),
            }
        }
    }
    hops.into_iter().rev().find(|hop| !trusted(hop)).unwrap_or(peer)
}

/// An IPv6 caller is its /64: one line has that many addresses.
pub(super) fn address_key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => IpAddr::V6((u128::from(six) >> 64 << 64).into()),
    }
}

/// The layer: authenticates, authorises, limits, and names the origin.
pub async fn guard(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<PeerAddr>();
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0.ip());
    let address = origin(request.headers(), peer, &gate.proxies);
    request.extensions_mut().insert(Origin(address));
    let entrance = entrance(&gate.entrances, &request);
    let inside = |mut request: Request, principal: Option<Principal>| {
        if let Some(principal) = principal {
            request.extensions_mut().insert(principal);
        }
        next.run(request)
    };
    gate.guarded(entrance, address, request, inside).await
}

impl Gate {
    /// Lets a request in, with its caller where one is known, or turns it away.
    pub(super) async fn guarded<F: Future<Output = Response>>(
        &self,
        entrance: Entrance,
        address: IpAddr,
        request: Request,
        inside: impl FnOnce(Request, Option<Principal>) -> F,
    ) -> Response {
        let (operation, signed) = match entrance {
            Entrance::Open => return inside(request, None).await,
            Entrance::Keyed(operation) => (operation, false),
            Entrance::Signed(operation) => (operation, true),
        };
        let identified = match bearer(request.headers()) {
            Some(text) => self.access.identify(text).await,
            None => Err(NotKnown::Key),
        };
        let caller = match &identified {
            Ok(principal) => Caller::Known(principal.tenant, principal.bearer),
            Err(_) => Caller::Address(address_key(address)),
        };
        let claimant = claimant(&self.access, identified.as_ref().ok(), &request);
        let left = match self.take(caller) {
            Ok(left) => left,
            Err(wait) => {
                self.access.refused(claimant, operation, Reason::RateLimited);
                let mut problem = Problem::new(Reason::RateLimited);
                problem.retry_after_seconds = u32::try_from(wait.as_secs()).unwrap_or(WINDOW_SECONDS).max(1);
                return with_limits(problem.into_response(), self, 0);
            }
        };
        let presented = request.headers().contains_key(header::AUTHORIZATION);
        let response = match identified {
            Ok(principal) if may(principal.role, operation) => inside(request, Some(principal)).await,
            Ok(_) => Problem::new(Reason::Forbidden).into_response(),
            // A key that was shown and is not known is a refusal, never a reason to try something weaker.
            Err(_) if signed && !presented => inside(request, None).await,
            Err(why) => refusal(why).into_response(),
        };
        // Handlers turn away too: for a signature that does not fit, or for an address.
        if let Some(problem) = response.extensions().get::<Problem>() {
            self.access.refused(claimant, operation, problem.reason);
        }
        with_limits(response, self, left)
    }
}

/// Who asks, as far as that is known or claimed.
fn claimant(access: &AccessFlow, principal: Option<&Principal>, request: &Request) -> Claimant {
    if let Some(principal) = principal {
        return Claimant::Known(principal.tenant, principal.bearer);
    }
    let template = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let named = match template {
        Some("/postback/{shop}") => request.uri().path().strip_prefix("/postback/"),
        _ => request
            .headers()
            .get("einklang-shop")
            .and_then(|value| value.to_str().ok()),
    };
    named
        .and_then(|reference| access.shop(reference))
        .unwrap_or(Claimant::Unknown)
}

fn entrance(entrances: &Entrances, request: &Request) -> Entrance {
    let path = request.extensions().get::<MatchedPath>();
    path.map_or(Entrance::Open, |path| {
        entrances.of(request.method(), path.as_str())
    })
}

/// The headers of draft-ietf-httpapi-ratelimit-headers-10.
fn with_limits(mut response: Response, gate: &Gate, left: u32) -> Response {
    let policy = format!("\"caller\";q={};w={WINDOW_SECONDS}", gate.per_minute);
    let state = format!("\"caller\";r={left};t={WINDOW_SECONDS}");
    for (name, text) in [("ratelimit-policy", policy), ("ratelimit", state)] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The authenticated caller, put there by [`guard`].
pub struct Authenticated(pub Principal);

impl<S: Send + Sync> FromRequestParts<S> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let principal = parts.extensions.get::<Principal>().cloned();
        principal
            .map(Authenticated)
            .ok_or_else(|| Problem::new(Reason::Unauthenticated))
    }
}

/// The caller's key, where one was shown: for operations that take a signature instead.
pub struct Maybe(pub Option<Principal>);

impl<S: Send + Sync> FromRequestParts<S> for Maybe {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Maybe(parts.extensions.get::<Principal>().cloned()))
    }
}
