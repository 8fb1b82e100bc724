//! Changes that wait for, or got, the word of another user.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "approval")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub approval: i64,
    pub id: Uuid,
    pub kind: String,
    pub subject: i64,
    pub state: String,
    pub author: String,
    pub author_account: Option<i64>,
    pub decider: Option<String>,
    pub decider_account: Option<i64>,
    pub decided_at_ms: Option<i64>,
    pub note: Option<String>,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
    pub archived_at_ms: Option<i64>,
}

/// Rows are joined by the queries that need it.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
