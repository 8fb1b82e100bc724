//! Several `einklang serve` processes on one PostgreSQL, as behind a load balancer; and one on a primary that dies.
//!
//! `EINKLANG_NODE_PAIRS` sets how many withdrawals race a postback (default 200; 10,000 is the documented full run),
//! `EINKLANG_FAILOVERS` how often the primary is killed (default 1; 5), `EINKLANG_PREVIOUS` names a build of the version
//! before, for the rolling upgrade. `-- --nocapture` shows the figures.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "the figures of a run are shown with --nocapture"
)]

mod binary;
#[path = "nodes/changes.rs"]
mod changes;
#[path = "it/harness/client.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod client;
#[path = "it/harness/clock.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod clock;
#[path = "nodes/cluster.rs"]
mod cluster;
#[path = "it/harness/contract.rs"]
mod contract;
#[path = "it/harness/database.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod database;
#[path = "nodes/failover.rs"]
mod failover;
#[path = "it/harness/ledger.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod ledger;
#[path = "nodes/load.rs"]
mod load;
#[path = "binary/place.rs"]
#[expect(dead_code, reason = "the search for canaries uses the rest")]
mod place;
#[path = "it/harness/postgres.rs"]
mod postgres;
#[path = "nodes/races.rs"]
mod races;
#[path = "nodes/rolling.rs"]
mod rolling;
#[path = "nodes/sequencer.rs"]
mod sequencer;
#[path = "it/harness/world.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod world;

use std::time::{Duration, Instant};

use place::{Place, Server};

/// One at a time: what is measured would otherwise measure the others.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Starts a node with a number of its own.
fn node(place: &Place, number: usize) -> Server {
    let (node, guard) = words(number);
    place.serve(&["--node", &node, "--audit-guard-file", &guard, RATE])
}

/// Far beyond what these tests send.
const RATE: &str = "--requests-per-minute=100000000";

fn words(number: usize) -> (String, String) {
    (number.to_string(), format!("data/guard-{number}.json"))
}

/// Logs and tables fit together, as the first node remembers them.
fn check_log(place: &Place) {
    let (fits, said) = place.run(&["audit", "check", "--audit-guard-file", "data/guard-0.json"]);
    assert!(fits, "{said}");
}

/// A number from the environment.
fn number_of(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |number| number.parse().expect("a number"))
}

/// The middle and the largest of some spans, as text.
fn middle_and_worst(mut spans: Vec<Duration>) -> String {
    spans.sort_unstable();
    let (middle, worst) = (spans[spans.len() / 2], spans[spans.len() - 1]);
    format!("median {middle:.0?}, worst {worst:.0?} of {}", spans.len())
}

#[expect(
    clippy::disallowed_methods,
    reason = "these tests measure how long something takes"
)]
fn now() -> Instant {
    Instant::now()
}
