//! The audit log: heads, leaves, tiles and checkpoints, and what waits for its place.
//!
//! A leaf's index is its place in the tree and never changes. On PostgreSQL an entry's index is not known when its
//! decision commits, so it waits in `audit_pending`: one row for everything that one transaction has to say, because a
//! row for each entry would cost as much as the decision. On SQLite the ledger places its own entries at once, and
//! `audit_pending` holds management's, one row each. What earlier versions wrote to `audit_entry` waits there as well, and
//! the view of that name shows every entry, placed or not.

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
        let pending = if dialect::is_postgres(manager) {
            POSTGRES_UP
        } else {
            SQLITE_UP
        };
        dialect::run(manager, pending).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let pending = if dialect::is_postgres(manager) {
            POSTGRES_DOWN
        } else {
            SQLITE_DOWN
        };
        dialect::run(manager, pending).await?;
        dialect::run(manager, DOWN).await
    }
}

const UP: &str = "
CREATE TABLE audit_log (
    tenant BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    size BIGINT NOT NULL,
    origin TEXT,
    opened_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, epoch)
) {rowless};
CREATE TABLE audit_leaf (
    tenant BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    entry_id {uuid} NOT NULL,
    body {bytes} NOT NULL,
    hashes {bytes},
    PRIMARY KEY (tenant, epoch, idx)
) {rowless};
CREATE UNIQUE INDEX audit_leaf_by_id ON audit_leaf (tenant, entry_id);
CREATE TABLE audit_tile (
    tenant BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    level BIGINT NOT NULL,
    tile BIGINT NOT NULL,
    hashes {bytes} NOT NULL,
    PRIMARY KEY (tenant, epoch, level, tile)
);
CREATE TABLE audit_checkpoint (
    tenant BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    size BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (tenant, epoch, size)
) {rowless};
CREATE TABLE audit_day (
    tenant BIGINT NOT NULL,
    day BIGINT NOT NULL,
    PRIMARY KEY (tenant, day)
) {rowless};
CREATE INDEX audit_checkpoint_by_time ON audit_checkpoint (tenant, at_ms)
";

const SQLITE_UP: &str = "
ALTER TABLE audit_entry RENAME TO audit_pending;
CREATE VIEW audit_entry AS
    SELECT tenant, entry_id, body, hashes FROM audit_leaf
    UNION ALL SELECT tenant, entry_id, body, hashes FROM audit_pending
";

/// What is packed is not compressed again: it is read once, a moment later.
const POSTGRES_UP: &str = "
CREATE TABLE audit_pending (
    written_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    batch_id UUID NOT NULL DEFAULT gen_random_uuid(),
    tenants BIGINT[] NOT NULL,
    entry_ids UUID[] NOT NULL,
    bodies BYTEA[] NOT NULL,
    hashes BYTEA[] NOT NULL,
    PRIMARY KEY (written_at, batch_id)
);
ALTER TABLE audit_pending ALTER COLUMN bodies SET STORAGE EXTERNAL;
ALTER TABLE audit_pending ALTER COLUMN hashes SET STORAGE EXTERNAL;
ALTER TABLE audit_leaf ALTER COLUMN hashes SET STORAGE EXTERNAL;
ALTER TABLE audit_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;
INSERT INTO audit_pending (tenants, entry_ids, bodies, hashes)
    SELECT ARRAY[tenant], ARRAY[entry_id], ARRAY[body], ARRAY[hashes] FROM audit_entry;
DROP TABLE audit_entry;
CREATE VIEW audit_entry AS
    SELECT tenant, entry_id, body, hashes FROM audit_leaf
    UNION ALL SELECT one.tenant, one.entry_id, one.body, one.hashes
    FROM audit_pending, unnest(tenants, entry_ids, bodies, hashes) AS one (tenant, entry_id, body, hashes)
";

const SQLITE_DOWN: &str = "
DROP VIEW audit_entry;
INSERT INTO audit_pending (tenant, entry_id, body, hashes)
    SELECT tenant, entry_id, body, hashes FROM audit_leaf WHERE 1;
ALTER TABLE audit_pending RENAME TO audit_entry
";

const POSTGRES_DOWN: &str = "
DROP VIEW audit_entry;
CREATE TABLE audit_entry (
    tenant BIGINT NOT NULL,
    entry_id UUID NOT NULL,
    body BYTEA NOT NULL,
    hashes BYTEA,
    PRIMARY KEY (tenant, entry_id)
);
INSERT INTO audit_entry SELECT tenant, entry_id, body, hashes FROM audit_leaf;
INSERT INTO audit_entry
    SELECT one.* FROM audit_pending, unnest(tenants, entry_ids, bodies, hashes) AS one (tenant, entry_id, body, hashes);
DROP TABLE audit_pending
";

const DOWN: &str = "
DROP TABLE audit_day; DROP TABLE audit_checkpoint; DROP TABLE audit_tile; DROP TABLE audit_leaf; DROP TABLE audit_log
";
