//! How long a log of 10^6 entries takes to grow, and how long its proofs take, given their tiles.
//!
//! Promise: the figures say whether they keep their limits, and the run fails if one does not. The best of rounds is
//! shown for growing, which is long; for proofs the mean over indices that lie all over the log. `cargo bench --bench log`.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark reports to a person and stops at a fault"
)]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use einklang::audit::growth::Edge;
use einklang::audit::merkle::{Hash, leaf_hash, root, verify_consistency, verify_inclusion};
use einklang::audit::tiles::{TILE_WIDTH, TileId, Tiles, tiles_for_consistency, tiles_for_inclusion};

const SIZE: u64 = 1_000_000;
const ROUNDS: usize = 5;
const PROOFS: u64 = 2_000;

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn time<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let value = call();
    (value, start.elapsed())
}

/// Leaves a second when they come in batches of this many.
fn growth(leaves: &[Hash], batch: usize) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let (edge, took) = time(|| {
            let mut edge = Edge::default();
            for chunk in leaves.chunks(batch) {
                black_box(edge.append(chunk));
            }
            edge
        });
        assert_eq!(edge.size(), SIZE);
        took
    });
    let best = rounds.min().expect("rounds");
    f64::from(u32::try_from(SIZE).expect("small")) / best.as_secs_f64()
}

fn micros(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6 / f64::from(u32::try_from(PROOFS).expect("small"))
}

fn main() -> ExitCode {
    let leaves: Vec<Hash> = (0..SIZE).map(|index| leaf_hash(&index.to_be_bytes())).collect();
    let mut edge = Edge::default();
    let mut tiles = Tiles::default();
    for changed in edge.append(&leaves) {
        tiles.insert(changed.id, changed.hashes);
    }
    let tile = SIZE / TILE_WIDTH;
    tiles.insert(TileId { level: 0, tile }, edge.levels[0].clone());
    let tree = edge.root();
    assert_eq!(tree, root(&leaves));

    let mut is_kept = true;
    let mut report = |what: &str, value: f64, unit: &str, keeps: bool, limit: &str| {
        is_kept &= keeps;
        let verdict = if keeps { "kept" } else { "NOT KEPT" };
        println!("{what:<44} {value:>12.1} {unit:<9} {limit:<22} {verdict}");
    };
    for batch in [100, 1_000, 10_000, 1_000_000] {
        let rate = growth(&leaves, batch) / 1e6;
        let is_large = batch >= 1_000;
        let limit = if is_large { "at least 1 M/s" } else { "" };
        report(
            &format!("growing in batches of {batch}"),
            rate,
            "M/s",
            !is_large || rate >= 1.0,
            limit,
        );
    }
    let indices: Vec<u64> = (0..PROOFS).map(|n| n * 7_919 * 61 % SIZE).collect();
    let (proofs, took) = time(|| {
        let prove = |index: &u64| {
            black_box(tiles_for_inclusion(*index, SIZE));
            tiles.inclusion(*index, SIZE).expect("a proof")
        };
        indices.iter().map(prove).collect::<Vec<_>>()
    });
    let each = micros(took);
    report(
        "inclusion: plan and proof",
        each,
        "µs",
        each < 1_000.0,
        "below 1 ms",
    );
    let ((), took) = time(|| {
        for (index, proof) in indices.iter().zip(&proofs) {
            let leaf = &leaves[usize::try_from(*index).expect("small")];
            verify_inclusion(*index, SIZE, leaf, proof, &tree).expect("verified");
        }
    });
    report("inclusion: verified", micros(took), "µs", true, "");
    let (proofs, took) = time(|| {
        let prove = |old: &u64| {
            black_box(tiles_for_consistency(*old, SIZE));
            tiles.consistency(*old, SIZE).expect("a proof")
        };
        indices.iter().map(prove).collect::<Vec<_>>()
    });
    let each = micros(took);
    report(
        "consistency: plan and proof",
        each,
        "µs",
        each < 1_000.0,
        "below 1 ms",
    );
    let olds: Vec<(u64, Hash)> = indices
        .iter()
        .map(|old| (*old, tiles.root(*old).expect("a root")))
        .collect();
    let ((), took) = time(|| {
        for ((old, old_root), proof) in olds.iter().zip(&proofs) {
            verify_consistency(*old, SIZE, old_root, &tree, proof).expect("verified");
        }
    });
    report("consistency: verified", micros(took), "µs", true, "");
    if is_kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
