//! Sums of counters for reports, and the names of the objects in them.
//!
//! Writers count in rows of their own lane; here the lanes are summed up, and quarter-hours with them to the tenant's
//! days. A row of a counter may be negative, so only sums mean anything. `SUM` of a `BIGINT` is a decimal number on
//! PostgreSQL, hence the casts.

use std::fmt::Write;

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryResult, QuerySelect, Statement, Value,
};
use uuid::Uuid;

use super::connect::{Store, StoreError};
use super::routing::word;
use crate::domain::money::Currency;
use crate::domain::refusal::{Reason, Untracked};
use crate::domain::report::figures::{Counts, RefusalSum, TrafficSum};
use crate::domain::report::key::{Key, Part};
use crate::domain::report::losses::UntrackedSum;
use crate::domain::report::period::{Period, Span};
use crate::domain::report::{Dimension, Name, SUMS_MAX, Scope};
use crate::domain::scope::TenantScope;

/// An object that a report may be limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reported {
    /// Its number.
    pub number: i64,
    /// Its campaign's number, where it has one; a campaign's own.
    pub campaign: Option<i64>,
    /// Its publisher's number, where it has one; a publisher's own.
    pub publisher: Option<i64>,
}

/// A statement that grows by conditions. Values are bound, never written into the text; `$1` works on both databases.
struct Sums {
    scope: TenantScope,
    text: String,
    values: Vec<Value>,
    keys: usize,
}

impl Sums {
    /// Begins with what is selected: the parts of the key, further columns that are grouped by, and sums.
    fn of(keys: &[String], further: &[&str], sums: &[String], table: &str, tenant: i64) -> Self {
        let mut selected: Vec<&str> = keys.iter().map(String::as_str).collect();
        selected.extend(further);
        let grouped = selected.len();
        selected.extend(sums.iter().map(String::as_str));
        Self {
            scope: TenantScope::Only(tenant),
            text: format!("SELECT {} FROM {table} WHERE tenant = $1", selected.join(", ")),
            values: vec![tenant.into()],
            keys: grouped,
        }
    }

    fn and(&mut self, condition: &str, number: i64) {
        self.values.push(number.into());
        // Writing to a string cannot fail.
        let _ = write!(self.text, " AND {condition} ${}", self.values.len());
    }

    fn and_equal(&mut self, column: &str, number: Option<i64>) {
        if let Some(number) = number {
            self.and(&format!("{column} ="), number);
        }
    }

    async fn read(mut self, store: &Store) -> Result<Vec<QueryResult>, StoreError> {
        let places: Vec<String> = (1..=self.keys).map(|place| place.to_string()).collect();
        if !places.is_empty() {
            let _ = write!(self.text, " GROUP BY {}", places.join(", "));
        }
        let _ = write!(self.text, " LIMIT {}", SUMS_MAX + 1);
        let reader = store.reader(self.scope);
        let connection = reader.connection();
        let backend = connection.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, self.text, self.values);
        Ok(connection.query_all_raw(statement).await?)
    }
}

impl Store {
    /// Clicks and conversions. More than [`SUMS_MAX`] of them are cut to one more than that.
    pub async fn traffic_sums(
        &self,
        scope: &Scope,
        spans: &[Span],
        group_by: &[Dimension],
    ) -> Result<Vec<TrafficSum>, StoreError> {
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else {
            return Ok(Vec::new());
        };
        let keys: Vec<String> = group_by
            .iter()
            .map(|one| match one {
                Dimension::Day => day_of_quarter(spans),
                other => other.code().to_owned(),
            })
            .collect();
        let outcomes = ["click", "pending", "confirmed", "cancelled", "duplicate"];
        let counts = outcomes.map(|outcome| sum_where(outcome, "events"));
        let amounts = ["pending", "confirmed"].map(|outcome| sum_where(outcome, "amount_minor"));
        let mut sums = Sums::of(
            &keys,
            &["currency"],
            &[&counts[..], &amounts[..]].concat(),
            "stat_hour",
            scope.tenant,
        );
        sums.and("quarter >=", first.first);
        sums.and("quarter <", last.end);
        sums.text.push_str(&without_gaps(spans));
        sums.and_equal("shop", scope.shop);
        sums.and_equal("campaign", scope.campaign);
        sums.and_equal("publisher", scope.publisher);
        sums.and_equal("link", scope.link);
        if let Some(goal) = scope.goal {
            // A click belongs to no goal; without clicks there would be nothing to compare the goal's conversions with.
            sums.and("(outcome = 'click' OR goal =", goal);
            sums.text.push(')');
        }
        let rows = sums.read(self).await?;
        rows.iter().map(|row| traffic_sum(row, group_by)).collect()
    }

