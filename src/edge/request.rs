//! Reading requests: bodies, queries and paths, with our own words for what is wrong.
//!
//! The framework's rejections echo what was sent; these name the field and nothing else.

use std::error::Error;

use axum::RequestExt;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};

use super::listener::BodyTimedOut;
use super::problem::Problem;
use crate::domain::ids::RequestId;
use crate::domain::object::Object;
use crate::domain::refusal::Reason;

/// The largest body, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// The name of the present request; set by the outermost layer.
#[derive(Debug, Clone, Copy)]
pub struct Named(pub RequestId);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Named>()
            .copied()
            .ok_or_else(|| Problem::new(Reason::Internal))
    }
}

/// A JSON body under `/v1`: unknown fields are refused by name.
pub struct Json<T>(pub T);

impl<S, T> FromRequest<S> for Json<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if media_type(request.headers()) != Some("application/json") {
            return Err(Problem::new(Reason::UnsupportedMediaType));
        }
        let bytes = body(request).await?;
        parse_json(&bytes).map(Json)
    }
}

/// The body, within the limit and in time, put together as it comes. A part that is kept would keep the whole buffer that it was
/// read into: a client that sends byte by byte would have 8 KiB of memory for each.
pub async fn body(request: Request) -> Result<Bytes, Problem> {
    let mut body = request.into_limited_body();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unread(&error))?;
        if let Ok(part) = frame.into_data() {
            whole.extend_from_slice(&part);
        }
    }
    Ok(whole.freeze())
}

fn unread(error: &axum::Error) -> Problem {
    if causes(error).any(<dyn Error>::is::<BodyTimedOut>) {
        return Problem::new(Reason::Timeout);
    }
    if causes(error).any(<dyn Error>::is::<LengthLimitError>) {
        return Problem::new(Reason::TooLarge);
    }
    Problem::new(Reason::InvalidRequest)
}

/// An error and what it came from: the framework wraps the listener's errors.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// The media type of a body, without its parameters.
pub fn media_type(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (kind, parameters) = value.split_once(';').unwrap_or((value, ""));
    let charset = parameters.trim();
    let readable = charset.is_empty() || charset.eq_ignore_ascii_case("charset=utf-8");
    readable.then(|| kind.trim()).filter(|kind| !kind.is_empty())
}

/// Reads JSON; the error names the field that is at fault as far as the reader says it.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value: Result<Object<T>, _> = serde_path_to_error::deserialize(&mut reader);
    let Object(value) = value.map_err(|error| {
        let mut path = error.path().to_string();
        let text = error.inner().to_string();
        // Only names that our own types declare (or the unknown field's own name) follow these words.
        for words in ["unknown field `", "missing field `", "duplicate field `"] {
            if let Some(name) = text.strip_prefix(words).and_then(|rest| rest.split('`').next()) {
                path = if path == "." {
                    name.to_owned()
                } else if path.rsplit('.').next() == Some(name) {
                    path
                } else {
                    format!("{path}.{name}")
                };
            }
        }
        if path == "." || path == "?" {
            Problem::invalid("body", "not a JSON document of the expected form")
        } else {
            named(&path)
        }
    })?;
    reader
        .end()
        .map_err(|_| Problem::invalid("body", "something follows the JSON document"))?;
    Ok(value)
}

/// Reads a field that may be left out; once it is there it holds a value, and `null` is none.
pub fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A problem with a field, whose name is cut to what a problem document may hold.
fn named(path: &str) -> Problem {
    let shown: String = path.chars().filter(|c| !c.is_control()).take(64).collect();
    Problem::invalid(shown, "unknown, missing or not of the expected form")
}

/// An object's id in the path.
pub struct Id<T>(pub T);

impl<S, T> FromRequestParts<S> for Id<T>
where
    S: Send + Sync,
    T: std::str::FromStr + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let unreadable = || Problem::invalid("id", "must be an id of this kind of object");
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| unreadable())?;
        text.parse().map(Id).map_err(|_| unreadable())
    }
}

/// Query parameters that are read one by one, with their names known beforehand.
pub struct Query<T>(pub T);

impl<S, T> FromRequestParts<S> for Query<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or("");
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        let reader = serde_urlencoded::Deserializer::new(pairs);
        serde_path_to_error::deserialize(reader)
            .map(Query)
            .map_err(|error| {
                let text = error.inner().to_string();
                let name = text
                    .split('`')
                    .nth(1)
                    .map(str::to_owned)
                    .filter(|_| text.contains("field `"));
                named(&name.unwrap_or_else(|| error.path().to_string()))
            })
    }
}
