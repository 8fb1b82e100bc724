//! The audit logs: entries find their places, the tree grows, heads and checkpoints are kept.
//!
//! An entry is written in the transaction of what it describes. On SQLite there is one writer, so a batch of the ledger
//! places its entries itself. On PostgreSQL a lock on the head in every transaction was measured to cost most of the
//! rate, so entries wait in `audit_pending` and one sequencer at a time moves them. Never by "id greater than the last":
//! what commits late would be passed over for ever; the sequencer takes away what it sees.

pub mod check;
pub mod check_rows;
pub mod days;
mod embedded;
pub mod heads;
pub(super) mod pending;
pub mod sequence;
pub mod tiles;

use uuid::Uuid;

use super::tx::entry_id;
use crate::audit::growth::Edge;
use crate::audit::leaf;
use crate::audit::merkle::{Hash, leaf_hash};
use crate::audit::tiles::TILE_WIDTH;
use crate::domain::event::Entry;

/// The log that an entry belongs to: the tenant's number, 0 for the server's, and the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogKey {
    /// The tenant's number.
    pub tenant: i64,
    /// The epoch, from 0.
    pub epoch: i64,
}

/// An entry on its way to its place.
struct Placeable {
    tenant: i64,
    id: Uuid,
    body: Vec<u8>,
    hashes: Option<Vec<u8>>,
}

impl From<&Entry> for Placeable {
    fn from(entry: &Entry) -> Self {
        Self {
            tenant: entry.event.tenant,
            id: entry_id(entry),
            body: leaf::encode(&entry.event),
            hashes: entry.hashes.clone(),
        }
    }
}

/// Where the right edge of the stored tiles stands at a size: the row of every level from 1 upwards, with how many of its
/// hashes count. Rows that would be empty are left out.
fn edge_rows(size: u64) -> Vec<(i64, i64, usize)> {
    let mut rows = Vec::new();
    let mut level = 1;
    let mut nodes = size / TILE_WIDTH;
    while nodes > 0 {
        let width = usize::try_from(nodes % TILE_WIDTH).unwrap_or(0);
        rows.push((level, signed(nodes / TILE_WIDTH), width));
        nodes /= TILE_WIDTH;
        level += 1;
    }
    rows
}

/// The edge of a tree of this size, from the hashes of its last leaves and the rows that [`edge_rows`] names; nothing if a
/// row is missing or too short.
fn edge_from(size: u64, last: Vec<Hash>, mut row: impl FnMut(i64, i64) -> Option<Vec<u8>>) -> Option<Edge> {
    if u64::try_from(last.len()).ok()? != size % TILE_WIDTH {
        return None;
    }
    let mut levels = vec![last];
    for (level, tile, width) in edge_rows(size) {
        levels.push(match width {
            0 => Vec::new(),
            width => {
                let mut hashes = split(&row(level, tile)?)?;
                (hashes.len() >= width).then(|| hashes.truncate(width))?;
                hashes
            }
        });
    }
    Some(Edge { levels })
}

/// Hashes that stand one behind the other.
fn split(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.to_vec())
}

fn hash_all<'a>(bodies: impl Iterator<Item = &'a [u8]>) -> Vec<Hash> {
    bodies.map(leaf_hash).collect()
}

/// Sizes and indices are not negative and far below 2^63; the databases know signed integers only.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_names_the_last_row_of_every_level() {
        assert_eq!(edge_rows(255), vec![]);
        assert_eq!(edge_rows(256), vec![(1, 0, 1)]);
        assert_eq!(edge_rows(65_535), vec![(1, 0, 255)]);
        assert_eq!(edge_rows(65_536 + 256), vec![(1, 1, 1), (2, 0, 1)]);
    }
}
