//! What PostgreSQL keeps after an erasure, and writing it anew.
//!
//! A deleted row stays in its page until something else is written there; a plain VACUUM left one in eight to be found. So
//! a month's salts are written anew as a whole, since with a salt the ciphertexts in old pages and log segments could be
//! opened, and without it they cannot. VACUUM FULL would keep clicks waiting for as long as it writes; here they are copied
//! beside the traffic, and the tables change places in a moment. The other tables' dead rows are freed. Keys that were
//! destroyed or wrapped anew, and what named somebody in a case, lie in small tables, for which VACUUM FULL will do. A debt
//! ends only with those that were there before its rewriting began.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row};
use uuid::Uuid;

use super::connect::{Pools, Store, StoreError};
use super::months::month_start_s;
use super::primary::Use;
use super::tx::Tx;
use crate::domain::ids::{TICKS_PER_SECOND, ticks_of};

/// The number of the advisory lock: one node rewrites at a time.
const REWRITER_LOCK: i64 = 0x6569_6e6b_7265_6d61;
/// How long a rewriting waits for its table, in milliseconds; clicks wait behind it. Then it is tried again later.
const LOCK_TIMEOUT_MS: u32 = 200;

/// How often and how long it is waited for older transactions to end.
const WAITS: u32 = 50;
const WAIT: Duration = Duration::from_millis(100);

/// How old a click may be at most when its row is committed, in milliseconds; far more than its caller waits.
const EDGE_MS: i64 = 600_000;

/// What stands for a month where no month's salts are owed, but the small tables.
const SMALL: i64 = -1;
/// Tables with wrapped keys and sealed names.
const SMALL_TABLES: [&str; 4] = [
    "wrapped_key",
    "subject_request",
    "subject_request_event",
    "subject_request_callback",
];

/// A month that is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owed {
    /// The month, as partitions are named; -1 for keys and cases.
    pub month: i64,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
}

/// What became of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewritten {
    /// It is done.
    Done,
    /// Another node is at it.
    Elsewhere,
    /// A transaction that began before is still open and may see what was deleted; or the table was busy.
    Later,
}

/// How PostgreSQL's write-ahead log stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSegments {
    /// When the oldest segment was last written, in milliseconds since 1970; none where we may not look.
    pub oldest_ms: Option<i64>,
    /// Whether old segments are used again with their content.
    pub recycled: bool,
    /// Whether segments are archived.
    pub archived: bool,
}

impl Tx {
    /// Notes that PostgreSQL's pages still hold keys that this destroys or wraps anew, or what named somebody in a case that
    /// this empties.
    pub async fn owe_keys_and_cases(&self, debt: Uuid, now_ms: i64) -> Result<(), StoreError> {
        const OWE: &str = "INSERT INTO remains (month, erasure_id, owed_since_ms) VALUES ($1, $2, $3)";
        let connection = self.connection();
        let backend = connection.get_database_backend();
        if backend == DatabaseBackend::Postgres {
            let values = vec![SMALL.into(), debt.into(), now_ms.into()];
            let owe = Statement::from_sql_and_values(backend, OWE, values);
            connection.execute_raw(owe).await?;
        }
        Ok(())
    }
}

impl Store {
    /// The months that are owed, oldest debt first. None on SQLite, which leaves nothing behind.
    pub async fn owed(&self) -> Result<Vec<Owed>, StoreError> {
        let Pools::Postgres { pool, .. } = &self.pools else {
            return Ok(Vec::new());
        };
        let text = "SELECT month, MIN(owed_since_ms) FROM remains GROUP BY month ORDER BY 2, 1";
        let rows = sqlx::query(text).fetch_all(pool).await?;
        rows.iter()
            .map(|row| {
                Ok(Owed {
                    month: row.try_get(0)?,
                    since_ms: row.try_get(1)?,
                })
            })
            .collect()
    }

