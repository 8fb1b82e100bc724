//! Uniqueness of orders.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "order_key")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub shop: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub goal: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub test: bool,
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_hash: Vec<u8>,
    pub conversion_id: Uuid,
    pub content_hash: Vec<u8>,
    pub issued_at_ticks: i64,
    pub click_id: Uuid,
    pub expires_at_s: i64,
}

/// Rows are joined by the queries that need it.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
