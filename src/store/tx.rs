//! Transactions: the only place that commits, and never without a trail.
//!
//! [`Tx`] serves management through sea-orm; [`Batch`] serves the hot path with prepared statements. Both write the
//! audit entries of their trail in the same transaction. The one exception, counts of untracked clicks, has a commit of
//! its own with a name that says so.

use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseConnection, DatabaseTransaction, EntityTrait, Statement,
    TransactionOptions, TransactionTrait,
};
use sqlx::{Postgres, Sqlite, Transaction};
use uuid::Uuid;

use super::connect::{Pools, StoreError};
use crate::audit::leaf;
use crate::domain::event::{Entry, Trail};
use crate::domain::ids::time_ordered;

/// A connection that reads.
pub struct Reader<'a>(pub(super) &'a DatabaseConnection);

impl Reader<'_> {
    /// The connection, for queries in this folder.
    pub(super) fn connection(&self) -> &DatabaseConnection {
        self.0
    }
}

/// A managing transaction. Dropped without a commit it is rolled back.
pub struct Tx {
    inner: DatabaseTransaction,
}

impl Tx {
    pub(super) async fn begin(connection: &DatabaseConnection, postgres: bool) -> Result<Self, StoreError> {
        let options = TransactionOptions {
            // A deferred transaction that turns into a writer can fail at once when another process writes.
            sqlite_transaction_mode: Some(sea_orm::SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let inner = connection.begin_with_options(options).await?;
        if postgres {
            // Management is rare and allocates numbers: one at a time, over all nodes.
            let lock = Statement::from_string(
                inner.get_database_backend(),
                "SELECT version FROM routing WHERE id = 1 FOR UPDATE",
            );
            inner.execute_raw(lock).await?;
        }
        Ok(Self { inner })
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

    /// Writes the trail and commits.
    pub async fn commit_with(self, trail: &Trail) -> Result<(), StoreError> {
        let rows = trail
            .entries()
            .iter()
            .map(|entry| entity::audit_entry::ActiveModel {
                tenant: Set(entry.event.tenant),
                entry_id: Set(entry_id(entry)),
                body: Set(leaf::encode(&entry.event)),
                hashes: Set(entry.hashes.clone()),
            });
        entity::audit_entry::Entity::insert_many(rows)
            .exec_without_returning(&self.inner)
            .await?;
        self.inner.commit().await?;
        Ok(())
    }
}

/// The transaction of a batch on the hot path. Dropped without a commit it is rolled back.
pub enum Batch {
    /// On the one writing connection.
    Sqlite(Transaction<'static, Sqlite>),
    /// On a connection of the pool.
    Postgres(Transaction<'static, Postgres>),
}

impl Batch {
    pub(super) async fn begin(pools: &Pools) -> Result<Self, StoreError> {
        Ok(match pools {
            Pools::Sqlite { write, .. } => Batch::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            Pools::Postgres(pool) => Batch::Postgres(pool.begin().await?),
        })
    }

    /// Writes the trail and commits. After an error the outcome may be unknown: such a batch is not tried again.
    pub async fn commit_with(mut self, trail: &Trail) -> Result<(), StoreError> {
        self.insert_entries(trail).await?;
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
            Batch::Sqlite(inner) => inner.rollback().await?,
            Batch::Postgres(inner) => inner.rollback().await?,
        }
        Ok(())
    }

    async fn end(self) -> Result<(), StoreError> {
        match self {
            Batch::Sqlite(inner) => inner.commit().await,
            Batch::Postgres(inner) => inner.commit().await,
        }
        .map_err(StoreError::CommitUnknown)
    }
}

/// The key of an entry's row: its time, or its day where the time may not be kept, and bits of its nonce.
pub(super) fn entry_id(entry: &Entry) -> Uuid {
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
