//! Rows of campaigns, goals and tracking links.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use super::connect::StoreError;
use super::objects::{ColumnOf, Columns, Ids, Kept, Named, RowOf, Target, read_rows};
use super::routing::parse;
use super::rows::{document, object};
use super::tx::Tx;
use crate::domain::campaign::{Campaign, Goal, Link};
use entity::{campaign, goal, link};

impl Kept for Campaign {
    type Entity = campaign::Entity;
    type Row = campaign::ActiveModel;

    fn columns() -> Columns<campaign::Column> {
        Columns {
            tenant: campaign::Column::Tenant,
            number: campaign::Column::Campaign,
            id: campaign::Column::Id,
        }
    }

    fn row(&self) -> Result<campaign::ActiveModel, StoreError> {
        Ok(campaign::ActiveModel {
            tenant: Set(self.object.tenant),
            campaign: Set(self.object.number),
            id: Set(self.object.id),
            slug: Set(self.slug.clone()),
            shop: Set(self.shop.number),
            landing_url: Set(self.landing_url.clone()),
            window_days: Set(self.window_days),
            deep_links: Set(self.deep_links),
            fallback_url: Set(self.fallback_url.clone()),
            starts_at_ms: Set(self.starts_at_ms),
            ends_at_ms: Set(self.ends_at_ms),
            paused: Set(self.paused),
            created_at_ms: Set(self.object.created_at_ms),
            updated_at_ms: Set(self.object.updated_at_ms),
            archived_at_ms: Set(self.object.archived_at_ms),
        })
    }

    fn names(row: &RowOf<Self>) -> Vec<(Target, i64)> {
        vec![(Target::Shop, row.shop)]
    }

    fn read(row: RowOf<Self>, ids: &Ids) -> Result<Self, StoreError> {
        Ok(Campaign {
            object: object!(row, row.campaign),
            shop: ids.of(Target::Shop, row.shop, "campaign")?,
            slug: row.slug,
            landing_url: row.landing_url,
            window_days: row.window_days,
            deep_links: row.deep_links,
            fallback_url: row.fallback_url,
            starts_at_ms: row.starts_at_ms,
            ends_at_ms: row.ends_at_ms,
            paused: row.paused,
        })
    }
}

impl Named for Campaign {
    fn name() -> ColumnOf<Self> {
        campaign::Column::Slug
    }
}

impl Kept for Goal {
    type Entity = goal::Entity;
    type Row = goal::ActiveModel;

    fn columns() -> Columns<goal::Column> {
        Columns {
            tenant: goal::Column::Tenant,
            number: goal::Column::Goal,
            id: goal::Column::Id,
        }
    }

    fn row(&self) -> Result<goal::ActiveModel, StoreError> {
        Ok(goal::ActiveModel {
            tenant: Set(self.object.tenant),
            goal: Set(self.object.number),
            id: Set(self.object.id),
            campaign: Set(self.campaign.number),
            slug: Set(self.slug.clone()),
            created_at_ms: Set(self.object.created_at_ms),
            updated_at_ms: Set(self.object.updated_at_ms),
            archived_at_ms: Set(self.object.archived_at_ms),
        })
    }

    fn names(row: &RowOf<Self>) -> Vec<(Target, i64)> {
        vec![(Target::Campaign, row.campaign)]
    }

    fn read(row: RowOf<Self>, ids: &Ids) -> Result<Self, StoreError> {
        Ok(Goal {
            object: object!(row, row.goal),
            campaign: ids.of(Target::Campaign, row.campaign, "goal")?,
            slug: row.slug,
        })
    }
}

impl Kept for Link {
    type Entity = link::Entity;
    type Row = link::ActiveModel;

    fn columns() -> Columns<link::Column> {
        Columns {
            tenant: link::Column::Tenant,
            number: link::Column::Link,
            id: link::Column::Id,
        }
    }

    fn row(&self) -> Result<link::ActiveModel, StoreError> {
        Ok(link::ActiveModel {
            tenant: Set(self.object.tenant),
            link: Set(self.object.number),
            id: Set(self.object.id),
            slug: Set(self.slug.clone()),
            campaign: Set(self.campaign.number),
            publisher: Set(self.publisher.number),
            subs: Set(document(&self.subs, "link", "subs")?),
            created_at_ms: Set(self.object.created_at_ms),
            updated_at_ms: Set(self.object.updated_at_ms),
            archived_at_ms: Set(self.object.archived_at_ms),
        })
    }

    fn names(row: &RowOf<Self>) -> Vec<(Target, i64)> {
        vec![
            (Target::Campaign, row.campaign),
            (Target::Publisher, row.publisher),
        ]
    }

    fn read(row: RowOf<Self>, ids: &Ids) -> Result<Self, StoreError> {
        Ok(Link {
            object: object!(row, row.link),
            campaign: ids.of(Target::Campaign, row.campaign, "link")?,
            publisher: ids.of(Target::Publisher, row.publisher, "link")?,
            subs: parse(&row.subs, "link", "subs")?,
            slug: row.slug,
        })
    }
}

impl Named for Link {
    fn name() -> ColumnOf<Self> {
        link::Column::Slug
    }
}

impl Tx {
    /// A shop's campaigns that are not archived.
    pub async fn campaigns_of(&self, tenant: i64, shop: i64) -> Result<Vec<Campaign>, StoreError> {
        let select = campaign::Entity::find()
            .filter(campaign::Column::Tenant.eq(tenant))
            .filter(campaign::Column::Shop.eq(shop))
            .filter(campaign::Column::ArchivedAtMs.is_null());
        read_rows(self.connection(), tenant, select).await
    }

    /// A campaign's goal by its slug.
    pub async fn goal_of(&self, tenant: i64, campaign: i64, slug: &str) -> Result<Option<Goal>, StoreError> {
        let select = goal::Entity::find()
            .filter(goal::Column::Tenant.eq(tenant))
            .filter(goal::Column::Campaign.eq(campaign))
            .filter(goal::Column::Slug.eq(slug));
        Ok(read_rows(self.connection(), tenant, select).await?.pop())
    }
}
