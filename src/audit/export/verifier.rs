//! Judges an export: fed with its members one after the other, it ends in a report or in the first fault.
//!
//! Nothing in an export is believed before it is shown. The key vouches for the checkpoint and the manifest, the
//! checkpoint for the entries; the hashes beside the entries only help to say *which* entry is wrong, and must lead to
//! the signed root themselves.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::fault::Fault;
use super::writer::sums_of;
use super::{
    CHECKPOINT, EARLIER, FORMAT, FilePair, Kind, MANIFEST, Manifest, RowProof, SIGNATURE, SUMS, digest,
};
use crate::audit::frontier::Frontier;
use crate::audit::merkle::{self, Hash, leaf_hash, verify_consistency, verify_inclusion};
use crate::audit::note::{self, Checkpoint, NoteError, is_signed_by, open_note};

/// What a caller calls its own checkpoint in faults.
const SINCE: &str = "the earlier checkpoint";

/// Whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// The Ed25519 key.
    pub public: [u8; 32],
    /// The log that it was given for; none where it came as PEM.
    pub name: Option<String>,
}

impl PublicKey {
    /// Reads a verifier key (`<origin>+<key id>+<key>`) or PEM.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let text = text.trim();
        if text.starts_with("-----") {
            let public = note::parse_pem(text)?;
            return Ok(Self { public, name: None });
        }
        let (name, public) = note::parse_vkey(text)?;
        let name = Some(name);
        Ok(Self { public, name })
    }
}

/// The members that are read first.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// `MANIFEST`.
    pub manifest: &'a [u8],
    /// `SIGNATURE`.
    pub signature: &'a [u8],
    /// `CHECKPOINT`.
    pub checkpoint: &'a [u8],
    /// `EARLIER`.
    pub earlier: Option<&'a [u8]>,
    /// `SUMS`.
    pub sums: &'a [u8],
    /// A signed checkpoint that the caller kept.
    pub since: Option<&'a [u8]>,
}

/// What an export was shown to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The log.
    pub origin: String,
    /// The log's epoch.
    pub epoch: u64,
    /// All entries of the range, or some.
    pub kind: Kind,
    /// The filters, by the operator's word.
    pub filters: BTreeMap<String, String>,
    /// The first index.
    pub from: u64,
    /// The index after the last.
    pub to: u64,
    /// How many entries were checked.
    pub rows: u64,
    /// The checkpoint's size.
    pub size: u64,
    /// The checkpoint's root, in base64.
    pub root: String,
    /// The size of the earlier checkpoint in the export that the log continues.
    pub continues: Option<u64>,
    /// The size of the caller's own checkpoint that the log continues.
    pub since: Option<u64>,
}

/// An export that is being judged.
#[derive(Debug)]
pub struct Verifier {
    manifest: Manifest,
    checkpoint: Checkpoint,
    earlier: Option<Checkpoint>,
    since: Option<Checkpoint>,
    /// The tree of all entries so far; used in full exports.
    tree: Frontier,
    /// The root at the size of `since`, once the entries have come so far.
    root_at_since: Option<Hash>,
    /// The lowest index that may come next in a filtered export.
    next: u64,
    rows: u64,
    /// Told last: whoever changed an entry may have written its new sum there.
    sums_fit: bool,
}

impl Verifier {
    /// Opens an export: signatures, and that the manifest agrees with the checkpoint and with itself.
    pub fn open(opening: &Opening<'_>, key: &PublicKey) -> Result<Self, Fault> {
        let signature = std::str::from_utf8(opening.signature).ok().and_then(|text| {
            let bytes = STANDARD.decode(text.trim_end()).ok()?;
            <[u8; 64]>::try_from(bytes).ok()
        });
        let signature = signature.ok_or(Fault::Signature)?;
        if is_signed_by(opening.manifest, &key.public, &signature) != Ok(true) {
            return Err(Fault::Signature);
        }
        let manifest: Manifest = serde_json::from_slice(opening.manifest)
            .map_err(|error| invalid(&format!("line {}", error.line())))?;
        if manifest.format != FORMAT {
            return Err(invalid("another format or version"));
        }
        if key.name.as_ref().is_some_and(|name| *name != manifest.origin) {
            return Err(Fault::OtherLog);
        }
        let open = |name, bytes| open_checkpoint(name, bytes, &manifest.origin, &key.public);
        let checkpoint = open(CHECKPOINT, opening.checkpoint)?;
        let earlier = match (&manifest.earlier, opening.earlier) {
            (Some(_), Some(bytes)) => Some(open(EARLIER, bytes)?),
            (Some(_), None) => {
                return Err(Fault::Missing {
                    name: EARLIER.to_owned(),
                });
            }
            (None, _) => None,
        };
        let since = opening.since.map(|bytes| open(SINCE, bytes)).transpose()?;
        // The signed manifest says which checkpoints it was written for: a genuine one of another time is not them.
        if digest(opening.checkpoint) != manifest.checkpoint.sha256
            || checkpoint.size != manifest.checkpoint.size
        {
            return Err(Fault::Changed { name: CHECKPOINT });
        }
        if let (Some(told), Some(bytes), Some(earlier)) = (&manifest.earlier, opening.earlier, &earlier)
            && (digest(bytes) != told.sha256 || earlier.size != told.size)
        {
            return Err(Fault::Changed { name: EARLIER });
        }
        let sums_fit = sums_of(&manifest, opening.manifest, opening.signature).as_bytes() == opening.sums;
        check_ranges(&manifest, checkpoint.size)?;
        let tree = match manifest.kind {
            Kind::Full => Frontier::new(manifest.from, manifest.frontier.clone())
                .ok_or_else(|| invalid("a frontier of another size"))?,
            Kind::Filtered => Frontier::default(),
        };
        let mut verifier = Self {
            next: manifest.from,
            rows: 0,
            root_at_since: None,
            sums_fit,
            manifest,
            checkpoint,
            earlier,
            since,
            tree,
        };
        verifier.check_since_is_in_reach()?;
        verifier.note_root();
        Ok(verifier)
    }

