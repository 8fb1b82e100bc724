//! Reading what the server stored, without the server.

use std::collections::BTreeMap;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// What a table holds, as one number: rows, or for counters the sum of what was counted.
const MEASURES: [(&str, &str); 24] = [
    ("click", "COUNT(*)"),
    ("click_salt", "COUNT(*)"),
    ("consent_record", "COUNT(*)"),
    ("conversion", "COUNT(*)"),
    ("order_key", "COUNT(*)"),
    ("customer_key", "COUNT(*)"),
    ("suppression", "COUNT(*)"),
    ("audit_entry", "COUNT(*)"),
    ("stat_hour", "COALESCE(SUM(events), 0)"),
    ("stat_refused", "COALESCE(SUM(events), 0)"),
    ("stat_untracked", "COALESCE(SUM(events), 0)"),
    ("stat_shadow", "COALESCE(SUM(events), 0)"),
    ("consent_proof", "COUNT(*)"),
    ("retention_rule", "COUNT(*)"),
    ("hold", "COUNT(*)"),
    ("operator_grant", "COUNT(*)"),
    ("policy", "COUNT(*)"),
    ("approval", "COUNT(*)"),
    ("wrapped_key", "COUNT(*)"),
    ("tenant", "COUNT(*)"),
    ("api_key", "COUNT(*)"),
    ("subject_request", "COUNT(*)"),
    ("subject_request_event", "COUNT(*)"),
    ("subject_request_callback", "COUNT(*)"),
];

/// The second wall holds for the tests' role too, whose look goes over all tenants.
const EVERY_TENANT: (&str, &str) = ("einklang.tenant", "all");

/// A connection that only looks.
pub enum Reader {
    /// To the file.
    Sqlite(SqlitePool),
    /// To the server.
    Postgres(PgPool),
}

/// A table's measure by its name.
pub type Totals = BTreeMap<&'static str, i64>;

impl Reader {
    /// Opens the database at a URL.
    pub async fn open(url: &str) -> Self {
        if url.starts_with("sqlite:") {
            let options: SqliteConnectOptions = url.parse().expect("a URL");
            let options = options.pragma("query_only", "ON").disable_statement_logging();
            Reader::Sqlite(
                SqlitePoolOptions::new()
                    .max_connections(2)
                    .connect_with(options)
                    .await
                    .expect("opened"),
            )
        } else {
            let options: PgConnectOptions = url.parse().expect("a URL");
            let options = options
                .options([("search_path", "public,vault"), EVERY_TENANT])
                .disable_statement_logging();
            Reader::Postgres(
                PgPoolOptions::new()
                    .max_connections(2)
                    .connect_with(options)
                    .await
                    .expect("opened"),
            )
        }
    }

