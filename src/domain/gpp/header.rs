//! The GPP header and the Fibonacci code that its list of section ids is written in.
//!
//! Promise: a list says how long it is and may lie, and a group is an offset and a length of up to 65,535. So nothing
//! is reserved or written out by what the header claims: it must name exactly as many ids as there are sections, and
//! reading stops at the first one too many.

use super::super::bits::{BitError, BitReader};
use super::GppError;

const TYPE: u8 = 3;
const VERSION: u8 = 1;

impl From<BitError> for GppError {
    fn from(error: BitError) -> Self {
        match error {
            BitError::Empty => Self::EmptySection,
            BitError::BadCharacter | BitError::BadLetter => Self::BadCharacter,
            BitError::Truncated => Self::Truncated,
            BitError::TrailingBits => Self::TrailingBits,
        }
    }
}

/// The ids that a header names, ascending; there must be `count` of them.
pub(super) fn section_ids(text: &str, count: usize) -> Result<Vec<u16>, GppError> {
    let mut reader = BitReader::new(text)?;
    if reader.take_u8(6)? != TYPE {
        return Err(GppError::BadHeaderType);
    }
    if reader.take_u8(6)? != VERSION {
        return Err(GppError::UnsupportedVersion);
    }
    let ids = read_range(&mut reader, count)?;
    reader.finish()?;
    if ids.len() == count {
        Ok(ids)
    } else {
        Err(GppError::SectionCount)
    }
}

/// A Fibonacci range of at most `limit` ids. Offsets are at least 1, so the ids ascend by themselves.
pub(super) fn read_range(reader: &mut BitReader<'_>, limit: usize) -> Result<Vec<u16>, GppError> {
    let mut ids = Vec::new();
    let mut last = 0_u16;
    for _ in 0..reader.take_u16(12)? {
        let is_group = reader.take_bool()?;
        let first = step(last, read_fibonacci(reader)?)?;
        last = if is_group {
            step(first, read_fibonacci(reader)?)?
        } else {
            first
        };
        for id in first..=last {
            if ids.len() == limit {
                return Err(GppError::SectionCount);
            }
            ids.push(id);
        }
    }
    Ok(ids)
}

fn step(from: u16, offset: u16) -> Result<u16, GppError> {
    from.checked_add(offset).ok_or(GppError::IdTooLarge)
}

/// One number: each bit weighs 1, 2, 3, 5, 8 ..., and the first two ones in a row end it.
fn read_fibonacci(reader: &mut BitReader<'_>) -> Result<u16, GppError> {
    let (mut value, mut weight, mut next) = (0_u32, 1_u32, 2_u32);
    let mut one_before = false;
    loop {
        let one = reader.take_bool()?;
        if one && one_before {
            return u16::try_from(value).map_err(|_| GppError::IdTooLarge);
        }
        // Only the one that ends a code may weigh this much.
        if weight > u32::from(u16::MAX) {
            return Err(GppError::IdTooLarge);
        }
        if one {
            value += weight;
        }
        one_before = one;
        (weight, next) = (next, weight + next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packs a text of `0` and `1` into base64url.
    fn packed(bits: &str) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        bits.as_bytes()
            .chunks(6)
            .map(|six| {
                let place = six
                    .iter()
                    .fold(0, |value, bit| value * 2 + usize::from(bit - b'0'));
                char::from(ALPHABET[place << (6 - six.len())])
            })
            .collect()
    }

    fn number(bits: &str) -> Result<u16, GppError> {
        read_fibonacci(&mut BitReader::new(&packed(bits))?)
    }

    #[test]
    fn the_numbers_of_the_specification() {
        for (value, bits) in [
            (1, "11"),
            (2, "011"),
            (3, "0011"),
            (4, "1011"),
            (5, "00011"),
            (6, "10011"),
            (7, "01011"),
        ] {
            assert_eq!(number(bits), Ok(value), "{bits}");
        }
    }

    #[test]
    fn a_number_ends_or_is_refused() {
        assert_eq!(number("010101"), Err(GppError::Truncated));
        assert_eq!(number(&"0".repeat(60)), Err(GppError::IdTooLarge));
        assert_eq!(number(&"01".repeat(30)), Err(GppError::IdTooLarge));
    }

    #[test]
    fn the_headers_of_the_specification() {
        assert_eq!(section_ids("DBABM", 1), Ok(vec![2]));
        assert_eq!(section_ids("DBACNY", 2), Ok(vec![2, 6]));
        assert_eq!(section_ids("DBABjw", 2), Ok(vec![5, 6]));
        // Filled up to 8 and 24 bits.
        assert_eq!(section_ids("DBABMA", 1), Ok(vec![2]));
        assert_eq!(section_ids("DBABMAAA", 1), Ok(vec![2]));
    }

    #[test]
    fn a_wide_group_is_not_written_out() {
        // One group from 1 with the length 28,656: 22 zeros, of which the last is the weight, and a one.
        let header = format!(
            "000011000001{:012b}1{}{}11",
            1,
            "11",
            format_args!("{}1", "0".repeat(20))
        );
        assert_eq!(section_ids(&packed(&header), 3), Err(GppError::SectionCount));
    }
}
