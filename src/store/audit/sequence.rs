//! The sequencer: gives waiting entries their places, for all logs in one transaction.
//!
//! Any node may call it at any time. On PostgreSQL a lock that ends with the transaction lets one work at a time, and the
//! head moves only from the size that was read, so that a lost lock cannot fork a log. On SQLite it takes the writer's
//! turn like everybody else.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, FromQueryResult, Statement};

use super::heads::edge;
use super::{LogKey, Placeable, signed, split, unsigned};
use crate::audit::growth::Changed;
use crate::audit::tiles::TILE_WIDTH;
use crate::domain::event::Entry;
use crate::domain::scope::TenantScope;
use crate::store::connect::{Pools, Store, StoreError};
use crate::store::tx::{Batch, Books};

/// The most entries of management that SQLite places in one transaction.
const SQLITE_ENTRIES: usize = 1_000;
/// The most waiting transactions whose entries PostgreSQL places in one: some ten thousand entries where the ledger is
/// busy, a few megabytes.
const POSTGRES_TRANSACTIONS: u32 = 64;

/// The number of the sequencer's advisory lock: any that nobody else uses in this database.
const SEQUENCER_LOCK: i64 = 0x6569_6e6b_6c61_6e67;

/// What a round of the sequencer did.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Round {
    /// Entries that found their places.
    pub placed: u64,
    /// How long the one that waited longest had waited since it was written, in seconds.
    pub waited_s: f64,
    /// Whether there may be more.
    pub more: bool,
}

impl Store {
    /// Places what waits. Does nothing where another node is doing it.
    pub async fn sequence(&self) -> Result<Round, StoreError> {
        match &self.pools {
            Pools::Sqlite { .. } => {
                if !self.is_waiting().await? {
                    return Ok(Round::default());
                }
                let mut batch = self.begin_batch(0, None).await?;
                let Batch::Sqlite(inner) = &mut batch else {
                    return Ok(Round::default());
                };
                let taken = inner.take_pending(SQLITE_ENTRIES)?;
                let placed = taken.len();
                inner.place(taken)?;
                batch.commit_places().await?;
                Ok(Round {
                    placed: placed as u64,
                    waited_s: 0.0,
                    more: placed == SQLITE_ENTRIES,
                })
            }
            Pools::Postgres { .. } => {
                let Some(placing) = self.begin_placing().await? else {
                    return Ok(Round::default());
                };
                let round = place(&placing).await?;
                placing.keep().await?;
                Ok(round)
            }
        }
    }

    /// A transaction that holds the sequencer's lock until it ends, unless another node holds it.
    async fn begin_placing(&self) -> Result<Option<Books>, StoreError> {
        let books = self.begin_books().await?;
        let lock = Statement::from_string(
            DatabaseBackend::Postgres,
            format!("SELECT pg_try_advisory_xact_lock({SEQUENCER_LOCK}) AS held"),
        );
        let row = books.connection().query_one_raw(lock).await?;
        let held = match row {
            Some(row) => row.try_get("", "held")?,
            None => false,
        };
        Ok(held.then_some(books))
    }

    /// Whether anything waits; asked without the writer's turn.
    async fn is_waiting(&self) -> Result<bool, StoreError> {
        let reader = self.reader(TenantScope::Server);
        let connection = reader.connection();
        let select = Statement::from_string(
            connection.get_database_backend(),
            "SELECT 1 AS one FROM audit_pending LIMIT 1",
        );
        Ok(connection.query_one_raw(select).await?.is_some())
    }

    /// For how many seconds the oldest entry has waited on PostgreSQL, by the database's own clock; nothing where none
    /// waits.
    pub async fn oldest_pending_s(&self) -> Result<Option<f64>, StoreError> {
        if !self.is_postgres() {
            return Ok(None);
        }
        let text = "SELECT extract(epoch FROM clock_timestamp() - min(written_at))::float8 AS waited_s FROM audit_pending";
        let reader = self.reader(TenantScope::Server);
        let select = Statement::from_string(DatabaseBackend::Postgres, text);
        match reader.connection().query_one_raw(select).await? {
            Some(row) => Ok(row.try_get("", "waited_s")?),
            None => Ok(None),
        }
    }

