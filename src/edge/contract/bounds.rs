//! Gives schemas the bounds that their types and formats imply, so that no value in the contract is open-ended.
//!
//! utoipa writes the format and leaves the limit out. Only limits that the format fixes are added: how long a slug
//! may be is for its handler to say, and the linters complain where it has not.

use serde_json::{Map, Value, json};

type Object = Map<String, Value>;

/// Lengths that a format fixes; utoipa names the format alone. A time may carry nine decimals and an offset.
const FORMAT_LENGTHS: [(&str, u64); 5] = [
    ("uuid", 36),
    ("date-time", 35),
    ("date", 10),
    ("ipv4", 15),
    ("ipv6", 45),
];

/// Walks every schema and gives it the bounds that its type or format implies. Bounds that a handler chose win.
pub(super) fn add(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(add),
        Value::Object(schema) => {
            if is_a(schema, "integer") {
                bound_integer(schema);
            }
            if is_a(schema, "string") {
                bound_string(schema);
            }
            // What is shown is not a schema, however much it looks like one.
            let shown = ["example", "examples", "default", "enum", "const"];
            schema
                .iter_mut()
                .filter(|(key, _)| !shown.contains(&key.as_str()))
                .for_each(|(_, inner)| add(inner));
        }
        _ => {}
    }
}

/// OpenAPI 3.1 writes an optional value as a list of types.
fn is_a(schema: &Object, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(several)) => several.iter().any(|one| one == kind),
        _ => false,
    }
}

fn bound_integer(schema: &mut Object) {
    let format = schema.entry("format").or_insert_with(|| json!("int64"));
    let (lowest, highest) = if format == "int32" {
        (i64::from(i32::MIN), i64::from(i32::MAX))
    } else {
        (i64::MIN, i64::MAX)
    };
    if !schema.contains_key("exclusiveMinimum") {
        schema.entry("minimum").or_insert_with(|| json!(lowest));
    }
    if !schema.contains_key("exclusiveMaximum") {
        schema.entry("maximum").or_insert_with(|| json!(highest));
    }
}

fn bound_string(schema: &mut Object) {
    let format = schema.get("format").and_then(Value::as_str);
    let length = FORMAT_LENGTHS
        .iter()
        .find(|(name, _)| Some(*name) == format)
        .map(|(_, length)| *length);
    if let Some(length) = length {
        schema.entry("maxLength").or_insert_with(|| json!(length));
    }
}

/// utoipa gives a header a type and no more. A redirect may carry ten sub-ids, so it is long.
pub(super) fn add_to_location(response: &mut Value) {
    if let Some(schema) = response
        .pointer_mut("/headers/Location/schema")
        .and_then(Value::as_object_mut)
    {
        schema.entry("format").or_insert_with(|| json!("uri-reference"));
        schema.entry("maxLength").or_insert_with(|| json!(65_536));
    }
}

/// The headers of signed answers, likewise: a host name, and a signature of an RSA key of up to 4,096 bits in base64.
pub(super) fn add_to_signatures(response: &mut Value) {
    let Some(headers) = response.get_mut("headers").and_then(Value::as_object_mut) else {
        return;
    };
    for (name, header) in headers.iter_mut().filter(|(name, _)| name.starts_with("X-Open")) {
        let Some(schema) = header.get_mut("schema").and_then(Value::as_object_mut) else {
            continue;
        };
        let (most, pattern) = if name.ends_with("-Signature") {
            (684, "^[A-Za-z0-9+/]+={0,2}$")
        } else {
            (253, "^[A-Za-z0-9.-]+$")
        };
        schema.entry("maxLength").or_insert_with(|| json!(most));
        schema.entry("pattern").or_insert_with(|| json!(pattern));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounded(mut schema: Value) -> Value {
        add(&mut schema);
        schema
    }

    #[test]
    fn a_format_brings_its_length() {
        assert_eq!(
            bounded(json!({ "type": "string", "format": "uuid" }))["maxLength"],
            36
        );
        assert_eq!(
            bounded(json!({ "type": ["string", "null"], "format": "date-time" }))["maxLength"],
            35
        );
    }

    #[test]
    fn a_chosen_bound_wins_over_the_type_s() {
        let schema =
            bounded(json!({ "type": ["integer", "null"], "format": "int32", "exclusiveMinimum": 0 }));
        assert_eq!(schema["maximum"], i32::MAX);
        assert_eq!(schema.get("minimum"), None);
    }

    #[test]
    fn a_length_nobody_chose_is_not_invented() {
        assert_eq!(bounded(json!({ "type": "string" })), json!({ "type": "string" }));
    }

    #[test]
    fn an_example_is_no_schema() {
        let schema = json!({ "type": "object", "example": { "type": "integer" } });
        assert_eq!(bounded(schema.clone()), schema);
    }

    #[test]
    fn a_redirect_s_address_is_bounded() {
        let mut response = json!({ "headers": { "Location": { "schema": { "type": "string" } } } });
        add_to_location(&mut response);
        assert_eq!(
            response["headers"]["Location"]["schema"]["format"],
            "uri-reference"
        );
    }
}
