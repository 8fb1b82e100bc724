//! The key that signs checkpoints: a file of its own, never in the database.
//!
//! The database knows the public key. A node without the file, or with another key's, does not start: a log that two keys
//! sign in turn is one that nobody can verify with what they were given.

use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer, SigningKey};

use super::key_file::{KeyFileError, Kind};
use crate::domain::event::{Actor, AuditEvent};
use crate::domain::scope::TenantScope;
use crate::flow::audit::{CheckpointSigner, SignerFailed};
use crate::flow::{Clock, Entropy};
use crate::store::{Store, StoreError};

const KIND: Kind = Kind {
    name: "audit key",
    head: "einklang-audit-key-1:",
};

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum AuditKeyError {
    /// The file is gone, or holds another key.
    #[error(
        "The audit key file {path} is missing or holds another key, but this database's checkpoints are signed with the \
         key whose public half is {wanted}. Put that key's file there: whoever verifies the log knows no other."
    )]
    Other {
        /// Where it should be.
        path: PathBuf,
        /// The public key, in hexadecimal.
        wanted: String,
    },
    /// The file itself.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The database failed.
    #[error("The database failed while the audit key was checked: {0}")]
    Store(#[from] StoreError),
}

/// Signs with a key from a file.
pub struct FileSigner(SigningKey);

impl CheckpointSigner for FileSigner {
    fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    fn sign(&self, text: &[u8]) -> Result<[u8; 64], SignerFailed> {
        Ok(self.0.sign(text).to_bytes())
    }
}

/// The audit key of this database, made if the database knows none yet.
pub async fn obtain(
    path: &Path,
    store: &Store,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<FileSigner, AuditKeyError> {
    let found = KIND.read(path)?;
    if let Some(wanted) = store.audit_public_key().await? {
        let signer = found.map(|bytes| FileSigner(SigningKey::from_bytes(&bytes)));
        let right = signer.filter(|signer| hex::encode(signer.public()) == wanted);
        return right.ok_or_else(|| AuditKeyError::Other {
            path: path.to_owned(),
            wanted,
        });
    }
    let bytes = match found {
        Some(bytes) => bytes,
        None => KIND.make(path, entropy)?,
    };
    let signer = FileSigner(SigningKey::from_bytes(&bytes));
    let public = hex::encode(signer.public());
    let mut nonce = [0; 16];
    entropy.fill(&mut nonce);
    let mut event = AuditEvent::new(0, "key.created", &Actor::Server, "created", &nonce);
    event.at_ms = Some(clock.now_ms());
    event.object = Some(format!("audit:{public}"));
    let tx = store.begin(TenantScope::Server).await?;
    tx.adopt_audit_key(&public).await?;
    tx.commit_with(&event.into()).await?;
    Ok(signer)
}

/// The public key that checkpoints have to be signed with: the file's where it is there, else what the database knows.
/// Makes nothing.
pub async fn public(path: &Path, store: &Store) -> Result<Option<[u8; 32]>, AuditKeyError> {
    let wanted = store.audit_public_key().await?;
    let found = KIND
        .read(path)?
        .map(|bytes| FileSigner(SigningKey::from_bytes(&bytes)).public());
    match (found, wanted) {
        (Some(found), Some(wanted)) if hex::encode(found) != wanted => Err(AuditKeyError::Other {
            path: path.to_owned(),
            wanted,
        }),
        (Some(found), _) => Ok(Some(found)),
        (None, Some(wanted)) => {
            let mut public = [0; 32];
            Ok(hex::decode_to_slice(wanted, &mut public).ok().map(|()| public))
        }
        (None, None) => Ok(None),
    }
}

/// The public half of the key in a file, if there is one. Needs no database.
pub fn public_of(path: &Path) -> Result<Option<[u8; 32]>, KeyFileError> {
    let found = KIND.read(path)?;
    Ok(found.map(|bytes| FileSigner(SigningKey::from_bytes(&bytes)).public()))
}
