//! The pieces of a landing URL: fixed text and places for values, and how each is encoded.
//!
//! Promise: whatever is pushed is visible ASCII, so the result can stand in a `Location` header; a value, even a raw
//! one, cannot end the part of the URL it stands in. Text is encoded when it is read, values when they are filled in.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{LandingError, LandingValues};

/// Values as a rule: everything but RFC 3986's unreserved characters is encoded.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// What may never stand in a URL as it is. (Bytes outside ASCII are always encoded.)
const TEXT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// Raw values in a query: as [`TEXT`], and no `#`, behind which an appended token would never reach the shop's server.
const RAW: &AsciiSet = &TEXT.add(b'#');
/// Raw values in a path: nor a `?`, which would turn the query behind them, token included, into a value.
const RAW_IN_PATH: &AsciiSet = &RAW.add(b'?');

/// A name that a click has a value for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Macro {
    Token,
    Campaign,
    Publisher,
    Link,
    Sub(usize),
    Gdpr,
    GdprConsent,
    Gpp,
    GppSid,
}

impl Macro {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "token" => Self::Token,
            "campaign" => Self::Campaign,
            "publisher" => Self::Publisher,
            "link" => Self::Link,
            "gdpr" => Self::Gdpr,
            "gdpr_consent" => Self::GdprConsent,
            "gpp" => Self::Gpp,
            "gpp_sid" => Self::GppSid,
            _ => {
                const SUBS: [&str; 10] = [
                    "sub1", "sub2", "sub3", "sub4", "sub5", "sub6", "sub7", "sub8", "sub9", "sub10",
                ];
                Self::Sub(SUBS.iter().position(|sub| *sub == name)?)
            }
        })
    }

    fn adspirit(name: &str) -> Option<Self> {
        Some(match name {
            "trkinfo" => Self::Token,
            "kid" => Self::Campaign,
            "wsid" => Self::Publisher,
            "pid" | "wmid" => Self::Link,
            "sid" => Self::Sub(0),
            "sid2" => Self::Sub(1),
            "sid3" => Self::Sub(2),
            "gdpr" => Self::Gdpr,
            "gdpr_consent" => Self::GdprConsent,
            _ => return None,
        })
    }

    fn value<'a>(self, values: &LandingValues<'a>, token: Option<&'a str>) -> &'a str {
        let found = match self {
            Self::Token => token,
            Self::Campaign => Some(values.campaign),
            Self::Publisher => Some(values.publisher),
            Self::Link => Some(values.link),
            Self::Sub(index) => token.and(values.subs.get(index).copied().flatten()),
            Self::Gdpr => values.gdpr,
            Self::GdprConsent => values.gdpr_consent,
            Self::Gpp => values.gpp,
            Self::GppSid => values.gpp_sid,
        };
        found.unwrap_or_default()
    }
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Value { source: Macro, raw: bool },
}

/// Where a part stands; it decides what a raw value may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
}

/// One of the two ways to read text: [`template_parts`] or [`literal_parts`].
pub(super) type PartReader = fn(&str) -> Result<Vec<Part>, LandingError>;

/// Reads text with macros.
pub(super) fn template_parts(text: &str) -> Result<Vec<Part>, LandingError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(['{', '}', '%']) {
        let (before, from) = rest.split_at_checked(start).ok_or(LandingError::UnknownMacro)?;
        push_text(&mut parts, before);
        if let Some((source, raw, after)) = leading_macro(from) {
            parts.push(Part::Value { source, raw });
            rest = after;
        } else {
            let (escape, after) = leading_escape(from).ok_or(LandingError::UnknownMacro)?;
            push_text(&mut parts, plain_escape(escape)?);
            rest = after;
        }
    }
    push_text(&mut parts, rest);
    Ok(parts)
}

/// Reads text in which braces mean nothing and a lone percent sign is the sender's slip.
pub(super) fn literal_parts(text: &str) -> Result<Vec<Part>, LandingError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        push_text(&mut parts, before);
        let from = rest.get(before.len()..).unwrap_or_default();
        if let Some((escape, after)) = leading_escape(from) {
            push_text(&mut parts, plain_escape(escape)?);
            rest = after;
        } else {
            push_text(&mut parts, "%25");
            rest = after;
        }
    }
    push_text(&mut parts, rest);
    Ok(parts)
}

fn leading_macro(text: &str) -> Option<(Macro, bool, &str)> {
    if let Some(rest) = text.strip_prefix('{') {
        let (name, after) = rest.split_once('}')?;
        let plain = name.strip_prefix('_');
        return Some((Macro::named(plain.unwrap_or(name))?, plain.is_some(), after));
    }
    let (name, after) = text.strip_prefix('%')?.split_once('%')?;
    Some((Macro::adspirit(name)?, false, after))
}

/// `%` and two hexadecimal digits.
fn leading_escape(text: &str) -> Option<(&str, &str)> {
    let (escape, after) = text.split_at_checked(3)?;
    let digits = escape.strip_prefix('%')?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then_some((escape, after))
}

/// Encoded control characters pass through this server unharmed, but not through every shop's.
fn plain_escape(escape: &str) -> Result<&str, LandingError> {
    let byte = escape
        .strip_prefix('%')
        .and_then(|digits| u8::from_str_radix(digits, 16).ok());
    byte.filter(|byte| !byte.is_ascii_control())
        .map(|_| escape)
        .ok_or(LandingError::Character)
}

/// Adds fixed text, already encoded, to the last part if that is text too: fewer parts, less work per click.
fn push_text(parts: &mut Vec<Part>, text: &str) {
    if text.is_empty() {
        return;
    }
    let encoded = utf8_percent_encode(text, TEXT);
    if let Some(Part::Text(last)) = parts.last_mut() {
        last.extend(encoded);
    } else {
        parts.push(Part::Text(encoded.to_string()));
    }
}

/// Puts parts into the URL, with their values.
pub(super) fn push_parts(
    out: &mut String,
    parts: &[Part],
    place: Place,
    values: &LandingValues<'_>,
    token: Option<&str>,
) {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Value { source, raw: false } => push_value(out, source.value(values, token)),
            Part::Value { source, raw: true } => {
                let set = if place == Place::Path { RAW_IN_PATH } else { RAW };
                out.extend(utf8_percent_encode(source.value(values, token), set));
            }
        }
    }
}

/// Puts one value into the URL, encoded so that it stays one value.
pub(super) fn push_value(out: &mut String, value: &str) {
    out.extend(utf8_percent_encode(value, VALUE));
}

/// Whether the token stands among the parts.
pub(super) fn carries_token(parts: &[Part]) -> bool {
    parts.iter().any(|part| {
        matches!(
            part,
            Part::Value {
                source: Macro::Token,
                ..
            }
        )
    })
}
