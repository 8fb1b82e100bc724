//! What erasures left behind, and the journal that a restore needs.

use std::path::Path;

use super::{Sheet, State};
use crate::app::cli::chain;
use crate::app::config::Config;
use crate::app::erasure_journal::{self, NodeJournal};
use crate::app::system::SystemClock;
use crate::domain::journal::Act;
use crate::flow::Clock;
use crate::store::Store;

/// The journal can be read as a whole, no file of it is missing, and its key is there.
pub(super) fn journal(config: &Config, sheet: &mut Sheet) {
    let read = erasure_journal::read_all(&config.erasure_journal_dir);
    let key = erasure_journal::key(config);
    let (files, key) = match (read, key) {
        (Ok(files), Ok(key)) => (files, key),
        (Err(error), _) | (_, Err(error)) => {
            sheet.note("erasure_journal", State::Failed, chain(&error));
            return;
        }
    };
    let lines = files.iter().flat_map(|file| &file.lines);
    let lines = lines.filter(|line| line.act != Act::Opened).count();
    let (state, sentence) = if key.is_none() && lines > 0 {
        let sentence = "The erasure journal's key is missing. Put its file back: without it a restored backup would bring \
                        erased people back.";
        (State::Failed, sentence.to_owned())
    } else if let Some(behind) = missing(&files) {
        let sentence = format!(
            "The erasure journal lacks the file that follows {}. Put it back from where it was copied: a backup from \
             before it cannot be restored.",
            behind.display()
        );
        (State::Failed, sentence)
    } else {
        let sentence = format!("The erasure journal can be read: {lines} lines.");
        (State::Ok, sentence)
    };
    sheet.note("erasure_journal", state, sentence);
}

/// The file behind which a node's next one is missing.
fn missing(files: &[NodeJournal]) -> Option<&Path> {
    let gap = |pair: &&[NodeJournal]| match pair {
        [one, next] => one.node == next.node && one.number + 1 != next.number,
        _ => false,
    };
    files.windows(2).find(gap).map(|pair| pair[0].path.as_path())
}

/// On PostgreSQL nothing is left in pages or log segments after the horizon.
pub(super) async fn remains(config: &Config, store: &Store, clock: &SystemClock, sheet: &mut Sheet) {
    let horizon_ms = i64::from(config.remains_hours) * 3_600_000;
    let now_ms = clock.now_ms();
    match store.owed().await {
        Ok(owed) => match owed.first().filter(|owed| now_ms - owed.since_ms > horizon_ms) {
            None => sheet.note(
                "erasure_remains",
                State::Ok,
                "Nothing that was erased lies in old pages beyond its horizon.",
            ),
            Some(owed) => {
                let hours = (now_ms - owed.since_ms) / 3_600_000;
                let sentence = format!(
                    "Salts or keys that were deleted {hours} hours ago still lie in pages of PostgreSQL (remains_hours is {}). \
                     A server that runs writes them anew; look into its log, and for transactions that stay open.",
                    config.remains_hours
                );
                sheet.note("erasure_remains", State::Failed, sentence);
            }
        },
        Err(error) => sheet.note("erasure_remains", State::Failed, chain(&error)),
    }
    match store.log_segments().await {
        Ok(None) => {}
        Ok(Some(log)) => {
            let old = log.oldest_ms.filter(|oldest_ms| now_ms - oldest_ms > horizon_ms);
            let warning = if let Some(oldest_ms) = old {
                let hours = (now_ms - oldest_ms) / 3_600_000;
                Some(format!(
                    "PostgreSQL keeps a log segment of {hours} hours ago, longer than remains_hours: what was erased may \
                     still be in it. Lower wal_keep_size and max_wal_size, and drop replication slots that nobody reads."
                ))
            } else if log.recycled {
                Some(
                    "PostgreSQL uses old log segments again with what they hold. Set wal_recycle = off."
                        .to_owned(),
                )
            } else if log.archived {
                Some(
                    "PostgreSQL archives its log: an erasure ends when the archive's last copy is gone."
                        .to_owned(),
                )
            } else if log.oldest_ms.is_none() {
                Some(
                    "The age of PostgreSQL's log segments cannot be seen. Grant pg_monitor to this role."
                        .to_owned(),
                )
            } else {
                None
            };
            match warning {
                Some(sentence) => sheet.note("log_segments", State::Warning, sentence),
                None => sheet.note(
                    "log_segments",
                    State::Ok,
                    "PostgreSQL's log segments are younger than the horizon.",
                ),
            }
        }
        Err(error) => sheet.note("log_segments", State::Failed, chain(&error)),
    }
}
