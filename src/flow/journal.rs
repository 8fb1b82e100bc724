//! The erasure journal as flows see it: written before an erasure commits, outside the database.
//!
//! A line for something that then did not commit erases too much at a restore, which is the safe side; a commit without
//! its line would let a restore bring somebody back, so without a journal nothing is erased.

use crate::domain::ids::ClickId;
use crate::domain::journal::JournalLine;

/// The journal could not be written: nothing that depends on it may be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the erasure journal cannot be written")]
pub struct JournalFailed;

/// Remembers outside the database what was erased. Only `app` has files and the journal's key.
pub trait Journal: Send + Sync {
    /// How the journal names a click.
    fn click_reference(&self, tenant: i64, click: &ClickId) -> [u8; 32];

    /// Appends lines; they are durable when this returns.
    fn append(&self, lines: &[JournalLine]) -> Result<(), JournalFailed>;
}
