//! A postback as it arrives: body first, then who sent it, then what it says.
//!
//! Signatures cover the raw bytes, so the body is read before the sender is known, within the listener's and the
//! route's limits; nothing of it is looked at until the sender is.

use std::borrow::Cow;

use axum::extract::Request;
use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::auth::{Maybe, Origin};
use super::click::sec_gpc;
use super::pairs;
use super::problem::Problem;
use super::request::{body, media_type, parse_json};
use crate::domain::postback::{self, Form};
use crate::domain::refusal::Reason;
use crate::domain::signal::is_signal;
use crate::domain::signature::Signed;
use crate::flow::conversion::{Caller, ConversionFlow, Sender};

/// A request with its body.
pub struct Inbound {
    /// The method.
    pub method: Method,
    /// Whether a `Sec-GPC: 1` header was forwarded.
    pub sec_gpc: bool,
    /// The body.
    pub body: Bytes,
    uri: Uri,
    headers: HeaderMap,
}

/// A parameter: its name, and its value unless that does not decode.
pub type Owned = (String, Option<String>);

impl Inbound {
    /// Reads the body.
    pub async fn read(request: Request) -> Result<Self, Problem> {
        let (method, uri, headers) = (
            request.method().clone(),
            request.uri().clone(),
            request.headers().clone(),
        );
        let body = body(request).await?;
        Ok(Self {
            sec_gpc: sec_gpc(&headers),
            method,
            uri,
            headers,
            body,
        })
    }

    /// The shop that sends it. `path` is the reference in the path; other routes may name it in `Einklang-Shop`.
    pub fn sender(
        &self,
        flow: &ConversionFlow,
        maybe: &Maybe,
        Origin(address): Origin,
        path: Option<&str>,
    ) -> Result<Sender, Problem> {
        let header = self.once("einklang-shop");
        let signed = Signed {
            method: self.method.as_str(),
            path: self.uri.path(),
            query: self.uri.query().unwrap_or(""),
            body: &self.body,
            webhook_id: self.once("webhook-id"),
            webhook_timestamp: self.once("webhook-timestamp"),
            webhook_signature: self.once("webhook-signature"),
        };
        flow.sender(maybe.0.as_ref(), path.or(header), &signed, address)
            .map_err(Problem::new)
    }

    /// Who changes something: a key of any role, or a shop by its signature.
    pub fn caller(&self, flow: &ConversionFlow, maybe: &Maybe, origin: Origin) -> Result<Caller, Problem> {
        match &maybe.0 {
            Some(principal) if principal.shop.is_none() => Ok(Caller::from(principal)),
            _ => self
                .sender(flow, maybe, origin, None)
                .map(|sender| Caller::from(&sender)),
        }
    }

    /// Refuses a body of another media type than JSON.
    pub fn require_json(&self) -> Result<(), Problem> {
        match media_type(&self.headers) {
            Some("application/json") => Ok(()),
            _ => Err(Problem::new(Reason::UnsupportedMediaType)),
        }
    }

    fn once(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        if values.next().is_some() {
            None
        } else {
            Some(value)
        }
    }

    /// The parameters of the query and of the body together.
    pub fn pairs(&self) -> Result<Vec<Owned>, Problem> {
        let own = |pairs: Vec<pairs::Pair<'_>>| {
            pairs
                .into_iter()
                .map(|(name, value)| (name.into_owned(), value.map(Cow::into_owned)))
                .collect::<Vec<_>>()
        };
        let mut all = own(pairs::read(self.uri.query().unwrap_or("")));
        if self.body.is_empty() {
            return Ok(all);
        }
        match media_type(&self.headers) {
            Some("application/x-www-form-urlencoded") => {
                let text =
                    std::str::from_utf8(&self.body).map_err(|_| Problem::invalid("body", "is not UTF-8"))?;
                all.extend(own(pairs::read(text)));
            }
            Some("application/json") => {
                let Members(members) = parse_json(&self.body)?;
                for (name, value) in members {
                    all.push((name.clone(), Some(text(&name, value)?)));
                }
            }
            _ => return Err(Problem::new(Reason::UnsupportedMediaType)),
        }
        Ok(all)
    }
}

/// Reads parameters; one that does not decode is refused by name, unless nobody knows it anyway.
pub fn read_pairs(owned: &[Owned], aliases: bool, now_ms: i64) -> Result<Form<'_>, Problem> {
    let bad = |bad: postback::BadParameter| Problem::invalid(bad.name, bad.why);
    // U+0000 is refused in every known parameter and ignored in every other, which is what "does not decode" means.
    // In a signal it is malformed, as it should be.
    let pairs = owned
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_deref().unwrap_or("\0")));
    postback::read(pairs, aliases, now_ms).map_err(bad)
}

/// A JSON value as a parameter's text. Only strings are texts; a number might not be what the shop wrote.
fn text(name: &str, value: serde_json::Value) -> Result<String, Problem> {
    match (name, value) {
        (_, serde_json::Value::String(text)) => Ok(text),
        ("test" | "dry_run", serde_json::Value::Bool(flag)) => Ok(flag.to_string()),
        ("items" | "items[]", value @ serde_json::Value::Array(_)) => Ok(value.to_string()),
        (name, _) if postback::is_known(name) || is_signal(name) => {
            Err(Problem::invalid(name, "is not a string"))
        }
        // Nobody reads it.
        _ => Ok(String::new()),
    }
}

/// The members of a JSON object, repeated ones included: which of two values counts is not ours to guess.
struct Members(Vec<(String, serde_json::Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}
