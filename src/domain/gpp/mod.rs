//! Strict decoder for the GPP string: IAB Tech Lab's envelope for the signals of several laws.
//!
//! Promise: [`decode`] reads the envelope and nothing else, so one broken section does not spoil the others;
//! [`Section::read`] reads one section. Neither trims, repairs or guesses. Work and memory are bounded by the text
//! (at most [`MAX_TEXT_CHARS`]): a group of ids is never written out further than there are sections to name.
//! Whether a section is in force is not in the string: `gpp_sid` says it ([`sid`]).

use std::fmt;

mod header;
mod layout;
pub mod sid;
mod us;

use super::signal::us_privacy::UsPrivacy;
use super::tcf::{self, TcString, TcfError};
pub use us::{FieldValue, OptOut, UsError, UsSection};

/// The longest text that is looked at.
pub const MAX_TEXT_CHARS: usize = 16_384;

/// The most sections that are looked at. There are 27 ids; a string of nothing but sections would cost many times its
/// own length.
pub const MAX_SECTIONS: usize = 256;

/// The section that is a TC string.
pub const TCF_EU: u16 = 2;
/// The section that is a US Privacy string.
pub const US_PRIVACY: u16 = 6;
/// The sections of the United States and single states of it.
pub const US_SECTIONS: std::ops::RangeInclusive<u16> = 7..=27;

/// Why a text is not a well-formed GPP string. The sentences never repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GppError {
    /// There is no text at all.
    Empty,
    /// The text is longer than [`MAX_TEXT_CHARS`].
    TooLong,
    /// A character is not one that a GPP string may hold.
    BadCharacter,
    /// Two tildes meet, or one stands at an end.
    EmptySection,
    /// The header's type is not 3: this is no GPP string.
    BadHeaderType,
    /// The header's version is not 1.
    UnsupportedVersion,
    /// The header ends inside a field.
    Truncated,
    /// A section id is beyond any that could exist.
    IdTooLarge,
    /// A bit is set after the header's last field.
    TrailingBits,
    /// The header names more or fewer sections than there are.
    SectionCount,
    /// There are more than [`MAX_SECTIONS`].
    TooManySections,
}

impl GppError {
    /// A stable code for answers.
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "too_long",
            Self::BadCharacter => "bad_character",
            Self::EmptySection => "empty_section",
            Self::BadHeaderType => "bad_header_type",
            Self::UnsupportedVersion => "unsupported_version",
            Self::Truncated => "truncated",
            Self::IdTooLarge => "id_too_large",
            Self::TrailingBits => "trailing_bits",
            Self::SectionCount => "section_count",
            Self::TooManySections => "too_many_sections",
        }
    }
}

impl fmt::Display for GppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the GPP string is empty",
            Self::TooLong => "the GPP string is too long",
            Self::BadCharacter => "the GPP string has a character that may not be in one",
            Self::EmptySection => "the GPP string has an empty section",
            Self::BadHeaderType => "the string does not start with a GPP header",
            Self::UnsupportedVersion => "the GPP header is not of version 1",
            Self::Truncated => "the GPP header ends inside a field",
            Self::IdTooLarge => "the GPP header names a section id that cannot exist",
            Self::TrailingBits => "the GPP header has bits after its last field",
            Self::SectionCount => "the GPP header names another number of sections than there are",
            Self::TooManySections => "the GPP string has more sections than there are laws",
        })
    }
}

impl std::error::Error for GppError {}

/// A decoded envelope: which sections there are, and their texts. Borrowed from the request and gone with it.
#[derive(Clone, PartialEq, Eq)]
pub struct GppString<'a> {
    sections: Vec<Section<'a>>,
}

/// One section of a GPP string.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Section<'a> {
    /// Which law or framework it speaks for.
    pub id: u16,
    /// The section as it stands.
    pub text: &'a str,
}

/// What a section says.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// A TC string.
    Tcf(Box<TcString>),
    /// A US Privacy string.
    UsPrivacy(UsPrivacy),
    /// A section of the United States or a single state of it.
    Us(UsSection),
}

/// Why a section cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionError {
    /// The TC string is not well formed.
    Tcf(TcfError),
    /// The US Privacy string is not well formed.
    UsPrivacy,
    /// The section of the United States is not well formed.
    Us(UsError),
}

