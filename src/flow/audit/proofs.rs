//! Proofs for readers, made of tiles that are kept in memory once they were read.
//!
//! A full tile never changes, and one that is not full only grows, so what was read stays right for every tree that it was
//! wide enough for. Whoever looks for tampering must not ask here but in the database: see the store's own proofs.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::GAP;
use crate::audit::merkle::Hash;
use crate::audit::tiles::{TileId, Tiles, tiles_for_consistency, tiles_for_inclusion};
use crate::store::StoreError;
use crate::store::audit::LogKey;
use crate::store::tx::Reader;

/// Tiles in memory; each has at most 8 KiB.
const KEPT: usize = 1_024;

type Kept = Cache<(LogKey, TileId), Arc<[Hash]>>;

/// Makes proofs.
#[derive(Clone)]
pub struct Proofs(Arc<Kept>);

impl Default for Proofs {
    fn default() -> Self {
        Self(Arc::new(Cache::new(KEPT)))
    }
}

impl Proofs {
    /// That an entry stands in the tree of this size.
    pub async fn inclusion(
        &self,
        reader: &Reader<'_>,
        log: LogKey,
        index: u64,
        size: u64,
    ) -> Result<Vec<Hash>, StoreError> {
        let tiles = self
            .tiles(reader, log, size, tiles_for_inclusion(index, size))
            .await?;
        tiles.inclusion(index, size).ok_or(GAP)
    }

    /// That the tree of one size extends the one of a smaller size.
    pub async fn consistency(
        &self,
        reader: &Reader<'_>,
        log: LogKey,
        old: u64,
        new: u64,
    ) -> Result<Vec<Hash>, StoreError> {
        let tiles = self
            .tiles(reader, log, new, tiles_for_consistency(old, new))
            .await?;
        tiles.consistency(old, new).ok_or(GAP)
    }

    async fn tiles(
        &self,
        reader: &Reader<'_>,
        log: LogKey,
        size: u64,
        wanted: Vec<TileId>,
    ) -> Result<Tiles, StoreError> {
        let mut tiles = Tiles::default();
        let mut missing = Vec::new();
        for id in wanted {
            match self.0.get(&(log, id)) {
                Some(kept) if kept.len() as u64 >= id.width(size) => tiles.insert(id, kept.to_vec()),
                _ => missing.push(id),
            }
        }
        let read = reader.log_tiles(log, &missing).await?;
        for id in missing {
            if let Some(hashes) = read.get(id) {
                self.0.insert((log, id), hashes.into());
                tiles.insert(id, hashes.to_vec());
            }
        }
        Ok(tiles)
    }
}
