//! SQLite: a reading transaction that rows leave one by one, and a new file that they come back into.
//!
//! In WAL mode whoever reads holds nobody up; what is written meanwhile waits in the WAL and is moved into the file when
//! the copy is done. Rows come in the order of their keys, so that the new file is dense and in order.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rusqlite::{Connection, OpenFlags, params_from_iter};
use sqlx::sqlite::SqliteConnectOptions;

use super::rows::{Reader, Record, Writer};
use super::{CopiedHead, CopyError, Facts, HEADS, KEY_TABLES, Keeps, MIGRATIONS, SETTINGS};
use crate::store::connect::{BUSY_TIMEOUT, StoreError};
use crate::store::tx::keep_copied;

/// Tables first: what refers to them, and what rows are found by, comes when the rows are there.
const TABLES: &str = "SELECT name, sql FROM sqlite_master \
     WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid";
const OTHERS: &str = "SELECT sql FROM sqlite_master WHERE type <> 'table' AND sql IS NOT NULL ORDER BY rowid";

/// The file of an embedded database's URL.
pub fn file_of(url: &str) -> Result<PathBuf, StoreError> {
    let options = SqliteConnectOptions::from_str(url)?;
    Ok(options.get_filename().to_owned())
}

/// One moment of the database.
pub struct Snapshot {
    connection: Connection,
}

