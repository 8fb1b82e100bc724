//! A lane: a bounded queue with one writer on a thread of its own.
//!
//! The writer takes whatever has queued up while the previous batch was being committed, at most [`BATCH`] commands and
//! with no timer: waiting to gather more was measured to lower the rate by a third. A full queue refuses at once; the
//! caller decides what that means.

use std::future::Future;

use tokio::sync::mpsc;

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

/// Opens a lane of this capacity. The second value is the writer's loop: it runs until every sending end is gone and
/// the queue is empty, so that whatever was queued is still written when the server goes down.
pub fn open<J, F, W>(capacity: usize, mut write: F) -> (Lane<J>, impl Future<Output = ()>)
where
    J: Send + 'static,
    F: FnMut(Vec<J>) -> W,
    W: Future<Output = ()>,
{
    let (sender, mut receiver) = mpsc::channel(capacity);
    let lane = Lane { sender };
    let writer = async move {
        loop {
            let mut batch = Vec::with_capacity(BATCH.min(receiver.len().max(1)));
            let taken = receiver.recv_many(&mut batch, BATCH).await;
            if taken == 0 {
                return;
            }
            write(batch).await;
        }
    };
    (lane, writer)
}
