//! Runs of the purge, one for each class: what they removed and what they left.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "retention_run")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub run: i64,
    pub class: String,
    pub cut_off_ms: i64,
    pub started_at_ms: i64,
    pub ended_at_ms: Option<i64>,
    pub removed: i64,
    pub left_held: i64,
    pub left_restricted: i64,
}

/// Rows are joined by the queries that need it.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
