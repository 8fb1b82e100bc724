//! Transactions: the only place that commits, and never without a trail.
//!
//! [`Tx`] serves management through sea-orm; [`Batch`] serves the hot path with prepared statements. Both write the
//! audit entries of their trail in the same transaction. The exceptions, counts of untracked clicks and of uses of keys, have
//! commits of their own with names that say so.

use std::sync::Arc;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, Statement, TransactionOptions, TransactionTrait,
};
use sqlx::postgres::PgConnection;
use sqlx::{Executor, Row};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use super::audit::pending;
use super::cells::Rows;
use super::checkpoint::Checkpoints;
use super::connect::{Pools, StoreError};
use super::kept::{GivenUp, Kept};
use super::primary::{Primary, Use};
use super::scoped::{self, Scoped};
use crate::domain::event::{Entry, Trail};
use crate::domain::ids::time_ordered;
use crate::domain::scope::TenantScope;

/// A connection that reads for a scope.
pub struct Reader<'a>(pub(super) Scoped<'a>);

impl<'a> Reader<'a> {
    /// The connection, for queries in this folder.
    pub(super) fn connection(&self) -> &Scoped<'a> {
        &self.0
    }
}

/// A managing transaction for a scope. Dropped without a commit it is rolled back.
pub struct Tx {
    inner: DatabaseTransaction,
    /// On SQLite the ledger waits while this is held; declared last, so that it is let go of last.
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Tx {
    pub(super) async fn begin(
        connection: &DatabaseConnection,
        pools: &Pools,
        scope: TenantScope,
    ) -> Result<Self, StoreError> {
        let (inner, turn) = begin_writing(connection, pools, scope).await?;
        if turn.is_none() {
            // Management is rare and allocates numbers: one at a time, over all nodes.
            let lock = Statement::from_string(
                inner.get_database_backend(),
                "SELECT version FROM routing WHERE id = 1 FOR UPDATE",
            );
            inner.execute_raw(lock).await?;
        }
        Ok(Self { inner, _turn: turn })
    }

    /// The connection, for statements in this folder.
    pub(super) fn connection(&self) -> &DatabaseTransaction {
        &self.inner
    }

    /// Tells every node that routing data changed.
    pub async fn touch_routing(&self) -> Result<(), StoreError> {
        let backend = self.inner.get_database_backend();
        let raise = Statement::from_string(backend, "UPDATE routing SET version = version + 1 WHERE id = 1");
        self.inner.execute_raw(raise).await?;
        Ok(())
    }

    /// Commits how often keys were used, and nothing else: that tells of no decision, and would be an entry every minute.
    pub async fn commit_key_uses(self) -> Result<(), StoreError> {
        self.inner.commit().await?;
        Ok(())
    }

    /// Writes the trail and commits.
    pub async fn commit_with(self, trail: &Trail) -> Result<(), StoreError> {
        pending::enter(&self.inner, trail).await?;
        self.inner.commit().await?;
        Ok(())
    }
}

/// Begins a transaction that will write for a scope: on SQLite in its turn.
async fn begin_writing(
    connection: &DatabaseConnection,
    pools: &Pools,
    scope: TenantScope,
) -> Result<(DatabaseTransaction, Option<OwnedMutexGuard<()>>), StoreError> {
    let turn = match pools {
        Pools::Sqlite { turn, .. } => Some(Arc::clone(turn).lock_owned().await),
        Pools::Postgres { .. } => None,
    };
    let options = TransactionOptions {
        // A deferred transaction that turns into a writer can fail at once when another process writes.
        sqlite_transaction_mode: Some(sea_orm::SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let inner = connection.begin_with_options(options).await?;
    scoped::enter(&inner, scope).await?;
    Ok((inner, turn))
}

/// A transaction of the audit log's own books: places, tiles, checkpoints. It needs no trail, since what it writes tells of
/// entries that were committed with what they describe. Dropped without a commit it is rolled back.
pub(super) struct Books {
    inner: DatabaseTransaction,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Books {
    pub(super) async fn begin(connection: &DatabaseConnection, pools: &Pools) -> Result<Self, StoreError> {
        let (inner, turn) = begin_writing(connection, pools, TenantScope::Server).await?;
        Ok(Self { inner, _turn: turn })
    }

    pub(super) fn connection(&self) -> &DatabaseTransaction {
        &self.inner
    }

    /// Commits what was written.
    pub(super) async fn keep(self) -> Result<(), StoreError> {
        self.inner.commit().await?;
        Ok(())
    }
}

/// The transaction of a batch on the hot path. Dropped without a commit it is rolled back.
pub enum Batch {
    /// On the ledger's own connection. Every statement runs where it is called, so only the writer's thread may.
    Sqlite(SqliteBatch),
    /// On a connection of the pool.
    Postgres(PostgresBatch),
}

/// A batch on SQLite.
pub struct SqliteBatch {
    pub(super) connection: OwnedMutexGuard<rusqlite::Connection>,
    ended: bool,
    checkpoints: Checkpoints,
    _turn: OwnedMutexGuard<()>,
}

/// A batch on PostgreSQL. Its connection goes back into the slot only when the transaction has ended: one that is dropped
/// before is closed, and the database rolls back what it leaves behind.
pub struct PostgresBatch {
    pub(super) connection: PgConnection,
    slot: OwnedMutexGuard<Option<Kept>>,
    pub(super) given_up: GivenUp,
    /// Written together with the next statement: each costs a trip to the database and back.
    pub(super) waiting: Vec<(Rows, Expected)>,
    pub(super) state: State,
}

/// How far a batch's transaction is, with the routing version it goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Not begun: it may still become a single statement.
    ReliesOn(i64),
    /// Begun; it sees this version.
    Sees(i64),
}

/// How many of the rows a statement has to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// As many as there is room for.
    Any,
    /// All of them, or another writer was first.
    All,
    /// One, which holds all of them as arrays. Only PostgreSQL has arrays.
    Packed,
}

impl Batch {
    pub(super) async fn begin(
        pools: &Pools,
        lane: usize,
        relied_on: Option<i64>,
    ) -> Result<Self, StoreError> {
        match pools {
            Pools::Sqlite {
                ledger,
                turn,
                checkpoints,
                ..
            } => {
                let turn = Arc::clone(turn).lock_owned().await;
                let connection = Arc::clone(ledger).lock_owned().await;
                SqliteBatch::begin(connection, checkpoints.clone(), turn)
            }
            Pools::Postgres { ledger, primary, .. } => {
                let slot = ledger.get(lane).ok_or(StoreError::NoLane)?;
                let slot = Arc::clone(slot).lock_owned().await;
                PostgresBatch::begin(primary, slot, relied_on).await
            }
        }
    }

    /// The routing version that this transaction sees.
    pub fn routing_version(&self) -> Result<i64, StoreError> {
        match self {
            Batch::Sqlite(inner) => {
                let mut select = inner.connection.prepare_cached(ROUTING_VERSION)?;
                Ok(select.query_row([], |row| row.get(0))?)
            }
            Batch::Postgres(inner) => match inner.state {
                State::ReliesOn(version) | State::Sees(version) => Ok(version),
            },
        }
    }

    /// Writes the trail and commits. After an error the outcome may be unknown: such a batch is not tried again.
    pub async fn commit_with(mut self, trail: &Trail) -> Result<(), StoreError> {
        self.enter(trail)?;
        self.end().await
    }

    /// Commits places of entries that a trail committed before, or that open a log's epoch.
    pub(super) async fn commit_places(self) -> Result<(), StoreError> {
        self.end().await
    }

    /// Commits counts of untracked clicks and nothing else: the sole commit without a trail. A leaf for each would be a
    /// record of a person's refusal to the millisecond; they enter the log as one leaf per closed day.
    pub async fn commit_untracked_counts(self) -> Result<(), StoreError> {
        self.end().await
    }

    /// Ends a transaction that only looked.
    pub async fn leave_unchanged(self) -> Result<(), StoreError> {
        match self {
            Batch::Sqlite(mut inner) => inner.run(ROLLBACK),
            Batch::Postgres(inner) => inner.leave().await,
        }
    }

    async fn end(mut self) -> Result<(), StoreError> {
        let unknown = |error| StoreError::CommitUnknown(Box::new(error));
        if let Batch::Postgres(inner) = &mut self
            && inner
                .waiting
                .iter()
                .any(|(_, expected)| *expected == Expected::All)
        {
            // Whether all were written is known only afterwards, so this needs a transaction that can be rolled back.
            inner.ensure_begun().await?;
        }
        if let Batch::Postgres(PostgresBatch {
            state: State::Sees(_),
            ..
        }) = &self
        {
            self.write_waiting().await?;
        }
        match self {
            Batch::Sqlite(mut inner) => {
                inner.run(COMMIT).map_err(unknown)?;
                inner.checkpoints.after_commit(&inner.connection);
                Ok(())
            }
            Batch::Postgres(inner) => match inner.state {
                State::ReliesOn(version) => inner.write_at_once(version).await,
                State::Sees(_) => inner.run(COMMIT).await.map_err(unknown),
            },
        }
    }
}

/// Commits what a restore copied into a file that nobody has opened yet. Its trail is among the rows.
pub(super) fn keep_copied(connection: &rusqlite::Connection) -> Result<(), StoreError> {
    Ok(connection.execute_batch(COMMIT)?)
}

const ROUTING_VERSION: &str = "SELECT version FROM routing WHERE id = 1";
const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";

impl SqliteBatch {
    fn begin(
        connection: OwnedMutexGuard<rusqlite::Connection>,
        checkpoints: Checkpoints,
        turn: OwnedMutexGuard<()>,
    ) -> Result<Batch, StoreError> {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Batch::Sqlite(Self {
            connection,
            ended: false,
            checkpoints,
            _turn: turn,
        }))
    }

    fn run(&mut self, end: &'static str) -> Result<(), StoreError> {
        self.connection.prepare_cached(end)?.execute([])?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for SqliteBatch {
    fn drop(&mut self) {
        if !self.ended {
            // Fails where SQLite has rolled back by itself already.
            let _ = self.connection.execute_batch(ROLLBACK);
        }
    }
}

impl PostgresBatch {
    /// Takes the lane's connection, or makes a new one where there is none or it died since the last batch.
    async fn begin(
        primary: &Primary,
        mut slot: OwnedMutexGuard<Option<Kept>>,
        relied_on: Option<i64>,
    ) -> Result<Batch, StoreError> {
        let kept = match (slot.take(), relied_on) {
            (Some(kept), Some(version)) => kept
                .living()
                .await
                .map(|(connection, given_up)| (connection, given_up, State::ReliesOn(version))),
            (Some(kept), None) => begun(kept.connection, kept.given_up).await.ok(),
            (None, _) => None,
        };
        let (connection, given_up, state) = if let Some(kept) = kept {
            kept
        } else {
            let given_up = primary.given_up();
            begun(primary.connect(Use::Ledger).await?, given_up).await?
        };
        Ok(Batch::Postgres(Self {
            connection,
            slot,
            given_up,
            waiting: Vec::new(),
            state,
        }))
    }

    /// Begins, where that was put off. What was relied on has to be what the transaction sees.
    pub(super) async fn ensure_begun(&mut self) -> Result<(), StoreError> {
        let State::ReliesOn(version) = self.state else {
            return Ok(());
        };
        let seen = self.given_up.within(begin(&mut self.connection)).await?;
        self.state = State::Sees(seen);
        if seen == version {
            Ok(())
        } else {
            Err(StoreError::Raced)
        }
    }

    async fn leave(self) -> Result<(), StoreError> {
        match self.state {
            State::Sees(_) => self.run(ROLLBACK).await,
            State::ReliesOn(_) => {
                self.keep();
                Ok(())
            }
        }
    }

    async fn run(mut self, end: &'static str) -> Result<(), StoreError> {
        let ended = self.connection.execute(sqlx::raw_sql(end));
        self.given_up.within(ended).await?;
        self.keep();
        Ok(())
    }

    /// Puts the connection back for the next batch.
    pub(super) fn keep(mut self) {
        *self.slot = Some(Kept::new(self.connection, self.given_up));
    }
}

/// A connection on which a transaction has begun.
async fn begun(
    mut connection: PgConnection,
    mut given_up: GivenUp,
) -> Result<(PgConnection, GivenUp, State), sqlx::Error> {
    let version = given_up.within(begin(&mut connection)).await?;
    Ok((connection, given_up, State::Sees(version)))
}

/// Begins and reads the routing version in one trip to the database.
async fn begin(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    const BEGIN: &str = "BEGIN; SELECT version FROM routing WHERE id = 1";
    connection.fetch_one(sqlx::raw_sql(BEGIN)).await?.try_get(0)
}

/// The key of an entry's row: its time, or its day where the time may not be kept, and bits of its nonce.
pub fn entry_id(entry: &Entry) -> Uuid {
    let event = &entry.event;
    let day_start = || {
        let day = chrono::NaiveDate::parse_from_str(event.day.as_deref()?, "%Y-%m-%d").ok()?;
        Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis())
    };
    let mut random = [0; 10];
    // The nonce is hexadecimal by construction; its first ten bytes are random enough for a key.
    if let Some(digits) = event.nonce.get(..20) {
        let _ = hex::decode_to_slice(digits, &mut random);
    }
    time_ordered(event.at_ms.or_else(day_start).unwrap_or(0), random)
}
