//! Verifies what a log gave away, without the log: exports and proofs of single entries.
//!
//! The judging is `audit::export::verifier`; here members are read and the verdict is put into words. A verdict against
//! an export is no error of the program: it is printed, and the exit code says so too.

use std::fmt::Write;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::source::{self, Source};
use crate::audit::export::fault::Fault;
use crate::audit::export::verifier::{Opening, PublicKey, Report, Verifier};
use crate::audit::export::{CHECKPOINT, EARLIER, Kind, MANIFEST, SIGNATURE, SUMS};
use crate::audit::merkle::leaf_hash;
use crate::audit::note::{Checkpoint, NoteError};
use crate::audit::pack;
use crate::audit::proof::{ProofFile, ProofFileError, parse_proof_file};

/// Why nothing could be judged.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file cannot be read.
    #[error("cannot read {0}: {1}")]
    Read(&'static str, io::Error),
    /// The key is not one.
    #[error("--key is neither a verifier key nor a file with one or with PEM: {0}")]
    Key(NoteError),
}

/// Whether all was well.
pub type Verdict = Result<(), Refuted>;

/// What was looked at does not show what it claims; the text is the sentence that says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refuted(pub String);

/// Reads a key: the text itself, or a file with it.
pub fn read_key(argument: &str) -> Result<PublicKey, VerifyError> {
    match PublicKey::parse(argument) {
        Ok(key) => Ok(key),
        // A verifier key has two plus signs, which hardly any file's name has: then it is a key with a mistake.
        Err(error) if argument.matches('+').count() >= 2 && !Path::new(argument).exists() => {
            Err(VerifyError::Key(error))
        }
        Err(_) => {
            let bytes = source::read_small(Path::new(argument), "the key")?;
            let text = String::from_utf8(bytes).map_err(|_| VerifyError::Key(NoteError::Key))?;
            PublicKey::parse(&text).map_err(VerifyError::Key)
        }
    }
}

/// Judges an export. `since` is a signed checkpoint that the caller kept.
pub fn judge(
    source: &mut dyn Source,
    key: &PublicKey,
    since: Option<&[u8]>,
) -> Result<Result<Report, Fault>, VerifyError> {
    match judge_members(source, key, since) {
        Ok(report) => Ok(Ok(report)),
        Err(Stop::Fault(fault)) => Ok(Err(fault)),
        Err(Stop::Read(error)) => Err(VerifyError::Read("the export", error)),
    }
}

