//! Rows as bytes: the form in which SQLite's tables leave and come back.
//!
//! A record is one byte that says what follows: `S` a statement of the schema, `T` the table and the columns of the rows
//! behind it, `R` a row, `E` the end with the number of rows before it. Numbers are big-endian; a value has its type in
//! front, as SQLite has it in the row.

use std::io::{self, Read, Write};

use rusqlite::types::{Value, ValueRef};

use super::CopyError;

/// The longest text or byte string that is read, in bytes: SQLite's own limit.
const BYTES_MAX: u32 = 1_000_000_000;
/// The most columns that a table can have.
const COLUMNS_MAX: u32 = 2_000;

/// What stands in a copy.
#[derive(Debug, PartialEq)]
pub(super) enum Record {
    /// A statement of the schema.
    Schema(String),
    /// The rows that follow are this table's.
    Table(String, Vec<String>),
    /// A row.
    Row(Vec<Value>),
    /// There is no more, and so many rows stood before.
    End(u64),
}

pub(super) struct Writer<W>(pub W);

impl<W: Write> Writer<W> {
    pub fn schema(&mut self, text: &str) -> Result<(), CopyError> {
        self.0.write_all(b"S")?;
        self.bytes(text.as_bytes())
    }

    pub fn table(&mut self, name: &str, columns: &[String]) -> Result<(), CopyError> {
        self.0.write_all(b"T")?;
        self.bytes(name.as_bytes())?;
        self.length(columns.len())?;
        columns
            .iter()
            .try_for_each(|column| self.bytes(column.as_bytes()))
    }

    pub fn begin_row(&mut self) -> Result<(), CopyError> {
        Ok(self.0.write_all(b"R")?)
    }

    pub fn value(&mut self, value: ValueRef<'_>) -> Result<(), CopyError> {
        match value {
            ValueRef::Null => self.0.write_all(b"n")?,
            ValueRef::Integer(number) => {
                self.0.write_all(b"i")?;
                self.0.write_all(&number.to_be_bytes())?;
            }
            ValueRef::Real(number) => {
                self.0.write_all(b"r")?;
                self.0.write_all(&number.to_bits().to_be_bytes())?;
            }
            ValueRef::Text(bytes) => {
                self.0.write_all(b"t")?;
                self.bytes(bytes)?;
            }
            ValueRef::Blob(bytes) => {
                self.0.write_all(b"b")?;
                self.bytes(bytes)?;
            }
        }
        Ok(())
    }

    pub fn end(&mut self, rows: u64) -> Result<(), CopyError> {
        self.0.write_all(b"E")?;
        Ok(self.0.write_all(&rows.to_be_bytes())?)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), CopyError> {
        self.length(bytes.len())?;
        Ok(self.0.write_all(bytes)?)
    }

    fn length(&mut self, length: usize) -> Result<(), CopyError> {
        let length = u32::try_from(length).map_err(|_| CopyError::Form)?;
        Ok(self.0.write_all(&length.to_be_bytes())?)
    }
}

pub(super) struct Reader<R> {
    from: R,
    columns: usize,
}

impl<R: Read> Reader<R> {
    pub fn new(from: R) -> Self {
        Self { from, columns: 0 }
    }

    /// The next record. Behind the end nothing may follow.
    pub fn next(&mut self) -> Result<Record, CopyError> {
        let [kind] = self.array()?;
        Ok(match kind {
            b'S' => Record::Schema(self.text()?),
            b'T' => {
                let name = self.text()?;
                let count = self.length(COLUMNS_MAX)?;
                let columns = (0..count).map(|_| self.text()).collect::<Result<Vec<_>, _>>()?;
                self.columns = columns.len();
                Record::Table(name, columns)
            }
            b'R' => Record::Row(
                (0..self.columns)
                    .map(|_| self.value())
                    .collect::<Result<_, _>>()?,
            ),
            b'E' => {
                let rows = u64::from_be_bytes(self.array()?);
                if self.from.read(&mut [0])? != 0 {
                    return Err(CopyError::Form);
                }
                Record::End(rows)
            }
            _ => return Err(CopyError::Form),
        })
    }

    fn value(&mut self) -> Result<Value, CopyError> {
        let [kind] = self.array()?;
        Ok(match kind {
            b'n' => Value::Null,
            b'i' => Value::Integer(i64::from_be_bytes(self.array()?)),
            b'r' => Value::Real(f64::from_bits(u64::from_be_bytes(self.array()?))),
            b't' => Value::Text(self.text()?),
            b'b' => Value::Blob(self.bytes()?),
            _ => return Err(CopyError::Form),
        })
    }

    fn text(&mut self) -> Result<String, CopyError> {
        String::from_utf8(self.bytes()?).map_err(|_| CopyError::Form)
    }

    fn bytes(&mut self) -> Result<Vec<u8>, CopyError> {
        let length = self.length(BYTES_MAX)?;
        let mut bytes = Vec::new();
        let read = self.from.by_ref().take(length.into()).read_to_end(&mut bytes)?;
        if u32::try_from(read) == Ok(length) {
            Ok(bytes)
        } else {
            Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
        }
    }

    fn length(&mut self, most: u32) -> Result<u32, CopyError> {
        let length = u32::from_be_bytes(self.array()?);
        if length > most {
            return Err(CopyError::Form);
        }
        Ok(length)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CopyError> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_and_a_copy_that_is_cut_does_not() {
        let values = [
            Value::Null,
            Value::Integer(-7),
            Value::Real(0.5),
            Value::Text("ä".to_owned()),
            Value::Blob(vec![0, 255]),
        ];
        let columns: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).into();
        let mut writer = Writer(Vec::new());
        writer.schema("CREATE TABLE t (a)").expect("written");
        writer.table("t", &columns).expect("written");
        writer.begin_row().expect("written");
        for value in &values {
            writer.value(value.into()).expect("written");
        }
        writer.end(1).expect("written");
        let bytes = writer.0;
        let mut reader = Reader::new(bytes.as_slice());
        let read: Vec<_> = (0..4).map(|_| reader.next().expect("a record")).collect();
        let expected = [
            Record::Schema("CREATE TABLE t (a)".to_owned()),
            Record::Table("t".to_owned(), columns),
            Record::Row(values.into()),
            Record::End(1),
        ];
        assert_eq!(read, expected);
        for cut in 0..bytes.len() {
            let mut reader = Reader::new(&bytes[..cut]);
            let ended = std::iter::repeat_with(|| reader.next())
                .find(|read| matches!(read, Err(_) | Ok(Record::End(_))));
            assert!(matches!(ended, Some(Err(_))), "cut at {cut}");
        }
        let more = [bytes, vec![0]].concat();
        let mut reader = Reader::new(more.as_slice());
        assert!((0..4).any(|_| reader.next().is_err()), "something behind the end");
    }
}
