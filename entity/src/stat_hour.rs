//! Counts of clicks and conversions by quarter-hour.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stat_hour")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub quarter: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub shop: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub campaign: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub publisher: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub link: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub goal: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub currency: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub outcome: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub lane: i64,
    pub events: i64,
    pub amount_minor: i64,
}

/// Rows are joined by the queries that need it.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
