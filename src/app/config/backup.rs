//! Backups: the key that they are sealed with, and where PostgreSQL's own tools are.

use std::path::{Path, PathBuf};

use super::{FileKeys, Options};

/// What backups and restores need to know.
#[derive(Debug, Clone)]
pub struct BackupConfig {
    /// The backup key's file.
    pub key_file: PathBuf,
    /// The folder of `pg_dump` and `pg_restore`; none: found by `PATH`.
    pub pg_bin_dir: Option<PathBuf>,
}

impl BackupConfig {
    pub(super) fn of(options: &Options, file: &mut FileKeys, data_dir: &Path) -> Self {
        let key_file = options.backup_key_file.clone().or(file.backup_key_file.take());
        Self {
            key_file: key_file.unwrap_or_else(|| data_dir.join("backup.key")),
            pg_bin_dir: options.pg_bin_dir.clone().or(file.pg_bin_dir.take()),
        }
    }
}