impl Snapshot {
    /// Opens a file that has to be there, and holds this moment.
    pub fn of(file: &Path) -> Result<Self, CopyError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(file, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "query_only", "ON")?;
        // The moment is that of the first look.
        connection.execute_batch("BEGIN")?;
        let snapshot = Self { connection };
        snapshot.tables()?;
        Ok(snapshot)
    }

    /// What there is to say of this moment.
    pub fn facts(&self) -> Result<Facts, CopyError> {
        let mut migrations = self.connection.prepare(MIGRATIONS)?;
        let migrations = migrations
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let mut settings = self.connection.prepare(SETTINGS)?;
        let settings = settings
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let mut heads = self.connection.prepare(HEADS)?;
        let heads = heads
            .query_map([], |row| {
                Ok(CopiedHead {
                    tenant: row.get(0)?,
                    epoch: row.get(1)?,
                    size: row.get(2)?,
                    checkpoint: row.get(3)?,
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(Facts {
            migrations,
            settings,
            heads,
        })
    }

    /// Writes the schema and the rows of every table but those with salts and keys; returns how many rows.
    pub fn write_data(&self, out: impl Write) -> Result<u64, CopyError> {
        let mut writer = Writer(out);
        let tables = self.tables()?;
        for (_, sql) in &tables {
            writer.schema(sql)?;
        }
        let mut rows = 0;
        for (name, _) in tables.iter().filter(|(name, _)| !is_key_table(name)) {
            rows += self.write_table(name, &mut writer)?;
        }
        let mut others = self.connection.prepare(OTHERS)?;
        let mut others = others.query([])?;
        while let Some(row) = others.next()? {
            writer.schema(&row.get::<_, String>(0)?)?;
        }
        writer.end(rows)?;
        writer.0.flush()?;
        Ok(rows)
    }

    /// Writes the salts and the wrapped keys; returns how many rows.
    pub fn write_keys(&self, out: impl Write) -> Result<u64, CopyError> {
        let mut writer = Writer(out);
        let mut rows = 0;
        for name in KEY_TABLES {
            rows += self.write_table(name, &mut writer)?;
        }
        writer.end(rows)?;
        writer.0.flush()?;
        Ok(rows)
    }

    fn tables(&self) -> Result<Vec<(String, String)>, CopyError> {
        let mut select = self.connection.prepare(TABLES)?;
        let found = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    fn write_table<W: Write>(&self, name: &str, writer: &mut Writer<W>) -> Result<u64, CopyError> {
        let mut select = self
            .connection
            .prepare(&format!("SELECT * FROM {}", quoted(name)))?;
        let columns: Vec<String> = select.column_names().into_iter().map(str::to_owned).collect();
        writer.table(name, &columns)?;
        let mut written = 0;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            writer.begin_row()?;
            for place in 0..columns.len() {
                writer.value(row.get_ref(place)?)?;
            }
            written += 1;
        }
        Ok(written)
    }
}

/// A new database that is being filled. It is worth nothing before [`Filling::finish`], so it keeps no journal.
pub struct Filling {
    connection: Connection,
}

impl Filling {
    /// Makes the file, which must not be there yet.
    pub fn new(file: &Path) -> Result<Self, CopyError> {
        std::fs::File::create_new(file)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(file, flags)?;
        connection.pragma_update(None, "journal_mode", "OFF")?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        // A page that is split leaves copies behind of what moves, which the replay of the journal would not reach.
        connection.pragma_update(None, "secure_delete", "ON")?;
        // Rows come table by table; that they refer to one another was held when they were first written.
        connection.pragma_update(None, "foreign_keys", "OFF")?;
        connection.execute_batch("BEGIN")?;
        Ok(Self { connection })
    }

    /// Takes in what [`Snapshot::write_data`] wrote.
    pub fn read_data(&self, from: impl Read) -> Result<u64, CopyError> {
        self.read(from, |table, _| Ok(!is_key_table(table)))
    }

    /// Takes in what [`Snapshot::write_keys`] wrote, without the salts that are not to be kept and those that no click
    /// is there for. They never reach the disk.
    pub fn read_keys(&self, from: impl Read, keeps: Keeps<'_>) -> Result<u64, CopyError> {
        let mut is_there = self.connection.prepare(
            "SELECT 1 FROM click WHERE tenant = ? AND issued_at_ticks = ? AND click_id = ? LIMIT 1",
        )?;
        self.read(from, |table, row| {
            use rusqlite::types::Value::{Blob, Integer};
            if table != "click_salt" {
                return Ok(is_key_table(table));
            }
            let [Integer(tenant), Integer(tick), Blob(click), ..] = row else {
                return Err(CopyError::Form);
            };
            let id = click.as_slice().try_into().map_err(|_| CopyError::Form)?;
            Ok(keeps(*tenant, id) && is_there.exists((tenant, tick, click))?)
        })
    }

    fn read(
        &self,
        from: impl Read,
        mut takes: impl FnMut(&str, &[rusqlite::types::Value]) -> Result<bool, CopyError>,
    ) -> Result<u64, CopyError> {
        let mut reader = Reader::new(from);
        let mut table = String::new();
        let mut insert = None;
        let (mut seen, mut taken) = (0, 0);
        loop {
            match reader.next()? {
                Record::Schema(text) => self.connection.execute_batch(&text)?,
                Record::Table(name, columns) => {
                    let places = vec!["?"; columns.len()].join(",");
                    let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
                    insert = Some(self.connection.prepare(&format!(
                        "INSERT INTO {} ({}) VALUES ({places})",
                        quoted(&name),
                        columns.join(",")
                    ))?);
                    table = name;
                }
                Record::Row(values) => {
                    seen += 1;
                    let insert = insert.as_mut().ok_or(CopyError::Form)?;
                    if takes(&table, &values)? {
                        insert.execute(params_from_iter(values))?;
                        taken += 1;
                    }
                }
                Record::End(rows) if rows == seen => return Ok(taken),
                Record::End(_) => return Err(CopyError::Form),
            }
        }
    }

    /// Ends it, and has SQLite look whether the file is sound.
    pub fn finish(self) -> Result<(), CopyError> {
        keep_copied(&self.connection)?;
        let sound: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if sound != "ok" {
            return Err(CopyError::Form);
        }
        self.connection
            .close()
            .map_err(|(_, error)| CopyError::from(error))
    }
}

fn is_key_table(name: &str) -> bool {
    KEY_TABLES.contains(&name)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Reads a copy to its end and says how many rows it has; an error if it is none.
pub fn read_through(from: impl Read) -> Result<u64, CopyError> {
    let mut reader = Reader::new(from);
    let mut seen = 0;
    loop {
        match reader.next()? {
            Record::Row(_) => seen += 1,
            Record::End(rows) if rows == seen => return Ok(seen),
            Record::End(_) => return Err(CopyError::Form),
            Record::Schema(_) | Record::Table(..) => {}
        }
    }
}
