//! A tree in pieces of 256 hashes (C2SP tlog-tiles), and the proofs that are made of them.
//!
//! The hashes of level 0 are the leaves; a hash of level L + 1 is the root of a full tile of level L. What a proof needs
//! is planned first (`tiles_for_…`), so that a caller fetches just those tiles, and is then read from what was fetched.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use super::frontier::fold;
use super::merkle::{Hash, root, split};

/// How many hashes a full tile has.
pub const TILE_WIDTH: u64 = 256;
/// 2^8 = `TILE_WIDTH`: a tile spans eight levels of the binary tree.
const TILE_HEIGHT: u32 = 8;

/// Which tile.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Ord, PartialOrd, Debug)]
pub struct TileId {
    /// 0: leaves; a hash of level L covers 256^L leaves. At most 7.
    pub level: u8,
    /// The tile's number within its level, from 0.
    pub tile: u64,
}

impl TileId {
    /// How many hashes the tile has in a tree of this size: 0 to 256.
    pub fn width(self, size: u64) -> u64 {
        let of_level = size.checked_shr(u32::from(self.level) * TILE_HEIGHT).unwrap_or(0);
        let before = self.tile.saturating_mul(TILE_WIDTH);
        of_level.saturating_sub(before).min(TILE_WIDTH)
    }
}

/// A tile's number as a path: `x001/x234/067` for 1234067 (C2SP tlog-tiles, "Merkle Tree").
pub fn tile_path_number(n: u64) -> String {
    let mut text = format!("{:03}", n % 1_000);
    let mut rest = n / 1_000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1_000);
        rest /= 1_000;
    }
    text
}

/// The tile's number, and the width where the path is that of a partial tile (`….p/W`, 1 to 255). Only the form that
/// the specification gives; numbers end below 2^64.
pub fn parse_tile_path(text: &str) -> Option<(u64, Option<u16>)> {
    let (number, width) = match text.split_once(".p/") {
        Some((number, width)) => (number, Some(partial_width(width)?)),
        None => (text, None),
    };
    let mut n: u64 = 0;
    let mut parts = number.split('/').peekable();
    while let Some(part) = parts.next() {
        let digits = match parts.peek() {
            Some(_) => part.strip_prefix('x')?,
            None => part,
        };
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        n = n.checked_mul(1_000)?.checked_add(digits.parse().ok()?)?;
    }
    // One number has one path: no leading `x000`.
    (tile_path_number(n) == number).then_some((n, width))
}

fn partial_width(text: &str) -> Option<u16> {
    let width: u16 = text.parse().ok()?;
    ((1..256).contains(&width) && width.to_string() == text).then_some(width)
}

/// A complete subtree: 2^height leaves from `index` · 2^height on.
#[derive(Debug, Clone, Copy)]
struct Node {
    height: u32,
    index: u64,
}

impl Node {
    /// The tile that holds it or what it is made of, and where in the tile.
    fn place(self) -> (TileId, Range<usize>) {
        let within = self.height % TILE_HEIGHT;
        let first = self.index << within;
        let level = u8::try_from(self.height / TILE_HEIGHT).unwrap_or(u8::MAX);
        // Below 256, and so is the end: 2^within divides 256.
        let start = usize::from(u8::try_from(first % TILE_WIDTH).unwrap_or(0));
        let tile = first / TILE_WIDTH;
        (TileId { level, tile }, start..start + (1 << within))
    }
}

/// The complete subtrees of the leaves in a range, from left to right. The range begins at a multiple of a power of two
/// that is at least as large as the range, as all ranges in proofs do; then the subtrees' sizes fall.
fn nodes(range: Range<u64>) -> impl Iterator<Item = Node> {
    let mut start = range.start;
    std::iter::from_fn(move || {
        let height = (range.end - start).checked_ilog2()?;
        let node = Node {
            height,
            index: start >> height,
        };
        start += 1 << height;
        Some(node)
    })
}

/// The ranges of leaves whose hashes prove inclusion, in the proof's order (RFC 6962, section 2.1.1).
fn inclusion_ranges(index: u64, size: u64) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    let mut within = 0..size;
    while within.end - within.start > 1 {
        let middle = within.start + split(within.end - within.start);
        if index < middle {
            ranges.push(middle..within.end);
            within.end = middle;
        } else {
            ranges.push(within.start..middle);
            within.start = middle;
        }
    }
    ranges.reverse();
    ranges
}

/// The ranges of leaves whose hashes prove consistency, in the proof's order (RFC 6962, section 2.1.2).
fn consistency_ranges(old: u64, new: u64) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    if old == 0 || old >= new {
        return ranges;
    }
    let mut within = 0..new;
    while within.end != old {
        let middle = within.start + split(within.end - within.start);
        if old <= middle {
            ranges.push(middle..within.end);
            within.end = middle;
        } else {
            ranges.push(within.start..middle);
            within.start = middle;
        }
    }
    // Where the old tree is complete, its root is known to whoever checks.
    if within.start > 0 {
        ranges.push(within);
    }
    ranges.reverse();
    ranges
}

