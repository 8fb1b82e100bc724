//! Comparing a stored log with itself, leaf by leaf: entries with tiles, tiles with one another, roots with what was
//! signed. Says which is the first that does not fit.
//!
//! Memory is flat: one hash for each bit of the size, and the tile at the edge of each level. Two trees are kept apart
//! only where entries and tiles disagree; the next signed root then says which of the two was changed.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::frontier::Frontier;
use super::merkle::{Hash, root};
use super::tiles::{TILE_WIDTH, TileId};

/// What can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An entry is not there.
    EntryMissing,
    /// An entry is not the one that stands in the tiles, and signed roots do not say otherwise.
    EntryAltered,
    /// There are more entries than the head says.
    EntrySurplus,
    /// An entry is no event that this version can read.
    EntryUnreadable,
    /// An entry stands in another tenant's log, or under an id that is not made of it.
    EntryMisplaced,
    /// The hashes beside a batch's entry are not those that its root stands for.
    BatchAltered,
    /// A tile is not there.
    TileMissing,
    /// A tile's hash is not what lies below it.
    TileAltered,
    /// A checkpoint is not signed by the server's key, or not for this log and size.
    CheckpointUnsigned,
    /// A checkpoint's root is not that of the entries.
    CheckpointContradicted,
    /// The guard file remembers more entries than there are.
    GuardAhead,
    /// The guard file remembers another root.
    GuardContradicted,
    /// A click's row has no leaf in any batch.
    ClickWithoutEntry,
    /// A conversion's row has no verdict.
    ConversionWithoutEntry,
    /// A consent record's row has no change of that day and policy version.
    RecordWithoutEntry,
    /// An object's or a key's row has no entry that tells of its making.
    ObjectWithoutEntry,
    /// An entry tells of an object whose row is not there.
    EntryWithoutObject,
    /// A row whose key is gone, or that does not open, so that it cannot be compared.
    RowUnreadable,
    /// Rows or counters are not as many as the log says.
    CountDiffers,
}

impl Kind {
    /// The code in answers.
    pub fn code(self) -> &'static str {
        match self {
            Kind::EntryMissing => "entry_missing",
            Kind::EntryAltered => "entry_altered",
            Kind::EntrySurplus => "entry_surplus",
            Kind::EntryUnreadable => "entry_unreadable",
            Kind::EntryMisplaced => "entry_misplaced",
            Kind::BatchAltered => "batch_altered",
            Kind::TileMissing => "tile_missing",
            Kind::TileAltered => "tile_altered",
            Kind::CheckpointUnsigned => "checkpoint_unsigned",
            Kind::CheckpointContradicted => "checkpoint_contradicted",
            Kind::GuardAhead => "guard_ahead",
            Kind::GuardContradicted => "guard_contradicted",
            Kind::ClickWithoutEntry => "click_without_entry",
            Kind::ConversionWithoutEntry => "conversion_without_entry",
            Kind::RecordWithoutEntry => "consent_record_without_entry",
            Kind::ObjectWithoutEntry => "object_without_entry",
            Kind::EntryWithoutObject => "entry_without_object",
            Kind::RowUnreadable => "row_unreadable",
            Kind::CountDiffers => "count_differs",
        }
    }
}

/// The first of its kind that was found in a log, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// The tenant's number; 0 is the server.
    pub tenant: i64,
    /// The epoch, where it is about one.
    pub epoch: Option<i64>,
    /// The index of the first entry that it can be about, where it is about entries.
    pub index: Option<u64>,
    /// Where, without anything personal.
    pub place: String,
    /// How many of this kind.
    pub count: u64,
}

/// What was found, one for each kind and log.
#[derive(Debug, Clone, Default)]
pub struct Findings(BTreeMap<(i64, Option<i64>, Kind), Finding>);

impl Findings {
    /// Adds one; only the first of a kind keeps its place.
    pub fn add(&mut self, kind: Kind, tenant: i64, epoch: Option<i64>, index: Option<u64>, place: String) {
        let first = Finding {
            kind,
            tenant,
            epoch,
            index,
            place,
            count: 0,
        };
        self.0.entry((tenant, epoch, kind)).or_insert(first).count += 1;
    }

    /// Everything, by log and kind.
    pub fn into_vec(self) -> Vec<Finding> {
        self.0.into_values().collect()
    }
}

/// Who said that a size has a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// A checkpoint.
    Checkpoint,
    /// The guard file.
    Guard,
}

/// A root that was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// The size of the tree.
    pub size: u64,
    /// The root.
    pub root: Hash,
    /// By whom it is known.
    pub witness: Witness,
}