    /// Refused and dropped postbacks, each reason by itself. Limited as [`Store::traffic_sums`].
    pub async fn refusal_sums(
        &self,
        scope: &Scope,
        period: Period,
        group_by: &[Dimension],
    ) -> Result<Vec<RefusalSum>, StoreError> {
        let mut sums = Sums::of(
            &columns(group_by),
            &["outcome", "reason"],
            &[EVENTS.to_owned()],
            "stat_refused",
            scope.tenant,
        );
        sums.and("day >=", period.from_day);
        sums.and("day <=", period.to_day);
        sums.and_equal("shop", scope.shop);
        sums.and_equal("campaign", scope.campaign);
        let rows = sums.read(self).await?;
        rows.iter()
            .map(|row| {
                let at = group_by.len();
                let outcome: String = row.try_get_by_index(at)?;
                let reason: String = row.try_get_by_index(at + 1)?;
                Ok(RefusalSum {
                    key: key(row, group_by, reason_code)?,
                    outcome: word(&outcome, "stat_refused", "outcome")?,
                    reason: Reason::from_code(&reason).ok_or(UNKNOWN_REASON)?,
                    events: row.try_get_by_index(at + 2)?,
                })
            })
            .collect()
    }

    /// Untracked clicks. Limited as [`Store::traffic_sums`].
    pub async fn untracked_sums(
        &self,
        scope: &Scope,
        period: Period,
        group_by: &[Dimension],
    ) -> Result<Vec<UntrackedSum>, StoreError> {
        let mut sums = Sums::of(
            &columns(group_by),
            &[],
            &[EVENTS.to_owned()],
            "stat_untracked",
            scope.tenant,
        );
        sums.and("day >=", period.from_day);
        sums.and("day <=", period.to_day);
        sums.and_equal("campaign", scope.campaign);
        let rows = sums.read(self).await?;
        rows.iter()
            .map(|row| {
                Ok(UntrackedSum {
                    key: key(row, group_by, untracked_code)?,
                    events: row.try_get_by_index(group_by.len())?,
                })
            })
            .collect()
    }

    /// The tenant's object of this kind and id.
    pub async fn reported_object(
        &self,
        tenant: i64,
        kind: Dimension,
        id: Uuid,
    ) -> Result<Option<Reported>, StoreError> {
        use entity::{campaign, goal, link, publisher};
        let reader = self.reader(TenantScope::Only(tenant));
        let connection = reader.connection();
        macro_rules! row {
            ($table:ident) => {{
                let select = $table::Entity::find().filter($table::Column::Tenant.eq(tenant));
                select
                    .filter($table::Column::Id.eq(id))
                    .one(connection)
                    .await?
            }};
        }
        let found = match kind {
            Dimension::Campaign => row!(campaign).map(|row| (row.campaign, Some(row.campaign), None)),
            Dimension::Publisher => row!(publisher).map(|row| (row.publisher, None, Some(row.publisher))),
            Dimension::Link => row!(link).map(|row| (row.link, Some(row.campaign), Some(row.publisher))),
            Dimension::Goal => row!(goal).map(|row| (row.goal, Some(row.campaign), None)),
            Dimension::Day | Dimension::Reason => None,
        };
        Ok(found.map(|(number, campaign, publisher)| Reported {
            number,
            campaign,
            publisher,
        }))
    }

