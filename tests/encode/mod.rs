//! Writes consent strings, for tests: the other direction of the decoders, made from the specifications and sharing no
//! code with them.
//!
//! Promise: what is asked for is written, legal or not, so that a test can say exactly which rule a string breaks.

#![expect(dead_code, reason = "each test uses its part of it")]

use einklang::domain::tcf::{Flags, PublisherTc, TcString, VendorRange, VendorSet};

/// base64url, in the order of the values.
pub const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// 2026-11-24T12:00:00Z, the time of most vectors.
pub const NOW_S: i64 = 1_795_521_600;

/// Bits, the most significant first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bits(pub Vec<bool>);

impl Bits {
    /// A number in so many bits.
    pub fn put(&mut self, value: u64, width: u32) -> &mut Self {
        self.0
            .extend((0..width).rev().map(|place| (value >> place) & 1 == 1));
        self
    }

    /// One bit for each number from 1 to `count`.
    pub fn flags(&mut self, numbers: &[u8], count: u8) -> &mut Self {
        self.0.extend((1..=count).map(|number| numbers.contains(&number)));
        self
    }

    /// A number in Fibonacci code.
    pub fn fibonacci(&mut self, mut value: u32) -> &mut Self {
        let mut weights = vec![1_u32, 2];
        while weights[weights.len() - 1] <= value {
            weights.push(weights[weights.len() - 1] + weights[weights.len() - 2]);
        }
        let mut code = Vec::new();
        for weight in weights.into_iter().rev() {
            let one = weight <= value;
            if one {
                value -= weight;
            }
            if one || !code.is_empty() {
                code.push(one);
            }
        }
        code.reverse();
        code.push(true);
        self.0.extend(code);
        self
    }

    /// Two letters.
    pub fn letters(&mut self, letters: &str) -> &mut Self {
        for letter in letters.bytes() {
            self.put(u64::from(letter - b'A'), 6);
        }
        self
    }

    /// Six bits a character, filled up with zeros to a multiple of `unit` first.
    pub fn text(&self, unit: usize) -> String {
        let mut bits = self.0.clone();
        bits.resize(bits.len().next_multiple_of(unit), false);
        bits.resize(bits.len().next_multiple_of(6), false);
        bits.chunks(6)
            .map(|six| {
                let value = six.iter().fold(0, |value, bit| value * 2 + usize::from(*bit));
                char::from(ALPHABET[value])
            })
            .collect()
    }

    /// The bits of a text.
    pub fn of_text(text: &str) -> Self {
        let mut bits = Self::default();
        for byte in text.bytes() {
            let value = ALPHABET
                .iter()
                .position(|letter| *letter == byte)
                .expect("base64url");
            bits.put(value as u64, 6);
        }
        bits
    }
}

/// A vendor section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Set {
    /// A bit a vendor.
    Bits { max: u16, vendors: Vec<u16> },
    /// Ranges; one with equal ends is written as a single id.
    Ranges { max: u16, ranges: Vec<(u16, u16)> },
}

impl Set {
    /// Nobody.
    pub fn none() -> Self {
        Self::Bits {
            max: 0,
            vendors: Vec::new(),
        }
    }

    /// These vendors, as bits.
    pub fn bits(vendors: &[u16]) -> Self {
        Self::Bits {
            max: vendors.iter().copied().max().unwrap_or(0),
            vendors: vendors.to_vec(),
        }
    }

    /// These ranges.
    pub fn ranges(ranges: &[(u16, u16)]) -> Self {
        Self::Ranges {
            max: ranges.iter().map(|(_, last)| *last).max().unwrap_or(0),
            ranges: ranges.to_vec(),
        }
    }

    /// The set as a decoder found it.
    pub fn of(set: &VendorSet) -> Self {
        let ranges = set.ranges();
        if set.is_range_encoded() {
            let ranges = ranges.iter().map(|range| (range.first, range.last)).collect();
            Self::Ranges {
                max: set.max_vendor_id(),
                ranges,
            }
        } else {
            let vendors = ranges.iter().flat_map(|range| range.first..=range.last).collect();
            Self::Bits {
                max: set.max_vendor_id(),
                vendors,
            }
        }
    }

