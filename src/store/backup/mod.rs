//! A consistent copy of the whole database, in two halves: salts and wrapped keys, and everything else.
//!
//! Promise: both halves are of one moment, the writer does not wait for them, and no byte of a salt or a key goes into the
//! other half. On SQLite a reading transaction holds the moment; rows leave it one by one, so that nothing has to be
//! wiped out of a file afterwards and no plain copy lies anywhere. On PostgreSQL an exported snapshot holds it, and
//! `pg_dump` reads the data under the same one.

pub mod embedded;
pub mod postgres;
mod rows;

use std::io;

use migration::{Migrator, MigratorTrait};

use super::connect::StoreError;

/// Tables whose rows make up the half with salts and keys. On PostgreSQL the salts stand in the schema `vault`.
pub const KEY_TABLES: [&str; 2] = ["click_salt", "wrapped_key"];

/// Why a copy was not made or not taken back.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The database.
    #[error("the database failed: {0}")]
    Store(#[from] StoreError),
    /// What is written to or read from.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What is read is not a copy.
    #[error("the copy is not in the form that this version reads")]
    Form,
}

impl From<rusqlite::Error> for CopyError {
    fn from(error: rusqlite::Error) -> Self {
        CopyError::Store(error.into())
    }
}

impl From<sqlx::Error> for CopyError {
    fn from(error: sqlx::Error) -> Self {
        CopyError::Store(error.into())
    }
}

/// What a backup says of the moment that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The migrations that had been applied, in order.
    pub migrations: Vec<String>,
    /// The server's settings: public names of its keys.
    pub settings: Vec<(String, String)>,
    /// Every log's latest epoch.
    pub heads: Vec<CopiedHead>,
}

impl Facts {
    /// A setting's value.
    pub fn setting(&self, name: &str) -> Option<&str> {
        let mut settings = self.settings.iter();
        settings
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The head of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedHead {
    /// The tenant's number; 0 is the server's log.
    pub tenant: i64,
    /// The epoch.
    pub epoch: i64,
    /// How many entries it has.
    pub size: i64,
    /// Its latest checkpoint, signed.
    pub checkpoint: Option<String>,
}

/// Which salts a restore takes back: those of nobody who was erased since. Asked with the tenant and the click's id.
pub type Keeps<'a> = &'a (dyn Fn(i64, &[u8; 16]) -> bool + Sync);

const MIGRATIONS: &str = "SELECT version FROM seaql_migrations ORDER BY version";
const SETTINGS: &str = "SELECT name, value FROM server_setting ORDER BY name";
const HEADS: &str = "
SELECT log.tenant, log.epoch, log.size, (SELECT note FROM audit_checkpoint AS c
    WHERE c.tenant = log.tenant AND c.epoch = log.epoch ORDER BY c.size DESC LIMIT 1) AS note
FROM audit_log AS log
WHERE log.epoch = (SELECT max(epoch) FROM audit_log AS later WHERE later.tenant = log.tenant)
ORDER BY log.tenant";

/// The migrations that this version knows, in order.
pub fn known_migrations() -> Vec<String> {
    let known = Migrator::get_migration_files();
    known.iter().map(|one| one.name().to_owned()).collect()
}
