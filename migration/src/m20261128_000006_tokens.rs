//! Tokens that were revoked before their end: their names, until then. The token itself is nowhere.

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
        dialect::run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, DOWN).await
    }
}

const UP: &str = "
CREATE TABLE revoked_token (
    token_id {uuid} NOT NULL PRIMARY KEY,
    tenant BIGINT NOT NULL,
    expires_at_s BIGINT NOT NULL
) {rowless}
";

const DOWN: &str = "DROP TABLE revoked_token";
