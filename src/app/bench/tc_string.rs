//! A TC string as long as one of a site with some 1,100 vendors: 579 characters, in which consent and legitimate interest
//! stand for every vendor.
//!
//! Layout: IAB TCF 2.3, "Consent string and vendor list formats", core segment and disclosed vendors.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Characters of the string.
#[cfg(test)]
pub const CHARS: usize = 579;
/// The vendor that it is read for.
pub const VENDOR: u16 = 755;
/// Vendors in each of its three lists: as many as give 579 characters.
const VENDORS: u64 = 1_061;
/// Everything but the vendors' own answers says yes too.
const ALL_24: u64 = 0x00ff_ffff;

#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(&mut self, value: u64, bits: u32) -> &mut Self {
        self.0
            .extend((0..bits).rev().map(|place| value >> place & 1 == 1));
        self
    }

    /// A list of vendors as one bit each, all of them set.
    fn vendors(&mut self) -> &mut Self {
        self.put(VENDORS, 16).put(0, 1);
        self.0.extend((0..VENDORS).map(|_| true));
        self
    }

    fn text(&self) -> String {
        let byte = |bits: &[bool]| {
            let byte = bits.iter().fold(0, |byte: u8, bit| byte << 1 | u8::from(*bit));
            byte << (8 - bits.len())
        };
        let bytes: Vec<u8> = self.0.chunks(8).map(byte).collect();
        let mut text = URL_SAFE_NO_PAD.encode(bytes);
        text.truncate(self.0.len().div_ceil(6));
        text
    }
}

/// The string, made at this time.
pub fn granted(at_s: i64) -> String {
    let deciseconds = u64::try_from(at_s.saturating_mul(10)).unwrap_or(0);
    let mut core = Bits::default();
    core.put(2, 6).put(deciseconds, 36).put(deciseconds, 36);
    // Platform, its version, screen, language (EN), list version, policy version.
    core.put(31, 12).put(1, 12).put(1, 6).put(4, 6).put(13, 6);
    core.put(177, 12).put(5, 6);
    // Of this service; no other texts; no special features; every purpose by consent, none by interest.
    core.put(1, 1).put(0, 1).put(0, 12).put(ALL_24, 24).put(0, 24);
    core.put(0, 1).put(3, 6).put(4, 6);
    // By consent, by legitimate interest; no restrictions of the publisher.
    core.vendors().vendors().put(0, 12);
    let mut disclosed = Bits::default();
    disclosed.put(1, 3).vendors();
    format!("{}.{}", core.text(), disclosed.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tcf::decode;

    #[test]
    fn it_is_as_long_as_it_says_and_grants() {
        let text = granted(1_795_521_600);
        let read = decode(&text).expect("a TC string");
        assert!(read.vendor_consents().contains(VENDOR));
        assert_eq!(text.len(), CHARS);
    }
}
