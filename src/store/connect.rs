//! Opening the database: SQLite by default, PostgreSQL by URL; the same code above either.

use std::collections::HashSet;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use migration::{MigrationStatus, Migrator, MigratorTrait};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, SqlxPostgresConnector, SqlxSqliteConnector, Statement,
};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::Mutex;

use super::checkpoint::{Checkpoints, note_pages};
use super::hosts::Hosts;
use super::kept::Kept;
use super::primary::{ACQUIRE_TIMEOUT, Primary, Use};
use super::scoped::Scoped;
use super::tx::{Batch, Books, Reader, Tx};
use crate::domain::scope::TenantScope;

/// What can go wrong below. Texts name what was attempted, never a value of a row.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or could not be reached.
    #[error("the database failed")]
    Database(#[from] DbErr),
    /// The same, on the hot path.
    #[error("the database failed")]
    Driver(#[from] sqlx::Error),
    /// The same, on the ledger's own connection.
    #[error("the database failed")]
    Embedded(#[from] rusqlite::Error),
    /// The transaction's end is not known: it must not be tried again.
    #[error("the outcome of a commit is unknown")]
    CommitUnknown(#[source] Box<StoreError>),
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
    /// The ledger has no such lane.
    #[error("the ledger has no such lane")]
    NoLane,
    /// A unique name is taken.
    #[error("{0} is taken")]
    Taken(&'static str),
    /// The database URL is of no known kind.
    #[error("the database URL is neither sqlite: nor postgres:")]
    UnknownUrl,
    /// A parameter of the database URL is wrong.
    #[error("the database URL is wrong: {0} {1}")]
    Url(&'static str, &'static str),
    /// A key does not open.
    #[error("the keys in the database do not open")]
    Keys(#[from] crate::domain::keys::KeyError),
    /// One wrapped key does not open, though what wrapped it is here.
    #[error("the {purpose} key {number} of tenant {tenant} does not open: its row is damaged or was moved")]
    KeyRow {
        /// The tenant's number.
        tenant: i64,
        /// What it is for.
        purpose: &'static str,
        /// Its number.
        number: i64,
    },
    /// The root key that a tenant's keys hang on is not here.
    #[error("the root key that is needed is not here")]
    Locked,
}

impl StoreError {
    /// Whether the database objected to a row, rather than being out of reach: its neighbours may then be tried alone.
    pub fn is_about_a_row(&self) -> bool {
        match self {
            StoreError::Driver(sqlx::Error::Database(error)) => {
                let about_a_value = |code: &str| code.starts_with("22") || code == "40P01";
                !matches!(error.kind(), sqlx::error::ErrorKind::Other)
                    || error.code().is_some_and(|code| about_a_value(&code))
            }
            StoreError::Embedded(error) => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
            }
            _ => false,
        }
    }

    /// Whether the connection was lost before a commit was sent, or was to a database that only reads: nothing is written,
    /// so that all may be tried once more on another connection. What goes wrong with a commit is [`Self::CommitUnknown`].
    pub fn is_about_the_connection(&self) -> bool {
        match self {
            // Not connected: there is none to be had, now or in a moment.
            StoreError::Driver(sqlx::Error::Io(error)) => error.kind() != std::io::ErrorKind::NotConnected,
            StoreError::Driver(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| is_of_the_connection(&code))
            }
            _ => false,
        }
    }
}

/// The database only reads (25006), or has ended the connection (57P01, 57P02) or takes none (57P03).
pub(super) fn is_of_the_connection(code: &str) -> bool {
    code == "25006" || ends_the_connection(code)
}

/// The database has ended the connection or takes none.
pub(super) fn ends_the_connection(code: &str) -> bool {
    ["57P01", "57P02", "57P03"].contains(&code)
}

/// The pools.
#[derive(Clone)]
pub(super) enum Pools {
    /// Management writes on one connection, the ledger on one of its own, reports read on several.
    Sqlite {
        /// Management's.
        write: SqlitePool,
        /// For reading.
        read: SqlitePool,
        /// The ledger's.
        ledger: Arc<Mutex<rusqlite::Connection>>,
        /// Held by whoever writes: management and ledger take turns in the order they came. SQLite's own waiting knows no
        /// order and is left to other processes.
        turn: Arc<Mutex<()>>,
        /// Moving the WAL into the file.
        checkpoints: Checkpoints,
    },
    /// One pool for everything but the ledger.
    Postgres {
        /// For management and reading.
        pool: PgPool,
        /// The connections of the ledger's lanes, while they are good. The pool would test it before and after each batch, and hand out
        /// another one meanwhile, whose statements are not prepared.
        ledger: Arc<[Arc<Mutex<Option<Kept>>>]>,
        /// For connections that work for every tenant and are not lent: the pool's stand for nobody until a transaction
        /// says for whom.
        primary: Primary,
    },
}

/// The database.
#[derive(Clone)]
pub struct Store {
    pub(super) pools: Pools,
    write: DatabaseConnection,
    read: DatabaseConnection,
}

pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages that postbacks find their clicks and orders in; SQLite's own 2 MiB are read anew from the file again and again.
/// Not more, because SQLite goes through the cache's whole table after each commit that split a page.
const LEDGER_CACHE_KIB: i64 = 8 * 1_024;
/// Connections of the ledger on PostgreSQL: one for clicks, whose batches only grow smaller with a second one, and two
/// for the rest, of which one's statements run while the other waits for its commit (both measured).
const POSTGRES_LANES: usize = 3;
/// Connections of the pool on PostgreSQL.
const POOL_CONNECTIONS: u32 = 16;
/// Prepared statements that the ledger's connection keeps: more than it has.
const LEDGER_STATEMENTS: usize = 128;

/// A connection without a thread in between: a batch is a dozen statements, and handing each to another thread and back
/// costs more than running it (measured in `docs/performance.md`).
fn open_embedded(options: &SqliteConnectOptions) -> Result<rusqlite::Connection, StoreError> {
    use rusqlite::OpenFlags;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = rusqlite::Connection::open_with_flags(options.get_filename(), flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // The same settings as on the other connections: WAL is the file's, these are the connection's.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    Ok(connection)
}

/// Whether a connection that comes back to its pool has left its transaction behind. When the disk fails SQLite rolls back by
/// itself; sqlx then goes on counting that transaction as open, begins the next one as a savepoint within it, and neither
/// commits nor lets go of what follows. Such a connection is closed.
async fn has_ended(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // A rollback may still be on its way to the connection's thread; this comes after it.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// The ledger's own connection.
fn connection_for_batches(connection: &rusqlite::Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "cache_size", -LEDGER_CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(LEDGER_STATEMENTS);
    note_pages(connection);
    Ok(())
}

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
            .after_release(|connection, _| Box::pin(has_ended(connection)))
            .connect_with(options.clone())
            .await?;
        let read = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_release(|connection, _| Box::pin(has_ended(connection)))
            .connect_with(options.clone().pragma("query_only", "ON"))
            .await?;
        let ledger = open_embedded(&options)?;
        connection_for_batches(&ledger)?;
        let turn = Arc::default();
        let checkpoints = Checkpoints::new(open_embedded(&options)?, Arc::clone(&turn));
        Ok(Self {
            write: SqlxSqliteConnector::from_sqlx_sqlite_pool(write.clone()),
            read: SqlxSqliteConnector::from_sqlx_sqlite_pool(read.clone()),
            pools: Pools::Sqlite {
                write,
                read,
                ledger: Arc::new(Mutex::new(ledger)),
                turn,
                checkpoints,
            },
        })
    }

    async fn open_postgres(url: &str) -> Result<Self, StoreError> {
        let (primary, pool) = Primary::open(&Hosts::of(url)?, POOL_CONNECTIONS).await?;
        let connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone());
        Ok(Self {
            write: connection.clone(),
            read: connection,
            pools: Pools::Postgres {
                pool,
                ledger: (0..POSTGRES_LANES).map(|_| Arc::default()).collect(),
                primary,
            },
        })
    }

    /// Brings the schema up to date, and on PostgreSQL makes the partitions of the months around `now_s`.
    pub async fn migrate(&self, now_s: i64) -> Result<(), StoreError> {
        match &self.pools {
            Pools::Sqlite { .. } => Migrator::up(&self.write, None).await?,
            Pools::Postgres { primary, .. } => {
                // Rows that a migration moves are every tenant's.
                let pool = PgPoolOptions::new()
                    .max_connections(1)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    .connect_with(primary.options(Use::Server))
                    .await?;
                let done = Migrator::up(
                    &SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone()),
                    None,
                )
                .await;
                pool.close().await;
                done?;
            }
        }
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

    /// How many of the migrations that this version knows are not applied. Looks and changes nothing; what a newer version
    /// has applied is no concern of ours: nodes of both serve beside one another while one replaces the other.
    pub async fn missing_migrations(&self) -> Result<usize, StoreError> {
        if let Pools::Postgres { primary, .. } = &self.pools {
            // The pool would be waited for, and whoever asks wants to know now.
            primary.known()?;
        }
        let backend = self.read.get_database_backend();
        let select = Statement::from_string(backend, "SELECT version FROM seaql_migrations");
        let rows = self.read.query_all_raw(select).await?;
        let applied = rows.iter().map(|row| row.try_get("", "version"));
        let applied: HashSet<String> = applied.collect::<Result<_, _>>()?;
        let known = Migrator::get_migration_files();
        Ok(known.iter().filter(|one| !applied.contains(one.name())).count())
    }

    /// Begins a managing transaction for a scope.
    pub async fn begin(&self, scope: TenantScope) -> Result<Tx, StoreError> {
        Tx::begin(&self.write, &self.pools, scope).await
    }

    /// Begins a transaction of the audit log's books.
    pub(super) async fn begin_books(&self) -> Result<Books, StoreError> {
        Books::begin(&self.write, &self.pools).await
    }

    /// Begins the transaction of a batch on one of the lanes. With a routing version that is relied on, the transaction
    /// is a single statement if nothing is looked up in it, and writes only if the version is still that one.
    pub async fn begin_batch(&self, lane: usize, relied_on: Option<i64>) -> Result<Batch, StoreError> {
        Batch::begin(&self.pools, lane, relied_on).await
    }

    /// The places of the ledger's lanes; the first is for clicks, and for everything where it is the only one.
    pub fn lanes(&self) -> std::ops::Range<usize> {
        match &self.pools {
            Pools::Sqlite { .. } => 0..1,
            Pools::Postgres { ledger, .. } => 0..ledger.len(),
        }
    }

    /// A connection for reading for a scope. Never used for a verdict: those read in the transaction that writes them.
    pub fn reader(&self, scope: TenantScope) -> Reader<'_> {
        Reader(Scoped::new(&self.read, scope))
    }

    /// Whether this is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        matches!(self.pools, Pools::Postgres { .. })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read.ping().await.map_err(StoreError::from)
    }

    /// After an erasure on SQLite: moves the WAL into the file and truncates it, so that no old page keeps what was
    /// erased (measured: 0 remnants; without it rows were found again). PostgreSQL's remnants are worthless without the
    /// salt and end with VACUUM and WAL recycling.
    pub async fn scrub(&self) -> Result<(), StoreError> {
        match &self.pools {
            Pools::Sqlite { checkpoints, .. } => checkpoints.scrub().await,
            Pools::Postgres { .. } => Ok(()),
        }
    }

    /// Tries a checkpoint again that a reader kept from ending.
    pub async fn scrub_if_owed(&self) -> Result<(), StoreError> {
        match &self.pools {
            Pools::Sqlite { checkpoints, .. } => checkpoints.scrub_if_owed().await,
            Pools::Postgres { .. } => Ok(()),
        }
    }

    /// Moves SQLite's WAL into the file whenever that is due; ends when the store is closed. To be driven on a thread of
    /// its own. On PostgreSQL there is nothing to do.
    pub fn checkpoints(&self) -> impl Future<Output = ()> + Send + use<> {
        let checkpoints = match &self.pools {
            Pools::Sqlite { checkpoints, .. } => Some(checkpoints.clone()),
            Pools::Postgres { .. } => None,
        };
        async move {
            if let Some(checkpoints) = checkpoints {
                checkpoints.run().await;
            }
        }
    }

    /// Closes every connection.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite {
                write,
                read,
                checkpoints,
                ..
            } => {
                checkpoints.close();
                read.close().await;
                write.close().await;
            }
            Pools::Postgres {
                pool,
                ledger,
                primary,
            } => {
                primary.close();
                for slot in ledger.iter() {
                    if let Some(kept) = slot.lock().await.take() {
                        // It closes when dropped; this only says goodbye first.
                        let _ = kept.connection.close().await;
                    }
                }
                pool.close().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn only_what_cannot_have_been_committed_is_tried_again() {
        let lost = |kind: io::ErrorKind| StoreError::Driver(sqlx::Error::Io(kind.into()));
        assert!(lost(io::ErrorKind::UnexpectedEof).is_about_the_connection());
        assert!(!lost(io::ErrorKind::NotConnected).is_about_the_connection());
        let unknown = StoreError::CommitUnknown(Box::new(lost(io::ErrorKind::UnexpectedEof)));
        assert!(!unknown.is_about_the_connection());
        assert!(!StoreError::Raced.is_about_the_connection());
        // read_only_sql_transaction says that nothing was written; a farewell may come after a commit.
        assert!(is_of_the_connection("25006") && !ends_the_connection("25006"));
        assert!(["57P01", "57P02", "57P03"].into_iter().all(ends_the_connection));
        assert!(!is_of_the_connection("40001") && !is_of_the_connection("57014"));
    }
}
