//! The ledger: clicks, salts, consent records, conversions, suppression, counters and the audit trail.
//!
//! Clicks and salts are keyed (tenant, tick, click id), all of which the token carries, so inserts stay at the right
//! edge; a tick is 1/256 of a second. A click's orders are found through its conversions, so orders need no index by
//! click. The consent record of a click stands in the click's row, that of a postback in its conversion's; signals that
//! the shop forwards without an order have a table of their own. A unique key cannot span PostgreSQL's partitions, so the uniqueness of orders has a table of its own. Salts
//! stand in a schema of their own on PostgreSQL: what separates them from the data is the backup.

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
        if dialect::is_postgres(manager) {
            dialect::run(manager, "CREATE SCHEMA IF NOT EXISTS vault").await?;
        }
        dialect::run(manager, UP).await?;
        if dialect::is_postgres(manager) {
            // Rows outside the months that exist are never lost; the months themselves are made ahead of time.
            dialect::run(manager, DEFAULT_PARTITIONS).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, DOWN).await
    }
}

const UP: &str = "
CREATE TABLE click (
    tenant BIGINT NOT NULL,
    issued_at_ticks BIGINT NOT NULL,
    click_id {uuid} NOT NULL,
    campaign BIGINT NOT NULL,
    publisher BIGINT NOT NULL,
    shop BIGINT NOT NULL,
    link BIGINT NOT NULL,
    policy_version BIGINT NOT NULL,
    retention_epoch BIGINT NOT NULL,
    clicked_at_ms BIGINT NOT NULL,
    consent_bits BIGINT NOT NULL,
    signal_kinds BIGINT NOT NULL,
    restricted BOOLEAN NOT NULL,
    payload {bytes} NOT NULL,
    PRIMARY KEY (tenant, issued_at_ticks, click_id)
) {by:issued_at_ticks};
CREATE TABLE {vault}click_salt (
    tenant BIGINT NOT NULL,
    issued_at_ticks BIGINT NOT NULL,
    click_id {uuid} NOT NULL,
    salt {bytes} NOT NULL,
    PRIMARY KEY (tenant, issued_at_ticks, click_id)
) {by:issued_at_ticks};
CREATE TABLE consent_record (
    tenant BIGINT NOT NULL,
    issued_at_ticks BIGINT NOT NULL,
    click_id {uuid} NOT NULL,
    recorded_at_ms BIGINT NOT NULL,
    record_id {uuid} NOT NULL,
    collector BIGINT NOT NULL,
    consent_bits BIGINT NOT NULL,
    signal_kinds BIGINT NOT NULL,
    policy_version BIGINT NOT NULL,
    PRIMARY KEY (tenant, issued_at_ticks, click_id, record_id)
) {by:issued_at_ticks};
CREATE TABLE conversion (
    tenant BIGINT NOT NULL,
    recorded_at_s BIGINT NOT NULL,
    conversion_id {uuid} NOT NULL,
    shop BIGINT NOT NULL,
    campaign BIGINT NOT NULL,
    publisher BIGINT NOT NULL,
    link BIGINT NOT NULL,
    goal BIGINT NOT NULL,
    status TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency CHAR(3) NOT NULL,
    occurred_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    test BOOLEAN NOT NULL,
    policy_version BIGINT NOT NULL,
    retention_epoch BIGINT NOT NULL,
    consent_bits BIGINT,
    signal_kinds BIGINT,
    issued_at_ticks BIGINT,
    click_id {uuid},
    order_hash {bytes},
    payload {bytes},
    PRIMARY KEY (tenant, recorded_at_s, conversion_id)
) {by:recorded_at_s};
CREATE INDEX conversion_by_click ON conversion (tenant, issued_at_ticks, click_id);
CREATE TABLE order_key (
    tenant BIGINT NOT NULL,
    shop BIGINT NOT NULL,
    goal BIGINT NOT NULL,
    test BOOLEAN NOT NULL,
    order_hash {bytes} NOT NULL,
    conversion_id {uuid} NOT NULL,
    content_hash {bytes} NOT NULL,
    issued_at_ticks BIGINT NOT NULL,
    click_id {uuid} NOT NULL,
    expires_at_s BIGINT NOT NULL,
    PRIMARY KEY (tenant, shop, goal, test, order_hash)
) {rowless};
CREATE TABLE customer_key (
    tenant BIGINT NOT NULL,
    customer_hash {bytes} NOT NULL,
    issued_at_ticks BIGINT NOT NULL,
    click_id {uuid} NOT NULL,
    PRIMARY KEY (tenant, customer_hash, issued_at_ticks, click_id)
) {rowless};
CREATE INDEX customer_key_by_click ON customer_key (tenant, issued_at_ticks, click_id);
CREATE TABLE suppression (
    tenant BIGINT NOT NULL,
    entry {bytes} NOT NULL,
    expires_at_s BIGINT NOT NULL,
    PRIMARY KEY (tenant, entry)
) {rowless};
CREATE TABLE stat_hour (
    tenant BIGINT NOT NULL,
    quarter BIGINT NOT NULL,
    shop BIGINT NOT NULL,
    campaign BIGINT NOT NULL,
    publisher BIGINT NOT NULL,
    link BIGINT NOT NULL,
    goal BIGINT NOT NULL,
    currency TEXT NOT NULL,
    outcome TEXT NOT NULL,
    lane BIGINT NOT NULL,
    events BIGINT NOT NULL,
    amount_minor BIGINT NOT NULL,
    PRIMARY KEY (tenant, quarter, shop, campaign, publisher, link, goal, currency, outcome, lane)
) {rowless};
CREATE TABLE stat_refused (
    tenant BIGINT NOT NULL,
    day BIGINT NOT NULL,
    shop BIGINT NOT NULL,
    campaign BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    lane BIGINT NOT NULL,
    events BIGINT NOT NULL,
    PRIMARY KEY (tenant, day, shop, campaign, outcome, reason, lane)
) {rowless};
CREATE TABLE stat_untracked (
    tenant BIGINT NOT NULL,
    day BIGINT NOT NULL,
    campaign BIGINT NOT NULL,
    reason TEXT NOT NULL,
    policy_version BIGINT NOT NULL,
    lane BIGINT NOT NULL,
    events BIGINT NOT NULL,
    PRIMARY KEY (tenant, day, campaign, reason, policy_version, lane)
) {rowless};
CREATE TABLE audit_entry (
    tenant BIGINT NOT NULL,
    entry_id {uuid} NOT NULL,
    body {bytes} NOT NULL,
    hashes {bytes},
    PRIMARY KEY (tenant, entry_id)
) {rowless};
";

const DEFAULT_PARTITIONS: &str = "
CREATE TABLE click_default PARTITION OF click DEFAULT;
CREATE TABLE vault.click_salt_default PARTITION OF vault.click_salt DEFAULT;
CREATE TABLE consent_record_default PARTITION OF consent_record DEFAULT;
CREATE TABLE conversion_default PARTITION OF conversion DEFAULT;
";

const DOWN: &str = "
DROP TABLE audit_entry; DROP TABLE stat_untracked; DROP TABLE stat_refused; DROP TABLE stat_hour;
DROP TABLE suppression; DROP TABLE customer_key; DROP TABLE order_key; DROP TABLE conversion;
DROP TABLE consent_record; DROP TABLE {vault}click_salt; DROP TABLE click;
";
