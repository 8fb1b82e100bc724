//! PostgreSQL's partitions by months, made ahead of time and behind the second wall like the tables that they are parts of.

use sqlx::{AssertSqlSafe, PgPool};

use super::connect::{Pools, Store, StoreError};
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
            for (table, schema, per_second) in [
                ("click", "public", TICKS_PER_SECOND),
                ("salt_block", "vault", TICKS_PER_SECOND),
                ("consent_record", "public", TICKS_PER_SECOND),
                ("conversion", "public", 1),
            ] {
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
