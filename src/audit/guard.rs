//! Never two histories: what a signer does about a head, given what was signed last.
//!
//! A log that signed two trees of which neither extends the other has forked, and nobody can trust either. A tree that is
//! behind what was signed, or that contradicts it, is therefore never signed under the same origin: a new epoch opens,
//! and says so in its first entry.

use super::merkle::Hash;

/// What was signed last for a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// The epoch.
    pub epoch: i64,
    /// The size of the tree.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// How a head stands to what was signed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was signed in this epoch: it may be.
    New,
    /// It has to be shown to extend, or to be, what was signed.
    Extends,
    /// It cannot extend what was signed: entries are missing.
    Behind,
}

/// Compares a head with what was signed last.
pub fn standing(epoch: i64, size: u64, last: Option<Remembered>) -> Standing {
    match last {
        None => Standing::New,
        Some(last) if last.epoch < epoch => Standing::New,
        Some(last) if last.epoch > epoch || last.size > size => Standing::Behind,
        Some(_) => Standing::Extends,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_behind_what_was_signed_is_never_signed() {
        let last = |epoch, size| {
            Some(Remembered {
                epoch,
                size,
                root: [0; 32],
            })
        };
        assert_eq!(standing(0, 5, None), Standing::New);
        assert_eq!(standing(0, 5, last(0, 5)), Standing::Extends);
        assert_eq!(standing(0, 6, last(0, 5)), Standing::Extends);
        assert_eq!(standing(0, 4, last(0, 5)), Standing::Behind);
        assert_eq!(standing(1, 1, last(0, 5)), Standing::New);
        assert_eq!(standing(0, 9, last(1, 1)), Standing::Behind);
    }
}