/// The comparison of one log, in progress.
#[derive(Debug)]
pub struct TreeCheck {
    tenant: i64,
    epoch: i64,
    size: u64,
    entries: Frontier,
    /// The tree as the tiles have it, from where they first differ from the entries until a signed root decides.
    tiles: Option<(u64, Frontier)>,
    /// An entry is missing: indices go on, roots cannot.
    has_gap: bool,
    /// The greatest size whose signed root fitted.
    fitted: u64,
    above: Vec<Vec<Hash>>,
    nodes: Vec<u64>,
    ready: Vec<(TileId, Vec<Hash>)>,
}

impl TreeCheck {
    /// Of a log with so many entries.
    pub fn new(tenant: i64, epoch: i64, size: u64) -> Self {
        Self {
            tenant,
            epoch,
            size,
            entries: Frontier::default(),
            tiles: None,
            has_gap: false,
            fitted: 0,
            above: Vec::new(),
            nodes: Vec::new(),
            ready: Vec::new(),
        }
    }

    fn note(&self, found: &mut Findings, kind: Kind, index: Option<u64>, place: String) {
        found.add(kind, self.tenant, Some(self.epoch), index, place);
    }

    /// The entries of one tile of level 0 by index and hash, in order; what is stored as that tile; and the signed roots
    /// of sizes that end in it. To be called for every tile, from the first on.
    pub fn block(
        &mut self,
        number: u64,
        leaves: &[(u64, Hash)],
        stored: Option<&[Hash]>,
        signed: &[Signed],
        found: &mut Findings,
    ) {
        let first = number * TILE_WIDTH;
        let end = self.size.min(first + TILE_WIDTH);
        let mut next = first;
        for (index, hash) in leaves.iter().filter(|(index, _)| *index < end) {
            if *index != next && !self.has_gap {
                self.gap(next, found);
            }
            let told = usize::try_from(index - first).ok();
            let told = told.and_then(|place| stored?.get(place)).copied();
            self.leaf(*index, *hash, told, found);
            next = index + 1;
            let due = signed.iter().filter(|signed| signed.size == next);
            due.for_each(|signed| self.compare(signed, found));
        }
        if next < end && !self.has_gap {
            self.gap(next, found);
        }
        if end == first + TILE_WIDTH {
            self.close(number, leaves, stored, found);
        }
    }

    fn gap(&mut self, index: u64, found: &mut Findings) {
        self.note(found, Kind::EntryMissing, Some(index), format!("entry {index}"));
        self.has_gap = true;
    }

    fn leaf(&mut self, index: u64, hash: Hash, told: Option<Hash>, found: &mut Findings) {
        let differs = told.is_some_and(|told| told != hash);
        if self.has_gap {
            // No signed root can decide any more.
            if differs {
                let place = format!("entry {index}");
                self.note(found, Kind::EntryAltered, Some(index), place);
            }
            return;
        }
        if differs && self.tiles.is_none() {
            self.tiles = Some((index, self.entries.clone()));
        }
        if let Some((_, tiles)) = &mut self.tiles {
            tiles.push(told.unwrap_or(hash));
        }
        self.entries.push(hash);
    }

    fn compare(&mut self, signed: &Signed, found: &mut Findings) {
        if self.has_gap {
            return;
        }
        let fits = self.entries.root() == signed.root;
        match self.tiles.take() {
            Some((index, _)) if fits => {
                let place = format!("the hash of entry {index} in its tile of level 0");
                self.note(found, Kind::TileAltered, Some(index), place);
            }
            Some((index, tiles)) if tiles.root() == signed.root => {
                self.note(found, Kind::EntryAltered, Some(index), format!("entry {index}"));
                // What was signed goes on with what the tiles say.
                self.entries = tiles;
            }
            Some((index, _)) => {
                self.note(found, Kind::EntryAltered, Some(index), format!("entry {index}"));
                self.contradicted(signed, found);
                return;
            }
            None if fits => {}
            None => {
                self.contradicted(signed, found);
                return;
            }
        }
        self.fitted = signed.size;
    }

    fn contradicted(&self, signed: &Signed, found: &mut Findings) {
        let kind = match signed.witness {
            Witness::Checkpoint => Kind::CheckpointContradicted,
            Witness::Guard => Kind::GuardContradicted,
        };
        let place = format!(
            "the root signed for size {}: an entry from {} on, before {}, is not what was signed",
            signed.size, self.fitted, signed.size
        );
        self.note(found, kind, Some(self.fitted), place);
    }

