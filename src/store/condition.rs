//! Questions about the database's own condition, for `doctor`. Nothing is changed.

use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value};

use super::connect::{Store, StoreError};
use crate::domain::keys::epoch_of;
use crate::domain::scope::TenantScope;

/// Entries that wait for their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// How many rows they stand in; on PostgreSQL a row is what one transaction had to say.
    pub rows: i64,
    /// When the oldest was written, in milliseconds since 1970.
    pub since_ms: Option<i64>,
}

#[derive(FromQueryResult)]
struct TextRow {
    text: Option<String>,
}

#[derive(FromQueryResult)]
struct NumberRow {
    number: Option<i64>,
}

#[derive(FromQueryResult)]
struct WaitingRow {
    entries: i64,
    since_ms: Option<i64>,
}

/// The tables that PostgreSQL has by months.
const BY_MONTHS: [&str; 4] = [
    "public.click",
    "vault.salt_block",
    "public.consent_record",
    "public.conversion",
];
const WAITING_POSTGRES: &str = "SELECT count(*) AS entries, \
     (extract(epoch FROM min(written_at)) * 1000)::bigint AS since_ms FROM audit_pending";
/// The id of an entry begins with 48 bits of its time; a day's entry has its day's beginning there, which would look old.
const WAITING_SQLITE: &str = "SELECT COUNT(*) AS entries, NULL AS since_ms FROM audit_pending";
const WAITING_SQLITE_IDS: &str = "SELECT hex(substr(entry_id, 1, 6)) AS text FROM audit_pending \
     WHERE instr(body, CAST('\"at_ms\":' AS BLOB)) > 0 ORDER BY entry_id LIMIT 1";

impl Store {
    async fn ask<T: FromQueryResult>(&self, text: &str, values: Vec<Value>) -> Result<Option<T>, StoreError> {
        let reader = self.reader(TenantScope::Server);
        let connection = reader.connection();
        let select = Statement::from_sql_and_values(connection.get_database_backend(), text, values);
        Ok(T::find_by_statement(select).one(connection).await?)
    }

    /// Whether SQLite finds its file whole (`PRAGMA quick_check`); nothing on PostgreSQL.
    pub async fn is_whole(&self) -> Result<Option<bool>, StoreError> {
        if self.is_postgres() {
            return Ok(None);
        }
        let first: Option<TextRow> = self
            .ask(
                "SELECT quick_check AS text FROM pragma_quick_check LIMIT 1",
                Vec::new(),
            )
            .await?;
        Ok(Some(first.and_then(|row| row.text).as_deref() == Some("ok")))
    }

    /// Partitions of this month and the next that are not there. None on SQLite, which has none.
    pub async fn missing_partitions(&self, now_s: i64) -> Result<Vec<String>, StoreError> {
        let mut missing = Vec::new();
        if !self.is_postgres() {
            return Ok(missing);
        }
        let this = epoch_of(now_s);
        for name in BY_MONTHS {
            for month in [this, this.saturating_add(1)] {
                let partition = format!("{name}_m{month}");
                let found: Option<TextRow> = self
                    .ask(
                        "SELECT to_regclass($1)::text AS text",
                        vec![partition.clone().into()],
                    )
                    .await?;
                if found.and_then(|row| row.text).is_none() {
                    missing.push(partition);
                }
            }
        }
        Ok(missing)
    }

    /// Entries of the audit logs that wait for their places.
    pub async fn waiting(&self) -> Result<Waiting, StoreError> {
        let text = if self.is_postgres() {
            WAITING_POSTGRES
        } else {
            WAITING_SQLITE
        };
        let row: Option<WaitingRow> = self.ask(text, Vec::new()).await?;
        let (rows, mut since_ms) = row.map_or((0, None), |row| (row.entries, row.since_ms));
        if !self.is_postgres() && rows > 0 {
            let oldest: Option<TextRow> = self.ask(WAITING_SQLITE_IDS, Vec::new()).await?;
            since_ms = oldest
                .and_then(|row| row.text)
                .and_then(|text| i64::from_str_radix(&text, 16).ok());
        }
        Ok(Waiting { rows, since_ms })
    }

    /// The database server's clock, in milliseconds since 1970; nothing on SQLite, which has none of its own.
    pub async fn clock_ms(&self) -> Result<Option<i64>, StoreError> {
        if !self.is_postgres() {
            return Ok(None);
        }
        let text = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS number";
        let row: Option<NumberRow> = self.ask(text, Vec::new()).await?;
        Ok(row.and_then(|row| row.number))
    }

    /// When the latest checkpoint of all was signed, in milliseconds since 1970.
    pub async fn last_signed_ms(&self) -> Result<Option<i64>, StoreError> {
        let text = "SELECT MAX(at_ms) AS number FROM audit_checkpoint";
        let row: Option<NumberRow> = self.ask(text, Vec::new()).await?;
        Ok(row.and_then(|row| row.number))
    }
}
