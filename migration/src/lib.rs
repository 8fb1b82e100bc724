//! The schema and its history: one file per migration, never changed once released.
//!
//! Both databases get the same tables from the same text; what differs stands in [`dialect`]. Nothing here names the
//! `entity` crate: rows may move on, history may not.

pub mod dialect;
mod m20261124_000001_objects;
mod m20261124_000002_ledger;
mod m20261125_000003_policies;
mod m20261126_000004_records;
mod m20261128_000005_audit;
mod m20261128_000006_tokens;
mod m20261128_000007_edges;
mod m20261128_000008_erasures;
mod m20261128_000009_requests;
mod m20261128_000010_retention;
mod m20261128_000011_keys;
mod m20261128_000012_packs;
mod m20261128_000013_wall;
mod m20261128_000014_grants;
mod m20261128_000015_restrictions;
mod m20261128_000016_salt_blocks;

pub use sea_orm_migration::MigrationStatus;
pub use sea_orm_migration::prelude::MigratorTrait;
use sea_orm_migration::prelude::*;

/// Runs the migrations in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_000001_objects::Migration),
            Box::new(m20261124_000002_ledger::Migration),
            Box::new(m20261125_000003_policies::Migration),
            Box::new(m20261126_000004_records::Migration),
            Box::new(m20261128_000005_audit::Migration),
            Box::new(m20261128_000006_tokens::Migration),
            Box::new(m20261128_000007_edges::Migration),
            Box::new(m20261128_000008_erasures::Migration),
            Box::new(m20261128_000009_requests::Migration),
            Box::new(m20261128_000010_retention::Migration),
            Box::new(m20261128_000011_keys::Migration),
            Box::new(m20261128_000012_packs::Migration),
            Box::new(m20261128_000013_wall::Migration),
            Box::new(m20261128_000014_grants::Migration),
            Box::new(m20261128_000015_restrictions::Migration),
            Box::new(m20261128_000016_salt_blocks::Migration),
        ]
    }
}
