//! What a database said of a failure, as a code that can be looked up. Its own words are left out: they may hold a row's values.

use sea_orm::{DbErr, RuntimeErr};

use super::connect::StoreError;

impl StoreError {
    /// SQLite's extended code (`SQLite 13` is a full disk, `SQLite 778` a write that failed), PostgreSQL's five characters, or
    /// what became of the connection.
    pub fn cause(&self) -> Option<String> {
        match self {
            StoreError::Embedded(rusqlite::Error::SqliteFailure(error, _)) => {
                Some(format!("SQLite {}", error.extended_code))
            }
            StoreError::Driver(error) => of_driver(error),
            StoreError::Database(DbErr::Conn(error) | DbErr::Exec(error) | DbErr::Query(error)) => {
                match error {
                    RuntimeErr::SqlxError(error) => of_driver(error),
                    RuntimeErr::Internal(_) => None,
                }
            }
            StoreError::CommitUnknown(error) => error.cause(),
            _ => None,
        }
    }
}

fn of_driver(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::Database(error) => error.code().map(|code| format!("SQL {code}")),
        sqlx::Error::Io(error) => Some(error.kind().to_string()),
        sqlx::Error::PoolTimedOut => Some("no connection became free".to_owned()),
        _ => None,
    }
}
