//! Checkpoints on their way out: so that tenants and auditors hold copies that the server's operator cannot take back.
//!
//! Each target goes its own way and waits for nobody; nobody waits for it. Always the latest checkpoint of a log is sent,
//! so that one that could not be delivered is made up for by the next.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::scope::TenantScope;
use crate::flow::{FlowError, Live};

/// How long after a failure the first further try is made; each one after that waits twice as long, up to the interval.
const RETRY_FIRST_MS: i64 = 15_000;

/// A signed state of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestCheckpoint {
    /// The tenant's number; 0 is the server.
    pub tenant: i64,
    /// The log's origin, epoch included.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The signed note.
    pub note: String,
}

/// Reads the latest checkpoints.
#[derive(Clone)]
pub struct LatestCheckpoints {
    live: Arc<Live>,
}

impl LatestCheckpoints {
    /// Over the shared parts.
    pub fn new(live: Arc<Live>) -> Self {
        Self { live }
    }

    /// Of every log that has signed anything, in its latest epoch.
    pub async fn all(&self) -> Result<Vec<LatestCheckpoint>, FlowError> {
        let heads = self.live.store().reader(TenantScope::Server).log_heads().await?;
        let latest = heads.into_iter().filter_map(|head| {
            let signed = head.signed?;
            Some(LatestCheckpoint {
                tenant: head.log.tenant,
                origin: head.origin?,
                size: signed.size,
                note: signed.note,
            })
        });
        Ok(latest.collect())
    }
}

/// Why a checkpoint did not arrive. Never holds the target's address, which may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushFailed {
    /// The name has no address.
    #[error("its name has no address")]
    NoAddress,
    /// An address that is not on the public internet.
    #[error("its address is not on the public internet")]
    PrivateAddress,
    /// Nobody answered in time.
    #[error("it did not answer in time")]
    TimedOut,
    /// No connection, or one that broke.
    #[error("it could not be reached")]
    Unreachable,
    /// It answered with another status than 2xx.
    #[error("it answered with status {0}")]
    Refused(u16),
    /// The folder cannot be written to.
    #[error("its folder cannot be written to")]
    Unwritable,
}

/// A delivery in progress.
pub type Carrying<'a> = Pin<Box<dyn Future<Output = Result<(), PushFailed>> + Send + 'a>>;

/// Where checkpoints are carried to.
pub trait Carrier: Send + Sync {
    /// A name for logs and metrics, without anything secret.
    fn label(&self) -> &str;

    /// Carries one. Ends within some seconds, whatever happens.
    fn carry<'a>(&'a self, checkpoint: &'a LatestCheckpoint) -> Carrying<'a>;
}

/// Carries checkpoints to one target.
pub struct Pusher {
    live: Arc<Live>,
    carrier: Box<dyn Carrier>,
    every_ms: i64,
    due_at_ms: i64,
    failures: u32,
    arrived: BTreeMap<String, u64>,
}

impl Pusher {
    /// To this target, at this interval.
    pub fn new(live: Arc<Live>, carrier: Box<dyn Carrier>, every: Duration) -> Self {
        let every_ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
        Self {
            live,
            carrier,
            every_ms,
            due_at_ms: i64::MIN,
            failures: 0,
            arrived: BTreeMap::new(),
        }
    }

    /// Carries what is due, if anything is; returns how many arrived. To be called every second or so.
    pub async fn round(&mut self) -> Result<usize, FlowError> {
        let now_ms = self.live.now_ms();
        if now_ms < self.due_at_ms {
            return Ok(0);
        }
        let latest = LatestCheckpoints::new(Arc::clone(&self.live)).all().await?;
        if latest.is_empty() {
            // A new server signs its first one within a second.
            return Ok(0);
        }
        let mut count = 0;
        for checkpoint in latest {
            if self.arrived.get(&checkpoint.origin) == Some(&checkpoint.size) {
                continue;
            }
            if let Err(error) = self.carrier.carry(&checkpoint).await {
                self.fail(error);
                return Ok(count);
            }
            self.arrived.insert(checkpoint.origin, checkpoint.size);
            count += 1;
        }
        self.failures = 0;
        self.due_at_ms = now_ms.saturating_add(self.every_ms);
        let label = self.carrier.label().to_owned();
        let pushed = u64::try_from(count).unwrap_or(u64::MAX);
        metrics::counter!("einklang_audit_pushes_total", "target" => label).increment(pushed);
        Ok(count)
    }

    /// Another target's turn would be no better: this one rests.
    fn fail(&mut self, error: PushFailed) {
        let label = self.carrier.label().to_owned();
        let wait_ms = RETRY_FIRST_MS.saturating_mul(1 << self.failures.min(20));
        let wait_ms = wait_ms.min(self.every_ms.max(RETRY_FIRST_MS));
        tracing::warn!(target_name = label, %error, retry_after_seconds = wait_ms / 1_000,
            "a checkpoint could not be delivered; the latest one is tried again");
        metrics::counter!("einklang_audit_pushes_failed_total", "target" => label).increment(1);
        self.failures = self.failures.saturating_add(1);
        // Counted from the end of the failed try, which may have taken its time.
        self.due_at_ms = self.live.now_ms().saturating_add(wait_ms);
    }
}
