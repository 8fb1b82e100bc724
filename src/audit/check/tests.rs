//! Damage to a small log, and what the comparison says of it.

use super::*;
use crate::audit::growth::Edge;
use crate::audit::merkle::leaf_hash;

struct Log {
    leaves: Vec<(u64, Hash)>,
    tiles: BTreeMap<TileId, Vec<Hash>>,
    signed: Vec<Signed>,
    size: u64,
}

fn log(size: u64, signed: &[u64]) -> Log {
    let hashes: Vec<Hash> = (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect();
    let changed = Edge::default().append(&hashes);
    let signed = signed.iter().map(|size| Signed {
        size: *size,
        root: root(&hashes[..usize::try_from(*size).expect("small")]),
        witness: Witness::Checkpoint,
    });
    Log {
        leaves: (0..).zip(hashes.iter().copied()).collect(),
        tiles: changed.into_iter().map(|one| (one.id, one.hashes)).collect(),
        signed: signed.collect(),
        size,
    }
}

fn check(log: &Log) -> Vec<(&'static str, Option<u64>, u64)> {
    let mut found = Findings::default();
    let mut check = TreeCheck::new(7, 0, log.size);
    for number in 0..log.size.div_ceil(TILE_WIDTH) {
        let (first, end) = (number * TILE_WIDTH, (number + 1) * TILE_WIDTH);
        let leaves: Vec<_> = log
            .leaves
            .iter()
            .copied()
            .filter(|(n, _)| (first..end).contains(n))
            .collect();
        let stored = log.tiles.get(&TileId {
            level: 0,
            tile: number,
        });
        check.block(
            number,
            &leaves,
            stored.map(Vec::as_slice),
            &log.signed,
            &mut found,
        );
        while let Some((id, below)) = check.next_tile() {
            check.tile(id, &below, log.tiles.get(&id).map(Vec::as_slice), &mut found);
        }
    }
    for (id, below) in check.edge() {
        check.tile(id, &below, log.tiles.get(&id).map(Vec::as_slice), &mut found);
    }
    check.finish(&mut found);
    found
        .into_vec()
        .iter()
        .map(|one| (one.kind.code(), one.index, one.count))
        .collect()
}

#[test]
fn a_sound_log_has_no_findings() {
    for size in [0, 1, 255, 256, 257, 70_000] {
        assert_eq!(check(&log(size, &[size / 2, size])), vec![], "{size}");
    }
}

#[test]
fn an_altered_entry_is_named_by_its_index() {
    let mut log = log(1_000, &[500, 1_000]);
    log.leaves[300].1 = leaf_hash(b"other");
    assert_eq!(check(&log), [("entry_altered", Some(300), 1)]);
    log.signed.clear();
    assert_eq!(check(&log), [("entry_altered", Some(300), 1)]);
}

#[test]
fn an_altered_tile_is_told_from_an_altered_entry() {
    let mut log = log(1_000, &[500, 1_000]);
    let id = TileId { level: 0, tile: 1 };
    log.tiles.get_mut(&id).expect("a tile")[44] = [9; 32];
    // Its parent no longer stands for it, either.
    assert_eq!(check(&log), [("tile_altered", Some(300), 2)]);
    let mut log = self::log(70_000, &[70_000]);
    let id = TileId { level: 1, tile: 0 };
    log.tiles.get_mut(&id).expect("a tile")[3] = [9; 32];
    assert_eq!(
        check(&log),
        [("tile_altered", Some(768), 2)],
        "and the level above"
    );
}

#[test]
fn what_the_tiles_were_recomputed_for_contradicts_what_was_signed() {
    let sound = log(1_000, &[500, 1_000]);
    let mut log = log(1_000, &[]);
    log.leaves[300].1 = leaf_hash(b"other");
    let hashes: Vec<Hash> = log.leaves.iter().map(|(_, hash)| *hash).collect();
    let changed = Edge::default().append(&hashes);
    log.tiles = changed.into_iter().map(|one| (one.id, one.hashes)).collect();
    log.signed = sound.signed;
    assert_eq!(check(&log), [("checkpoint_contradicted", Some(0), 2)]);
    log.leaves = sound.leaves;
    log.leaves[800].1 = leaf_hash(b"other");
    log.tiles = sound.tiles;
    assert_eq!(
        check(&log),
        [("checkpoint_contradicted", Some(500), 1)],
        "no tile holds it yet"
    );
}

#[test]
fn a_gap_a_shift_and_a_swap_are_named_where_they_begin() {
    let mut gap = log(1_000, &[1_000]);
    gap.leaves.remove(300);
    assert_eq!(check(&gap), [("entry_missing", Some(300), 1)]);
    let mut cut = log(1_000, &[1_000]);
    cut.leaves.truncate(990);
    assert_eq!(check(&cut), [("entry_missing", Some(990), 1)]);
    let mut swapped = log(1_000, &[1_000]);
    (swapped.leaves[300].1, swapped.leaves[700].1) = (swapped.leaves[700].1, swapped.leaves[300].1);
    assert_eq!(check(&swapped), [("entry_altered", Some(300), 1)]);
    let mut without_tile = log(1_000, &[1_000]);
    without_tile.tiles.remove(&TileId { level: 0, tile: 2 });
    assert_eq!(check(&without_tile), [("tile_missing", Some(512), 1)]);
}

#[test]
fn hashes_beside_a_batch_are_held_against_its_root() {
    let hashes = [leaf_hash(b"a"), leaf_hash(b"b")];
    let body = format!(
        r#"{{"action":"click.batch","count":2,"nonce":"00","outcome":"tracked","root":"{}","tenant":1,"v":1}}"#,
        hex::encode(root(&hashes))
    );
    let seen = Seen::read(body.as_bytes()).expect("an event");
    assert!(seen.stands_for(&hashes.concat()));
    assert!(!seen.stands_for(&hashes[..1].concat()));
    assert!(!seen.stands_for(&[hashes[1], hashes[0]].concat()));
}
