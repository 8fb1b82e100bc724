//! Wrapped keys: making a tenant's, opening them, and the check that the root key is the right one.
//!
//! The root key wraps one tenant key each; the tenant key wraps the rest. Every function takes the random bytes it
//! needs.

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use zeroize::Zeroizing;

use super::connect::{Store, StoreError};
use super::tx::Tx;
use crate::domain::keyring::{KeyPurpose, KeyRing};
use crate::domain::keys::{NONCE_BYTES, Place, Secret};

/// A supply of secret random bytes: `app` passes the system's generator.
pub type Random<'a> = &'a (dyn Fn(&mut [u8]) + Send + Sync);

/// What the database says about the root key that the server was started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootCheck {
    /// The database knows no root key yet.
    Fresh,
    /// It is the one.
    Right,
    /// The database was made under another one, whose public name this is.
    Other(String),
}

const ROOT_SETTING: &str = "root_key";
const AUDIT_SETTING: &str = "audit_key";

fn secret(random: Random<'_>) -> Secret {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    random(&mut *bytes);
    Secret::new(*bytes)
}

fn nonce(random: Random<'_>) -> [u8; NONCE_BYTES] {
    let mut bytes = [0; NONCE_BYTES];
    random(&mut bytes);
    bytes
}

impl Store {
    /// Compares the root key's public name with the one that the database was made under.
    pub async fn check_root(&self, root: Option<&Secret>) -> Result<RootCheck, StoreError> {
        let row = entity::server_setting::Entity::find_by_id(ROOT_SETTING)
            .one(self.reader().connection())
            .await?;
        Ok(match (row, root) {
            (None, _) => RootCheck::Fresh,
            (Some(row), Some(root)) if row.value == root.fingerprint() => RootCheck::Right,
            (Some(row), _) => RootCheck::Other(row.value),
        })
    }
}

impl Store {
    /// The public half of the key that signs this database's checkpoints, in hexadecimal, once there is one.
    pub async fn audit_public_key(&self) -> Result<Option<String>, StoreError> {
        let row = entity::server_setting::Entity::find_by_id(AUDIT_SETTING)
            .one(self.reader().connection())
            .await?;
        Ok(row.map(|row| row.value))
    }
}

impl Tx {
    /// Remembers the public half of the key that signs checkpoints.
    pub async fn adopt_audit_key(&self, public: &str) -> Result<(), StoreError> {
        let row = entity::server_setting::ActiveModel {
            name: Set(AUDIT_SETTING.to_owned()),
            value: Set(public.to_owned()),
        };
        entity::server_setting::Entity::insert(row)
            .exec_without_returning(self.connection())
            .await?;
        Ok(())
    }

    /// Remembers the root key's public name.
    pub async fn adopt_root(&self, root: &Secret) -> Result<(), StoreError> {
        let row = entity::server_setting::ActiveModel {
            name: Set(ROOT_SETTING.to_owned()),
            value: Set(root.fingerprint()),
        };
        entity::server_setting::Entity::insert(row)
            .exec_without_returning(self.connection())
            .await?;
        Ok(())
    }

    /// Makes a new tenant's keys: one version of each, and the epoch key of one month.
    pub async fn make_keys(
        &self,
        tenant: i64,
        root: &Secret,
        epoch: u16,
        now_ms: i64,
        random: Random<'_>,
    ) -> Result<(), StoreError> {
        let tenant_key = secret(random);
        let wrapped = root.seal(
            nonce(random),
            &KeyPurpose::Tenant.place(tenant, 1),
            tenant_key.expose(),
        );
        self.insert_key(tenant, KeyPurpose::Tenant, 1, wrapped, root.fingerprint(), now_ms)
            .await?;
        for purpose in KeyPurpose::STANDING {
            self.make_key(tenant, purpose, 1, &tenant_key, now_ms, random)
                .await?;
        }
        self.make_key(
            tenant,
            KeyPurpose::Epoch,
            u32::from(epoch),
            &tenant_key,
            now_ms,
            random,
        )
        .await
    }

