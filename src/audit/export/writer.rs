//! Makes an export from entries that arrive one by one, and hands its members on as soon as they are whole.
//!
//! Memory stays flat: at most one file of entries (about 4 MiB, or one entry more) is held, whatever the export's size.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::row::Content;
use super::{
    CHECKPOINT, EARLIER, EarlierRef, FILE_BYTES, FILTERED_ROWS_MAX, FORMAT, FilePair, FileRef, Kind,
    MANIFEST, Manifest, Member, NoteRef, ROWS_MAX, RowProof, SIGNATURE, SUMS, digest, sums,
};
use crate::audit::merkle::Hash;
use crate::audit::note::{Checkpoint, NoteError};

/// What is known of an export before its first entry.
#[derive(Debug, Clone)]
pub struct Head {
    /// The program and its version, for example `einklang 0.1.0`.
    pub software: String,
    /// When, RFC 3339 in UTC.
    pub created_at: String,
    /// The log's epoch.
    pub epoch: u64,
    /// All entries, or some.
    pub kind: Kind,
    /// The form of the files of entries.
    pub content: Content,
    /// The filters by their names.
    pub filters: BTreeMap<String, String>,
    /// The first index.
    pub from: u64,
    /// The index after the last, at most the checkpoint's size.
    pub to: u64,
    /// Full: `Tiles::frontier(from)`.
    pub frontier: Vec<Hash>,
    /// Full: `Tiles::consistency(to, size of the checkpoint)`.
    pub to_checkpoint: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// An earlier signed checkpoint, and `Tiles::consistency` from its size to the checkpoint's.
    pub earlier: Option<(String, Vec<Hash>)>,
}

