//! Damages texts: bits, characters, pieces, and the texts that stand at the borders of rules.

use super::POOL;

/// Characters that mean something to one decoder or another.
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~,=&%+:{}[]\"$ ";
/// Pieces that mean something.
const PIECES: [&str; 18] = [
    "~",
    ".",
    "&",
    "=",
    "~dv.",
    "1---",
    "YA",
    "QA",
    "AAAAAAAA",
    "________",
    "${GDPR_CONSENT_755}",
    "%24",
    "-1",
    "65535",
    "gpp_sid=2",
    "&gpp=DBABMA~",
    "Ä",
    "\u{0}",
];
const LONGEST: usize = 20_000;

/// A seeded source of damage.
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// The same seed does the same damage.
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed ^ 0x9e37_79b9_7f4a_7c15,
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below the limit.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap_or(0)
    }

    /// A text of the pool with one to four things done to it; every second time one of the corpus, which the pool
    /// begins with, so that a run does not lose itself in the descendants of one text.
    pub fn mutate(&mut self, pool: &[String], corpus: usize) -> String {
        debug_assert!(pool.len() <= POOL, "the pool has a limit");
        let among = if self.below(2) == 0 { corpus } else { pool.len() };
        let place = self.below(among);
        let mut text = pool[place].as_bytes().to_vec();
        for _ in 0..=self.below(4) {
            let other = self.below(pool.len());
            self.damage(&mut text, pool[other].as_bytes());
        }
        text.truncate(LONGEST);
        match String::from_utf8(text) {
            Ok(text) => text,
            Err(broken) => String::from_utf8_lossy(broken.as_bytes()).into_owned(),
        }
    }

    fn damage(&mut self, text: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(text.len() + 1);
        let letter = LETTERS[self.below(LETTERS.len())];
        match self.below(9) {
            0 => text.truncate(at),
            1 => text.insert(at, letter),
            2 => text.extend_from_slice(other),
            3 => self.splice(text, at, other),
            4 => {
                let piece = PIECES[self.below(PIECES.len())];
                text.splice(at..at, piece.bytes());
            }
            5 if !text.is_empty() => {
                // A piece again and again: counts and lists grow.
                let end = (at + 1 + self.below(12)).min(text.len());
                let piece = text[at.min(end)..end].to_vec();
                for _ in 0..self.below(40) {
                    text.splice(at..at, piece.iter().copied());
                }
            }
            6 if at < text.len() => {
                text.remove(at);
            }
            7 if at < text.len() => text[at] ^= 1 << self.below(7),
            _ if at < text.len() => text[at] = letter,
            _ => text.push(letter),
        }
    }

    /// The beginning of one and the end of another.
    fn splice(&mut self, text: &mut Vec<u8>, at: usize, other: &[u8]) {
        let from = self.below(other.len() + 1);
        text.truncate(at);
        text.extend_from_slice(&other[from..]);
    }
}