    /// Writes a month's salts anew and frees the dead rows of the other tables; or writes the small tables anew.
    pub async fn rewrite_month(&self, month: i64, now_ms: i64) -> Result<Rewritten, StoreError> {
        let Pools::Postgres { primary, .. } = &self.pools else {
            return Ok(Rewritten::Done);
        };
        // A connection of its own: what is copied is every tenant's, which no connection of the pool may stand for.
        let mut connection = primary.connect(Use::Server).await?;
        let lock = format!("SELECT pg_try_advisory_lock({REWRITER_LOCK})");
        let held: bool = sqlx::query_scalar(AssertSqlSafe(lock))
            .fetch_one(&mut connection)
            .await?;
        if !held {
            return Ok(Rewritten::Elsewhere);
        }
        let outcome = rewrite(&mut connection, month, now_ms).await;
        // The lock is the session's and ends with it at the latest; the next one need not wait for that.
        let release = format!("SELECT pg_advisory_unlock({REWRITER_LOCK})");
        let _ = sqlx::raw_sql(AssertSqlSafe(release))
            .execute(&mut connection)
            .await;
        let _ = connection.close().await;
        outcome
    }

    /// How the write-ahead log stands. On SQLite it is truncated after each erasure.
    pub async fn log_segments(&self) -> Result<Option<LogSegments>, StoreError> {
        let Pools::Postgres { pool, .. } = &self.pools else {
            return Ok(None);
        };
        let text = "SELECT current_setting('wal_recycle') = 'on', current_setting('archive_mode') <> 'off'";
        let row = sqlx::query(text).fetch_one(pool).await?;
        let text = "SELECT CAST(EXTRACT(EPOCH FROM MIN(modification)) * 1000 AS BIGINT) FROM pg_ls_waldir()";
        // Only for roles that may monitor.
        let oldest_ms = sqlx::query_scalar(text).fetch_one(pool).await.ok().flatten();
        Ok(Some(LogSegments {
            oldest_ms,
            recycled: row.try_get(0)?,
            archived: row.try_get(1)?,
        }))
    }
}

/// Whether a transaction is open that began before a moment.
const SEEN: &str = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid <> pg_backend_pid() \
     AND datname = current_database() AND xact_start < CAST($1 AS TIMESTAMPTZ) AND backend_type <> 'walsender') \
     OR EXISTS (SELECT 1 FROM pg_prepared_xacts WHERE database = current_database())";

async fn rewrite(connection: &mut PgConnection, month: i64, now_ms: i64) -> Result<Rewritten, StoreError> {
    let owed: Vec<Uuid> = sqlx::query_scalar("SELECT erasure_id FROM remains WHERE month = $1")
        .bind(month)
        .fetch_all(&mut *connection)
        .await?;
    if owed.is_empty() {
        return Ok(Rewritten::Done);
    }
    // A row is kept for whoever may still see it: every transaction that began before the debts were read has to end.
    let began: String = sqlx::query_scalar("SELECT CAST(clock_timestamp() AS TEXT)")
        .fetch_one(&mut *connection)
        .await?;
    let mut seen = true;
    for _ in 0..WAITS {
        seen = sqlx::query_scalar(SEEN)
            .bind(&began)
            .fetch_one(&mut *connection)
            .await?;
        if !seen {
            break;
        }
        tokio::time::sleep(WAIT).await;
    }
    if seen {
        return Ok(Rewritten::Later);
    }
    let timeout = format!("SET lock_timeout = {LOCK_TIMEOUT_MS}");
    sqlx::raw_sql(AssertSqlSafe(timeout))
        .execute(&mut *connection)
        .await?;
    for statement in statements(connection, month, now_ms).await? {
        match sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *connection)
            .await
        {
            Ok(_) => {}
            // lock_not_available
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("55P03") => {
                return Ok(Rewritten::Later);
            }
            Err(error) => return Err(error.into()),
        }
    }
    sqlx::query("DELETE FROM remains WHERE month = $1 AND erasure_id = ANY($2)")
        .bind(month)
        .bind(&owed)
        .execute(&mut *connection)
        .await?;
    Ok(Rewritten::Done)
}

