//! Opening the database: SQLite by default, PostgreSQL by URL; the same code above either.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use migration::{MigrationStatus, Migrator, MigratorTrait};
use sea_orm::{DatabaseConnection, DbErr, SqlxPostgresConnector, SqlxSqliteConnector};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, SqliteConnection};

use super::tx::{Batch, Reader, Tx};

/// What can go wrong below. Texts name what was attempted, never a value of a row.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or could not be reached.
    #[error("the database failed")]
    Database(#[from] DbErr),
    /// The same, on the hot path.
    #[error("the database failed")]
    Driver(#[from] sqlx::Error),
    /// The transaction's end is not known: it must not be tried again.
    #[error("the outcome of a commit is unknown")]
    CommitUnknown(#[source] sqlx::Error),
    /// A row that does not read back as what it should be.
    #[error("a row of table {table} has an impossible {column}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// Another node wrote the same key first; the batch has to be decided again.
    #[error("another writer was first")]
    Raced,
    /// A unique name is taken.
    #[error("{0} is taken")]
    Taken(&'static str),
    /// The database URL is of no known kind.
    #[error("the database URL is neither sqlite: nor postgres:")]
    UnknownUrl,
    /// A key does not open.
    #[error("the keys in the database do not open")]
    Keys(#[from] crate::domain::keys::KeyError),
}

impl StoreError {
    /// Whether the database objected to a row, rather than being out of reach: its neighbours may then be tried alone.
    pub fn is_about_a_row(&self) -> bool {
        matches!(self, StoreError::Driver(sqlx::Error::Database(error))
            if !matches!(error.kind(), sqlx::error::ErrorKind::Other) || error.code().is_some_and(|code| code.starts_with("22") || code == "40P01"))
    }
}

/// The pools.
#[derive(Clone)]
pub(super) enum Pools {
    /// One writing connection, several reading ones.
    Sqlite { write: SqlitePool, read: SqlitePool },
    /// One pool for everything.
    Postgres(PgPool),
}

/// The database.
#[derive(Clone)]
pub struct Store {
    pub(super) pools: Pools,
    write: DatabaseConnection,
    read: DatabaseConnection,
    scrub_owed: Arc<AtomicBool>,
}

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
const SCRUB_TIMEOUT: Duration = Duration::from_millis(50);

impl Store {
    /// Opens the database at a URL (`sqlite:PATH` or `postgres://…`).
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        if url.starts_with("sqlite:") {
            return Self::open_sqlite(url).await;
        }
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            return Self::open_postgres(url).await;
        }
        Err(StoreError::UnknownUrl)
    }

    async fn open_sqlite(url: &str) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An answered request must survive a power cut, and an erased row must not lie in a free page.
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "ON")
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .disable_statement_logging();
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.clone())
            .await?;
        let read = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.pragma("query_only", "ON"))
            .await?;
        Ok(Self {
            write: SqlxSqliteConnector::from_sqlx_sqlite_pool(write.clone()),
            read: SqlxSqliteConnector::from_sqlx_sqlite_pool(read.clone()),
            pools: Pools::Sqlite { write, read },
            scrub_owed: Arc::default(),
        })
    }

    async fn open_postgres(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?
            // Salts stand in a schema of their own; one search path keeps the statements alike on both databases.
            .options([
                ("search_path", "public,vault"),
                ("client_min_messages", "warning"),
            ])
            .application_name("einklang")
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(16)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options)
            .await?;
        let connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone());
        Ok(Self {
            write: connection.clone(),
            read: connection,
            pools: Pools::Postgres(pool),
            scrub_owed: Arc::default(),
        })
    }

    /// Brings the schema up to date, and on PostgreSQL makes the partitions of the months around `now_s`.
    pub async fn migrate(&self, now_s: i64) -> Result<(), StoreError> {
        Migrator::up(&self.write, None).await?;
        self.prepare_months(now_s).await
    }

    /// Every migration by name, with whether it is applied. Changes nothing.
    pub async fn migrations(&self) -> Result<Vec<(String, bool)>, StoreError> {
        let all = Migrator::get_migration_with_status_read_only(&self.read).await?;
        let named = all
            .into_iter()
            .map(|one| (one.name().to_owned(), one.status() == MigrationStatus::Applied));
        Ok(named.collect())
    }

    /// How many migrations are not applied yet.
    pub async fn pending_migrations(&self) -> Result<usize, StoreError> {
        Ok(Migrator::get_pending_migrations(&self.read).await?.len())
    }

    /// Begins a managing transaction.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Tx::begin(&self.write, self.is_postgres()).await
    }

    /// Begins the transaction of a batch.
    pub async fn begin_batch(&self) -> Result<Batch, StoreError> {
        Batch::begin(&self.pools).await
    }

    /// A connection for reading. Never used for a verdict: those read in the transaction that writes them.
    pub fn reader(&self) -> Reader<'_> {
        Reader(&self.read)
    }

    /// Whether this is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        matches!(self.pools, Pools::Postgres(_))
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read.ping().await.map_err(StoreError::from)
    }

    /// After an erasure on SQLite: moves the WAL into the file and truncates it, so that no old page keeps what was
    /// erased (measured: 0 remnants; without it rows were found again). PostgreSQL's remnants are worthless without the
    /// salt and end with VACUUM and WAL recycling.
    ///
    /// A reader that is still in an old page keeps the checkpoint from ending; it is then owed, and a timer tries again.
    pub async fn scrub(&self) -> Result<(), StoreError> {
        let Pools::Sqlite { write, .. } = &self.pools else {
            return Ok(());
        };
        self.scrub_owed.store(true, Ordering::Relaxed);
        let mut connection = write.acquire().await?;
        // Nobody can write meanwhile, so a reader is waited for only shortly.
        wait_for_others(&mut connection, SCRUB_TIMEOUT).await?;
        let busy: Result<i64, sqlx::Error> = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut *connection)
            .await;
        wait_for_others(&mut connection, BUSY_TIMEOUT).await?;
        self.scrub_owed.store(busy? != 0, Ordering::Relaxed);
        Ok(())
    }

    /// Tries a checkpoint again that a reader kept from ending.
    pub async fn scrub_if_owed(&self) -> Result<(), StoreError> {
        if self.scrub_owed.load(Ordering::Relaxed) {
            self.scrub().await?;
        }
        Ok(())
    }

    /// Closes every connection.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }

    /// Makes PostgreSQL's monthly partitions from last month to three months ahead. SQLite has none.
    pub async fn prepare_months(&self, now_s: i64) -> Result<(), StoreError> {
        let Pools::Postgres(pool) = &self.pools else {
            return Ok(());
        };
        let this = i64::from(crate::domain::keys::epoch_of(now_s));
        for month in (this - 1)..=(this + 3) {
            for (table, schema) in [
                ("click", "public"),
                ("click_salt", "vault"),
                ("consent_record", "public"),
                ("conversion", "public"),
            ] {
                let (from, to) = (month_start_s(month), month_start_s(month + 1));
                let sql = format!(
                    "CREATE TABLE IF NOT EXISTS {schema}.{table}_m{month} PARTITION OF {schema}.{table} \
                     FOR VALUES FROM ({from}) TO ({to})"
                );
                // Rows of this month may stand in the default partition already; then it stays there.
                match sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(pool).await {
                    Ok(_) => {}
                    Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("23514") => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

/// How long statements on this connection wait for others' locks.
async fn wait_for_others(connection: &mut SqliteConnection, longest: Duration) -> Result<(), StoreError> {
    let sql = format!("PRAGMA busy_timeout = {}", longest.as_millis());
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

/// The second in which a month since January 1970 begins.
fn month_start_s(month: i64) -> i64 {
    let year = i32::try_from(1970 + month.div_euclid(12)).unwrap_or(1970);
    let in_year = u32::try_from(month.rem_euclid(12) + 1).unwrap_or(1);
    chrono::NaiveDate::from_ymd_opt(year, in_year, 1)
        .and_then(|date| date.and_hms_opt(0, 0, 0))
        .map_or(0, |start| start.and_utc().timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_where_epochs_change() {
        for month in [0, 1, 11, 12, 682, 683] {
            let start = month_start_s(month);
            assert_eq!(i64::from(crate::domain::keys::epoch_of(start)), month);
            if month > 0 {
                assert_eq!(i64::from(crate::domain::keys::epoch_of(start - 1)), month - 1);
            }
        }
    }
}
