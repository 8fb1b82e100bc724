//! Policies: drafts and versions; their documents never change.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "policy")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub policy: i64,
    pub id: Uuid,
    pub version: Option<i64>,
    pub document: String,
    pub author: String,
    pub author_account: Option<i64>,
    pub reason: Option<String>,
    pub replaces: Option<i64>,
    pub approval: Option<i64>,
    pub requested_from_ms: Option<i64>,
    pub effective_from_ms: Option<i64>,
    pub rejected: bool,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
    pub archived_at_ms: Option<i64>,
}

/// Rows are joined by the queries that need it.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
