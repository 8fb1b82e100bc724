//! What was sealed beside a decision, as names and values, masked unless it is asked for whole.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::look::masked_text;

/// How many values of one document are shown.
const PAIRS_MAX: usize = 1_000;

/// One value of what was sent, by its name.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NamedValue {
    /// The name; members of members and places in lists are joined by dots.
    #[schema(max_length = 256, pattern = "^[A-Za-z0-9_.]+$")]
    name: String,
    /// The value; a masked one ends in `***`.
    #[schema(max_length = 4_096, pattern = "^[\\s\\S]*$")]
    value: String,
}

impl NamedValue {
    /// One in the document.
    pub fn example() -> Self {
        Self {
            name: "address".to_owned(),
            value: "20***".to_owned(),
        }
    }
}

/// The values of a document, each under its name.
pub fn details(document: Option<&Value>, unmasked: bool) -> Vec<NamedValue> {
    let mut pairs = Vec::new();
    if let Some(document) = document {
        collect(String::new(), document, unmasked, &mut pairs);
    }
    pairs
}

fn collect(name: String, value: &Value, unmasked: bool, pairs: &mut Vec<NamedValue>) {
    let below = |member: &str| {
        if name.is_empty() {
            member.to_owned()
        } else {
            format!("{name}.{member}")
        }
    };
    if pairs.len() >= PAIRS_MAX {
        return;
    }
    let text = match value {
        Value::Null => return,
        Value::Object(members) => {
            for (member, value) in members {
                collect(below(member), value, unmasked, pairs);
            }
            return;
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                collect(below(&place.to_string()), item, unmasked, pairs);
            }
            return;
        }
        Value::String(text) if unmasked => text.clone(),
        Value::String(text) => masked_text(text),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    pairs.push(NamedValue { name, value: text });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_becomes_names_and_values_that_are_masked() {
        let document =
            json!({"order_id": "A-1001", "items": [{"sku": "ab", "quantity": 2}], "adv": [[1, "äöüß"]]});
        let pairs = |unmasked| -> Vec<(String, String)> {
            let pairs = details(Some(&document), unmasked);
            pairs.into_iter().map(|pair| (pair.name, pair.value)).collect()
        };
        let whole = pairs(true);
        assert!(
            whole.contains(&("order_id".to_owned(), "A-1001".to_owned())),
            "{whole:?}"
        );
        assert!(whole.contains(&("items.0.quantity".to_owned(), "2".to_owned())));
        let masked = pairs(false);
        assert!(
            masked.contains(&("order_id".to_owned(), "A-***".to_owned())),
            "{masked:?}"
        );
        assert!(masked.contains(&("items.0.sku".to_owned(), "***".to_owned())));
        assert!(masked.contains(&("adv.0.1".to_owned(), "äö***".to_owned())));
    }
}
