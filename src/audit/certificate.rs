//! Certificates of erasure: one line of canonical JSON, and an Ed25519 signature over exactly its bytes.
//!
//! It is signed with the key that signs the log's checkpoints and names the entry that says the same, so that whoever
//! keeps the log needs nobody's word for it. A checkpoint's text begins with the log's origin, this with a brace: neither
//! can be taken for the other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::note::is_signed_by;

/// What every document calls itself.
pub const KIND: &str = "einklang erasure certificate";

/// What is attested. The members stand in the order of their names, which is the canonical order (RFC 8785).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// `sqlite` or `postgresql`.
    pub database: String,
    /// Where it was asked for.
    pub door: String,
    /// What went.
    pub erased: Vec<Class>,
    /// When, RFC 3339; of a "no" the beginning of its hour.
    pub erased_at: String,
    /// The act, `era_…`.
    pub erasure: String,
    /// When this was issued.
    pub issued_at: String,
    /// [`KIND`].
    pub kind: String,
    /// The entry in the tenant's audit log.
    pub log: LogPlace,
    /// Why, as a code.
    pub reason: String,
    /// What remains, on which ground, and how long.
    pub remains: Vec<Remains>,
    /// The tenant, `tnt_…`.
    pub tenant: String,
    /// The version of the document.
    pub v: u8,
}

/// A class of data and how much of it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// The class.
    pub class: String,
    /// How many.
    pub count: u64,
}

/// Where the log says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPlace {
    /// The entry's id, `aud_…`.
    pub entry: String,
    /// Its index.
    pub index: u64,
    /// Its leaf hash, in hexadecimal.
    pub leaf_hash: String,
    /// The log.
    pub origin: String,
    /// The size of the signed tree that it was proved in.
    pub size: u64,
}

/// What remains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remains {
    /// The class.
    pub class: String,
    /// On which ground.
    pub ground: String,
    /// What it is and cannot be used for.
    pub note: String,
    /// When it goes at the latest, RFC 3339; none where it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// A certificate as it is handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The document's text.
    pub document: String,
    /// The public key that verifies it, as PEM.
    pub public_key: String,
    /// The signature (Ed25519) over the text's bytes, in base64.
    pub signature: String,
}

/// Why a certificate attests nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not a certificate.
    #[error("not a certificate of erasure")]
    Form,
    /// The signature is not by the key, or the document was changed.
    #[error("the signature is not by this key, or the document was changed")]
    Signature,
    /// The document is signed and not a certificate of this version.
    #[error("the signed document is not a certificate of erasure of a version that is known here")]
    Document,
    /// The key is another log's.
    #[error("the key was given for another log than the one that the certificate names")]
    OtherLog,
}

impl Document {
    /// The bytes to be signed.
    pub fn text(&self) -> String {
        // Texts and numbers into memory: that cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Certificate {
    /// Puts a certificate together.
    pub fn of(document: String, signature: &[u8; 64], public_key: String) -> Self {
        Self {
            document,
            public_key,
            signature: STANDARD.encode(signature),
        }
    }

    /// Judges a certificate by a key that the caller had from elsewhere: the one in it is its own word. `name` is the log
    /// that the key was given for.
    pub fn verify(bytes: &[u8], public: &[u8; 32], name: Option<&str>) -> Result<Document, CertificateError> {
        let this: Self = serde_json::from_slice(bytes).map_err(|_| CertificateError::Form)?;
        let signature = STANDARD.decode(&this.signature).ok();
        let signature: Option<[u8; 64]> = signature.and_then(|bytes| bytes.try_into().ok());
        let signature = signature.ok_or(CertificateError::Form)?;
        if !matches!(
            is_signed_by(this.document.as_bytes(), public, &signature),
            Ok(true)
        ) {
            return Err(CertificateError::Signature);
        }
        let document: Document =
            serde_json::from_str(&this.document).map_err(|_| CertificateError::Document)?;
        if document.kind != KIND || document.v != 1 {
            return Err(CertificateError::Document);
        }
        if name.is_some_and(|name| name != document.log.origin) {
            return Err(CertificateError::OtherLog);
        }
        Ok(document)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    fn document() -> Document {
        Document {
            database: "sqlite".to_owned(),
            door: "subject_request".to_owned(),
            erased: vec![Class {
                class: "clicks".to_owned(),
                count: 2,
            }],
            erased_at: "2026-11-28T10:00:00.000Z".to_owned(),
            erasure: "era_01".to_owned(),
            issued_at: "2026-11-28T10:00:01.000Z".to_owned(),
            kind: KIND.to_owned(),
            log: LogPlace {
                entry: "aud_01".to_owned(),
                index: 7,
                leaf_hash: "00".repeat(32),
                origin: "ads.example/audit/tnt_1/0".to_owned(),
                size: 9,
            },
            reason: "erasure_requested".to_owned(),
            remains: Vec::new(),
            tenant: "tnt_1".to_owned(),
            v: 1,
        }
    }

    #[test]
    fn a_certificate_verifies_with_its_key_and_log_and_with_nothing_else() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let (public, other) = (
            key.verifying_key().to_bytes(),
            SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes(),
        );
        let text = document().text();
        let certificate = Certificate::of(text.clone(), &key.sign(text.as_bytes()).to_bytes(), String::new());
        let bytes = serde_json::to_vec(&certificate).expect("JSON");
        let origin = document().log.origin;
        assert_eq!(Certificate::verify(&bytes, &public, None), Ok(document()));
        assert_eq!(
            Certificate::verify(&bytes, &public, Some(&origin)),
            Ok(document())
        );
        let verdict = |bytes: &[u8], key, name| Certificate::verify(bytes, key, name).map(|_| ());
        assert_eq!(verdict(&bytes, &other, None), Err(CertificateError::Signature));
        assert_eq!(
            verdict(&bytes, &public, Some("another/0")),
            Err(CertificateError::OtherLog)
        );
        let text = String::from_utf8(bytes).expect("a text");
        let changed = text.replace("\\\"count\\\":2", "\\\"count\\\":3");
        assert_ne!(changed, text);
        assert_eq!(
            verdict(changed.as_bytes(), &public, None),
            Err(CertificateError::Signature)
        );
        assert_eq!(verdict(b"{}", &public, None), Err(CertificateError::Form));
    }

    #[test]
    fn the_members_stand_in_canonical_order() {
        let text = document().text();
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let names: Vec<&String> = value.as_object().expect("an object").keys().collect();
        assert!(names.is_sorted(), "{names:?}");
        // In the order of the text, too: a map may have sorted them itself.
        let places: Vec<_> = names
            .iter()
            .map(|name| text.find(&format!("\"{name}\":")))
            .collect();
        assert!(places.is_sorted(), "{text}");
    }
}