impl SectionError {
    /// A stable code for answers.
    pub fn code(self) -> &'static str {
        match self {
            Self::Tcf(error) => error.code(),
            Self::UsPrivacy => "bad_us_privacy",
            Self::Us(error) => error.code(),
        }
    }
}

/// Decodes the envelope; the error says what is wrong without repeating any of it.
pub fn decode(text: &str) -> Result<GppString<'_>, GppError> {
    if text.is_empty() {
        return Err(GppError::Empty);
    }
    if text.len() > MAX_TEXT_CHARS {
        return Err(GppError::TooLong);
    }
    // The characters that the specification calls URL-safe; what a section may hold of them is for its own reader.
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    {
        return Err(GppError::BadCharacter);
    }
    let (head, rest) = match text.split_once('~') {
        Some((head, rest)) => (head, Some(rest)),
        None => (text, None),
    };
    let texts = rest.into_iter().flat_map(|rest| rest.split('~'));
    let count = texts.clone().count();
    if head.is_empty() || texts.clone().any(str::is_empty) {
        return Err(GppError::EmptySection);
    }
    if count > MAX_SECTIONS {
        return Err(GppError::TooManySections);
    }
    let ids = header::section_ids(head, count)?;
    let sections = ids.into_iter().zip(texts).map(|(id, text)| Section { id, text });
    Ok(GppString {
        sections: sections.collect(),
    })
}

impl<'a> GppString<'a> {
    /// The sections, ascending by id.
    pub fn sections(&self) -> &[Section<'a>] {
        &self.sections
    }

    /// The section with this id.
    pub fn section(&self, id: u16) -> Option<Section<'a>> {
        self.sections.iter().copied().find(|section| section.id == id)
    }
}

impl Section<'_> {
    /// Reads the section; `None` for an id that this decoder does not know, which spoils nothing.
    pub fn read(&self) -> Option<Result<Content, SectionError>> {
        Some(match self.id {
            TCF_EU => tcf::decode(self.text)
                .map(|tc| Content::Tcf(Box::new(tc)))
                .map_err(SectionError::Tcf),
            US_PRIVACY => UsPrivacy::parse(self.text)
                .map(Content::UsPrivacy)
                .ok_or(SectionError::UsPrivacy),
            _ => us::decode(self.id, self.text)?
                .map(Content::Us)
                .map_err(SectionError::Us),
        })
    }
}

impl fmt::Debug for GppString<'_> {
    /// Names the type only: what a person chose does not belong into a log by way of `{:?}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GppString").finish_non_exhaustive()
    }
}

impl fmt::Debug for Section<'_> {
    /// The id only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_checked_before_anything_else() {
        let long = "*".repeat(MAX_TEXT_CHARS + 1);
        assert_eq!(decode(&long).err(), Some(GppError::TooLong));
        let longest = "*".repeat(MAX_TEXT_CHARS);
        assert_eq!(decode(&longest).err(), Some(GppError::BadCharacter));
    }

    #[test]
    fn an_unreadable_section_spoils_no_other() {
        let gpp = decode("DBACNY~broken~1YNN").expect("an envelope");
        let read = |id| gpp.section(id).and_then(|section| section.read());
        assert!(matches!(read(2), Some(Err(SectionError::Tcf(_)))));
        assert!(matches!(read(6), Some(Ok(Content::UsPrivacy(_)))));
        assert!(gpp.section(7).is_none());
    }

    #[test]
    fn a_header_without_sections_is_an_empty_string() {
        assert_eq!(decode("DBAA").map(|gpp| gpp.sections().len()), Ok(0));
        assert_eq!(decode("DBAA~").err(), Some(GppError::EmptySection));
    }

    #[test]
    fn errors_and_debug_do_not_repeat_the_text() {
        for text in ["Zebra", "DBABM~Zebra~Zebra", "Zebra!"] {
            let shown = format!("{:?}", decode(text))
                + &decode(text).map_or_else(|e| e.to_string(), |_| String::new());
            assert!(!shown.contains("Zebra"), "{text}");
        }
        let shown = format!("{:?}", decode("DBABM~Zebra").map(|gpp| gpp.sections().to_vec()));
        assert!(shown.contains("id: 2") && !shown.contains("Zebra"), "{shown}");
    }
}
