//! Wrapped keys: making a tenant's, opening them, and the check that the root key is the right one.
//!
//! A root key wraps the versions of each tenant's key, and a version of the tenant key wraps the rest; each row names what
//! wrapped it. Every function takes the random bytes it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use zeroize::Zeroizing;

use super::connect::{Store, StoreError};
use super::roots::{RootKey, Roots};
use super::tx::Tx;
use crate::domain::key_life::KeyState;
use crate::domain::keyring::{KeyPurpose, KeyRing};
use crate::domain::keys::{KeyError, NONCE_BYTES, Secret};
use crate::domain::scope::TenantScope;
use entity::wrapped_key::Model as Row;

/// A supply of secret random bytes: `app` passes the system's generator.
pub type Random<'a> = &'a (dyn Fn(&mut [u8]) + Send + Sync);

/// What the database says about the root keys that the server was started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootCheck {
    /// The database knows no root key yet.
    Fresh,
    /// It is the primary one.
    Right,
    /// It is another one of those that are here, whose public name this is: a rotation is due.
    Due(String),
    /// The database was made under another one, whose public name this is.
    Other(String),
}

const ROOT_SETTING: &str = "root_key";
const AUDIT_SETTING: &str = "audit_key";
const BROKEN_WRAPPED_BY: StoreError = StoreError::Inconsistent {
    table: "wrapped_key",
    column: "wrapped_by",
};

pub(super) fn secret(random: Random<'_>) -> Secret {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    random(&mut *bytes);
    Secret::new(*bytes)
}

pub(super) fn nonce(random: Random<'_>) -> [u8; NONCE_BYTES] {
    let mut bytes = [0; NONCE_BYTES];
    random(&mut bytes);
    bytes
}

/// The public name of the root key that the database is under.
pub(super) async fn root_setting<C: ConnectionTrait>(connection: &C) -> Result<Option<String>, StoreError> {
    let row = entity::server_setting::Entity::find_by_id(ROOT_SETTING)
        .one(connection)
        .await?;
    Ok(row.map(|row| row.value))
}

impl Store {
    /// Compares the root keys' public names with the one that the database is under. None: there is no key here.
    pub async fn check_root(&self, roots: Option<&Roots>) -> Result<RootCheck, StoreError> {
        let Some(wanted) = root_setting(self.reader(TenantScope::Server).connection()).await? else {
            return Ok(RootCheck::Fresh);
        };
        Ok(match roots {
            Some(roots) if roots.primary().name() == wanted => RootCheck::Right,
            Some(roots) if roots.named(&wanted).is_some() => RootCheck::Due(wanted),
            _ => RootCheck::Other(wanted),
        })
    }
}

