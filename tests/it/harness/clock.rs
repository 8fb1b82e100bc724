//! A clock that moves when a test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use einklang::flow::Clock;

/// 2026-11-24 12:00:00 UTC: noon in winter, so that no time zone near Europe is at the edge of its day.
pub const START_S: i64 = 1_795_521_600;

/// The time that a server under test believes in.
#[derive(Debug, Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    /// A clock that shows this second.
    pub fn at(now_s: i64) -> Self {
        Self(Arc::new(AtomicI64::new(now_s * 1_000)))
    }

    /// Now, in seconds.
    pub fn now_s(&self) -> i64 {
        self.now_ms().div_euclid(1_000)
    }

    /// Moves on.
    pub fn advance_seconds(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }

    /// A moment relative to now, as the API writes it.
    pub fn rfc3339(&self, offset_seconds: i64) -> String {
        let at = chrono::DateTime::from_timestamp(self.now_s() + offset_seconds, 0).expect("a time");
        at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}
