//! Answers against the OpenAPI document: the status is documented for the operation, and the body is of the documented
//! type, with no member that the document does not know.
//!
//! Every pair of operation and status that occurs is written to `contract-pairs-TEST.txt` in cargo's folder for test
//! files, one a line, so that it can be seen which documented answers no test has brought about.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use einklang::edge::openapi;
use regex::Regex;
use serde_json::Value;

use super::client::Answer;

static SPEC: LazyLock<Value> = LazyLock::new(openapi::spec);
static PATTERNS: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);
static SEEN: LazyLock<Mutex<(BTreeSet<String>, File)>> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(concat!(
        "contract-pairs-",
        env!("CARGO_CRATE_NAME"),
        ".txt"
    ));
    Mutex::new((BTreeSet::new(), File::create(path).expect("a file")))
});

/// Panics if the document does not describe this answer.
pub fn check(method: &str, path: &str, answer: &Answer) {
    let head = method == "HEAD";
    let Some(operation) = operation(if head { "get" } else { method }, path) else {
        return check_outside(head, path, answer);
    };
    let name = operation["operationId"].as_str().expect("an id");
    let documented = operation["responses"].get(answer.status.to_string());
    let documented =
        documented.unwrap_or_else(|| panic!("{name} answered {}, which is not documented", answer.status));
    note(name, answer.status);
    let Some(content) = resolve(documented).get("content").and_then(Value::as_object) else {
        assert!(
            answer.body.is_empty(),
            "{name} {}: a body where none is documented",
            answer.status
        );
        return;
    };
    if head {
        return;
    }
    let media_type = answer
        .header("content-type")
        .unwrap_or("")
        .split(';')
        .next()
        .unwrap_or("");
    let media = content.get(media_type);
    let media = media.unwrap_or_else(|| panic!("{name} {}: content type {media_type:?}", answer.status));
    if !media_type.ends_with("json") {
        return;
    }
    let mut faults = Vec::new();
    validate(&media["schema"], &answer.json(), "body", &mut faults);
    assert!(
        faults.is_empty(),
        "{name} {}: {faults:?}\n{}",
        answer.status,
        answer.text()
    );
}

/// What is no operation can only be missing, or a document for people and programs.
fn check_outside(head: bool, path: &str, answer: &Answer) {
    let document = path == "/openapi.json" || path.starts_with("/docs");
    assert!(
        document || matches!(answer.status, 404 | 405),
        "{path} is not documented and answered {}",
        answer.status
    );
    if !document && !head {
        let mut faults = Vec::new();
        validate(
            &SPEC["components"]["schemas"]["Problem"],
            &answer.json(),
            "body",
            &mut faults,
        );
        assert!(faults.is_empty(), "{path}: {faults:?}");
    }
}

fn note(operation: &str, status: u16) {
    let pair = format!("{operation} {status}");
    let mut seen = SEEN.lock().expect("no test panics while it holds this");
    if seen.0.insert(pair.clone()) {
        writeln!(seen.1, "{pair}").expect("written");
    }
}

/// The operation of a request. A literal path wins over one with a place for a value, as in the router.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let method = method.to_lowercase();
    let paths = SPEC["paths"].as_object().expect("paths");
    let matching = paths.iter().filter(|(template, _)| matches(template, path));
    let (_, item) = matching.min_by_key(|(template, _)| template.matches('{').count())?;
    item.get(&method)
}

fn matches(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    // A tile's number is one value and may hold slashes.
    let has_tail = template.last() == Some(&"{path}") && path.len() > template.len();
    (template.len() == path.len() || has_tail)
        && template
            .iter()
            .zip(&path)
            .all(|(own, given)| own == given || (own.starts_with('{') && !given.is_empty()))
}

