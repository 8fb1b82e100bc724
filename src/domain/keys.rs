//! Keys: what is derived from what, and the one way to encrypt a field.
//!
//! ```text
//! root key ─ wraps ─ tenant key ─ wraps ─┬ token key        seals tracking tokens
//!                                        ├ index key        HMAC of order and customer references
//!                                        ├ suppression key  HMAC of suppression entries
//!                                        ├ secrets key      seals HMAC secrets of shops
//!                                        └ epoch key        one a month; with a click's salt it gives the click's keys
//! ```
//!
//! Raw bytes exist only here. Every ciphertext names one key and binds where it stands (tenant, table, row, column) as
//! associated data, so that a ciphertext that was moved does not open and no key is ever tried out. Times, nonces and
//! salts are arguments.

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of a nonce: 96 random bits (NIST SP 800-38D).
pub const NONCE_BYTES: usize = 12;
/// Bytes of a click's salt.
pub const SALT_BYTES: usize = 16;

/// A key or a ciphertext that does not do what is asked of it. Says nothing about the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The ciphertext is not what this key sealed at this place.
    #[error("a ciphertext does not open under its key")]
    DoesNotOpen,
    /// A key of another length than 256 bits.
    #[error("a key has the wrong length")]
    Length,
    /// No key with this number.
    #[error("a key that is needed is not there")]
    Missing,
    /// Whoever keeps a root key does not answer.
    #[error("the keeper of a root key cannot be reached")]
    Unreachable,
}

/// 256 secret bits: wiped when dropped, never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// A secret from its bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A secret from a slice of exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KeyError> {
        <[u8; 32]>::try_from(bytes)
            .map(Self::new)
            .map_err(|_| KeyError::Length)
    }

    /// The bytes, for wrapping and for the root key's file.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Encrypts a short text under this key; the nonce goes first.
    pub fn seal(&self, nonce: [u8; NONCE_BYTES], place: &Place<'_>, plain: &[u8]) -> Vec<u8> {
        let cipher = Aes256Gcm::new((&*self.0).into());
        let payload = Payload {
            msg: plain,
            aad: &place.bytes(),
        };
        let mut sealed = nonce.to_vec();
        // AES-GCM fails only on texts of many gigabytes, which no caller has; an empty body then never opens.
        if let Ok(body) = cipher.encrypt(&Nonce::from(nonce), payload) {
            sealed.extend_from_slice(&body);
        }
        sealed
    }

    /// The same, but for a build that measures what encryption costs.
    pub fn seal_or_not(&self, nonce: [u8; NONCE_BYTES], place: &Place<'_>, plain: Vec<u8>) -> Vec<u8> {
        if cfg!(feature = "without-encryption") {
            plain
        } else {
            self.seal(nonce, place, &plain)
        }
    }

    /// Opens what [`Secret::seal`] made at the same place.
    pub fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let (nonce, body) = sealed
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(KeyError::DoesNotOpen)?;
        let cipher = Aes256Gcm::new((&*self.0).into());
        let payload = Payload {
            msg: body,
            aad: &place.bytes(),
        };
        let plain = cipher
            .decrypt(&Nonce::from(*nonce), payload)
            .map_err(|_| KeyError::DoesNotOpen)?;
        Ok(Zeroizing::new(plain))
    }

    /// A keyed hash over labelled parts, each with its length in front so that parts cannot run into one another.
    pub fn hash(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = hmac(self.expose());
        mac.update(&[u8::try_from(label.len()).unwrap_or(u8::MAX)]);
        mac.update(label.as_bytes());
        for part in parts {
            mac.update(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// The first half of [`Secret::hash`]: a look-up key.
    pub fn index(&self, label: &str, parts: &[&[u8]]) -> [u8; 16] {
        let full = self.hash(label, parts);
        let mut half = [0; 16];
        half.copy_from_slice(&full[..16]);
        half
    }

    /// A public name of this key: tells two keys apart and gives nothing away.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::new()
            .chain_update(b"einklang key name")
            .chain_update(self.expose())
            .finalize();
        hex::encode(&digest[..8])
    }
}

fn hmac(key: &[u8; 32]) -> Hmac<Sha256> {
    // HMAC pads short keys with zeros to its block (RFC 2104), so this is the same key.
    let mut block = Zeroizing::new([0_u8; 64]);
    block[..32].copy_from_slice(key);
    <Hmac<Sha256> as KeyInit>::new((&*block).into())
}

/// HMAC-SHA256 with a key of any length, for senders' signatures.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length: longer ones are hashed first (RFC 2104).
    let short: [u8; 32];
    let key = if key.len() > 64 {
        short = Sha256::digest(key).into();
        &short[..]
    } else {
        key
    };
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// SHA-256, for API keys and other values that are random already.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Where a ciphertext stands: its associated data.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The tenant's number; 0 is the server itself.
    pub tenant: i64,
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The row's key.
    pub row: &'a [u8],
    /// The key's version, epoch or number.
    pub key_version: u32,
}