    /// Makes the epoch key of a month, unless it is there.
    pub async fn make_epoch(
        &self,
        tenant: i64,
        root: &Secret,
        epoch: u16,
        now_ms: i64,
        random: Random<'_>,
    ) -> Result<bool, StoreError> {
        let key = (tenant, KeyPurpose::Epoch.code().to_owned(), i64::from(epoch));
        if entity::wrapped_key::Entity::find_by_id(key)
            .one(self.connection())
            .await?
            .is_some()
        {
            return Ok(false);
        }
        let rows = key_rows(self.connection(), tenant).await?;
        let tenant_key = open_tenant_key(&rows, tenant, root)?;
        self.make_key(
            tenant,
            KeyPurpose::Epoch,
            u32::from(epoch),
            &tenant_key,
            now_ms,
            random,
        )
        .await?;
        Ok(true)
    }

    /// A tenant's ring inside this transaction: for sealing HMAC secrets of a tenant that was just made.
    pub async fn ring(&self, tenant: i64, root: &Secret) -> Result<KeyRing, StoreError> {
        let rows = key_rows(self.connection(), tenant).await?;
        assemble(&rows, tenant, root)
    }

    async fn make_key(
        &self,
        tenant: i64,
        purpose: KeyPurpose,
        number: u32,
        tenant_key: &Secret,
        now_ms: i64,
        random: Random<'_>,
    ) -> Result<(), StoreError> {
        let key = secret(random);
        let wrapped = tenant_key.seal(nonce(random), &purpose.place(tenant, number), key.expose());
        self.insert_key(tenant, purpose, number, wrapped, "1".to_owned(), now_ms)
            .await
    }

    async fn insert_key(
        &self,
        tenant: i64,
        purpose: KeyPurpose,
        number: u32,
        wrapped: Vec<u8>,
        wrapped_by: String,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let row = entity::wrapped_key::ActiveModel {
            tenant: Set(tenant),
            purpose: Set(purpose.code().to_owned()),
            number: Set(i64::from(number)),
            wrapped: Set(wrapped),
            wrapped_by: Set(wrapped_by),
            state: Set("primary".to_owned()),
            created_at_ms: Set(now_ms),
        };
        entity::wrapped_key::Entity::insert(row)
            .exec_without_returning(self.connection())
            .await?;
        Ok(())
    }
}

pub(super) async fn key_rows<C: ConnectionTrait>(
    connection: &C,
    tenant: i64,
) -> Result<Vec<entity::wrapped_key::Model>, StoreError> {
    let found = entity::wrapped_key::Entity::find()
        .filter(entity::wrapped_key::Column::Tenant.eq(tenant))
        .all(connection)
        .await?;
    Ok(found)
}

fn open_tenant_key(
    rows: &[entity::wrapped_key::Model],
    tenant: i64,
    root: &Secret,
) -> Result<Secret, StoreError> {
    let row = rows
        .iter()
        .find(|row| row.purpose == KeyPurpose::Tenant.code())
        .ok_or(StoreError::Inconsistent {
            table: "wrapped_key",
            column: "purpose",
        })?;
    Ok(Secret::from_slice(&root.open(
        &KeyPurpose::Tenant.place(tenant, number(row)?),
        &row.wrapped,
    )?)?)
}

fn number(row: &entity::wrapped_key::Model) -> Result<u32, StoreError> {
    u32::try_from(row.number).map_err(|_| StoreError::Inconsistent {
        table: "wrapped_key",
        column: "number",
    })
}

/// Unwraps a tenant's keys.
pub(super) fn assemble(
    rows: &[entity::wrapped_key::Model],
    tenant: i64,
    root: &Secret,
) -> Result<KeyRing, StoreError> {
    let tenant_key = open_tenant_key(rows, tenant, root)?;
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        let purposes = KeyPurpose::STANDING.into_iter().chain([KeyPurpose::Epoch]);
        let Some(purpose) = purposes.into_iter().find(|purpose| purpose.code() == row.purpose) else {
            continue;
        };
        let number = number(row)?;
        let place: Place<'_> = purpose.place(tenant, number);
        keys.push((
            purpose,
            number,
            Secret::from_slice(&tenant_key.open(&place, &row.wrapped)?)?,
        ));
    }
    Ok(KeyRing::assemble(tenant, keys)?)
}