fn resolve(value: &'static Value) -> &'static Value {
    let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
        return value;
    };
    let target = SPEC.pointer(reference.trim_start_matches('#'));
    target.unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

/// The part of JSON Schema that the document uses.
fn validate(schema: &'static Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let schema = resolve(schema);
    let mut fault = |what: &str| faults.push(format!("{at}: {what}"));
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        fault("not one of the documented values");
    }
    if !of_type(&schema["type"], value) {
        fault("of another type than documented");
    }
    match value {
        Value::String(text) => validate_text(schema, text, &mut fault),
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            let beyond = |key: &str, sign: f64| {
                schema[key]
                    .as_f64()
                    .is_some_and(|limit| sign * number > sign * limit)
            };
            if beyond("maximum", 1.0) || beyond("minimum", -1.0) {
                fault("beyond its bounds");
            }
        }
        Value::Array(items) => {
            if schema["maxItems"]
                .as_u64()
                .is_some_and(|most| items.len() as u64 > most)
            {
                fault("too many items");
            }
            if let Some(schema) = schema.get("items") {
                for (place, item) in items.iter().enumerate() {
                    validate(schema, item, &format!("{at}[{place}]"), faults);
                }
            }
        }
        Value::Object(members) => validate_object(schema, members, at, faults),
        Value::Null | Value::Bool(_) => {}
    }
    if !value.is_object() {
        for part in parts(schema) {
            validate(part, value, at, faults);
        }
    }
    for key in ["oneOf", "anyOf"] {
        let Some(parts) = schema.get(key).and_then(Value::as_array) else {
            continue;
        };
        let fits = |part: &'static Value| {
            let mut faults = Vec::new();
            validate(part, value, at, &mut faults);
            faults.is_empty()
        };
        if !parts.iter().any(fits) {
            faults.push(format!("{at}: fits none of {key}"));
        }
    }
}

fn of_type(wanted: &Value, value: &Value) -> bool {
    let one = |name: &str| match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("the document names a type {other}"),
    };
    match wanted {
        Value::String(name) => one(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(one),
        _ => true,
    }
}

fn validate_text(schema: &Value, text: &str, fault: &mut impl FnMut(&str)) {
    let length = text.chars().count() as u64;
    if schema["maxLength"].as_u64().is_some_and(|most| length > most)
        || schema["minLength"].as_u64().is_some_and(|least| length < least)
    {
        fault("of another length than documented");
    }
    if schema["format"] == "date-time" && chrono::DateTime::parse_from_rfc3339(text).is_err() {
        fault("not a time");
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        let mut patterns = PATTERNS.lock().expect("no test panics while it holds this");
        // The document writes patterns for ECMAScript: `\u0000` there is `\x{0000}` here.
        let written = pattern.replace("\\u", "\\x");
        let compiled = patterns.entry(pattern.to_owned()).or_insert_with(|| {
            let code = Regex::new(r"\\x([0-9a-f]{4})").expect("a pattern");
            Regex::new(&code.replace_all(&written, "\\x{$1}")).expect("the document's pattern is one")
        });
        if !compiled.is_match(text) {
            fault("not of the documented pattern");
        }
    }
}

/// The schemas that a schema is put together from.
fn parts(schema: &'static Value) -> impl Iterator<Item = &'static Value> {
    schema["allOf"].as_array().into_iter().flatten().map(resolve)
}

/// Every documented member, those of the parts included.
fn properties(schema: &'static Value) -> HashMap<&'static str, &'static Value> {
    let own = schema.get("properties").and_then(Value::as_object);
    let own = own
        .into_iter()
        .flatten()
        .map(|(name, member)| (name.as_str(), member));
    own.chain(parts(schema).flat_map(properties)).collect()
}

fn required(schema: &'static Value) -> Vec<&'static str> {
    let own = schema["required"].as_array().into_iter().flatten();
    let own = own.filter_map(Value::as_str);
    own.chain(parts(schema).flat_map(required)).collect()
}

fn validate_object(
    schema: &'static Value,
    members: &serde_json::Map<String, Value>,
    at: &str,
    faults: &mut Vec<String>,
) {
    for name in required(schema) {
        if !members.contains_key(name) {
            faults.push(format!("{at}: no {name}"));
        }
    }
    let properties = properties(schema);
    if properties.is_empty() {
        return;
    }
    for (name, member) in members {
        match properties.get(name.as_str()) {
            Some(schema) => validate(schema, member, &format!("{at}.{name}"), faults),
            None => faults.push(format!("{at}: {name} is not documented")),
        }
    }
}
