//! The tests' OpenDSR processor: a key that is nobody's, and the check of what it signs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use einklang::app::config::requests::RequestOptions;
use jsonwebtoken::{Algorithm, DecodingKey};
use tempfile::NamedTempFile;

/// The domain of the specification's examples.
pub const DOMAIN: &str = "example-processor.com";

static KEY: LazyLock<NamedTempFile> = LazyLock::new(|| {
    let file = NamedTempFile::new().expect("a file");
    fs::write(file.path(), include_str!("processor.key.pem")).expect("written");
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o400)).expect("set");
    file
});

/// OpenDSR is set up, and callbacks may go to this machine.
pub fn options() -> RequestOptions {
    RequestOptions {
        opendsr_domain: Some(DOMAIN.to_owned()),
        opendsr_key_file: Some(PathBuf::from(KEY.path())),
        opendsr_certificate_url: Some(format!("https://{DOMAIN}/cert.pem")),
        opendsr_wait_seconds: None,
        opendsr_allow_private: Some(true),
    }
}

/// Whether these bytes were signed with the processor's key.
pub fn is_signed(body: &[u8], signature: &str) -> bool {
    let digits: String = include_str!("processor.public.b64")
        .split_ascii_whitespace()
        .collect();
    let public = STANDARD.decode(digits).expect("base64");
    let key = DecodingKey::from_rsa_der(&public);
    let Ok(signature) = STANDARD.decode(signature) else {
        return false;
    };
    let signature = URL_SAFE_NO_PAD.encode(signature);
    jsonwebtoken::crypto::verify(&signature, body, &key, Algorithm::RS256).expect("verified")
}
