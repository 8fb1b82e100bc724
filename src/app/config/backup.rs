//! Backups: the key that they are sealed with, where PostgreSQL's own tools are, and how long the erasure journal is kept.

use std::path::{Path, PathBuf};

use super::{ConfigError, FileKeys, Options};

/// More than a year: whoever keeps yearly copies can restore each of them.
const JOURNAL_DAYS: u32 = 400;
/// Longer than backups live by default.
const JOURNAL_DAYS_MIN: u32 = 36;

/// What backups and restores need to know.
#[derive(Debug, Clone)]
pub struct BackupConfig {
    /// The backup key's file.
    pub key_file: PathBuf,
    /// The folder of `pg_dump` and `pg_restore`; none: found by `PATH`.
    pub pg_bin_dir: Option<PathBuf>,
    /// For how many days what the erasure journal says is kept: longer than any backup lives.
    pub journal_days: u32,
}

impl BackupConfig {
    pub(super) fn of(options: &Options, file: &mut FileKeys, data_dir: &Path) -> Result<Self, ConfigError> {
        let key_file = options.backup_key_file.clone().or(file.backup_key_file.take());
        let journal_days = options.journal_days.or(file.journal_days).unwrap_or(JOURNAL_DAYS);
        if journal_days < JOURNAL_DAYS_MIN {
            return Err(ConfigError::JournalDays);
        }
        Ok(Self {
            key_file: key_file.unwrap_or_else(|| data_dir.join("backup.key")),
            pg_bin_dir: options.pg_bin_dir.clone().or(file.pg_bin_dir.take()),
            journal_days,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn the_journal_outlives_backups() {
        let load = |journal_days| {
            Config::load(Options {
                journal_days,
                ..Options::default()
            })
        };
        assert_eq!(load(None).expect("loads").backup.journal_days, 400);
        assert_eq!(load(Some(36)).expect("loads").backup.journal_days, 36);
        assert!(matches!(load(Some(35)), Err(ConfigError::JournalDays)));
    }
}
