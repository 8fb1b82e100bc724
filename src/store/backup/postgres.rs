//! PostgreSQL: an exported snapshot, under which `pg_dump` reads the data and this reads salts and keys.
//!
//! A database that is being restored is marked by a schema that its last step drops: a server refuses it, and another
//! restore begins again. So a restore that was killed is never taken for one that ended.

use std::io::{Read, Write};

use rusqlite::types::{Value, ValueRef};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use uuid::Uuid;

use super::rows::{Reader, Record, Writer};
use super::{CopiedHead, CopyError, Facts, HEADS, Keeps, MIGRATIONS, SETTINGS};
use crate::store::connect::{Pools, Store, StoreError};
use crate::store::hosts::Hosts;
use crate::store::primary::connect_to_any;

/// What says that a restore has not ended.
const MARK: &str = "einklang_restoring";
/// Salts that are read or written at once.
const PAGE: usize = 5_000;

type SaltRow = (i64, i64, Uuid, Vec<u8>);
type HeadRow = (i64, i64, i64, Option<String>);

/// A connection to a host that writes, and the URL that names that host alone.
async fn connect(url: &str, name: &str) -> Result<(PgConnection, String), CopyError> {
    let mut hosts = Hosts::of(url)?;
    let (place, connection) = connect_to_any(&hosts, name).await?;
    Ok((connection, hosts.each.swap_remove(place).url))
}

/// One moment of the database, as long as this lives.
pub struct Snapshot {
    connection: PgConnection,
    url: String,
    id: String,
}

impl Snapshot {
    /// Holds this moment.
    pub async fn of(url: &str) -> Result<Self, CopyError> {
        let (mut connection, url) = connect(url, "einklang backup").await?;
        sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(&mut connection)
            .await?;
        let id = sqlx::query_scalar("SELECT pg_export_snapshot()")
            .fetch_one(&mut connection)
            .await?;
        Ok(Self { connection, url, id })
    }

    /// A URL of the host that holds it: another one does not know it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The name under which another connection sees the same moment.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What there is to say of this moment.
    pub async fn facts(&mut self) -> Result<Facts, CopyError> {
        let migrations = sqlx::query_scalar(MIGRATIONS)
            .fetch_all(&mut self.connection)
            .await?;
        let settings = sqlx::query_as(SETTINGS).fetch_all(&mut self.connection).await?;
        let heads: Vec<HeadRow> = sqlx::query_as(HEADS).fetch_all(&mut self.connection).await?;
        let head = |(tenant, epoch, size, checkpoint)| CopiedHead {
            tenant,
            epoch,
            size,
            checkpoint,
        };
        Ok(Facts {
            migrations,
            settings,
            heads: heads.into_iter().map(head).collect(),
        })
    }

    /// Writes the salts and the wrapped keys; returns how many rows. A key's row is one JSON text, whatever its columns.
    pub async fn write_keys(&mut self, out: impl Write) -> Result<u64, CopyError> {
        let mut writer = Writer(out);
        let mut rows = 0;
        writer.table("wrapped_key", &["row".to_owned()])?;
        let keys: Vec<String> = sqlx::query_scalar("SELECT to_json(k)::text FROM wrapped_key AS k")
            .fetch_all(&mut self.connection)
            .await?;
        for key in &keys {
            writer.begin_row()?;
            writer.value(ValueRef::Text(key.as_bytes()))?;
            rows += 1;
        }
        let columns = ["tenant", "issued_at_ticks", "click_id", "salt"];
        writer.table("click_salt", &columns.map(str::to_owned))?;
        let declare = "DECLARE salts NO SCROLL CURSOR FOR \
             SELECT tenant, issued_at_ticks, click_id, salt FROM vault.click_salt";
        sqlx::raw_sql(declare).execute(&mut self.connection).await?;
        loop {
            let fetch = AssertSqlSafe(format!("FETCH {PAGE} FROM salts"));
            let page: Vec<SaltRow> = sqlx::query_as(fetch).fetch_all(&mut self.connection).await?;
            if page.is_empty() {
                break;
            }
            for (tenant, tick, click, salt) in &page {
                writer.begin_row()?;
                writer.value(ValueRef::Integer(*tenant))?;
                writer.value(ValueRef::Integer(*tick))?;
                writer.value(ValueRef::Blob(click.as_bytes()))?;
                writer.value(ValueRef::Blob(salt))?;
                rows += 1;
            }
        }
        writer.end(rows)?;
        writer.0.flush()?;
        Ok(rows)
    }

    /// Lets the moment go.
    pub async fn close(self) -> Result<(), CopyError> {
        Ok(self.connection.close().await?)
    }
}

/// What stands in a database that is to be restored into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Empty,
    /// What a restore left behind that did not end.
    Unfinished,
    /// Something.
    Taken,
}

/// A database that is being filled.
pub struct Filling {
    connection: PgConnection,
    url: String,
}

