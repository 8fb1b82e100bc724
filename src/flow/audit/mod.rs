//! The audit log as it is kept: entries find their places, checkpoints are signed, closed days are entered.
//!
//! Promise: nothing is signed that does not extend what was signed before, and nothing is signed that is not durable.

pub mod certificate;
pub mod check;
pub mod clicks;
pub mod days;
pub mod export;
pub mod keeper;
pub mod list;
pub mod opening;
pub mod packs;
pub mod proofs;
pub mod published;
pub mod push;
pub mod read;

pub use keeper::LogKeeper;
pub use read::AuditFlow;

use crate::audit::guard::Remembered;
use crate::store::StoreError;

/// A tile or a leaf that should be there is not.
const GAP: StoreError = StoreError::Inconsistent {
    table: "audit_tile",
    column: "hashes",
};

/// Signs checkpoints. Only `app` holds a key; this is the place for a KMS.
pub trait CheckpointSigner: Send + Sync {
    /// The public key (Ed25519).
    fn public(&self) -> [u8; 32];

    /// A signature (Ed25519) over a checkpoint's text.
    fn sign(&self, text: &[u8]) -> Result<[u8; 64], SignerFailed>;
}

/// Remembers outside the database what was signed last.
pub trait Guard: Send + Sync {
    /// What was signed last for a log, named by its origin without the epoch.
    fn last(&self, log: &str) -> Option<Remembered>;

    /// Remembers durably, before any of it is signed.
    fn remember(&self, signed: &[(String, Remembered)]) -> Result<(), SignerFailed>;
}

/// A checkpoint could not be signed, or what is to be signed could not be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the checkpoint was not signed")]
pub struct SignerFailed;

/// The name of a log: its origin without the epoch. `tenant` is the tenant's id, or `server`.
pub fn log_name(name: &str, tenant: &str) -> String {
    format!("{name}/audit/{tenant}")
}
