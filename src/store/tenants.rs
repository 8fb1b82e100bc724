//! Rows of tenants and their policy versions.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::connect::StoreError;
use super::objects::{ColumnOf, Columns, Ids, Kept, Named, RowOf};
use super::routing::{load_policy, parse, policy_version};
use super::rows::{document, object};
use super::tx::{Reader, Tx};
use crate::domain::campaign::Tenant;
use crate::domain::policy::PolicyVersion;
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
        })
    }
}

impl Named for Tenant {
    fn name() -> ColumnOf<Self> {
        Column::Slug
    }
}

impl Reader<'_> {
    /// The policy in force.
    pub async fn policy(&self, tenant: i64, now_ms: i64) -> Result<PolicyVersion, StoreError> {
        load_policy(self.connection(), tenant, now_ms).await
    }
}

impl Tx {
    /// The newest policy version; none while the tenant is being made.
    pub async fn newest_policy(&self, tenant: i64) -> Result<Option<PolicyVersion>, StoreError> {
        let row = entity::policy::Entity::find()
            .filter(entity::policy::Column::Tenant.eq(tenant))
            .order_by_desc(entity::policy::Column::Version)
            .one(self.connection())
            .await?;
        row.as_ref().map(policy_version).transpose()
    }

    /// Writes a policy version that is in force at once.
    pub async fn insert_policy(
        &self,
        tenant: i64,
        version: &PolicyVersion,
        author: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let row = entity::policy::ActiveModel {
            tenant: Set(tenant),
            version: Set(i64::from(version.version)),
            document: Set(document(&version.policy, "policy", "document")?),
            author: Set(author.to_owned()),
            effective_from_ms: Set(now_ms),
            created_at_ms: Set(now_ms),
        };
        entity::policy::Entity::insert(row)
            .exec_without_returning(self.connection())
            .await?;
        Ok(())
    }
}