    /// A full tile of level 0 is a hash of level 1.
    fn close(&mut self, number: u64, leaves: &[(u64, Hash)], stored: Option<&[Hash]>, found: &mut Findings) {
        let hashes = match stored {
            Some(hashes) if hashes.len() as u64 == TILE_WIDTH => hashes.to_vec(),
            _ => {
                let first = number * TILE_WIDTH;
                let place = format!("the tile {number} of level 0, entries from {first} on");
                self.note(found, Kind::TileMissing, Some(first), place);
                leaves.iter().map(|(_, hash)| *hash).collect()
            }
        };
        self.rise(1, root(&hashes));
    }

    fn rise(&mut self, level: u8, hash: Hash) {
        let place = usize::from(level) - 1;
        if self.above.len() <= place {
            self.above.push(Vec::new());
            self.nodes.push(0);
        }
        self.above[place].push(hash);
        self.nodes[place] += 1;
        if self.above[place].len() as u64 == TILE_WIDTH {
            let tile = self.nodes[place] / TILE_WIDTH - 1;
            let hashes = std::mem::take(&mut self.above[place]);
            self.ready.push((TileId { level, tile }, hashes));
        }
    }

    /// A tile of level 1 or above that is to be compared with what is stored, if one is full.
    pub fn next_tile(&mut self) -> Option<(TileId, Vec<Hash>)> {
        self.ready.pop()
    }

    /// The tiles at the edge, once all entries were seen.
    pub fn edge(&mut self) -> Vec<(TileId, Vec<Hash>)> {
        let levels = (1_u8..).zip(self.above.iter().zip(&self.nodes));
        let open = levels.filter(|(_, (hashes, _))| !hashes.is_empty());
        open.map(|(level, (hashes, nodes))| {
            let tile = nodes / TILE_WIDTH;
            (TileId { level, tile }, hashes.clone())
        })
        .collect()
    }

    /// Compares a tile of level 1 or above with what is stored as it. A tile may hold more than is asked for: it grew.
    pub fn tile(&mut self, id: TileId, below: &[Hash], stored: Option<&[Hash]>, found: &mut Findings) {
        let TileId { level, tile } = id;
        let span = TILE_WIDTH.saturating_pow(u32::from(level));
        let first = tile.saturating_mul(span).saturating_mul(TILE_WIDTH);
        let stored = stored.and_then(|stored| stored.get(..below.len()));
        match stored {
            None => {
                let place = format!("the tile {tile} of level {level}");
                self.note(found, Kind::TileMissing, Some(first), place);
            }
            Some(stored) => {
                let other = (0_u64..)
                    .zip(stored.iter().zip(below))
                    .find(|(_, (one, other))| one != other);
                if let Some((place, _)) = other {
                    let index = first + place * span;
                    let place = format!("the hash {place} of tile {tile} of level {level}");
                    self.note(found, Kind::TileAltered, Some(index), place);
                }
            }
        }
        if below.len() as u64 == TILE_WIDTH {
            self.rise(level + 1, root(stored.unwrap_or(below)));
        }
    }

    /// Once everything was seen: what no signed root has decided.
    pub fn finish(mut self, found: &mut Findings) {
        if let Some((index, _)) = self.tiles.take() {
            let place = format!("entry {index}");
            self.note(found, Kind::EntryAltered, Some(index), place);
        }
    }
}

/// The fields of an entry that a comparison needs; unknown ones are left alone.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "named and documented in domain::event::AuditEvent")]
pub struct Seen<'a> {
    pub action: &'a str,
    pub at_ms: Option<i64>,
    pub commitment: Option<&'a str>,
    pub count: Option<i64>,
    #[serde(default, borrow)]
    pub counts: Vec<SeenCount<'a>>,
    pub day: Option<&'a str>,
    pub nonce: &'a str,
    pub object: Option<&'a str>,
    pub outcome: &'a str,
    pub policy_version: Option<i64>,
    pub reason: Option<&'a str>,
    pub root: Option<&'a str>,
    pub tenant: i64,
    #[serde(default)]
    pub test: bool,
}

/// How many of one reason.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "named and documented in domain::event::Count")]
pub struct SeenCount<'a> {
    pub count: i64,
    pub reason: &'a str,
}

impl<'a> Seen<'a> {
    /// Reads an entry.
    pub fn read(body: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// Whether the hashes beside a batch's entry are as many as it says and have its root.
    pub fn stands_for(&self, hashes: &[u8]) -> bool {
        let (hashes, rest) = hashes.as_chunks::<32>();
        rest.is_empty()
            && self.count == i64::try_from(hashes.len()).ok()
            && self.root.is_some_and(|text| text == hex::encode(root(hashes)))
    }
}

#[cfg(test)]
#[path = "check/tests.rs"]
mod tests;
