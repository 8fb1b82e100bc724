//! Strict decoder for the TC string of IAB Europe's Transparency & Consent Framework, version 2.
//!
//! Promise: [`decode`] accepts exactly what the format allows and answers all else with an error: nothing is
//! trimmed, repaired or half read. Work and memory are bounded by the text (at most [`MAX_TEXT_CHARS`]), and no
//! input panics. "Well formed" ([`decode`]), "usable" ([`TcString::usable`]) and "allowed"
//! ([`TcString::allows`]) are three answers, because a string can be perfectly written and yet prove nothing.
//!
//! A TC string is personal data: no type here prints its content.

use std::fmt;

mod error;
mod facts;
mod vendors;
mod verdict;

pub use super::bits::Flags;
use super::bits::{BitError, BitReader};
pub use error::TcfError;
pub use facts::{Standing, TcFacts, WRITTEN_BYTES};
use vendors::PublisherRestrictions;
pub use vendors::{VendorRange, VendorSet};
pub use verdict::{Basis, CmpList, LONGEST_AGE_SECONDS, RestrictionType, Unusable};

/// The longest text that is looked at; real strings stay below 5,000 characters.
pub const MAX_TEXT_CHARS: usize = 16_384;

/// The only format version there is; TCF 2.0 to 2.4 all carry it.
pub const VERSION: u8 = 2;

const PURPOSE_COUNT: u8 = 24;
const SPECIAL_FEATURE_COUNT: u8 = 12;

/// A decoded TC string.
#[derive(Clone, PartialEq, Eq)]
pub struct TcString {
    /// Deciseconds since 1970, as in the string.
    created_ds: u64,
    last_updated_ds: u64,
    cmp_id: u16,
    cmp_version: u16,
    consent_screen: u8,
    consent_language: [char; 2],
    vendor_list_version: u16,
    policy_version: u8,
    is_service_specific: bool,
    use_non_standard_texts: bool,
    special_feature_opt_ins: Flags,
    purposes_consent: Flags,
    purposes_li: Flags,
    purpose_one_treatment: bool,
    publisher_cc: [char; 2],
    vendor_consents: VendorSet,
    vendor_li: VendorSet,
    restrictions: PublisherRestrictions,
    /// `None`: no such segment. An empty set is something else: it discloses nobody.
    disclosed_vendors: Option<VendorSet>,
    publisher_tc: Option<PublisherTc>,
}

/// What was agreed with the publisher itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublisherTc {
    /// Consent by purpose.
    pub consents: Flags,
    /// Legitimate interest by purpose.
    pub li: Flags,
    /// Consent by the publisher's own purposes.
    pub custom_consents: Flags,
    /// Legitimate interest by the publisher's own purposes.
    pub custom_li: Flags,
}

/// Decodes a text; the error says what is wrong without repeating any of it.
pub fn decode(text: &str) -> Result<TcString, TcfError> {
    if text.is_empty() {
        return Err(TcfError::Empty);
    }
    // Bytes, not characters: anything beyond ASCII is refused below anyway.
    if text.len() > MAX_TEXT_CHARS {
        return Err(TcfError::TooLong);
    }
    let mut segments = text.split('.').map(BitReader::new);
    let mut tc = read_core(segments.next().ok_or(TcfError::Empty)??)?;
    let mut allowed_vendors = None;
    for segment in segments {
        let mut reader = segment?;
        match reader.take_u8(3)? {
            1 => fill(&mut tc.disclosed_vendors, VendorSet::read(&mut reader)?)?,
            // Gone from the standard but still written: it must be well formed, and it decides nothing.
            2 => fill(&mut allowed_vendors, VendorSet::read(&mut reader)?)?,
            3 => fill(&mut tc.publisher_tc, read_publisher_tc(&mut reader)?)?,
            // Type 0 would be a second core.
            0 => return Err(TcfError::DuplicateSegment),
            _ => return Err(TcfError::UnknownSegment),
        }
        reader.finish()?;
    }
    Ok(tc)
}

fn read_core(mut reader: BitReader<'_>) -> Result<TcString, TcfError> {
    if reader.take_u8(6)? != VERSION {
        return Err(TcfError::UnsupportedVersion);
    }
    // The fields of a struct expression are read in the order written, which is the order of the format.
    let tc = TcString {
        created_ds: reader.take(36)?,
        last_updated_ds: reader.take(36)?,
        cmp_id: reader.take_u16(12)?,
        cmp_version: reader.take_u16(12)?,
        consent_screen: reader.take_u8(6)?,
        consent_language: reader.take_letters()?,
        vendor_list_version: reader.take_u16(12)?,
        policy_version: reader.take_u8(6)?,
        is_service_specific: reader.take_bool()?,
        use_non_standard_texts: reader.take_bool()?,
        special_feature_opt_ins: reader.take_flags(SPECIAL_FEATURE_COUNT)?,
        purposes_consent: reader.take_flags(PURPOSE_COUNT)?,
        purposes_li: reader.take_flags(PURPOSE_COUNT)?,
        purpose_one_treatment: reader.take_bool()?,
        publisher_cc: reader.take_letters()?,
        vendor_consents: VendorSet::read(&mut reader)?,
        vendor_li: VendorSet::read(&mut reader)?,
        restrictions: PublisherRestrictions::read(&mut reader)?,
        disclosed_vendors: None,
        publisher_tc: None,
    };
    reader.finish()?;
    Ok(tc)
}