impl Store {
    /// The public half of the key that signs this database's checkpoints, in hexadecimal, once there is one.
    pub async fn audit_public_key(&self) -> Result<Option<String>, StoreError> {
        let row = entity::server_setting::Entity::find_by_id(AUDIT_SETTING)
            .one(self.reader(TenantScope::Server).connection())
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

    /// Remembers the root key's public name, in place of the one before it.
    pub async fn adopt_root(&self, name: &str) -> Result<(), StoreError> {
        use entity::server_setting::{ActiveModel, Column, Entity};
        let row = ActiveModel {
            name: Set(ROOT_SETTING.to_owned()),
            value: Set(name.to_owned()),
        };
        let conflict = sea_orm::sea_query::OnConflict::column(Column::Name)
            .update_column(Column::Value)
            .to_owned();
        Entity::insert(row)
            .on_conflict(conflict)
            .exec_without_returning(self.connection())
            .await?;
        Ok(())
    }

    /// The root key that wraps a tenant's key: the tenant's own, or the one that the database is under.
    pub async fn wrapping_root(&self, roots: &Roots, slug: &str) -> Result<Arc<dyn RootKey>, StoreError> {
        if let Some(own) = roots.own(slug) {
            return Ok(Arc::clone(own));
        }
        match root_setting(self.connection()).await? {
            Some(name) => roots.named(&name).cloned().ok_or(StoreError::Locked),
            None => Ok(Arc::clone(roots.primary())),
        }
    }

    /// Makes a new tenant's keys: one version of each, and the epoch key of one month.
    pub async fn make_keys(
        &self,
        tenant: i64,
        root: &dyn RootKey,
        epoch: u16,
        now_ms: i64,
        random: Random<'_>,
    ) -> Result<(), StoreError> {
        let key = self.make_tenant_key(tenant, 1, root, now_ms, random).await?;
        for purpose in KeyPurpose::STANDING {
            self.make_key(tenant, (purpose, 1), &key, now_ms, random).await?;
        }
        self.make_key(tenant, (KeyPurpose::Epoch, epoch.into()), &key, now_ms, random)
            .await
    }

    /// Makes a version of a tenant's key.
    pub(super) async fn make_tenant_key(
        &self,
        tenant: i64,
        number: u32,
        root: &dyn RootKey,
        now_ms: i64,
        random: Random<'_>,
    ) -> Result<TenantKey, StoreError> {
        let key = secret(random);
        let place = KeyPurpose::Tenant.place(tenant, number);
        let wrapped = root.wrap(place, nonce(random), &key).await?;
        self.insert_key(tenant, (KeyPurpose::Tenant, number), wrapped, root.name(), now_ms)
            .await?;
        Ok(TenantKey { number, secret: key })
    }

    /// Makes the epoch key of a month, unless it is there.
    pub async fn make_epoch(
        &self,
        tenant: i64,
        roots: &Roots,
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
        let tenant_key = self.newest_tenant_key(tenant, roots).await?;
        self.make_key(
            tenant,
            (KeyPurpose::Epoch, epoch.into()),
            &tenant_key,
            now_ms,
            random,
        )
        .await?;
        Ok(true)
    }

    /// The version of a tenant's key that wraps.
    pub(super) async fn newest_tenant_key(
        &self,
        tenant: i64,
        roots: &Roots,
    ) -> Result<TenantKey, StoreError> {
        let rows = key_rows(self.connection(), tenant).await?;
        let mut opened = open_tenant_keys(&rows, tenant, roots)
            .await?
            .ok_or(StoreError::Locked)?;
        let (number, secret) = opened.pop_last().ok_or(StoreError::Inconsistent {
            table: "wrapped_key",
            column: "purpose",
        })?;
        Ok(TenantKey { number, secret })
    }

    /// A tenant's ring inside this transaction: for sealing HMAC secrets of a tenant that was just made.
    pub async fn ring(&self, tenant: i64, roots: &Roots) -> Result<KeyRing, StoreError> {
        let rows = key_rows(self.connection(), tenant).await?;
        assemble(&rows, tenant, roots).await?.ok_or(StoreError::Locked)
    }

    /// Makes a key and wraps it under a version of the tenant's.
    pub(super) async fn make_key(
        &self,
        tenant: i64,
        (purpose, number): (KeyPurpose, u32),
        tenant_key: &TenantKey,
        now_ms: i64,
        random: Random<'_>,
    ) -> Result<(), StoreError> {
        let place = purpose.place(tenant, number);
        let key = secret(random);
        let wrapped = tenant_key.secret.seal(nonce(random), &place, key.expose());
        let wrapped_by = tenant_key.number.to_string();
        self.insert_key(tenant, (purpose, number), wrapped, wrapped_by, now_ms)
            .await?;
        self.add_uses(tenant, KeyPurpose::Tenant, tenant_key.number, 1)
            .await
    }

    async fn insert_key(
        &self,
        tenant: i64,
        (purpose, number): (KeyPurpose, u32),
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
            state: Set(KeyState::Primary.code().to_owned()),
            created_at_ms: Set(now_ms),
        };
        entity::wrapped_key::Entity::insert(row)
            .exec_without_returning(self.connection())
            .await?;
        Ok(())
    }
}

/// A version of a tenant's key, open.
pub(super) struct TenantKey {
    pub(super) number: u32,
    pub(super) secret: Secret,
}

pub(super) async fn key_rows<C: ConnectionTrait>(
    connection: &C,
    tenant: i64,
) -> Result<Vec<Row>, StoreError> {
    let found = entity::wrapped_key::Entity::find()
        .filter(entity::wrapped_key::Column::Tenant.eq(tenant))
        .all(connection)
        .await?;
    Ok(found)
}

/// What a row is a key for; words that nobody knows are an error.
pub(super) fn purpose(row: &Row) -> Result<KeyPurpose, StoreError> {
    let purposes = KeyPurpose::STANDING
        .into_iter()
        .chain([KeyPurpose::Epoch, KeyPurpose::Tenant]);
    let found = purposes.into_iter().find(|purpose| purpose.code() == row.purpose);
    found.ok_or(StoreError::Inconsistent {
        table: "wrapped_key",
        column: "purpose",
    })
}