    /// Lets PostgreSQL reuse the space of what was taken away; left to its own timer, the table would be read through
    /// dead rows a minute long.
    pub async fn tidy_pending(&self) -> Result<(), StoreError> {
        if let Pools::Postgres { pool, .. } = &self.pools {
            sqlx::raw_sql("VACUUM (TRUNCATE FALSE) audit_pending")
                .execute(pool)
                .await?;
        }
        Ok(())
    }

    /// Opens a new epoch of a log with this first entry, unless it or a later one is open. Returns whether it did.
    pub async fn open_epoch(&self, log: LogKey, first: &Entry, at_ms: i64) -> Result<bool, StoreError> {
        let entry = Placeable::from(first);
        if matches!(self.pools, Pools::Sqlite { .. }) {
            let mut batch = self.begin_batch(0, None).await?;
            let Batch::Sqlite(inner) = &mut batch else {
                return Ok(false);
            };
            if inner.has_epoch(log)? {
                batch.leave_unchanged().await?;
                return Ok(false);
            }
            inner.open_log(log.tenant, log.epoch, at_ms)?;
            inner.place(vec![entry])?;
            batch.commit_places().await?;
            return Ok(true);
        }
        let Some(placing) = self.begin_placing().await? else {
            // The sequencer is at work; the caller comes again.
            return Ok(false);
        };
        let transaction = placing.connection();
        let open = Statement::from_sql_and_values(
            DatabaseBackend::Postgres,
            "INSERT INTO audit_log (tenant, epoch, size, opened_at_ms) SELECT $1, $2, 1, $3 \
             WHERE NOT EXISTS (SELECT 1 FROM audit_log WHERE tenant = $1 AND epoch >= $2)",
            [log.tenant.into(), log.epoch.into(), at_ms.into()],
        );
        if transaction.execute_raw(open).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let leaf = Statement::from_sql_and_values(
            DatabaseBackend::Postgres,
            "INSERT INTO audit_leaf (tenant, epoch, idx, entry_id, body) VALUES ($1, $2, 0, $3, $4)",
            [
                log.tenant.into(),
                log.epoch.into(),
                entry.id.into(),
                entry.body.into(),
            ],
        );
        transaction.execute_raw(leaf).await?;
        placing.keep().await?;
        Ok(true)
    }
}

/// The new leaves of one log, as the placing statement answers.
#[derive(Debug, FromQueryResult)]
struct Grown {
    tenant: i64,
    epoch: i64,
    first: i64,
    hashes: Vec<u8>,
    waited_s: f64,
    transactions: i64,
}

/// Takes away what waits and is visible, and inserts it as leaves behind the present head of each log. Hashes are made
/// where the bytes are, so that they need not travel.
fn placing_text() -> String {
    format!(
        "WITH taken AS (
            DELETE FROM audit_pending WHERE (written_at, batch_id) IN (
                SELECT written_at, batch_id FROM audit_pending ORDER BY written_at, batch_id
                LIMIT {POSTGRES_TRANSACTIONS})
            RETURNING written_at, batch_id, tenants, entry_ids, bodies),
        one AS (
            SELECT u.tenant, u.entry_id, u.body, row_number() OVER (
                PARTITION BY u.tenant ORDER BY taken.written_at, taken.batch_id, u.place) - 1 AS place
            FROM taken, unnest(tenants, entry_ids, bodies)
                WITH ORDINALITY AS u (tenant, entry_id, body, place)),
        head AS (
            SELECT DISTINCT ON (tenant) tenant, epoch, size FROM audit_log ORDER BY tenant, epoch DESC),
        placed AS (
            INSERT INTO audit_leaf (tenant, epoch, idx, entry_id, body)
            SELECT one.tenant, COALESCE(head.epoch, 0), COALESCE(head.size, 0) + one.place,
                one.entry_id, one.body
            FROM one LEFT JOIN head ON head.tenant = one.tenant
            RETURNING tenant, epoch, idx, sha256('\\x00'::bytea || body) AS hash)
        SELECT tenant, epoch, min(idx) AS first, string_agg(hash, ''::bytea ORDER BY idx) AS hashes,
            (SELECT extract(epoch FROM clock_timestamp() - min(written_at))::float8 FROM taken) AS waited_s,
            (SELECT count(*) FROM taken) AS transactions
        FROM placed GROUP BY tenant, epoch"
    )
}

