//! Tenants and what they configure, the keys that protect their data, and the counter that tells nodes of a change.
//!
//! The tenant's number leads every key. Within a tenant every object has a number that is never reused (rows are
//! archived, not deleted) and an id that is shown outside.

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
CREATE TABLE server_setting (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
CREATE TABLE routing (
    id BIGINT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL
);
INSERT INTO routing (id, version) VALUES (1, 1);
CREATE TABLE wrapped_key (
    tenant BIGINT NOT NULL,
    purpose TEXT NOT NULL,
    number BIGINT NOT NULL,
    wrapped {bytes} NOT NULL,
    wrapped_by TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, purpose, number)
);
CREATE TABLE tenant (
    tenant BIGINT NOT NULL PRIMARY KEY,
    id {uuid} NOT NULL UNIQUE,
    slug TEXT NOT NULL UNIQUE,
    time_zone TEXT NOT NULL,
    controller TEXT,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    archived_at_ms BIGINT
);
CREATE TABLE policy (
    tenant BIGINT NOT NULL,
    version BIGINT NOT NULL,
    document TEXT NOT NULL,
    author TEXT NOT NULL,
    effective_from_ms BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, version)
);
CREATE TABLE shop (
    tenant BIGINT NOT NULL,
    shop BIGINT NOT NULL,
    id {uuid} NOT NULL UNIQUE,
    slug TEXT NOT NULL,
    reference TEXT NOT NULL UNIQUE,
    landing_hosts TEXT NOT NULL,
    token_parameter TEXT NOT NULL,
    currency TEXT NOT NULL,
    currencies TEXT NOT NULL,
    refusal TEXT,
    auth TEXT NOT NULL,
    ip_allow TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    archived_at_ms BIGINT,
    PRIMARY KEY (tenant, shop),
    UNIQUE (tenant, slug)
);
CREATE TABLE shop_secret (
    tenant BIGINT NOT NULL,
    shop BIGINT NOT NULL,
    slot BIGINT NOT NULL,
    sealed {bytes} NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, shop, slot)
);
CREATE TABLE publisher (
    tenant BIGINT NOT NULL,
    publisher BIGINT NOT NULL,
    id {uuid} NOT NULL UNIQUE,
    slug TEXT NOT NULL,
    explicit_consent TEXT,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    archived_at_ms BIGINT,
    PRIMARY KEY (tenant, publisher),
    UNIQUE (tenant, slug)
);
CREATE TABLE campaign (
    tenant BIGINT NOT NULL,
    campaign BIGINT NOT NULL,
    id {uuid} NOT NULL UNIQUE,
    slug TEXT NOT NULL,
    shop BIGINT NOT NULL,
    landing_url TEXT NOT NULL,
    window_days BIGINT NOT NULL,
    deep_links BOOLEAN NOT NULL,
    fallback_url TEXT,
    starts_at_ms BIGINT,
    ends_at_ms BIGINT,
    paused BOOLEAN NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    archived_at_ms BIGINT,
    PRIMARY KEY (tenant, campaign),
    UNIQUE (tenant, slug)
);
CREATE TABLE goal (
    tenant BIGINT NOT NULL,
    goal BIGINT NOT NULL,
    id {uuid} NOT NULL UNIQUE,
    campaign BIGINT NOT NULL,
    slug TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    archived_at_ms BIGINT,
    PRIMARY KEY (tenant, goal),
    UNIQUE (tenant, campaign, slug)
);
CREATE TABLE link (
    tenant BIGINT NOT NULL,
    link BIGINT NOT NULL,
    id {uuid} NOT NULL UNIQUE,
    slug TEXT NOT NULL UNIQUE,
    campaign BIGINT NOT NULL,
    publisher BIGINT NOT NULL,
    subs TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    archived_at_ms BIGINT,
    PRIMARY KEY (tenant, link)
);
CREATE TABLE account (
    tenant BIGINT NOT NULL,
    account BIGINT NOT NULL,
    id {uuid} NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    shop BIGINT,
    publisher BIGINT,
    password_hash TEXT,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    archived_at_ms BIGINT,
    PRIMARY KEY (tenant, account),
    UNIQUE (tenant, name)
);
CREATE TABLE api_key (
    tenant BIGINT NOT NULL,
    api_key BIGINT NOT NULL,
    id {uuid} NOT NULL UNIQUE,
    hash {bytes} NOT NULL UNIQUE,
    label TEXT NOT NULL,
    role TEXT NOT NULL,
    shop BIGINT,
    publisher BIGINT,
    account BIGINT,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    archived_at_ms BIGINT,
    PRIMARY KEY (tenant, api_key)
);
";

const DOWN: &str = "
DROP TABLE api_key; DROP TABLE account; DROP TABLE link; DROP TABLE goal; DROP TABLE campaign; DROP TABLE publisher;
DROP TABLE shop_secret; DROP TABLE shop; DROP TABLE policy; DROP TABLE tenant; DROP TABLE wrapped_key;
DROP TABLE routing; DROP TABLE server_setting;
";
