//! Strings made up here: borders of the rules, damage, and sizes nobody should send.
//!
//! Promise: no text panics, whatever is asked of the result, and a range costs four bytes however wide it is.

use std::collections::BTreeSet;

use einklang::domain::tcf::{
    Basis, CmpList, LONGEST_AGE_SECONDS, MAX_TEXT_CHARS, TcString, TcfError, Unusable, VendorRange, decode,
};
use proptest::prelude::*;

use super::{Outcome, text, vectors, written};

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Bits, most significant first, written six to a character.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(mut self, value: u64, width: u32) -> Self {
        self.0
            .extend((0..width).rev().map(|place| (value >> place) & 1 == 1));
        self
    }

    fn entries(self, ranges: &[(u16, u16)]) -> Self {
        ranges
            .iter()
            .fold(self.put(ranges.len() as u64, 12), |bits, (first, last)| {
                bits.put(1, 1)
                    .put(u64::from(*first), 16)
                    .put(u64::from(*last), 16)
            })
    }

    fn range_section(self, max: u16, ranges: &[(u16, u16)]) -> Self {
        self.put(u64::from(max), 16).put(1, 1).entries(ranges)
    }

    fn bit_section(self, max: u16, vendors: &BTreeSet<u16>) -> Self {
        let start = self.put(u64::from(max), 16).put(0, 1);
        (1..=max).fold(start, |bits, vendor| {
            bits.put(u64::from(vendors.contains(&vendor)), 1)
        })
    }

    fn text(&self) -> String {
        let sextet = |bits: &[bool]| {
            (0..6).fold(0, |value, at| {
                value * 2 + usize::from(bits.get(at) == Some(&true))
            })
        };
        self.0
            .chunks(6)
            .map(|bits| char::from(ALPHABET[sextet(bits)]))
            .collect()
    }
}

/// The 213 bits before the first vendor section: consent and interest for every purpose, dated 2026-08-01.
fn core_prefix(purpose_one_treatment: bool) -> Bits {
    let deciseconds = 17_855_424_000;
    let head = Bits::default()
        .put(2, 6)
        .put(deciseconds, 36)
        .put(deciseconds, 36)
        .put(31, 12)
        .put(1, 12);
    let evidence = head
        .put(3, 6)
        .put(3, 6)
        .put(4, 6)
        .put(170, 12)
        .put(5, 6)
        .put(0b10, 2)
        .put(0, 12);
    evidence
        .put(0xFF_FFFF, 24)
        .put(0xFF_FFFF, 24)
        .put(u64::from(purpose_one_treatment), 1)
        .put(3, 6)
        .put(4, 6)
}

#[test]
fn a_hostile_string_of_full_ranges_becomes_one_range() -> Outcome {
    let bits = core_prefix(false)
        .range_section(u16::MAX, &[(1, u16::MAX); 2_900])
        .range_section(0, &[])
        .put(0, 12);
    let hostile = bits.text();
    assert!(hostile.len() > 15_000 && hostile.len() <= MAX_TEXT_CHARS);
    let tc = decode(&hostile)?;
    assert_eq!(
        tc.vendor_consents().ranges(),
        [VendorRange {
            first: 1,
            last: u16::MAX
        }]
    );
    assert!(tc.allows(755, 7, Basis::Consent, false) && !tc.allows(0, 7, Basis::Consent, false));
    Ok(())
}

#[test]
fn of_conflicting_restrictions_the_lowest_type_decides() -> Outcome {
    let with = |restrictions: &[(u64, u64)]| {
        let vendors = core_prefix(true)
            .range_section(755, &[(755, 755)])
            .range_section(755, &[(755, 755)]);
        let bits = restrictions.iter().fold(
            vendors.put(restrictions.len() as u64, 12),
            |bits, (purpose, kind)| bits.put(*purpose, 6).put(*kind, 2).entries(&[(700, 800)]),
        );
        decode(&bits.text())
    };
    let (consent, li) = (Basis::Consent, Basis::LegitimateInterest);
    let free = with(&[])?;
    assert!(free.allows(755, 7, consent, false) && free.allows(755, 7, li, false));
    for purpose in 0..=u8::MAX {
        let open_to_interest = purpose == 2 || (7..=24).contains(&purpose);
        assert_eq!(free.allows(755, purpose, li, true), open_to_interest, "{purpose}");
        assert_eq!(
            free.allows(755, purpose, consent, true),
            (1..=24).contains(&purpose),
            "{purpose}"
        );
    }
    assert!(free.purpose_one_treatment() && free.disclosed(755).is_none());
    let on_consent = with(&[(7, 2), (7, 1)])?;
    assert_eq!(
        on_consent
            .restrictions_for(755)
            .map(|(purpose, kind)| (purpose, kind.number()))
            .collect::<Vec<_>>(),
        [(7, 1), (7, 2)]
    );
    assert!(on_consent.allows(755, 7, consent, false) && on_consent.allows(755, 7, li, true));
    assert!(!on_consent.allows(755, 7, li, false));
    let on_interest = with(&[(7, 2)])?;
    assert!(!on_interest.allows(755, 7, consent, false) && on_interest.allows(755, 7, consent, true));
    let never = with(&[(7, 2), (7, 0), (7, 1)])?;
    assert!(!never.allows(755, 7, consent, true) && !never.allows(755, 7, li, true));
    assert!(never.allows(755, 2, consent, false), "the other purposes stay");
    Ok(())
}

