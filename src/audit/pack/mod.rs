//! Evidence packs: what a log says of a period, with its proofs, in one ZIP that verifies offline.
//!
//! Promise: the same entries, checkpoint, seed and documents give the same bytes. Every file stands in the manifest with its
//! SHA-256, and the log's key signs the manifest. Nothing in a pack is about a person.

pub mod index;
pub mod sample;
pub mod tally;
pub mod verify;

use std::io::{Cursor, Write};

use serde::{Deserialize, Serialize};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::domain::keys::sha256;

/// The form of packs that this version makes and reads.
pub const FORMAT: &str = "einklang evidence pack 1";
/// What every other file is listed in.
pub const MANIFEST: &str = "manifest.json";
/// The Ed25519 signature over the manifest's bytes, in base64.
pub const SIGNATURE: &str = "manifest.sig";
/// The signed checkpoint that the pack goes by (C2SP tlog-checkpoint).
pub const CHECKPOINT: &str = "checkpoint";
/// The folder of the sampled decisions.
pub const SAMPLE: &str = "sample/";

/// A file of a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRef {
    /// How many bytes.
    pub bytes: u64,
    /// Its name.
    pub name: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// How decisions were drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draw {
    /// How many there are in the period.
    pub decisions: u64,
    /// The indices that were drawn, in order.
    pub drawn: Vec<u64>,
    /// The rule, so that anybody can draw again.
    pub rule: String,
    /// The seed, in hexadecimal.
    pub seed: String,
}

/// What a pack is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Every file but the manifest and its signature, in the order of the index.
    pub files: Vec<FileRef>,
    /// [`FORMAT`].
    pub format: String,
    /// From this moment, RFC 3339 in UTC.
    pub from: String,
    /// The origin of the log.
    pub origin: String,
    /// The sample.
    pub sample: Draw,
    /// The size of the log that the pack goes by.
    pub size: u64,
    /// The program and its version.
    pub software: String,
    /// The tenant's id.
    pub tenant: String,
    /// Up to before this moment.
    pub to: String,
}

/// Why a pack cannot be written. The archive is made in memory, so only what does not fit the format fails.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The archive.
    #[error("the archive could not be written")]
    Archive(#[from] zip::result::ZipError),
    /// Writing into it.
    #[error("the archive could not be written")]
    Write(#[from] std::io::Error),
    /// A document.
    #[error("a document could not be written")]
    Document(#[from] serde_json::Error),
    /// The key.
    #[error("the manifest could not be signed")]
    Unsigned,
}

/// A file with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl File {
    /// A text.
    pub fn text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            bytes: text.into().into_bytes(),
        }
    }

    /// A document, indented for people.
    pub fn json(name: impl Into<String>, document: &impl Serialize) -> Result<Self, PackError> {
        let mut text = serde_json::to_string_pretty(document)?;
        text.push('\n');
        Ok(Self::text(name, text))
    }

    fn reference(&self) -> FileRef {
        FileRef {
            bytes: self.bytes.len() as u64,
            name: self.name.clone(),
            sha256: hex::encode(sha256(&self.bytes)),
        }
    }
}

/// Writes a pack. `manifest` comes without its files; `sign` makes the log key's Ed25519 signature.
pub fn write(
    mut manifest: Manifest,
    files: &[File],
    sign: impl FnOnce(&[u8]) -> Option<[u8; 64]>,
) -> Result<Vec<u8>, PackError> {
    use base64::Engine;
    manifest.files = files.iter().map(File::reference).collect();
    let manifest = File::json(MANIFEST, &manifest)?;
    let signature = sign(&manifest.bytes).ok_or(PackError::Unsigned)?;
    let signature = base64::engine::general_purpose::STANDARD.encode(signature);
    let signature = File::text(SIGNATURE, format!("{signature}\n"));
    // No time and no compression: both would make the bytes depend on something else than the input.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for file in files.iter().chain([&manifest, &signature]) {
        archive.start_file(file.name.as_str(), options)?;
        archive.write_all(&file.bytes)?;
    }
    Ok(archive.finish()?.into_inner())
}
