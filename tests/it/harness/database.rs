//! A database of the test's own, and its removal.

use std::path::{Path, PathBuf};

use einklang::app::config::sqlite_url;
use tempfile::TempDir;

use super::ledger::{self, Reader};
use super::postgres;

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The embedded one.
    Sqlite,
    /// The server.
    Postgres,
}

/// A fresh database, and the folder with the root key that belongs to it.
pub struct Database {
    /// Its URL.
    pub url: String,
    folder: TempDir,
}

impl Database {
    /// Makes one.
    pub async fn create(kind: Kind) -> Self {
        let folder = scratch();
        let url = match kind {
            Kind::Sqlite => sqlite_url(&folder.path().join("data")),
            Kind::Postgres => postgres::create_database().await,
        };
        Self { url, folder }
    }

    /// The server's data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Does what no API does yet, or what only a fault would do.
    pub async fn execute(&self, sql: &str) {
        ledger::execute(&self.url, sql).await;
    }

    /// A look behind the server's back. The database has to be migrated.
    pub async fn reader(&self) -> Reader {
        Reader::open(&self.url).await
    }
}

/// A folder in memory where the system has one: these tests commit thousands of times.
pub fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("einklang-test-");
    builder
        .tempdir_in(memory)
        .or_else(|_| builder.tempdir())
        .expect("a folder")
}
