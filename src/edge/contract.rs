//! Completes the OpenAPI document: what is true of every answer is written once here, not once per handler.
//!
//! utoipa describes one handler at a time. It cannot say that each metered answer carries the rate-limit fields,
//! that each call with a key may end in 401, 403, 429 or 503, or how long a UUID is. This pass says it. It only adds:
//! what a handler has declared itself stays as it is, and nothing is stated that the server does not do.

mod bounds;

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::domain::refusal::Reason;

type Object = Map<String, Value>;

const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];

/// A problem answer that many operations have in common: the name of its component, and why it is given.
type Shared = (&'static str, Reason);

/// What any call with a key can get.
const KEYED: [Shared; 4] = [
    ("Unauthenticated", Reason::Unauthenticated),
    ("Forbidden", Reason::Forbidden),
    ("RateLimited", Reason::RateLimited),
    ("Unavailable", Reason::Unavailable),
];
/// What any call with a key and a body can get besides.
const WITH_BODY: [Shared; 3] = [
    ("Timeout", Reason::Timeout),
    ("TooLarge", Reason::TooLarge),
    ("UnsupportedMediaType", Reason::UnsupportedMediaType),
];
/// What every call can get, public ones too.
const ANY: [Shared; 1] = [("Internal", Reason::Internal)];

/// What the operations turned out to need among the components.
#[derive(Default)]
struct Needed {
    shared: BTreeSet<Shared>,
    /// Response components that metered operations refer to, with the status they give them.
    metered: BTreeMap<String, String>,
    /// Response components that public operations refer to: they may not promise what only metered ones send.
    public: BTreeSet<String>,
    meters: bool,
}

/// Adds to the document what holds for its operations. A second run changes nothing.
pub fn complete(spec: &mut Value) {
    let keyed_by_default = requires_key(spec.get("security"));
    let Some(root) = spec.as_object_mut() else { return };
    complete_servers(root);
    let mut needed = Needed::default();
    if let Some(paths) = root.get_mut("paths").and_then(Value::as_object_mut) {
        for item in paths.values_mut().filter_map(Value::as_object_mut) {
            for (_, operation) in item
                .iter_mut()
                .filter(|(method, _)| METHODS.contains(&method.as_str()))
            {
                if let Some(operation) = operation.as_object_mut() {
                    complete_operation(operation, keyed_by_default, &mut needed);
                }
            }
        }
    }
    complete_components(root, &needed);
    bounds::add(spec);
}

/// The document is served by the server it describes, so the address is its own, whatever that is.
fn complete_servers(root: &mut Object) {
    let Some(servers) = list(root, "servers") else {
        return;
    };
    if servers.is_empty() {
        servers.push(json!({
            "url": "/",
            "description": "The server that served this document, be it local, test or production",
        }));
    }
    for server in servers.iter_mut().filter_map(Value::as_object_mut) {
        server.entry("x-internal").or_insert(Value::Bool(false));
    }
}

/// Whether some alternative asks for a credential. `[]` and `[{}]` ask for none.
fn requires_key(security: Option<&Value>) -> bool {
    let alternatives = security.and_then(Value::as_array);
    alternatives.is_some_and(|list| {
        list.iter()
            .any(|one| one.as_object().is_some_and(|o| !o.is_empty()))
    })
}

/// A call with a key is metered by its caller; a public one is neither metered nor refused for who asks.
fn complete_operation(operation: &mut Object, keyed_by_default: bool, needed: &mut Needed) {
    let keyed = operation
        .get("security")
        .map_or(keyed_by_default, |own| requires_key(Some(own)));
    if !keyed {
        // Said outright: a public operation is meant to be one, its security was not forgotten.
        operation.insert("security".to_owned(), json!([{}]));
    }
    let with_body = keyed && operation.contains_key("requestBody");
    let Some(responses) = object(operation, "responses") else {
        return;
    };

    let sets = [(true, &ANY[..]), (keyed, &KEYED[..]), (with_body, &WITH_BODY[..])];
    for (name, reason) in sets
        .into_iter()
        .filter(|(applies, _)| *applies)
        .flat_map(|(_, set)| set)
    {
        responses.entry(reason.status().to_string()).or_insert_with(|| {
            needed.shared.insert((*name, *reason));
            json!({ "$ref": format!("#/components/responses/{name}") })
        });
    }
    for (status, response) in responses.iter_mut() {
        let component = response
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|path| path.rsplit('/').next());
        match component.map(str::to_owned) {
            Some(name) if keyed => drop(needed.metered.insert(name, status.clone())),
            Some(name) => drop(needed.public.insert(name)),
            // The listener sends it, before the caller is known.
            None if status == "431" => {}
            None if keyed => add_headers(response, status),
            None => add_origin(response),
        }
        bounds::add_to_location(response);
        bounds::add_to_signatures(response);
    }
    needed.meters |= keyed;
    responses.sort_keys();
}

