//! The checked-in OpenAPI document is the one that the code builds, and nothing in it is left undescribed.
//!
//! `EINKLANG_BLESS=1 cargo test --test openapi` rewrites the file.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot read its own files has failed"
)]

use std::collections::BTreeSet;
use std::path::Path;

use einklang::domain::access::TABLE;
use einklang::edge::auth::SIGNED;
use einklang::edge::openapi;
use serde_json::Value;

/// Every operation: path, method, description.
fn operations(spec: &Value) -> Vec<(String, String, Value)> {
    let paths = spec.get("paths").and_then(Value::as_object).expect("paths");
    let mut found = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("a path item") {
            if operation.get("operationId").is_some() {
                found.push((path.clone(), method.clone(), operation.clone()));
            }
        }
    }
    found
}

fn id(operation: &Value) -> &str {
    operation
        .get("operationId")
        .and_then(Value::as_str)
        .expect("an operation id")
}

/// The security schemes that an operation takes; `None` among them means that it may be called without any.
fn schemes(operation: &Value) -> Vec<Option<String>> {
    let alternatives = operation.get("security").and_then(Value::as_array);
    let name = |alternative: &Value| {
        alternative
            .as_object()
            .and_then(|scheme| scheme.keys().next().cloned())
    };
    alternatives.into_iter().flatten().map(name).collect()
}

#[test]
fn the_checked_in_document_is_the_one_that_the_code_builds() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.json");
    let built = openapi::text();
    if std::env::var_os("EINKLANG_BLESS").is_some() {
        std::fs::write(&path, &built).expect("written");
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == built,
        "openapi/openapi.json is not what the code builds; rerun with EINKLANG_BLESS=1"
    );
}

#[test]
fn every_operation_is_described_and_has_one_tag() {
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&openapi::spec()) {
        let text = |member: &str| {
            operation
                .get(member)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        assert!(
            !text("summary").is_empty() && !text("description").is_empty(),
            "{method} {path} is not described"
        );
        assert_eq!(
            operation.get("tags").and_then(Value::as_array).map(Vec::len),
            Some(1),
            "{method} {path}"
        );
        assert!(
            ids.insert(id(&operation).to_owned()),
            "{} stands twice",
            id(&operation)
        );
    }
}

#[test]
fn what_needs_a_key_stands_in_the_access_table_and_the_other_way_round() {
    let spec = openapi::spec();
    let keyed: BTreeSet<String> = operations(&spec)
        .iter()
        .filter(|(_, _, operation)| schemes(operation).contains(&Some("bearer".to_owned())))
        .map(|(_, _, operation)| id(operation).to_owned())
        .collect();
    let table: BTreeSet<String> = TABLE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(keyed, table);
}

#[test]
fn what_may_be_signed_is_what_the_gate_lets_through() {
    for (path, method, operation) in operations(&openapi::spec()) {
        let takes = schemes(&operation);
        let needs_bearer = takes.contains(&Some("bearer".to_owned()));
        let signed = takes.contains(&Some("signature".to_owned()));
        // Without the shop's reference in its path, a postback can only be let in by a key.
        let by_header = ["send_postback", "send_postback_form"].contains(&id(&operation));
        let expected = SIGNED.contains(&id(&operation)) && !by_header;
        assert_eq!(signed, expected, "{method} {path}");
        assert!(!signed || needs_bearer, "{method} {path}");
    }
}
