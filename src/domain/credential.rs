//! What people and programs prove themselves with: API keys that we make, digests of passwords.
//!
//! Promise: from what is stored nobody gets back what was shown. Random bytes are arguments. An API key is random, so
//! its SHA-256 is enough; a password is not, so it takes argon2id.

use std::fmt;

use argon2::password_hash::phc;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::keys::sha256;

/// Random bytes that a generated API key takes: 8 for its public name, 32 for its secret.
pub const API_KEY_RANDOM_BYTES: usize = 40;
/// Random bytes that a generated shop reference takes.
pub const REFERENCE_RANDOM_BYTES: usize = 16;

const LOWER: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const MIXED: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Where a generated key is meant to be used; stands in the key, so that a mix-up is seen at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Real traffic.
    #[default]
    Live,
    /// Trials.
    Test,
}

impl Environment {
    /// The word in the key.
    pub fn code(self) -> &'static str {
        match self {
            Environment::Live => "live",
            Environment::Test => "test",
        }
    }
}

/// A new API key, `ek_<environment>_<name>_<secret>_<check>`: secret scanners know it by its form, and the check tells
/// a mistyped key from a revoked one without a look-up.
pub fn api_key(environment: Environment, random: &[u8; API_KEY_RANDOM_BYTES]) -> Zeroizing<String> {
    let (name, secret) = random.split_at(API_KEY_RANDOM_BYTES - 32);
    let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(secret));
    let head = Zeroizing::new(format!(
        "ek_{}_{}_{}",
        environment.code(),
        letters(name, LOWER),
        *secret
    ));
    let check = hex::encode(&sha256(head.as_bytes())[..4]);
    Zeroizing::new(format!("{}_{check}", *head))
}

/// A new public reference of a shop, `shp_` and 16 letters and digits.
pub fn shop_reference(random: &[u8; REFERENCE_RANDOM_BYTES]) -> String {
    format!("shp_{}", letters(random, MIXED))
}

/// One letter a byte. The alphabets do not divide 256, so some letters are a little likelier: these are names that
/// must not collide, not secrets.
fn letters(random: &[u8], alphabet: &[u8]) -> String {
    let letter = |byte: &u8| alphabet.get(usize::from(*byte) % alphabet.len());
    random
        .iter()
        .filter_map(letter)
        .map(|byte| char::from(*byte))
        .collect()
}

/// A password as it is stored: argon2id in the PHC form. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

impl PasswordHash {
    /// Hashes a password. Takes tens of milliseconds by intent: not for a thread that serves others, nor for the time
    /// that a transaction is open. None only if argon2 refuses the salt or the password, which [`valid_password`]
    /// rules out.
    pub fn of(password: &str, salt: [u8; 16]) -> Option<Self> {
        let hash: phc::PasswordHash = Argon2::default()
            .hash_password_with_salt(password.as_bytes(), &salt)
            .ok()?;
        Some(Self(hash.to_string()))
    }

    /// Reads the form that is stored.
    pub fn parse(text: &str) -> Option<Self> {
        let hash = phc::PasswordHash::new(text).ok()?;
        (hash.algorithm.as_str() == "argon2id").then(|| Self(text.to_owned()))
    }

    /// Whether this is the password. As slow as [`PasswordHash::of`].
    pub fn verify(&self, password: &str) -> bool {
        phc::PasswordHash::new(&self.0).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        })
    }

    /// The form that is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text may be a password: 12 to 256 characters without control characters. Length is what counts (NIST
/// SP 800-63B), so there are no rules about kinds of characters.
pub fn valid_password(text: &str) -> bool {
    (12..=256).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_has_its_form_and_its_check() {
        let key = api_key(Environment::Test, &[7; API_KEY_RANDOM_BYTES]);
        let (head, check) = key.rsplit_once('_').expect("parts");
        assert_eq!(check, hex::encode(&sha256(head.as_bytes())[..4]));
        let secret = URL_SAFE_NO_PAD.encode([7; 32]);
        assert_eq!(head, format!("ek_test_77777777_{secret}"));
        assert!(crate::domain::campaign::valid_api_key(&key));
        assert_ne!(key, api_key(Environment::Live, &[7; API_KEY_RANDOM_BYTES]));
    }

    #[test]
    fn a_reference_is_letters_and_digits() {
        let random = [0, 9, 10, 35, 36, 61, 62, 255, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(shop_reference(&random), "shp_09AZaz0712345678");
    }

    #[test]
    fn only_the_password_itself_verifies() {
        let hash = PasswordHash::of("correct horse battery", [1; 16]).expect("hashed");
        assert!(hash.verify("correct horse battery") && !hash.verify("correct horse batterz"));
        assert_eq!(PasswordHash::parse(hash.as_str()), Some(hash.clone()));
        assert_eq!(PasswordHash::parse("correct horse battery"), None);
        assert!(!format!("{hash:?}").contains("argon2"));
        assert!(hash.as_str().starts_with("$argon2id$v=19$"));
    }
}
