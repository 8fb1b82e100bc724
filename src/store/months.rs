//! PostgreSQL's partitions by months, made ahead of time and behind the second wall like the tables that they are parts of,
//! and dropped when retention has emptied them.

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection as _};

use super::connect::{Pools, Store, StoreError};
use super::primary::Use;
use crate::domain::ids::TICKS_PER_SECOND;
use crate::domain::keys::epoch_of;

impl Store {
    /// Makes PostgreSQL's monthly partitions from last month to three months ahead. SQLite has none.
    pub async fn prepare_months(&self, now_s: i64) -> Result<(), StoreError> {
        let Pools::Postgres { pool, .. } = &self.pools else {
            return Ok(());
        };
        let this = i64::from(epoch_of(now_s));
        for month in (this - 1)..=(this + 3) {
            let (from_s, to_s) = (month_start_s(month), month_start_s(month + 1));
            for (table, schema, per_second) in PARTED {
                let name = format!("{schema}.{table}_m{month}");
                if is_there(pool, &name).await? {
                    continue;
                }
                let (from, to) = (from_s * per_second, to_s * per_second);
                // Together or not at all. Whoever names the partition meets the wall there, whoever names the table at
                // the table.
                let sql = format!(
                    "CREATE TABLE {name} PARTITION OF {schema}.{table} FOR VALUES FROM ({from}) TO ({to}); \
                     SELECT second_wall('{name}')"
                );
                match sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await {
                    Ok(_) => {}
                    // Another node was faster, or rows of this month stand in the default partition already; then it stays
                    // there.
                    Err(sqlx::Error::Database(error))
                        if error.code().is_some_and(|code| STAYS.contains(&code.as_ref())) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

impl Store {
    /// Drops PostgreSQL's partitions of months that are over and in which retention has left nothing of any tenant; returns
    /// how many. With them goes what their pages still held, and nothing has to be vacuumed. One that is in use is left for the
    /// next time.
    pub async fn drop_empty_months(&self, now_s: i64) -> Result<u64, StoreError> {
        let Pools::Postgres { primary, .. } = &self.pools else {
            return Ok(0);
        };
        let this = i64::from(epoch_of(now_s));
        // For every tenant: row-level security would show anybody else an empty table.
        let mut connection = primary.connect(Use::Server).await?;
        let mut dropped = 0;
        for (table, schema, _) in PARTED {
            for name in partitions(&mut connection, schema, table).await? {
                let month = name.strip_prefix(table).and_then(|rest| rest.strip_prefix("_m"));
                let over = month.and_then(|month| month.parse::<i64>().ok());
                if over.is_some_and(|month| month < this - 1)
                    && is_empty(&mut connection, schema, &name).await?
                {
                    dropped += u64::from(drop_if_empty(&mut connection, schema, table, &name).await?);
                }
            }
        }
        let _ = connection.close().await;
        Ok(dropped)
    }
}

/// Tables in monthly partitions, with their schema and how many units of their key a second has.
const PARTED: [(&str, &str, i64); 4] = [
    ("click", "public", TICKS_PER_SECOND),
    ("salt_block", "vault", TICKS_PER_SECOND),
    ("consent_record", "public", TICKS_PER_SECOND),
    ("conversion", "public", 1),
];
/// How long a drop waits for its tables, in milliseconds; clicks wait behind it.
const LOCK_TIMEOUT_MS: u32 = 200;

async fn partitions(
    connection: &mut PgConnection,
    schema: &str,
    table: &str,
) -> Result<Vec<String>, StoreError> {
    let text = "SELECT CAST(part.relname AS TEXT) FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid \
                WHERE inhparent = CAST($1 AS regclass) ORDER BY 1";
    Ok(sqlx::query_scalar(text)
        .bind(format!("{schema}.{table}"))
        .fetch_all(connection)
        .await?)
}

async fn is_empty(connection: &mut PgConnection, schema: &str, name: &str) -> Result<bool, StoreError> {
    let text = format!("SELECT NOT EXISTS (SELECT 1 FROM {schema}.{name})");
    Ok(sqlx::query_scalar(AssertSqlSafe(text))
        .fetch_one(connection)
        .await?)
}

/// Looks once more when nobody can write there, and only then drops; false if somebody uses it or was faster.
async fn drop_if_empty(
    connection: &mut PgConnection,
    schema: &str,
    table: &str,
    name: &str,
) -> Result<bool, StoreError> {
    // In the order in which readers take them, so that nobody waits in a circle.
    let sql = format!(
        "BEGIN; SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; \
         LOCK TABLE ONLY {schema}.{table}, {schema}.{name} IN ACCESS EXCLUSIVE MODE"
    );
    let locked = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await;
    let end = match locked {
        Ok(_) if is_empty(&mut *connection, schema, name).await? => {
            format!("DROP TABLE {schema}.{name}; COMMIT")
        }
        Ok(_) => "ROLLBACK".to_owned(),
        // lock_not_available; or another node dropped it.
        Err(sqlx::Error::Database(error))
            if ["55P03", "42P01"].map(Some).contains(&error.code().as_deref()) =>
        {
            "ROLLBACK".to_owned()
        }
        Err(error) => return Err(error.into()),
    };
    let drops = end.starts_with("DROP");
    sqlx::raw_sql(AssertSqlSafe(end))
        .execute(&mut *connection)
        .await?;
    Ok(drops)
}

/// Codes of what keeps a partition from being made and is in order: there is one of that name, made at
/// the same moment too, or rows stand in the default partition.
const STAYS: [&str; 3] = ["42P07", "23505", "23514"];

async fn is_there(pool: &PgPool, name: &str) -> Result<bool, StoreError> {
    let text = "SELECT to_regclass($1) IS NOT NULL";
    Ok(sqlx::query_scalar(text).bind(name).fetch_one(pool).await?)
}

/// The second in which a month since January 1970 begins.
pub(super) fn month_start_s(month: i64) -> i64 {
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
            assert_eq!(i64::from(epoch_of(start)), month);
            if month > 0 {
                assert_eq!(i64::from(epoch_of(start - 1)), month - 1);
            }
        }
    }
}
