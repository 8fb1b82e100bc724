//! A lane's connection between two batches, and how long it is waited for.

use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::primary::{Timer, too_late};

/// After so long a lane's connection is asked whether it lives before a batch relies on it: a batch that is one statement
/// cannot be tried again once it was sent. Under load none is asked.
const IDLE: Duration = Duration::from_millis(250);
/// How long it may take to say so.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Far beyond what a statement takes and callers wait. Where another host may write by then, a lane does not wait longer
/// for one that went without a word.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// A lane's connection between two batches.
pub(super) struct Kept {
    pub(super) connection: PgConnection,
    /// Over when it has lain idle for so long that it may have died.
    idle: Timer,
}

impl Kept {
    /// From a batch that has ended.
    pub(super) fn new(connection: PgConnection) -> Self {
        Self {
            connection,
            idle: Timer::of(IDLE),
        }
    }

    /// The connection, unless it lay idle and died meanwhile. Nothing was sent on it then.
    pub(super) async fn living(mut self) -> Option<PgConnection> {
        if self.idle.is_over() {
            let ping = tokio::time::timeout(PING_TIMEOUT, self.connection.ping());
            ping.await.ok()?.ok()?;
        }
        Some(self.connection)
    }
}

/// Waits for a statement, but not for ever where another host may write by then.
pub(super) async fn within<T>(
    impatient: bool,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    if !impatient {
        return statement.await;
    }
    let limited = tokio::time::timeout(STATEMENT_TIMEOUT, statement);
    limited.await.unwrap_or_else(|_| Err(too_late()))
}