#[test]
fn restricted_ranges_may_be_unsorted_and_repeated() -> Outcome {
    let bits = core_prefix(false)
        .range_section(0, &[])
        .range_section(0, &[])
        .put(2, 12);
    let first = bits.put(7, 6).put(1, 2).entries(&[(900, 950), (5, 9), (8, 20)]);
    let tc = decode(&first.put(7, 6).put(1, 2).entries(&[(21, 21), (1, 1)]).text())?;
    let ranges: Vec<_> = tc
        .restrictions()
        .flat_map(|(_, _, vendors)| vendors.to_vec())
        .collect();
    assert_eq!(
        ranges
            .iter()
            .map(|range| (range.first, range.last))
            .collect::<Vec<_>>(),
        [(1, 1), (5, 21), (900, 950)]
    );
    for (vendor, restricted) in [
        (1, true),
        (2, false),
        (5, true),
        (21, true),
        (22, false),
        (925, true),
        (951, false),
    ] {
        assert_eq!(tc.restrictions_for(vendor).count() == 1, restricted, "{vendor}");
    }
    Ok(())
}

#[test]
fn each_fault_has_its_own_error() {
    let core = || {
        core_prefix(false)
            .range_section(0, &[])
            .range_section(0, &[])
            .put(0, 12)
    };
    let with_letter = |at: usize, letter: u64| {
        let mut bits = core();
        bits.0.splice(at..at + 6, Bits::default().put(letter, 6).0);
        decode(&bits.text()).err()
    };
    // Language at 108 and 114, country at 201 and 207.
    for at in [108, 114, 201, 207] {
        assert_eq!(with_letter(at, 25), None, "{at}");
        assert_eq!(with_letter(at, 26), Some(TcfError::BadLetter), "{at}");
    }
    let core = core().text();
    let followed_by = |segments: &str| decode(&format!("{core}.{segments}")).err();
    assert_eq!(followed_by("cAAAAAAAAAA"), None);
    assert_eq!(followed_by(&core), Some(TcfError::DuplicateSegment));
    assert_eq!(
        followed_by("IAAA.cAAAAAAAAAA.IAAA"),
        Some(TcfError::DuplicateSegment)
    );
    assert_eq!(followed_by("QAAA.QAAA"), Some(TcfError::DuplicateSegment));
    assert_eq!(followed_by("gAAA"), Some(TcfError::UnknownSegment));
    assert_eq!(followed_by(""), Some(TcfError::EmptySegment));
    assert_eq!(followed_by("IAA"), Some(TcfError::Truncated));
    assert_eq!(followed_by("IAAB"), Some(TcfError::TrailingBits));
}

#[test]
fn dates_at_their_borders() -> Outcome {
    let core = |created: i64, updated: i64| {
        let mut bits = core_prefix(false)
            .range_section(0, &[])
            .range_section(0, &[])
            .put(0, 12);
        let dates = Bits::default()
            .put(created.unsigned_abs() * 10, 36)
            .put(updated.unsigned_abs() * 10, 36);
        bits.0.splice(6..78, dates.0);
        bits.text()
    };
    let required_from_s = 1_772_323_200; // 2026-03-01
    let day = 86_400;
    let last_day = decode(&core(required_from_s - 1, required_from_s - 1))?;
    let first_day = decode(&core(required_from_s - day, required_from_s))?;
    let renewed = decode(&format!(
        "{}.{}",
        core(required_from_s, required_from_s),
        Bits::default().put(1, 3).put(0, 17).text()
    ))?;
    let at = |tc: &TcString, now_s, age| tc.usable(now_s, age, None);
    assert_eq!(at(&last_day, required_from_s, day), Ok(()));
    assert_eq!(
        at(&first_day, required_from_s, day),
        Err(Unusable::DisclosedVendorsMissing)
    );
    assert_eq!(at(&renewed, required_from_s, day), Ok(()));
    assert!(
        !renewed.allows(1, 7, Basis::Consent, false),
        "an empty disclosure discloses nobody"
    );
    assert_eq!(at(&renewed, required_from_s - 2 * day, day), Ok(()));
    assert_eq!(
        at(&renewed, required_from_s - 2 * day - 1, day),
        Err(Unusable::CreatedInFuture)
    );
    assert_eq!(at(&renewed, required_from_s + day, day), Ok(()));
    assert_eq!(
        at(&renewed, required_from_s + day + 1, day),
        Err(Unusable::Expired)
    );
    assert_eq!(
        at(&renewed, required_from_s + LONGEST_AGE_SECONDS + 1, i64::MAX),
        Err(Unusable::Expired)
    );
    Ok(())
}

