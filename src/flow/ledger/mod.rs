//! The ledger: everything that is recorded goes through its lanes. SQLite has one; on PostgreSQL clicks have a lane of
//! their own, whose batches are one statement each, and what has to look before it writes has two, of which one works
//! while the other waits for its commit.
//!
//! Handlers submit a command and wait; the answer comes after the commit. A full queue, a ledger that fails or one that
//! takes too long is `Unavailable`: a click then becomes a plain redirect, a postback is told to try again. Nothing is
//! acknowledged that is not committed.

mod change;
pub mod command;
mod erasing;
mod postback;
pub(in crate::flow) mod writer;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::Live;
use super::journal::Journal;
use crate::store::batch::counters::UntrackedKey;
use crate::store::lanes::{self, Lane};
use command::{Command, Reply};

/// How long a handler waits for its commit.
const PATIENCE: Duration = Duration::from_secs(5);

/// The ledger cannot take or has not confirmed the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ledger is not available")]
pub struct Unavailable;

/// A command with the place where its answer is awaited.
pub(super) struct Job {
    command: Command,
    answer: oneshot::Sender<Result<Reply, Unavailable>>,
}

/// Counts of clicks that could not be recorded, kept until the ledger takes commands again.
type Missed = Arc<Mutex<BTreeMap<UntrackedKey, i64>>>;

/// The handlers' end of the ledger.
#[derive(Clone)]
pub struct Ledger {
    /// For clicks, tracked and untracked.
    clicks: Lane<Job>,
    /// For everything else; none where the database has but one writer.
    rest: Arc<[Lane<Job>]>,
    missed: Missed,
}

impl Ledger {
    /// Opens the ledger of a node. The second value is the writers: each has to be driven (on a thread of its own), and
    /// ends when every handle is gone and everything that was queued is written. Called where the handlers run.
    pub fn open(
        live: &Arc<Live>,
        capacity: usize,
        node: u16,
        journal: &Arc<dyn Journal>,
    ) -> (Self, Vec<impl Future<Output = ()> + use<>>) {
        let missed: Missed = Arc::default();
        let mut runs = Vec::new();
        let mut open = |place| {
            let number = lanes::number(node, place);
            let (live, missed, journal) = (Arc::clone(live), Arc::clone(&missed), Arc::clone(journal));
            let writer = Arc::new(writer::Writer::new(
                live,
                place,
                number,
                missed,
                journal,
                Handle::current(),
            ));
            let (lane, run) = lanes::open(capacity, move |jobs: Vec<Job>| {
                let writer = Arc::clone(&writer);
                async move { writer.process(jobs).await }
            });
            runs.push(run);
            lane
        };
        let clicks = open(0);
        let rest = live.store().lanes().skip(1).map(open).collect();
        (Self { clicks, rest, missed }, runs)
    }

    /// Submits a command and waits for its commit.
    pub async fn submit(&self, command: Command) -> Result<Reply, Unavailable> {
        let (answer, waiting) = oneshot::channel();
        self.lane_of(&command)
            .submit(Job { command, answer })
            .map_err(|_| Unavailable)?;
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(Ok(reply)) => reply,
            // The writer is gone, or the commit takes too long: nothing may be said to be recorded.
            Ok(Err(_)) | Err(_) => Err(Unavailable),
        }
    }

    fn lane_of(&self, command: &Command) -> &Lane<Job> {
        match (command.turn(), self.rest.len()) {
            (Some(turn), lanes @ 1..) => self.rest.get(usize::from(turn) % lanes).unwrap_or(&self.clicks),
            _ => &self.clicks,
        }
    }

    /// Counts a click that was redirected while the ledger could not take it. Kept in memory until the next batch.
    pub fn count_missed(&self, key: UntrackedKey) {
        *self
            .missed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(key)
            .or_default() += 1;
    }

    /// How many commands wait, in the fullest lane.
    pub fn depth(&self) -> usize {
        self.rest
            .iter()
            .map(Lane::depth)
            .fold(self.clicks.depth(), usize::max)
    }
}
