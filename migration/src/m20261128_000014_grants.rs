//! Grants for the server's operator: a tenant's leave to look at decrypted data, until a time.

use sea_orm_migration::prelude::*;

use super::dialect;

/// This migration.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, UP).await?;
        if dialect::is_postgres(manager) {
            dialect::run(manager, "SELECT second_wall('operator_grant')").await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, DOWN).await
    }
}

const UP: &str = "
CREATE TABLE operator_grant (
    tenant BIGINT NOT NULL,
    operator_grant BIGINT NOT NULL,
    id {uuid} NOT NULL UNIQUE,
    reason TEXT NOT NULL,
    reference TEXT NOT NULL,
    unmasked BOOLEAN NOT NULL,
    ends_at_ms BIGINT NOT NULL,
    author TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    archived_at_ms BIGINT,
    PRIMARY KEY (tenant, operator_grant)
)
";

const DOWN: &str = "DROP TABLE operator_grant";
