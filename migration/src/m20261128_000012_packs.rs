//! Evidence packs: what was ordered, how far it is, and the finished file in pieces.

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
CREATE TABLE evidence_pack (
    tenant BIGINT NOT NULL,
    pack_id {uuid} NOT NULL,
    from_ms BIGINT NOT NULL,
    to_ms BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    size BIGINT NOT NULL,
    note TEXT NOT NULL,
    seed {bytes} NOT NULL,
    sample BIGINT NOT NULL,
    credential TEXT,
    state TEXT NOT NULL,
    seen BIGINT NOT NULL,
    ordered_at_ms BIGINT NOT NULL,
    beat_at_ms BIGINT NOT NULL,
    ended_at_ms BIGINT,
    bytes BIGINT,
    sha256 {bytes},
    PRIMARY KEY (tenant, pack_id)
);
CREATE TABLE evidence_pack_part (
    tenant BIGINT NOT NULL,
    pack_id {uuid} NOT NULL,
    part BIGINT NOT NULL,
    content {bytes} NOT NULL,
    PRIMARY KEY (tenant, pack_id, part)
)
";

const DOWN: &str = "DROP TABLE evidence_pack_part; DROP TABLE evidence_pack";
