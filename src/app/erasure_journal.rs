//! The erasure journal's files: one for each node, append-only, synced before anything that they tell of is committed.
//!
//! A backup holds neither them nor their key. A crash may leave a torn last line, which tells of nothing that was
//! committed: it is left where it is, and what comes next begins on a line of its own. Anything else that does not read
//! back is an error, since a restore that skipped it would bring somebody back.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::config::Config;
use super::key_file::{KeyFileError, Kind};
use super::system::SystemClock;
use crate::domain::ids::ClickId;
use crate::domain::journal::{self, Act, JournalLine};
use crate::domain::keys::Secret;
use crate::flow::journal::{Journal, JournalFailed};
use crate::flow::{Clock, Entropy};

const KIND: Kind = Kind {
    name: "journal key",
    head: "einklang-journal-key-1:",
};
/// What ends a line that a crash tore: no line of ours ends like this, so a reader knows it for torn.
const TORN: &[u8] = b"#torn\n";

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The key is gone, the journal is not.
    #[error(
        "The journal key file {key} is missing, but {folder} holds an erasure journal that was written with it. Put the \
         file back: without it a restored backup would bring erased people back."
    )]
    NoKey {
        /// Where it should be.
        key: PathBuf,
        /// Where the journal is.
        folder: PathBuf,
    },
    /// A file or the folder cannot be read or written.
    #[error("The erasure journal {0} cannot be read or written: {1}")]
    File(PathBuf, #[source] io::Error),
    /// A line is not what was written.
    #[error("The erasure journal {0} is broken in line {1}. Put it back from where it was copied.")]
    Broken(PathBuf, usize),
}

/// The journal of this node.
pub struct FileJournal {
    path: PathBuf,
    key: Secret,
    /// Open for appending; one batch at a time.
    file: Mutex<File>,
}

impl FileJournal {
    /// Opens this node's file, and makes it and the key where there are none.
    pub fn open(config: &Config, entropy: &dyn Entropy) -> Result<Self, JournalError> {
        let folder = &config.erasure_journal_dir;
        let key = match key(config)? {
            Some(key) => key,
            None if files(folder)?.is_empty() => Secret::new(*KIND.make(&config.journal_key_file, entropy)?),
            None => {
                return Err(JournalError::NoKey {
                    key: config.journal_key_file.clone(),
                    folder: folder.clone(),
                });
            }
        };
        let path = folder.join(format!("node-{}.jsonl", config.node));
        let file = |error| JournalError::File(path.clone(), error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(file)?;
        let opened = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(file)?;
        // The name is durable once its folder is.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(file)?;
        let journal = Self {
            path: path.clone(),
            key,
            file: Mutex::new(opened),
        };
        if let Err(error) = journal.begin() {
            // Clicks and orders go on; whatever erases is refused until it can be written, and tries this first.
            tracing::error!(%error, path = %journal.path.display(), "the erasure journal cannot be written");
        }
        Ok(journal)
    }

    /// Says in a new file since when it is kept: a restore has to know whether it reaches back to the backup.
    fn begin(&self) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.lock()?;
        let begun = match file.seek(SeekFrom::End(0)) {
            Ok(0) => append(&mut file, &[]),
            other => other.map(|_| ()),
        };
        file.unlock()?;
        begun
    }

    fn write(&self, lines: &[JournalLine]) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // The command line may erase beside a server of the same node.
        file.lock()?;
        let written = append(&mut file, lines);
        file.unlock()?;
        written
    }
}

/// Appends behind whatever is there, or behind a new file's first line, and syncs.
fn append(file: &mut File, lines: &[JournalLine]) -> io::Result<()> {
    let mut text = Vec::new();
    let end = file.seek(SeekFrom::End(0))?;
    if end > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            text.extend_from_slice(TORN);
        }
    } else {
        let opening = JournalLine {
            at_ms: SystemClock.now_ms(),
            tenant: 0,
            act: Act::Opened,
        };
        text.extend_from_slice(opening.encode().as_bytes());
    }
    for line in lines {
        text.extend_from_slice(line.encode().as_bytes());
    }
    // What a failed write left behind is a torn line for the next one.
    file.write_all(&text)?;
    file.sync_data()
}

impl Journal for FileJournal {
    fn click_reference(&self, tenant: i64, click: &ClickId) -> [u8; 32] {
        journal::click_reference(&self.key, tenant, click)
    }

    fn append(&self, lines: &[JournalLine]) -> Result<(), JournalFailed> {
        self.write(lines).map_err(|error| {
            metrics::counter!("einklang_journal_failed_total").increment(1);
            tracing::error!(%error, path = %self.path.display(), "the erasure journal cannot be written: nothing is erased");
            JournalFailed
        })
    }
}

