//! Numbers and times in requests and answers, and how a change tells what is left out from what is empty.

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::openapi::{KnownFormat, SchemaFormat};

/// Whole numbers within bounds. JSON has one kind of number: `30.0` is as whole as `30`.
macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident($inner:ty): $min:literal to $max:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                whole(deserializer).map(Self)
            }
        }

        described!($name, whole_number($min, $max));
    )*};
}

fn whole_number(min: i64, max: i64) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
        .minimum(Some(min))
        .maximum(Some(max))
        .build()
}

numbers! {
    /// Days of an attribution window.
    WindowDays(i64): 1 to 90;
    /// An id on the Global Vendor List.
    VendorId(u16): 1 to 65_535;
    /// The oldest consent that counts, in days.
    ConsentAgeDays(u16): 1 to 397;
    /// Hours for which a postback may do without a signal.
    InheritWindowHours(u16): 1 to 72;
    /// Hours for which the server's operator may look.
    GrantHours(u32): 1 to 72;
    /// Days for which a class of data is kept.
    RetentionDays(i64): 1 to 1_095;
    /// A policy version.
    PolicyVersionNumber(u16): 1 to 65_535;
}

/// Reads a whole number that fits, however it is written.
pub fn whole<'de, D: Deserializer<'de>, T: TryFrom<i64>>(deserializer: D) -> Result<T, D::Error> {
    let whole = deserializer.deserialize_any(Whole)?;
    T::try_from(whole).map_err(|_| D::Error::custom("out of range"))
}

/// Reads a whole number, however it is written.
struct Whole;

impl Visitor<'_> for Whole {
    type Value = i64;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_| E::custom("out of range"))
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and far inside what both types hold exactly"
    )]
    fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
        let whole = number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0;
        if whole {
            Ok(number as i64)
        } else {
            Err(E::custom("not whole"))
        }
    }
}

/// A point in time, RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub i64);

impl Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&crate::edge::time::rfc3339(self.0))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        chrono::DateTime::parse_from_rfc3339(&text)
            .map(|at| Self(at.timestamp_millis()))
            .map_err(|_| D::Error::custom("not a time"))
    }
}

described!(
    Moment,
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .examples(["2026-10-01T00:00:00.000Z"])
);

/// What a change does to a field that can be empty: left out, `null`, or a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Edit<T> {
    /// Nothing.
    #[default]
    Keep,
    /// Empties it.
    Clear,
    /// Fills it.
    Set(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Edit<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| value.map_or(Self::Clear, Self::Set))
    }
}

impl<T> Edit<T> {
    /// Does it.
    pub fn onto<P>(self, place: &mut Option<P>, inner: impl FnOnce(T) -> P) {
        match self {
            Self::Keep => {}
            Self::Clear => *place = None,
            Self::Set(value) => *place = Some(inner(value)),
        }
    }
}

/// Sets what a change gives.
pub fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FreeText, Slug, given};
    use super::*;

    #[test]
    fn whole_numbers_are_whole_however_they_are_written() {
        let read = |text: &str| serde_json::from_str::<VendorId>(text).map(|id| id.0).ok();
        assert_eq!(read("755"), Some(755));
        assert_eq!(read("755.0"), Some(755));
        for bad in ["755.5", "-1", "65536", "1e300", "\"755\"", "null"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn null_is_not_a_value_of_what_cannot_be_empty() {
        #[derive(Deserialize)]
        struct Change {
            #[serde(default, deserialize_with = "given")]
            slug: Option<Slug>,
            #[serde(default)]
            text: Edit<FreeText>,
        }
        let read = |text: &str| serde_json::from_str::<Change>(text);
        let empty = read("{}").expect("read");
        assert_eq!((empty.slug, empty.text), (None, Edit::Keep));
        assert_eq!(read("{\"text\": null}").expect("read").text, Edit::Clear);
        assert!(read("{\"slug\": null}").is_err());
    }
}
