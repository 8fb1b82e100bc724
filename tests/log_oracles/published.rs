//! The proofs that the certificate transparency project publishes as test data for RFC 6962: a tree of eight leaves.

use einklang::audit::growth::Edge;
use einklang::audit::merkle::{Hash, leaf_hash, root, verify_consistency, verify_inclusion};
use einklang::audit::tiles::{TileId, Tiles};

const A: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
const B: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
const C: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";
const D: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
const E: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
const F: &str = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7";
const G: &str = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125";
const H: &str = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
const I: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";

/// Index, size, hashes.
const INCLUSION: [(u64, u64, &[&str]); 5] = [
    (0, 1, &[]),
    (0, 8, &[A, B, C]),
    (5, 8, &[D, E, F]),
    (2, 3, &[G]),
    (1, 5, &[H, B, D]),
];
/// Old size, new size, hashes.
const CONSISTENCY: [(u64, u64, &[&str]); 4] = [
    (1, 1, &[]),
    (1, 8, &[A, B, C]),
    (6, 8, &[I, E, F]),
    (2, 5, &[B, D]),
];

fn tree() -> (Vec<Hash>, Tiles) {
    let inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"];
    let mut inputs: Vec<Vec<u8>> = inputs
        .iter()
        .map(|input| hex::decode(input).expect("hex"))
        .collect();
    inputs.push((0x60..=0x6f).collect());
    let leaves: Vec<Hash> = inputs.iter().map(|input| leaf_hash(input)).collect();
    let mut edge = Edge::default();
    assert!(edge.append(&leaves).is_empty(), "no tile is full");
    let mut tiles = Tiles::default();
    tiles.insert(TileId { level: 0, tile: 0 }, leaves.clone());
    (leaves, tiles)
}

fn decoded(hashes: &[&str]) -> Vec<Hash> {
    let decode = |text: &&str| <Hash>::try_from(hex::decode(text).expect("hex")).expect("32 bytes");
    hashes.iter().map(decode).collect()
}

fn up_to(leaves: &[Hash], size: u64) -> Hash {
    root(&leaves[..usize::try_from(size).expect("small")])
}

#[test]
fn inclusion_proofs_are_the_published_ones() {
    let (leaves, tiles) = tree();
    for (index, size, hashes) in INCLUSION {
        let proof = decoded(hashes);
        assert_eq!(
            tiles.inclusion(index, size).as_ref(),
            Some(&proof),
            "{index} in {size}"
        );
        let leaf = &leaves[usize::try_from(index).expect("small")];
        assert_eq!(
            verify_inclusion(index, size, leaf, &proof, &up_to(&leaves, size)),
            Ok(())
        );
    }
}

#[test]
fn consistency_proofs_are_the_published_ones() {
    let (leaves, tiles) = tree();
    for (old, new, hashes) in CONSISTENCY {
        let proof = decoded(hashes);
        assert_eq!(
            tiles.consistency(old, new).as_ref(),
            Some(&proof),
            "{old} in {new}"
        );
        let (old_root, new_root) = (up_to(&leaves, old), up_to(&leaves, new));
        assert_eq!(verify_consistency(old, new, &old_root, &new_root, &proof), Ok(()));
    }
}
