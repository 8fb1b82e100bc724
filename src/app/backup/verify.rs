//! `einklang backup verify BACKUP`: every byte opened, nothing kept.

use std::path::Path;

use serde_json::json;

use super::BackupError;
use super::kept::{Backup, name_of};
use crate::app::config::Config;
use crate::domain::stream::Half;
use crate::store::backup::{CopyError, embedded};

/// Verifies a backup; returns what there is to print.
pub fn verify(config: &Config, path: &Path, as_json: bool) -> Result<String, BackupError> {
    let backup = Backup::open(config, path)?;
    read_through(&backup, Half::Data)?;
    let has_keys = !backup.is_pruned();
    if has_keys {
        read_through(&backup, Half::Keys)?;
    }
    let manifest = &backup.manifest;
    if as_json {
        let object = json!({
            "outcome": "sound", "taken_at_ms": manifest.taken_at_ms, "database": manifest.database,
            "program": manifest.program, "keys": if has_keys { "sound" } else { "pruned" },
        });
        return Ok(format!("{object}\n"));
    }
    let keys = if has_keys {
        "sound"
    } else {
        "pruned: nothing personal in this backup can be read any more"
    };
    Ok(format!(
        "{:<14} signed by this installation, of {}\n{:<14} sound\n{:<14} {keys}\n",
        "manifest",
        manifest.taken_at(),
        name_of(Half::Data),
        name_of(Half::Keys),
    ))
}

fn read_through(backup: &Backup, half: Half) -> Result<(), BackupError> {
    let mut opening = backup.opening(half)?;
    // What pg_dump wrote has a form of its own; it opens or it does not.
    if half == Half::Keys || backup.manifest.database == "sqlite" {
        embedded::read_through(&mut opening).map_err(|error| copy_error(backup, half, error))?;
    }
    backup.end(opening, half)
}

/// An error of the file's is told as such, whoever met it.
pub(super) fn copy_error(backup: &Backup, half: Half, error: CopyError) -> BackupError {
    match error {
        CopyError::Io(error) => backup.unusable(half, error),
        other => other.into(),
    }
}
