//! Requests of people, without what names them.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "subject_request")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub request: i64,
    pub id: Uuid,
    pub external_id: Option<Uuid>,
    pub source: String,
    pub kind: String,
    pub lift: bool,
    pub regulation: String,
    pub status: String,
    pub submitted_at_ms: i64,
    pub received_at_ms: i64,
    pub due_on: String,
    pub due_at_ms: i64,
    pub extension: Option<String>,
    pub assignee: Option<i64>,
    pub ground: Option<String>,
    pub results_count: Option<i64>,
    pub done_at_ms: Option<i64>,
    pub closed_at_ms: Option<i64>,
    pub updated_at_ms: i64,
    pub case_key: Option<Vec<u8>>,
    pub subject: Option<Vec<u8>>,
}

/// Rows are joined by the queries that need it.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
