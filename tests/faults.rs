//! Overload and faults, on the built server under a steady load of clicks and postbacks.
//!
//! Each test brings one fault upon a running server and shows what visitors and shops see before, during and after it, what
//! is stored then, how much memory the server took, and that it comes back by itself. `docs/faults.md` has the table;
//! `-- --nocapture` prints the figures. A tool that is missing fails a test, it does not skip it: they need `prlimit`,
//! `setpriv` and `unshare` (util-linux) and PostgreSQL's programs. `EINKLANG_FAULTS_FULL=1` is the full run: more and longer of
//! everything.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "the figures of a run are shown with --nocapture"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "how long the server takes to come back is what is measured"
)]

#[path = "faults/account.rs"]
mod account;
#[expect(dead_code, reason = "a server here is started within other commands")]
mod binary;
#[path = "it/harness/client.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod client;
#[path = "faults/cluster.rs"]
mod cluster;
#[path = "it/harness/contract.rs"]
mod contract;
#[path = "faults/database.rs"]
mod database;
#[path = "faults/disk.rs"]
mod disk;
#[path = "it/harness/ledger.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod ledger;
#[path = "faults/load.rs"]
mod load;
#[path = "faults/site.rs"]
mod site;
#[path = "faults/slow.rs"]
mod slow;
#[path = "it/harness/world.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod world;

use tokio::sync::{Mutex, MutexGuard};

static TURN: Mutex<()> = Mutex::const_new(());

/// One fault at a time: the memory and the answers of a run are not to hang on another's load.
async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// Whether this is the full run.
fn is_full() -> bool {
    std::env::var_os("EINKLANG_FAULTS_FULL").is_some()
}
