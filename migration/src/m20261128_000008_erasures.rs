//! What was erased, act by act: when, through which door, why and how much, with the audit entry that says so. Nothing in
//! a row names a person. `remains` says in which months' salts PostgreSQL still has to rewrite what erasures left behind;
//! a month's rows go when that is done, and only those that were there before it began.

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
CREATE TABLE erasure (
    tenant BIGINT NOT NULL,
    erasure_id {uuid} NOT NULL,
    erased_at_ms BIGINT NOT NULL,
    door TEXT NOT NULL,
    reason TEXT NOT NULL,
    clicks BIGINT NOT NULL,
    conversions BIGINT NOT NULL,
    consent_records BIGINT NOT NULL,
    customer_refs BIGINT NOT NULL,
    suppressed BIGINT NOT NULL,
    entry_id {uuid} NOT NULL,
    PRIMARY KEY (tenant, erasure_id)
) {rowless};
CREATE TABLE remains (
    month BIGINT NOT NULL,
    erasure_id {uuid} NOT NULL,
    owed_since_ms BIGINT NOT NULL,
    PRIMARY KEY (month, erasure_id)
) {rowless};
";

const DOWN: &str = "DROP TABLE remains; DROP TABLE erasure";