// ---- properties ----

/// Runs everything that reads a decoded string; the point is that it returns.
fn exercise(input: &str) -> Option<TcfError> {
    match decode(input) {
        Err(error) => Some(error),
        Ok(tc) => {
            let _ = written(&tc);
            for vendor in [0, 1, 755, 65_534, u16::MAX] {
                for purpose in [0, 1, 7, 24, 25, u8::MAX] {
                    let _ = tc.allows(vendor, purpose, Basis::Consent, true);
                    let _ = tc.allows(vendor, purpose, Basis::LegitimateInterest, true);
                }
            }
            for (now_s, age) in [
                (i64::MIN, i64::MAX),
                (i64::MAX, i64::MIN),
                (0, 0),
                (i64::MIN, i64::MIN),
            ] {
                assert!(
                    tc.usable(now_s, age, Some(&CmpList::default())).is_err(),
                    "no platform is listed"
                );
            }
            None
        }
    }
}

fn valid_input() -> impl Strategy<Value = String> {
    let inputs: Vec<String> = vectors("valid")
        .unwrap_or_default()
        .iter()
        .map(|row| text(&row["input"]).to_owned())
        .collect();
    proptest::sample::select(inputs)
}

/// One damage: replace, insert, cut out, cut off, swap, double a piece, or end with another segment.
fn damage(input: &str, (kind, at, other, byte): (u8, usize, usize, u8)) -> String {
    let mut bytes = input.as_bytes().to_vec();
    let (at, other) = (at % bytes.len().max(1), other % bytes.len().max(1));
    let (low, high) = (at.min(other), at.max(other));
    let any = ALPHABET[usize::from(byte) % ALPHABET.len()];
    match kind {
        _ if bytes.is_empty() => {}
        0 => bytes[at] = any,
        1 => bytes[at] = byte % 128,
        2 => bytes.insert(at, any),
        3 => drop(bytes.drain(low..(low + 4).min(high))),
        4 => bytes.truncate(at),
        5 => bytes.swap(at, other),
        6 => bytes.extend_from_within(low..high),
        _ => bytes.extend([b'.', any, ALPHABET[at % 64], ALPHABET[other % 64]]),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn mutated_strings_never_panic(
        input in valid_input(),
        damages in proptest::collection::vec((0_u8..8, any::<usize>(), any::<usize>(), any::<u8>()), 1..6),
    ) {
        let mutated = damages.into_iter().fold(input, |text, one| damage(&text, one));
        let _ = exercise(&mutated);
    }

    #[test]
    fn arbitrary_text_never_panics(
        words in "\\PC{0,200}",
        segments in "C[A-Za-z0-9_-]{30,400}(\\.[A-Za-z0-9_-]{1,60}){0,3}",
    ) {
        let _ = exercise(&words);
        let _ = exercise(&segments);
    }

    #[test]
    fn a_string_cut_short_is_never_taken_for_the_whole(input in valid_input(), cut in any::<usize>()) {
        let core = input.split('.').next().unwrap_or_default();
        // The end may be filling zeros; up to the last other character every bit counts.
        let significant = core.trim_end_matches('A').len();
        let error = exercise(&core[..cut % significant]);
        prop_assert!(error.is_some());
    }

    #[test]
    fn both_encodings_answer_like_the_set(
        vendors in proptest::collection::btree_set(1_u16..=400, 0..60),
        flip in any::<bool>(),
    ) {
        let mut ranges: Vec<_> = vendors.iter().map(|vendor| (*vendor, *vendor)).collect();
        if flip {
            ranges.reverse();
        }
        let bits = core_prefix(false).bit_section(400, &vendors).range_section(400, &ranges).put(0, 12);
        let tc = decode(&bits.text()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(tc.vendor_consents().ranges(), tc.vendor_li().ranges());
        for vendor in 0..=410 {
            prop_assert_eq!(tc.vendor_consent(vendor), vendors.contains(&vendor));
            prop_assert_eq!(tc.vendor_legitimate_interest(vendor), vendors.contains(&vendor));
        }
    }
}