impl Filling {
    /// Opens it, and says what stands in it.
    pub async fn open(url: &str) -> Result<(Self, Standing), CopyError> {
        let (mut connection, url) = connect(url, "einklang restore").await?;
        let text = format!(
            "SELECT to_regnamespace('{MARK}') IS NOT NULL, EXISTS (
                SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema')"
        );
        let (marked, has_tables): (bool, bool) = sqlx::query_as(AssertSqlSafe(text))
            .fetch_one(&mut connection)
            .await?;
        let standing = match (marked, has_tables) {
            (true, _) => Standing::Unfinished,
            (false, true) => Standing::Taken,
            (false, false) => Standing::Empty,
        };
        Ok((Self { connection, url }, standing))
    }

    /// A URL of the host that is being filled.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Marks it, and takes away what an unfinished restore left behind. Only for what is empty or unfinished.
    pub async fn begin(&mut self) -> Result<(), CopyError> {
        // What a killed restore had begun may still be at work in the database: its tool, and its own last statement.
        let text = format!(
            "CREATE SCHEMA IF NOT EXISTS {MARK}; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name IN ('pg_restore', 'einklang restore') AND pid <> pg_backend_pid() \
             AND datname = current_database() AND usename = current_user; \
             DROP SCHEMA IF EXISTS vault CASCADE; \
             DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        );
        sqlx::raw_sql(AssertSqlSafe(text))
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// Takes in what [`Snapshot::write_keys`] wrote, without the salts that are not to be kept and those that no click
    /// is there for. They never reach the database.
    pub async fn read_keys(&mut self, from: impl Read + Send, keeps: Keeps<'_>) -> Result<u64, CopyError> {
        const KEY: &str =
            "INSERT INTO wrapped_key SELECT * FROM json_populate_record(NULL::wrapped_key, $1::json)";
        let mut reader = Reader::new(from);
        let mut salts: Vec<SaltRow> = Vec::new();
        let (mut seen, mut taken) = (0, 0);
        loop {
            match reader.next()? {
                Record::Table(name, _) if super::KEY_TABLES.contains(&name.as_str()) => {}
                Record::Row(values) => {
                    seen += 1;
                    match read_row(values)? {
                        Row::Key(text) => {
                            let insert = sqlx::query(KEY).bind(text);
                            taken += insert.execute(&mut self.connection).await?.rows_affected();
                        }
                        Row::Salt(row) if keeps(row.0, row.2.as_bytes()) => salts.push(row),
                        Row::Salt(_) => {}
                    }
                    if salts.len() >= PAGE {
                        taken += self.put_salts(&mut salts).await?;
                    }
                }
                Record::End(rows) if rows == seen => {
                    taken += self.put_salts(&mut salts).await?;
                    return Ok(taken);
                }
                _ => return Err(CopyError::Form),
            }
        }
    }

    async fn put_salts(&mut self, salts: &mut Vec<SaltRow>) -> Result<u64, CopyError> {
        const SALTS: &str = "WITH s AS (
                SELECT k.t, k.i, k.c, k.s, (row_number() OVER (PARTITION BY k.t, k.i) - 1) / 48 AS chunk
                FROM UNNEST($1::bigint[], $2::bigint[], $3::uuid[], $4::bytea[]) AS k (t, i, c, s)
                WHERE EXISTS (SELECT 1 FROM click AS c WHERE c.tenant = k.t AND c.issued_at_ticks = k.i AND c.click_id = k.c)),
            written AS (
                INSERT INTO vault.salt_block (tenant, issued_at_ticks, clicks, salts)
                SELECT t, i, array_agg(c), array_agg(s) FROM s GROUP BY t, i, chunk RETURNING cardinality(clicks) AS salts)
            SELECT COALESCE(SUM(salts), 0)::bigint FROM written";
        let rows = std::mem::take(salts);
        let insert = sqlx::query_scalar::<_, i64>(SALTS)
            .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.2).collect::<Vec<_>>())
            .bind(rows.into_iter().map(|row| row.3).collect::<Vec<_>>());
        Ok(insert.fetch_one(&mut self.connection).await?.unsigned_abs())
    }

    /// Takes the mark away: from here on it is a database like any other.
    pub async fn finish(mut self) -> Result<(), CopyError> {
        let text = format!("DROP SCHEMA {MARK}");
        sqlx::raw_sql(AssertSqlSafe(text))
            .execute(&mut self.connection)
            .await?;
        Ok(self.connection.close().await?)
    }
}

enum Row {
    Key(String),
    Salt(SaltRow),
}

fn read_row(values: Vec<Value>) -> Result<Row, CopyError> {
    use Value::{Blob, Integer, Text};
    let mut values = values.into_iter();
    match (values.next(), values.next(), values.next(), values.next()) {
        (Some(Text(text)), None, None, None) => Ok(Row::Key(text)),
        (Some(Integer(tenant)), Some(Integer(tick)), Some(Blob(click)), Some(Blob(salt))) => {
            let click = Uuid::from_slice(&click).map_err(|_| CopyError::Form)?;
            Ok(Row::Salt((tenant, tick, click, salt)))
        }
        _ => Err(CopyError::Form),
    }
}

impl Store {
    /// Whether a restore into this database has not ended. SQLite's ends with its file's name, so there is none.
    pub async fn is_half_restored(&self) -> Result<bool, StoreError> {
        let Pools::Postgres { pool, .. } = &self.pools else {
            return Ok(false);
        };
        let text = format!("SELECT to_regnamespace('{MARK}') IS NOT NULL");
        Ok(sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(pool).await?)
    }
}
