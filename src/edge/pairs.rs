//! Parameter pairs of queries and forms, decoded strictly.
//!
//! The usual readers repair what is broken; here a value that does not decode is `None`, so that each door can say what
//! that means: a postback refuses it by name, a click goes on without it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A decoded pair; a value that is not valid percent-encoded UTF-8 is `None`.
pub type Pair<'a> = (Cow<'a, str>, Option<Cow<'a, str>>);

/// The pairs of a raw query or form.
pub fn read(raw: &str) -> Vec<Pair<'_>> {
    raw.split('&')
        .filter(|pair| !pair.is_empty())
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // A name that does not decode is none that we know.
            Some((decode(name)?, decode(value)))
        })
        .collect()
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Some(Cow::Borrowed(text));
    }
    let bytes = text.as_bytes();
    let hex = |place: usize| bytes.get(place).is_some_and(u8::is_ascii_hexdigit);
    let broken = |(place, byte): (usize, &u8)| *byte == b'%' && !(hex(place + 1) && hex(place + 2));
    if bytes.iter().enumerate().any(broken) {
        return None;
    }
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .ok()
        .map(|decoded| Cow::Owned(decoded.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_encodings_are_not_repaired() {
        let pairs = read("a=1&b=%41+%c3%a4&c=%zz&d=%&e=%ff&f&&=x&%zz=y");
        let values: Vec<(&str, Option<&str>)> = pairs
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_deref()))
            .collect();
        let expected = [
            ("a", Some("1")),
            ("b", Some("A ä")),
            ("c", None),
            ("d", None),
            ("e", None),
            ("f", Some("")),
            ("", Some("x")),
        ];
        assert_eq!(values, expected);
    }
}