/// What has to be done, as far as the tables are there. A conversion is at least as young as its click.
async fn statements(
    connection: &mut PgConnection,
    month: i64,
    now_ms: i64,
) -> Result<Vec<String>, StoreError> {
    let text = "SELECT n.nspname || '.' || c.relname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                WHERE c.relkind = 'r' AND n.nspname IN ('public', 'vault') ORDER BY 1";
    let tables: Vec<(String, String)> = sqlx::query_as(text).fetch_all(&mut *connection).await?;
    let mut found = Vec::new();
    for (table, name) in tables {
        let of = |prefix: &str| {
            let number = name.strip_prefix(prefix)?.strip_prefix("_m")?;
            number.parse::<i64>().ok()
        };
        if month == SMALL {
            if SMALL_TABLES.contains(&name.as_str()) {
                found.push(format!("VACUUM (FULL) {table}"));
            }
            continue;
        }
        // Months without a partition of their own stand there; it is empty where they have one.
        let in_default = |prefix: &str| name.strip_prefix(prefix) == Some("_default");
        if of("salt_block") == Some(month) {
            found.extend(anew(month, now_ms));
        } else if in_default("salt_block") {
            found.push(format!("VACUUM (FULL) {table}"));
        } else if ["click", "consent_record"]
            .iter()
            .any(|kind| of(kind) == Some(month) || in_default(kind))
            || of("conversion").is_some_and(|recorded| recorded >= month)
            || in_default("conversion")
            || ["order_key", "customer_key"].contains(&name.as_str())
        {
            found.push(format!("VACUUM (INDEX_CLEANUP ON) {table}"));
        }
    }
    Ok(found)
}

/// Statements that write a month's salts anew; each is a transaction of its own. A trigger notes which blocks change while
/// the copy is made, and what was added meanwhile is at the right edge, where it is looked for once more. Whatever a
/// rewriting that was cut off left behind goes first.
fn anew(month: i64, now_ms: i64) -> [String; 3] {
    let (from, to) = (
        month_start_s(month) * TICKS_PER_SECOND,
        month_start_s(month + 1) * TICKS_PER_SECOND,
    );
    let edge = ticks_of(now_ms - EDGE_MS);
    let prepare = format!(
        "DROP TRIGGER IF EXISTS note_changed ON vault.salt_block_m{month}; \
         DROP TABLE IF EXISTS vault.salts_anew, vault.salts_changed; \
         CREATE TABLE vault.salts_changed (tenant BIGINT, issued_at_ticks BIGINT, block_id UUID); \
         SELECT second_wall('vault.salts_changed'); \
         CREATE OR REPLACE FUNCTION vault.note_changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO vault.salts_changed VALUES (OLD.tenant, OLD.issued_at_ticks, OLD.block_id); \
         RETURN COALESCE(NEW, OLD); END $$; \
         CREATE TRIGGER note_changed BEFORE UPDATE OR DELETE ON vault.salt_block_m{month} \
         FOR EACH ROW EXECUTE FUNCTION vault.note_changed(); \
         CREATE TABLE vault.salts_anew (LIKE vault.salt_block_m{month} INCLUDING ALL, \
         CONSTRAINT salts_anew_of CHECK (issued_at_ticks >= {from} AND issued_at_ticks < {to})); \
         SELECT second_wall('vault.salts_anew')"
    );
    let copy = format!("INSERT INTO vault.salts_anew SELECT * FROM vault.salt_block_m{month}");
    let swap = format!(
        "SET LOCAL enable_seqscan = off; \
         LOCK TABLE vault.salt_block IN ACCESS EXCLUSIVE MODE; \
         DELETE FROM vault.salts_anew a USING vault.salts_changed g WHERE a.tenant = g.tenant \
         AND a.issued_at_ticks = g.issued_at_ticks AND a.block_id = g.block_id; \
         INSERT INTO vault.salts_anew SELECT s.* FROM (SELECT DISTINCT * FROM vault.salts_changed) g \
         JOIN vault.salt_block_m{month} s USING (tenant, issued_at_ticks, block_id); \
         INSERT INTO vault.salts_anew SELECT s.* FROM tenant t JOIN vault.salt_block_m{month} s \
         ON s.tenant = t.tenant AND s.issued_at_ticks >= {edge} ON CONFLICT DO NOTHING; \
         ALTER TABLE vault.salt_block DETACH PARTITION vault.salt_block_m{month}; \
         DROP TABLE vault.salt_block_m{month}, vault.salts_changed; \
         ALTER TABLE vault.salts_anew RENAME TO salt_block_m{month}; \
         ALTER INDEX vault.salts_anew_pkey RENAME TO salt_block_m{month}_pkey; \
         ALTER TABLE vault.salt_block ATTACH PARTITION vault.salt_block_m{month} FOR VALUES FROM ({from}) TO ({to}); \
         ALTER TABLE vault.salt_block_m{month} DROP CONSTRAINT salts_anew_of"
    );
    [prepare, copy, swap]
}
