//! Our tree beside two that others wrote, `ct-merkle` and `tlog_tiles`, beside the published vectors, and under damage.
//!
//! Promise: roots, proofs and tiles are the same bytes. Every size up to 1,025 is always compared; random sizes and
//! indices are fewer by default, because both libraries are slow without optimisation. In full:
//!
//! `EINKLANG_ORACLE_SAMPLES=10000 cargo test --release --test log_oracles`
//!
//! which is 10,000 pairs of size and index up to 10^6, and every index of every size up to 1,025.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use einklang::audit::growth::Edge;
use einklang::audit::merkle::{Hash, leaf_hash, root, verify_consistency, verify_inclusion};
use einklang::audit::tiles::{TILE_WIDTH, TileId, Tiles, tile_path_number};
use sha2::Sha256;
use tlog_tiles::{HashReader, Tile};

#[path = "log_oracles/damage.rs"]
mod damage;
#[path = "log_oracles/published.rs"]
mod published;

/// Up to where every size is compared: over the first tiles' edges, 256, 512 and 1,024.
const EVERY_SIZE: u64 = 1_025;
const FULL_SAMPLES: u64 = 10_000;

/// How many random pairs, and how large their trees may be.
fn samples() -> (u64, u64) {
    let samples = std::env::var("EINKLANG_ORACLE_SAMPLES").ok();
    let samples = samples.map_or(200, |text| text.parse().expect("a number of samples"));
    (samples, (samples * 100).min(1_000_000))
}

/// A seeded series of numbers (splitmix64): a run repeats on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

fn entry(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// A tree of ours as the store keeps it: tiles, grown in uneven steps.
struct Ours {
    leaves: Vec<Hash>,
    tiles: BTreeMap<TileId, Vec<Hash>>,
}

impl Ours {
    fn of(size: u64) -> Self {
        let leaves: Vec<Hash> = (0..size).map(|index| leaf_hash(&entry(index))).collect();
        let mut edge = Edge::default();
        let mut tiles = BTreeMap::new();
        for chunk in leaves.chunks(331) {
            let changed = edge.append(chunk);
            tiles.extend(changed.into_iter().map(|changed| (changed.id, changed.hashes)));
        }
        // The partial tile of leaves is made of the leaves' rows.
        let tile = size / TILE_WIDTH;
        let partial = leaves.chunks(256).nth(usize::try_from(tile).expect("small"));
        tiles.extend(partial.map(|hashes| (TileId { level: 0, tile }, hashes.to_vec())));
        Self { leaves, tiles }
    }

    fn root(&self, size: u64) -> Hash {
        root(&self.leaves[..usize::try_from(size).expect("small")])
    }

    fn tiles(&self) -> Tiles {
        let mut tiles = Tiles::default();
        for (id, hashes) in &self.tiles {
            tiles.insert(*id, hashes.clone());
        }
        tiles
    }
}

/// The storage of `tlog_tiles`: every complete subtree's hash in one sequence.
#[derive(Default)]
struct Stored(Vec<tlog_tiles::Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        let read = |index: &u64| self.0[usize::try_from(*index).expect("small")];
        Ok(indexes.iter().map(read).collect())
    }
}

impl Stored {
    fn of(size: u64) -> Self {
        let mut stored = Self::default();
        for index in 0..size {
            let new = tlog_tiles::stored_hashes(index, &entry(index), &stored).expect("hashes");
            stored.0.extend(new);
        }
        stored
    }

    fn root(&self, size: u64) -> Hash {
        tlog_tiles::tree_hash(size, self).expect("a root").0
    }
}

fn plain(hashes: Vec<tlog_tiles::Hash>) -> Vec<Hash> {
    hashes.into_iter().map(|hash| hash.0).collect()
}

/// All three trees, where that of `ct-merkle` grows from question to question.
struct Trees {
    tiles: Tiles,
    ours: Ours,
    stored: Stored,
    growing: MemoryBackedTree<Sha256, [u8; 8]>,
}

impl Trees {
    fn of(size: u64) -> Self {
        let ours = Ours::of(size);
        Self {
            tiles: ours.tiles(),
            ours,
            stored: Stored::of(size),
            growing: MemoryBackedTree::new(),
        }
    }

    /// Holds that the roots are the same at this size, which is not below the one that was asked about before.
    fn compare_roots(&mut self, size: u64) -> Hash {
        while self.growing.len() < size {
            self.growing.push(entry(self.growing.len()));
        }
        let tree = self.tiles.root(size).expect("a root");
        assert_eq!(tree, self.stored.root(size), "tlog_tiles: root of {size}");
        assert_eq!(
            tree[..],
            self.growing.root().as_bytes()[..],
            "ct-merkle: root of {size}"
        );
        tree
    }

    fn compare_inclusion(&self, index: u64, size: u64, tree: &Hash) {
        let proof = self.tiles.inclusion(index, size).expect("a proof");
        let theirs = tlog_tiles::prove_record(size, index, &self.stored).expect("a proof");
        assert_eq!(proof, plain(theirs), "tlog_tiles: {index} in {size}");
        let at = usize::try_from(index).expect("small");
        let theirs = self.growing.prove_inclusion(at);
        assert_eq!(proof.concat(), theirs.as_bytes(), "ct-merkle: {index} in {size}");
        let leaf = &self.ours.leaves[at];
        assert_eq!(
            verify_inclusion(index, size, leaf, &proof, tree),
            Ok(()),
            "{index} in {size}"
        );
    }

