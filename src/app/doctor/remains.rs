//! What erasures left behind, and the journal that a restore needs.

use super::{Sheet, State};
use crate::app::cli::chain;
use crate::app::config::Config;
use crate::app::erasure_journal;
use crate::app::system::SystemClock;
use crate::flow::Clock;
use crate::store::Store;

/// The journal can be read as a whole, and its key is there.
pub(super) fn journal(config: &Config, sheet: &mut Sheet) {
    let read = erasure_journal::read(&config.erasure_journal_dir);
    let key = erasure_journal::key(config);
    match (read, key) {
        (Err(error), _) | (_, Err(error)) => sheet.note("erasure_journal", State::Failed, chain(&error)),
        (Ok(lines), Ok(None)) if !lines.is_empty() => {
            let sentence = "The erasure journal's key is missing. Put its file back: without it a restored backup would \
                bring erased people back.";
            sheet.note("erasure_journal", State::Failed, sentence);
        }
        (Ok(lines), Ok(_)) => {
            let sentence = format!("The erasure journal can be read: {} lines.", lines.len());
            sheet.note("erasure_journal", State::Ok, sentence);
        }
    }
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
                    "Salts that were deleted {hours} hours ago still lie in pages of PostgreSQL (remains_hours is {}). A \
                     server that runs writes them anew; look into its log, and for transactions that stay open.",
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
