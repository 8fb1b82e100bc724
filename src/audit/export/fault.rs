//! What can be wrong with an export: one sentence each, a stable word, and the first bad index where one can be told.

use crate::audit::merkle::ProofError;
use crate::audit::note::NoteError;

/// Why an export does not show what it claims. The sentences hold names of members and numbers, never content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A member is not there.
    #[error("{name} is missing")]
    Missing {
        /// The member.
        name: String,
    },
    /// A member that the manifest does not speak of.
    #[error("the manifest does not know one of the members: {name}")]
    Unknown {
        /// The member.
        name: String,
    },
    /// The manifest is not signed by the key.
    #[error("manifest.json is not signed by this key: it was changed, or it is another server's")]
    Signature,
    /// The manifest does not read, or contradicts itself.
    #[error("manifest.json is not a manifest of the format {format}: {what}", format = super::FORMAT)]
    Manifest {
        /// What about it.
        what: String,
    },
    /// The key was given for another log.
    #[error("the key is that of another log")]
    OtherLog,
    /// A checkpoint is not good.
    #[error("{name}: {error}")]
    Note {
        /// Which one.
        name: &'static str,
        /// What about it.
        error: NoteError,
    },
    /// An entry is not what was logged at its index.
    #[error("entry {index} is the first that does not fit: {what}")]
    Entry {
        /// The index in the log.
        index: u64,
        /// In what way.
        what: &'static str,
    },
    /// A member's bytes are not those that the manifest names, and no entry can be blamed.
    #[error("{name} was changed, from entry {index} on")]
    File {
        /// The member.
        name: String,
        /// The index of the first entry in it.
        index: u64,
    },
    /// A member without entries has other bytes than it should.
    #[error("{name} was changed")]
    Changed {
        /// The member.
        name: &'static str,
    },
    /// All entries are as the manifest says, but the log's signed root is another.
    #[error("the entries {from} to {to} do not lead to the signed root of the checkpoint: {error}")]
    Root {
        /// The first entry.
        from: u64,
        /// The index after the last one.
        to: u64,
        /// What about it.
        error: ProofError,
    },
    /// The log is smaller than it was.
    #[error("the log was rolled back: the earlier checkpoint has {earlier} entries, this one {size}")]
    RolledBack {
        /// The earlier size.
        earlier: u64,
        /// The size now.
        size: u64,
    },
    /// The log does not continue what it was.
    #[error("the log was rewritten: the first {earlier} entries are not those of the earlier checkpoint")]
    Forked {
        /// The earlier size.
        earlier: u64,
    },
    /// Nothing in the export says whether the log continues the earlier checkpoint.
    #[error(
        "the export begins at entry {from} and has no proof back to the earlier checkpoint of {earlier} entries: \
         ask for one from there on"
    )]
    OutOfReach {
        /// The first entry.
        from: u64,
        /// The earlier size.
        earlier: u64,
    },
}

impl Fault {
    /// The stable word for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Fault::Missing { .. } => "member_missing",
            Fault::Unknown { .. } => "member_unknown",
            Fault::Signature => "manifest_signature",
            Fault::Manifest { .. } => "manifest_invalid",
            Fault::OtherLog => "other_log",
            Fault::Note { .. } => "checkpoint_invalid",
            Fault::Entry { .. } => "entry_mismatch",
            Fault::File { .. } | Fault::Changed { .. } => "member_changed",
            Fault::Root { .. } => "root_mismatch",
            Fault::RolledBack { .. } => "rolled_back",
            Fault::Forked { .. } => "rewritten",
            Fault::OutOfReach { .. } => "earlier_out_of_reach",
        }
    }

    /// The first index that does not fit, where it can be told.
    pub fn first_bad_index(&self) -> Option<u64> {
        match self {
            Fault::Entry { index, .. } => Some(*index),
            _ => None,
        }
    }
}
