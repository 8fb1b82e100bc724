//! Reads big-endian bit fields out of one base64url segment: the ground that the TC string and GPP share.
//!
//! Promise: six bits a character, nothing skipped, nothing guessed. A character outside the alphabet, a field
//! that does not fit and a set bit after the last field are errors. The text is never copied, and no error
//! carries any of it: a consent string belongs to a person.

/// What can be wrong with the bits of a segment, whatever they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitError {
    /// There is no text.
    Empty,
    /// A character is not in the base64url alphabet (padding included).
    BadCharacter,
    /// A field ends after the segment does.
    Truncated,
    /// A language or country letter is beyond Z.
    BadLetter,
    /// A bit is set after the last field.
    TrailingBits,
}

/// Yes/no bits for things numbered from 1 (purposes, special features), at most 64 of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    bits: u64,
    count: u8,
}

impl Flags {
    /// Flags for `count` numbers; the last number's bit is the lowest.
    pub(super) fn new(bits: u64, count: u8) -> Self {
        Self { bits, count }
    }

    /// The bits, as [`Flags::new`] takes them.
    pub(super) fn bits(self) -> u64 {
        self.bits
    }

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
    pub(super) fn new(segment: &'a str) -> Result<Self, BitError> {
        if segment.is_empty() {
            return Err(BitError::Empty);
        }
        if !segment.bytes().all(|byte| sextet(byte).is_some()) {
            return Err(BitError::BadCharacter);
        }
        Ok(Self {
            rest: segment.as_bytes().iter(),
            held: 0,
            held_count: 0,
        })
    }

    /// The next `width` bits. No field is wider than 36, so `held` (at most 5 bits more) never loses any.
    pub(super) fn take(&mut self, width: u32) -> Result<u64, BitError> {
        debug_assert!(width <= 36, "no field of a consent string is wider");
        while self.held_count < width {
            let next = self
                .rest
                .next()
                .copied()
                .and_then(sextet)
                .ok_or(BitError::Truncated)?;
            self.held = (self.held << 6) | u64::from(next);
            self.held_count += 6;
        }
        self.held_count -= width;
        let value = self.held >> self.held_count;
        self.held &= (1 << self.held_count) - 1;
        Ok(value)
    }

    /// A field of at most 8 bits.
    pub(super) fn take_u8(&mut self, width: u32) -> Result<u8, BitError> {
        debug_assert!(width <= 8, "the value must fit");
        let [low, ..] = self.take(width)?.to_le_bytes();
        Ok(low)
    }

    /// A field of at most 16 bits.
    pub(super) fn take_u16(&mut self, width: u32) -> Result<u16, BitError> {
        debug_assert!(width <= 16, "the value must fit");
        let [low, high, ..] = self.take(width)?.to_le_bytes();
        Ok(u16::from_le_bytes([low, high]))
    }

    /// One bit.
    pub(super) fn take_bool(&mut self) -> Result<bool, BitError> {
        Ok(self.take(1)? == 1)
    }

    /// `count` bits for things numbered from 1; bit by bit, because custom purposes can be wider than `take`.
    pub(super) fn take_flags(&mut self, count: u8) -> Result<Flags, BitError> {
        debug_assert!(count <= 64, "the bits must fit");
        let mut bits = 0;
        for _ in 0..count {
            bits = (bits << 1) | self.take(1)?;
        }
        Ok(Flags { bits, count })
    }

    /// Two letters, six bits each, A = 0.
    pub(super) fn take_letters(&mut self) -> Result<[char; 2], BitError> {
        Ok([self.take_letter()?, self.take_letter()?])
    }

    fn take_letter(&mut self) -> Result<char, BitError> {
        match self.take_u8(6)? {
            offset @ 0..=25 => Ok(char::from(b'A' + offset)),
            _ => Err(BitError::BadLetter),
        }
    }

    /// Ends the segment. Encoders fill up to 6, 8 or 24 bits: any number of zero bits may follow, nothing else.
    pub(super) fn finish(self) -> Result<(), BitError> {
        if self.held == 0 && self.rest.copied().all(|byte| byte == b'A') {
            Ok(())
        } else {
            Err(BitError::TrailingBits)
        }
    }
}

/// The six bits of a character of base64url.
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
    fn fields_cross_character_borders() -> Result<(), BitError> {
        let mut reader = BitReader::new("Ab-_")?; // 000000 011011 111110 111111
        assert_eq!(reader.take(7)?, 0);
        assert_eq!(reader.take_u16(11)?, 0b11011_111110);
        assert!(reader.take_bool()?);
        assert_eq!(reader.take_u8(6), Err(BitError::Truncated));
        Ok(())
    }

    #[test]
    fn only_zero_bits_may_follow() -> Result<(), BitError> {
        for (text, end) in [
            ("gA", Ok(())),
            ("gAAA", Ok(())),
            ("gB", Err(BitError::TrailingBits)),
            ("hA", Err(BitError::TrailingBits)),
        ] {
            let mut reader = BitReader::new(text)?;
            assert!(reader.take_bool()?);
            assert_eq!(reader.finish(), end, "{text}");
        }
        Ok(())
    }

    #[test]
    fn flags_are_numbered_from_one() -> Result<(), BitError> {
        let flags = BitReader::new("hAAAAAAAAAB")?.take_flags(64)?;
        assert_eq!(flags.iter().collect::<Vec<_>>(), [1, 6]);
        assert!(!flags.contains(0) && !flags.contains(65) && !flags.contains(255));
        Ok(())
    }
}
