//! What is known about keys without opening any, and how often they were used.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    Statement, Value,
};

use super::connect::StoreError;
use super::keys::root_setting;
use super::tx::{Reader, Tx};
use crate::domain::key_life::KeyState;
use crate::domain::keyring::KeyPurpose;

/// A key as its row shows it.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct KeyRow {
    /// The tenant's number.
    pub tenant: i64,
    /// What it is for.
    pub purpose: String,
    /// Its number: a version, a key id, or the month since January 1970.
    pub number: i64,
    /// The version of the tenant key that wraps it, or the root key's public name.
    pub wrapped_by: String,
    /// Whether it is still used for what is new.
    pub state: String,
    /// When it was made.
    pub created_at_ms: i64,
    /// How often it was used, as far as that is counted.
    pub uses: Option<i64>,
}

/// A rotation, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationRow {
    /// The tenant's number; 0 for the root key.
    pub tenant: i64,
    /// `root` or `tenant`.
    pub kind: String,
    /// Counts the rotations of its kind.
    pub number: i64,
    /// The key that wrapped before.
    pub from: String,
    /// The key that wraps now.
    pub to: String,
    /// How many rows are wrapped anew.
    pub done: i64,
    /// How many there were when it began.
    pub total: i64,
    /// When it began.
    pub started_at_ms: i64,
    /// When it ended.
    pub ended_at_ms: Option<i64>,
}

impl From<entity::key_rotation::Model> for RotationRow {
    fn from(row: entity::key_rotation::Model) -> Self {
        Self {
            tenant: row.tenant,
            kind: row.kind,
            number: row.number,
            from: row.from_key,
            to: row.to_key,
            done: row.done,
            total: row.total,
            started_at_ms: row.started_at_ms,
            ended_at_ms: row.ended_at_ms,
        }
    }
}

const ALL: &str = "SELECT k.tenant, k.purpose, k.number, k.wrapped_by, k.state, k.created_at_ms, u.uses \
     FROM wrapped_key k LEFT JOIN key_use u \
     ON u.tenant = k.tenant AND u.purpose = k.purpose AND u.number = k.number";
const ORDER: &str = "ORDER BY k.tenant, k.purpose, k.number";
const ADD: &str = "INSERT INTO key_use (tenant, purpose, number, uses) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (tenant, purpose, number) DO UPDATE SET uses = key_use.uses + excluded.uses";

async fn key_list<C: ConnectionTrait>(
    connection: &C,
    tenant: Option<i64>,
) -> Result<Vec<KeyRow>, StoreError> {
    let (text, values) = match tenant {
        Some(tenant) => (format!("{ALL} WHERE k.tenant = $1 {ORDER}"), vec![tenant.into()]),
        None => (format!("{ALL} {ORDER}"), Vec::<Value>::new()),
    };
    let select = Statement::from_sql_and_values(connection.get_database_backend(), text, values);
    Ok(KeyRow::find_by_statement(select).all(connection).await?)
}

impl Reader<'_> {
    /// Keys of a tenant, or of all tenants.
    pub async fn key_rows(&self, tenant: Option<i64>) -> Result<Vec<KeyRow>, StoreError> {
        key_list(self.connection(), tenant).await
    }

    /// The latest rotation of each kind, of a tenant (0: the server) or of all.
    pub async fn key_rotations(&self, tenant: Option<i64>) -> Result<Vec<RotationRow>, StoreError> {
        use entity::key_rotation::{Column, Entity};
        let mut query = Entity::find()
            .order_by_asc(Column::Tenant)
            .order_by_asc(Column::Kind)
            .order_by_desc(Column::Number);
        if let Some(tenant) = tenant {
            query = query.filter(Column::Tenant.eq(tenant));
        }
        let rows = query.all(self.connection()).await?;
        let mut latest: Vec<RotationRow> = rows.into_iter().map(RotationRow::from).collect();
        latest.dedup_by(|later, kept| (later.tenant, &later.kind) == (kept.tenant, &kept.kind));
        Ok(latest)
    }

    /// The public name of the root key that the database is under.
    pub async fn root_name(&self) -> Result<Option<String>, StoreError> {
        root_setting(self.connection()).await
    }
}

impl Tx {
    /// Keys of a tenant, as this transaction sees them.
    pub async fn key_list(&self, tenant: i64) -> Result<Vec<KeyRow>, StoreError> {
        key_list(self.connection(), Some(tenant)).await
    }

    /// Counts uses of a key.
    pub async fn add_uses(
        &self,
        tenant: i64,
        purpose: KeyPurpose,
        number: u32,
        uses: i64,
    ) -> Result<(), StoreError> {
        let values: Vec<Value> = vec![
            tenant.into(),
            purpose.code().into(),
            i64::from(number).into(),
            uses.into(),
        ];
        let connection = self.connection();
        let add = Statement::from_sql_and_values(connection.get_database_backend(), ADD, values);
        connection.execute_raw(add).await?;
        Ok(())
    }

    /// Marks a key as one that only opens.
    pub async fn retire_key(&self, tenant: i64, purpose: KeyPurpose, number: i64) -> Result<(), StoreError> {
        use entity::wrapped_key::{ActiveModel, Entity};
        let row = ActiveModel {
            tenant: Set(tenant),
            purpose: Set(purpose.code().to_owned()),
            number: Set(number),
            state: Set(KeyState::Retired.code().to_owned()),
            ..Default::default()
        };
        Entity::update(row).exec(self.connection()).await?;
        Ok(())
    }

    /// Destroys a key: its row is gone, and with it all that it alone opens.
    pub async fn destroy_key(
        &self,
        tenant: i64,
        purpose: KeyPurpose,
        number: i64,
    ) -> Result<bool, StoreError> {
        let key = (tenant, purpose.code().to_owned(), number);
        let gone = entity::wrapped_key::Entity::delete_by_id(key.clone())
            .exec(self.connection())
            .await?;
        entity::key_use::Entity::delete_by_id(key)
            .exec(self.connection())
            .await?;
        Ok(gone.rows_affected > 0)
    }
}
