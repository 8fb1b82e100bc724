//! Our own tokens: signed with Ed25519, short-lived, and with a name each by which they can be revoked.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm as Backend, EncodingKey, crypto};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::claims::Terms;
use super::fault::TokenFault;
use super::keys::{KeySet, PublicKey};
use super::token::Presented;
use crate::domain::keys::sha256;

/// For how long our tokens may be valid at most, in seconds: an hour.
pub const LIFETIME_MAX_S: i64 = 3_600;

/// What PKCS #8 (RFC 8410, section 7) writes before the 32 bytes of an Ed25519 key.
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The key that signs tokens.
pub struct TokenSigner {
    key: EncodingKey,
    public: [u8; 32],
    kid: String,
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSigner({})", self.kid)
    }
}

/// The public half of a secret of 32 bytes.
pub fn public_of(secret: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(secret).verifying_key().to_bytes()
}

/// A key's name: its thumbprint (RFC 7638 with RFC 8037, appendix A.3).
pub fn thumbprint(public: &[u8; 32]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public);
    let canonical = format!("{{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"{x}\"}}");
    URL_SAFE_NO_PAD.encode(sha256(canonical.as_bytes()))
}

impl TokenSigner {
    /// From the secret of 32 bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        let mut document = Zeroizing::new(PKCS8_HEAD.to_vec());
        document.extend_from_slice(secret);
        let public = public_of(secret);
        Self {
            key: EncodingKey::from_ed_der(&document),
            public,
            kid: thumbprint(&public),
        }
    }

    /// The public half.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Signs claims. Nothing if the backend refuses, which no key of the right length gives it a reason to.
    pub fn sign(&self, claims: &OwnClaims) -> Option<String> {
        let header = json!({"alg": "EdDSA", "kid": self.kid, "typ": "JWT"});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&serde_json::to_value(claims).ok()?));
        let signature = crypto::sign(signed.as_bytes(), &self.key, Backend::EdDSA).ok()?;
        Some(format!("{signed}.{signature}"))
    }
}

/// What our tokens say.
#[derive(Debug, Clone, Serialize)]
pub struct OwnClaims {
    /// The issuer, this server.
    pub iss: String,
    /// The audience, this server.
    pub aud: String,
    /// The user or the API key: `usr_…` or `key_…`.
    pub sub: String,
    /// The tenant, `tnt_…`; left out for the server's operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The role.
    pub role: &'static str,
    /// When the user or key was last changed, in milliseconds since 1970: any change after that ends the token. The time of
    /// issue would not do, which is in whole seconds.
    pub ver: i64,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// From when it is valid, in seconds since 1970.
    pub nbf: i64,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// Its name.
    pub jti: Uuid,
}

/// An own token that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnToken {
    /// The user or the API key.
    pub subject: String,
    /// The tenant that it names.
    pub tenant: Option<String>,
    /// The role that it names.
    pub role: String,
    /// When its subject was last changed before it was issued, in milliseconds since 1970.
    pub version: i64,
    /// When it ends, in seconds since 1970.
    pub expires_at_s: i64,
    /// Its name.
    pub id: Uuid,
}

/// The public halves that our tokens are verified with, the present one first.
#[derive(Debug, Clone)]
pub struct OwnKeys {
    publics: Vec<[u8; 32]>,
    set: KeySet,
}

impl OwnKeys {
    /// Of these public halves.
    pub fn new(publics: Vec<[u8; 32]>) -> Self {
        let keys = publics
            .iter()
            .map(|public| (thumbprint(public), PublicKey::ed25519(public)));
        Self {
            set: KeySet::of(keys),
            publics,
        }
    }

    /// The public halves with their names, the present one first.
    pub fn named(&self) -> impl Iterator<Item = (String, String)> {
        let publics = self.publics.iter();
        publics.map(|public| (thumbprint(public), URL_SAFE_NO_PAD.encode(public)))
    }

    /// Verifies a token of ours.
    pub fn verify(
        &self,
        token: Presented<'_>,
        name: &str,
        leeway_s: i64,
        now_s: i64,
    ) -> Result<OwnToken, TokenFault> {
        let key = self.set.get(token.kid()).ok_or(TokenFault::Key)?;
        let terms = Terms {
            issuer: name,
            audience: name,
            leeway_s,
            lifetime_max_s: LIFETIME_MAX_S,
            nbf_required: true,
        };
        let claims = terms.judge(token.verify(key)?, now_s)?;
        let text = |name: &str| claims.all.text(name).map(str::to_owned);
        let id = text("jti").and_then(|text| text.parse().ok());
        Ok(OwnToken {
            tenant: text("tenant"),
            role: text("role").ok_or(TokenFault::Claims)?,
            id: id.ok_or(TokenFault::Claims)?,
            version: claims
                .all
                .get("ver")
                .and_then(Value::as_i64)
                .ok_or(TokenFault::Claims)?,
            expires_at_s: claims.expires_at_s,
            subject: claims.subject,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;

    fn claims() -> OwnClaims {
        OwnClaims {
            iss: "https://a.example".to_owned(),
            aud: "https://a.example".to_owned(),
            sub: "key_00000000000000000000000000000001".to_owned(),
            tenant: None,
            role: "operator",
            ver: 0,
            iat: NOW,
            nbf: NOW,
            exp: NOW + 900,
            jti: Uuid::from_u128(7),
        }
    }

    fn verify(keys: &OwnKeys, text: &str) -> Result<OwnToken, TokenFault> {
        keys.verify(Presented::read(text)?, "https://a.example", 30, NOW)
    }

    #[test]
    fn a_thumbprint_is_the_published_example() {
        // RFC 8037, appendix A.2 and A.3.
        let x = URL_SAFE_NO_PAD
            .decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
            .expect("base64");
        let public: [u8; 32] = x.try_into().expect("32 bytes");
        assert_eq!(thumbprint(&public), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_token_verifies_with_its_key_and_with_no_other() {
        let (old, new) = (TokenSigner::new(&[1; 32]), TokenSigner::new(&[2; 32]));
        let text = old.sign(&claims()).expect("signed");
        let overlap = OwnKeys::new(vec![*new.public(), *old.public()]);
        let token = verify(&overlap, &text).expect("accepted");
        assert_eq!((token.id, token.expires_at_s), (Uuid::from_u128(7), NOW + 900));
        assert_eq!(
            verify(&OwnKeys::new(vec![*new.public()]), &text),
            Err(TokenFault::Key)
        );
        let (signed, signature) = text.rsplit_once('.').expect("parts");
        let first = if signature.starts_with('A') { 'B' } else { 'A' };
        let flipped = format!("{signed}.{first}{}", &signature[1..]);
        assert_eq!(verify(&overlap, &flipped), Err(TokenFault::Signature));
    }
}