fn complete_components(root: &mut Object, needed: &Needed) {
    let Some(components) = object(root, "components") else {
        return;
    };
    if let Some(responses) = object(components, "responses") {
        for (name, reason) in &needed.shared {
            responses.entry(*name).or_insert_with(|| problem(*reason));
        }
        for (name, status) in needed
            .metered
            .iter()
            .filter(|(name, _)| !needed.public.contains(*name))
        {
            if let Some(response) = responses.get_mut(name) {
                add_headers(response, status);
            }
        }
        responses.sort_keys();
    }
    if !needed.meters {
        return;
    }
    if let Some(headers) = object(components, "headers") {
        for (name, header) in shared_headers() {
            headers.entry(name).or_insert(header);
        }
    }
}

/// The answer as `problem` would send it, with an example.
fn problem(reason: Reason) -> Value {
    let title = StatusCode::from_u16(reason.status())
        .ok()
        .and_then(|status| status.canonical_reason());
    json!({
        "description": reason.sentence(),
        "content": { "application/problem+json": {
            "schema": { "$ref": "#/components/schemas/Problem" },
            "example": {
                "type": "about:blank",
                "title": title,
                "status": reason.status(),
                "detail": reason.sentence(),
                "outcome": "refused",
                "reason": reason.code(),
                "retry": reason.retry(),
                "request_id": "req_00000000000040008000000000000000",
            },
        } },
    })
}

/// Every metered answer tells what is left of the caller's allowance; the two worth repeating also tell when.
fn add_headers(response: &mut Value, status: &str) {
    let retry = matches!(status, "429" | "503").then_some("Retry-After");
    let Some(headers) = response
        .as_object_mut()
        .and_then(|response| object(response, "headers"))
    else {
        return;
    };
    for name in ["RateLimit", "RateLimit-Policy"].into_iter().chain(retry) {
        headers
            .entry(name)
            .or_insert_with(|| json!({ "$ref": format!("#/components/headers/{name}") }));
    }
    add_origin(response);
}

/// Wherever headers are listed, the reader is told that no other origin gets in.
fn add_origin(response: &mut Value) {
    let name = "Access-Control-Allow-Origin";
    if let Some(headers) = response.get_mut("headers").and_then(Value::as_object_mut) {
        headers
            .entry(name)
            .or_insert_with(|| json!({ "$ref": format!("#/components/headers/{name}") }));
    }
}

