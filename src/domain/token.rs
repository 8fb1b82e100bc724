//! The tracking token: sealing and opening.
//!
//! Layout of version 1 (DESIGN 6), base64url without padding, 91 characters:
//!
//! ```text
//! version 1 | key id 2 | nonce 12 | ciphertext 37 | tag 16
//! plain 37:  click id 16 | campaign 4 | publisher 4 | shop 2 | issued at 4 (s) | consent bits 2
//!            | policy version 2 | retention epoch 2 | issued at, ticks of 1/256 s beyond the second 1
//! ```
//!
//! The associated data binds a constant, the version, the key id and the tenant, which is that of the authenticated
//! caller: a token of another tenant does not open. The token names a click. It is no credential and no proof of
//! consent; the database decides.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::ids::{ClickId, TICKS_PER_SECOND};
use super::keyring::KeyRing;
use super::keys::NONCE_BYTES;

/// Characters of a version 1 token.
pub const TOKEN_CHARS: usize = 91;
const VERSION: u8 = 1;
const PLAIN_BYTES: usize = 37;
const TOKEN_BYTES: usize = 3 + NONCE_BYTES + PLAIN_BYTES + 16;

/// What a token says once it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenClaims {
    /// The click.
    pub click: ClickId,
    /// The campaign's number.
    pub campaign: u32,
    /// The publisher's number.
    pub publisher: u32,
    /// The shop's number.
    pub shop: u16,
    /// When the click happened, in ticks since 1970; 40 bits of it are kept, which last until the year 2106.
    pub issued_at_ticks: u64,
    /// The consent at the click: a snapshot for refusing early.
    pub consent_bits: u16,
    /// The policy version of the click's decision.
    pub policy_version: u16,
    /// The month whose epoch key the click's key hangs on.
    pub retention_epoch: u16,
}

impl TokenClaims {
    /// When the click happened, in milliseconds since 1970.
    pub fn issued_at_ms(&self) -> i64 {
        let ticks = i64::try_from(self.issued_at_ticks).unwrap_or(i64::MAX / 1_000);
        ticks.saturating_mul(1_000).div_euclid(TICKS_PER_SECOND)
    }
}

/// The one error for every way in which a token can fail to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token does not open")]
pub struct TokenError;

/// Seals claims under the tenant's newest token key.
pub fn seal(keys: &KeyRing, nonce: [u8; NONCE_BYTES], claims: &TokenClaims) -> Result<String, TokenError> {
    let (id, key) = keys.sealing_token_key(claims.issued_at_ms()).ok_or(TokenError)?;
    let head = [VERSION, id.to_be_bytes()[0], id.to_be_bytes()[1]];
    let plain = encode(claims);
    let body = if cfg!(feature = "without-encryption") {
        [&plain[..], &[0; 16]].concat()
    } else {
        let cipher = Aes256Gcm::new(key.expose().into());
        let aad = associated(head, keys.tenant());
        let payload = Payload {
            msg: &plain,
            aad: &aad,
        };
        cipher
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| TokenError)?
    };
    let mut bytes = Vec::with_capacity(TOKEN_BYTES);
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&body);
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Opens a token for the tenant whose keys these are. Length first, one alphabet, canonical form, exactly one key.
pub fn open(keys: &KeyRing, token: &str) -> Result<TokenClaims, TokenError> {
    if token.len() != TOKEN_CHARS {
        return Err(TokenError);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| TokenError)?;
    let (head, rest) = bytes.split_first_chunk::<3>().ok_or(TokenError)?;
    let (nonce, body) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(TokenError)?;
    let [version, id_high, id_low] = *head;
    if version != VERSION {
        return Err(TokenError);
    }
    let key = keys
        .token_key(u16::from_be_bytes([id_high, id_low]))
        .ok_or(TokenError)?;
    let cipher = Aes256Gcm::new(key.expose().into());
    let aad = associated(*head, keys.tenant());
    let plain = cipher
        .decrypt(&Nonce::from(*nonce), Payload { msg: body, aad: &aad })
        .map_err(|_| TokenError)?;
    decode(&plain).ok_or(TokenError)
}