fn read_publisher_tc(reader: &mut BitReader<'_>) -> Result<PublisherTc, BitError> {
    let consents = reader.take_flags(PURPOSE_COUNT)?;
    let li = reader.take_flags(PURPOSE_COUNT)?;
    let custom_count = reader.take_u8(6)?;
    let custom_consents = reader.take_flags(custom_count)?;
    let custom_li = reader.take_flags(custom_count)?;
    Ok(PublisherTc {
        consents,
        li,
        custom_consents,
        custom_li,
    })
}

/// Of two segments of one type neither is to be believed.
fn fill<T>(slot: &mut Option<T>, value: T) -> Result<(), TcfError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(TcfError::DuplicateSegment),
    }
}

impl TcString {
    /// When the string was first made, in epoch seconds.
    pub fn created_s(&self) -> i64 {
        epoch_seconds(self.created_ds)
    }

    /// When the string was last changed, in epoch seconds.
    pub fn last_updated_s(&self) -> i64 {
        epoch_seconds(self.last_updated_ds)
    }

    /// The consent platform.
    pub fn cmp_id(&self) -> u16 {
        self.cmp_id
    }

    /// The version of the consent platform.
    pub fn cmp_version(&self) -> u16 {
        self.cmp_version
    }

    /// The screen on which the person decided.
    pub fn consent_screen(&self) -> u8 {
        self.consent_screen
    }

    /// The language in which the person was asked, two capital letters.
    pub fn consent_language(&self) -> String {
        self.consent_language.iter().collect()
    }

    /// The version of the Global Vendor List that was used.
    pub fn vendor_list_version(&self) -> u16 {
        self.vendor_list_version
    }

    /// The version of the framework's policies.
    pub fn policy_version(&self) -> u8 {
        self.policy_version
    }

    /// Whether the string is for one service only; the others are no longer valid.
    pub fn is_service_specific(&self) -> bool {
        self.is_service_specific
    }

    /// Whether the publisher changed the standard texts.
    pub fn use_non_standard_texts(&self) -> bool {
        self.use_non_standard_texts
    }

    /// The special features the person opted in to.
    pub fn special_feature_opt_ins(&self) -> Flags {
        self.special_feature_opt_ins
    }

    /// The purposes consented to.
    pub fn purposes_consent(&self) -> Flags {
        self.purposes_consent
    }

    /// The purposes with legitimate interest transparency, as written; 1 and 3 to 6 mean nothing.
    pub fn purposes_li(&self) -> Flags {
        self.purposes_li
    }

    /// Whether purpose 1 was not asked at all, so that nothing is known about it.
    pub fn purpose_one_treatment(&self) -> bool {
        self.purpose_one_treatment
    }

    /// The publisher's country, two capital letters.
    pub fn publisher_cc(&self) -> String {
        self.publisher_cc.iter().collect()
    }

    /// The vendors consented to.
    pub fn vendor_consents(&self) -> &VendorSet {
        &self.vendor_consents
    }

    /// The vendors with legitimate interest.
    pub fn vendor_li(&self) -> &VendorSet {
        &self.vendor_li
    }

    /// The vendors shown to the person; `None` if the string does not say.
    pub fn disclosed_vendors(&self) -> Option<&VendorSet> {
        self.disclosed_vendors.as_ref()
    }

    /// What was agreed with the publisher itself, if the string says.
    pub fn publisher_tc(&self) -> Option<&PublisherTc> {
        self.publisher_tc.as_ref()
    }

    /// The vendor's consent bit.
    pub fn vendor_consent(&self, vendor: u16) -> bool {
        self.vendor_consents.contains(vendor)
    }

    /// The vendor's legitimate interest bit.
    pub fn vendor_legitimate_interest(&self, vendor: u16) -> bool {
        self.vendor_li.contains(vendor)
    }

    /// Whether the vendor was shown to the person; `None` if the string does not say.
    pub fn disclosed(&self, vendor: u16) -> Option<bool> {
        self.disclosed_vendors
            .as_ref()
            .map(|vendors| vendors.contains(vendor))
    }

    /// Every purpose restricted for the vendor with every type present, ascending.
    pub fn restrictions_for(&self, vendor: u16) -> impl Iterator<Item = (u8, RestrictionType)> {
        self.restrictions.of_vendor(vendor)
    }

    /// Every publisher restriction (purpose, type, vendors), ascending; the vendors as ranges with gaps.
    pub fn restrictions(&self) -> impl Iterator<Item = (u8, RestrictionType, &[VendorRange])> {
        self.restrictions.all()
    }
}

impl fmt::Debug for TcString {
    /// Names the type only: what a person agreed to does not belong into a log by way of `{:?}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcString").finish_non_exhaustive()
    }
}

/// 36 bits of deciseconds always fit; the fallback keeps the date beyond any clock, where it is refused.
fn epoch_seconds(deciseconds: u64) -> i64 {
    i64::try_from(deciseconds / 10).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_checked_before_anything_else() {
        assert_eq!(
            decode(&"*".repeat(MAX_TEXT_CHARS + 1)).err(),
            Some(TcfError::TooLong)
        );
        assert_eq!(
            decode(&"*".repeat(MAX_TEXT_CHARS)).err(),
            Some(TcfError::BadCharacter)
        );
    }

    #[test]
    fn errors_do_not_repeat_the_text() {
        for text in ["Zebra", "C.Zebra", "Zebra!", "CZebra", "Zebra..Zebra"] {
            let shown = decode(text).err().map(|error| error.to_string());
            assert!(shown.is_some_and(|shown| !shown.contains("Zebra")), "{text}");
        }
    }
}
