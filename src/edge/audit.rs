//! The audit log: entries, proofs, checkpoints, openings and exports under `/v1/audit`, and the log itself under `/audit`.
//!
//! Promise: what is shown are the stored bytes, and beside everything that a caller may doubt stands what proves it.

mod answer;
mod checkpoints;
mod entries;
mod event;
mod export;
mod opened;
mod published;

use std::collections::{BTreeMap, HashMap};

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoResponses;
use utoipa::openapi::{Content, HeaderBuilder, Ref, RefOr, Response as Described, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use super::report::accepted;
use crate::domain::ids::AuditEntryId;
use crate::domain::refusal::Reason;
use crate::flow::audit::AuditFlow;
use crate::flow::audit::read::EntryRef;

/// The greatest size or index in requests: what every JSON reader holds exactly (RFC 8259, section 6).
const PLACE_MAX: u64 = (1 << 53) - 1;
/// The longest text that a filter takes, in characters.
const TEXT_MAX: usize = 255;

/// The routes of this capability.
pub fn routes() -> OpenApiRouter<AuditFlow> {
    OpenApiRouter::new()
        .routes(routes!(entries::list_audit_entries))
        .routes(routes!(entries::read_audit_entry))
        .routes(routes!(entries::prove_audit_entry))
        .routes(routes!(entries::open_audit_entry))
        .routes(routes!(checkpoints::prove_click))
        .routes(routes!(checkpoints::read_audit_checkpoint))
        .routes(routes!(checkpoints::prove_audit_consistency))
        .routes(routes!(checkpoints::list_audit_keys))
        .routes(routes!(export::export_audit_log))
        .routes(routes!(published::read_log_checkpoint))
        .routes(routes!(published::read_log_tile))
        .routes(routes!(published::read_log_bundle))
}

/// A size or an index.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u64")]
struct Place(u64);

impl TryFrom<u64> for Place {
    type Error = &'static str;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        (number <= PLACE_MAX)
            .then_some(Self(number))
            .ok_or("out of range")
    }
}

/// An epoch.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
struct EpochNumber(i64);

impl TryFrom<i64> for EpochNumber {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        let fits = (0..=i64::from(i32::MAX)).contains(&number);
        fits.then_some(Self(number)).ok_or("out of range")
    }
}

/// The filters that compare words of the log: checked as the document writes them, since another text finds nothing.
fn check_words(words: [(&'static str, &Option<String>); 4]) -> Result<(), Problem> {
    for (name, text) in words {
        let Some(text) = text else { continue };
        let (word, number) = match text.split_once(':') {
            Some((word, number)) if name == "actor" => (word, Some(number)),
            _ => (text.as_str(), None),
        };
        let is_word =
            |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || (byte == b'.' && name == "action");
        let is_number = |number: &str| {
            (1..=19).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
        };
        let fits = (1..=64).contains(&text.len()) && !word.is_empty() && word.bytes().all(is_word);
        if !fits || !number.is_none_or(is_number) {
            return Err(Problem::invalid(name, "must be a word as entries write it"));
        }
    }
    Ok(())
}

/// Whether a text can be that of a filter.
fn is_text(text: &str) -> bool {
    (1..=TEXT_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// The values in a path, by name.
struct Places(HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Places {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let values = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::new(Reason::NotFound))?;
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Ok(Self(values.iter().map(own).collect()))
    }
}

impl Places {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A value that reads as this type.
    fn read<T>(
        &self,
        name: &'static str,
        words: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Problem> {
        read(self.text(name)).ok_or_else(|| Problem::invalid(name, words))
    }

    fn entry(&self) -> Result<EntryRef, Problem> {
        self.read(
            "entry",
            "must be an index or an id that begins with aud_",
            |text| {
                let id = text.parse::<AuditEntryId>().ok().map(|id| EntryRef::Id(id.0));
                id.or_else(|| decimal(text).map(EntryRef::Index))
            },
        )
    }
}

/// A number as the log writes it: no sign, no leading zero.
fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number <= PLACE_MAX && number.to_string() == text).then_some(number)
}

/// Whether plain text is the better answer; JSON is where a caller does not say.
fn prefers_text(headers: &HeaderMap) -> bool {
    let (mut text, mut json) = (0.0, 0.0);
    for (range, weight) in accepted(headers) {
        match range.as_str() {
            "text/plain" | "text/*" => text = weight,
            "application/json" | "application/*" | "*/*" => json = weight,
            _ => {}
        }
    }
    text > json
}

/// A text of the log. It may be read again at once: the next one differs.
fn plain(text: String) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn example(problem: &Problem) -> serde_json::Value {
    json!(problem.body("req_01a0b1c2d3e47f00a1b2c3d4e5f60718"))
}

fn problem(status: &str, words: &str, shown: &Problem) -> BTreeMap<String, RefOr<Described>> {
    let mut content = Content::new(Some(Ref::from_schema_name("Problem")));
    content.example = Some(example(shown));
    let mut response = ResponseBuilder::new()
        .description(words)
        .content("application/problem+json", content);
    if shown.reason.retry() {
        let schema = json!({"type": "integer", "format": "int32", "minimum": 0, "maximum": 86_400});
        let schema: Option<utoipa::openapi::schema::Object> = serde_json::from_value(schema).ok();
        let header = HeaderBuilder::new()
            .description(Some("Seconds to wait, on `not_yet_sequenced`."))
            .schema(schema);
        response = response.header("Retry-After", header.build());
    }
    BTreeMap::from([(status.to_owned(), RefOr::T(response.build()))])
}

/// 404 of the log.
pub(super) struct NotThere;

impl IntoResponses for NotThere {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        let shown = Problem {
            expected_by_ms: Some(1_795_000_002_000),
            ..Problem::new(Reason::NotYetSequenced)
        };
        let words = "`not_found`: no such entry, size, epoch or checkpoint in the caller's log; a parameter that is the \
            cause is named. `not_yet_sequenced`: the entry is committed and will be in the signed log by `expected_by`.";
        problem("404", words, &shown)
    }
}

/// 409 of an opening.
struct NotOpened;

impl IntoResponses for NotOpened {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        let shown = Problem {
            parameter: Some("order_id".to_owned()),
            detail: Some("is not the order of this entry"),
            ..Problem::new(Reason::Conflict)
        };
        let words = "The entry commits to no order, or not to the order or conversion that was named.";
        problem("409", words, &shown)
    }
}

/// 410: the person was erased.
struct Erased;

impl IntoResponses for Erased {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        let words = "`consent_withdrawn`: the person's data was erased, and with it the only secret that opens the entry. \
            `gone`: the conversion had its time.";
        problem("410", words, &Problem::new(Reason::ConsentWithdrawn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_for_those_who_prefer_it() {
        for (accept, expected) in [
            ("", false),
            ("*/*", false),
            ("text/plain", true),
            ("text/plain, application/json;q=0.5", true),
            ("text/*;q=0.5, application/json", false),
            ("text/html", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(prefers_text(&headers), expected, "{accept}");
        }
        assert!(!prefers_text(&HeaderMap::new()));
    }

    #[test]
    fn an_index_has_one_form() {
        assert_eq!(decimal("0"), Some(0));
        assert_eq!(decimal("9007199254740991"), Some(PLACE_MAX));
        for bad in ["", "00", "+1", "-1", "1.0", "9007199254740992", "x", "٣"] {
            assert_eq!(decimal(bad), None, "{bad}");
        }
    }
}
