//! Public keys of an issuer (RFC 7517): which there are, and which algorithms each may verify.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm as Backend, DecodingKey, crypto};
use serde::Deserialize;
use serde_json::Value;

use super::token::KID_BYTES_MAX;

/// The largest key set, in bytes.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;
/// Most keys of a set.
pub const KEYS_MAX: usize = 100;

/// A signature algorithm that is taken (RFC 7518, section 3; RFC 8037). There is none with a shared secret among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Algorithm; 9] = [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ];

    /// The registered name.
    pub fn code(self) -> &'static str {
        match self {
            Algorithm::RS256 => "RS256",
            Algorithm::RS384 => "RS384",
            Algorithm::RS512 => "RS512",
            Algorithm::PS256 => "PS256",
            Algorithm::PS384 => "PS384",
            Algorithm::PS512 => "PS512",
            Algorithm::ES256 => "ES256",
            Algorithm::ES384 => "ES384",
            Algorithm::EdDSA => "EdDSA",
        }
    }

    /// The algorithm of this name; names are compared with regard to case.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.code() == code)
    }

    fn backend(self) -> Backend {
        match self {
            Algorithm::RS256 => Backend::RS256,
            Algorithm::RS384 => Backend::RS384,
            Algorithm::RS512 => Backend::RS512,
            Algorithm::PS256 => Backend::PS256,
            Algorithm::PS384 => Backend::PS384,
            Algorithm::PS512 => Backend::PS512,
            Algorithm::ES256 => Backend::ES256,
            Algorithm::ES384 => Backend::ES384,
            Algorithm::EdDSA => Backend::EdDSA,
        }
    }

    fn family(self) -> Family {
        match self {
            Algorithm::ES256 => Family::P256,
            Algorithm::ES384 => Family::P384,
            Algorithm::EdDSA => Family::Ed25519,
            _ => Family::Rsa,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// A key that verifies.
#[derive(Clone)]
pub struct PublicKey {
    family: Family,
    /// The only algorithm, where the issuer says so.
    only: Option<Algorithm>,
    key: DecodingKey,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?})", self.family)
    }
}

impl PublicKey {
    /// An Ed25519 key.
    pub fn ed25519(public: &[u8; 32]) -> Self {
        Self {
            family: Family::Ed25519,
            only: Some(Algorithm::EdDSA),
            key: DecodingKey::from_ed_der(public),
        }
    }

    /// Whether it may verify with this algorithm.
    pub fn takes(&self, algorithm: Algorithm) -> bool {
        algorithm.family() == self.family && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether a signature (base64url) over these bytes is this key's.
    pub fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &str) -> bool {
        crypto::verify(signature, signed, &self.key, algorithm.backend()).unwrap_or(false)
    }

    /// Reads one key of a set; nothing for keys that verify no signature of ours.
    fn read(jwk: &Value) -> Option<(String, Self)> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let kid = text("kid").filter(|kid| (1..=KID_BYTES_MAX).contains(&kid.len()))?;
        let for_signatures = jwk.get("use").is_none_or(|value| value == "sig");
        let verifies = jwk.get("key_ops").is_none_or(|value| {
            value
                .as_array()
                .is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
        });
        // Whoever publishes a private key has given it away.
        if !for_signatures || !verifies || jwk.get("d").is_some() {
            return None;
        }
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let (family, key) = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                let (modulus, exponent) = (bytes("n")?, bytes("e")?);
                let first = modulus.iter().position(|byte| *byte != 0)?;
                let sized = (256..=1_024).contains(&(modulus.len() - first)) && !exponent.is_empty();
                let key = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
                sized.then_some((Family::Rsa, key))?
            }
            ("EC", Some(curve)) => {
                let (family, length) = match curve {
                    "P-256" => (Family::P256, 32),
                    "P-384" => (Family::P384, 48),
                    _ => return None,
                };
                let sized = bytes("x")?.len() == length && bytes("y")?.len() == length;
                let key = DecodingKey::from_ec_components(text("x")?, text("y")?).ok()?;
                sized.then_some((family, key))?
            }
            ("OKP", Some("Ed25519")) => {
                let public: [u8; 32] = bytes("x")?.try_into().ok()?;
                (Family::Ed25519, DecodingKey::from_ed_der(&public))
            }
            _ => return None,
        };
        let only = match jwk.get("alg") {
            None => None,
            Some(code) => Some(Algorithm::from_code(code.as_str()?)?),
        };
        Some((kid.to_owned(), Self { family, only, key }))
    }
}

/// Why a key set cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Longer than [`KEY_SET_BYTES_MAX`], or more keys than [`KEYS_MAX`].
    #[error("the key set is too large")]
    TooLarge,
    /// No JSON object with an array `keys`.
    #[error("the key set is not of the form of RFC 7517")]
    Form,
    /// Two keys have one name: it would be chance which one verifies.
    #[error("two keys of the set have one name")]
    Twice,
    /// No key verifies signatures.
    #[error("no key of the set verifies signatures")]
    Empty,
}

/// The keys of an issuer by their names.
#[derive(Debug, Clone, Default)]
pub struct KeySet(BTreeMap<String, PublicKey>);

impl KeySet {
    /// Reads a set. Keys of other kinds and for other uses are passed over (RFC 7517, section 5).
    pub fn read(bytes: &[u8]) -> Result<Self, KeySetError> {
        if bytes.len() > KEY_SET_BYTES_MAX {
            return Err(KeySetError::TooLarge);
        }
        let document: Value = serde_json::from_slice(bytes).map_err(|_| KeySetError::Form)?;
        let list = document.get("keys").and_then(Value::as_array);
        let list = list.ok_or(KeySetError::Form)?;
        if list.len() > KEYS_MAX {
            return Err(KeySetError::TooLarge);
        }
        let mut keys = BTreeMap::new();
        for (kid, key) in list.iter().filter_map(PublicKey::read) {
            if keys.insert(kid, key).is_some() {
                return Err(KeySetError::Twice);
            }
        }
        if keys.is_empty() {
            return Err(KeySetError::Empty);
        }
        Ok(Self(keys))
    }

    /// A set of keys that are known already.
    pub fn of(keys: impl IntoIterator<Item = (String, PublicKey)>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// The key of this name.
    pub fn get(&self, kid: &str) -> Option<&PublicKey> {
        self.0.get(kid)
    }
}
