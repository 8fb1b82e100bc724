//! Reads big-endian bit fields out of one base64url segment, and names all that can be wrong with a string.
//!
//! Promise: six bits a character, nothing skipped, nothing guessed. A character outside the alphabet, a field
//! that does not fit and a set bit after the last field are errors. The text is never copied, and no error
//! carries any of it: a consent string belongs to a person.

use std::error::Error;
use std::fmt;

/// Why a text is not a well-formed TC string. The sentences never repeat the text.
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

/// Yes/no bits for things numbered from 1 (purposes, special features), at most 64 of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    bits: u64,
    count: u8,
}

impl Flags {
    /// Whether the bit of `number` is set. 0 and numbers beyond the last are not.
    pub fn contains(self, number: u8) -> bool {
        self.count
            .checked_sub(number)
            .is_some_and(|from_end| number > 0 && (self.bits >> from_end) & 1 == 1)
    }

    /// The numbers whose bits are set, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (1..=self.count).filter(move |number| self.contains(*number))
    }

    /// How many numbers there are bits for.
    pub fn count(self) -> u8 {
        self.count
    }
}

/// A cursor over the bits of one segment.
pub(super) struct BitReader<'a> {
    rest: std::slice::Iter<'a, u8>,
    /// Bits taken from `rest` but not handed out yet, in the lowest `held_count` places; all above are 0.
    held: u64,
    held_count: u32,
}

impl<'a> BitReader<'a> {
    /// Checks every character first, so that a bad one is found even behind the last field.
    pub(super) fn new(segment: &'a str) -> Result<Self, TcfError> {
        if segment.is_empty() {
            return Err(TcfError::EmptySegment);
        }
        if !segment.bytes().all(|byte| sextet(byte).is_some()) {
            return Err(TcfError::BadCharacter);
        }
        Ok(Self {
            rest: segment.as_bytes().iter(),
            held: 0,
            held_count: 0,
        })
    }

    /// The next `width` bits. No field is wider than 36, so `held` (at most 5 bits more) never loses any.
    pub(super) fn take(&mut self, width: u32) -> Result<u64, TcfError> {
        debug_assert!(width <= 36, "no field of a TC string is wider");
        while self.held_count < width {
            let next = self
                .rest
                .next()
                .copied()
                .and_then(sextet)
                .ok_or(TcfError::Truncated)?;
            self.held = (self.held << 6) | u64::from(next);
            self.held_count += 6;
        }
        self.held_count -= width;
        let value = self.held >> self.held_count;
        self.held &= (1 << self.held_count) - 1;
        Ok(value)
    }

    /// A field of at most 8 bits.
    pub(super) fn take_u8(&mut self, width: u32) -> Result<u8, TcfError> {
        debug_assert!(width <= 8, "the value must fit");
        let [low, ..] = self.take(width)?.to_le_bytes();
        Ok(low)
    }

    /// A field of at most 16 bits.
    pub(super) fn take_u16(&mut self, width: u32) -> Result<u16, TcfError> {
        debug_assert!(width <= 16, "the value must fit");
        let [low, high, ..] = self.take(width)?.to_le_bytes();
        Ok(u16::from_le_bytes([low, high]))
    }

    /// One bit.
    pub(super) fn take_bool(&mut self) -> Result<bool, TcfError> {
        Ok(self.take(1)? == 1)
    }

    /// `count` bits for things numbered from 1; bit by bit, because custom purposes can be wider than `take`.
    pub(super) fn take_flags(&mut self, count: u8) -> Result<Flags, TcfError> {
        debug_assert!(count <= 64, "the bits must fit");
        let mut bits = 0;
        for _ in 0..count {
            bits = (bits << 1) | self.take(1)?;
        }
        Ok(Flags { bits, count })
    }

    /// Two letters, six bits each, A = 0.
    pub(super) fn take_letters(&mut self) -> Result<[char; 2], TcfError> {
        Ok([self.take_letter()?, self.take_letter()?])
    }

    fn take_letter(&mut self) -> Result<char, TcfError> {
        match self.take_u8(6)? {
            offset @ 0..=25 => Ok(char::from(b'A' + offset)),
            _ => Err(TcfError::BadLetter),
        }
    }

    /// Ends the segment. Encoders fill up to 6, 8 or 24 bits: any number of zero bits may follow, nothing else.
    pub(super) fn finish(self) -> Result<(), TcfError> {
        if self.held == 0 && self.rest.copied().all(|byte| byte == b'A') {
            Ok(())
        } else {
            Err(TcfError::TrailingBits)
        }
    }
}

fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_cross_character_borders() -> Result<(), TcfError> {
        let mut reader = BitReader::new("Ab-_")?; // 000000 011011 111110 111111
        assert_eq!(reader.take(7)?, 0);
        assert_eq!(reader.take_u16(11)?, 0b11011_111110);
        assert!(reader.take_bool()?);
        assert_eq!(reader.take_u8(6), Err(TcfError::Truncated));
        Ok(())
    }

    #[test]
    fn only_zero_bits_may_follow() -> Result<(), TcfError> {
        for (text, end) in [
            ("gA", Ok(())),
            ("gAAA", Ok(())),
            ("gB", Err(TcfError::TrailingBits)),
            ("hA", Err(TcfError::TrailingBits)),
        ] {
            let mut reader = BitReader::new(text)?;
            assert!(reader.take_bool()?);
            assert_eq!(reader.finish(), end, "{text}");
        }
        Ok(())
    }

    #[test]
    fn flags_are_numbered_from_one() -> Result<(), TcfError> {
        let flags = BitReader::new("hAAAAAAAAAB")?.take_flags(64)?;
        assert_eq!(flags.iter().collect::<Vec<_>>(), [1, 6]);
        assert!(!flags.contains(0) && !flags.contains(65) && !flags.contains(255));
        Ok(())
    }
}
