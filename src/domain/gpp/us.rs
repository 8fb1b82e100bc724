//! Sections 7 to 27: what people in the United States opted out of, normalised to three answers.
//!
//! Promise: a section is read whole or not at all, with the versions whose layout is known; no value beyond those the
//! specifications list, no bit after the last field, no sub-section that the section does not have. Consent fields
//! about children and sensitive data are read and shown, but only the three opt-outs and GPC decide.

use super::super::bits::{BitError, BitReader};
use super::header::read_range;
use super::layout::{Layout, MAX_ENTRIES, OPT_OUTS, Tail, national_2, of_section};

/// Section 7, the only one that has had a second version.
const NATIONAL: u16 = 7;
/// The first section of the newer form, whose core begins with the version of the MSPA.
const FIRST_NEWER: u16 = 24;
/// Entries of the sub-section about sensitive data.
const SENSITIVE_ENTRIES: usize = 8;
/// Characters that hold section 7's first layout, filled up to whole bytes; a longer core has the second.
const NATIONAL_1_CHARS: usize = 11;

/// Why a section cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsError {
    /// Two dots meet, or one stands at an end.
    EmptySegment,
    /// A character is not in the base64url alphabet.
    BadCharacter,
    /// A field ends after the segment does.
    Truncated,
    /// A version whose layout is not known.
    UnsupportedVersion,
    /// A field holds 3, which no specification gives a meaning.
    BadValue,
    /// A sub-section that this section does not have, or one too many.
    UnknownSegment,
    /// A bit is set after the last field.
    TrailingBits,
    /// The section's own header does not name the sub-sections that follow.
    BadHeader,
}

impl UsError {
    /// A stable code for answers.
    pub fn code(self) -> &'static str {
        match self {
            Self::EmptySegment => "empty_segment",
            Self::BadCharacter => "bad_character",
            Self::Truncated => "truncated",
            Self::UnsupportedVersion => "unsupported_section_version",
            Self::BadValue => "bad_value",
            Self::UnknownSegment => "unknown_segment",
            Self::TrailingBits => "trailing_bits",
            Self::BadHeader => "bad_section_header",
        }
    }
}

impl From<BitError> for UsError {
    fn from(error: BitError) -> Self {
        match error {
            BitError::Empty => Self::EmptySegment,
            BitError::BadCharacter | BitError::BadLetter => Self::BadCharacter,
            BitError::Truncated => Self::Truncated,
            BitError::TrailingBits => Self::TrailingBits,
        }
    }
}

/// What a section comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptOut {
    /// Opted out of sale, sharing or targeted advertising, or GPC is on.
    OptedOut,
    /// Asked, and did not opt out.
    NotOptedOut,
    /// Not applicable, or never asked.
    Unknown,
}

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValue<'a> {
    /// A single field.
    One(u8),
    /// A list.
    List(&'a [u8]),
    /// Global Privacy Control.
    Flag(bool),
}

/// A decoded section.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UsSection {
    /// The version of the section; of the newer form, the version of the MSPA that its core begins with.
    version: u8,
    /// Whether the section is of the newer form (24 to 27).
    is_newer: bool,
    layout: &'static Layout,
    values: [u8; MAX_ENTRIES],
    /// `None` if the sub-section is not there, or the section has none.
    gpc: Option<bool>,
    sensitive: Option<[u8; SENSITIVE_ENTRIES]>,
}

/// Decodes a section of the United States; `None` if the id is none of theirs.
pub(super) fn decode(id: u16, text: &str) -> Option<Result<UsSection, UsError>> {
    let layout = of_section(id)?;
    Some(if id >= FIRST_NEWER {
        decode_newer(id, text, layout)
    } else {
        decode_first(id, text, layout)
    })
}

fn decode_first(id: u16, text: &str, layout: &'static Layout) -> Result<UsSection, UsError> {
    let mut segments = text.split('.');
    let core = segments.next().unwrap_or_default();
    let mut reader = BitReader::new(core)?;
    let version = reader.take_u8(6)?;
    let layout = match (id, version) {
        // The reference encoder wrote the second layout under the first one's version for a while. The first, filled
        // up to 24 bits, is as long, but its added bits are zero where the second must say 1 or 2.
        (NATIONAL, 1)
            if core.bytes().skip(NATIONAL_1_CHARS - 1).any(|byte| byte != b'A')
                && core.len() > NATIONAL_1_CHARS =>
        {
            national_2()
        }
        (NATIONAL, 2) => national_2(),
        (_, 1) => layout,
        _ => return Err(UsError::UnsupportedVersion),
    };
    let mut section = read_core(reader, version, layout)?;
    section.read_tail(segments)?;
    Ok(section)
}

