//! Evidence packs: what was ordered, and how far it is.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "evidence_pack")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub pack_id: Uuid,
    pub from_ms: i64,
    pub to_ms: i64,
    pub epoch: i64,
    pub size: i64,
    pub note: String,
    pub seed: Vec<u8>,
    pub sample: i64,
    pub credential: Option<String>,
    pub state: String,
    pub seen: i64,
    pub ordered_at_ms: i64,
    pub beat_at_ms: i64,
    pub ended_at_ms: Option<i64>,
    pub bytes: Option<i64>,
    pub sha256: Option<Vec<u8>>,
}

/// Rows are joined by the queries that need it.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
