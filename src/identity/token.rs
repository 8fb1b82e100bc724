//! A token in its compact form (RFC 7515, section 7.1): read, its header judged, its signature verified.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::fault::TokenFault;
use super::keys::{Algorithm, PublicKey};
use super::members::Members;

/// The longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8_192;
/// The longest name of a key, in bytes.
pub const KID_BYTES_MAX: usize = 256;

/// Header members that would let a token bring its own key (RFC 7515, 4.1.2 to 4.1.6), change what is signed (RFC 7797),
/// ask for an extension (4.1.11), or hide another token inside.
const REFUSED: [&str; 9] = ["jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc", "cty"];
/// What a token may say it is, without regard to case (RFC 7519, 5.1; RFC 9068, 2.1).
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// A token whose form and header are right. Nothing it claims counts yet.
#[derive(Debug)]
pub struct Presented<'a> {
    algorithm: Algorithm,
    kid: String,
    claims: Members,
    signed: &'a str,
    signature: &'a str,
}

/// Whether a bearer value is meant as a token and not as an API key.
pub fn looks_like_token(text: &str) -> bool {
    text.starts_with("ey") && text.split('.').count() == 3
}

fn object(part: &str) -> Result<Members, TokenFault> {
    // The decoder takes no padding, no other alphabet and no stray bits, so that a token has one spelling.
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Malformed)?;
    Members::read(&bytes).ok_or(TokenFault::Malformed)
}

impl<'a> Presented<'a> {
    /// Reads a token and judges its header.
    pub fn read(text: &'a str) -> Result<Self, TokenFault> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenFault::Malformed)?;
        let (head, body) = signed.split_once('.').ok_or(TokenFault::Malformed)?;
        if body.contains('.') || signature.is_empty() || URL_SAFE_NO_PAD.decode(signature).is_err() {
            return Err(TokenFault::Malformed);
        }
        let header = object(head)?;
        let algorithm = judge(&header)?;
        let kid = header.text("kid").unwrap_or_default().to_owned();
        if kid.is_empty() || kid.len() > KID_BYTES_MAX {
            return Err(TokenFault::Header);
        }
        Ok(Self {
            algorithm,
            kid,
            claims: object(body)?,
            signed,
            signature,
        })
    }

    /// The issuer that it names: only to choose whose keys are tried.
    pub fn issuer(&self) -> Result<&str, TokenFault> {
        match self.claims.get("iss") {
            Some(Value::String(issuer)) => Ok(issuer),
            _ => Err(TokenFault::Claims),
        }
    }

    /// The key that it names.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm that it names.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its claims, if this key signed them with an algorithm of its own family.
    pub fn verify(self, key: &PublicKey) -> Result<Members, TokenFault> {
        if !key.takes(self.algorithm) {
            return Err(TokenFault::Header);
        }
        if key.verifies(self.algorithm, self.signed.as_bytes(), self.signature) {
            Ok(self.claims)
        } else {
            Err(TokenFault::Signature)
        }
    }
}

fn judge(header: &Members) -> Result<Algorithm, TokenFault> {
    if REFUSED.iter().any(|name| header.has(name)) {
        return Err(TokenFault::Header);
    }
    let kind = header.text("typ").unwrap_or_default().to_ascii_lowercase();
    if !TYPES.contains(&kind.as_str()) {
        return Err(TokenFault::Header);
    }
    let algorithm = header.text("alg").and_then(Algorithm::from_code);
    algorithm.ok_or(TokenFault::Header)
}
