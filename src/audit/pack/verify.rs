//! Verifying a pack offline: its signature, every file's hash, the checkpoint, and every sampled decision's proof.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};

use base64::Engine;
use zip::ZipArchive;

use super::{CHECKPOINT, FORMAT, MANIFEST, Manifest, SAMPLE, SIGNATURE};
use crate::audit::merkle::leaf_hash;
use crate::audit::note::{Checkpoint, is_signed_by, open_note};
use crate::audit::proof::parse_proof_file;
use crate::domain::keys::sha256;

/// The most bytes that a pack may unfold to: what is signed is far smaller.
const UNFOLDED_MAX: u64 = 1 << 30;

/// What is wrong with a pack. The first thing that is found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not a ZIP, or damaged.
    #[error("not a ZIP, or damaged")]
    Archive,
    /// A file that has to be there is not.
    #[error("{0} is not there")]
    Missing(String),
    /// A file that the manifest does not name.
    #[error("{0} stands in no manifest")]
    Surplus(String),
    /// The signature is not the key's.
    #[error("the manifest is not signed by this key")]
    Unsigned,
    /// The manifest does not read.
    #[error("the manifest does not read, or is of another form")]
    Manifest,
    /// A file's bytes are not those of the manifest.
    #[error("{0} is not what the manifest says")]
    Altered(String),
    /// The checkpoint is not signed by the key, or not for this log and size.
    #[error("the checkpoint is not signed by this key for this log and size")]
    Checkpoint,
    /// A sampled entry's proof does not hold.
    #[error("the proof of entry {0} does not hold")]
    Proof(u64),
    /// What was drawn and what is there differ.
    #[error("the sample is not what the manifest says was drawn")]
    Sample,
}

/// What a sound pack holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sound {
    /// The manifest.
    pub manifest: Manifest,
    /// How many proofs hold.
    pub proofs: usize,
}

/// Verifies a pack with the log's public key.
pub fn verify(bytes: &[u8], public: &[u8; 32]) -> Result<Sound, Fault> {
    let files = unfold(bytes)?;
    let file = |name: &str| files.get(name).ok_or_else(|| Fault::Missing(name.to_owned()));
    let manifest_bytes = file(MANIFEST)?;
    let signature = std::str::from_utf8(file(SIGNATURE)?).ok();
    let signature = signature.and_then(|text| {
        base64::engine::general_purpose::STANDARD
            .decode(text.trim_end())
            .ok()
    });
    let signature: [u8; 64] = signature
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(Fault::Unsigned)?;
    if is_signed_by(manifest_bytes, public, &signature) != Ok(true) {
        return Err(Fault::Unsigned);
    }
    let manifest: Manifest = serde_json::from_slice(manifest_bytes).map_err(|_| Fault::Manifest)?;
    if manifest.format != FORMAT {
        return Err(Fault::Manifest);
    }
    let mut listed = BTreeSet::from([MANIFEST, SIGNATURE]);
    for one in &manifest.files {
        let bytes = file(&one.name)?;
        if bytes.len() as u64 != one.bytes || hex::encode(sha256(bytes)) != one.sha256 {
            return Err(Fault::Altered(one.name.clone()));
        }
        listed.insert(&one.name);
    }
    if let Some(other) = files.keys().find(|name| !listed.contains(name.as_str())) {
        return Err(Fault::Surplus(other.clone()));
    }
    let note = std::str::from_utf8(file(CHECKPOINT)?).map_err(|_| Fault::Checkpoint)?;
    let text = open_note(note, &manifest.origin, public).map_err(|_| Fault::Checkpoint)?;
    let checkpoint = Checkpoint::parse(&text).map_err(|_| Fault::Checkpoint)?;
    if checkpoint.origin != manifest.origin || checkpoint.size != manifest.size {
        return Err(Fault::Checkpoint);
    }
    let proofs = sample(&files, &manifest, public)?;
    Ok(Sound { manifest, proofs })
}

fn sample(files: &BTreeMap<String, Vec<u8>>, manifest: &Manifest, public: &[u8; 32]) -> Result<usize, Fault> {
    let members = files.keys().filter(|name| name.starts_with(SAMPLE)).count();
    if members != 2 * manifest.sample.drawn.len() {
        return Err(Fault::Sample);
    }
    for index in &manifest.sample.drawn {
        let entry = files.get(&entry_name(*index)).ok_or(Fault::Sample)?;
        let proof = files.get(&proof_name(*index)).ok_or(Fault::Sample)?;
        let broken = || Fault::Proof(*index);
        let proof = std::str::from_utf8(proof).map_err(|_| broken())?;
        let proof = parse_proof_file(proof).map_err(|_| broken())?;
        if proof.index != *index {
            return Err(broken());
        }
        proof
            .verify(&leaf_hash(entry), &manifest.origin, public)
            .map_err(|_| broken())?;
    }
    Ok(manifest.sample.drawn.len())
}

/// The file of a sampled entry's bytes.
pub fn entry_name(index: u64) -> String {
    format!("{SAMPLE}{index}.json")
}

/// The file of its proof (C2SP tlog-proof).
pub fn proof_name(index: u64) -> String {
    format!("{SAMPLE}{index}.tlog-proof")
}

fn unfold(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, Fault> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| Fault::Archive)?;
    let mut files = BTreeMap::new();
    let mut left = UNFOLDED_MAX;
    for place in 0..archive.len() {
        let member = archive.by_index(place).map_err(|_| Fault::Archive)?;
        let name = member.name().map_err(|_| Fault::Archive)?.into_owned();
        let mut content = Vec::new();
        let read = member
            .take(left)
            .read_to_end(&mut content)
            .map_err(|_| Fault::Archive)?;
        left -= read as u64;
        // Two members of one name: a reader that takes the other one would see something else.
        if left == 0 || files.insert(name, content).is_some() {
            return Err(Fault::Archive);
        }
    }
    Ok(files)
}
