//! Google's Additional Consent string: consent for ad technology providers that are not on the Global Vendor List.
//!
//! Promise: `1~ids` or `2~consented~dv.disclosed`, ids decimal without leading zeros, nothing else. It names Google's
//! providers only and so never speaks for us; it is read because a broken one shows that the sender's consent chain is
//! broken. A provider missing from both lists has no consent.

use std::collections::BTreeSet;

/// The longest text that is looked at.
const MAX_TEXT_CHARS: usize = 16_384;

/// A decoded string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdditionalConsent {
    consented: BTreeSet<u32>,
    /// `None` in version 1, which cannot tell "disclosed and refused" from "never shown".
    disclosed: Option<BTreeSet<u32>>,
}

impl AdditionalConsent {
    /// Reads a string.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT_CHARS {
            return None;
        }
        let (version, rest) = text.split_once('~')?;
        match version {
            "1" => Some(Self {
                consented: ids(rest)?,
                disclosed: None,
            }),
            "2" => {
                let (consented, disclosed) = rest.split_once("~dv.")?;
                let consented = ids(consented)?;
                let mut disclosed = ids(disclosed)?;
                // Whoever consented was shown; the second list need not repeat it.
                disclosed.extend(&consented);
                Some(Self {
                    consented,
                    disclosed: Some(disclosed),
                })
            }
            _ => None,
        }
    }

    /// 1 or 2.
    pub fn version(&self) -> u8 {
        if self.disclosed.is_some() { 2 } else { 1 }
    }

    /// The providers consented to, ascending.
    pub fn consented(&self) -> impl Iterator<Item = u32> {
        self.consented.iter().copied()
    }

    /// The providers shown to the person, ascending; `None` if the string cannot say.
    pub fn disclosed(&self) -> Option<impl Iterator<Item = u32>> {
        Some(self.disclosed.as_ref()?.iter().copied())
    }
}

fn ids(text: &str) -> Option<BTreeSet<u32>> {
    if text.is_empty() {
        return Some(BTreeSet::new());
    }
    text.split('.').map(id).collect()
}

fn id(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read_exactly() {
        let read = AdditionalConsent::parse("2~41.1~dv.9.21").expect("well formed");
        assert_eq!(read.consented().collect::<Vec<_>>(), [1, 41]);
        assert_eq!(
            read.disclosed().map(Iterator::collect::<Vec<_>>),
            Some(vec![1, 9, 21, 41])
        );
        assert_eq!(AdditionalConsent::parse("1~").map(|read| read.version()), Some(1));
        for text in [
            "",
            "1",
            "1~1..2",
            "1~01",
            "1~0",
            "1~+1",
            "1~4294967296",
            "2~1",
            "2~1~9",
            "2~1~dv",
            "1~1~dv.2",
            "2~1~dv.2~dv.3",
            "3~1~dv.2",
        ] {
            assert_eq!(AdditionalConsent::parse(text), None, "{text}");
        }
    }
}
