//! Conversions.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "conversion")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub recorded_at_s: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub conversion_id: Uuid,
    pub shop: i64,
    pub campaign: i64,
    pub publisher: i64,
    pub link: i64,
    pub goal: i64,
    pub status: String,
    pub amount_minor: i64,
    pub currency: String,
    pub occurred_at_ms: i64,
    pub updated_at_ms: i64,
    pub test: bool,
    pub policy_version: i64,
    pub retention_epoch: i64,
    pub consent_bits: Option<i64>,
    pub signal_kinds: Option<i64>,
    pub issued_at_ticks: Option<i64>,
    pub click_id: Option<Uuid>,
    pub order_hash: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    pub purged: bool,
    pub restricted: bool,
}

/// Rows are joined by the queries that need it.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