/// What goes with an entry.
#[derive(Debug, Clone, Copy)]
pub enum Beside<'a> {
    /// Full: the leaf hash **as the log's tiles have it**, not made of these bytes again: it is what later tells which
    /// entry was changed in the database.
    Leaf(&'a Hash),
    /// Filtered: the inclusion proof under the checkpoint.
    Proof(&'a [Hash]),
}

/// Why an export cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// Entries must come in order; those of a full export without a gap; and within the announced range.
    #[error("entry {0} does not come in order")]
    Order(u64),
    /// A full export takes leaf hashes, a filtered one proofs.
    #[error("entry {0} comes with what belongs to the other kind of export")]
    Beside(u64),
    /// Its bytes hold a line break or are no text: it was not written by this log.
    #[error("entry {0} cannot be written as a line")]
    Line(u64),
    /// More than a filtered export may hold.
    #[error("more than {FILTERED_ROWS_MAX} rows")]
    Rows,
    /// A full export that ends too early.
    #[error("the export ends at entry {0}, before its announced end")]
    Short(u64),
    /// A checkpoint that does not read.
    #[error("a checkpoint of the export: {0}")]
    Note(#[from] NoteError),
    /// The manifest could not be written.
    #[error("the manifest could not be written")]
    Manifest,
}

/// An export in the making.
#[derive(Debug)]
pub struct ExportWriter {
    head: Head,
    checkpoint: Checkpoint,
    earlier: Option<EarlierRef>,
    rows: u64,
    /// The lowest index that may come next.
    next: u64,
    files: Vec<FilePair>,
    open: Open,
}

/// The pair of files that is being filled.
#[derive(Debug, Default)]
struct Open {
    first: u64,
    rows: u64,
    entries: Vec<u8>,
    beside: Vec<u8>,
}

impl ExportWriter {
    /// Begins an export.
    pub fn new(head: Head) -> Result<Self, ExportError> {
        let checkpoint = unopened(&head.checkpoint)?;
        let earlier = match &head.earlier {
            Some((note, consistency)) => Some(EarlierRef {
                size: unopened(note)?.size,
                sha256: digest(note.as_bytes()),
                consistency: consistency.clone(),
            }),
            None => None,
        };
        Ok(Self {
            checkpoint,
            earlier,
            rows: 0,
            next: head.from,
            files: Vec::new(),
            open: Open::default(),
            head,
        })
    }

    /// Adds an entry's stored bytes; gives the members that became whole by it, to be sent in this order.
    pub fn push(&mut self, index: u64, body: &[u8], beside: Beside<'_>) -> Result<Vec<Member>, ExportError> {
        let is_next = match self.head.kind {
            Kind::Full => index == self.next,
            Kind::Filtered => index >= self.next,
        };
        if !is_next || index >= self.head.to {
            return Err(ExportError::Order(index));
        }
        if self.head.kind == Kind::Filtered && self.rows == FILTERED_ROWS_MAX {
            return Err(ExportError::Rows);
        }
        let content = self.head.content;
        if self.open.rows == 0 {
            self.open.first = index;
            self.open.entries.extend_from_slice(content.header().as_bytes());
        }
        if !content.write(index, body, &mut self.open.entries) {
            return Err(ExportError::Line(index));
        }
        match (self.head.kind, beside) {
            (Kind::Full, Beside::Leaf(hash)) => self.open.beside.extend_from_slice(hash),
            (Kind::Filtered, Beside::Proof(hashes)) => {
                let hashes = hashes.to_vec();
                let line = serde_json::to_vec(&RowProof { index, hashes });
                self.open.beside.extend(line.map_err(|_| ExportError::Manifest)?);
                self.open.beside.push(b'\n');
            }
            _ => return Err(ExportError::Beside(index)),
        }
        self.open.rows += 1;
        self.rows += 1;
        self.next = index + 1;
        let is_whole = self.open.rows == ROWS_MAX || self.open.entries.len() >= FILE_BYTES;
        Ok(if is_whole { self.close() } else { Vec::new() })
    }

    fn close(&mut self) -> Vec<Member> {
        let open = std::mem::take(&mut self.open);
        if open.rows == 0 {
            return Vec::new();
        }
        let number = self.files.len();
        let beside = match self.head.kind {
            Kind::Full => format!("hashes-{number:06}.bin"),
            Kind::Filtered => format!("proofs-{number:06}.jsonl"),
        };
        let entries = Member {
            name: format!("entries-{number:06}.{}", self.head.content.ending()),
            bytes: open.entries,
        };
        let beside = Member {
            name: beside,
            bytes: open.beside,
        };
        self.files.push(FilePair {
            entries: file(&entries),
            beside: file(&beside),
            first: open.first,
            rows: open.rows,
        });
        vec![entries, beside]
    }

    /// Ends the export: the rest of its members. `sign` makes the log key's Ed25519 signature over the manifest.
    pub fn finish(mut self, sign: impl FnOnce(&[u8]) -> [u8; 64]) -> Result<Vec<Member>, ExportError> {
        if self.head.kind == Kind::Full && self.next != self.head.to {
            return Err(ExportError::Short(self.next));
        }
        let mut members = self.close();
        let mut add = |name: &str, bytes: Vec<u8>| {
            let name = name.to_owned();
            members.push(Member { name, bytes });
        };
        let manifest = self.manifest();
        let mut bytes = serde_json::to_vec_pretty(&manifest).map_err(|_| ExportError::Manifest)?;
        bytes.push(b'\n');
        let signature = STANDARD.encode(sign(&bytes)) + "\n";
        let sums = sums_of(&manifest, &bytes, signature.as_bytes());
        add(CHECKPOINT, self.head.checkpoint.into_bytes());
        if let Some((note, _)) = self.head.earlier {
            add(EARLIER, note.into_bytes());
        }
        add(MANIFEST, bytes);
        add(SIGNATURE, signature.into_bytes());
        add(SUMS, sums.into_bytes());
        Ok(members)
    }

    fn manifest(&self) -> Manifest {
        let head = &self.head;
        Manifest {
            format: FORMAT.to_owned(),
            software: head.software.clone(),
            created_at: head.created_at.clone(),
            time_zone: "UTC".to_owned(),
            origin: self.checkpoint.origin.clone(),
            epoch: head.epoch,
            kind: head.kind,
            content: head.content,
            filters: head.filters.clone(),
            from: head.from,
            to: head.to,
            rows: self.rows,
            files: self.files.clone(),
            frontier: head.frontier.clone(),
            to_checkpoint: head.to_checkpoint.clone(),
            checkpoint: NoteRef {
                size: self.checkpoint.size,
                sha256: digest(head.checkpoint.as_bytes()),
            },
            earlier: self.earlier.clone(),
        }
    }
}

fn file(member: &Member) -> FileRef {
    FileRef {
        name: member.name.clone(),
        sha256: digest(&member.bytes),
    }
}

/// The checkpoint in a note that this server signed itself, without asking for a key again.
fn unopened(note: &str) -> Result<Checkpoint, NoteError> {
    let (text, _) = note.rsplit_once("\n\n").ok_or(NoteError::Note)?;
    Checkpoint::parse(&format!("{text}\n"))
}

/// The content of `SUMS`: every member but itself.
pub(super) fn sums_of(manifest: &Manifest, bytes: &[u8], signature: &[u8]) -> String {
    let pairs = manifest
        .files
        .iter()
        .flat_map(|pair| [&pair.entries, &pair.beside]);
    let files = pairs.map(|file| (file.name.as_str(), file.sha256.as_str()));
    let earlier = manifest
        .earlier
        .as_ref()
        .map(|earlier| (EARLIER, earlier.sha256.as_str()));
    let (of_manifest, of_signature) = (digest(bytes), digest(signature));
    let last = [
        (MANIFEST, of_manifest.as_str()),
        (SIGNATURE, of_signature.as_str()),
    ];
    let checkpoint = (CHECKPOINT, manifest.checkpoint.sha256.as_str());
    sums(files.chain([checkpoint]).chain(earlier).chain(last))
}
