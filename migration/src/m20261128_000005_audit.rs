//! The audit log: heads, leaves, tiles and checkpoints, and what waits for its place.
//!
//! A leaf's index is its place in the tree and never changes. On PostgreSQL an entry's index is not known when its
//! decision commits, so it waits in `audit_pending`: one row for everything that one transaction has to say, because a
//! row for each entry would cost as much as the decision. The hashes of a batch's clicks are not part of its leaf; they
//! stand in `audit_batch` from the decision on and never move. On SQLite the ledger places its own entries at once, and
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
    PRIMARY KEY (tenant, epoch, idx)
) {rowless};
CREATE TABLE audit_batch (
    tenant BIGINT NOT NULL,
    entry_id {uuid} NOT NULL,
    hashes {bytes} NOT NULL,
    PRIMARY KEY (tenant, entry_id)
);
INSERT INTO audit_batch SELECT tenant, entry_id, hashes FROM audit_entry WHERE hashes IS NOT NULL;
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
ALTER TABLE audit_pending DROP COLUMN hashes;
CREATE VIEW audit_entry AS
    SELECT one.tenant, one.entry_id, one.body, b.hashes FROM (
        SELECT tenant, entry_id, body FROM audit_leaf UNION ALL SELECT tenant, entry_id, body FROM audit_pending) AS one
    LEFT JOIN audit_batch AS b ON b.tenant = one.tenant AND b.entry_id = one.entry_id
";

/// What is packed is not compressed again: it is read once, a moment later.
const POSTGRES_UP: &str = "
CREATE TABLE audit_pending (
    written_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    batch_id UUID NOT NULL DEFAULT gen_random_uuid(),
    tenants BIGINT[] NOT NULL,
    entry_ids UUID[] NOT NULL,
    bodies BYTEA[] NOT NULL,
    PRIMARY KEY (written_at, batch_id)
);
ALTER TABLE audit_pending ALTER COLUMN bodies SET STORAGE EXTERNAL;
ALTER TABLE audit_batch ALTER COLUMN hashes SET STORAGE EXTERNAL;
ALTER TABLE audit_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;
INSERT INTO audit_pending (tenants, entry_ids, bodies)
    SELECT ARRAY[tenant], ARRAY[entry_id], ARRAY[body] FROM audit_entry;
DROP TABLE audit_entry;
CREATE VIEW audit_entry AS
    SELECT one.tenant, one.entry_id, one.body, b.hashes FROM (
        SELECT tenant, entry_id, body FROM audit_leaf
        UNION ALL SELECT p.tenant, p.entry_id, p.body
        FROM audit_pending, unnest(tenants, entry_ids, bodies) AS p (tenant, entry_id, body)) AS one
    LEFT JOIN audit_batch AS b ON b.tenant = one.tenant AND b.entry_id = one.entry_id
";

const SQLITE_DOWN: &str = "
DROP VIEW audit_entry;
INSERT INTO audit_pending (tenant, entry_id, body) SELECT tenant, entry_id, body FROM audit_leaf;
ALTER TABLE audit_pending ADD COLUMN hashes BLOB;
UPDATE audit_pending SET hashes = (SELECT b.hashes FROM audit_batch AS b
    WHERE b.tenant = audit_pending.tenant AND b.entry_id = audit_pending.entry_id);
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
INSERT INTO audit_entry SELECT tenant, entry_id, body FROM audit_leaf;
INSERT INTO audit_entry
    SELECT one.* FROM audit_pending, unnest(tenants, entry_ids, bodies) AS one (tenant, entry_id, body);
UPDATE audit_entry SET hashes = b.hashes FROM audit_batch AS b
    WHERE b.tenant = audit_entry.tenant AND b.entry_id = audit_entry.entry_id;
DROP TABLE audit_pending
";

const DOWN: &str = "
DROP TABLE audit_batch; DROP TABLE audit_day; DROP TABLE audit_checkpoint; DROP TABLE audit_tile; DROP TABLE audit_leaf; DROP TABLE audit_log
";
