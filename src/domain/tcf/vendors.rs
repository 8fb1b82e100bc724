//! Sets of vendor ids as a TC string writes them: bit fields, ranges and publisher restrictions.
//!
//! Promise: memory grows with the text and never with the width of a range. "1 to 65535" costs four bytes here;
//! written out, a few thousand of them would let one short string occupy a server.

use std::collections::BTreeMap;

use super::super::bits::{BitError, BitReader};
use super::error::TcfError;
use super::verdict::RestrictionType;

/// The ids from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct VendorRange {
    /// The lowest id.
    pub first: u16,
    /// The highest id.
    pub last: u16,
}

/// A vendor section: which vendors the bit "yes" was written for.
#[derive(Clone, PartialEq, Eq)]
pub struct VendorSet {
    max_vendor_id: u16,
    ids: VendorIds,
}

#[derive(Clone, PartialEq, Eq)]
enum VendorIds {
    /// Vendor 1 is the highest bit of the first byte.
    Bits(Vec<u8>),
    Ranges(RangeSet),
}

impl VendorSet {
    /// Reads a section: the highest id, the encoding, then either encoding of the ids.
    pub(super) fn read(reader: &mut BitReader<'_>) -> Result<Self, TcfError> {
        let max_vendor_id = reader.take_u16(16)?;
        let ids = if reader.take_bool()? {
            let mut ranges = RangeSet::default();
            ranges.read_entries(reader, max_vendor_id)?;
            ranges.normalise();
            VendorIds::Ranges(ranges)
        } else {
            VendorIds::Bits(read_bit_field(reader, max_vendor_id)?)
        };
        Ok(Self { max_vendor_id, ids })
    }

    /// Whether the vendor is in the set. An id beyond the highest written one is not.
    pub fn contains(&self, vendor: u16) -> bool {
        match &self.ids {
            VendorIds::Ranges(ranges) => ranges.contains(vendor),
            // The bits after the highest id are zero, so the last byte needs no extra check.
            VendorIds::Bits(bytes) => vendor.checked_sub(1).is_some_and(|index| {
                bytes
                    .get(usize::from(index / 8))
                    .is_some_and(|byte| byte & (0x80 >> (index % 8)) != 0)
            }),
        }
    }

    /// The ids as ascending ranges with gaps between them, whichever way they were written.
    pub fn ranges(&self) -> Vec<VendorRange> {
        match &self.ids {
            VendorIds::Ranges(ranges) => ranges.0.clone(),
            VendorIds::Bits(_) => {
                let single = |vendor| VendorRange {
                    first: vendor,
                    last: vendor,
                };
                let mut ranges = Vec::new();
                for range in (1..=self.max_vendor_id)
                    .filter(|vendor| self.contains(*vendor))
                    .map(single)
                {
                    push_or_widen(&mut ranges, range);
                }
                ranges
            }
        }
    }

    /// The highest id the section speaks about.
    pub fn max_vendor_id(&self) -> u16 {
        self.max_vendor_id
    }

    /// Whether the section was written as ranges rather than as a bit field.
    pub fn is_range_encoded(&self) -> bool {
        matches!(self.ids, VendorIds::Ranges(_))
    }
}

/// What the publisher restricts, by purpose and type. Keys that come twice are one key here.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PublisherRestrictions(BTreeMap<(u8, RestrictionType), RangeSet>);

impl PublisherRestrictions {
    /// Reads the section. Unlike a vendor section it has neither a highest id nor an encoding bit, and may
    /// cover ids that are on no vendor list.
    pub(super) fn read(reader: &mut BitReader<'_>) -> Result<Self, TcfError> {
        let mut restrictions: BTreeMap<_, RangeSet> = BTreeMap::new();
        for _ in 0..reader.take_u16(12)? {
            let purpose = reader.take_u8(6)?;
            if !(1..=24).contains(&purpose) {
                return Err(TcfError::BadPurpose);
            }
            let kind = RestrictionType::from_bits(reader.take_u8(2)?).ok_or(TcfError::BadRestrictionType)?;
            restrictions
                .entry((purpose, kind))
                .or_default()
                .read_entries(reader, u16::MAX)?;
        }
        // Once at the end: a key repeated thousands of times must not be sorted thousands of times.
        restrictions.values_mut().for_each(RangeSet::normalise);
        Ok(Self(restrictions))
    }

    /// The restriction that applies to the vendor and purpose: of several, the lowest type.
    pub(super) fn applying(&self, vendor: u16, purpose: u8) -> Option<RestrictionType> {
        self.of_vendor(vendor)
            .find(|(restricted, _)| *restricted == purpose)
            .map(|(_, kind)| kind)
    }

