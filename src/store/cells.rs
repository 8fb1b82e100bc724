//! Many rows in one statement, on both databases.
//!
//! PostgreSQL takes each column as one array (`UNNEST`), so one prepared statement serves every batch size; and statements
//! whose outcome nobody waits for go together as one, since a trip to the database costs more than the rows. SQLite runs
//! in this process: there a prepared statement is run once for each row.

use std::fmt::Write as _;

use rusqlite::CachedStatement;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::QueryAs;
use sqlx::{AssertSqlSafe, FromRow, Postgres, Row};
use uuid::Uuid;

use super::connect::{StoreError, ends_the_connection};
use super::tx::{Batch, Expected, PostgresBatch, SqliteBatch};

/// One column of many rows.
#[derive(Debug, Clone)]
pub enum Cells {
    /// Integers.
    Int(Vec<i64>),
    /// Texts.
    Text(Vec<String>),
    /// Words of ours.
    Word(Vec<&'static str>),
    /// Sixteen bytes each.
    Hash(Vec<[u8; 16]>),
    /// Byte strings.
    Bytes(Vec<Vec<u8>>),
    /// Byte strings or nothing.
    MaybeBytes(Vec<Option<Vec<u8>>>),
    /// Ids.
    Id(Vec<Uuid>),
    /// Yes or no.
    Flag(Vec<bool>),
}

impl Cells {
    pub(super) fn len(&self) -> usize {
        match self {
            Cells::Int(cells) => cells.len(),
            Cells::Text(cells) => cells.len(),
            Cells::Word(cells) => cells.len(),
            Cells::Hash(cells) => cells.len(),
            Cells::Bytes(cells) => cells.len(),
            Cells::MaybeBytes(cells) => cells.len(),
            Cells::Id(cells) => cells.len(),
            Cells::Flag(cells) => cells.len(),
        }
    }

    fn array_type(&self) -> &'static str {
        match self {
            Cells::Int(_) => "bigint[]",
            Cells::Text(_) | Cells::Word(_) => "text[]",
            Cells::Bytes(_) | Cells::MaybeBytes(_) | Cells::Hash(_) => "bytea[]",
            Cells::Id(_) => "uuid[]",
            Cells::Flag(_) => "boolean[]",
        }
    }
}

/// A statement over many rows: `before`, then the rows, then `after`.
#[derive(Debug)]
pub struct Rows {
    /// The statement's beginning; for an insert `INSERT INTO t (a, b)`, for a look-up `WITH k(a, b) AS (`.
    pub before: &'static str,
    /// The columns, all of one length.
    pub cells: Vec<Cells>,
    /// The statement's end.
    pub after: &'static str,
}

impl Rows {
    fn count(&self) -> usize {
        self.cells.first().map_or(0, Cells::len)
    }

    /// The statement for PostgreSQL, its parameters numbered from after `before`; `guard` says when it does anything.
    fn postgres_text(&self, before: usize, guard: &str, text: &mut String) {
        self.postgres_text_as(" SELECT * FROM UNNEST(", ") ", before, guard, text);
    }

    /// The same with the arrays themselves as the columns of a single row.
    fn postgres_packed_text(&self, before: usize, guard: &str, text: &mut String) {
        self.postgres_text_as(" SELECT ", " ", before, guard, text);
    }

    fn postgres_text_as(&self, open: &str, close: &str, before: usize, guard: &str, text: &mut String) {
        text.push_str(self.before);
        text.push_str(open);
        for (place, cells) in self.cells.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            // Writing into a string cannot fail.
            let _ = write!(text, "{comma}${}::{}", before + place + 1, cells.array_type());
        }
        text.push_str(close);
        text.push_str(guard);
        text.push_str(self.after);
    }

    /// The statement for SQLite, for one row.
    fn sqlite_text(&self) -> String {
        let mut text =
            String::with_capacity(self.before.len() + self.after.len() + self.cells.len() * 2 + 16);
        text.push_str(self.before);
        text.push_str(" VALUES (");
        for place in 0..self.cells.len() {
            text.push_str(if place > 0 { ",?" } else { "?" });
        }
        text.push_str(") ");
        text.push_str(self.after);
        text
    }

    fn bind_row(&self, statement: &mut CachedStatement<'_>, row: usize) -> Result<(), StoreError> {
        for (place, cells) in self.cells.iter().enumerate() {
            let place = place + 1;
            match cells {
                Cells::Int(cells) => statement.raw_bind_parameter(place, cells.get(row))?,
                Cells::Text(cells) => {
                    statement.raw_bind_parameter(place, cells.get(row).map(String::as_str))?;
                }
                Cells::Word(cells) => statement.raw_bind_parameter(place, cells.get(row))?,
                Cells::Hash(cells) => statement.raw_bind_parameter(place, cells.get(row))?,
                Cells::Bytes(cells) => {
                    statement.raw_bind_parameter(place, cells.get(row).map(Vec::as_slice))?;
                }
                Cells::MaybeBytes(cells) => {
                    statement.raw_bind_parameter(place, cells.get(row).and_then(Option::as_deref))?;
                }
                Cells::Id(cells) => statement.raw_bind_parameter(place, cells.get(row))?,
                Cells::Flag(cells) => statement.raw_bind_parameter(place, cells.get(row))?,
            }
        }
        Ok(())
    }
}

