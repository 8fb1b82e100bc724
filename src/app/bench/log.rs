//! The audit log alone: how fast entries find their places, tiles included, and how long proofs take.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::BenchError;
use super::report::real;
use crate::app::system::{SystemClock, SystemEntropy};
use crate::audit::merkle::{leaf_hash, verify_consistency, verify_inclusion};
use crate::domain::event::{Actor, AuditEvent, Entry, Trail};
use crate::domain::scope::TenantScope;
use crate::flow::audit::proofs::Proofs;
use crate::flow::{Clock, Entropy};
use crate::store::Store;
use crate::store::audit::LogKey;

/// Entries that one transaction of the ledger has: what a busy lane commits at once.
const ENTRIES_EACH: usize = 256;
/// Proofs of each kind.
const PROOFS: usize = 1_000;
/// The server's own log, which nothing else writes to here.
const LOG: LogKey = LogKey { tenant: 0, epoch: 0 };

/// What one database came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// `sqlite` or `postgres`.
    pub database: &'static str,
    /// Entries.
    pub entries: usize,
    /// Entries that found their places in a second, tiles included. On SQLite that is part of the ledger's transaction,
    /// so writing the entries and their commits are in it.
    pub placed_per_second: f64,
    /// Inclusion proofs over the whole tree.
    pub inclusion: Times,
    /// Consistency proofs from a random size to the whole tree.
    pub consistency: Times,
}

/// How long something took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Times {
    /// Median in milliseconds.
    pub p50_ms: f64,
    /// The time in milliseconds that 99 of 100 were within.
    pub p99_ms: f64,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Einklang's version.
    pub version: &'static str,
    /// Whether the compiler optimised.
    pub optimised: bool,
    /// Cores.
    pub cores: usize,
    /// The processor's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// One for each database.
    pub runs: Vec<Run>,
}

impl Report {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let processor = self.processor.as_deref().unwrap_or("unknown processor");
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "einklang {}, {} cores ({processor})",
            self.version, self.cores
        );
        if !self.optimised {
            let _ = writeln!(
                text,
                "This is a debug build: its figures say nothing about a release build."
            );
        }
        for run in &self.runs {
            let _ = writeln!(
                text,
                "{:<9} {} entries: {:.0} placed per s; inclusion p50 {:.2} ms, p99 {:.2} ms; consistency p50 {:.2} ms, p99 {:.2} ms",
                run.database,
                run.entries,
                run.placed_per_second,
                run.inclusion.p50_ms,
                run.inclusion.p99_ms,
                run.consistency.p50_ms,
                run.consistency.p99_ms,
            );
        }
        text
    }
}

/// Measures one database.
pub async fn measure(database: &'static str, url: &str, entries: usize) -> Result<Run, BenchError> {
    let store = Store::connect(url).await?;
    store.sequence().await?;
    let started = now();
    fill(&store, entries).await?;
    let written = started.elapsed();
    let started = now();
    while store.sequence().await?.more {}
    let placed = if store.is_postgres() {
        started.elapsed()
    } else {
        written
    };
    let heads = store.reader(TenantScope::Server).log_heads().await?;
    let size = heads
        .iter()
        .find(|head| head.log == LOG)
        .map_or(0, |head| head.size);
    if size < entries as u64 {
        return Err(BenchError::Missing {
            what: "entries",
            acknowledged: entries as u64,
            stored: size,
        });
    }
    let (inclusion, consistency) = prove(&store, size).await?;
    store.close().await;
    Ok(Run {
        database,
        entries,
        placed_per_second: real(entries as u64) / placed.as_secs_f64(),
        inclusion,
        consistency,
    })
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

async fn fill(store: &Store, entries: usize) -> Result<(), BenchError> {
    let mut left = entries;
    while left > 0 {
        let count = left.min(ENTRIES_EACH);
        let entries = (0..count).map(|_| Entry::from(event())).collect();
        let Some(trail) = Trail::from_entries(entries) else {
            break;
        };
        // With no look at routing data, so that PostgreSQL's is one statement, as the ledger's clicks are.
        let batch = store.begin_batch(0, None).await?;
        batch.commit_with(&trail).await?;
        left -= count;
    }
    Ok(())
}

/// An event as long as a verdict.
fn event() -> AuditEvent {
    let mut nonce = [0; 16];
    SystemEntropy.fill(&mut nonce);
    let mut event = AuditEvent::new(0, "postback.verdict", &Actor::Key(3), "recorded", &nonce);
    event.at_ms = Some(SystemClock.now_ms());
    event.campaign = Some(7);
    event.commitment = Some(hex::encode([nonce, nonce].concat()));
    event.policy_version = Some(3);
    event.reason = Some("accepted");
    event.request_id = Some(format!("req_{}", hex::encode(nonce)));
    event.shop = Some(2);
    event
}

/// Random proofs, each made from the database and verified.
async fn prove(store: &Store, size: u64) -> Result<(Times, Times), BenchError> {
    let reader = store.reader(TenantScope::Server);
    let root = reader.log_edge(LOG, size).await?.root();
    // As the API makes them.
    let proofs = Proofs::default();
    let (mut inclusion, mut consistency) = (Vec::new(), Vec::new());
    for _ in 0..PROOFS {
        let mut random = [0; 8];
        SystemEntropy.fill(&mut random);
        let index = u64::from_be_bytes(random) % size;
        let started = now();
        let proof = proofs.inclusion(&reader, LOG, index, size).await?;
        inclusion.push(started.elapsed());
        let body = reader.leaf_body(LOG, index).await?;
        let leaf = leaf_hash(&body);
        let old = index + 1;
        let started = now();
        let extends = proofs.consistency(&reader, LOG, old, size).await?;
        consistency.push(started.elapsed());
        let old_root = reader.log_edge(LOG, old).await?.root();
        let right = verify_inclusion(index, size, &leaf, &proof, &root).is_ok()
            && verify_consistency(old, size, &old_root, &root, &extends).is_ok();
        if !right {
            return Err(BenchError::WrongProof(index));
        }
    }
    Ok((Times::of(inclusion), Times::of(consistency)))
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |hundredths: usize| {
            let place = times.len().saturating_sub(1) * hundredths / 100;
            times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
        };
        Self {
            p50_ms: at(50),
            p99_ms: at(99),
        }
    }
}
