//! Reading for one scope: on PostgreSQL every statement is in a transaction that says first for whom it reads.
//!
//! The setting ends with its transaction, so that a connection that goes back to the pool stands for nobody. What is
//! read is never kept, and a transaction is not held from one statement to the next: readers live long.

use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseBackend, DatabaseConnection, DatabaseTransaction, DbErr, ExecResult,
    IsolationLevel, QueryResult, Statement, TransactionTrait,
};

use crate::domain::scope::TenantScope;

/// What the second wall calls a scope.
pub(super) fn named(scope: TenantScope) -> String {
    match scope {
        TenantScope::Only(tenant) => tenant.to_string(),
        TenantScope::Server => EVERY_TENANT.1.to_owned(),
    }
}

/// The connection option of whoever works over all tenants on connections of its own.
pub const EVERY_TENANT: (&str, &str) = ("einklang.tenant", "all");

/// Says, inside a transaction on PostgreSQL, for whom the rest of it is.
pub(super) async fn enter(transaction: &DatabaseTransaction, scope: TenantScope) -> Result<(), DbErr> {
    if transaction.get_database_backend() == DatabaseBackend::Postgres {
        let text = format!("SET LOCAL {} = '{}'", EVERY_TENANT.0, named(scope));
        transaction.execute_unprepared(&text).await?;
    }
    Ok(())
}

/// A connection that reads for a scope.
pub struct Scoped<'a> {
    connection: &'a DatabaseConnection,
    scope: TenantScope,
}

impl<'a> Scoped<'a> {
    pub(super) fn new(connection: &'a DatabaseConnection, scope: TenantScope) -> Self {
        Self { connection, scope }
    }

    /// For several statements that see one moment.
    pub(super) async fn moment(&self) -> Result<DatabaseTransaction, DbErr> {
        let transaction = match self.connection.get_database_backend() {
            DatabaseBackend::Postgres => {
                let (level, access) = (IsolationLevel::RepeatableRead, AccessMode::ReadOnly);
                self.connection
                    .begin_with_config(Some(level), Some(access))
                    .await?
            }
            // A transaction that reads sees one moment.
            _ => self.connection.begin().await?,
        };
        enter(&transaction, self.scope).await?;
        Ok(transaction)
    }

    /// A transaction for one statement; none on SQLite, whose connections for reading cannot write anyway.
    async fn begin(&self) -> Result<Option<DatabaseTransaction>, DbErr> {
        if self.connection.get_database_backend() != DatabaseBackend::Postgres {
            return Ok(None);
        }
        let transaction = self.connection.begin().await?;
        enter(&transaction, self.scope).await?;
        Ok(Some(transaction))
    }
}

/// Ends a transaction that only looked.
async fn end<T>(transaction: DatabaseTransaction, found: T) -> Result<T, DbErr> {
    transaction.rollback().await?;
    Ok(found)
}

#[async_trait]
impl ConnectionTrait for Scoped<'_> {
    fn get_database_backend(&self) -> DatabaseBackend {
        self.connection.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match self.begin().await? {
            Some(transaction) => {
                let done = transaction.execute_raw(statement).await?;
                end(transaction, done).await
            }
            None => self.connection.execute_raw(statement).await,
        }
    }

    async fn execute_unprepared(&self, text: &str) -> Result<ExecResult, DbErr> {
        match self.begin().await? {
            Some(transaction) => {
                let done = transaction.execute_unprepared(text).await?;
                end(transaction, done).await
            }
            None => self.connection.execute_unprepared(text).await,
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match self.begin().await? {
            Some(transaction) => {
                let found = transaction.query_one_raw(statement).await?;
                end(transaction, found).await
            }
            None => self.connection.query_one_raw(statement).await,
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match self.begin().await? {
            Some(transaction) => {
                let found = transaction.query_all_raw(statement).await?;
                end(transaction, found).await
            }
            None => self.connection.query_all_raw(statement).await,
        }
    }
}
