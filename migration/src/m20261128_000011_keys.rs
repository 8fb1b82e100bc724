//! How often keys were used, and how far rotations are: what they go on from when they are begun again.

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
CREATE TABLE key_use (
    tenant BIGINT NOT NULL,
    purpose TEXT NOT NULL,
    number BIGINT NOT NULL,
    uses BIGINT NOT NULL,
    PRIMARY KEY (tenant, purpose, number)
) {rowless};
CREATE TABLE key_rotation (
    tenant BIGINT NOT NULL,
    kind TEXT NOT NULL,
    number BIGINT NOT NULL,
    from_key TEXT NOT NULL,
    to_key TEXT NOT NULL,
    done BIGINT NOT NULL,
    total BIGINT NOT NULL,
    started_at_ms BIGINT NOT NULL,
    ended_at_ms BIGINT,
    PRIMARY KEY (tenant, kind, number)
) {rowless}
";

const DOWN: &str = "DROP TABLE key_rotation; DROP TABLE key_use";