fn tiles_of(ranges: impl IntoIterator<Item = Range<u64>>) -> Vec<TileId> {
    let places = ranges.into_iter().flat_map(nodes).map(|node| node.place().0);
    places.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The tiles that hold the complete subtrees of a tree: for its root and its frontier.
pub fn tiles_for_root(size: u64) -> Vec<TileId> {
    tiles_of(std::iter::once(0..size))
}

/// The tiles that an inclusion proof is made of; none if there is no such entry.
pub fn tiles_for_inclusion(index: u64, size: u64) -> Vec<TileId> {
    if index >= size {
        return Vec::new();
    }
    tiles_of(inclusion_ranges(index, size))
}

/// The tiles that a consistency proof is made of; none where the proof is empty.
pub fn tiles_for_consistency(old: u64, new: u64) -> Vec<TileId> {
    tiles_of(consistency_ranges(old, new))
}

/// The contents of tiles that were fetched. A tile may have grown since the tree size that is asked about: what is
/// beyond that size is not looked at.
#[derive(Debug, Clone, Default)]
pub struct Tiles(HashMap<TileId, Vec<Hash>>);

impl Tiles {
    /// Adds a tile, full or partial; the later one of two replaces the earlier.
    pub fn insert(&mut self, id: TileId, hashes: Vec<Hash>) {
        self.0.insert(id, hashes);
    }

    /// What was fetched of a tile.
    pub fn get(&self, id: TileId) -> Option<&[Hash]> {
        self.0.get(&id).map(Vec::as_slice)
    }

    /// The root of the tree of this size; none if a tile of `tiles_for_root` is missing or too short.
    pub fn root(&self, size: u64) -> Option<Hash> {
        Some(fold(&self.frontier(size)?))
    }

    /// The complete subtrees of the tree of this size, greatest first; of the same tiles as its root.
    pub fn frontier(&self, size: u64) -> Option<Vec<Hash>> {
        nodes(0..size).map(|node| self.node(node)).collect()
    }

    /// The inclusion proof of an entry; none if the entry is outside the tree or if a tile of `tiles_for_inclusion` is
    /// missing or too short.
    pub fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        if index >= size {
            return None;
        }
        self.hashes(inclusion_ranges(index, size))
    }

    /// The consistency proof between two sizes; none if they run backwards or if a tile of `tiles_for_consistency` is
    /// missing or too short.
    pub fn consistency(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        if old > new {
            return None;
        }
        self.hashes(consistency_ranges(old, new))
    }

    fn hashes(&self, ranges: Vec<Range<u64>>) -> Option<Vec<Hash>> {
        let hash = |range| -> Option<Hash> {
            let nodes: Option<Vec<Hash>> = nodes(range).map(|node| self.node(node)).collect();
            Some(fold(&nodes?))
        };
        ranges.into_iter().map(hash).collect()
    }

    fn node(&self, node: Node) -> Option<Hash> {
        let (id, range) = node.place();
        Some(root(self.0.get(&id)?.get(range)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::growth::Edge;
    use crate::audit::merkle::{leaf_hash, verify_consistency, verify_inclusion};

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    /// All tiles of a tree, partial ones too.
    fn all_tiles(leaves: &[Hash]) -> HashMap<TileId, Vec<Hash>> {
        let mut edge = Edge::default();
        let mut all: HashMap<_, _> = edge
            .append(leaves)
            .into_iter()
            .map(|changed| (changed.id, changed.hashes))
            .collect();
        if let Some(partial) = edge.levels.first().filter(|level| !level.is_empty()) {
            let tile = leaves.len() as u64 / TILE_WIDTH;
            all.insert(TileId { level: 0, tile }, partial.clone());
        }
        all
    }

    fn only(all: &HashMap<TileId, Vec<Hash>>, ids: &[TileId]) -> Tiles {
        let mut tiles = Tiles::default();
        for id in ids {
            tiles.insert(*id, all[id].clone());
        }
        tiles
    }

    #[test]
    fn paths_read_back_and_no_other_form_is_read() {
        for (number, path) in [
            (0, "000"),
            (7, "007"),
            (999, "999"),
            (1_000, "x001/000"),
            (1_234_067, "x001/x234/067"),
            (u64::MAX, "x018/x446/x744/x073/x709/x551/615"),
        ] {
            assert_eq!(tile_path_number(number), path);
            assert_eq!(parse_tile_path(path), Some((number, None)));
            assert_eq!(parse_tile_path(&format!("{path}.p/17")), Some((number, Some(17))));
        }
        for bad in [
            "",
            "0",
            "00",
            "0000",
            "x000",
            "x000/001",
            "001/002",
            "x001/x002",
            "x1/002",
            "+01",
            "x+01/000",
            "001.p/",
            "001.p/0",
            "001.p/256",
            "001.p/01",
            "001.p/+1",
            "001.p/1.p/1",
            "001/",
            "/001",
            "X001/002",
            "x018/x446/x744/x073/x709/x551/616",
            "x001/x018/x446/x744/x073/x709/x551/615",
            "٠٠١",
        ] {
            assert_eq!(parse_tile_path(bad), None, "{bad}");
        }
    }

    #[test]
    fn widths_are_those_of_the_specification_s_example() {
        let width = |level, tile| TileId { level, tile }.width(70_000);
        assert_eq!((width(0, 272), width(0, 273), width(0, 274)), (256, 112, 0));
        assert_eq!((width(1, 0), width(1, 1), width(1, 2)), (256, 17, 0));
        assert_eq!((width(2, 0), width(2, 1), width(3, 0), width(8, 0)), (1, 0, 0, 0));
        let highest = TileId { level: 7, tile: 0 };
        assert_eq!((highest.width(u64::MAX), highest.width(1 << 56)), (255, 1));
        assert_eq!(
            TileId {
                level: 0,
                tile: u64::MAX
            }
            .width(u64::MAX),
            0
        );
    }

    #[test]
    fn a_plan_names_exactly_the_tiles_that_are_needed() {
        let leaves = leaves(66_000);
        let all = all_tiles(&leaves);
        let size = leaves.len() as u64;
        for index in [0, 1, 255, 256, 40_000, 65_535, 65_536, 65_791, 65_792, 65_999] {
            let plan = tiles_for_inclusion(index, size);
            assert!(only(&all, &plan).inclusion(index, size).is_some(), "{index}");
            for left_out in 0..plan.len() {
                let mut less = plan.clone();
                less.remove(left_out);
                assert_eq!(only(&all, &less).inclusion(index, size), None, "{index}");
            }
        }
        for old in [1, 255, 256, 257, 65_535, 65_536, 65_999] {
            let plan = tiles_for_consistency(old, size);
            assert!(only(&all, &plan).consistency(old, size).is_some(), "{old}");
            for left_out in 0..plan.len() {
                let mut less = plan.clone();
                less.remove(left_out);
                assert_eq!(only(&all, &less).consistency(old, size), None, "{old}");
            }
        }
        for size in [1, 256, 257, 65_536, 65_999] {
            let plan = tiles_for_root(size);
            let whole = usize::try_from(size).expect("small");
            assert_eq!(only(&all, &plan).root(size), Some(root(&leaves[..whole])));
            let mut less = plan.clone();
            less.pop();
            assert_eq!(only(&all, &less).root(size), None, "{size}");
        }
    }

    #[test]
    fn every_proof_of_a_small_tree_verifies_even_from_tiles_that_have_grown() {
        let leaves = leaves(300);
        let all = all_tiles(&leaves);
        let ids: Vec<TileId> = all.keys().copied().collect();
        let tiles = only(&all, &ids);
        for size in 1..=leaves.len() {
            let tree = root(&leaves[..size]);
            assert_eq!(tiles.root(size as u64), Some(tree));
            for index in (0..size).step_by(7) {
                let proof = tiles.inclusion(index as u64, size as u64).expect("a proof");
                assert_eq!(
                    verify_inclusion(index as u64, size as u64, &leaves[index], &proof, &tree),
                    Ok(()),
                    "{index} in {size}"
                );
            }
            for old in (0..=size).step_by(5) {
                let proof = tiles.consistency(old as u64, size as u64).expect("a proof");
                assert_eq!(
                    verify_consistency(old as u64, size as u64, &root(&leaves[..old]), &tree, &proof),
                    Ok(()),
                    "{old} in {size}"
                );
            }
        }
    }

    #[test]
    fn what_does_not_exist_has_no_proof() {
        let leaves = leaves(10);
        let tiles = only(&all_tiles(&leaves), &[TileId { level: 0, tile: 0 }]);
        assert_eq!(tiles.inclusion(10, 10), None);
        assert_eq!(tiles.inclusion(0, 0), None);
        assert_eq!(tiles.inclusion(0, 11), None);
        assert_eq!(tiles.consistency(5, 4), None);
        assert_eq!(tiles.consistency(5, 11), None);
        assert_eq!(tiles.consistency(0, 10), Some(Vec::new()));
        assert_eq!(tiles.consistency(10, 10), Some(Vec::new()));
        assert_eq!(tiles.root(0), Some(root(&[])));
        assert_eq!(tiles_for_inclusion(3, 3), []);
    }
}
