//! The key that signs OpenDSR replies and callbacks: RSA as PEM, in a file that only its owner can read. Its certificate is
//! the operator's to obtain and to publish; it has to come from a certificate authority that controllers trust.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use zeroize::Zeroizing;

use crate::flow::requests::ProcessorSigner;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum OpenDsrKeyError {
    /// The file cannot be read.
    #[error("The OpenDSR key file {0} cannot be read: {1}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// The file can be read by others.
    #[error("The OpenDSR key file {0} can be read by others (mode {1:o}). Run: chmod 0400 {0}")]
    Open(PathBuf, u32),
    /// It is no RSA key that signs.
    #[error("The OpenDSR key file {0} does not hold an RSA key of at least 2048 bits as PEM.")]
    Broken(PathBuf),
}

/// Signs with SHA-256 and RSA (PKCS #1 v1.5), as the specification's examples are.
pub struct RsaSigner(EncodingKey);

impl RsaSigner {
    /// Reads the key and tries it.
    pub fn read(path: &Path) -> Result<Self, OpenDsrKeyError> {
        let unreadable = |error| OpenDsrKeyError::Unreadable(path.to_owned(), error);
        let pem = Zeroizing::new(fs::read(path).map_err(unreadable)?);
        let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(OpenDsrKeyError::Open(path.to_owned(), mode));
        }
        let broken = || OpenDsrKeyError::Broken(path.to_owned());
        let der = pem_body(&pem).ok_or_else(broken)?;
        let signer = Self(EncodingKey::from_rsa_der(&der));
        signer.sign(b"").ok_or_else(broken)?;
        Ok(signer)
    }
}

impl ProcessorSigner for RsaSigner {
    fn sign(&self, body: &[u8]) -> Option<String> {
        let signature = jsonwebtoken::crypto::sign(body, &self.0, Algorithm::RS256).ok()?;
        let bytes = URL_SAFE_NO_PAD.decode(signature).ok()?;
        Some(STANDARD.encode(bytes))
    }
}

/// The `RSAPrivateKey` (RFC 8017) of a PEM text, which may be wrapped as PKCS #8 (RFC 5208).
fn pem_body(pem: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = std::str::from_utf8(pem).ok()?;
    let between = |kind: &str| {
        let (_, rest) = text.split_once(&format!("-----BEGIN {kind}-----"))?;
        let (body, _) = rest.split_once(&format!("-----END {kind}-----"))?;
        let digits: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
        STANDARD.decode(digits.as_bytes()).ok().map(Zeroizing::new)
    };
    if let Some(plain) = between("RSA PRIVATE KEY") {
        return Some(plain);
    }
    let wrapped = between("PRIVATE KEY")?;
    let (SEQUENCE, info, _) = element(&wrapped)? else {
        return None;
    };
    let (INTEGER, _, rest) = element(info)? else {
        return None;
    };
    let (SEQUENCE, algorithm, rest) = element(rest)? else {
        return None;
    };
    let (OBJECT_ID, RSA_ENCRYPTION, _) = element(algorithm)? else {
        return None;
    };
    let (OCTETS, key, _) = element(rest)? else {
        return None;
    };
    Some(Zeroizing::new(key.to_vec()))
}

const INTEGER: u8 = 2;
const OCTETS: u8 = 4;
const OBJECT_ID: u8 = 6;
const SEQUENCE: u8 = 0x30;
/// 1.2.840.113549.1.1.1
const RSA_ENCRYPTION: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1];

/// The first element of DER: its tag, its content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(*first & 0x7F))?;
        let length = digits.iter().try_fold(0_usize, |all, digit| {
            Some(all.checked_mul(256)? + usize::from(*digit))
        })?;
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), text).expect("written");
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("set");
        file
    }

    #[test]
    fn what_is_no_key_or_not_secret_is_refused() {
        let open = file("", 0o644);
        assert!(matches!(
            RsaSigner::read(open.path()),
            Err(OpenDsrKeyError::Open(..))
        ));
        let body = STANDARD.encode([0x30, 0x82, 0xFF, 0xFF, 1]);
        for text in [
            String::new(),
            "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n".to_owned(),
            format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"),
            format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n"),
        ] {
            let broken = file(&text, 0o400);
            let read = RsaSigner::read(broken.path());
            assert!(matches!(read, Err(OpenDsrKeyError::Broken(_))), "{text}");
        }
    }
}