async fn place(placing: &Books) -> Result<Round, StoreError> {
    let transaction = placing.connection();
    let text = Statement::from_string(DatabaseBackend::Postgres, placing_text());
    let grown = Grown::find_by_statement(text).all(transaction).await?;
    let mut round = Round::default();
    for log in &grown {
        let leaves = split(&log.hashes).ok_or(StoreError::Inconsistent {
            table: "audit_leaf",
            column: "body",
        })?;
        let key = LogKey {
            tenant: log.tenant,
            epoch: log.epoch,
        };
        let size = unsigned(log.first);
        let grown_to = size + leaves.len() as u64;
        move_head(transaction, key, log.first, signed(grown_to)).await?;
        if size / TILE_WIDTH != grown_to / TILE_WIDTH {
            let mut edge = edge(transaction, key, size).await?;
            put_tiles(transaction, key, &edge.append(&leaves)).await?;
        }
        round.placed += leaves.len() as u64;
        round.waited_s = round.waited_s.max(log.waited_s);
        round.more |= log.transactions >= i64::from(POSTGRES_TRANSACTIONS);
    }
    Ok(round)
}

/// Compare and swap: whoever finds another size has lost the lock, and everything of this round is rolled back.
async fn move_head(
    transaction: &DatabaseTransaction,
    log: LogKey,
    from: i64,
    to: i64,
) -> Result<(), StoreError> {
    let text = if from == 0 {
        "INSERT INTO audit_log (tenant, epoch, size, opened_at_ms) \
         VALUES ($1, $2, $4, (extract(epoch FROM clock_timestamp()) * 1000)::bigint) \
         ON CONFLICT (tenant, epoch) DO UPDATE SET size = EXCLUDED.size WHERE audit_log.size = $3"
    } else {
        "UPDATE audit_log SET size = $4 WHERE tenant = $1 AND epoch = $2 AND size = $3"
    };
    let values = [log.tenant.into(), log.epoch.into(), from.into(), to.into()];
    let statement = Statement::from_sql_and_values(DatabaseBackend::Postgres, text, values);
    let moved = transaction.execute_raw(statement).await?;
    if moved.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Raced)
    }
}

async fn put_tiles(
    transaction: &DatabaseTransaction,
    log: LogKey,
    changed: &[Changed],
) -> Result<(), StoreError> {
    let text = "INSERT INTO audit_tile (tenant, epoch, level, tile, hashes) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (tenant, epoch, level, tile) DO UPDATE SET hashes = EXCLUDED.hashes";
    // A level's row may have changed more than once; its last state is enough.
    let last: BTreeMap<_, _> = changed.iter().map(|one| (one.id, &one.hashes)).collect();
    for (id, hashes) in last {
        let values = [
            log.tenant.into(),
            log.epoch.into(),
            i64::from(id.level).into(),
            signed(id.tile).into(),
            hashes.concat().into(),
        ];
        let put = Statement::from_sql_and_values(DatabaseBackend::Postgres, text, values);
        transaction.execute_raw(put).await?;
    }
    Ok(())
}