fn shared_headers() -> [(&'static str, Value); 4] {
    [
        (
            "Access-Control-Allow-Origin",
            json!({
                "description": "Left out: no other web origin may read answers. The interface is for servers, \
                    not for scripts in pages.",
                "schema": { "type": "string", "format": "uri", "maxLength": 2048 },
            }),
        ),
        (
            "RateLimit",
            json!({
                "description": "What is left of the caller's allowance (`r`), and in how many seconds it is \
                    whole again (`t`).",
                "required": true,
                "schema": {
                    "type": "string",
                    "pattern": "^\"[a-z_-]{1,32}\";r=[0-9]{1,10};t=[0-9]{1,10}$",
                    "maxLength": 64,
                },
                "example": "\"caller\";r=599;t=60",
            }),
        ),
        (
            "RateLimit-Policy",
            json!({
                "description": "The allowance itself: this many requests (`q`) in this many seconds (`w`).",
                "required": true,
                "schema": {
                    "type": "string",
                    "pattern": "^\"[a-z_-]{1,32}\";q=[0-9]{1,10};w=[0-9]{1,10}$",
                    "maxLength": 64,
                },
                "example": "\"caller\";q=600;w=60",
            }),
        ),
        (
            "Retry-After",
            json!({
                "description": "Seconds to wait before the same request is worth repeating.",
                "required": true,
                "schema": { "type": "integer", "format": "int32", "minimum": 0, "maximum": 86_400 },
                "example": 1,
            }),
        ),
    ]
}

fn object<'a>(parent: &'a mut Object, key: &str) -> Option<&'a mut Object> {
    parent.entry(key).or_insert_with(|| json!({})).as_object_mut()
}

fn list<'a>(parent: &'a mut Object, key: &str) -> Option<&'a mut Vec<Value>> {
    parent.entry(key).or_insert_with(|| json!([])).as_array_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        json!({
            "paths": {
                "/c/{link}": { "get": { "responses": {
                    "302": { "description": "x", "headers": { "Location": { "schema": { "type": "string" } } } },
                } } },
                "/v1/tenants": { "post": {
                    "security": [{ "bearer_key": [] }],
                    "requestBody": { "content": {} },
                    "responses": { "201": { "description": "x" }, "403": { "description": "Only the operator may" } },
                } },
            },
        })
    }

    fn completed() -> Value {
        let mut spec = sample();
        complete(&mut spec);
        spec
    }

    fn statuses(spec: &Value, operation: &str) -> Vec<String> {
        let responses = spec
            .pointer(&format!("{operation}/responses"))
            .and_then(Value::as_object);
        responses
            .map(|found| found.keys().cloned().collect())
            .unwrap_or_default()
    }

    #[test]
    fn a_public_operation_promises_no_limit_and_asks_for_no_key() {
        let spec = completed();
        assert_eq!(statuses(&spec, "/paths/~1c~1{link}/get"), ["302", "500"]);
        let operation = &spec["paths"]["/c/{link}"]["get"];
        assert_eq!(operation["security"], json!([{}]));
        assert_eq!(operation["responses"]["302"]["headers"].get("RateLimit"), None);
        assert_eq!(
            operation["responses"]["302"]["headers"]["Location"]["schema"]["format"],
            "uri-reference"
        );
        assert_eq!(spec["components"]["responses"]["Internal"].get("headers"), None);
    }

    #[test]
    fn a_call_with_a_key_and_a_body_gets_every_shared_answer_and_the_limit() {
        let spec = completed();
        let expected = ["201", "401", "403", "408", "413", "415", "429", "500", "503"];
        assert_eq!(statuses(&spec, "/paths/~1v1~1tenants/post"), expected);
        let responses = &spec["paths"]["/v1/tenants"]["post"]["responses"];
        assert_eq!(
            responses["201"]["headers"]["RateLimit"]["$ref"],
            "#/components/headers/RateLimit"
        );
        assert_eq!(responses["429"]["$ref"], "#/components/responses/RateLimited");
        let limited = &spec["components"]["responses"]["RateLimited"];
        assert_eq!(
            limited["headers"]["Retry-After"]["$ref"],
            "#/components/headers/Retry-After"
        );
        assert_eq!(
            limited["content"]["application/problem+json"]["example"]["retry"],
            true
        );
    }

    #[test]
    fn what_a_handler_declared_stays() {
        let spec = completed();
        let declared = &spec["paths"]["/v1/tenants"]["post"]["responses"]["403"];
        assert_eq!(declared["description"], "Only the operator may");
        assert_eq!(spec["components"]["responses"].get("Forbidden"), None);
    }

    #[test]
    fn a_second_run_changes_nothing() {
        let once = completed();
        let mut twice = once.clone();
        complete(&mut twice);
        assert_eq!(once, twice);
    }
}
