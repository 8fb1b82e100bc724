//! Exports: a piece of a log in files that prove themselves, with a key and nothing else (`docs/verifying.md`).
//!
//! A **full** export holds every entry from one index to another. Whoever checks it continues the tree from the frontier
//! before the first entry and must come out at the signed root, so that nothing can be missing. A **filtered** export
//! holds some entries, each with its inclusion proof: what is there is genuine, what is not there is not spoken of.
//! Read `writer` for how one is made, member by member with flat memory, then `verifier` for how it is judged.

pub mod archive;
pub mod fault;
pub mod row;
pub mod verifier;
pub mod writer;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::merkle::Hash;
use row::Content;

/// The format that is written and read.
pub const FORMAT: &str = "einklang-audit-export/1";
/// The signed checkpoint that the entries lead to.
pub const CHECKPOINT: &str = "checkpoint";
/// An earlier signed checkpoint that the checkpoint continues; not in every export.
pub const EARLIER: &str = "earlier-checkpoint";
/// What the export claims to be.
pub const MANIFEST: &str = "manifest.json";
/// The Ed25519 signature over the manifest's bytes, in base64.
pub const SIGNATURE: &str = "manifest.sig";
/// All other members' SHA-256, for `sha256sum -c`.
pub const SUMS: &str = "SHA256SUMS";
/// Lines of entries in a file, at most.
pub const ROWS_MAX: u64 = 10_000;
/// A file of entries ends after the line with which it reaches this, in bytes.
pub const FILE_BYTES: usize = 4 << 20;
/// Rows of a filtered export, at most.
pub const FILTERED_ROWS_MAX: u64 = 10_000;

/// A file of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, without a folder.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Which entries an export holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// All from one index to another.
    Full,
    /// Those that filters chose.
    Filtered,
}

/// What an export claims to be; its bytes are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `FORMAT`.
    pub format: String,
    /// The program and version that wrote it.
    pub software: String,
    /// When, RFC 3339.
    pub created_at: String,
    /// The time zone of all times in it.
    pub time_zone: String,
    /// The log.
    pub origin: String,
    /// The log's epoch.
    pub epoch: u64,
    /// All entries, or some.
    pub kind: Kind,
    /// The form of the entries' files.
    pub content: Content,
    /// The filters by their names; empty in a full export.
    pub filters: BTreeMap<String, String>,
    /// The index of the first entry that may be in it.
    pub from: u64,
    /// The index after the last one.
    pub to: u64,
    /// How many entries it holds.
    pub rows: u64,
    /// The files of entries, in order.
    pub files: Vec<FilePair>,
    /// Full: the complete subtrees of the tree of size `from`, greatest first, in base64. Otherwise empty.
    #[serde(with = "base64_hashes")]
    pub frontier: Vec<Hash>,
    /// Full: the consistency proof from size `to` to the checkpoint's; empty where they are the same. Otherwise empty.
    #[serde(with = "base64_hashes")]
    pub to_checkpoint: Vec<Hash>,
    /// The checkpoint.
    pub checkpoint: NoteRef,
    /// The earlier checkpoint, with the consistency proof from it to the checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<EarlierRef>,
}

/// A file of entries and the file of what stands beside them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilePair {
    /// The entries, one a line.
    pub entries: FileRef,
    /// Full: their leaf hashes, 32 bytes each. Filtered: their proofs, one a line.
    pub beside: FileRef,
    /// The first entry's index.
    pub first: u64,
    /// How many entries.
    pub rows: u64,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRef {
    /// Its name.
    pub name: String,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// A checkpoint's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoteRef {
    /// The size that it is of.
    pub size: u64,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// The earlier checkpoint's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlierRef {
    /// The size that it is of.
    pub size: u64,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// The consistency proof from it to the checkpoint.
    #[serde(with = "base64_hashes")]
    pub consistency: Vec<Hash>,
}

/// The proof of one line of a filtered export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowProof {
    /// The entry's index.
    pub index: u64,
    /// Its inclusion proof.
    #[serde(with = "base64_hashes")]
    pub hashes: Vec<Hash>,
}

impl Manifest {
    /// The names of all members that an export with this manifest has.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        let pairs = self.files.iter().flat_map(|pair| [&pair.entries, &pair.beside]);
        let earlier = self.earlier.as_ref().map(|_| EARLIER);
        pairs
            .map(|file| file.name.as_str())
            .chain([CHECKPOINT, MANIFEST, SIGNATURE, SUMS])
            .chain(earlier)
    }
}

/// The SHA-256 of bytes, in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Lines as `sha256sum` writes and reads them.
fn sums<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let lines = files
        .into_iter()
        .map(|(name, digest)| format!("{digest}  {name}\n"));
    lines.collect()
}

/// Hashes in JSON: texts in base64 (RFC 4648, section 4).
mod base64_hashes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::audit::merkle::Hash;
    use crate::audit::note::hash;

    pub fn serialize<S: Serializer>(hashes: &[Hash], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(hashes.iter().map(|hash| STANDARD.encode(hash)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Hash>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let hashes: Option<Vec<Hash>> = texts.iter().map(|text| hash(text)).collect();
        hashes.ok_or_else(|| D::Error::custom("not a SHA-256 in base64"))
    }
}
