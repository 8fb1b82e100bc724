//! Policies as documents with a life of their own: drafts beside versions, effective times, approvals, and the counts of
//! what a draft would have said otherwise.
//!
//! A row's `document` never changes. A draft has no `version`; a version that waits for an approval has no
//! `effective_from_ms` yet. The versions that are there keep their numbers and get ids.

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
ALTER TABLE tenant ADD COLUMN four_eyes BOOLEAN NOT NULL DEFAULT FALSE;
CREATE TABLE policy_next (
    tenant BIGINT NOT NULL,
    policy BIGINT NOT NULL,
    id {uuid} NOT NULL UNIQUE,
    version BIGINT,
    document TEXT NOT NULL,
    author TEXT NOT NULL,
    author_account BIGINT,
    reason TEXT,
    replaces BIGINT,
    approval BIGINT,
    requested_from_ms BIGINT,
    effective_from_ms BIGINT,
    rejected BOOLEAN NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    archived_at_ms BIGINT,
    PRIMARY KEY (tenant, policy),
    UNIQUE (tenant, version)
);
INSERT INTO policy_next (tenant, policy, id, version, document, author, replaces, requested_from_ms, effective_from_ms,
    rejected, created_at_ms, updated_at_ms)
SELECT tenant, version, {new_uuid}, version, document, author, CASE WHEN version > 1 THEN version - 1 END,
    effective_from_ms, effective_from_ms, FALSE, created_at_ms, created_at_ms FROM policy;
DROP TABLE policy;
ALTER TABLE policy_next RENAME TO policy;
CREATE TABLE approval (
    tenant BIGINT NOT NULL,
    approval BIGINT NOT NULL,
    id {uuid} NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    subject BIGINT NOT NULL,
    state TEXT NOT NULL,
    author TEXT NOT NULL,
    author_account BIGINT,
    decider TEXT,
    decider_account BIGINT,
    decided_at_ms BIGINT,
    note TEXT,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    archived_at_ms BIGINT,
    PRIMARY KEY (tenant, approval)
);
CREATE TABLE stat_shadow (
    tenant BIGINT NOT NULL,
    draft BIGINT NOT NULL,
    day BIGINT NOT NULL,
    campaign BIGINT NOT NULL,
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    draft_outcome TEXT NOT NULL,
    draft_reason TEXT NOT NULL,
    lane BIGINT NOT NULL,
    events BIGINT NOT NULL,
    PRIMARY KEY (tenant, draft, day, campaign, kind, outcome, reason, draft_outcome, draft_reason, lane)
) {rowless};
";

const DOWN: &str = "
DROP TABLE stat_shadow; DROP TABLE approval;
CREATE TABLE policy_before (
    tenant BIGINT NOT NULL,
    version BIGINT NOT NULL,
    document TEXT NOT NULL,
    author TEXT NOT NULL,
    effective_from_ms BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, version)
);
INSERT INTO policy_before (tenant, version, document, author, effective_from_ms, created_at_ms)
SELECT tenant, version, document, author, effective_from_ms, created_at_ms FROM policy
WHERE version IS NOT NULL AND effective_from_ms IS NOT NULL;
DROP TABLE policy;
ALTER TABLE policy_before RENAME TO policy;
ALTER TABLE tenant DROP COLUMN four_eyes;
";