    /// The pairs of files to be fed, in this order.
    pub fn files(&self) -> &[FilePair] {
        &self.manifest.files
    }

    /// Refuses a member that the manifest does not name.
    pub fn check_name(&self, name: &str) -> Result<(), Fault> {
        if self.manifest.members().any(|member| member == name) {
            return Ok(());
        }
        let name = name.chars().filter(|c| !c.is_control()).take(60).collect();
        Err(Fault::Unknown { name })
    }

    /// Feeds a pair of files, by its number in `files`; they must come in order.
    pub fn feed(&mut self, number: usize, entries: &[u8], beside: &[u8]) -> Result<(), Fault> {
        let pair = self.manifest.files.get(number).cloned();
        let pair = pair.ok_or_else(|| invalid("fewer files than were fed"))?;
        match self.manifest.kind {
            Kind::Full => self.feed_full(&pair, entries, beside)?,
            Kind::Filtered => self.feed_filtered(&pair, entries, beside)?,
        }
        // Every line fits; what is left are bytes around the lines.
        for (file, bytes) in [(&pair.entries, entries), (&pair.beside, beside)] {
            if digest(bytes) != file.sha256 {
                let name = file.name.clone();
                return Err(Fault::File {
                    name,
                    index: pair.first,
                });
            }
        }
        Ok(())
    }

    fn feed_full(&mut self, pair: &FilePair, entries: &[u8], beside: &[u8]) -> Result<(), Fault> {
        if pair.first != self.tree.size() {
            return Err(invalid("files that do not follow one another"));
        }
        let mut lines = self.lines(entries, pair)?;
        let (hashes, _) = beside.as_chunks::<32>();
        for (row, index) in (pair.first..pair.first + pair.rows).enumerate() {
            let body = self.body(index, lines.next())?;
            let leaf = leaf_hash(&body);
            match hashes.get(row) {
                Some(hash) if *hash == leaf => {}
                Some(_) => return Err(bad(index, "its bytes are not those that were logged")),
                None => return Err(bad(index, "its hash is missing")),
            }
            self.tree.push(leaf);
            self.rows += 1;
            self.note_root();
        }
        match lines.next() {
            None => Ok(()),
            Some(_) => Err(bad(pair.first + pair.rows, "it was inserted")),
        }
    }

    fn feed_filtered(&mut self, pair: &FilePair, entries: &[u8], beside: &[u8]) -> Result<(), Fault> {
        let mut lines = self.lines(entries, pair)?;
        let mut proofs = beside.split(|byte| *byte == b'\n');
        let mut index = pair.first;
        for _ in 0..pair.rows {
            let proof = proofs
                .next()
                .and_then(|line| serde_json::from_slice::<RowProof>(line).ok());
            let proof = proof.ok_or_else(|| bad(index, "its proof is missing or broken"))?;
            index = proof.index;
            if index < self.next || index >= self.manifest.to {
                return Err(bad(index, "it is out of order"));
            }
            let body = self.body(index, lines.next())?;
            let Checkpoint { size, root, .. } = &self.checkpoint;
            verify_inclusion(index, *size, &leaf_hash(&body), &proof.hashes, root)
                .map_err(|_| bad(index, "its bytes and its proof do not lead to the signed root"))?;
            self.next = index + 1;
            self.rows += 1;
        }
        match lines.next() {
            None => Ok(()),
            Some(_) => Err(bad(index + 1, "a line too many follows the entry before")),
        }
    }