    /// Every purpose restricted for the vendor with every type present, ascending.
    pub(super) fn of_vendor(&self, vendor: u16) -> impl Iterator<Item = (u8, RestrictionType)> {
        self.0
            .iter()
            .filter(move |(_, ranges)| ranges.contains(vendor))
            .map(|(key, _)| *key)
    }

    /// Everything restricted, ascending by purpose and type.
    pub(super) fn all(&self) -> impl Iterator<Item = (u8, RestrictionType, &[VendorRange])> {
        self.0
            .iter()
            .map(|((purpose, kind), ranges)| (*purpose, *kind, ranges.0.as_slice()))
    }
}

/// Ranges; after `normalise` ascending and with gaps between them, which the search relies on.
#[derive(Clone, Default, PartialEq, Eq)]
struct RangeSet(Vec<VendorRange>);

impl RangeSet {
    /// Reads a count and so many entries. The count alone reserves nothing: it may lie.
    fn read_entries(&mut self, reader: &mut BitReader<'_>, max_vendor_id: u16) -> Result<(), TcfError> {
        for _ in 0..reader.take_u16(12)? {
            let is_range = reader.take_bool()?;
            let first = reader.take_u16(16)?;
            let last = if is_range { reader.take_u16(16)? } else { first };
            if first == 0 {
                return Err(TcfError::RangeZero);
            }
            if last < first {
                return Err(TcfError::RangeReversed);
            }
            if last > max_vendor_id {
                return Err(TcfError::RangeBeyondMax);
            }
            self.0.push(VendorRange { first, last });
        }
        Ok(())
    }

    /// Writers may leave ranges unsorted, touching or overlapping; all of that is legal and means the union.
    fn normalise(&mut self) {
        self.0.sort_unstable();
        self.0.dedup_by(|next, kept| widen(kept, *next));
        self.0.shrink_to_fit();
    }

    fn contains(&self, vendor: u16) -> bool {
        let candidate = self.0.partition_point(|range| range.last < vendor);
        self.0.get(candidate).is_some_and(|range| range.first <= vendor)
    }
}

/// Takes `next` into `range` if they overlap or touch; `next` must not start earlier.
fn widen(range: &mut VendorRange, next: VendorRange) -> bool {
    let joins = next.first <= range.last.saturating_add(1);
    if joins {
        range.last = range.last.max(next.last);
    }
    joins
}

fn push_or_widen(ranges: &mut Vec<VendorRange>, next: VendorRange) {
    if !ranges.last_mut().is_some_and(|last| widen(last, next)) {
        ranges.push(next);
    }
}

fn read_bit_field(reader: &mut BitReader<'_>, max_vendor_id: u16) -> Result<Vec<u8>, BitError> {
    let mut bytes = Vec::new();
    for _ in 0..max_vendor_id / 8 {
        bytes.push(reader.take_u8(8)?);
    }
    let left_over = u32::from(max_vendor_id % 8);
    if left_over > 0 {
        bytes.push(reader.take_u8(left_over)? << (8 - left_over));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u16, last: u16) -> VendorRange {
        VendorRange { first, last }
    }

    #[test]
    fn ranges_become_their_union() {
        let mut set = RangeSet(vec![
            range(9, 12),
            range(65535, 65535),
            range(1, 3),
            range(4, 4),
            range(10, 10),
            range(6, 6),
        ]);
        set.normalise();
        assert_eq!(
            set.0,
            [range(1, 4), range(6, 6), range(9, 12), range(65535, 65535)]
        );
        for (vendor, inside) in [
            (0, false),
            (1, true),
            (4, true),
            (5, false),
            (6, true),
            (8, false),
            (12, true),
            (13, false),
            (65534, false),
            (65535, true),
        ] {
            assert_eq!(set.contains(vendor), inside, "{vendor}");
        }
    }

    #[test]
    fn a_bit_field_ends_at_its_highest_id() -> Result<(), TcfError> {
        // Highest id 10, a bit field of vendors 1 and 10, then set bits that belong to what follows.
        let mut reader = BitReader::new("AApAP")?; // 0000000000001010 0 1000000001 111
        let set = VendorSet::read(&mut reader)?;
        assert_eq!(set.max_vendor_id(), 10);
        assert!(!set.is_range_encoded());
        assert_eq!(set.ranges(), [range(1, 1), range(10, 10)]);
        assert!(!set.contains(0) && !set.contains(2) && !set.contains(11) && !set.contains(u16::MAX));
        Ok(())
    }
}