    fn compare_consistency(&self, old: u64, size: u64, tree: &Hash) {
        let proof = self.tiles.consistency(old, size).expect("a proof");
        let theirs = tlog_tiles::prove_tree(size, old, &self.stored).expect("a proof");
        assert_eq!(proof, plain(theirs), "tlog_tiles: {old} in {size}");
        let added = usize::try_from(size - old).expect("small");
        // Between a tree and itself, `ct-merkle` proves with the one hash that everybody has; RFC 6962 with none.
        if added > 0 {
            let theirs = self.growing.prove_consistency(added);
            assert_eq!(proof.concat(), theirs.as_bytes(), "ct-merkle: {old} in {size}");
        }
        let old_root = self.tiles.root(old).expect("a root");
        let verdict = verify_consistency(old, size, &old_root, tree, &proof);
        assert_eq!(verdict, Ok(()), "{old} in {size}");
    }
}

#[test]
fn roots_and_proofs_of_every_size_to_1025_are_those_of_both_oracles() {
    let is_full = samples().0 >= FULL_SAMPLES;
    let mut trees = Trees::of(EVERY_SIZE);
    let mut numbers = Numbers(1);
    for size in 0..=EVERY_SIZE {
        let tree = trees.compare_roots(size);
        assert_eq!(tree, trees.ours.root(size));
        if size == 0 {
            continue;
        }
        let some = [0, size / 2, size - 1, numbers.below(size), numbers.below(size)];
        let indices = if is_full {
            (0..size).collect()
        } else {
            some.to_vec()
        };
        for index in indices {
            trees.compare_inclusion(index, size, &tree);
            trees.compare_consistency(index + 1, size, &tree);
        }
    }
}

#[test]
fn proofs_of_random_sizes_and_indices_are_those_of_both_oracles() {
    let (samples, largest) = samples();
    let mut numbers = Numbers(2);
    let mut pairs: Vec<(u64, u64)> = (0..samples)
        .map(|_| {
            let size = numbers.below(largest) + 1;
            (size, numbers.below(size))
        })
        .collect();
    pairs.push((largest, largest - 1));
    pairs.sort_unstable();
    let mut trees = Trees::of(largest);
    for (size, index) in pairs {
        let tree = trees.compare_roots(size);
        trees.compare_inclusion(index, size, &tree);
        trees.compare_consistency(index + 1, size, &tree);
    }
}

#[test]
fn tiles_are_byte_for_byte_those_of_tlog_tiles() {
    let largest = samples().1.max(66_100);
    let ours = Ours::of(largest);
    let stored = Stored::of(largest);
    let sizes = (0..=EVERY_SIZE).chain([65_535, 65_536, 65_537, 65_792, 66_047, largest]);
    for size in sizes {
        let theirs = Tile::new_tiles(8, 0, size);
        let of_this_size = ours.tiles.keys().filter(|id| id.width(size) > 0);
        assert_eq!(
            theirs.len(),
            of_this_size.count(),
            "the number of tiles at {size}"
        );
        for tile in theirs {
            let id = TileId {
                level: tile.level(),
                tile: tile.level_index(),
            };
            let width = id.width(size);
            assert_eq!(width, u64::from(tile.width()), "{id:?} at {size}");
            let hashes = &ours.tiles[&id][..usize::try_from(width).expect("small")];
            assert_eq!(
                hashes.concat(),
                tile.read_data(&stored).expect("a tile"),
                "{id:?} at {size}"
            );
            let partial = if width < TILE_WIDTH {
                format!(".p/{width}")
            } else {
                String::new()
            };
            let path = format!("tile/8/{}/{}{partial}", id.level, tile_path_number(id.tile));
            assert_eq!(path, tile.path());
        }
    }
}

#[test]
fn consistency_proofs_of_all_pairs_of_sizes_to_200_verify_and_fit_no_other_pair_of_roots() {
    let ours = Ours::of(200);
    let tiles = ours.tiles();
    let roots: Vec<Hash> = (0..=200).map(|size| ours.root(size)).collect();
    let root_of = |size: u64| &roots[usize::try_from(size).expect("small")];
    for new in 0..=200 {
        for old in 0..=new {
            let proof = tiles.consistency(old, new).expect("a proof");
            let verify = |old_root, new_root| verify_consistency(old, new, old_root, new_root, &proof);
            assert_eq!(verify(root_of(old), root_of(new)), Ok(()), "{old} in {new}");
            let other_old = root_of((old + 1) % 200);
            let other_new = root_of((new + 7) % 200);
            assert!(
                verify(other_old, root_of(new)).is_err(),
                "{old} in {new}: the old root"
            );
            // Of the empty tree, every tree is a continuation.
            if old > 0 {
                assert!(
                    verify(root_of(old), other_new).is_err(),
                    "{old} in {new}: the new root"
                );
            }
        }
    }
}