fn associated(head: [u8; 3], tenant: i64) -> [u8; 27] {
    let mut aad = [0; 27];
    aad[..16].copy_from_slice(b"einklang token 1");
    aad[16..19].copy_from_slice(&head);
    aad[19..].copy_from_slice(&tenant.to_be_bytes());
    aad
}

fn encode(claims: &TokenClaims) -> [u8; PLAIN_BYTES] {
    let mut plain = [0; PLAIN_BYTES];
    plain[..16].copy_from_slice(&claims.click.0);
    plain[16..20].copy_from_slice(&claims.campaign.to_be_bytes());
    plain[20..24].copy_from_slice(&claims.publisher.to_be_bytes());
    plain[24..26].copy_from_slice(&claims.shop.to_be_bytes());
    let [_, _, _, seconds @ .., ticks] = claims.issued_at_ticks.to_be_bytes();
    plain[26..30].copy_from_slice(&seconds);
    plain[30..32].copy_from_slice(&claims.consent_bits.to_be_bytes());
    plain[32..34].copy_from_slice(&claims.policy_version.to_be_bytes());
    plain[34..36].copy_from_slice(&claims.retention_epoch.to_be_bytes());
    plain[36] = ticks;
    plain
}

fn decode(plain: &[u8]) -> Option<TokenClaims> {
    let plain: &[u8; PLAIN_BYTES] = plain.try_into().ok()?;
    let (click, rest) = plain.split_first_chunk::<16>()?;
    let (campaign, rest) = rest.split_first_chunk::<4>()?;
    let (publisher, rest) = rest.split_first_chunk::<4>()?;
    let (shop, rest) = rest.split_first_chunk::<2>()?;
    let (seconds, rest) = rest.split_first_chunk::<4>()?;
    let (consent_bits, rest) = rest.split_first_chunk::<2>()?;
    let (policy_version, rest) = rest.split_first_chunk::<2>()?;
    let (retention_epoch, ticks) = rest.split_first_chunk::<2>()?;
    Some(TokenClaims {
        click: ClickId(*click),
        campaign: u32::from_be_bytes(*campaign),
        publisher: u32::from_be_bytes(*publisher),
        shop: u16::from_be_bytes(*shop),
        issued_at_ticks: u64::from(u32::from_be_bytes(*seconds)) << 8 | u64::from(*ticks.first()?),
        consent_bits: u16::from_be_bytes(*consent_bits),
        policy_version: u16::from_be_bytes(*policy_version),
        retention_epoch: u16::from_be_bytes(*retention_epoch),
    })
}

#[cfg(test)]
mod tests {
    use super::super::keyring::tests::ring;
    use super::*;

    fn claims() -> TokenClaims {
        TokenClaims {
            click: ClickId([0xab; 16]),
            campaign: 1,
            publisher: u32::MAX,
            shop: 3,
            issued_at_ticks: 1_795_000_000 * 256 + 255,
            consent_bits: 0x15,
            policy_version: 2,
            retention_epoch: 682,
        }
    }

    #[test]
    fn a_token_opens_with_its_tenants_keys_only() {
        let token = seal(&ring(7, 1), [5; 12], &claims()).expect("sealed");
        assert_eq!(token.len(), TOKEN_CHARS);
        assert!(
            token
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        );
        assert_eq!(open(&ring(7, 1), &token), Ok(claims()));
        assert_eq!(
            open(&ring(8, 1), &token),
            Err(TokenError),
            "another tenant, the same key bytes"
        );
        assert_eq!(open(&ring(7, 2), &token), Err(TokenError), "another key");
    }

    #[test]
    fn no_changed_character_opens() {
        let keys = ring(7, 1);
        let token = seal(&keys, [5; 12], &claims()).expect("sealed");
        for place in 0..token.len() {
            for replacement in ["A", "b", "=", "+", "/", " ", "\u{e9}"] {
                let mut changed = token.clone();
                changed.replace_range(place..=place, replacement);
                if changed != token {
                    assert_eq!(open(&keys, &changed), Err(TokenError));
                }
            }
        }
        assert_eq!(open(&keys, ""), Err(TokenError));
        assert_eq!(open(&keys, &token[..90]), Err(TokenError));
        assert_eq!(open(&keys, &format!("{token}A")), Err(TokenError));
    }
}
