//! Requests of people: their cases, what happened in each, and callbacks that wait to be sent.
//!
//! A case's `subject` is what names the person, sealed under `case_key`, which is wrapped by the tenant's key for secrets.
//! Both are emptied when the case is closed; the rest of the row names nobody and stays for three years. A callback's
//! `payload` is its address and its body, sealed by the tenant's key for secrets: an address may hold one. `due_at_ms` is
//! the first moment that is too late.

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
CREATE TABLE subject_request (
    tenant BIGINT NOT NULL,
    request BIGINT NOT NULL,
    id {uuid} NOT NULL,
    external_id {uuid},
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    lift BOOLEAN NOT NULL,
    regulation TEXT NOT NULL,
    status TEXT NOT NULL,
    submitted_at_ms BIGINT NOT NULL,
    received_at_ms BIGINT NOT NULL,
    due_on TEXT NOT NULL,
    due_at_ms BIGINT NOT NULL,
    extension TEXT,
    assignee BIGINT,
    ground TEXT,
    results_count BIGINT,
    done_at_ms BIGINT,
    closed_at_ms BIGINT,
    updated_at_ms BIGINT NOT NULL,
    case_key {bytes},
    subject {bytes},
    PRIMARY KEY (tenant, request)
) {rowless};
CREATE UNIQUE INDEX subject_request_id ON subject_request (tenant, id);
CREATE UNIQUE INDEX subject_request_external_id ON subject_request (tenant, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX subject_request_due ON subject_request (tenant, due_at_ms)
    WHERE status IN ('pending', 'in_progress');
CREATE INDEX subject_request_closed ON subject_request (closed_at_ms);
CREATE TABLE subject_request_event (
    tenant BIGINT NOT NULL,
    request BIGINT NOT NULL,
    position BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    event TEXT NOT NULL,
    actor TEXT NOT NULL,
    code TEXT,
    PRIMARY KEY (tenant, request, position)
) {rowless};
CREATE TABLE subject_request_callback (
    tenant BIGINT NOT NULL,
    callback {uuid} NOT NULL,
    request BIGINT NOT NULL,
    status TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    next_at_ms BIGINT NOT NULL,
    payload {bytes} NOT NULL,
    PRIMARY KEY (tenant, callback)
) {rowless};
CREATE INDEX subject_request_callback_next ON subject_request_callback (next_at_ms)
";

const DOWN: &str = "
DROP TABLE subject_request_callback;
DROP TABLE subject_request_event;
DROP TABLE subject_request
";