/// Why judging ended early.
enum Stop {
    Fault(Fault),
    Read(io::Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn judge_members(source: &mut dyn Source, key: &PublicKey, since: Option<&[u8]>) -> Result<Report, Stop> {
    let manifest = required(source, MANIFEST)?;
    let signature = required(source, SIGNATURE)?;
    let checkpoint = required(source, CHECKPOINT)?;
    let sums = required(source, SUMS)?;
    let earlier = source.read(EARLIER).map_err(Stop::Read)?;
    let opening = Opening {
        manifest: &manifest,
        signature: &signature,
        checkpoint: &checkpoint,
        earlier: earlier.as_deref(),
        sums: &sums,
        since,
    };
    let mut verifier = Verifier::open(&opening, key)?;
    for (number, pair) in verifier.files().to_vec().into_iter().enumerate() {
        // A missing file of entries is a gap in the log, which has a first index.
        let gap = |what| Fault::Entry {
            index: pair.first,
            what,
        };
        let entries = source.read(&pair.entries.name).map_err(Stop::Read)?;
        let entries = entries.ok_or_else(|| gap("the file that holds it is missing"))?;
        let beside = source.read(&pair.beside.name).map_err(Stop::Read)?;
        let beside = beside.ok_or_else(|| gap("the file beside it is missing"))?;
        verifier.feed(number, &entries, &beside)?;
    }
    for name in source.names() {
        verifier.check_name(&name)?;
    }
    Ok(verifier.finish()?)
}

fn required(source: &mut dyn Source, name: &str) -> Result<Vec<u8>, Stop> {
    let bytes = source.read(name).map_err(Stop::Read)?;
    let name = name.to_owned();
    bytes.ok_or(Stop::Fault(Fault::Missing { name }))
}

/// A verdict for programs.
#[derive(Serialize)]
struct Told<'a, T> {
    verified: bool,
    #[serde(flatten)]
    report: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_bad_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// A verdict on an export as text or JSON.
pub fn told(verdict: Result<Report, Fault>, json: bool) -> (String, Verdict) {
    match verdict {
        Ok(report) if json => (good(&report), Ok(())),
        Ok(report) => (in_words(&report), Ok(())),
        Err(fault) => {
            let sentence = fault.to_string();
            let text = if json {
                bad(fault.reason(), fault.first_bad_index(), &sentence)
            } else {
                String::new()
            };
            (text, Err(Refuted(sentence)))
        }
    }
}

fn good(report: impl Serialize) -> String {
    as_line(&Told {
        verified: true,
        report: Some(report),
        reason: None,
        first_bad_index: None,
        detail: None,
    })
}

fn bad(reason: &str, first_bad_index: Option<u64>, sentence: &str) -> String {
    as_line(&Told::<()> {
        verified: false,
        report: None,
        reason: Some(reason),
        first_bad_index,
        detail: Some(sentence.to_owned()),
    })
}

fn as_line(told: &impl Serialize) -> String {
    // Texts and numbers into memory: that cannot fail.
    serde_json::to_string(told).unwrap_or_default() + "\n"
}

fn in_words(report: &Report) -> String {
    let Report {
        origin,
        rows,
        from,
        to,
        size,
        root,
        ..
    } = report;
    let mut text = format!("{origin}: verified.\n");
    // Writing into a text cannot fail.
    let _ = match report.kind {
        Kind::Full => writeln!(
            text,
            "All {rows} entries from {from} to before {to} are as they were logged; none is missing."
        ),
        Kind::Filtered => writeln!(
            text,
            "{rows} entries are as they were logged. They were chosen by filters: that none is missing, only a full \
             export shows."
        ),
    };
    let _ = writeln!(
        text,
        "The signed checkpoint has {size} entries and the root {root}."
    );
    for earlier in [report.continues, report.since].into_iter().flatten() {
        let _ = writeln!(text, "It continues the earlier checkpoint of {earlier} entries.");
    }
    text
}

/// What a sound pack holds.
#[derive(Serialize)]
struct Packed {
    origin: String,
    tenant: String,
    from: String,
    to: String,
    size: u64,
    files: usize,
    proofs: usize,
}

/// A verdict on an evidence pack as text or JSON.
pub fn pack_told(bytes: &[u8], key: &PublicKey, json: bool) -> (String, Verdict) {
    let verified = pack::verify::verify(bytes, &key.public);
    let of_the_log = |sound: &pack::verify::Sound| {
        let is_of = key
            .name
            .as_ref()
            .is_none_or(|name| *name == sound.manifest.origin);
        is_of.then_some(()).ok_or(pack::verify::Fault::Checkpoint)
    };
    match verified.and_then(|sound| of_the_log(&sound).map(|()| sound)) {
        Ok(sound) => {
            let manifest = sound.manifest;
            let shown = Packed {
                files: manifest.files.len(),
                proofs: sound.proofs,
                origin: manifest.origin,
                tenant: manifest.tenant,
                from: manifest.from,
                to: manifest.to,
                size: manifest.size,
            };
            if json {
                return (good(&shown), Ok(()));
            }
            let Packed {
                origin,
                from,
                to,
                size,
                files,
                proofs,
                ..
            } = shown;
            let text = format!(
                "{origin}: verified.\n{files} files of the period from {from} to before {to} are as they were packed, and \
                 {proofs} sampled decisions are in the log of {size} entries.\n"
            );
            (text, Ok(()))
        }
        Err(fault) => {
            let sentence = fault.to_string();
            let text = if json {
                bad("pack_invalid", None, &sentence)
            } else {
                String::new()
            };
            (text, Err(Refuted(sentence)))
        }
    }
}

/// What a proof of one entry shows.
#[derive(Serialize)]
struct Shown {
    origin: String,
    index: u64,
    size: u64,
}

/// Judges a proof of one entry.
pub fn proof_told(proof: &[u8], key: &PublicKey, entry: &[u8], json: bool) -> (String, Verdict) {
    match judge_proof(proof, key, entry) {
        Ok(shown) if json => (good(shown), Ok(())),
        Ok(Shown { origin, index, size }) => {
            let text = format!(
                "{origin}: verified. The entry is number {index} of the {size} in the signed checkpoint.\n"
            );
            (text, Ok(()))
        }
        Err(error) => {
            let reason = match error {
                ProofFileError::Form => "proof_invalid",
                ProofFileError::Checkpoint(_) => "checkpoint_invalid",
                ProofFileError::Proof(_) => "entry_mismatch",
            };
            let text = if json {
                bad(reason, None, &error.to_string())
            } else {
                String::new()
            };
            (text, Err(Refuted(error.to_string())))
        }
    }
}

fn judge_proof(proof: &[u8], key: &PublicKey, entry: &[u8]) -> Result<Shown, ProofFileError> {
    let text = std::str::from_utf8(proof).map_err(|_| ProofFileError::Form)?;
    let proof: ProofFile = parse_proof_file(text)?;
    // PEM names no log: then it is the one that the checkpoint names, in the line that the signature is over.
    let told = proof.checkpoint.lines().next().unwrap_or_default();
    let name = key.name.as_deref().unwrap_or(told);
    let entry = entry.strip_suffix(b"\n").unwrap_or(entry);
    let Checkpoint { origin, size, .. } = proof.verify(&leaf_hash(entry), name, &key.public)?;
    let index = proof.index;
    Ok(Shown { origin, index, size })
}
