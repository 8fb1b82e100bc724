//! Rows of holds. A lifted one stays: the trail and whoever audits name it.

use sea_orm::ActiveValue::Set;

use super::connect::StoreError;
use super::objects::{Columns, Ids, Kept, RowOf, Target};
use super::routing::word;
use super::rows::object;
use crate::domain::hold::Hold;
use entity::hold::{ActiveModel, Column, Entity};

impl Kept for Hold {
    type Entity = Entity;
    type Row = ActiveModel;

    fn columns() -> Columns<Column> {
        Columns {
            tenant: Column::Tenant,
            number: Column::Hold,
            id: Column::Id,
        }
    }

    fn row(&self) -> Result<ActiveModel, StoreError> {
        Ok(ActiveModel {
            tenant: Set(self.object.tenant),
            hold: Set(self.object.number),
            id: Set(self.object.id),
            class: Set(self.class.code().to_owned()),
            campaign: Set(self.campaign.map(|campaign| campaign.number)),
            reason: Set(self.reason.code().to_owned()),
            reference: Set(self.reference.clone()),
            from_ms: Set(self.from_ms),
            until_ms: Set(self.until_ms),
            review_at_ms: Set(self.review_at_ms),
            author: Set(self.author.clone()),
            created_at_ms: Set(self.object.created_at_ms),
            updated_at_ms: Set(self.object.updated_at_ms),
            archived_at_ms: Set(self.object.archived_at_ms),
        })
    }

    fn names(row: &RowOf<Self>) -> Vec<(Target, i64)> {
        row.campaign
            .map(|number| (Target::Campaign, number))
            .into_iter()
            .collect()
    }

    fn read(row: RowOf<Self>, ids: &Ids) -> Result<Self, StoreError> {
        Ok(Hold {
            object: object!(row, row.hold),
            class: word(&row.class, "hold", "class")?,
            campaign: ids.maybe(Target::Campaign, row.campaign, "hold")?,
            reason: word(&row.reason, "hold", "reason")?,
            reference: row.reference,
            from_ms: row.from_ms,
            until_ms: row.until_ms,
            review_at_ms: row.review_at_ms,
            author: row.author,
        })
    }

    fn taken(_: &str) -> &'static str {
        "hold"
    }
}
