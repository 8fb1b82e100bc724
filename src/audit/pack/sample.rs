//! Drawing decisions by a seed: those whose hash with the seed is least. One pass over entries of any number, and anybody who
//! has the entries draws the same.

use std::collections::BinaryHeap;

use crate::domain::keys::sha256;

/// The rule in words, for the manifest.
pub const RULE: &str = "The decisions of the period (entries with the action postback.verdict or click.batch) whose \
    SHA-256(seed || index as 8 bytes, big-endian) is least.";

/// A draw in progress.
#[derive(Debug)]
pub struct Sampler {
    seed: [u8; 32],
    wanted: usize,
    seen: u64,
    least: BinaryHeap<([u8; 32], u64)>,
}

impl Sampler {
    /// Of at most so many.
    pub fn new(seed: [u8; 32], wanted: usize) -> Self {
        Self {
            seed,
            wanted,
            seen: 0,
            least: BinaryHeap::new(),
        }
    }

    /// Takes note of a decision.
    pub fn offer(&mut self, index: u64) {
        self.seen += 1;
        let mut bytes = [0; 40];
        bytes[..32].copy_from_slice(&self.seed);
        bytes[32..].copy_from_slice(&index.to_be_bytes());
        self.least.push((sha256(&bytes), index));
        if self.least.len() > self.wanted {
            self.least.pop();
        }
    }

    /// How many there were, and the indices that were drawn, in order.
    pub fn finish(self) -> (u64, Vec<u64>) {
        let mut drawn: Vec<u64> = self.least.into_iter().map(|(_, index)| index).collect();
        drawn.sort_unstable();
        (self.seen, drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(seed: u8, wanted: usize, indices: impl Iterator<Item = u64>) -> (u64, Vec<u64>) {
        let mut sampler = Sampler::new([seed; 32], wanted);
        indices.for_each(|index| sampler.offer(index));
        sampler.finish()
    }

    #[test]
    fn a_seed_draws_the_same_in_whatever_order() {
        let (seen, drawn) = draw(1, 10, 0..1_000);
        assert_eq!((seen, drawn.len()), (1_000, 10));
        assert_eq!(draw(1, 10, (0..1_000).rev()).1, drawn);
        assert_ne!(draw(2, 10, 0..1_000).1, drawn);
        assert!(drawn.is_sorted());
    }

    #[test]
    fn fewer_than_wanted_are_all_drawn() {
        assert_eq!(draw(1, 10, 3..6), (3, vec![3, 4, 5]));
        assert_eq!(draw(1, 0, 0..6), (6, Vec::new()));
    }

    #[test]
    fn every_index_is_drawn_about_as_often() {
        let mut often = [0_u32; 20];
        for seed in 0..=255 {
            for index in draw(seed, 5, 0..20).1 {
                often[usize::try_from(index).expect("small")] += 1;
            }
        }
        // 256 draws of 5 in 20: 64 each, give or take five standard deviations.
        assert!(often.iter().all(|count| (30..=98).contains(count)), "{often:?}");
    }
}
