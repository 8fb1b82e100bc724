//! The left side of a tree in at most 64 hashes: enough to go on counting leaves and to know the root at every step.
//!
//! A tree of any size consists of complete subtrees of falling size, one for each bit of the size. Their hashes are the
//! *frontier* (also called compact range). Whoever has it for a size needs none of the leaves before that size.

use super::merkle::{Hash, node_hash, root};

/// The complete subtrees of a tree, greatest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    nodes: Vec<Hash>,
}

impl Frontier {
    /// The frontier of a size; none if the number of hashes is not that of the size's bits.
    pub fn new(size: u64, nodes: Vec<Hash>) -> Option<Self> {
        let wanted = usize::try_from(size.count_ones()).ok()?;
        (nodes.len() == wanted).then_some(Self { size, nodes })
    }

    /// How many leaves it stands for.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of the complete subtrees, greatest first.
    pub fn nodes(&self) -> &[Hash] {
        &self.nodes
    }

    /// Adds a leaf at the end.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // As in counting: every bit that is carried joins two subtrees of one size.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.nodes.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.nodes.push(hash);
        self.size += 1;
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        fold(&self.nodes)
    }
}

/// The root over complete subtrees, greatest first.
pub(super) fn fold(nodes: &[Hash]) -> Hash {
    let joined = nodes
        .iter()
        .rev()
        .copied()
        .reduce(|right, left| node_hash(&left, &right));
    joined.unwrap_or_else(|| root(&[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::merkle::leaf_hash;

    #[test]
    fn it_knows_the_root_at_every_size() {
        let leaves: Vec<Hash> = (0_u32..600).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let mut frontier = Frontier::default();
        for size in 0..=leaves.len() {
            assert_eq!(frontier.root(), root(&leaves[..size]), "size {size}");
            assert_eq!(
                Frontier::new(frontier.size(), frontier.nodes().to_vec()).as_ref(),
                Some(&frontier)
            );
            if let Some(leaf) = leaves.get(size) {
                frontier.push(*leaf);
            }
        }
    }

    #[test]
    fn hashes_that_cannot_be_of_a_size_are_refused() {
        assert_eq!(Frontier::new(5, vec![[0; 32]]), None);
        assert_eq!(Frontier::new(0, vec![[0; 32]]), None);
        assert!(Frontier::new(4, vec![[0; 32]]).is_some());
    }
}