/// The journal's key, if there is one. Makes nothing.
pub fn key(config: &Config) -> Result<Option<Secret>, JournalError> {
    let found = KIND.read(&config.journal_key_file)?;
    Ok(found.map(|bytes| Secret::new(*bytes)))
}

/// One node's file.
#[derive(Debug)]
pub struct NodeJournal {
    /// Where it is.
    pub path: PathBuf,
    /// Its lines, in the order they were written.
    pub lines: Vec<JournalLine>,
}

/// Every node's file, with every line. A folder that is not there holds none.
pub fn read_all(folder: &Path) -> Result<Vec<NodeJournal>, JournalError> {
    let read = |path: PathBuf| {
        let mut lines = Vec::new();
        read_file(&path, &mut lines)?;
        Ok(NodeJournal { path, lines })
    };
    files(folder)?.into_iter().map(read).collect()
}

/// What was done, on every node, file by file in the order it was written. A folder that is not there holds nothing.
pub fn read(folder: &Path) -> Result<Vec<JournalLine>, JournalError> {
    let lines = read_all(folder)?.into_iter().flat_map(|one| one.lines);
    Ok(lines.filter(|line| line.act != Act::Opened).collect())
}

fn read_file(path: &Path, lines: &mut Vec<JournalLine>) -> Result<(), JournalError> {
    let file = |error| JournalError::File(path.to_owned(), error);
    let mut reader = BufReader::new(File::open(path).map_err(file)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(file)? == 0 {
            break;
        }
        // Torn by a crash, before its commit: at the end of the file, or marked by whoever wrote next.
        if !line.ends_with(b"\n") || line.ends_with(TORN) {
            continue;
        }
        let read = JournalLine::parse(&line);
        lines.push(read.map_err(|_| JournalError::Broken(path.to_owned(), number))?);
    }
    Ok(())
}

/// The journal's files in a folder, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, JournalError> {
    let file = |error| JournalError::File(folder.to_owned(), error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(file(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(file)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("node-") && name.ends_with(".jsonl") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::config::Options;
    use crate::app::system::SystemEntropy;

    fn config(folder: &Path) -> Config {
        let options = Options {
            data_dir: Some(folder.to_owned()),
            ..Options::default()
        };
        Config::load(options).expect("a configuration")
    }

    fn line(at_ms: i64) -> JournalLine {
        JournalLine {
            at_ms,
            tenant: 1,
            act: Act::Erase {
                clicks: vec![[1; 32]],
                entries: vec![([2; 32], 5)],
            },
        }
    }

    #[test]
    fn what_was_appended_is_read_and_a_torn_end_spoils_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path());
        let journal = FileJournal::open(&config, &SystemEntropy).expect("opens");
        journal.append(&[line(1), line(2)]).expect("written");
        let path = config.erasure_journal_dir.join("node-0.jsonl");
        let whole = fs::read(&path).expect("read");
        // Every way in which a crash can cut the second line off, and what comes after it.
        let first = whole.len() - line(2).encode().len();
        for end in first..whole.len() {
            fs::write(&path, &whole[..end]).expect("cut");
            assert_eq!(read(&config.erasure_journal_dir).expect("read"), [line(1)]);
            let journal = FileJournal::open(&config, &SystemEntropy).expect("opens");
            journal.append(&[line(3)]).expect("written");
            assert_eq!(
                read(&config.erasure_journal_dir).expect("read"),
                [line(1), line(3)]
            );
        }
    }

    #[test]
    fn a_broken_line_in_the_middle_is_an_error_with_its_number() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path());
        let journal = FileJournal::open(&config, &SystemEntropy).expect("opens");
        journal.append(&[line(1), line(2)]).expect("written");
        let path = config.erasure_journal_dir.join("node-0.jsonl");
        let text = fs::read_to_string(&path).expect("read");
        fs::write(&path, text.replacen("\"tenant\":1", "\"tenant\":", 1)).expect("spoilt");
        assert!(matches!(
            read(&config.erasure_journal_dir),
            Err(JournalError::Broken(_, 2))
        ));
    }

    #[test]
    fn a_journal_without_its_key_is_not_gone_on_with() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path());
        drop(FileJournal::open(&config, &SystemEntropy).expect("opens"));
        fs::remove_file(&config.journal_key_file).expect("removed");
        assert!(matches!(
            FileJournal::open(&config, &SystemEntropy),
            Err(JournalError::NoKey { .. })
        ));
    }
}
