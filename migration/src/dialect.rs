//! What differs between SQLite and PostgreSQL, in one place.
//!
//! A schema text uses `{bytes}` and `{uuid}` for types, `{rowless}` behind tables that SQLite clusters by their key,
//! `{by:COLUMN}` behind tables that PostgreSQL partitions by that column's range, and `{new_uuid}` for an id of its own in
//! every row that a statement copies.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DatabaseBackend};

/// Runs every statement of a schema text, in this database's dialect.
pub async fn run(manager: &SchemaManager<'_>, text: &str) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let backend = connection.get_database_backend();
    for statement in text
        .split(';')
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
    {
        connection
            .execute_unprepared(&translate(statement, backend))
            .await?;
    }
    Ok(())
}

/// One statement in a database's dialect.
fn translate(statement: &str, backend: DatabaseBackend) -> String {
    let postgres = backend == DatabaseBackend::Postgres;
    let text = statement
        .replace("{bytes}", if postgres { "BYTEA" } else { "BLOB" })
        .replace("{uuid}", if postgres { "UUID" } else { "BLOB" })
        .replace(
            "{new_uuid}",
            if postgres {
                "gen_random_uuid()"
            } else {
                "randomblob(16)"
            },
        )
        .replace("{vault}", if postgres { "vault." } else { "" })
        .replace("{rowless}", if postgres { "" } else { "WITHOUT ROWID" });
    match text.split_once("{by:") {
        None => text,
        Some((head, tail)) => match tail.split_once('}') {
            Some((column, rest)) if postgres => format!("{head}PARTITION BY RANGE ({column}){rest}"),
            Some((_, rest)) => format!("{head}WITHOUT ROWID{rest}"),
            None => head.to_owned(),
        },
    }
}

/// Whether this is PostgreSQL.
pub fn is_postgres(manager: &SchemaManager<'_>) -> bool {
    manager.get_connection().get_database_backend() == DatabaseBackend::Postgres
}
