//! Lanes: a bounded queue and its writers, each on a thread of its own.
//!
//! The writer takes whatever has queued up while the previous batch was being committed, at most [`BATCH`] commands and
//! with no timer: waiting to gather more was measured to lower the rate by a third. Of two writers one gathers while the
//! other waits for its commit. A full queue refuses at once; the caller decides what that means.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};

/// The most commands in one transaction.
pub const BATCH: usize = 1_024;

/// Numbers that a node's lanes may have; the lane is part of the counters' keys, so that writers do not wait for one
/// another.
const LANES_PER_NODE: i64 = 16;

/// The number of a node's lane.
pub fn number(node: u16, place: usize) -> i64 {
    i64::from(node) * LANES_PER_NODE + i64::try_from(place).unwrap_or(0) % LANES_PER_NODE
}

/// The sending end. Cheap to clone; the writer ends when the last one is gone.
pub struct Lane<J> {
    sender: mpsc::Sender<J>,
}

impl<J> Clone for Lane<J> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
        }
    }
}

/// The queue takes no more: full, or the server is going down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the queue is full")]
pub struct Full;

impl<J: Send + 'static> Lane<J> {
    /// Queues a command, or refuses it at once.
    pub fn submit(&self, job: J) -> Result<(), Full> {
        self.sender.try_send(job).map_err(|_| Full)
    }

    /// How many commands wait.
    pub fn depth(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }
}

/// Opens a queue of this capacity. The second value is the writers' loops: they run until every sending end is gone and
/// the queue is empty, so that whatever was queued is still written when the server goes down.
pub fn open<J, F, W>(capacity: usize, writers: Vec<F>) -> (Lane<J>, Vec<impl Future<Output = ()>>)
where
    J: Send + 'static,
    F: FnMut(Vec<J>) -> W,
    W: Future<Output = ()>,
{
    let (sender, receiver) = mpsc::channel(capacity);
    let receiver = Arc::new(Mutex::new(receiver));
    let lane = Lane { sender };
    let run = |mut write: F| {
        let receiver = Arc::clone(&receiver);
        async move {
            loop {
                let batch = take(&mut *receiver.lock().await).await;
                if batch.is_empty() {
                    return;
                }
                write(batch).await;
            }
        }
    };
    (lane, writers.into_iter().map(run).collect())
}

/// What has queued up, at least one command; nothing when there will be no more.
async fn take<J>(receiver: &mut mpsc::Receiver<J>) -> Vec<J> {
    let mut batch = Vec::with_capacity(BATCH.min(receiver.len().max(1)));
    receiver.recv_many(&mut batch, BATCH).await;
    batch
}
