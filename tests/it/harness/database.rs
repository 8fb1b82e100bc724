//! A database of the test's own, and its removal.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

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
        let folder = TempDir::new_in(&ROOT.path).expect("a folder");
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

/// The same database on PostgreSQL for an administrator, whom no wall holds: for what the server's own role may not do.
pub fn as_superuser(url: &str) -> String {
    let (before, after) = (
        format!("//{}@", postgres::OWNER),
        format!("//{}@", postgres::SUPERUSER),
    );
    assert!(url.contains(&before), "another role's database");
    url.replacen(&before, &after, 1)
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

/// The folder of this process. A shell that waits for the other end of a pipe removes it when the process is gone, so
/// that killed tests leave nothing behind, either.
struct Root {
    path: PathBuf,
    /// Holds the pipe.
    _keeper: Child,
}

static ROOT: LazyLock<Root> = LazyLock::new(|| {
    let path = scratch().keep();
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(r#"cat >/dev/null; rm -rf "$1""#)
        .arg("keeper")
        .arg(&path);
    // A group of its own: an interrupt from the terminal must not reach it before it has tidied up.
    shell
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Root {
        path,
        _keeper: shell.spawn().expect("sh runs"),
    }
});
