//! What must never pass: any flipped bit. And what must never matter: in which steps a log grew.
//!
//! A proof alone does not bind the size of its tree: trees of 3 and of 4 leaves lead the first leaf along the same way.
//! That is why size and root are signed together, and why sizes are damaged here inside a signed proof file.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::{Signer, SigningKey};
use einklang::audit::bundle::{bundle, unbundle};
use einklang::audit::growth::Edge;
use einklang::audit::merkle::{Hash, root, verify_consistency, verify_inclusion};
use einklang::audit::note::{Checkpoint, note, open_note, parse_pem, parse_vkey};
use einklang::audit::proof::{parse_proof_file, proof_file};
use einklang::audit::tiles::{
    Tiles, parse_tile_path, tile_path_number, tiles_for_consistency, tiles_for_inclusion, tiles_for_root,
};
use proptest::prelude::*;
use proptest::sample::Index;

use super::Ours;

const ORIGIN: &str = "ads.example/audit/server/0";

fn flip(hash: &mut Hash, bit: usize) {
    hash[bit / 8 % 32] ^= 1 << (bit % 8);
}

/// A size and something below it.
fn pair(largest: u64) -> impl Strategy<Value = (u64, u64)> {
    (1..=largest).prop_flat_map(|size| (Just(size), 0..size))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_flipped_bit_of_an_inclusion_proof_passes((size, index) in pair(700), bit in 0_usize..256, which in any::<Index>()) {
        let ours = Ours::of(size);
        let proof = ours.tiles().inclusion(index, size).expect("a proof");
        let tree = ours.root(size);
        let leaf = ours.leaves[usize::try_from(index).expect("small")];
        prop_assert_eq!(verify_inclusion(index, size, &leaf, &proof, &tree), Ok(()));
        let (mut bad_leaf, mut bad_tree, mut bad_proof) = (leaf, tree, proof.clone());
        flip(&mut bad_leaf, bit);
        flip(&mut bad_tree, bit);
        prop_assert!(verify_inclusion(index, size, &bad_leaf, &proof, &tree).is_err());
        prop_assert!(verify_inclusion(index, size, &leaf, &proof, &bad_tree).is_err());
        if !proof.is_empty() {
            let at = which.index(proof.len());
            flip(&mut bad_proof[at], bit);
            prop_assert!(verify_inclusion(index, size, &leaf, &bad_proof, &tree).is_err());
            prop_assert!(verify_inclusion(index, size, &leaf, &proof[1..], &tree).is_err());
        }
        prop_assert!(verify_inclusion(index, size, &leaf, &[proof.clone(), vec![tree]].concat(), &tree).is_err());
        let other = index ^ (1 << (bit % 10));
        prop_assert!(verify_inclusion(other, size, &leaf, &proof, &tree).is_err());
    }

    #[test]
    fn no_flipped_bit_of_a_consistency_proof_passes((new, below) in pair(700), bit in 0_usize..256, which in any::<Index>()) {
        let old = below + 1;
        let ours = Ours::of(new);
        let proof = ours.tiles().consistency(old, new).expect("a proof");
        let (old_root, new_root) = (ours.root(old), ours.root(new));
        prop_assert_eq!(verify_consistency(old, new, &old_root, &new_root, &proof), Ok(()));
        let (mut bad_old, mut bad_new, mut bad_proof) = (old_root, new_root, proof.clone());
        flip(&mut bad_old, bit);
        flip(&mut bad_new, bit);
        prop_assert!(verify_consistency(old, new, &bad_old, &new_root, &proof).is_err());
        prop_assert!(verify_consistency(old, new, &old_root, &bad_new, &proof).is_err());
        if !proof.is_empty() {
            let at = which.index(proof.len());
            flip(&mut bad_proof[at], bit);
            prop_assert!(verify_consistency(old, new, &old_root, &new_root, &bad_proof).is_err());
            prop_assert!(verify_consistency(old, new, &old_root, &new_root, &proof[1..]).is_err());
        }
        let longer = [proof, vec![new_root]].concat();
        prop_assert!(verify_consistency(old, new, &old_root, &new_root, &longer).is_err());
    }

    #[test]
    fn no_flipped_bit_of_a_signed_proof_file_passes((size, index) in pair(300), bit in 0_usize..8, which in any::<Index>()) {
        let ours = Ours::of(size);
        let proof = ours.tiles().inclusion(index, size).expect("a proof");
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size, root: ours.root(size) };
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = key.verifying_key().to_bytes();
        let signature = key.sign(checkpoint.text().as_bytes()).to_bytes();
        let file = proof_file(index, &proof, &note(&checkpoint.text(), ORIGIN, &public, &signature));
        let leaf = ours.leaves[usize::try_from(index).expect("small")];
        let verdict = |text: &str| parse_proof_file(text)?.verify(&leaf, ORIGIN, &public);
        prop_assert_eq!(verdict(&file), Ok(checkpoint));
        let mut bytes = file.into_bytes();
        let at = which.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert!(verdict(&text).is_err());
        }
    }

    #[test]
    fn no_text_and_no_number_makes_a_reader_stumble(text in any::<String>(), bytes in any::<Vec<u8>>(), numbers in any::<(u64, u64, u64)>()) {
        let framed = format!("c2sp.org/tlog-proof@v1\nindex {}\n\n{text}\n\n\u{2014} {text} AAAAAAAA\n", numbers.0);
        for text in [&text, &framed] {
            prop_assert!(open_note(text, ORIGIN, &[1; 32]).is_err());
            prop_assert!(Checkpoint::parse(text).is_err());
            prop_assert!(parse_vkey(text).is_err() && parse_pem(text).is_err());
            prop_assert!(parse_proof_file(text).is_err() || *text == framed);
        }
        let (number, width) = parse_tile_path(&text).unwrap_or_default();
        prop_assert!(width.is_none_or(|width| width < 256) && tile_path_number(number).len() >= 3);
        if let Some(entries) = unbundle(&bytes) {
            prop_assert_eq!(bundle(entries.into_iter()), Some(bytes));
        }
        let (size, index, other) = (numbers.0, numbers.1, numbers.2);
        prop_assert!(tiles_for_root(size).len() <= 8);
        prop_assert_eq!(tiles_for_inclusion(index, size).is_empty(), index >= size || size == 1);
        prop_assert_eq!(Tiles::default().inclusion(index, size).is_some(), size == 1 && index == 0);
        prop_assert_eq!(tiles_for_consistency(other, size).is_empty(), other == 0 || other >= size);
        prop_assert!(verify_inclusion(index, size, &[0; 32], &[[1; 32]; 3], &[2; 32]).is_err());
        prop_assert!(verify_consistency(other, size, &[0; 32], &[3; 32], &[[1; 32]; 3]).is_err());
    }

    #[test]
    fn a_log_that_grew_in_any_steps_has_the_same_tiles(size in 0_u64..2_000, steps in prop::collection::vec(1_usize..700, 1..9)) {
        let ours = Ours::of(size);
        let mut edge = Edge::default();
        let mut stored = BTreeMap::new();
        let mut rest = ours.leaves.as_slice();
        for step in steps.iter().cycle() {
            let (now, later) = rest.split_at((*step).min(rest.len()));
            stored.extend(edge.append(now).into_iter().map(|changed| (changed.id, changed.hashes)));
            prop_assert_eq!(edge.root(), root(&ours.leaves[..usize::try_from(edge.size()).expect("small")]));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let mut at_once = Edge::default();
        let changed = at_once.append(&ours.leaves);
        prop_assert_eq!(&edge, &at_once);
        prop_assert_eq!(stored, changed.into_iter().map(|changed| (changed.id, changed.hashes)).collect());
    }

    #[test]
    fn a_plan_names_the_needed_tiles_and_no_other((size, index) in pair(70_000)) {
        // Tiles of right lengths; what is in them does not matter here.
        let make = |left_out: Option<usize>, plan: &[_]| {
            let mut tiles = Tiles::default();
            for (at, id) in plan.iter().enumerate() {
                let id: einklang::audit::tiles::TileId = *id;
                if Some(at) != left_out {
                    tiles.insert(id, vec![[1; 32]; usize::try_from(id.width(size)).expect("small")]);
                }
            }
            tiles
        };
        let plans = [tiles_for_inclusion(index, size), tiles_for_consistency(index + 1, size), tiles_for_root(size)];
        for (kind, plan) in plans.iter().enumerate() {
            let is_made = |tiles: Tiles| match kind {
                0 => tiles.inclusion(index, size).is_some(),
                1 => tiles.consistency(index + 1, size).is_some(),
                _ => tiles.root(size).is_some(),
            };
            prop_assert!(is_made(make(None, plan)));
            prop_assert!((0..plan.len()).all(|at| !is_made(make(Some(at), plan))));
            prop_assert_eq!(plan.iter().collect::<BTreeSet<_>>().len(), plan.len());
        }
    }
}
