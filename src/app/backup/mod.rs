//! The command line's `backup` and `restore`.
//!
//! A backup is a folder with two sealed files, `data.sealed` and `keys.sealed`, and a signed manifest. Salts and wrapped
//! keys stand in the second file alone, so that it can live shorter: without it nothing personal in the first can be read.
//! The root key, the audit key, the journal and its key, the guard file and the backup key itself are in neither.

pub mod journal;
pub mod kept;
pub mod manifest;
pub mod postgres;
pub mod prune;
pub mod restore;
pub mod sealed;
pub mod take;
pub mod told;
pub mod verify;

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use self::journal::Gap;
use super::audit::check::AuditError;
use super::audit_key::AuditKeyError;
use super::erasure_journal::JournalError;
use super::key_file::{KeyFileError, Kind};
use super::wire::StartError;
use crate::audit::note::NoteError;
use crate::domain::keys::Secret;
use crate::flow::FlowError;
use crate::flow::audit::SignerFailed;
use crate::store::StoreError;
use crate::store::backup::CopyError;

const KEY: Kind = Kind {
    name: "backup key",
    head: "einklang-backup-key-1:",
};

/// What `einklang backup` was asked for.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct BackupOptions {
    /// Where to put the new backup: a folder of backups.
    #[arg(required = true)]
    pub folder: Option<PathBuf>,
    /// Something else than a new backup.
    #[command(subcommand)]
    pub step: Option<BackupStep>,
}

/// What there is to do about backups that were made.
#[derive(Debug, Subcommand)]
pub enum BackupStep {
    /// Open a backup from its first byte to its last, and hold it against its signed manifest.
    Verify {
        /// The backup.
        backup: PathBuf,
    },
    /// Remove what has had its time: first the salts and keys, after which nothing personal can be read, then the rest.
    Prune {
        /// The folder of backups.
        folder: PathBuf,
        /// The life of salts and keys, in days.
        #[arg(long, value_name = "DAYS", default_value_t = 7)]
        keys_older_than: u32,
        /// The life of a whole backup, in days.
        #[arg(long, value_name = "DAYS", default_value_t = 35)]
        data_older_than: u32,
    },
}

/// Why there is no backup, or why one cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is nothing to back up.
    #[error("There is no database at {0}.")]
    NoDatabase(PathBuf),
    /// The schema is not this version's.
    #[error(
        "The database's schema is not that of this version, so nothing is copied. Back it up with the version that \
         serves it, or run `einklang migrate up` first."
    )]
    Schema,
    /// A restore into this database has not ended.
    #[error("A restore into this database has not ended. Run it again.")]
    HalfRestored,
    /// A file or a folder.
    #[error("{0} cannot be read or written: {1}")]
    File(PathBuf, #[source] io::Error),
    /// Two at a time.
    #[error("Another backup is being made or pruned in {0}.")]
    Busy(PathBuf),
    /// There is no backup.
    #[error(
        "{0} is not a backup: it has no manifest.json. A backup that was not finished has another name and is no backup."
    )]
    NoBackup(PathBuf),
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The backup key is not there.
    #[error("The backup key file {0} is missing. Put the file there that this backup was made with.")]
    NoKey(PathBuf),
    /// The backup key is another.
    #[error("The backup key file {path} holds key {found}, but the backup was sealed with key {wanted}.")]
    OtherKey {
        /// Where it is.
        path: PathBuf,
        /// The public name of the key in the file.
        found: String,
        /// The public name of the key that is needed.
        wanted: String,
    },
    /// The audit key is not there.
    #[error(
        "The audit key file {0} is missing. Put the file there that this installation signs with: without it nobody can \
         say whether the backup is its own."
    )]
    NoAuditKey(PathBuf),
    /// The audit key.
    #[error(transparent)]
    AuditKey(#[from] AuditKeyError),
    /// Nothing was signed.
    #[error(transparent)]
    Sign(#[from] SignerFailed),
    /// The manifest is not what was signed.
    #[error("The manifest of {0} does not verify under the audit key: {1}.")]
    Manifest(PathBuf, #[source] NoteError),
    /// A file is not what the manifest says.
    #[error(
        "{0} is not the file that the manifest describes: it was changed, cut short or taken from another backup."
    )]
    Changed(PathBuf),
    /// The salts and keys are gone.
    #[error(
        "{0} is not there: the salts and keys of this backup were removed or lost, and without them nothing personal in it \
         can be read."
    )]
    NoKeys(PathBuf),
    /// The schema is of a later version.
    #[error(
        "The backup was made by version {0} and has a schema that this version does not know. Restore it with that version \
         or a later one."
    )]
    Newer(String),
    /// Of another database's kind.
    #[error("The backup {0} is of the other kind of database than the one to restore into or from.")]
    OtherKind(PathBuf),
    /// Keys of an earlier moment than the data.
    #[error("The backup {0} is older than the one whose data is restored: its keys cannot be for all of it.")]
    EarlierKeys(PathBuf),
    /// There is something already.
    #[error("{0} is there already. A restore goes into an empty place and never over a database.")]
    Taken(PathBuf),
    /// The same on PostgreSQL.
    #[error("The database is not empty. A restore goes into an empty one and never over another.")]
    DatabaseTaken,
    /// The journal cannot be read.
    #[error(transparent)]
    Unreadable(#[from] JournalError),
    /// The journal is not whole.
    #[error(
        "Nothing is restored: {0}, so people who were erased since the backup could come back. Put the journal and its key \
         back where they were, or say --accept-missing-journal."
    )]
    Journal(Gap),
    /// The search.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The replay.
    #[error("The database failed: {0}")]
    Flow(#[from] FlowError),
    /// What was copied.
    #[error("The copy failed: {0}")]
    Copy(#[from] CopyError),
    /// The database did not open.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The database failed.
    #[error("The database failed: {0}")]
    Store(#[from] StoreError),
    /// A tool of PostgreSQL's.
    #[error("{0} cannot be run: {1}. PostgreSQL's own tools are needed; pg_bin_dir says where they are.")]
    Tool(PathBuf, #[source] io::Error),
    /// It ran and failed.
    #[error("{0} failed; what it said stands above.")]
    ToolFailed(PathBuf),
}

/// With the file in front.
fn file(path: &Path) -> impl Fn(io::Error) -> BackupError + '_ {
    |error| BackupError::File(path.to_owned(), error)
}

/// The backup key, which has to be there and to be the one of this name.
fn key_named(path: &Path, wanted: &str) -> Result<Secret, BackupError> {
    let found = KEY.read(path)?.map(|bytes| Secret::new(*bytes));
    let key = found.ok_or_else(|| BackupError::NoKey(path.to_owned()))?;
    let found = key.fingerprint();
    if found == wanted {
        return Ok(key);
    }
    Err(BackupError::OtherKey {
        path: path.to_owned(),
        found,
        wanted: wanted.to_owned(),
    })
}
