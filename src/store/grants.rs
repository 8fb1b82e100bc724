//! Rows of grants for the server's operator. A revoked one stays: the trail names it.

use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::connect::StoreError;
use super::objects::{Columns, Ids, Kept, RowOf, read_rows};
use super::routing::word;
use super::rows::object;
use super::tx::{Reader, Tx};
use crate::domain::grant::OperatorGrant;
use entity::operator_grant::{ActiveModel, Column, Entity};

impl Kept for OperatorGrant {
    type Entity = Entity;
    type Row = ActiveModel;

    fn columns() -> Columns<Column> {
        Columns {
            tenant: Column::Tenant,
            number: Column::OperatorGrant,
            id: Column::Id,
        }
    }

    fn row(&self) -> Result<ActiveModel, StoreError> {
        Ok(ActiveModel {
            tenant: Set(self.object.tenant),
            operator_grant: Set(self.object.number),
            id: Set(self.object.id),
            reason: Set(self.reason.code().to_owned()),
            reference: Set(self.reference.clone()),
            unmasked: Set(self.unmasked),
            ends_at_ms: Set(self.ends_at_ms),
            author: Set(self.author.clone()),
            created_at_ms: Set(self.object.created_at_ms),
            updated_at_ms: Set(self.object.updated_at_ms),
            archived_at_ms: Set(self.object.archived_at_ms),
        })
    }

    fn read(row: RowOf<Self>, _: &Ids) -> Result<Self, StoreError> {
        Ok(OperatorGrant {
            object: object!(row, row.operator_grant),
            reason: word(&row.reason, "operator_grant", "reason")?,
            reference: row.reference,
            unmasked: row.unmasked,
            ends_at_ms: row.ends_at_ms,
            author: row.author,
        })
    }

    fn taken(_: &str) -> &'static str {
        "operator_grant"
    }
}

/// A tenant's grants that are neither over nor revoked.
async fn in_force<C: ConnectionTrait>(
    connection: &C,
    tenant: i64,
    now_ms: i64,
) -> Result<Vec<OperatorGrant>, StoreError> {
    let select = Entity::find()
        .filter(Column::Tenant.eq(tenant))
        .filter(Column::ArchivedAtMs.is_null())
        .filter(Column::EndsAtMs.gt(now_ms));
    read_rows(connection, tenant, select).await
}

impl Reader<'_> {
    /// A tenant's grants that are neither over nor revoked.
    pub async fn grants_in_force(&self, tenant: i64, now_ms: i64) -> Result<Vec<OperatorGrant>, StoreError> {
        in_force(self.connection(), tenant, now_ms).await
    }
}

impl Tx {
    /// The same, as it stands in the transaction that a look is entered with.
    pub async fn grants_in_force(&self, tenant: i64, now_ms: i64) -> Result<Vec<OperatorGrant>, StoreError> {
        in_force(self.connection(), tenant, now_ms).await
    }
}
