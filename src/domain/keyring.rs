//! A tenant's keys, unwrapped, and what is looked up or derived with them.

use std::collections::BTreeMap;
use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::ids::ClickId;
use super::key_life::has_taken_over;
use super::keys::{ClickSecrets, KeyError, Place, SALT_BYTES, Secret};

/// One tenant's keys, unwrapped.
#[derive(Clone)]
pub struct KeyRing {
    tenant: i64,
    tokens: BTreeMap<u16, TokenKey>,
    index: Secret,
    suppression: Secret,
    secrets: Secret,
    epochs: BTreeMap<u16, Secret>,
    locked: bool,
}

/// A token key, and when it was made.
#[derive(Clone)]
struct TokenKey {
    secret: Secret,
    created_at_ms: i64,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

/// What a wrapped key is for. The words stand in rows and in associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyPurpose {
    /// Wraps the others; itself wrapped by the root key.
    Tenant,
    /// Seals tracking tokens.
    Token,
    /// Look-ups.
    Index,
    /// Suppression entries.
    Suppression,
    /// HMAC secrets of shops.
    Secrets,
    /// Derives click keys of one month.
    Epoch,
}

impl KeyPurpose {
    /// The purposes that a tenant key wraps once, from the beginning.
    pub const STANDING: [KeyPurpose; 4] = [
        KeyPurpose::Token,
        KeyPurpose::Index,
        KeyPurpose::Suppression,
        KeyPurpose::Secrets,
    ];

    /// The word in rows and associated data.
    pub fn code(self) -> &'static str {
        match self {
            KeyPurpose::Tenant => "tenant",
            KeyPurpose::Token => "token",
            KeyPurpose::Index => "index",
            KeyPurpose::Suppression => "suppression",
            KeyPurpose::Secrets => "secrets",
            KeyPurpose::Epoch => "epoch",
        }
    }

    /// The place of a wrapped key.
    pub fn place(self, tenant: i64, number: u32) -> Place<'static> {
        Place {
            tenant,
            table: "wrapped_key",
            column: self.code(),
            row: &[],
            key_version: number,
        }
    }
}

impl KeyRing {
    /// Puts a ring together from unwrapped keys; every standing purpose must be there.
    pub fn assemble(tenant: i64, keys: Vec<(KeyPurpose, u32, Secret)>) -> Result<Self, KeyError> {
        let mut tokens = BTreeMap::new();
        let mut epochs = BTreeMap::new();
        let mut standing: BTreeMap<KeyPurpose, Secret> = BTreeMap::new();
        for (purpose, number, secret) in keys {
            let short = u16::try_from(number).map_err(|_| KeyError::Missing)?;
            match purpose {
                KeyPurpose::Token => {
                    let created_at_ms = 0;
                    let key = TokenKey {
                        secret,
                        created_at_ms,
                    };
                    tokens.insert(short, key);
                }
                KeyPurpose::Epoch => drop(epochs.insert(short, secret)),
                KeyPurpose::Tenant => {}
                _ => drop(standing.insert(purpose, secret)),
            }
        }
        let mut take = |purpose| standing.remove(&purpose).ok_or(KeyError::Missing);
        if tokens.is_empty() {
            return Err(KeyError::Missing);
        }
        Ok(Self {
            tenant,
            tokens,
            index: take(KeyPurpose::Index)?,
            suppression: take(KeyPurpose::Suppression)?,
            secrets: take(KeyPurpose::Secrets)?,
            epochs,
            locked: false,
        })
    }

    /// Says when token keys were made; a new one is not used before every node has read it.
    #[must_use]
    pub fn with_token_times(mut self, times: impl IntoIterator<Item = (u16, i64)>) -> Self {
        for (id, created_at_ms) in times {
            if let Some(key) = self.tokens.get_mut(&id) {
                key.created_at_ms = created_at_ms;
            }
        }
        self
    }

    /// The ring of a tenant whose root key is not here. It seals and opens nothing, and as nothing was ever hashed under it,
    /// its look-ups find nothing. Whoever serves requests asks [`KeyRing::is_locked`] first.
    pub fn locked(tenant: i64) -> Self {
        let none = || Secret::new([0; 32]);
        Self {
            tenant,
            tokens: BTreeMap::new(),
            index: none(),
            suppression: none(),
            secrets: none(),
            epochs: BTreeMap::new(),
            locked: true,
        }
    }

    /// Whether the tenant's root key is not here.
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    /// The tenant whose keys these are.
    pub fn tenant(&self) -> i64 {
        self.tenant
    }

    /// The token key that seals at a time: the newest that every node has had the time to read, or the oldest there is.
    pub fn sealing_token_key(&self, at_ms: i64) -> Option<(u16, &Secret)> {
        let mut by_age = self.tokens.iter().rev();
        let read = by_age.find(|(_, key)| has_taken_over(key.created_at_ms, at_ms));
        let chosen = read.or_else(|| self.tokens.first_key_value());
        chosen.map(|(id, key)| (*id, &key.secret))
    }

    /// The token key with this id.
    pub fn token_key(&self, id: u16) -> Option<&Secret> {
        self.tokens.get(&id).map(|key| &key.secret)
    }

