//! Names all that can be wrong with a TC string. The sentences never repeat any of it.

use std::error::Error;
use std::fmt;

use super::super::bits::BitError;

/// Why a text is not a well-formed TC string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcfError {
    /// There is no text at all.
    Empty,
    /// The text is longer than [`super::MAX_TEXT_CHARS`].
    TooLong,
    /// Two dots meet, or a dot stands at an end.
    EmptySegment,
    /// A character is not in the base64url alphabet (padding included).
    BadCharacter,
    /// A field ends after the segment does.
    Truncated,
    /// The first segment is not a core of version 2.
    UnsupportedVersion,
    /// A language or country letter is beyond Z.
    BadLetter,
    /// A vendor range holds the id 0.
    RangeZero,
    /// A vendor range ends before it starts.
    RangeReversed,
    /// A vendor range goes beyond the stated highest id.
    RangeBeyondMax,
    /// A restriction names a purpose outside 1 to 24.
    BadPurpose,
    /// A restriction has the undefined type 3.
    BadRestrictionType,
    /// A later segment is of no known type.
    UnknownSegment,
    /// A segment of one type comes twice.
    DuplicateSegment,
    /// A bit is set after the last field.
    TrailingBits,
}

impl TcfError {
    /// A stable code for answers.
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "too_long",
            Self::EmptySegment => "empty_segment",
            Self::BadCharacter => "bad_character",
            Self::Truncated => "truncated",
            Self::UnsupportedVersion => "unsupported_version",
            Self::BadLetter => "bad_letter",
            Self::RangeZero => "range_zero",
            Self::RangeReversed => "range_reversed",
            Self::RangeBeyondMax => "range_beyond_max",
            Self::BadPurpose => "bad_purpose",
            Self::BadRestrictionType => "bad_restriction_type",
            Self::UnknownSegment => "unknown_segment",
            Self::DuplicateSegment => "duplicate_segment",
            Self::TrailingBits => "trailing_bits",
        }
    }
}

impl From<BitError> for TcfError {
    fn from(error: BitError) -> Self {
        match error {
            BitError::Empty => Self::EmptySegment,
            BitError::BadCharacter => Self::BadCharacter,
            BitError::Truncated => Self::Truncated,
            BitError::BadLetter => Self::BadLetter,
            BitError::TrailingBits => Self::TrailingBits,
        }
    }
}

impl fmt::Display for TcfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the TC string is empty",
            Self::TooLong => "the TC string is too long",
            Self::EmptySegment => "the TC string has an empty segment",
            Self::BadCharacter => "the TC string has a character that is not base64url",
            Self::Truncated => "the TC string ends inside a field",
            Self::UnsupportedVersion => "the TC string does not start with a core segment of version 2",
            Self::BadLetter => "the TC string has a language or country that is not two letters",
            Self::RangeZero => "the TC string has a vendor range with the id 0",
            Self::RangeReversed => "the TC string has a vendor range that ends before it starts",
            Self::RangeBeyondMax => "the TC string has a vendor range beyond its highest vendor id",
            Self::BadPurpose => "the TC string restricts a purpose that does not exist",
            Self::BadRestrictionType => "the TC string has a restriction of an undefined type",
            Self::UnknownSegment => "the TC string has a segment of an unknown type",
            Self::DuplicateSegment => "the TC string has two segments of one type",
            Self::TrailingBits => "the TC string has bits after its last field",
        })
    }
}

impl Error for TcfError {}
