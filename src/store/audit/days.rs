//! Which days' counts of untracked clicks stand in the log already.

use sea_orm::{ConnectionTrait, FromQueryResult, Statement};

use crate::store::connect::StoreError;
use crate::store::tx::{Reader, Tx};

/// A day that has not been entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UntrackedDay {
    /// The day, as the counters number them.
    pub day: i64,
    /// How many by reason, in the order of the reasons.
    pub counts: Vec<(String, i64)>,
}

#[derive(Debug, FromQueryResult)]
struct CountRow {
    day: i64,
    reason: String,
    events: i64,
}

const OPEN_DAYS: &str = "
SELECT counted.day, counted.reason, CAST(SUM(counted.events) AS BIGINT) AS events FROM stat_untracked AS counted
WHERE counted.tenant = $1 AND counted.day < $2
    AND NOT EXISTS (SELECT 1 FROM audit_day AS d WHERE d.tenant = counted.tenant AND d.day = counted.day)
GROUP BY counted.day, counted.reason ORDER BY counted.day, counted.reason";

impl Reader<'_> {
    /// Days before `before` with untracked clicks that are not in the log.
    pub async fn untracked_days(&self, tenant: i64, before: i64) -> Result<Vec<UntrackedDay>, StoreError> {
        let connection = self.connection();
        let select = Statement::from_sql_and_values(
            connection.get_database_backend(),
            OPEN_DAYS,
            [tenant.into(), before.into()],
        );
        let rows = CountRow::find_by_statement(select).all(connection).await?;
        let mut days: Vec<UntrackedDay> = Vec::new();
        for row in rows {
            let count = (row.reason, row.events);
            match days.last_mut().filter(|last| last.day == row.day) {
                Some(last) => last.counts.push(count),
                None => days.push(UntrackedDay {
                    day: row.day,
                    counts: vec![count],
                }),
            }
        }
        Ok(days)
    }
}

impl Tx {
    /// Marks a day as entered; false if it was.
    pub async fn close_day(&self, tenant: i64, day: i64) -> Result<bool, StoreError> {
        let connection = self.connection();
        let insert = Statement::from_sql_and_values(
            connection.get_database_backend(),
            "INSERT INTO audit_day (tenant, day) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            [tenant.into(), day.into()],
        );
        Ok(connection.execute_raw(insert).await?.rows_affected() == 1)
    }
}
