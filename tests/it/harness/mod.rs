//! What the tests stand on: a server with a clock of its own on a fresh database, clients for every role, and readers
//! that look into the database behind the server's back.

pub mod app;
pub mod client;
pub mod clock;
pub mod contract;
pub mod database;
pub mod issuer;
pub mod ledger;
pub mod log;
pub mod postgres;
pub mod processor;
pub mod raw;
pub mod stage;
pub mod tcf;
pub mod world;

use app::{Setup, TestApp};
pub use database::Kind;

/// Runs a test's body against a fresh server, and ends the server in good order.
pub async fn run(kind: Kind, setup: Setup, body: impl AsyncFnOnce(&TestApp)) {
    let app = Box::new(Box::pin(TestApp::start(kind, setup)).await);
    body(&app).await;
    Box::pin(app.stop()).await;
}

/// One test in two: `name::sqlite` and `name::postgres`.
macro_rules! both {
    ($name:ident, $body:expr) => {
        both!($name, crate::harness::app::Setup::default(), $body);
    };
    ($name:ident, $setup:expr, $body:expr) => {
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                crate::harness::run(crate::harness::Kind::Sqlite, $setup, $body).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                crate::harness::run(crate::harness::Kind::Postgres, $setup, $body).await;
            }
        }
    };
}