/// The newer form has a header of its own before the core: section id, version, the ids of the sub-sections. The
/// reference encoder leaves it out. Six bits that are the section's id are a header; as the version of the MSPA, which
/// stands there without one, they would be years away.
fn decode_newer(id: u16, text: &str, layout: &'static Layout) -> Result<UsSection, UsError> {
    let mut segments = text.split('.');
    let mut reader = BitReader::new(segments.next().unwrap_or_default())?;
    let mut first = reader.take_u8(6)?;
    if u16::from(first) == id {
        if reader.take_u8(6)? != 1 {
            return Err(UsError::UnsupportedVersion);
        }
        read_header(reader, segments.clone().count())?;
        reader = BitReader::new(segments.next().ok_or(UsError::BadHeader)?)?;
        first = reader.take_u8(6)?;
    }
    let mut section = read_core(reader, first, layout)?;
    section.is_newer = true;
    section.read_tail(segments)?;
    Ok(section)
}

/// The list of sub-sections. Its numbers cannot be checked: the core's is 0, which a Fibonacci code cannot express, so
/// writers either leave it out or count from 1. How many there are can.
fn read_header(mut reader: BitReader<'_>, segments: usize) -> Result<(), UsError> {
    let listed = read_range(&mut reader, segments)
        .map_err(|_| UsError::BadHeader)?
        .len();
    reader.finish()?;
    if listed == segments || listed + 1 == segments {
        Ok(())
    } else {
        Err(UsError::BadHeader)
    }
}

fn read_core(mut reader: BitReader<'_>, version: u8, layout: &'static Layout) -> Result<UsSection, UsError> {
    let mut values = [0; MAX_ENTRIES];
    let entries = layout
        .fields
        .iter()
        .map(|field| usize::from(field.entries.unwrap_or(1)));
    for value in values.iter_mut().take(entries.sum()) {
        *value = read_value(&mut reader)?;
    }
    reader.finish()?;
    Ok(UsSection {
        version,
        is_newer: false,
        layout,
        values,
        gpc: None,
        sensitive: None,
    })
}

fn read_value(reader: &mut BitReader<'_>) -> Result<u8, UsError> {
    match reader.take_u8(2)? {
        3 => Err(UsError::BadValue),
        value => Ok(value),
    }
}

