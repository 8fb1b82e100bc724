//! JSON objects that are objects: what `serde` derives would take an array of the members' values as well.
//!
//! In an array a value stands under no name, so that one in the wrong place would be taken for another. Nobody documents
//! that form and nobody means it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// A value that was written as an object.
#[derive(Debug, Clone, Default)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader(PhantomData)).map(Object)
    }
}

struct Reader<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// Reads an object.
pub fn one<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(value)| value)
}

/// Reads an object or `null`.
pub fn optional<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let read: Option<Object<T>> = Option::deserialize(deserializer)?;
    Ok(read.map(|Object(value)| value))
}

/// Reads an array of objects.
pub fn many<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let read: Vec<Object<T>> = Vec::deserialize(deserializer)?;
    Ok(read.into_iter().map(|Object(value)| value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::postback::Item;

    #[test]
    fn an_array_is_no_object() {
        let object = "{\"sku\":\"a\",\"quantity\":\"1\",\"price\":\"2\"}";
        let array = "[\"a\",\"1\",\"2\"]";
        assert!(
            serde_json::from_str::<Item>(array).is_ok(),
            "what this module is for"
        );
        assert!(serde_json::from_str::<Object<Item>>(object).is_ok());
        for other in [array, "null", "\"a\"", "1"] {
            assert!(serde_json::from_str::<Object<Item>>(other).is_err(), "{other}");
        }
        assert!(serde_json::from_str::<Object<Item>>("{\"sku\":\"a\",\"x\":1}").is_err());
    }
}