    /// The lines of a file, without its header and without the line break at its end.
    fn lines<'a>(
        &self,
        entries: &'a [u8],
        pair: &FilePair,
    ) -> Result<impl Iterator<Item = &'a [u8]> + use<'a>, Fault> {
        let header = self.manifest.content.header();
        let rest = entries.strip_prefix(header.as_bytes());
        let rest = rest.ok_or_else(|| Fault::File {
            name: pair.entries.name.clone(),
            index: pair.first,
        })?;
        let lines = rest.strip_suffix(b"\n").unwrap_or(rest);
        let is_empty = lines.is_empty() && pair.rows == 0;
        Ok(lines.split(|byte| *byte == b'\n').filter(move |_| !is_empty))
    }

    fn body(&self, index: u64, line: Option<&[u8]>) -> Result<Vec<u8>, Fault> {
        let line = line.ok_or_else(|| bad(index, "it is missing"))?;
        let body = self.manifest.content.read(index, line);
        body.ok_or_else(|| bad(index, "its row is not made of its bytes"))
    }

    /// Remembers the root where the caller's own checkpoint was.
    fn note_root(&mut self) {
        if self
            .since
            .as_ref()
            .is_some_and(|since| since.size == self.tree.size())
        {
            self.root_at_since = Some(self.tree.root());
        }
    }

    /// What can be said of the caller's own checkpoint before any entry is read.
    fn check_since_is_in_reach(&self) -> Result<(), Fault> {
        let Some(since) = &self.since else { return Ok(()) };
        let (earlier, size) = (since.size, self.checkpoint.size);
        if earlier > size {
            return Err(Fault::RolledBack { earlier, size });
        }
        if earlier == size && since.root != self.checkpoint.root {
            return Err(Fault::Forked { earlier });
        }
        let is_passed =
            self.manifest.kind == Kind::Full && (self.manifest.from..=self.manifest.to).contains(&earlier);
        let is_told = self.earlier.as_ref().is_some_and(|told| told.size == earlier);
        if is_passed || is_told || earlier == size || earlier == 0 {
            return Ok(());
        }
        let from = self.manifest.from;
        Err(Fault::OutOfReach { from, earlier })
    }

    /// Ends: all entries are there, and lead to the signed root.
    pub fn finish(self) -> Result<Report, Fault> {
        let Manifest { from, to, .. } = self.manifest;
        if self.rows != self.manifest.rows {
            return Err(invalid("another number of entries"));
        }
        let Checkpoint { size, root, .. } = &self.checkpoint;
        if self.manifest.kind == Kind::Full {
            if self.tree.size() != to {
                return Err(bad(self.tree.size(), "it is missing"));
            }
            verify_consistency(to, *size, &self.tree.root(), root, &self.manifest.to_checkpoint)
                .map_err(|error| Fault::Root { from, to, error })?;
        }
        if let (Some(told), Some(earlier)) = (&self.manifest.earlier, &self.earlier) {
            verify_consistency(earlier.size, *size, &earlier.root, root, &told.consistency).map_err(
                |_| Fault::Forked {
                    earlier: earlier.size,
                },
            )?;
        }
        if let Some(since) = &self.since {
            // Where the entries passed it, they say what the root was; otherwise the export's own earlier checkpoint,
            // which was just shown to be continued.
            let told = self.earlier.as_ref().filter(|told| told.size == since.size);
            let empty = (since.size == 0).then(|| merkle::root(&[]));
            let known = self.root_at_since.or(told.map(|told| told.root)).or(empty);
            if known.is_some_and(|known| known != since.root) {
                return Err(Fault::Forked { earlier: since.size });
            }
        }
        if !self.sums_fit {
            return Err(Fault::Changed { name: SUMS });
        }
        Ok(Report {
            root: STANDARD.encode(root),
            size: *size,
            continues: self.earlier.map(|earlier| earlier.size),
            since: self.since.map(|since| since.size),
            rows: self.rows,
            from,
            to,
            origin: self.manifest.origin,
            epoch: self.manifest.epoch,
            kind: self.manifest.kind,
            filters: self.manifest.filters,
        })
    }
}

/// The members without which nothing can be judged.
pub const REQUIRED: [&str; 4] = [MANIFEST, SIGNATURE, CHECKPOINT, SUMS];

fn check_ranges(manifest: &Manifest, size: u64) -> Result<(), Fault> {
    if manifest.from > manifest.to || manifest.to > size {
        return Err(invalid("a range that is not in the log"));
    }
    let mut rows: u64 = 0;
    for pair in &manifest.files {
        let end = pair.first.checked_add(pair.rows);
        if pair.rows == 0 || end.is_none_or(|end| end > manifest.to) {
            return Err(invalid("a file outside of the range"));
        }
        rows = rows.saturating_add(pair.rows);
    }
    if rows != manifest.rows {
        return Err(invalid("another number of rows than in its files"));
    }
    Ok(())
}

fn open_checkpoint(
    name: &'static str,
    bytes: &[u8],
    origin: &str,
    public: &[u8; 32],
) -> Result<Checkpoint, Fault> {
    let fault = |error| Fault::Note { name, error };
    let note = std::str::from_utf8(bytes).map_err(|_| fault(NoteError::Note))?;
    let text = open_note(note, origin, public).map_err(fault)?;
    let checkpoint = Checkpoint::parse(&text).map_err(fault)?;
    if checkpoint.origin == origin {
        Ok(checkpoint)
    } else {
        Err(fault(NoteError::UnknownKey))
    }
}

fn invalid(what: &str) -> Fault {
    Fault::Manifest {
        what: what.to_owned(),
    }
}

fn bad(index: u64, what: &'static str) -> Fault {
    Fault::Entry { index, what }
}
