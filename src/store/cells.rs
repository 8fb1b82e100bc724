//! Many rows in one statement, on both databases.
//!
//! PostgreSQL takes each column as one array (`UNNEST`), so one prepared statement serves every batch size. SQLite takes
//! `VALUES` in chunks of a few fixed sizes, so that a handful of prepared statements serve every batch size.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::{Query, QueryAs};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, FromRow, Postgres, Sqlite};
use uuid::Uuid;

use super::connect::StoreError;
use super::tx::Batch;

/// Rows in one SQLite statement, largest first.
const CHUNKS: [usize; 4] = [64, 16, 4, 1];

/// One column of many rows.
#[derive(Debug, Clone)]
pub enum Cells {
    /// Integers.
    Int(Vec<i64>),
    /// Texts.
    Text(Vec<String>),
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
    fn len(&self) -> usize {
        match self {
            Cells::Int(cells) => cells.len(),
            Cells::Text(cells) => cells.len(),
            Cells::Bytes(cells) => cells.len(),
            Cells::MaybeBytes(cells) => cells.len(),
            Cells::Id(cells) => cells.len(),
            Cells::Flag(cells) => cells.len(),
        }
    }

    fn array_type(&self) -> &'static str {
        match self {
            Cells::Int(_) => "bigint[]",
            Cells::Text(_) => "text[]",
            Cells::Bytes(_) | Cells::MaybeBytes(_) => "bytea[]",
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

    fn postgres_text(&self) -> String {
        let arrays: Vec<String> = self
            .cells
            .iter()
            .enumerate()
            .map(|(place, cells)| format!("${}::{}", place + 1, cells.array_type()))
            .collect();
        format!(
            "{} SELECT * FROM UNNEST({}) {}",
            self.before,
            arrays.join(", "),
            self.after
        )
    }

    fn sqlite_text(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.cells.len()].join(","));
        let mut text =
            String::with_capacity(self.before.len() + self.after.len() + rows * (row.len() + 1) + 16);
        text.push_str(self.before);
        text.push_str(" VALUES ");
        for place in 0..rows {
            if place > 0 {
                text.push(',');
            }
            text.push_str(&row);
        }
        text.push(' ');
        text.push_str(self.after);
        text
    }
}

/// The chunks that a number of rows is cut into, as (first row, rows).
fn chunks(count: usize) -> Vec<(usize, usize)> {
    let mut cut = Vec::new();
    let mut from = 0;
    for size in CHUNKS {
        while count - from >= size {
            cut.push((from, size));
            from += size;
        }
    }
    cut
}

macro_rules! bind_row {
    ($query:expr, $cells:expr, $row:expr) => {{
        let mut query = $query;
        for cells in $cells {
            query = match cells {
                Cells::Int(cells) => query.bind(cells.get($row).copied()),
                Cells::Text(cells) => query.bind(cells.get($row).map(String::as_str)),
                Cells::Bytes(cells) => query.bind(cells.get($row).map(Vec::as_slice)),
                Cells::MaybeBytes(cells) => query.bind(cells.get($row).and_then(|cell| cell.as_deref())),
                Cells::Id(cells) => query.bind(cells.get($row).copied()),
                Cells::Flag(cells) => query.bind(cells.get($row).copied()),
            };
        }
        query
    }};
}

macro_rules! bind_arrays {
    ($query:expr, $cells:expr) => {{
        let mut query = $query;
        for cells in $cells {
            query = match cells {
                Cells::Int(cells) => query.bind(cells.as_slice()),
                Cells::Text(cells) => query.bind(cells.as_slice()),
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
        match self {
            Batch::Postgres(inner) => {
                let query: Query<'_, Postgres, PgArguments> =
                    sqlx::query(AssertSqlSafe(rows.postgres_text()));
                let done = bind_arrays!(query, &rows.cells).execute(&mut **inner).await?;
                Ok(done.rows_affected())
            }
            Batch::Sqlite(inner) => {
                let mut changed = 0;
                for (from, size) in chunks(rows.count()) {
                    let mut query: Query<'_, Sqlite, SqliteArguments> =
                        sqlx::query(AssertSqlSafe(rows.sqlite_text(size)));
                    for row in from..from + size {
                        query = bind_row!(query, &rows.cells, row);
                    }
                    changed += query.execute(&mut **inner).await?.rows_affected();
                }
                Ok(changed)
            }
        }
    }

    /// Runs a look-up; returns the rows found.
    pub(super) async fn look_up<O>(&mut self, rows: &Rows) -> Result<Vec<O>, StoreError>
    where
        O: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        if rows.count() == 0 {
            return Ok(Vec::new());
        }
        match self {
            Batch::Postgres(inner) => {
                let query: QueryAs<'_, Postgres, O, PgArguments> =
                    sqlx::query_as(AssertSqlSafe(rows.postgres_text()));
                Ok(bind_arrays!(query, &rows.cells).fetch_all(&mut **inner).await?)
            }
            Batch::Sqlite(inner) => {
                let mut found = Vec::new();
                for (from, size) in chunks(rows.count()) {
                    let mut query: QueryAs<'_, Sqlite, O, SqliteArguments> =
                        sqlx::query_as(AssertSqlSafe(rows.sqlite_text(size)));
                    for row in from..from + size {
                        query = bind_row!(query, &rows.cells, row);
                    }
                    found.extend(query.fetch_all(&mut **inner).await?);
                }
                Ok(found)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_every_row_once() {
        for count in 0..300 {
            let mut next = 0;
            for (from, size) in chunks(count) {
                assert_eq!(from, next);
                next += size;
            }
            assert_eq!(next, count);
        }
    }
}