pub(super) fn number(row: &Row) -> Result<u32, StoreError> {
    u32::try_from(row.number).map_err(|_| StoreError::Inconsistent {
        table: "wrapped_key",
        column: "number",
    })
}

/// The version of the tenant key that wrapped a row.
pub(super) fn wrapped_by(row: &Row) -> Result<u32, StoreError> {
    row.wrapped_by.parse().map_err(|_| BROKEN_WRAPPED_BY)
}

/// A key that does not open is named: its row is damaged, or was moved.
fn damaged(row: &Row, purpose: KeyPurpose) -> StoreError {
    StoreError::KeyRow {
        tenant: row.tenant,
        purpose: purpose.code(),
        number: row.number,
    }
}

/// Opens a row that a version of the tenant key wrapped.
pub(super) fn open_row(row: &Row, tenant_key: &Secret) -> Result<Secret, StoreError> {
    let purpose = purpose(row)?;
    let place = purpose.place(row.tenant, number(row)?);
    let opened = tenant_key.open(&place, &row.wrapped);
    let secret = opened.and_then(|bytes| Secret::from_slice(&bytes));
    secret.map_err(|_| damaged(row, purpose))
}

/// Opens a version of a tenant's key; none if its root key is not here.
pub(super) async fn open_tenant_row(row: &Row, roots: &Roots) -> Result<Option<Secret>, StoreError> {
    let Some(root) = roots.named(&row.wrapped_by) else {
        return Ok(None);
    };
    let place = KeyPurpose::Tenant.place(row.tenant, number(row)?);
    match root.open(place, &row.wrapped).await {
        Ok(secret) => Ok(Some(secret)),
        Err(KeyError::Unreachable) => Ok(None),
        Err(_) => Err(damaged(row, KeyPurpose::Tenant)),
    }
}

/// Opens the versions of a tenant's key that are needed: the newest, and those that wrap something. None if the root key of
/// one of them is not here.
pub(super) async fn open_tenant_keys(
    rows: &[Row],
    tenant: i64,
    roots: &Roots,
) -> Result<Option<BTreeMap<u32, Secret>>, StoreError> {
    let is_tenant_key = |row: &&Row| row.purpose == KeyPurpose::Tenant.code();
    let mut needed = BTreeSet::new();
    for row in rows.iter().filter(|row| !is_tenant_key(row)) {
        needed.insert(wrapped_by(row)?);
    }
    let mut versions = BTreeMap::new();
    for row in rows.iter().filter(is_tenant_key) {
        versions.insert(number(row)?, row);
    }
    needed.extend(versions.last_key_value().map(|(number, _)| *number));
    let mut opened = BTreeMap::new();
    for number in needed {
        let row = versions.get(&number).ok_or(StoreError::KeyRow {
            tenant,
            purpose: KeyPurpose::Tenant.code(),
            number: number.into(),
        })?;
        match open_tenant_row(row, roots).await? {
            Some(secret) => opened.insert(number, secret),
            None => return Ok(None),
        };
    }
    Ok(Some(opened))
}

/// Unwraps a tenant's keys; none if its root key is not here.
pub(super) async fn assemble(
    rows: &[Row],
    tenant: i64,
    roots: &Roots,
) -> Result<Option<KeyRing>, StoreError> {
    let Some(tenant_keys) = open_tenant_keys(rows, tenant, roots).await? else {
        return Ok(None);
    };
    let mut keys = Vec::with_capacity(rows.len());
    let mut times = Vec::new();
    for row in rows {
        let purpose = purpose(row)?;
        if purpose == KeyPurpose::Tenant {
            continue;
        }
        let number = number(row)?;
        let tenant_key = tenant_keys.get(&wrapped_by(row)?).ok_or(BROKEN_WRAPPED_BY)?;
        keys.push((purpose, number, open_row(row, tenant_key)?));
        if let (KeyPurpose::Token, Ok(id)) = (purpose, u16::try_from(number)) {
            times.push((id, row.created_at_ms));
        }
    }
    Ok(Some(KeyRing::assemble(tenant, keys)?.with_token_times(times)))
}
