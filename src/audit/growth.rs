//! What appending changes in the stored tiles: the right edge of a tree, and the tiles that are to be written anew.
//!
//! All that lies left of the edge is full and never changes again, so that a log of any size grows with the edge alone
//! at hand: at most 255 hashes of each level.

use super::frontier::fold;
use super::merkle::{Hash, root};
use super::tiles::{TILE_WIDTH, TileId};

/// `TILE_WIDTH` as a length in memory.
const WIDTH: usize = 256;

/// The content of the right-most tile of every level that is not full, level 0 first: 0 to 255 hashes each. Levels that
/// are empty at the end may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edge {
    /// The levels.
    pub levels: Vec<Vec<Hash>>,
}

/// A tile whose stored content is to be replaced by this: all hashes that it has now. Tiles of level 0 come only when
/// full, those of level 1 and above whenever they changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Which tile.
    pub id: TileId,
    /// Its content, 1 to 256 hashes.
    pub hashes: Vec<Hash>,
}

impl Edge {
    /// The tiles to read for the edge of a tree of this size, lowest level first; where a level is missing here, its
    /// tile at the edge is empty.
    pub fn tiles(size: u64) -> Vec<TileId> {
        let mut found = Vec::new();
        let mut of_level = size;
        for level in 0.. {
            if of_level == 0 {
                break;
            }
            if !of_level.is_multiple_of(TILE_WIDTH) {
                found.push(TileId {
                    level,
                    tile: of_level / TILE_WIDTH,
                });
            }
            of_level /= TILE_WIDTH;
        }
        found
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size_from(0)
    }

    /// How many hashes the tree has at this level, full tiles included.
    fn size_from(&self, level: usize) -> u64 {
        let above = self.levels.get(level..).unwrap_or_default();
        let count = |level: &Vec<Hash>| u64::try_from(level.len()).unwrap_or(u64::MAX);
        above
            .iter()
            .rev()
            .fold(0, |sum, level| sum * TILE_WIDTH + count(level))
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        let mut subtrees = Vec::new();
        for level in self.levels.iter().rev() {
            let mut rest = level.as_slice();
            while let Some(height) = rest.len().checked_ilog2() {
                let (subtree, after) = rest.split_at(1 << height);
                subtrees.push(root(subtree));
                rest = after;
            }
        }
        fold(&subtrees)
    }

    /// Adds leaves at the end and says which tiles are to be written, lower levels first, from left to right.
    pub fn append(&mut self, leaves: &[Hash]) -> Vec<Changed> {
        let mut changed = Vec::new();
        let mut arriving = leaves.to_vec();
        let mut level = 0;
        while !arriving.is_empty() {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let first = self.size_from(level) / TILE_WIDTH;
            arriving = self.append_to(level, first, &arriving, &mut changed);
            level += 1;
        }
        changed
    }

    /// Adds hashes to one level and gives the roots of the tiles that became full.
    fn append_to(
        &mut self,
        level: usize,
        first: u64,
        arriving: &[Hash],
        changed: &mut Vec<Changed>,
    ) -> Vec<Hash> {
        let mut roots = Vec::with_capacity(arriving.len() / WIDTH + 1);
        let mut content = std::mem::take(&mut self.levels[level]);
        let mut rest = arriving;
        let mut id = TileId {
            level: u8::try_from(level).unwrap_or(u8::MAX),
            tile: first,
        };
        while !rest.is_empty() {
            let (fitting, after) = rest.split_at(rest.len().min(WIDTH.saturating_sub(content.len())));
            content.extend_from_slice(fitting);
            rest = after;
            if content.len() >= WIDTH {
                roots.push(root(&content));
                let hashes = std::mem::take(&mut content);
                changed.push(Changed { id, hashes });
                id.tile += 1;
            }
        }
        if level > 0 && !content.is_empty() {
            let hashes = content.clone();
            changed.push(Changed { id, hashes });
        }
        self.levels[level] = content;
        roots
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::audit::merkle::leaf_hash;

    fn leaves(count: u32) -> Vec<Hash> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    #[test]
    fn size_and_root_are_those_of_the_tree_at_every_size() {
        let leaves = leaves(1_100);
        let mut edge = Edge::default();
        for size in 0..=leaves.len() {
            assert_eq!(edge.size(), size as u64);
            assert_eq!(edge.root(), root(&leaves[..size]), "size {size}");
            if let Some(leaf) = leaves.get(size) {
                edge.append(&[*leaf]);
            }
        }
    }

    #[test]
    fn one_append_or_many_leave_the_same_tiles() {
        let leaves = leaves(70_000);
        let mut at_once = Edge::default();
        let stored: BTreeMap<_, _> = at_once
            .append(&leaves)
            .into_iter()
            .map(|changed| (changed.id, changed.hashes))
            .collect();
        let mut in_steps = Edge::default();
        let mut upserted = BTreeMap::new();
        for (number, chunk) in leaves.chunks(97).enumerate() {
            let changed = in_steps.append(chunk);
            upserted.extend(changed.into_iter().map(|changed| (changed.id, changed.hashes)));
            if number % 100 == 0 {
                let size = in_steps.size();
                assert!(
                    upserted
                        .iter()
                        .all(|(id, hashes)| hashes.len() as u64 == id.width(size))
                );
            }
        }
        assert_eq!(in_steps, at_once);
        assert_eq!(upserted, stored);
        assert_eq!(at_once.root(), root(&leaves));
        // The specification's example: 273 full tiles of leaves, a full and a partial one above, one on top.
        assert_eq!(stored.len(), 273 + 2 + 1);
    }

    #[test]
    fn an_edge_that_is_read_back_grows_on() {
        let leaves = leaves(70_000);
        for size in [1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 69_999] {
            let mut edge = Edge::default();
            let mut stored: BTreeMap<_, _> = BTreeMap::new();
            let upserted = edge.append(&leaves[..size]);
            stored.extend(upserted.into_iter().map(|changed| (changed.id, changed.hashes)));
            let tile = size as u64 / TILE_WIDTH;
            stored.insert(
                TileId { level: 0, tile },
                leaves[size / WIDTH * WIDTH..size].to_vec(),
            );
            let mut again = Edge::default();
            for id in Edge::tiles(size as u64) {
                let level = usize::from(id.level);
                again
                    .levels
                    .resize_with(again.levels.len().max(level + 1), Vec::new);
                again.levels[level].clone_from(&stored[&id]);
            }
            assert_eq!((again.size(), again.root()), (size as u64, root(&leaves[..size])));
            assert_eq!(
                again.append(&leaves[size..]),
                edge.append(&leaves[size..]),
                "{size}"
            );
        }
    }

    #[test]
    fn nothing_appended_changes_nothing() {
        assert_eq!(Edge::default().append(&[]), []);
        assert_eq!(Edge::tiles(0), []);
    }
}
