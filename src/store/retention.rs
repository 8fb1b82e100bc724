//! A tenant's retention rules, the runs of the purge, who purges now, and the keys of months that are over.

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, Statement, Value};
use uuid::Uuid;

use super::connect::StoreError;
use super::months::month_start_s;
use super::routing::word;
use super::tx::{Reader, Tx};
use crate::domain::ids::TICKS_PER_SECOND;
use crate::domain::keyring::KeyPurpose;
use crate::domain::retention::{Class, Rule};
use entity::{retention_rule, retention_run, wrapped_key};

/// A run of the purge for one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The tenant's number.
    pub tenant: i64,
    /// Its number within the tenant; nothing before its first chunk.
    pub number: Option<i64>,
    /// The class.
    pub class: Class,
    /// Rows from before this went.
    pub cut_off_ms: i64,
    /// When it began.
    pub started_at_ms: i64,
    /// When it ended.
    pub ended_at_ms: Option<i64>,
    /// How many rows went.
    pub removed: i64,
    /// How many a hold kept.
    pub left_held: i64,
    /// How many were frozen.
    pub left_restricted: i64,
}

#[derive(FromQueryResult)]
struct MonthRow {
    tenant: i64,
    number: i64,
}

#[derive(FromQueryResult)]
struct Number {
    number: Option<i64>,
}

fn rule_of(row: &retention_rule::Model) -> Result<Rule, StoreError> {
    let reason = row.reason.as_deref();
    Ok(Rule {
        class: class_of(&row.class, "retention_rule")?,
        days: row.days,
        reason: reason
            .map(|text| word(text, "retention_rule", "reason"))
            .transpose()?,
    })
}

fn class_of(text: &str, table: &'static str) -> Result<Class, StoreError> {
    Class::from_code(text).ok_or(StoreError::Inconsistent {
        table,
        column: "class",
    })
}

fn run_of(row: &retention_run::Model) -> Result<Run, StoreError> {
    Ok(Run {
        tenant: row.tenant,
        number: Some(row.run),
        class: class_of(&row.class, "retention_run")?,
        cut_off_ms: row.cut_off_ms,
        started_at_ms: row.started_at_ms,
        ended_at_ms: row.ended_at_ms,
        removed: row.removed,
        left_held: row.left_held,
        left_restricted: row.left_restricted,
    })
}

async fn rules<C: ConnectionTrait>(connection: &C, tenant: i64) -> Result<Vec<Rule>, StoreError> {
    let rows = retention_rule::Entity::find()
        .filter(retention_rule::Column::Tenant.eq(tenant))
        .all(connection)
        .await?;
    rows.iter().map(rule_of).collect()
}

/// The last run of each class that ended.
const LAST_RUNS: &str = "SELECT * FROM retention_run AS r WHERE r.tenant = $1 AND r.run IN (SELECT MAX(run) FROM retention_run \
     WHERE tenant = $1 AND ended_at_ms IS NOT NULL GROUP BY class)";
const TAKE_LEASE: &str =
    "UPDATE purge_lease SET holder = $1, until_ms = $2 WHERE id = 1 AND (holder = $1 OR until_ms <= $3)";
const LET_GO: &str = "UPDATE purge_lease SET until_ms = 0 WHERE id = 1 AND holder = $1";
const NEXT_RUN: &str = "SELECT MAX(run) AS number FROM retention_run WHERE tenant = $1";
const EPOCH_KEYS: &str =
    "SELECT tenant, number FROM wrapped_key WHERE tenant = $1 AND purpose = 'epoch' AND number < $2";
/// Whether anything is left that a month's key opens.
const MONTH_IS_EMPTY: &str = "SELECT CAST(1 AS BIGINT) AS number WHERE \
     NOT EXISTS (SELECT 1 FROM click WHERE tenant = $1 AND issued_at_ticks >= $2 AND issued_at_ticks < $3) \
     AND NOT EXISTS (SELECT 1 FROM click_salt WHERE tenant = $1 AND issued_at_ticks >= $2 AND issued_at_ticks < $3) \
     AND NOT EXISTS (SELECT 1 FROM consent_record WHERE tenant = $1 AND issued_at_ticks >= $2 AND issued_at_ticks < $3) \
     AND NOT EXISTS (SELECT 1 FROM conversion WHERE tenant = $1 AND issued_at_ticks >= $2 AND issued_at_ticks < $3)";
