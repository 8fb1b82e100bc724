//! The Merkle tree of RFC 6962, section 2.1, over SHA-256: roots, and the checks of proofs.
//!
//! Proofs are made in `tiles`, which has the hashes; here they are only checked, with nothing but the proof at hand, as
//! RFC 9162, sections 2.1.3.2 and 2.1.4.2, describes it.

use sha2::{Digest, Sha256};

/// A node of the tree.
pub type Hash = [u8; 32];

/// Why a proof does not show what it claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index is not below the size.
    #[error("the index is not below the size of the tree")]
    IndexOutside,
    /// The sizes of a consistency proof run backwards.
    #[error("the earlier tree is larger than the later one")]
    SizesReversed,
    /// More or fewer hashes than a tree of this size has on the way.
    #[error("the proof has the wrong number of hashes")]
    WrongLength,
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    OtherRoot,
}

/// The hash of a leaf: SHA-256(0x00 ‖ bytes), RFC 6962, section 2.1.
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(bytes)
        .finalize()
        .into()
}

/// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right), RFC 6962, section 2.1.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    // One piece of memory, one call: this is the log's hottest function.
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    Sha256::digest(bytes).into()
}

/// The root over leaf hashes; of none, the hash of the empty text.
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [only] => *only,
        many => {
            // The left subtree is the largest complete one: the greatest power of two below the size.
            let split = many.len().next_power_of_two() / 2;
            let (left, right) = many.split_at(split);
            node_hash(&root(left), &root(right))
        }
    }
}

/// The proof that the leaf at `index` is among these, from its sibling up (RFC 6962, section 2.1.1); none if it is not. For
/// what fits in memory, such as the clicks of a batch; proofs in the log itself are made of tiles.
pub fn inclusion(index: usize, leaves: &[Hash]) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    if leaves.len() == 1 {
        return Some(Vec::new());
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut proof, sibling) = if index < left.len() {
        (inclusion(index, left)?, root(right))
    } else {
        (inclusion(index - left.len(), right)?, root(left))
    };
    proof.push(sibling);
    Some(proof)
}

/// The greatest power of two below a size of at least 2: where the tree of that size is divided.
pub(super) fn split(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

/// Whether the leaf at `index` is in the tree of this size and root (RFC 9162, section 2.1.3.2). The proof's hashes run
/// from the leaf's sibling up to the root's child.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: &Hash,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::IndexOutside);
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if node % 2 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // The last node of an uneven level has no sibling there: it moves up until it is somebody's right child.
            while node % 2 == 0 && node != 0 {
                node /= 2;
                last /= 2;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node /= 2;
        last /= 2;
    }
    settle(last == 0, hash == *root)
}

/// Whether the tree of size `old` is the beginning of the tree of size `new` (RFC 9162, section 2.1.4.2). Every tree
/// continues the empty one, and itself; both proofs are empty.
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::SizesReversed);
    }
    if old == new {
        return settle(proof.is_empty(), old_root == new_root);
    }
    if old == 0 {
        return settle(proof.is_empty(), *old_root == self::root(&[]));
    }
    let (mut node, mut last) = (old - 1, new - 1);
    while node % 2 == 1 {
        node /= 2;
        last /= 2;
    }
    // A complete old tree is a node of the new one, and the proof leaves it out: it begins with the old root itself.
    let (first, rest) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or(ProofError::WrongLength)?
    };
    let (mut of_old, mut of_new) = (*first, *first);
    for hash in rest {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if node % 2 == 1 || node == last {
            of_old = node_hash(hash, &of_old);
            of_new = node_hash(hash, &of_new);
            while node % 2 == 0 && node != 0 {
                node /= 2;
                last /= 2;
            }
        } else {
            of_new = node_hash(&of_new, hash);
        }
        node /= 2;
        last /= 2;
    }
    settle(last == 0, of_old == *old_root && of_new == *new_root)
}

fn settle(has_right_length: bool, has_right_root: bool) -> Result<(), ProofError> {
    match (has_right_length, has_right_root) {
        (false, _) => Err(ProofError::WrongLength),
        (true, false) => Err(ProofError::OtherRoot),
        (true, true) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The leaves and roots that the certificate transparency project publishes as test data for RFC 6962.
    #[test]
    fn roots_match_the_published_ones() {
        let inputs: [&[u8]; 8] = [
            &[],
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[
                0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e,
                0x6f,
            ],
        ];
        let expected = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let leaves: Vec<Hash> = inputs.iter().map(|input| leaf_hash(input)).collect();
        for (size, wanted) in expected.iter().enumerate() {
            assert_eq!(hex::encode(root(&leaves[..=size])), *wanted, "size {}", size + 1);
        }
    }

    #[test]
    fn a_tree_is_divided_at_the_greatest_power_of_two_below_its_size() {
        for (size, wanted) in [(2, 1), (3, 2), (4, 2), (5, 4), (8, 4), (9, 8), (1 << 40, 1 << 39)] {
            assert_eq!(split(size), wanted);
        }
    }

    #[test]
    fn impossible_questions_are_refused() {
        let (leaf, tree) = (leaf_hash(b"a"), root(&[leaf_hash(b"a")]));
        assert_eq!(verify_inclusion(0, 1, &leaf, &[], &tree), Ok(()));
        assert_eq!(
            verify_inclusion(1, 1, &leaf, &[], &tree),
            Err(ProofError::IndexOutside)
        );
        assert_eq!(
            verify_inclusion(0, 0, &leaf, &[], &tree),
            Err(ProofError::IndexOutside)
        );
        assert_eq!(
            verify_inclusion(0, 1, &leaf, &[leaf], &tree),
            Err(ProofError::WrongLength)
        );
        assert_eq!(
            verify_consistency(2, 1, &tree, &tree, &[]),
            Err(ProofError::SizesReversed)
        );
        assert_eq!(
            verify_consistency(1, 1, &tree, &root(&[]), &[]),
            Err(ProofError::OtherRoot)
        );
        assert_eq!(verify_consistency(0, 1, &root(&[]), &tree, &[]), Ok(()));
        assert_eq!(
            verify_consistency(0, 1, &tree, &tree, &[]),
            Err(ProofError::OtherRoot)
        );
        assert_eq!(
            verify_consistency(3, 5, &tree, &tree, &[]),
            Err(ProofError::WrongLength)
        );
    }
}