    /// Whether the vendor is in it.
    pub fn contains(&self, vendor: u16) -> bool {
        match self {
            Self::Bits { vendors, .. } => vendors.contains(&vendor),
            Self::Ranges { ranges, .. } => ranges
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&vendor)),
        }
    }

    /// Writes the section.
    pub fn write(&self, bits: &mut Bits) {
        match self {
            Self::Bits { max, vendors } => {
                bits.put(u64::from(*max), 16).put(0, 1);
                bits.0.extend((1..=*max).map(|vendor| vendors.contains(&vendor)));
            }
            Self::Ranges { max, ranges } => {
                bits.put(u64::from(*max), 16).put(1, 1);
                entries(bits, ranges);
            }
        }
    }
}

/// A list of ranges with its count before it.
pub fn entries(bits: &mut Bits, ranges: &[(u16, u16)]) {
    bits.put(ranges.len() as u64, 12);
    for (first, last) in ranges {
        bits.put(u64::from(first != last), 1).put(u64::from(*first), 16);
        if first != last {
            bits.put(u64::from(*last), 16);
        }
    }
}

/// A publisher restriction: purpose, type, vendors.
pub type Restriction = (u8, u8, Vec<(u16, u16)>);

/// What was agreed with the publisher.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publisher {
    pub consents: Vec<u8>,
    pub li: Vec<u8>,
    pub custom_count: u8,
    pub custom_consents: Vec<u8>,
    pub custom_li: Vec<u8>,
}

/// A TC string to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tc {
    pub version: u8,
    pub created_s: i64,
    pub updated_s: i64,
    pub cmp_id: u16,
    pub cmp_version: u16,
    pub screen: u8,
    pub language: String,
    pub list_version: u16,
    pub policy_version: u8,
    pub service_specific: bool,
    pub own_texts: bool,
    pub features: Vec<u8>,
    pub consents: Vec<u8>,
    pub li: Vec<u8>,
    pub purpose_one_treatment: bool,
    pub country: String,
    pub vendors: Set,
    pub vendor_li: Set,
    pub restrictions: Vec<Restriction>,
    pub disclosed: Option<Set>,
    pub publisher: Option<Publisher>,
    /// Bits that each segment is filled up to.
    pub unit: usize,
}

impl Default for Tc {
    /// A string of this month that lets vendor 755 do everything on consent.
    fn default() -> Self {
        let updated_s = NOW_S - 12 * 3_600 - 7 * 86_400;
        Self {
            version: 2,
            created_s: updated_s,
            updated_s,
            cmp_id: 31,
            cmp_version: 7,
            screen: 1,
            language: "DE".to_owned(),
            list_version: 177,
            policy_version: 5,
            service_specific: true,
            own_texts: false,
            features: Vec::new(),
            consents: (1..=11).collect(),
            li: Vec::new(),
            purpose_one_treatment: false,
            country: "DE".to_owned(),
            vendors: Set::bits(&[2, 755]),
            vendor_li: Set::none(),
            restrictions: Vec::new(),
            disclosed: Some(Set::bits(&[2, 755])),
            publisher: None,
            unit: 8,
        }
    }
}

impl Tc {
    /// The core's bits.
    pub fn core(&self) -> Bits {
        let mut bits = Bits::default();
        let time = |epoch_s: i64| u64::try_from(epoch_s).expect("after 1970") * 10;
        bits.put(u64::from(self.version), 6)
            .put(time(self.created_s), 36)
            .put(time(self.updated_s), 36)
            .put(u64::from(self.cmp_id), 12)
            .put(u64::from(self.cmp_version), 12)
            .put(u64::from(self.screen), 6)
            .letters(&self.language)
            .put(u64::from(self.list_version), 12)
            .put(u64::from(self.policy_version), 6)
            .put(u64::from(self.service_specific), 1)
            .put(u64::from(self.own_texts), 1)
            .flags(&self.features, 12)
            .flags(&self.consents, 24)
            .flags(&self.li, 24)
            .put(u64::from(self.purpose_one_treatment), 1)
            .letters(&self.country);
        self.vendors.write(&mut bits);
        self.vendor_li.write(&mut bits);
        bits.put(self.restrictions.len() as u64, 12);
        for (purpose, kind, vendors) in &self.restrictions {
            bits.put(u64::from(*purpose), 6).put(u64::from(*kind), 2);
            entries(&mut bits, vendors);
        }
        bits
    }

