//! Retention: a tenant's own rules, holds, runs of the purge, what remains of consent records, and who purges now.
//!
//! A conversion whose details had their time is marked, so that it is told from one whose person was erased. Test
//! conversions get an index of their own, since they go by themselves; it holds nothing but them.

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
ALTER TABLE conversion ADD COLUMN purged BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX conversion_test ON conversion (tenant, recorded_at_s) WHERE test;
CREATE TABLE retention_rule (
    tenant BIGINT NOT NULL,
    class TEXT NOT NULL,
    days BIGINT NOT NULL,
    reason TEXT,
    author TEXT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, class)
);
CREATE TABLE retention_run (
    tenant BIGINT NOT NULL,
    run BIGINT NOT NULL,
    class TEXT NOT NULL,
    cut_off_ms BIGINT NOT NULL,
    started_at_ms BIGINT NOT NULL,
    ended_at_ms BIGINT,
    removed BIGINT NOT NULL,
    left_held BIGINT NOT NULL,
    left_restricted BIGINT NOT NULL,
    PRIMARY KEY (tenant, run)
);
CREATE TABLE purge_lease (
    id BIGINT NOT NULL PRIMARY KEY,
    holder {uuid},
    until_ms BIGINT NOT NULL
);
INSERT INTO purge_lease (id, holder, until_ms) VALUES (1, NULL, 0);
CREATE TABLE hold (
    tenant BIGINT NOT NULL,
    hold BIGINT NOT NULL,
    id {uuid} NOT NULL UNIQUE,
    class TEXT NOT NULL,
    campaign BIGINT,
    reason TEXT NOT NULL,
    reference TEXT NOT NULL,
    from_ms BIGINT NOT NULL,
    until_ms BIGINT,
    review_at_ms BIGINT NOT NULL,
    author TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    archived_at_ms BIGINT,
    PRIMARY KEY (tenant, hold)
);
CREATE TABLE consent_proof (
    tenant BIGINT NOT NULL,
    recorded_at_ms BIGINT NOT NULL,
    record_id {bytes} NOT NULL,
    consent_bits BIGINT NOT NULL,
    policy_version BIGINT NOT NULL,
    PRIMARY KEY (tenant, recorded_at_ms, record_id)
) {rowless};
";

const DOWN: &str = "
DROP TABLE consent_proof; DROP TABLE hold; DROP TABLE purge_lease; DROP TABLE retention_run; DROP TABLE retention_rule;
DROP INDEX conversion_test;
ALTER TABLE conversion DROP COLUMN purged;
";
