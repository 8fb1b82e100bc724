//! Rows of tenants.

use sea_orm::ActiveValue::Set;

use super::connect::StoreError;
use super::objects::{ColumnOf, Columns, Ids, Kept, Named, RowOf};
use super::routing::parse;
use super::rows::{document, object};
use crate::domain::campaign::Tenant;
use entity::tenant::{ActiveModel, Column, Entity};

impl Kept for Tenant {
    type Entity = Entity;
    type Row = ActiveModel;
    const IS_TENANT: bool = true;

    fn columns() -> Columns<Column> {
        Columns {
            tenant: Column::Tenant,
            number: Column::Tenant,
            id: Column::Id,
        }
    }

    fn row(&self) -> Result<ActiveModel, StoreError> {
        let controller = self.controller.as_ref();
        Ok(ActiveModel {
            tenant: Set(self.object.number),
            id: Set(self.object.id),
            slug: Set(self.slug.clone()),
            time_zone: Set(self.time_zone.clone()),
            controller: Set(controller
                .map(|controller| document(controller, "tenant", "controller"))
                .transpose()?),
            four_eyes: Set(self.four_eyes),
            created_at_ms: Set(self.object.created_at_ms),
            updated_at_ms: Set(self.object.updated_at_ms),
            archived_at_ms: Set(self.object.archived_at_ms),
        })
    }

    fn read(row: RowOf<Self>, _: &Ids) -> Result<Self, StoreError> {
        let controller = row.controller.as_deref();
        Ok(Tenant {
            object: object!(row, row.tenant),
            controller: controller
                .map(|text| parse(text, "tenant", "controller"))
                .transpose()?,
            slug: row.slug,
            time_zone: row.time_zone,
            four_eyes: row.four_eyes,
        })
    }
}

impl Named for Tenant {
    fn name() -> ColumnOf<Self> {
        Column::Slug
    }
}
