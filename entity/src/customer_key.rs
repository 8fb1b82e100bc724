//! A shop's customer reference, as a keyed hash, and the clicks it stands for.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "customer_key")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub customer_hash: Vec<u8>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub issued_at_ticks: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub click_id: Uuid,
}

/// Rows are joined by the queries that need it.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