    /// One number.
    pub async fn number(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Reader::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
            Reader::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
        }
        .expect("a number")
    }

    /// One column of bytes.
    pub async fn blobs(&self, sql: &str) -> Vec<Vec<u8>> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Reader::Sqlite(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
            Reader::Postgres(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
        }
        .expect("bytes")
    }

    /// The id of an entry that was entered in the audit log and has no place yet.
    pub async fn waiting_entry(&self) -> String {
        let ids = match self {
            Reader::Sqlite(_) => "SELECT lower(hex(entry_id)) FROM audit_pending",
            Reader::Postgres(_) => "SELECT replace(entry_ids[1]::text, '-', '') FROM audit_pending",
        };
        format!("aud_{}", self.texts(ids).await.first().expect("one that waits"))
    }

    /// One column of texts.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Reader::Sqlite(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
            Reader::Postgres(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
        }
        .expect("texts")
    }

    /// How many rows of a table fulfil a condition.
    pub async fn count(&self, table: &str, condition: &str) -> i64 {
        self.number(&format!("SELECT COUNT(*) FROM {table} WHERE {condition}"))
            .await
    }

    /// The sum of a counter's events under a condition.
    pub async fn events(&self, table: &str, condition: &str) -> i64 {
        self.number(&format!(
            "SELECT CAST(COALESCE(SUM(events), 0) AS BIGINT) FROM {table} WHERE {condition}"
        ))
        .await
    }

    /// The names and sums of a counter, under a condition.
    pub async fn by_name(&self, table: &str, name: &str, condition: &str) -> BTreeMap<String, i64> {
        let sql = AssertSqlSafe(format!(
            "SELECT {name}, CAST(SUM(events) AS BIGINT) FROM {table} WHERE {condition} GROUP BY {name}"
        ));
        let rows: Vec<(String, i64)> = match self {
            Reader::Sqlite(pool) => sqlx::query_as(sql).fetch_all(pool).await,
            Reader::Postgres(pool) => sqlx::query_as(sql).fetch_all(pool).await,
        }
        .expect("rows");
        rows.into_iter().filter(|(_, events)| *events != 0).collect()
    }

    /// How many leaves of the trail hold a text.
    pub async fn leaves(&self, text: &str) -> i64 {
        let body = match self {
            Reader::Sqlite(_) => "CAST(body AS TEXT)",
            Reader::Postgres(_) => "ENCODE(body, 'escape')",
        };
        self.count("audit_entry", &format!("{body} LIKE '%{text}%'"))
            .await
    }

    /// The entries of a tenant's audit log, placed or waiting; 0 is the server's.
    pub async fn entries(&self, tenant: i64) -> Vec<serde_json::Value> {
        let sql = AssertSqlSafe(format!("SELECT body FROM audit_entry WHERE tenant = {tenant}"));
        let bodies: Vec<Vec<u8>> = match self {
            Reader::Sqlite(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
            Reader::Postgres(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
        }
        .expect("bodies");
        let json = |body: &Vec<u8>| serde_json::from_slice(body).expect("JSON");
        bodies.iter().map(json).collect()
    }

    /// The number of a tenant.
    pub async fn tenant(&self, slug: &str) -> i64 {
        self.number(&format!("SELECT tenant FROM tenant WHERE slug = '{slug}'"))
            .await
    }

    /// Everything that anything could have left a trace in, in one statement.
    pub async fn totals(&self) -> Totals {
        let parts = MEASURES
            .map(|(table, measure)| format!("SELECT '{table}', CAST({measure} AS BIGINT) FROM {table}"));
        let sql = AssertSqlSafe(parts.join(" UNION ALL "));
        let rows: Vec<(String, i64)> = match self {
            Reader::Sqlite(pool) => sqlx::query_as(sql).fetch_all(pool).await,
            Reader::Postgres(pool) => sqlx::query_as(sql).fetch_all(pool).await,
        }
        .expect("rows");
        let name = |text: &str| {
            MEASURES
                .iter()
                .map(|(table, _)| *table)
                .find(|table| *table == text)
                .expect("a table")
        };
        rows.iter().map(|(table, total)| (name(table), *total)).collect()
    }
}

/// What changed between two looks; tables that did not change are left out.
pub fn changes(before: &Totals, after: &Totals) -> Totals {
    let change = |(table, total): (&&'static str, &i64)| (*table, total - before[table]);
    after
        .iter()
        .map(change)
        .filter(|(_, change)| *change != 0)
        .collect()
}

/// One statement on a connection of its own.
pub async fn execute(url: &str, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    if url.starts_with("sqlite:") {
        let options: SqliteConnectOptions = url.parse().expect("a URL");
        let mut connection = options
            .disable_statement_logging()
            .connect()
            .await
            .expect("opened");
        sqlx::query(sql).execute(&mut connection).await.expect("executed");
        connection.close().await.expect("closed");
    } else {
        let options: PgConnectOptions = url.parse().expect("a URL");
        let options = options
            .options([("search_path", "public,vault"), EVERY_TENANT])
            .disable_statement_logging();
        let mut connection = options.connect().await.expect("opened");
        sqlx::query(sql).execute(&mut connection).await.expect("executed");
        connection.close().await.expect("closed");
    }
}
