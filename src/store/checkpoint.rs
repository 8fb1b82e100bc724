//! Moving SQLite's WAL into the file, beside the writing and not within it.
//!
//! Left to itself SQLite does this inside a commit once the WAL is long enough, and every answer waits for it. Here a
//! thread of its own does: while batches go on it moves what is there, again until little is left, and only for that
//! little it takes the writers' turn, so that the WAL can begin anew. After an erasure the same connection truncates the
//! WAL, so that no old page keeps what was erased.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};

use super::connect::{BUSY_TIMEOUT, StoreError};

/// Pages in the WAL at which it is moved: twelve times SQLite's own measure, since the pages at the right edge are
/// written with every batch and moved once.
const MOVE_PAGES: i64 = 12_000;
/// Pages in the WAL at which a batch moves them itself, should the thread not be there or not keep up.
const LAST_RESORT_PAGES: i64 = 120_000;
/// How few pages may be left before the writers wait for the rest.
const REST_PAGES: i64 = 600;
/// How often the rest is tried to be made smaller.
const PASSES: u32 = 5;
/// How long the end of an erasure waits for readers of old pages.
const SCRUB_TIMEOUT: Duration = Duration::from_millis(50);
/// How long the writers have for each page of a truncated WAL before the next truncation keeps them again: a burst of
/// erasures must not keep clicks waiting, and those that wait share one.
const REST_PER_PAGE: Duration = Duration::from_micros(100);
/// The longest rest.
const REST: Duration = Duration::from_secs(1);

thread_local! {
    /// The WAL's pages after the last commit on this thread, as SQLite says in the middle of the commit.
    static WAL_PAGES: Cell<i64> = const { Cell::new(0) };
}

/// Keeps SQLite from moving pages within a commit on this connection, and notes their number instead.
pub(super) fn note_pages(connection: &rusqlite::Connection) {
    connection.wal_hook(Some(|_, pages| {
        WAL_PAGES.set(i64::from(pages));
        Ok(())
    }));
}

/// The file's checkpoints.
#[derive(Clone)]
pub(super) struct Checkpoints {
    connection: Arc<std::sync::Mutex<rusqlite::Connection>>,
    /// The writers' turn.
    turn: Arc<Mutex<()>>,
    due: Arc<Notify>,
    closed: Arc<AtomicBool>,
    scrub_owed: Arc<AtomicBool>,
    /// How many erasures asked for a scrub, and how many of them one has followed.
    asked: Arc<AtomicU64>,
    followed: Arc<Mutex<u64>>,
    /// Held while the writers have their rest.
    rest: Arc<Mutex<()>>,
}

/// What a checkpoint came to.
struct Moved {
    /// A reader or another process was in the way.
    busy: bool,
    /// Pages in the WAL when it began.
    pages: i64,
}

impl Checkpoints {
    pub(super) fn new(connection: rusqlite::Connection, turn: Arc<Mutex<()>>) -> Self {
        Self {
            connection: Arc::new(std::sync::Mutex::new(connection)),
            turn,
            due: Arc::default(),
            closed: Arc::default(),
            scrub_owed: Arc::default(),
            asked: Arc::default(),
            followed: Arc::default(),
            rest: Arc::default(),
        }
    }

    /// To be called after a commit, on the thread that committed, while its turn lasts.
    pub(super) fn after_commit(&self, connection: &rusqlite::Connection) {
        let pages = WAL_PAGES.get();
        if pages >= MOVE_PAGES {
            self.due.notify_one();
        }
        if pages >= LAST_RESORT_PAGES
            && let Err(error) = checkpoint(connection, "PASSIVE")
        {
            // The commit stands whatever becomes of this.
            tracing::warn!(%error, "pages could not be moved from the WAL into the file");
        }
    }

    /// Moves pages whenever it is due, until the database is closed. It blocks its thread, so it needs one of its own.
    pub(super) async fn run(self) {
        loop {
            self.due.notified().await;
            if self.closed.load(Ordering::Acquire) {
                return;
            }
            if let Err(error) = self.move_pages().await {
                // The pages stay in the WAL, where they are as durable; the next batch asks again.
                tracing::warn!(%error, "pages could not be moved from the WAL into the file");
            }
        }
    }

    async fn move_pages(&self) -> Result<(), StoreError> {
        let mut pages = self.checkpoint("PASSIVE")?.pages;
        for _ in 1..PASSES {
            // What was written while the pass before went on.
            let more = self.checkpoint("PASSIVE")?.pages - pages;
            if more <= REST_PAGES {
                break;
            }
            pages += more;
        }
        let _turn = self.turn.lock().await;
        self.checkpoint("PASSIVE")?;
        Ok(())
    }

