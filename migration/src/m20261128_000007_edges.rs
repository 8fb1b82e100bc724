//! The hashes of the entries that no full tile holds yet, as they were when the log was last signed: without them a change
//! of one of the last entries contradicts what was signed, but nothing says which one it was.

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
CREATE TABLE audit_edge (
    tenant BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    size BIGINT NOT NULL,
    hashes {bytes} NOT NULL,
    PRIMARY KEY (tenant, epoch)
) {rowless}
";

const DOWN: &str = "DROP TABLE audit_edge";
