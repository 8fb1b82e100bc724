//! The erasure journal: files for each node, append-only, synced before anything that they tell of is committed.
//!
//! A node begins a new file every 30 days. Files go when everything in them is older than backups live (`journal_days`).
//! A backup holds neither them nor their key. A crash may leave a torn last line, which tells of nothing that was
//! committed: it is left where it is, and what comes next begins on a line of its own. Anything else that does not read
//! back is an error, since a restore that skipped it would bring somebody back.

mod files;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

pub use self::files::{NodeJournal, read, read_all};
use super::config::Config;
use super::key_file::{KeyFileError, Kind};
use super::system::SystemClock;
use crate::domain::ids::ClickId;
use crate::domain::journal::{self, Act, JournalLine, is_full, is_over};
use crate::domain::keys::Secret;
use crate::domain::retention::DAY_MS;
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
    folder: PathBuf,
    node: String,
    key: Secret,
    /// For how long a file is kept behind its last line.
    days: u32,
    current: Mutex<Current>,
}

/// The file that is written into; one batch at a time.
struct Current {
    number: u32,
    path: PathBuf,
    file: File,
    opened_at_ms: Option<i64>,
    /// When it was last looked for files that may go.
    looked_at_ms: i64,
}

impl Current {
    fn open(folder: &Path, node: &str, number: u32) -> Result<Self, JournalError> {
        let path = files::path_of(folder, node, number);
        let error = |error| JournalError::File(path.clone(), error);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(error)?;
        // The name is durable once its folder is.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(error)?;
        Ok(Self {
            number,
            file,
            opened_at_ms: files::opened_at_ms(&path)?,
            looked_at_ms: i64::MIN,
            path,
        })
    }
}

impl FileJournal {
    /// Opens this node's newest file, and makes it and the key where there are none.
    pub fn open(config: &Config, entropy: &dyn Entropy) -> Result<Self, JournalError> {
        let folder = &config.erasure_journal_dir;
        let key = match key(config)? {
            Some(key) => key,
            None if files::files(folder)?.is_empty() => {
                Secret::new(*KIND.make(&config.journal_key_file, entropy)?)
            }
            None => {
                return Err(JournalError::NoKey {
                    key: config.journal_key_file.clone(),
                    folder: folder.clone(),
                });
            }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| JournalError::File(folder.clone(), error))?;
        let node = config.node.to_string();
        let newest = files::files_of(folder, &node)?.into_keys().next_back();
        let journal = Self {
            current: Mutex::new(Current::open(folder, &node, newest.unwrap_or(1))?),
            folder: folder.clone(),
            node,
            key,
            days: config.backup.journal_days,
        };
        // A new file says since when it is kept: a restore has to know whether the journal reaches back to the backup.
        if let Err(error) = journal.write(&[], SystemClock.now_ms()) {
            // Clicks and orders go on; whatever erases is refused until it can be written, and tries this first.
            tracing::error!(%error, path = %journal.folder.display(), "the erasure journal cannot be written");
        }
        Ok(journal)
    }

    fn write(&self, lines: &[JournalLine], now_ms: i64) -> Result<(), JournalError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // The command line may erase beside a server of the same node, and either may have gone on to the next file.
        loop {
            let error = |error| JournalError::File(current.path.clone(), error);
            current.file.lock().map_err(error)?;
            match self.next_of(&current, now_ms) {
                Ok(None) => break,
                // The old file's lock goes with it, after the new one is there.
                Ok(Some(next)) => *current = next,
                Err(error) => {
                    // Whoever waits for it may have more luck.
                    let _ = current.file.unlock();
                    return Err(error);
                }
            }
        }
        let written = append(&mut current.file, lines, now_ms);
        let unlocked = current.file.unlock();
        let error = |error| JournalError::File(current.path.clone(), error);
        written.and(unlocked).map_err(error)?;
        if current.opened_at_ms.is_none() {
            current.opened_at_ms = files::opened_at_ms(&current.path)?;
        }
        if now_ms.saturating_sub(current.looked_at_ms) >= DAY_MS {
            self.drop_old(now_ms);
            current.looked_at_ms = now_ms;
        }
        Ok(())
    }

    /// The file that lines belong into instead of this one, whose lock is held: whoever holds it while there is no next one
    /// is the only one who can make that.
    fn next_of(&self, current: &Current, now_ms: i64) -> Result<Option<Current>, JournalError> {
        let number = current.number.saturating_add(1);
        let next = files::path_of(&self.folder, &self.node, number);
        let is_full = current.opened_at_ms.is_some_and(|opened| is_full(opened, now_ms));
        let is_there = next.try_exists();
        if !is_there.map_err(|error| JournalError::File(next, error))? && !is_full {
            return Ok(None);
        }
        Ok(Some(Current::open(&self.folder, &self.node, number)?))
    }

    /// Removes this node's files whose last line has had its time. What stays for a fault goes the next time.
    fn drop_old(&self, now_ms: i64) {
        let dropped = || {
            let files: Vec<PathBuf> = files::files_of(&self.folder, &self.node)?.into_values().collect();
            for pair in files.windows(2) {
                let [old, successor] = pair else { break };
                let opened = files::opened_at_ms(successor)?;
                if !opened.is_some_and(|opened| is_over(opened, now_ms, self.days)) {
                    break;
                }
                fs::remove_file(old).map_err(|error| JournalError::File(old.clone(), error))?;
            }
            Ok::<(), JournalError>(())
        };
        if let Err(error) = dropped() {
            tracing::warn!(%error, "old files of the erasure journal cannot be removed");
        }
    }
}

