//! Rows of users and API keys.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::connect::StoreError;
use super::objects::{ColumnOf, Columns, Ids, Kept, Named, RowOf, Target, read_rows};
use super::rows::object;
use super::tx::Tx;
use crate::domain::access::Role;
use crate::domain::campaign::{ApiKey, User};
use crate::domain::credential::PasswordHash;
use entity::{account, api_key};

fn role(word: &str, table: &'static str) -> Result<Role, StoreError> {
    Role::from_code(word).ok_or(StoreError::Inconsistent {
        table,
        column: "role",
    })
}

/// The objects that a user's or key's row may name.
fn bindings(shop: Option<i64>, publisher: Option<i64>, user: Option<i64>) -> Vec<(Target, i64)> {
    let named = [
        (Target::Shop, shop),
        (Target::Publisher, publisher),
        (Target::User, user),
    ];
    named
        .into_iter()
        .filter_map(|(target, number)| Some((target, number?)))
        .collect()
}

impl Kept for User {
    type Entity = account::Entity;
    type Row = account::ActiveModel;

    fn columns() -> Columns<account::Column> {
        Columns {
            tenant: account::Column::Tenant,
            number: account::Column::Account,
            id: account::Column::Id,
        }
    }

    fn row(&self) -> Result<account::ActiveModel, StoreError> {
        Ok(account::ActiveModel {
            tenant: Set(self.object.tenant),
            account: Set(self.object.number),
            id: Set(self.object.id),
            name: Set(self.name.clone()),
            role: Set(self.role.code().to_owned()),
            shop: Set(self.shop.map(|shop| shop.number)),
            publisher: Set(self.publisher.map(|publisher| publisher.number)),
            password_hash: Set(self.password.as_ref().map(|hash| hash.as_str().to_owned())),
            created_at_ms: Set(self.object.created_at_ms),
            updated_at_ms: Set(self.object.updated_at_ms),
            archived_at_ms: Set(self.object.archived_at_ms),
        })
    }

    fn names(row: &RowOf<Self>) -> Vec<(Target, i64)> {
        bindings(row.shop, row.publisher, None)
    }

    fn read(row: RowOf<Self>, ids: &Ids) -> Result<Self, StoreError> {
        let broken = StoreError::Inconsistent {
            table: "account",
            column: "password_hash",
        };
        let password = match row.password_hash.as_deref() {
            Some(text) => Some(PasswordHash::parse(text).ok_or(broken)?),
            None => None,
        };
        Ok(User {
            object: object!(row, row.account),
            role: role(&row.role, "account")?,
            shop: ids.maybe(Target::Shop, row.shop, "account")?,
            publisher: ids.maybe(Target::Publisher, row.publisher, "account")?,
            name: row.name,
            password,
        })
    }

    fn taken(_: &str) -> &'static str {
        "name"
    }
}

impl Named for User {
    fn name() -> ColumnOf<Self> {
        account::Column::Name
    }
}

impl Kept for ApiKey {
    type Entity = api_key::Entity;
    type Row = api_key::ActiveModel;

    fn columns() -> Columns<api_key::Column> {
        Columns {
            tenant: api_key::Column::Tenant,
            number: api_key::Column::ApiKey,
            id: api_key::Column::Id,
        }
    }

    fn row(&self) -> Result<api_key::ActiveModel, StoreError> {
        Ok(api_key::ActiveModel {
            tenant: Set(self.object.tenant),
            api_key: Set(self.object.number),
            id: Set(self.object.id),
            hash: Set(self.hash.to_vec()),
            label: Set(self.label.clone()),
            role: Set(self.role.code().to_owned()),
            shop: Set(self.shop.map(|shop| shop.number)),
            publisher: Set(self.publisher.map(|publisher| publisher.number)),
            account: Set(self.user.map(|user| user.number)),
            created_at_ms: Set(self.object.created_at_ms),
            updated_at_ms: Set(self.object.updated_at_ms),
            archived_at_ms: Set(self.object.archived_at_ms),
        })
    }

    fn names(row: &RowOf<Self>) -> Vec<(Target, i64)> {
        bindings(row.shop, row.publisher, row.account)
    }

    fn read(row: RowOf<Self>, ids: &Ids) -> Result<Self, StoreError> {
        let hash = row.hash.as_slice().try_into();
        Ok(ApiKey {
            object: object!(row, row.api_key),
            role: role(&row.role, "api_key")?,
            shop: ids.maybe(Target::Shop, row.shop, "api_key")?,
            publisher: ids.maybe(Target::Publisher, row.publisher, "api_key")?,
            user: ids.maybe(Target::User, row.account, "api_key")?,
            hash: hash.map_err(|_| StoreError::Inconsistent {
                table: "api_key",
                column: "hash",
            })?,
            label: row.label,
        })
    }

    fn taken(_: &str) -> &'static str {
        "api_key"
    }
}

/// Whose API keys are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOwner {
    /// The server's operator's.
    Operator,
    /// A publisher's.
    Publisher(i64),
    /// A user's.
    User(i64),
}

impl Tx {
    /// An owner's keys that are not archived, oldest first.
    pub async fn keys_of(&self, tenant: i64, owner: KeyOwner) -> Result<Vec<ApiKey>, StoreError> {
        use api_key::Column;
        let theirs = match owner {
            KeyOwner::Operator => Column::Role.eq(Role::Operator.code()),
            KeyOwner::Publisher(number) => Column::Publisher.eq(number),
            KeyOwner::User(number) => Column::Account.eq(number),
        };
        let select = api_key::Entity::find()
            .filter(Column::Tenant.eq(tenant))
            .filter(Column::ArchivedAtMs.is_null())
            .filter(theirs)
            .order_by_asc(Column::ApiKey);
        read_rows(self.connection(), tenant, select).await
    }

    /// The tenant's key with this digest, archived or not.
    pub async fn key_with(&self, tenant: i64, hash: &[u8; 32]) -> Result<Option<ApiKey>, StoreError> {
        use api_key::Column;
        let select = api_key::Entity::find()
            .filter(Column::Tenant.eq(tenant))
            .filter(Column::Hash.eq(hash.to_vec()));
        Ok(read_rows(self.connection(), tenant, select).await?.pop())
    }
}