    /// The names of a tenant's objects of one kind.
    pub async fn reported_names(
        &self,
        tenant: i64,
        kind: Dimension,
        numbers: &[i64],
    ) -> Result<Vec<(i64, Name)>, StoreError> {
        use entity::{campaign, goal, link, publisher};
        let reader = self.reader(TenantScope::Only(tenant));
        let connection = reader.connection();
        macro_rules! names {
            ($table:ident, $number:ident) => {{
                use $table::{Column, Entity};
                let select = Entity::find()
                    .select_only()
                    .columns([Column::$number, Column::Id, Column::Slug])
                    .filter(Column::Tenant.eq(tenant))
                    .filter(Column::$number.is_in(numbers.iter().copied()));
                select.into_tuple().all(connection).await?
            }};
        }
        let rows: Vec<(i64, Uuid, String)> = match kind {
            Dimension::Campaign => names!(campaign, Campaign),
            Dimension::Publisher => names!(publisher, Publisher),
            Dimension::Link => names!(link, Link),
            Dimension::Goal => names!(goal, Goal),
            Dimension::Day | Dimension::Reason => Vec::new(),
        };
        Ok(rows
            .into_iter()
            .map(|(number, id, slug)| (number, Name { id, slug }))
            .collect())
    }
}

const EVENTS: &str = "CAST(SUM(events) AS BIGINT)";
const UNKNOWN_REASON: StoreError = StoreError::Inconsistent {
    table: "stat_refused",
    column: "reason",
};

fn columns(group_by: &[Dimension]) -> Vec<String> {
    group_by.iter().map(|one| one.code().to_owned()).collect()
}

fn sum_where(outcome: &str, column: &str) -> String {
    format!("CAST(SUM(CASE WHEN outcome = '{outcome}' THEN {column} ELSE 0 END) AS BIGINT)")
}

/// The local day of a quarter-hour. The numbers are the spans' own; PostgreSQL could not tell the type of bound ones.
fn day_of_quarter(spans: &[Span]) -> String {
    let Some((last, earlier)) = spans.split_last() else {
        return "0".to_owned();
    };
    let shift = last.shift_quarters;
    if earlier.is_empty() {
        return format!("(quarter + {shift}) / 96");
    }
    let cases: Vec<String> = earlier
        .iter()
        .map(|span| format!("WHEN quarter < {} THEN {}", span.end, span.shift_quarters))
        .collect();
    format!("(quarter + CASE {} ELSE {shift} END) / 96", cases.join(" "))
}

/// A condition that leaves out quarter-hours between spans, where there are any: some clocks went back over midnight.
fn without_gaps(spans: &[Span]) -> String {
    let gaps: Vec<String> = spans
        .iter()
        .zip(spans.iter().skip(1))
        .filter(|(one, next)| one.end < next.first)
        .map(|(one, next)| format!(" AND NOT (quarter >= {} AND quarter < {})", one.end, next.first))
        .collect();
    gaps.concat()
}

fn traffic_sum(row: &QueryResult, group_by: &[Dimension]) -> Result<TrafficSum, StoreError> {
    let at = group_by.len();
    let code: String = row.try_get_by_index(at)?;
    let currency = match code.as_str() {
        "" => None,
        code => Some(Currency::parse(code).map_err(|_| StoreError::Inconsistent {
            table: "stat_hour",
            column: "currency",
        })?),
    };
    Ok(TrafficSum {
        key: key(row, group_by, |_| None)?,
        currency,
        counts: Counts {
            clicks: row.try_get_by_index(at + 1)?,
            pending: row.try_get_by_index(at + 2)?,
            confirmed: row.try_get_by_index(at + 3)?,
            cancelled: row.try_get_by_index(at + 4)?,
            duplicates: row.try_get_by_index(at + 5)?,
        },
        pending_minor: row.try_get_by_index(at + 6)?,
        confirmed_minor: row.try_get_by_index(at + 7)?,
    })
}

/// The key stands first in every row, in the order of the grouping.
fn key(
    row: &QueryResult,
    group_by: &[Dimension],
    reason: fn(&str) -> Option<&'static str>,
) -> Result<Key, StoreError> {
    let parts = group_by.iter().enumerate().map(|(at, dimension)| {
        let part = if *dimension == Dimension::Reason {
            let code: String = row.try_get_by_index(at)?;
            Part::Word(reason(&code).ok_or(UNKNOWN_REASON)?)
        } else {
            Part::Number(row.try_get_by_index(at)?)
        };
        Ok((part, *dimension))
    });
    parts.collect::<Result<Vec<_>, StoreError>>().map(Key::new)
}

fn reason_code(code: &str) -> Option<&'static str> {
    Reason::from_code(code).map(Reason::code)
}

fn untracked_code(code: &str) -> Option<&'static str> {
    let found = Untracked::ALL.into_iter().find(|reason| reason.code() == code);
    found.map(Untracked::code)
}