impl UsSection {
    /// Reads what follows the core: at most one sub-section, of the kind that the section has.
    fn read_tail<'a>(&mut self, mut segments: impl Iterator<Item = &'a str>) -> Result<(), UsError> {
        let Some(text) = segments.next() else {
            return Ok(());
        };
        let mut reader = BitReader::new(text)?;
        match self.layout.tail {
            Tail::None => return Err(UsError::UnknownSegment),
            Tail::Gpc => {
                if reader.take_u8(2)? != 1 {
                    return Err(UsError::UnknownSegment);
                }
                self.gpc = Some(reader.take_bool()?);
            }
            Tail::Sensitive => {
                let mut values = [0; SENSITIVE_ENTRIES];
                for value in &mut values {
                    *value = read_value(&mut reader)?;
                }
                self.sensitive = Some(values);
            }
        }
        reader.finish()?;
        match segments.next() {
            None => Ok(()),
            Some(_) => Err(UsError::UnknownSegment),
        }
    }

    /// What the section comes to: one opt-out is enough, and GPC is one.
    pub fn opt_out(&self) -> OptOut {
        let mut answer = OptOut::Unknown;
        for (name, value) in self.fields() {
            match value {
                FieldValue::Flag(true) => return OptOut::OptedOut,
                FieldValue::One(1) if OPT_OUTS.contains(&name) => return OptOut::OptedOut,
                FieldValue::One(2) if OPT_OUTS.contains(&name) => answer = OptOut::NotOptedOut,
                _ => {}
            }
        }
        answer
    }

    /// Every field under its name in the specification, in the order written. A section that has a GPC sub-section
    /// without holding one says no.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, FieldValue<'_>)> {
        let version = if self.is_newer { "MspaVersion" } else { "Version" };
        let gpc = (self.layout.tail == Tail::Gpc).then(|| self.gpc.unwrap_or(false));
        std::iter::once((version, FieldValue::One(self.version)))
            .chain(self.core())
            .chain(
                self.sensitive
                    .iter()
                    .map(|values| ("SensitiveDataProcessing", FieldValue::List(values.as_slice()))),
            )
            .chain(gpc.map(|on| ("Gpc", FieldValue::Flag(on))))
    }

    fn core(&self) -> impl Iterator<Item = (&'static str, FieldValue<'_>)> {
        let mut rest = self.values.as_slice();
        // Under the first version's number only the first version's entries have a meaning.
        let shorten = std::ptr::eq(self.layout, national_2()) && self.version == 1;
        self.layout.fields.iter().map(move |field| {
            let (mine, others) = rest
                .split_at_checked(usize::from(field.entries.unwrap_or(1)))
                .unwrap_or_default();
            rest = others;
            let value = match (field.entries, mine) {
                (None, [value, ..]) => FieldValue::One(*value),
                (Some(16), _) if shorten => FieldValue::List(mine.get(..12).unwrap_or_default()),
                (Some(3), _) if shorten => FieldValue::List(mine.get(..2).unwrap_or_default()),
                _ => FieldValue::List(mine),
            };
            (field.name, value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opt_out(id: u16, text: &str) -> Result<OptOut, UsError> {
        decode(id, text)
            .expect("a section of ours")
            .map(|section| section.opt_out())
    }

    #[test]
    fn one_refusal_is_enough_and_gpc_is_one() {
        assert_eq!(opt_out(9, "BAAAABA"), Ok(OptOut::Unknown));
        assert_eq!(opt_out(8, "BAAAAABA.QA"), Ok(OptOut::Unknown));
        assert_eq!(opt_out(8, "BAAAAABA.YA"), Ok(OptOut::OptedOut));
        assert_eq!(opt_out(12, "BaWVZREA.QA"), Ok(OptOut::OptedOut));
        assert_eq!(opt_out(19, "BFqBRQQA.QA"), Ok(OptOut::NotOptedOut));
    }

    #[test]
    fn what_is_not_known_is_not_read() {
        for (id, text, error) in [
            (9, "bSFgmiU", UsError::UnsupportedVersion),
            (9, "CAAAABA", UsError::UnsupportedVersion),
            (9, "BwAAABA", UsError::BadValue),
            (9, "BAAAAB", UsError::Truncated),
            (9, "BAAAABAB", UsError::TrailingBits),
            (9, "BAAAABA.YA", UsError::UnknownSegment),
            (8, "BAAAAABA.AA", UsError::UnknownSegment),
            (8, "BAAAAABA.QB", UsError::TrailingBits),
            (8, "BAAAAABA.YA.YA", UsError::UnknownSegment),
            (8, "BAAAAABA.", UsError::EmptySegment),
            (8, "BAAAAAB=", UsError::BadCharacter),
            (7, "CUQiUAIVYgA.QA", UsError::Truncated),
        ] {
            assert_eq!(opt_out(id, text), Err(error), "{id} {text}");
        }
    }

    #[test]
    fn the_newer_form_is_read_with_its_header_and_without() {
        // Opted out of sale in Maryland: MSPA 1, covered 1, mode 0, notices 1 1 1, opt-outs 1 2, consent 0.
        let core = "BRWY";
        assert_eq!(opt_out(24, core), Ok(OptOut::OptedOut));
        // Section 24, version 1, a list of one number (1), then the core; with GPC the list names one or two.
        assert_eq!(opt_out(24, &format!("YBABY.{core}")), Ok(OptOut::OptedOut));
        assert_eq!(opt_out(24, "YBABY.BQAA.YA"), Ok(OptOut::OptedOut));
        assert_eq!(opt_out(24, "YBAA.BQAA"), Ok(OptOut::Unknown));
        assert_eq!(opt_out(24, "YBAA.BQAA.YA"), Err(UsError::BadHeader));
        assert_eq!(opt_out(24, "YCAA.BQAA"), Err(UsError::UnsupportedVersion));
        assert_eq!(opt_out(24, "YBAA"), Err(UsError::BadHeader));
        assert_eq!(opt_out(25, "BQAA.AAA"), Ok(OptOut::Unknown));
        assert_eq!(opt_out(25, "BQAA.QA"), Err(UsError::Truncated));
    }
}
