//! JSON objects of a token: every member stands once, or the object is refused.
//!
//! Readers differ in which of two members of one name they take (RFC 8725, section 2.5 and RFC 7515, section 4): a token
//! that says two things would say another one to somebody else.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

/// The members of an object by their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Members(BTreeMap<String, Value>);

impl Members {
    /// Reads an object and nothing after it.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// A member.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A member that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// Whether there is a member of this name, whatever it holds.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// What a path of names leads to.
    pub fn at<'a>(&'a self, path: &[String]) -> Option<&'a Value> {
        let (first, rest) = path.split_first()?;
        rest.iter()
            .try_fold(self.get(first)?, |value, name| value.get(name))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object whose members stand once")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_stands_twice_is_refused() {
        assert!(Members::read(b"{\"a\":1,\"b\":{\"c\":2}}").is_some());
        for bad in [
            &b"{\"a\":1,\"a\":1}"[..],
            b"[]",
            b"null",
            b"{\"a\":1} x",
            b"",
            b"{\"a\":1",
        ] {
            assert_eq!(Members::read(bad), None);
        }
    }

    #[test]
    fn a_path_leads_through_objects_only() {
        let members = Members::read(b"{\"a\":{\"b\":[\"x\"]},\"a.b\":1}").expect("an object");
        let path = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(members.at(&path(&["a", "b"])), Some(&serde_json::json!(["x"])));
        assert_eq!(members.at(&path(&["a.b"])), Some(&serde_json::json!(1)));
        assert_eq!(members.at(&path(&["a", "b", "c"])), None);
        assert_eq!(members.at(&[]), None);
    }
}
