//! `einklang migrate`: looks at the schema, or brings it up to date ahead of a start.
//!
//! `serve` migrates by itself; this is for those who want to see or do it before the new version serves. It needs the
//! database only, not the root key.

use std::fmt::Write as _;

use serde_json::json;

use super::config::Config;
use super::wire::{self, StartError};
use crate::flow::Clock;
use crate::store::Store;

/// What to do about the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Subcommand)]
pub enum Step {
    /// List the migrations and whether they are applied; changes nothing.
    Status,
    /// Apply what is missing.
    Up,
}

/// Takes the step, and returns what there is to print.
pub async fn migrate(
    config: &Config,
    step: Step,
    clock: &dyn Clock,
    as_json: bool,
) -> Result<String, StartError> {
    wire::make_folder(&config.data_dir)?;
    let store = Store::connect(&config.database_url).await?;
    if step == Step::Up {
        store.migrate(clock.now_ms().div_euclid(1_000)).await?;
    }
    let migrations = store.migrations().await?;
    store.close().await;
    if as_json {
        let one = |(name, applied): &(String, bool)| json!({"name": name, "applied": applied});
        return Ok(format!(
            "{}\n",
            json!({"migrations": migrations.iter().map(one).collect::<Vec<_>>()})
        ));
    }
    let mut lines = String::new();
    for (name, applied) in &migrations {
        // Writing into a string cannot fail.
        let _ = writeln!(
            lines,
            "{:<8} {name}",
            if *applied { "applied" } else { "pending" }
        );
    }
    Ok(lines)
}