/// Binds every column of some rows as one array each.
macro_rules! bind_arrays {
    ($query:expr, $cells:expr) => {{
        let mut query = $query;
        for cells in $cells {
            query = match cells {
                Cells::Int(cells) => query.bind(cells.as_slice()),
                Cells::Text(cells) => query.bind(cells.as_slice()),
                Cells::Word(cells) => query.bind(cells.as_slice()),
                Cells::Hash(cells) => query.bind(cells.as_slice()),
                Cells::Bytes(cells) => query.bind(cells.as_slice()),
                Cells::MaybeBytes(cells) => query.bind(cells.as_slice()),
                Cells::Id(cells) => query.bind(cells.as_slice()),
                Cells::Flag(cells) => query.bind(cells.as_slice()),
            };
        }
        query
    }};
}

impl Batch {
    /// Runs a writing statement; returns how many rows it changed.
    pub(super) async fn write(&mut self, rows: &Rows) -> Result<u64, StoreError> {
        if rows.count() == 0 {
            return Ok(0);
        }
        self.write_waiting().await?;
        match self {
            Batch::Sqlite(inner) => inner.write(rows),
            Batch::Postgres(inner) => {
                let mut text = String::new();
                inner.ensure_begun().await?;
                rows.postgres_text(0, "", &mut text);
                let query = bind_arrays!(sqlx::query(AssertSqlSafe(text)), &rows.cells);
                let done = inner
                    .given_up
                    .within(query.execute(&mut inner.connection))
                    .await?;
                Ok(done.rows_affected())
            }
        }
    }

    /// Runs an insertion before the next statement that is waited for, at the latest with the commit. Insertions that
    /// wait together do not see one another.
    pub(super) fn insert(&mut self, rows: Rows, expected: Expected) -> Result<(), StoreError> {
        if rows.count() == 0 {
            return Ok(());
        }
        match self {
            Batch::Sqlite(inner) => met(expected, rows.count(), inner.write(&rows)?),
            Batch::Postgres(inner) => {
                inner.waiting.push((rows, expected));
                Ok(())
            }
        }
    }

    /// Runs the insertions that wait.
    pub(super) async fn write_waiting(&mut self) -> Result<(), StoreError> {
        match self {
            Batch::Postgres(inner) if !inner.waiting.is_empty() => inner.write_waiting().await,
            _ => Ok(()),
        }
    }

    /// Runs a look-up; returns the rows found.
    pub(super) async fn look_up<O>(&mut self, rows: &Rows) -> Result<Vec<O>, StoreError>
    where
        O: for<'r> FromRow<'r, PgRow> + Send + Unpin,
        O: for<'r> TryFrom<&'r rusqlite::Row<'r>, Error = rusqlite::Error>,
    {
        if rows.count() == 0 {
            return Ok(Vec::new());
        }
        self.write_waiting().await?;
        match self {
            Batch::Sqlite(inner) => inner.look_up(rows),
            Batch::Postgres(inner) => {
                let mut text = String::new();
                inner.ensure_begun().await?;
                rows.postgres_text(0, "", &mut text);
                let query: QueryAs<'_, Postgres, O, PgArguments> = sqlx::query_as(AssertSqlSafe(text));
                let found = bind_arrays!(query, &rows.cells).fetch_all(&mut inner.connection);
                Ok(inner.given_up.within(found).await?)
            }
        }
    }
}

impl SqliteBatch {
    fn write(&mut self, rows: &Rows) -> Result<u64, StoreError> {
        let mut statement = self.connection.prepare_cached(&rows.sqlite_text())?;
        let mut changed = 0;
        for row in 0..rows.count() {
            rows.bind_row(&mut statement, row)?;
            changed += statement.raw_execute()?;
        }
        Ok(changed as u64)
    }

    fn look_up<O>(&mut self, rows: &Rows) -> Result<Vec<O>, StoreError>
    where
        O: for<'r> TryFrom<&'r rusqlite::Row<'r>, Error = rusqlite::Error>,
    {
        let mut statement = self.connection.prepare_cached(&rows.sqlite_text())?;
        let mut found = Vec::new();
        for row in 0..rows.count() {
            rows.bind_row(&mut statement, row)?;
            let mut answer = statement.raw_query();
            while let Some(row) = answer.next()? {
                found.push(O::try_from(row)?);
            }
        }
        Ok(found)
    }
}

