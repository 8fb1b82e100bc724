//! Whether the server can work.

use std::sync::Arc;

use super::Live;
use super::ledger::Ledger;

/// Checks that may fail.
#[derive(Clone)]
pub struct HealthFlow {
    live: Arc<Live>,
    ledger: Ledger,
    capacity: usize,
}

/// The checks that fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Their names.
    pub failing: Vec<&'static str>,
}

impl HealthFlow {
    /// Over the shared parts and the ledger with its capacity.
    pub fn new(live: Arc<Live>, ledger: Ledger, capacity: usize) -> Self {
        Self {
            live,
            ledger,
            capacity,
        }
    }

    /// Runs the checks.
    pub async fn check(&self) -> Readiness {
        let mut failing = Vec::new();
        match self.live.store().missing_migrations().await {
            Ok(0) => {}
            Ok(_) => failing.push("migrations"),
            Err(_) => failing.push("database"),
        }
        if self.ledger.depth() >= self.capacity {
            failing.push("queue");
        }
        Readiness { failing }
    }
}
