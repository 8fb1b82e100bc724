//! A lane's connection between two batches, and how long it is waited for.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};
use tokio::sync::watch;

use super::primary::{Timer, too_late};

/// After so long a lane's connection is asked whether it lives before a batch relies on it: a batch that is one statement
/// cannot be tried again once it was sent. Under load none is asked.
const IDLE: Duration = Duration::from_millis(250);
/// How long it may take to say so.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// A lane's connection between two batches.
pub(super) struct Kept {
    pub(super) connection: PgConnection,
    pub(super) given_up: GivenUp,
    /// Over when it has lain idle for so long that it may have died.
    idle: Timer,
}

impl Kept {
    /// From a batch that has ended.
    pub(super) fn new(connection: PgConnection, given_up: GivenUp) -> Self {
        Self {
            connection,
            given_up,
            idle: Timer::of(IDLE),
        }
    }

    /// The connection, unless it lay idle and died meanwhile. Nothing was sent on it then.
    pub(super) async fn living(mut self) -> Option<(PgConnection, GivenUp)> {
        if self.idle.is_over() {
            let ping = tokio::time::timeout(PING_TIMEOUT, self.connection.ping());
            ping.await.ok()?.ok()?;
        }
        Some((self.connection, self.given_up))
    }
}

/// Whether the host of a connection was given up since the connection was made: one that went without a word answers no
/// more.
pub(super) struct GivenUp(pub(super) Option<watch::Receiver<()>>);

impl GivenUp {
    /// Waits for a statement, unless its host is given up meanwhile. What came of it is then not known.
    pub(super) async fn within<T>(
        &mut self,
        statement: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            done = statement => done,
            () = self.told() => Err(too_late()),
        }
    }

    async fn told(&mut self) {
        if let Some(told) = &mut self.0
            && told.changed().await.is_ok()
        {
            return;
        }
        // Where nobody is left to tell, none is given up.
        std::future::pending::<()>().await;
    }
}