impl PostgresBatch {
    /// All of them as one statement, which answers with the number of rows that each wrote.
    async fn write_waiting(&mut self) -> Result<(), StoreError> {
        self.ensure_begun().await?;
        let waiting = std::mem::take(&mut self.waiting);
        let text = together(&waiting, None);
        let mut query = sqlx::query(AssertSqlSafe(text));
        for (rows, _) in &waiting {
            query = bind_arrays!(query, &rows.cells);
        }
        let written = self
            .given_up
            .within(query.fetch_one(&mut self.connection))
            .await?;
        all_met(&waiting, &written, 0)
    }

    /// The whole transaction as one statement, committed by itself: it writes if the routing data is still of this
    /// version, and is `Raced` if not.
    pub(super) async fn write_at_once(mut self, version: i64) -> Result<(), StoreError> {
        if self.waiting.is_empty() {
            self.keep();
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.waiting);
        let text = together(&waiting, Some(STILL));
        let mut query = sqlx::query(AssertSqlSafe(text)).bind(version);
        for (rows, _) in &waiting {
            query = bind_arrays!(query, &rows.cells);
        }
        let written = match self.given_up.within(query.fetch_one(&mut self.connection)).await {
            Ok(written) => written,
            // The database refused, so nothing is written. Whatever else went wrong may have happened after the commit, and
            // so may its farewell.
            Err(sqlx::Error::Database(error))
                if !error.code().is_some_and(|code| ends_the_connection(&code)) =>
            {
                return Err(sqlx::Error::Database(error).into());
            }
            Err(error) => return Err(StoreError::CommitUnknown(Box::new(error.into()))),
        };
        self.keep();
        if written.try_get::<i64, _>(0)? == 0 {
            return Err(StoreError::Raced);
        }
        Ok(())
    }
}

/// Finds a row while the routing data is of the version in the first parameter.
const STILL: &str = "SELECT 1 FROM routing WHERE id = 1 AND version = $1";

/// Insertions as one statement, which answers with the number of rows that each wrote. With a condition, that it found a
/// row is the first number, and without one nothing is written.
fn together(waiting: &[(Rows, Expected)], condition: Option<&str>) -> String {
    let (mut text, mut counts) = (String::from("WITH "), String::from(" SELECT "));
    let mut before = 0;
    let mut guard = "";
    if let Some(condition) = condition {
        // Writing into a string cannot fail.
        let _ = write!(text, "still AS ({condition}), ");
        counts.push_str("(SELECT count(*) FROM still), ");
        before = 1;
        guard = "WHERE EXISTS (SELECT 1 FROM still) ";
    }
    for (place, (rows, expected)) in waiting.iter().enumerate() {
        let comma = if place > 0 { ", " } else { "" };
        let _ = write!(text, "{comma}w{place} AS (");
        match expected {
            Expected::Packed => rows.postgres_packed_text(before, guard, &mut text),
            Expected::Any | Expected::All => rows.postgres_text(before, guard, &mut text),
        }
        text.push_str(" RETURNING 1)");
        let _ = write!(counts, "{comma}(SELECT count(*) FROM w{place})");
        before += rows.cells.len();
    }
    text.push_str(&counts);
    text
}

fn all_met(waiting: &[(Rows, Expected)], written: &PgRow, from: usize) -> Result<(), StoreError> {
    for (place, (rows, expected)) in waiting.iter().enumerate() {
        let count: i64 = written.try_get(from + place)?;
        met(*expected, rows.count(), u64::try_from(count).unwrap_or(0))?;
    }
    Ok(())
}

fn met(expected: Expected, rows: usize, written: u64) -> Result<(), StoreError> {
    match expected {
        Expected::All if u64::try_from(rows).ok() != Some(written) => Err(StoreError::Raced),
        Expected::All | Expected::Any | Expected::Packed => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        let cells = vec![Cells::Int(vec![1, 2]), Cells::Text(vec!["a".into(), "b".into()])];
        Rows {
            before: "INSERT INTO t (a, b)",
            cells,
            after: "ON CONFLICT DO NOTHING",
        }
    }

    #[test]
    fn one_text_serves_every_number_of_rows() {
        let mut text = String::new();
        rows().postgres_text(3, "", &mut text);
        let expected =
            "INSERT INTO t (a, b) SELECT * FROM UNNEST($4::bigint[], $5::text[]) ON CONFLICT DO NOTHING";
        assert_eq!(text, expected);
        text.clear();
        rows().postgres_packed_text(3, "", &mut text);
        assert_eq!(
            text,
            "INSERT INTO t (a, b) SELECT $4::bigint[], $5::text[] ON CONFLICT DO NOTHING"
        );
        assert_eq!(
            rows().sqlite_text(),
            "INSERT INTO t (a, b) VALUES (?,?) ON CONFLICT DO NOTHING"
        );
    }

    #[test]
    fn a_row_too_few_is_a_lost_race_only_where_all_are_needed() {
        assert!(met(Expected::All, 2, 2).is_ok() && met(Expected::Any, 2, 1).is_ok());
        assert!(matches!(met(Expected::All, 2, 1), Err(StoreError::Raced)));
    }
}