    /// Whether the key of an epoch is loaded.
    pub fn has_epoch(&self, epoch: u16) -> bool {
        self.epochs.contains_key(&epoch)
    }

    /// The key for HMAC secrets of shops.
    pub fn secrets_key(&self) -> &Secret {
        &self.secrets
    }

    /// Derives what hangs on a click's salt.
    pub fn click(&self, epoch: u16, salt: &[u8; SALT_BYTES]) -> Result<ClickSecrets, KeyError> {
        if cfg!(feature = "without-encryption") {
            return Ok(ClickSecrets::none());
        }
        let epoch_key = self.epochs.get(&epoch).ok_or(KeyError::Missing)?;
        let derive = Hkdf::<Sha256>::new(Some(salt), epoch_key.expose());
        let mut both = Zeroizing::new([0_u8; 64]);
        derive
            .expand(b"einklang click 1", &mut *both)
            .map_err(|_| KeyError::Length)?;
        Ok(ClickSecrets {
            key: Secret::from_slice(&both[..32])?,
            subject: Secret::from_slice(&both[32..])?,
        })
    }

    /// The look-up key of an order.
    pub fn order_hash(&self, order_id: &str) -> [u8; 16] {
        self.index.index("order", &[order_id.as_bytes()])
    }

    /// The look-up key that stands in for an order where the shop names none: one conversion per click and goal.
    pub fn click_order_hash(&self, click: &ClickId) -> [u8; 16] {
        self.index.index("click", &[&click.0])
    }

    /// The look-up key of a shop's customer reference.
    pub fn customer_hash(&self, shop: i64, reference: &str) -> [u8; 16] {
        self.index
            .index("customer", &[&shop.to_be_bytes(), reference.as_bytes()])
    }

    /// The name in the trail of somebody whom an outside issuer vouches for. Keyed, because subjects may be guessed: some
    /// issuers take e-mail addresses.
    pub fn outside_name(&self, issuer: &str, subject: &str) -> [u8; 16] {
        self.index
            .index("outside", &[issuer.as_bytes(), subject.as_bytes()])
    }

    /// The keyed digest of a conversion's content, to tell a repetition from a contradiction.
    pub fn content_hash(&self, content: &[u8]) -> [u8; 16] {
        self.index.index("content", &[content])
    }

    /// The key that seals the ids of consent records.
    pub fn record_key(&self) -> Secret {
        Secret::new(self.index.hash("consent record", &[]))
    }

    /// The suppression entry of a click.
    pub fn suppressed_click(&self, click: &ClickId) -> [u8; 32] {
        self.suppression.hash("click", &[&click.0])
    }

    /// The suppression entry of an order: the same order stays out with any token.
    pub fn suppressed_order(&self, shop: i64, goal: i64, order_hash: &[u8]) -> [u8; 32] {
        self.suppression
            .hash("order", &[&shop.to_be_bytes(), &goal.to_be_bytes(), order_hash])
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn ring(tenant: i64, byte: u8) -> KeyRing {
        let mut keys: Vec<_> = KeyPurpose::STANDING
            .into_iter()
            .map(|purpose| (purpose, 1, Secret::new([byte; 32])))
            .collect();
        keys.push((KeyPurpose::Epoch, 682, Secret::new([byte; 32])));
        KeyRing::assemble(tenant, keys).expect("complete")
    }

    #[test]
    fn a_new_token_key_opens_at_once_and_seals_when_every_node_has_it() {
        let key = |number: u8| (KeyPurpose::Token, u32::from(number), Secret::new([number; 32]));
        let others = KeyPurpose::STANDING.map(|purpose| (purpose, 1, Secret::new([1; 32])));
        let keys = others.into_iter().chain([key(1), key(2), key(3)]).collect();
        let ring = KeyRing::assemble(7, keys).expect("complete");
        let ring = ring.with_token_times([(1, 1_000), (2, 500_000), (3, 530_000)]);
        let seals = |at_ms| ring.sealing_token_key(at_ms).map(|(id, _)| id);
        assert_eq!(seals(2_000), Some(1), "the first key does not wait");
        assert_eq!(seals(559_999), Some(1));
        assert_eq!(seals(560_000), Some(2));
        assert_eq!(seals(590_000), Some(3));
        assert!((1..=3).all(|id| ring.token_key(id).is_some()));
    }

    #[test]
    fn a_locked_ring_seals_and_opens_nothing() {
        let ring = KeyRing::locked(7);
        assert!(ring.is_locked() && ring.sealing_token_key(i64::MAX).is_none());
        assert!(ring.token_key(1).is_none() && ring.click(682, &[1; 16]).is_err());
    }

    #[test]
    fn another_salt_or_epoch_gives_other_keys() {
        let ring = ring(7, 1);
        let one = ring.click(682, &[1; 16]).expect("epoch").key.fingerprint();
        let other = ring.click(682, &[2; 16]).expect("epoch").key.fingerprint();
        assert_ne!(one, other);
        assert!(matches!(ring.click(683, &[1; 16]), Err(KeyError::Missing)));
    }
}