/// Whether a hold keeps what is sealed under months' keys.
const KEYS_HELD: &str = "SELECT COUNT(*) AS number FROM hold WHERE tenant = $1 AND archived_at_ms IS NULL AND from_ms <= $2 \
     AND (until_ms IS NULL OR until_ms > $2) \
     AND class IN ('all', 'click', 'conversion_details', 'consent_record', 'test_conversion')";

impl Reader<'_> {
    /// A tenant's own rules.
    pub async fn retention_rules(&self, tenant: i64) -> Result<Vec<Rule>, StoreError> {
        rules(self.connection(), tenant).await
    }

    /// The last run of each class that ended.
    pub async fn last_runs(&self, tenant: i64) -> Result<Vec<Run>, StoreError> {
        let connection = self.connection();
        let select =
            Statement::from_sql_and_values(connection.get_database_backend(), LAST_RUNS, vec![tenant.into()]);
        let rows = retention_run::Model::find_by_statement(select)
            .all(connection)
            .await?;
        rows.iter().map(run_of).collect()
    }

    /// The holds of a tenant that are in force and whose review is due.
    pub async fn overdue_reviews(&self, now_ms: i64) -> Result<i64, StoreError> {
        const DUE: &str = "SELECT COUNT(*) AS number FROM hold WHERE archived_at_ms IS NULL AND review_at_ms <= $1 \
             AND (until_ms IS NULL OR until_ms > $1)";
        let connection = self.connection();
        let select =
            Statement::from_sql_and_values(connection.get_database_backend(), DUE, vec![now_ms.into()]);
        let row = Number::find_by_statement(select).one(connection).await?;
        Ok(row.and_then(|row| row.number).unwrap_or(0))
    }

    /// A tenant's months before one whose keys are there, as far as nothing is left that they open.
    pub async fn empty_months(&self, tenant: i64, before: u16) -> Result<Vec<u16>, StoreError> {
        let connection = self.connection();
        let values = vec![tenant.into(), i64::from(before).into()];
        let select = Statement::from_sql_and_values(connection.get_database_backend(), EPOCH_KEYS, values);
        let keys = MonthRow::find_by_statement(select).all(connection).await?;
        let mut empty = Vec::new();
        for MonthRow { tenant, number } in keys {
            if month_is_empty(connection, tenant, number).await? {
                empty.extend(u16::try_from(number).ok());
            }
        }
        empty.sort_unstable();
        Ok(empty)
    }
}

async fn month_is_empty<C: ConnectionTrait>(
    connection: &C,
    tenant: i64,
    month: i64,
) -> Result<bool, StoreError> {
    let from = month_start_s(month) * TICKS_PER_SECOND;
    let until = month_start_s(month + 1) * TICKS_PER_SECOND;
    let values = vec![tenant.into(), from.into(), until.into()];
    let select = Statement::from_sql_and_values(connection.get_database_backend(), MONTH_IS_EMPTY, values);
    Ok(connection.query_one_raw(select).await?.is_some())
}

impl Tx {
    async fn number(&self, text: &'static str, values: Vec<Value>) -> Result<i64, StoreError> {
        let connection = self.connection();
        let select = Statement::from_sql_and_values(connection.get_database_backend(), text, values);
        let row = Number::find_by_statement(select).one(connection).await?;
        Ok(row.and_then(|row| row.number).unwrap_or(0))
    }

    /// A tenant's own rules, as this transaction sees them.
    pub async fn retention_rules(&self, tenant: i64) -> Result<Vec<Rule>, StoreError> {
        rules(self.connection(), tenant).await
    }

