//! How long entries of the audit log wait for their places while the load runs: looked at from outside, in the database.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::report::MergeDelay;
use super::{BenchError, Database};
use crate::store::Store;

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A watch on the entries that wait.
pub struct Merging {
    looking: Option<JoinHandle<Vec<f64>>>,
    stop: CancellationToken,
}

impl Merging {
    /// Begins to look. On SQLite the load's entries wait for nothing, so there is nothing to look at.
    pub async fn watch(url: &str, database: Database) -> Result<Self, BenchError> {
        let stop = CancellationToken::new();
        let looking = match database {
            Database::Sqlite => None,
            Database::Postgres => {
                let store = Store::connect(url).await?;
                Some(tokio::spawn(look(store, stop.clone())))
            }
        };
        Ok(Self { looking, stop })
    }

    /// What was seen.
    pub async fn end(self) -> Option<MergeDelay> {
        self.stop.cancel();
        MergeDelay::of(self.looking?.await.ok()?)
    }
}

async fn look(store: Store, stop: CancellationToken) -> Vec<f64> {
    let mut ages_ms = Vec::new();
    let mut every = tokio::time::interval(LOOK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = every.tick() => {
                if let Ok(Some(age_s)) = store.oldest_pending_s().await {
                    ages_ms.push(age_s * 1_000.0);
                }
            }
        }
    }
    store.close().await;
    ages_ms
}