    /// The bits of the segments after the core.
    pub fn segments(&self) -> Vec<Bits> {
        let mut segments = Vec::new();
        if let Some(disclosed) = &self.disclosed {
            let mut bits = Bits::default();
            disclosed.write(bits.put(1, 3));
            segments.push(bits);
        }
        if let Some(publisher) = &self.publisher {
            let mut bits = Bits::default();
            bits.put(3, 3)
                .flags(&publisher.consents, 24)
                .flags(&publisher.li, 24)
                .put(u64::from(publisher.custom_count), 6)
                .flags(&publisher.custom_consents, publisher.custom_count)
                .flags(&publisher.custom_li, publisher.custom_count);
            segments.push(bits);
        }
        segments
    }

    /// The whole string.
    pub fn text(&self) -> String {
        let mut text = self.core().text(self.unit);
        for segment in self.segments() {
            text.push('.');
            text.push_str(&segment.text(self.unit));
        }
        text
    }

    /// What a decoder found.
    pub fn of(tc: &TcString) -> Self {
        let numbers = |flags: Flags| flags.iter().collect::<Vec<u8>>();
        let ranges = |ranges: &[VendorRange]| ranges.iter().map(|range| (range.first, range.last)).collect();
        let publisher = |publisher: &PublisherTc| Publisher {
            consents: numbers(publisher.consents),
            li: numbers(publisher.li),
            custom_count: publisher.custom_consents.count(),
            custom_consents: numbers(publisher.custom_consents),
            custom_li: numbers(publisher.custom_li),
        };
        Self {
            version: 2,
            created_s: tc.created_s(),
            updated_s: tc.last_updated_s(),
            cmp_id: tc.cmp_id(),
            cmp_version: tc.cmp_version(),
            screen: tc.consent_screen(),
            language: tc.consent_language(),
            list_version: tc.vendor_list_version(),
            policy_version: tc.policy_version(),
            service_specific: tc.is_service_specific(),
            own_texts: tc.use_non_standard_texts(),
            features: numbers(tc.special_feature_opt_ins()),
            consents: numbers(tc.purposes_consent()),
            li: numbers(tc.purposes_li()),
            purpose_one_treatment: tc.purpose_one_treatment(),
            country: tc.publisher_cc(),
            vendors: Set::of(tc.vendor_consents()),
            vendor_li: Set::of(tc.vendor_li()),
            restrictions: tc
                .restrictions()
                .map(|(purpose, kind, vendors)| (purpose, kind.number(), ranges(vendors)))
                .collect(),
            disclosed: tc.disclosed_vendors().map(Set::of),
            publisher: tc.publisher_tc().map(publisher),
            unit: 8,
        }
    }
}

/// A GPP header for these ids, ascending; neighbours are written as a group.
pub fn gpp_header(ids: &[u16]) -> Bits {
    let mut groups: Vec<(u16, u16)> = Vec::new();
    for id in ids {
        match groups.last_mut() {
            Some((_, last)) if *last + 1 == *id => *last = *id,
            _ => groups.push((*id, *id)),
        }
    }
    let mut bits = Bits::default();
    bits.put(3, 6).put(1, 6).put(groups.len() as u64, 12);
    let mut before = 0;
    for (first, last) in groups {
        bits.put(u64::from(first != last), 1)
            .fibonacci(u32::from(first - before));
        if first != last {
            bits.fibonacci(u32::from(last - first));
        }
        before = last;
    }
    bits
}

/// A GPP string of these sections, ascending by id.
pub fn gpp(sections: &[(u16, &str)]) -> String {
    let ids: Vec<u16> = sections.iter().map(|(id, _)| *id).collect();
    let mut text = gpp_header(&ids).text(6);
    for (_, section) in sections {
        text.push('~');
        text.push_str(section);
    }
    text
}

/// A section of the United States: six bits of version, then two bits a value.
pub fn us_core(version: u8, values: &[u8]) -> Bits {
    let mut bits = Bits::default();
    bits.put(u64::from(version), 6);
    for value in values {
        bits.put(u64::from(*value), 2);
    }
    bits
}
