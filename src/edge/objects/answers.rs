//! The refusals that managing operations have in common, as the document describes them.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::IntoResponses;
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};

use crate::domain::refusal::Reason;
use crate::edge::problem::Problem;

fn problem(description: &str, example: &Problem) -> BTreeMap<String, RefOr<Response>> {
    let body = example.body("req_01a0b1c2d3e47f00a1b2c3d4e5f60718");
    let mut content = Content::new(Some(Ref::from_schema_name("Problem")));
    content.example = Some(json!(body));
    let response = ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content)
        .build();
    BTreeMap::from([(example.reason.status().to_string(), RefOr::T(response))])
}

fn about(reason: Reason, parameter: &str) -> Problem {
    Problem {
        parameter: Some(parameter.to_owned()),
        ..Problem::new(reason)
    }
}

/// 400: a value is wrong in itself.
pub struct Invalid;

impl IntoResponses for Invalid {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let words = "A field or parameter is unknown, missing or wrong in itself; it is named.";
        problem(words, &about(Reason::InvalidRequest, "limit"))
    }
}

/// 404: nothing in the path.
pub struct NotFound;

impl IntoResponses for NotFound {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problem("No such object in this tenant.", &Problem::new(Reason::NotFound))
    }
}

/// 404: nothing in the path, or nothing under an id in the body.
pub struct Missing;

impl IntoResponses for Missing {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let words = "No such object in this tenant; if a field of the body names it, the field is named.";
        problem(words, &about(Reason::NotFound, "shop"))
    }
}

/// 410: what was there is over.
pub struct Gone;

impl IntoResponses for Gone {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problem("It is over.", &Problem::new(Reason::Gone))
    }
}

/// 409: well formed, and clashes.
pub struct Clashing;

impl IntoResponses for Clashing {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let words = "The body is well formed and clashes: with a name that is taken, with another field, or with an \
            object that is archived. The field is named.";
        problem(words, &about(Reason::Conflict, "slug"))
    }
}
