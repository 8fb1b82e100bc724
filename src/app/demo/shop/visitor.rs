//! The browser's side of the shop: its own three first-party cookies, and what they say about consent.
//!
//! The token's cookie exists only beside a granted consent. What is remembered of a refusal is the refusal.

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderValue, header};

const CONSENT: &str = "mh_einwilligung";
const TOKEN: &str = "mh_token";
const SESSION: &str = "mh_konto";
/// As long as the campaigns' attribution window.
const KEPT_SECONDS: u32 = 30 * 86_400;

/// What the visitor decided about the shop's tracking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Nothing yet.
    Open,
    /// Yes.
    Granted,
    /// No.
    Denied,
}

/// A visitor as the cookies tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// The decision.
    pub consent: Consent,
    /// The session of the account.
    pub session: Option<String>,
    token: Option<String>,
}

impl Visitor {
    /// The token, as long as consent stands.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref().filter(|_| self.consent == Consent::Granted)
    }

    fn of(parts: &Parts) -> Self {
        let mut visitor = Self {
            consent: Consent::Open,
            session: None,
            token: None,
        };
        let cookies = parts
            .headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        for (name, value) in cookies
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
        {
            match (name, value) {
                (CONSENT, "granted") => visitor.consent = Consent::Granted,
                (CONSENT, "denied") => visitor.consent = Consent::Denied,
                (TOKEN, value) if is_token(value) => visitor.token = Some(value.to_owned()),
                (SESSION, value) => visitor.session = Some(value.to_owned()),
                _ => {}
            }
        }
        // A browser that says so in general need not be asked in particular.
        if parts.headers.get("sec-gpc").is_some_and(|value| value == "1") {
            visitor.consent = Consent::Denied;
        }
        visitor
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts))
    }
}

/// Whether a text can be a token. Only the ad server can tell whether it is one.
pub fn is_token(text: &str) -> bool {
    (1..=120).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Cookies to be set: none of them is readable by scripts or sent along from other sites. Without `Secure`, because
/// the demo speaks plain HTTP; a real shop has it.
pub struct Cookies(Vec<HeaderValue>);

impl Cookies {
    /// None yet.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Remembers a decision.
    pub fn decided(self, consent: Consent) -> Self {
        match consent {
            Consent::Granted => self.set(CONSENT, "granted", KEPT_SECONDS),
            Consent::Denied => self.set(CONSENT, "denied", KEPT_SECONDS).set(TOKEN, "", 0),
            Consent::Open => self.set(CONSENT, "", 0).set(TOKEN, "", 0),
        }
    }

    /// Keeps a token.
    pub fn token(self, token: &str) -> Self {
        self.set(TOKEN, token, KEPT_SECONDS)
    }

    /// Opens an account's session.
    pub fn session(self, session: &str) -> Self {
        self.set(SESSION, session, KEPT_SECONDS)
    }

    fn set(mut self, name: &str, value: &str, seconds: u32) -> Self {
        let text = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax");
        // Names are ours, values are checked tokens and letters: the header takes them all.
        self.0.extend(HeaderValue::from_str(&text));
        self
    }

    /// Adds them to an answer.
    pub fn onto(self, mut response: axum::response::Response) -> axum::response::Response {
        for cookie in self.0 {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitor(cookie: &str, gpc: bool) -> Visitor {
        let mut request = http::Request::get("/").header(header::COOKIE, cookie);
        if gpc {
            request = request.header("sec-gpc", "1");
        }
        Visitor::of(&request.body(()).expect("a request").into_parts().0)
    }

    #[test]
    fn a_token_counts_only_beside_a_granted_consent() {
        assert_eq!(
            visitor("mh_einwilligung=granted; mh_token=abc", false).token(),
            Some("abc")
        );
        for refused in [
            "mh_token=abc",
            "mh_einwilligung=denied; mh_token=abc",
            "mh_einwilligung=granted; mh_token=a<b",
        ] {
            assert_eq!(visitor(refused, false).token(), None, "{refused}");
        }
        let opted_out = visitor("mh_einwilligung=granted; mh_token=abc", true);
        assert_eq!((opted_out.consent, opted_out.token()), (Consent::Denied, None));
    }
}
