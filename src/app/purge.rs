//! `einklang purge`: removes what has had its time, or says what it would remove. Needs the database, and no server.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::config::Config;
use super::erasure_journal::{FileJournal, JournalError};
use super::system::{SystemClock, SystemEntropy};
use super::wire::{self, StartError};
use crate::domain::event::Actor;
use crate::flow::FlowError;
use crate::flow::retention::{PurgeEnd, PurgeReport, Purged, Purger};

/// How often it is tried again while another process purges: the right to do so ends ten seconds after it was lost.
const TRIES: u32 = 30;
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Why nothing was purged.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// The database did not open.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The database or the journal failed.
    #[error("The purge failed: {0}. What it removed before is in the audit log; run it again.")]
    Flow(#[from] FlowError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Another process purges.
    #[error("Another process purges. Wait until it is done, or look at GET /v1/retention.")]
    Elsewhere,
}

/// Purges, or plans to; returns what there is to print.
pub async fn purge(config: &Config, dry_run: bool, as_json: bool) -> Result<String, PurgeError> {
    let (store, live) = wire::open(config, Arc::new(SystemClock), Arc::new(SystemEntropy)).await?;
    let journal = Arc::new(FileJournal::open(config, live.entropy())?);
    let purger = Purger::new(live, journal, Actor::CommandLine);
    let result = if dry_run {
        purger.plan().await.map_err(PurgeError::from)
    } else {
        run(&purger).await
    };
    drop(purger);
    store.close().await;
    let report = result?;
    Ok(if as_json {
        format!("{}\n", as_object(&report, dry_run))
    } else {
        as_lines(&report, dry_run)
    })
}

async fn run(purger: &Purger) -> Result<PurgeReport, PurgeError> {
    for _ in 0..TRIES {
        match purger.run(false, &|_| {}).await? {
            PurgeEnd::Done(report) => return Ok(report),
            PurgeEnd::Elsewhere => tokio::time::sleep(TRY_AGAIN).await,
        }
    }
    Err(PurgeError::Elsewhere)
}

fn rfc3339(at_ms: i64) -> String {
    crate::edge::time::rfc3339(at_ms)
}

fn as_object(report: &PurgeReport, dry_run: bool) -> Value {
    let class = |one: &Purged| {
        json!({
            "tenant": one.tenant.to_string(), "class": one.class.code(), "cut_off": rfc3339(one.cut_off_ms),
            "removed": one.removed, "left_held": one.left_held, "left_restricted": one.left_restricted,
        })
    };
    let month = |(tenant, month): &(crate::domain::ids::TenantId, u16)| json!({"tenant": tenant.to_string(), "month": month_text(*month)});
    json!({
        "dry_run": dry_run,
        "classes": report.classes.iter().map(class).collect::<Vec<_>>(),
        "keys_destroyed": report.months.iter().map(month).collect::<Vec<_>>(),
    })
}

/// A month as people write it.
fn month_text(month: u16) -> String {
    format!("{:04}-{:02}", 1970 + month / 12, month % 12 + 1)
}

fn as_lines(report: &PurgeReport, dry_run: bool) -> String {
    let mut lines = String::new();
    let verb = if dry_run { "would remove" } else { "removed" };
    for one in &report.classes {
        // Writing into a string cannot fail.
        let _ = writeln!(
            lines,
            "{} {:<18} {verb} {} from before {}; {} held, {} restricted",
            one.tenant,
            one.class.code(),
            one.removed,
            rfc3339(one.cut_off_ms),
            one.left_held,
            one.left_restricted
        );
    }
    for (tenant, month) in &report.months {
        let _ = writeln!(lines, "{tenant} destroyed the key of {}", month_text(*month));
    }
    lines
}
