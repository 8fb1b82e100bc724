//! Acts of erasing, read back, and what PostgreSQL still has to rewrite after them.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::batch::erase::ErasureCounts;
use super::connect::StoreError;
use super::tx::Reader;
use crate::domain::erasure::{Door, Ground};
use entity::erasure::{Column, Entity, Model};

/// An act of erasing as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Its id.
    pub id: Uuid,
    /// When, in milliseconds since 1970; of a "no" only the hour.
    pub erased_at_ms: i64,
    /// Where it was asked for.
    pub door: Door,
    /// Why.
    pub ground: Ground,
    /// What went.
    pub counts: ErasureCounts,
    /// The audit entry that says so.
    pub entry: Uuid,
}

impl TryFrom<Model> for Erasure {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self, StoreError> {
        let wrong = |column| StoreError::Inconsistent {
            table: "erasure",
            column,
        };
        let count = |value: i64, column| u64::try_from(value).map_err(|_| wrong(column));
        Ok(Self {
            id: row.erasure_id,
            erased_at_ms: row.erased_at_ms,
            door: Door::from_code(&row.door).ok_or_else(|| wrong("door"))?,
            ground: Ground::from_code(&row.reason).ok_or_else(|| wrong("reason"))?,
            counts: ErasureCounts {
                clicks: count(row.clicks, "clicks")?,
                conversions: count(row.conversions, "conversions")?,
                consent_records: count(row.consent_records, "consent_records")?,
                customer_refs: count(row.customer_refs, "customer_refs")?,
                suppressed: count(row.suppressed, "suppressed")?,
            },
            entry: row.entry_id,
        })
    }
}

impl Reader<'_> {
    /// A tenant's acts of erasing behind one of them, oldest first.
    pub async fn erasures(
        &self,
        tenant: i64,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<Erasure>, StoreError> {
        let mut select = Entity::find().filter(Column::Tenant.eq(tenant));
        if let Some(after) = after {
            select = select.filter(Column::ErasureId.gt(after));
        }
        let rows = select
            .order_by_asc(Column::ErasureId)
            .limit(limit)
            .all(self.connection())
            .await?;
        rows.into_iter().map(Erasure::try_from).collect()
    }

    /// One act.
    pub async fn erasure(&self, tenant: i64, id: Uuid) -> Result<Option<Erasure>, StoreError> {
        let row = Entity::find_by_id((tenant, id)).one(self.connection()).await?;
        row.map(Erasure::try_from).transpose()
    }
}
