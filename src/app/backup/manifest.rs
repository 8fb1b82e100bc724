//! What a backup says of itself: JSON, and beside it its digest in a C2SP signed note under the key that signs the audit
//! log.
//!
//! Whoever changes a backup, or puts one half of it beside the other half of another, contradicts it.

use serde::{Deserialize, Serialize};

use super::sealed::Extent;
use crate::audit::note::{NoteError, note, open_note};
use crate::domain::keys::sha256;
use crate::flow::audit::{CheckpointSigner, SignerFailed};
use crate::store::backup::{CopiedHead, Facts};

/// The name that signs: no log's origin, so that neither signature passes for the other.
const NAME: &str = "einklang-backup";
/// The version of the form.
const VERSION: u8 = 1;

/// A backup's description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this form.
    pub v: u8,
    /// The version of the program that made it.
    pub program: String,
    /// `sqlite` or `postgresql`.
    pub database: String,
    /// The moment it is of, in milliseconds since 1970. Everything that was committed before is in it.
    pub taken_at_ms: i64,
    /// The migrations that had been applied.
    pub migrations: Vec<String>,
    /// The public name of the root key that opens it.
    pub root_key: Option<String>,
    /// The public half of the audit key, in hexadecimal.
    pub audit_key: String,
    /// The public name of the backup key.
    pub backup_key: String,
    /// The public name of the erasure journal's key, where it was known.
    pub journal_key: Option<String>,
    /// Everything but salts and keys.
    pub data: SealedFile,
    /// Salts and wrapped keys.
    pub keys: SealedFile,
    /// Every log's latest epoch.
    pub logs: Vec<Log>,
}

/// The public names of the keys that a backup goes with.
pub struct Names {
    /// The audit key's public half, in hexadecimal.
    pub audit_key: String,
    /// The backup key's.
    pub backup_key: String,
    /// The journal key's, where it is known.
    pub journal_key: Option<String>,
}

/// One of the two files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedFile {
    /// Its length.
    pub bytes: u64,
    /// SHA-256 over it, in hexadecimal.
    pub sha256: String,
}

impl From<Extent> for SealedFile {
    fn from(extent: Extent) -> Self {
        Self {
            bytes: extent.bytes,
            sha256: hex::encode(extent.sha256),
        }
    }
}

/// A log as it stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The tenant's number; 0 is the server's log.
    pub tenant: i64,
    /// The epoch.
    pub epoch: i64,
    /// How many entries it had.
    pub size: i64,
    /// Its latest checkpoint.
    pub checkpoint: Option<String>,
}

impl From<CopiedHead> for Log {
    fn from(head: CopiedHead) -> Self {
        let CopiedHead {
            tenant,
            epoch,
            size,
            checkpoint,
        } = head;
        Self {
            tenant,
            epoch,
            size,
            checkpoint,
        }
    }
}

impl Manifest {
    /// Of a database at one moment, and the two files that were made of it.
    pub fn of(database: &str, facts: Facts, taken_at_ms: i64, files: [Extent; 2], names: Names) -> Self {
        let root_key = facts.setting("root_key").map(str::to_owned);
        let [data, keys] = files.map(SealedFile::from);
        let Names {
            audit_key,
            backup_key,
            journal_key,
        } = names;
        Self {
            v: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            database: database.to_owned(),
            taken_at_ms,
            migrations: facts.migrations,
            root_key,
            audit_key,
            backup_key,
            journal_key,
            data,
            keys,
            logs: facts.heads.into_iter().map(Log::from).collect(),
        }
    }

    /// The manifest as it is written, and the signed note that names its digest.
    pub fn sign(&self, signer: &dyn CheckpointSigner) -> Result<(String, String), SignerFailed> {
        // Serialising texts and numbers into memory cannot fail.
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        let named = digest_text(&text);
        let signature = signer.sign(named.as_bytes())?;
        let note = note(&named, NAME, &signer.public(), &signature);
        Ok((text, note))
    }

    /// Reads a manifest whose digest stands in a note that this key signed.
    pub fn open(text: &str, signed: &str, public: &[u8; 32]) -> Result<Self, NoteError> {
        if open_note(signed, NAME, public)? != digest_text(text) {
            return Err(NoteError::Signature);
        }
        let manifest: Self = serde_json::from_str(text).map_err(|_| NoteError::Note)?;
        if manifest.v == VERSION {
            Ok(manifest)
        } else {
            Err(NoteError::Note)
        }
    }

    /// The moment as people read it.
    pub fn taken_at(&self) -> String {
        time_text(self.taken_at_ms)
    }
}

fn digest_text(manifest: &str) -> String {
    format!("{NAME}\n{}\n", hex::encode(sha256(manifest.as_bytes())))
}

/// A time as people read it: RFC 3339, in UTC.
pub fn time_text(at_ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(at_ms).unwrap_or_default();
    time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
