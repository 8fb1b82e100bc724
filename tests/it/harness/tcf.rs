//! TC strings of the tests' own making: one vendor, some purposes, a date.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Bits in the order in which they are written.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(&mut self, value: u64, bits: u32) -> &mut Self {
        self.0
            .extend((0..bits).rev().map(|place| value >> place & 1 == 1));
        self
    }

    /// Six bits a character, the last one filled up with zeros.
    fn text(&self) -> String {
        let bytes: Vec<u8> = self
            .0
            .chunks(8)
            .map(|chunk| {
                let byte = |byte, bit: &bool| byte << 1 | u8::from(*bit);
                chunk.iter().fold(0, byte) << (8 - chunk.len())
            })
            .collect();
        let mut text = URL_SAFE_NO_PAD.encode(bytes);
        text.truncate(self.0.len().div_ceil(6));
        text
    }
}

/// A string of TCF 2.3 in which one vendor is disclosed and consented to for these purposes.
pub fn string(vendor: u16, purposes: &[u32], updated_at_s: i64) -> String {
    by_cmp(31, vendor, purposes, updated_at_s)
}

/// The same, made by this consent platform.
pub fn by_cmp(cmp: u16, vendor: u16, purposes: &[u32], updated_at_s: i64) -> String {
    let deciseconds = u64::try_from(updated_at_s * 10).expect("after 1970");
    let granted = purposes.iter().fold(0, |set, purpose| set | 1 << (24 - purpose));
    let mut core = Bits::default();
    core.put(2, 6).put(deciseconds, 36).put(deciseconds, 36);
    core.put(u64::from(cmp), 12)
        .put(1, 12)
        .put(1, 6)
        .put(4, 6)
        .put(13, 6);
    core.put(177, 12).put(5, 6).put(1, 1).put(0, 1).put(0, 12);
    core.put(granted, 24).put(0, 24).put(0, 1).put(3, 6).put(4, 6);
    vendors(&mut core, vendor);
    core.put(0, 16).put(0, 1).put(0, 12);
    let mut disclosed = Bits::default();
    disclosed.put(1, 3);
    vendors(&mut disclosed, vendor);
    format!("{}.{}", core.text(), disclosed.text())
}

fn vendors(into: &mut Bits, vendor: u16) {
    let vendor = u64::from(vendor);
    into.put(vendor, 16)
        .put(1, 1)
        .put(1, 12)
        .put(0, 1)
        .put(vendor, 16);
}