    /// Writes a rule over what was there for its class.
    pub async fn set_rule(
        &self,
        tenant: i64,
        rule: &Rule,
        author: String,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        use retention_rule::Column;
        let row = retention_rule::ActiveModel {
            tenant: Set(tenant),
            class: Set(rule.class.code().to_owned()),
            days: Set(rule.days),
            reason: Set(rule.reason.map(|reason| reason.code().to_owned())),
            author: Set(author),
            updated_at_ms: Set(now_ms),
        };
        let mut conflict = OnConflict::columns([Column::Tenant, Column::Class]);
        conflict.update_columns([Column::Days, Column::Reason, Column::Author, Column::UpdatedAtMs]);
        retention_rule::Entity::insert(row)
            .on_conflict(conflict)
            .exec_without_returning(self.connection())
            .await?;
        Ok(())
    }

    /// Goes back to the default of a class.
    pub async fn clear_rule(&self, tenant: i64, class: Class) -> Result<(), StoreError> {
        retention_rule::Entity::delete_many()
            .filter(retention_rule::Column::Tenant.eq(tenant))
            .filter(retention_rule::Column::Class.eq(class.code()))
            .exec(self.connection())
            .await?;
        Ok(())
    }

    /// Takes or keeps the right to purge until a moment; whether it was to be had. It is asked for in every transaction of a
    /// purge, so that whoever lost it removes nothing more.
    pub async fn may_purge(&self, holder: Uuid, until_ms: i64, now_ms: i64) -> Result<bool, StoreError> {
        let connection = self.connection();
        let values = vec![holder.into(), until_ms.into(), now_ms.into()];
        let take = Statement::from_sql_and_values(connection.get_database_backend(), TAKE_LEASE, values);
        Ok(connection.execute_raw(take).await?.rows_affected() == 1)
    }

    /// Lets go of the right to purge.
    pub async fn end_purge(&self, holder: Uuid) -> Result<(), StoreError> {
        let connection = self.connection();
        let values = vec![holder.into()];
        let end = Statement::from_sql_and_values(connection.get_database_backend(), LET_GO, values);
        connection.execute_raw(end).await?;
        Ok(())
    }

    /// Writes how far a run is; its first time gives it its number.
    pub async fn note_run(&self, run: &mut Run) -> Result<i64, StoreError> {
        use retention_run::Column;
        let number = match run.number {
            Some(number) => number,
            None => self.number(NEXT_RUN, vec![run.tenant.into()]).await? + 1,
        };
        run.number = Some(number);
        let row = retention_run::ActiveModel {
            tenant: Set(run.tenant),
            run: Set(number),
            class: Set(run.class.code().to_owned()),
            cut_off_ms: Set(run.cut_off_ms),
            started_at_ms: Set(run.started_at_ms),
            ended_at_ms: Set(run.ended_at_ms),
            removed: Set(run.removed),
            left_held: Set(run.left_held),
            left_restricted: Set(run.left_restricted),
        };
        let mut conflict = OnConflict::columns([Column::Tenant, Column::Run]);
        conflict.update_columns([
            Column::EndedAtMs,
            Column::Removed,
            Column::LeftHeld,
            Column::LeftRestricted,
        ]);
        retention_run::Entity::insert(row)
            .on_conflict(conflict)
            .exec_without_returning(self.connection())
            .await?;
        Ok(number)
    }

    /// Destroys the key of a month, if nothing is left that it opens and no hold keeps what it could open elsewhere.
    pub async fn destroy_month(&self, tenant: i64, month: u16, now_ms: i64) -> Result<bool, StoreError> {
        let held = self.number(KEYS_HELD, vec![tenant.into(), now_ms.into()]).await?;
        let number = i64::from(month);
        if held > 0 || !month_is_empty(self.connection(), tenant, number).await? {
            return Ok(false);
        }
        let key = (tenant, KeyPurpose::Epoch.code().to_owned(), number);
        let gone = wrapped_key::Entity::delete_by_id(key)
            .exec(self.connection())
            .await?;
        Ok(gone.rows_affected == 1)
    }
}