impl Place<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(48 + self.row.len());
        bytes.extend_from_slice(b"einklang field 1");
        bytes.extend_from_slice(&self.tenant.to_be_bytes());
        bytes.extend_from_slice(&self.key_version.to_be_bytes());
        for name in [self.table, self.column] {
            bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(name.as_bytes());
        }
        bytes.extend_from_slice(self.row);
        bytes
    }
}

/// What hangs on one click's salt. When the salt is gone, nobody can derive either again.
pub struct ClickSecrets {
    /// Encrypts the click's and its conversions' details.
    pub key: Secret,
    /// Names the person's entries in the audit trail, differently in each.
    pub subject: Secret,
}

impl ClickSecrets {
    /// For a build that measures what encryption costs.
    pub fn none() -> Self {
        let nothing = Secret::new([0; 32]);
        Self {
            key: nothing.clone(),
            subject: nothing,
        }
    }
}

/// The months since January 1970 of a time: the retention epoch.
pub fn epoch_of(at_s: i64) -> u16 {
    use chrono::Datelike;
    let Some(date) = chrono::DateTime::from_timestamp(at_s, 0) else {
        return 0;
    };
    let months = (i64::from(date.year()) - 1970) * 12 + i64::from(date.month0());
    u16::try_from(months).unwrap_or(0)
}

/// A month since January 1970 as people write it.
pub fn epoch_name(epoch: i64) -> String {
    format!("{}-{:02}", 1970 + epoch.div_euclid(12), epoch.rem_euclid(12) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ciphertext_opens_only_where_it_was_made() {
        let key = Secret::new([1; 32]);
        let place = Place {
            tenant: 7,
            table: "click",
            column: "payload",
            row: b"row",
            key_version: 2,
        };
        let sealed = key.seal([9; 12], &place, b"plain");
        assert_eq!(key.open(&place, &sealed).expect("opens").as_slice(), b"plain");
        let moved = [
            Place { tenant: 8, ..place },
            Place {
                table: "conversion",
                ..place
            },
            Place {
                column: "other",
                ..place
            },
            Place { row: b"raw", ..place },
            Place {
                key_version: 3,
                ..place
            },
        ];
        for other in moved {
            assert!(key.open(&other, &sealed).is_err());
        }
        assert!(Secret::new([2; 32]).open(&place, &sealed).is_err());
        for cut in 0..sealed.len() {
            assert!(key.open(&place, &sealed[..cut]).is_err());
        }
    }

    #[test]
    fn epochs_are_months() {
        assert_eq!(epoch_of(0), 0);
        assert_eq!(epoch_of(1_795_500_000), 682); // November 2026
        assert_eq!(epoch_of(-5), 0);
        assert_eq!(epoch_name(682), "2026-11");
    }

    #[test]
    fn signatures_match_a_published_vector() {
        // RFC 4231, test case 2.
        let mac = hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(
            hex::encode(mac),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        // RFC 4231, test case 6: a key longer than the block.
        let long = hmac_sha256(
            &[0xaa; 131],
            &[b"Test Using Larger Than Block-Size Key - Hash Key First"],
        );
        assert_eq!(
            hex::encode(long),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
