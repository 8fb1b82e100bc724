//! `einklang backup prune FOLDER`: salts and keys go first, the rest later.
//!
//! Only what this installation signed is looked at. What goes is entered in the server's log before it goes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::kept::{Shelf, name_of, read_manifest, remove_keys};
use super::manifest::time_text;
use super::{BackupError, take};
use crate::app::config::Config;
use crate::app::system::SystemClock;
use crate::domain::event::Count;
use crate::domain::scope::TenantScope;
use crate::domain::stream::Half;
use crate::flow::Clock;

const DAY_MS: i64 = 86_400_000;

/// Removes what is older; returns what there is to print.
pub async fn prune(
    config: &Config,
    folder: &Path,
    (keys_days, data_days): (u32, u32),
    as_json: bool,
) -> Result<String, BackupError> {
    let store = take::open(config).await?;
    let shelf = Shelf::open(folder)?;
    let now_ms = SystemClock.now_ms();
    let (mut whole, mut keys, mut left) = (Vec::new(), Vec::new(), 0);
    for backup in shelf.backups()? {
        let age_ms = now_ms - read_manifest(config, &backup)?.taken_at_ms;
        if age_ms > i64::from(data_days) * DAY_MS {
            whole.push(backup);
            continue;
        }
        left += 1;
        if age_ms > i64::from(keys_days) * DAY_MS && backup.join(name_of(Half::Keys)).exists() {
            keys.push(backup);
        }
    }
    if !whole.is_empty() || !keys.is_empty() {
        let mut event = take::event("backup.pruned", "pruned");
        event.counts = [("data", &whole), ("keys", &keys)]
            .into_iter()
            .map(|(reason, gone)| Count {
                count: i64::try_from(gone.len()).unwrap_or(i64::MAX),
                reason: reason.to_owned(),
            })
            .collect();
        store
            .begin(TenantScope::Server)
            .await?
            .commit_with(&event.into())
            .await?;
    }
    for backup in &keys {
        remove_keys(backup, &format!("{}\n", time_text(now_ms)))?;
    }
    for backup in &whole {
        shelf.remove(backup)?;
    }
    store.close().await;
    Ok(told(&whole, &keys, left, as_json))
}

fn told(whole: &[PathBuf], keys: &[PathBuf], left: u64, as_json: bool) -> String {
    let names = |paths: &[PathBuf]| -> Vec<String> {
        let name = |path: &PathBuf| {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        paths.iter().map(name).collect()
    };
    if as_json {
        let object = json!({"removed": names(whole), "keys_removed": names(keys), "left": left});
        return format!("{object}\n");
    }
    let mut text = String::new();
    // Writing into a string cannot fail.
    for name in names(keys) {
        let _ = writeln!(text, "salts and keys removed  {name}");
    }
    for name in names(whole) {
        let _ = writeln!(text, "removed                 {name}");
    }
    let _ = writeln!(text, "left                    {left}");
    text
}