    fn checkpoint(&self, mode: &'static str) -> Result<Moved, StoreError> {
        checkpoint(
            &self.connection.lock().unwrap_or_else(PoisonError::into_inner),
            mode,
        )
    }

    /// Ends [`Checkpoints::run`].
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.due.notify_one();
    }

    /// Moves everything and truncates the WAL. A reader that is still in an old page keeps this from ending; it is then
    /// owed, and a timer tries again. Erasures that come while one is under way share the next.
    pub(super) async fn scrub(&self) -> Result<(), StoreError> {
        let ticket = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        self.scrub_owed.store(true, Ordering::Relaxed);
        let mut followed = self.followed.lock().await;
        if *followed >= ticket {
            return Ok(());
        }
        let resting = Arc::clone(&self.rest).lock_owned().await;
        // Most of it is moved while batches go on.
        let this = self.clone();
        let passed = tokio::task::spawn_blocking(move || this.checkpoint("PASSIVE")).await;
        // A truncation itself says nothing of how much there was.
        let pages = passed.ok().and_then(Result::ok).map_or(0, |moved| moved.pages);
        let asked = self.asked.load(Ordering::Acquire);
        let turn = self.turn.lock().await;
        let this = self.clone();
        let moved = tokio::task::spawn_blocking(move || this.truncate()).await;
        drop(turn);
        // The task is never cancelled; if it panicked, the work is still owed.
        let busy = match moved {
            Ok(moved) => moved?.busy,
            Err(_) => true,
        };
        tokio::spawn(async move {
            tokio::time::sleep(rest_after(pages)).await;
            drop(resting);
        });
        self.scrub_owed.store(busy, Ordering::Relaxed);
        *followed = asked;
        Ok(())
    }

    fn truncate(&self) -> Result<Moved, StoreError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody writes meanwhile, so a reader is waited for only shortly.
        connection.busy_timeout(SCRUB_TIMEOUT)?;
        let moved = checkpoint(&connection, "TRUNCATE");
        connection.busy_timeout(BUSY_TIMEOUT)?;
        moved
    }

    /// Tries again what a reader kept from ending.
    pub(super) async fn scrub_if_owed(&self) -> Result<(), StoreError> {
        if self.scrub_owed.load(Ordering::Relaxed) {
            self.scrub().await?;
        }
        Ok(())
    }
}

fn rest_after(pages: i64) -> Duration {
    let pages = u32::try_from(pages).unwrap_or(0);
    REST.min(REST_PER_PAGE.saturating_mul(pages))
}

fn checkpoint(connection: &rusqlite::Connection, mode: &'static str) -> Result<Moved, StoreError> {
    let mut statement = connection.prepare_cached(match mode {
        "TRUNCATE" => "PRAGMA wal_checkpoint(TRUNCATE)",
        _ => "PRAGMA wal_checkpoint(PASSIVE)",
    })?;
    let moved = statement.query_row([], |row| {
        Ok(Moved {
            busy: row.get::<_, i64>(0)? != 0,
            pages: row.get(1)?,
        })
    })?;
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &std::path::Path) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(path).expect("opened");
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .expect("a write-ahead log");
        connection
    }

    /// Commits rows one by one; returns the pages in the WAL after the last.
    fn commit(connection: &rusqlite::Connection, rows: usize) -> i64 {
        for _ in 0..rows {
            connection
                .execute("INSERT INTO t VALUES (zeroblob(3000))", [])
                .expect("written");
        }
        WAL_PAGES.get()
    }

    #[test]
    fn a_single_erasure_is_rested_from_at_once_and_a_burst_for_a_second_at_most() {
        assert_eq!(rest_after(20), Duration::from_millis(2));
        assert_eq!(rest_after(4_000), Duration::from_millis(400));
        assert_eq!(rest_after(i64::from(u32::MAX)), REST);
        assert_eq!(rest_after(-1), Duration::ZERO);
    }

    #[tokio::test]
    async fn after_the_pages_are_moved_the_wal_begins_anew_and_commits_move_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("einklang.db");
        let ledger = open(&path);
        ledger.execute_batch("CREATE TABLE t (b BLOB)").expect("made");
        note_pages(&ledger);
        let checkpoints = Checkpoints::new(open(&path), Arc::default());
        // Beyond SQLite's own 1,000 pages: it would have moved them within a commit.
        assert!(commit(&ledger, 1_500) > 1_500);
        checkpoints.move_pages().await.expect("moved");
        assert!(commit(&ledger, 1) < 10);
        commit(&ledger, 100);
        checkpoints.scrub().await.expect("truncated");
        let wal = folder.path().join("einklang.db-wal");
        assert_eq!(std::fs::metadata(wal).expect("a file").len(), 0);
    }
}