/// Appends behind whatever is there, or behind a new file's first line, and syncs.
fn append(file: &mut File, lines: &[JournalLine], now_ms: i64) -> io::Result<()> {
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
            at_ms: now_ms,
            tenant: 0,
            act: Act::Opened,
        };
        text.extend_from_slice(opening.encode().as_bytes());
    }
    if end > 0 && lines.is_empty() {
        return Ok(());
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
        self.write(lines, SystemClock.now_ms()).map_err(|error| {
            metrics::counter!("einklang_journal_failed_total").increment(1);
            tracing::error!(%error, path = %self.folder.display(), "the erasure journal cannot be written: nothing is erased");
            JournalFailed
        })
    }
}

/// The journal's key, if there is one. Makes nothing.
pub fn key(config: &Config) -> Result<Option<Secret>, JournalError> {
    let found = KIND.read(&config.journal_key_file)?;
    Ok(found.map(|bytes| Secret::new(*bytes)))
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

    fn names(config: &Config) -> Vec<String> {
        let files = files::files(&config.erasure_journal_dir).expect("a folder");
        let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
        files.values().map(name).collect()
    }

    #[test]
    fn a_new_file_begins_after_a_month_and_the_oldest_go_in_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = config(folder.path());
        config.backup.journal_days = 36;
        let start = SystemClock.now_ms();
        let journal = FileJournal::open(&config, &SystemEntropy).expect("opens");
        // Another process of the same node, which follows to whichever file there is.
        let other = FileJournal::open(&config, &SystemEntropy).expect("opens");
        let mut written = 0;
        for day in 0..70 {
            let now = start + day * DAY_MS + 1_000;
            for writer in [&journal, &other] {
                writer.write(&[line(day)], now).expect("written");
                written += 1;
            }
        }
        let read = || read(&config.erasure_journal_dir).expect("read");
        assert_eq!(
            names(&config),
            ["node-0.2.jsonl", "node-0.3.jsonl"].map(str::to_owned)
        );
        // The first file went when the second was older than 36 days, with what it said of the first 30.
        assert_eq!(read().len(), written - 2 * 30);
        assert!(read().iter().all(|line| line.at_ms >= 30));
        for file in read_all(&config.erasure_journal_dir).expect("read") {
            assert_eq!(file.lines[0].act, Act::Opened, "{}", file.path.display());
        }
        // A crash between the making of a file and its first line.
        fs::write(files::path_of(&config.erasure_journal_dir, "0", 4), "").expect("made");
        journal.write(&[line(71)], start + 71 * DAY_MS).expect("written");
        let files = read_all(&config.erasure_journal_dir).expect("read");
        let last = files.last().expect("a file");
        assert_eq!((last.number, last.lines.len()), (4, 2));
        assert_eq!(last.lines[0].act, Act::Opened);
    }

    #[test]
    fn what_cannot_begin_a_new_file_is_not_written_and_is_tried_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path());
        let journal = FileJournal::open(&config, &SystemEntropy).expect("opens");
        let later = SystemClock.now_ms() + 31 * DAY_MS;
        // A folder where the next file should be.
        let next = files::path_of(&config.erasure_journal_dir, "0", 2);
        fs::create_dir(&next).expect("made");
        assert!(journal.write(&[line(1)], later).is_err());
        fs::remove_dir(&next).expect("removed");
        journal.write(&[line(2)], later).expect("written");
        assert_eq!(read(&config.erasure_journal_dir).expect("read"), [line(2)]);
        assert_eq!(names(&config).len(), 2);
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
