//! What was erased, act by act; nothing in a row names a person.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "erasure")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub erasure_id: Uuid,
    pub erased_at_ms: i64,
    pub door: String,
    pub reason: String,
    pub clicks: i64,
    pub conversions: i64,
    pub consent_records: i64,
    pub customer_refs: i64,
    pub suppressed: i64,
    pub entry_id: Uuid,
}

/// Rows are joined by the queries that need it.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
