//! Tracked clicks.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "click")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub issued_at_ticks: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub click_id: Uuid,
    pub campaign: i64,
    pub publisher: i64,
    pub shop: i64,
    pub link: i64,
    pub policy_version: i64,
    pub retention_epoch: i64,
    pub clicked_at_ms: i64,
    pub consent_bits: i64,
    pub signal_kinds: i64,
    pub restricted: bool,
    pub payload: Vec<u8>,
}

/// Rows are joined by the queries that need it.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
