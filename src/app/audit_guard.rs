//! The guard file: outside the database, what was signed last for each log.
//!
//! Written and synced before a checkpoint leaves, replaced whole. A database that is restored from a backup, or lost its
//! latest commits in a failover, contradicts it; the log then opens a new epoch instead of signing a second history. A
//! file that cannot be read is a refusal to start: without it nobody could tell. Two servers may share the file, as they
//! may share SQLite's: each writes under a lock, and neither makes the other's word smaller.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::audit::guard::Remembered;
use crate::flow::audit::{Guard, SignerFailed};

/// Why the guard file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// It cannot be read or written.
    #[error("The guard file {0} of the audit log cannot be read or written: {1}")]
    File(PathBuf, #[source] io::Error),
    /// It is not what was written.
    #[error(
        "The guard file {0} of the audit log is broken. Put it back from where it was copied; removing it makes this \
         server trust the database's own word about what it has signed."
    )]
    Broken(PathBuf),
}

/// One log's line in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    epoch: i64,
    size: u64,
    root: String,
}

/// The guard of this node.
pub struct FileGuard {
    path: PathBuf,
    known: Mutex<BTreeMap<String, Remembered>>,
}

impl FileGuard {
    /// Reads the file; there is none before the first checkpoint.
    pub fn open(path: &Path) -> Result<Self, GuardError> {
        Ok(Self {
            path: path.to_owned(),
            known: Mutex::new(read(path)?),
        })
    }

    /// Adds to what the file holds, under its lock; returns all of it.
    fn add(&self, signed: &[(String, Remembered)]) -> Result<BTreeMap<String, Remembered>, GuardError> {
        let file = |error| GuardError::File(self.path.clone(), error);
        let beside = self.path.with_extension("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&beside)
            .map_err(file)?;
        // Let go of when it is closed, however this ends.
        lock.lock().map_err(file)?;
        let mut known = read(&self.path)?;
        for (log, new) in signed {
            let place = known.entry(log.clone()).or_insert(*new);
            if (place.epoch, place.size) < (new.epoch, new.size) {
                *place = *new;
            }
        }
        self.write(&known).map_err(file)?;
        Ok(known)
    }

    fn write(&self, known: &BTreeMap<String, Remembered>) -> io::Result<()> {
        let lines: BTreeMap<&String, Line> = known
            .iter()
            .map(|(log, last)| {
                let root = hex::encode(last.root);
                let (epoch, size) = (last.epoch, last.size);
                (log, Line { epoch, size, root })
            })
            .collect();
        let text = serde_json::to_vec_pretty(&lines)?;
        let beside = self.path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        // The name is durable once its folder is.
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
            _ => File::open(".")?.sync_all(),
        }
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, Remembered>, GuardError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => b"{}".to_vec(),
        Err(error) => return Err(GuardError::File(path.to_owned(), error)),
    };
    let broken = || GuardError::Broken(path.to_owned());
    let lines: BTreeMap<String, Line> = serde_json::from_slice(&text).map_err(|_| broken())?;
    let mut known = BTreeMap::new();
    for (log, line) in lines {
        let mut root = [0; 32];
        hex::decode_to_slice(&line.root, &mut root).map_err(|_| broken())?;
        let (epoch, size) = (line.epoch, line.size);
        known.insert(log, Remembered { epoch, size, root });
    }
    Ok(known)
}

impl Guard for FileGuard {
    fn last(&self, log: &str) -> Option<Remembered> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(log).copied()
    }

    fn remember(&self, signed: &[(String, Remembered)]) -> Result<(), SignerFailed> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known = self.add(signed).map_err(|error| {
            tracing::error!(%error, "nothing is signed");
            SignerFailed
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_remembered_is_there_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit-guard.json");
        let last = Remembered {
            epoch: 1,
            size: 7,
            root: [3; 32],
        };
        let guard = FileGuard::open(&path).expect("opens");
        assert_eq!(guard.last("a"), None);
        guard.remember(&[("a".to_owned(), last)]).expect("written");
        assert_eq!(FileGuard::open(&path).expect("opens").last("a"), Some(last));
        fs::write(&path, "{\"a\":{}}").expect("written");
        assert!(matches!(FileGuard::open(&path), Err(GuardError::Broken(_))));
    }

    #[test]
    fn two_servers_on_one_file_never_make_it_forget() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit-guard.json");
        let (one, other) = (
            FileGuard::open(&path).expect("opens"),
            FileGuard::open(&path).expect("opens"),
        );
        let at = |size| Remembered {
            epoch: 0,
            size,
            root: [1; 32],
        };
        one.remember(&[("a".to_owned(), at(9))]).expect("written");
        other
            .remember(&[("a".to_owned(), at(7)), ("b".to_owned(), at(1))])
            .expect("written");
        let both = FileGuard::open(&path).expect("opens");
        assert_eq!((both.last("a"), both.last("b")), (Some(at(9)), Some(at(1))));
    }
}
