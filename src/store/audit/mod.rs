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
pub mod packs;
pub(super) mod pending;
pub mod read;
pub mod sequence;
pub mod tiles;

use uuid::Uuid;

use super::tx::entry_id;
use crate::audit::growth::Edge;
use crate::audit::leaf;
use crate::audit::merkle::{Hash, leaf_hash};
use crate::audit::tiles::{TILE_WIDTH, TileId};
use crate::domain::event::Entry;
use crate::domain::scope::TenantScope;

/// The log that an entry belongs to: the tenant's number, 0 for the server's, and the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogKey {
    /// The tenant's number.
    pub tenant: i64,
    /// The epoch, from 0.
    pub epoch: i64,
}

impl LogKey {
    /// For whom the log is.
    pub fn scope(self) -> TenantScope {
        TenantScope::Only(self.tenant)
    }
}

/// An entry on its way to its place.
struct Placeable {
    tenant: i64,
    id: Uuid,
    body: Vec<u8>,
}

impl From<&Entry> for Placeable {
    fn from(entry: &Entry) -> Self {
        Self {
            tenant: entry.event.tenant,
            id: entry_id(entry),
            body: leaf::encode(&entry.event),
        }
    }
}

/// The rows that hold the right edge of a tree of this size above its leaves.
fn edge_rows(size: u64) -> impl Iterator<Item = TileId> {
    Edge::tiles(size).into_iter().filter(|id| id.level > 0)
}

/// The edge of a tree of this size, from the hashes of its last leaves and the rows that [`edge_rows`] names; nothing if a
/// row is missing or too short.
fn edge_from(size: u64, last: Vec<Hash>, mut row: impl FnMut(TileId) -> Option<Vec<u8>>) -> Option<Edge> {
    if u64::try_from(last.len()).ok()? != size % TILE_WIDTH {
        return None;
    }
    let mut levels = vec![last];
    for id in edge_rows(size) {
        let width = usize::try_from(id.width(size)).ok()?;
        let mut hashes = split(&row(id)?)?;
        (hashes.len() >= width).then(|| hashes.truncate(width))?;
        // Levels whose tile at the edge is empty have no row.
        levels.resize(usize::from(id.level), Vec::new());
        levels.push(hashes);
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
    fn an_edge_comes_back_from_its_rows_and_from_nothing_less() {
        for size in [0, 1, 255, 256, 257, 65_535, 65_536, 65_536 + 256] {
            let leaves: Vec<Hash> = (0..size)
                .map(|index: u64| leaf_hash(&index.to_be_bytes()))
                .collect();
            let mut edge = Edge::default();
            let mut rows = std::collections::HashMap::new();
            for changed in edge.append(&leaves) {
                rows.insert(changed.id, changed.hashes.concat());
            }
            let begin = usize::try_from(size - size % TILE_WIDTH).expect("small");
            let last = leaves[begin..].to_vec();
            let found = edge_from(size, last.clone(), |id| rows.get(&id).cloned()).expect("whole");
            assert_eq!(found.root(), edge.root(), "{size}");
            assert_eq!(
                edge_from(size + 1, last.clone(), |id| rows.get(&id).cloned()),
                None
            );
            if size >= TILE_WIDTH {
                assert_eq!(edge_from(size, last, |_| None), None, "{size}: without its rows");
            }
        }
    }
}
