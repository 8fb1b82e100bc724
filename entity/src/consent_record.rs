//! What was concluded from signals that a shop forwarded without an order, and sealed, what it was concluded from.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "consent_record")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub issued_at_ticks: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub click_id: Uuid,
    pub recorded_at_ms: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub record_id: Uuid,
    pub collector: i64,
    pub consent_bits: i64,
    pub signal_kinds: i64,
    pub policy_version: i64,
    pub payload: Option<Vec<u8>>,
}

/// Rows are joined by the queries that need it.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
