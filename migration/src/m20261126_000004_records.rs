//! What the decision on a later signal was made on, sealed under the click's key. Rows that are there keep none.

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
        dialect::run(manager, "ALTER TABLE consent_record ADD COLUMN payload {bytes}").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, "ALTER TABLE consent_record DROP COLUMN payload").await
    }
}
