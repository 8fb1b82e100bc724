//! Rotations of root and tenant keys, step by step: some rows in each transaction, and a row that says how far it is.
//!
//! What is wrapped anew stays the same key, so that nobody who has it in memory notices. A row is replaced only if it is still
//! the one that was read.

use std::sync::Arc;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::connect::StoreError;
use super::key_use::RotationRow;
use super::keys::{Random, TenantKey, key_rows, nonce, number, open_row, open_tenant_keys, open_tenant_row};
use super::keys::{root_setting, wrapped_by};
use super::roots::{RootKey, Roots};
use super::tx::Tx;
use crate::domain::keyring::KeyPurpose;
use entity::key_rotation::{ActiveModel, Column, Entity};
use entity::wrapped_key::{self, Model as Row};

/// What is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationKind {
    /// The root key of all tenants that have none of their own.
    Root,
    /// One tenant's key.
    Tenant,
}

impl RotationKind {
    /// The word in rows.
    pub fn code(self) -> &'static str {
        match self {
            RotationKind::Root => "root",
            RotationKind::Tenant => "tenant",
        }
    }
}

/// A key that was wrapped anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewrapped {
    /// The tenant's number.
    pub tenant: i64,
    /// The key's number.
    pub number: i64,
}

impl Tx {
    /// The latest rotation of a kind.
    pub async fn latest_rotation(
        &self,
        tenant: i64,
        kind: RotationKind,
    ) -> Result<Option<RotationRow>, StoreError> {
        let found = Entity::find()
            .filter(Column::Tenant.eq(tenant))
            .filter(Column::Kind.eq(kind.code()))
            .order_by_desc(Column::Number)
            .one(self.connection())
            .await?;
        Ok(found.map(RotationRow::from))
    }

    async fn begin_rotation(
        &self,
        (tenant, kind): (i64, RotationKind),
        (from, to): (String, String),
        total: u64,
        now_ms: i64,
    ) -> Result<RotationRow, StoreError> {
        let before = self.latest_rotation(tenant, kind).await?;
        let row = RotationRow {
            tenant,
            kind: kind.code().to_owned(),
            number: before.map_or(1, |before| before.number + 1),
            from,
            to,
            done: 0,
            total: i64::try_from(total).unwrap_or(i64::MAX),
            started_at_ms: now_ms,
            ended_at_ms: None,
        };
        let new = ActiveModel {
            tenant: Set(tenant),
            kind: Set(row.kind.clone()),
            number: Set(row.number),
            from_key: Set(row.from.clone()),
            to_key: Set(row.to.clone()),
            done: Set(0),
            total: Set(row.total),
            started_at_ms: Set(now_ms),
            ended_at_ms: Set(None),
        };
        Entity::insert(new)
            .exec_without_returning(self.connection())
            .await?;
        Ok(row)
    }

    /// Writes how far a rotation is, and whether it has ended.
    pub async fn note_rotation(&self, row: &RotationRow) -> Result<(), StoreError> {
        let changed = ActiveModel {
            tenant: Set(row.tenant),
            kind: Set(row.kind.clone()),
            number: Set(row.number),
            done: Set(row.done),
            ended_at_ms: Set(row.ended_at_ms),
            ..Default::default()
        };
        Entity::update(changed).exec(self.connection()).await?;
        Ok(())
    }

    /// Puts the database under the primary root key; none if it is already.
    pub async fn begin_root_rotation(
        &self,
        roots: &Roots,
        now_ms: i64,
    ) -> Result<Option<RotationRow>, StoreError> {
        let (from, to) = (root_setting(self.connection()).await?, roots.primary().name());
        let Some(from) = from.filter(|from| *from != to) else {
            return Ok(None);
        };
        if roots.named(&from).is_none() {
            return Err(StoreError::Locked);
        }
        let total = under(&from).count(self.connection()).await?;
        self.adopt_root(&to).await?;
        let begun = self.begin_rotation((0, RotationKind::Root), (from, to), total, now_ms);
        Ok(Some(begun.await?))
    }

    /// Wraps some tenant keys under the new root key.
    pub async fn rewrap_tenant_keys(
        &self,
        rotation: &RotationRow,
        roots: &Roots,
        limit: u64,
        random: Random<'_>,
    ) -> Result<Vec<Rewrapped>, StoreError> {
        let to: &Arc<dyn RootKey> = roots.named(&rotation.to).ok_or(StoreError::Locked)?;
        let rows = under(&rotation.from).limit(limit).all(self.connection()).await?;
        let mut done = Vec::with_capacity(rows.len());
        for row in rows {
            let key = open_tenant_row(&row, roots).await?.ok_or(StoreError::Locked)?;
            let place = KeyPurpose::Tenant.place(row.tenant, number(&row)?);
            let wrapped = to.wrap(place, nonce(random), &key).await?;
            self.wrap_anew(&row, wrapped, rotation.to.clone()).await?;
            done.push(Rewrapped {
                tenant: row.tenant,
                number: row.number,
            });
        }
        Ok(done)
    }

    /// Makes a new version of a tenant's key, which wraps from now on.
    pub async fn begin_tenant_rotation(
        &self,
        tenant: i64,
        slug: &str,
        roots: &Roots,
        now_ms: i64,
        random: Random<'_>,
    ) -> Result<RotationRow, StoreError> {
        // A rotation over a damaged row could be begun and never ended.
        self.ring(tenant, roots).await?;
        let newest = self.newest_tenant_key(tenant, roots).await?.number;
        let root = self.wrapping_root(roots, slug).await?;
        let made = self
            .make_tenant_key(tenant, newest + 1, root.as_ref(), now_ms, random)
            .await?;
        self.retire_key(tenant, KeyPurpose::Tenant, newest.into()).await?;
        let rows = key_rows(self.connection(), tenant).await?;
        let total = rows
            .iter()
            .filter(|row| row.purpose != KeyPurpose::Tenant.code())
            .count();
        let keys = (newest.to_string(), made.number.to_string());
        let total = u64::try_from(total).unwrap_or(u64::MAX);
        self.begin_rotation((tenant, RotationKind::Tenant), keys, total, now_ms)
            .await
    }

    /// Wraps some of a tenant's keys under its newest version.
    pub async fn rewrap_keys(
        &self,
        tenant: i64,
        roots: &Roots,
        limit: usize,
        random: Random<'_>,
    ) -> Result<usize, StoreError> {
        let rows = key_rows(self.connection(), tenant).await?;
        let versions = open_tenant_keys(&rows, tenant, roots)
            .await?
            .ok_or(StoreError::Locked)?;
        let Some((newest, secret)) = versions.last_key_value() else {
            return Ok(0);
        };
        let to = TenantKey {
            number: *newest,
            secret: secret.clone(),
        };
        let mut done = 0;
        for row in rows.iter().filter(|row| row.purpose != KeyPurpose::Tenant.code()) {
            if done == limit {
                break;
            }
            let by = wrapped_by(row)?;
            if by == to.number {
                continue;
            }
            let from = versions.get(&by).ok_or(StoreError::Locked)?;
            let key = open_row(row, from)?;
            let place = super::keys::purpose(row)?.place(tenant, number(row)?);
            let wrapped = to.secret.seal(nonce(random), &place, key.expose());
            self.wrap_anew(row, wrapped, to.number.to_string()).await?;
            self.add_uses(tenant, KeyPurpose::Tenant, to.number, 1).await?;
            done += 1;
        }
        Ok(done)
    }

    /// Destroys the versions of a tenant's key that wrap nothing any more; returns their numbers.
    pub async fn destroy_tenant_keys(&self, tenant: i64) -> Result<Vec<i64>, StoreError> {
        let rows = key_rows(self.connection(), tenant).await?;
        let is_version = |row: &&Row| row.purpose == KeyPurpose::Tenant.code();
        let newest = rows.iter().filter(is_version).map(|row| row.number).max();
        let mut destroyed = Vec::new();
        for version in rows.iter().filter(is_version).map(|row| row.number) {
            let text = version.to_string();
            let wraps = rows.iter().any(|row| !is_version(&row) && row.wrapped_by == text);
            if Some(version) != newest && !wraps {
                self.destroy_key(tenant, KeyPurpose::Tenant, version).await?;
                destroyed.push(version);
            }
        }
        Ok(destroyed)
    }

    /// Makes a tenant's next token key; returns its id.
    pub async fn make_token_key(
        &self,
        tenant: i64,
        roots: &Roots,
        now_ms: i64,
        random: Random<'_>,
    ) -> Result<u16, StoreError> {
        let rows = key_rows(self.connection(), tenant).await?;
        let mut tokens: Vec<&Row> = rows
            .iter()
            .filter(|row| row.purpose == KeyPurpose::Token.code())
            .collect();
        tokens.sort_by_key(|row| row.number);
        let newest = tokens.last().map_or(0, |row| row.number);
        let next = u16::try_from(newest + 1).map_err(|_| StoreError::Inconsistent {
            table: "wrapped_key",
            column: "number",
        })?;
        let tenant_key = self.newest_tenant_key(tenant, roots).await?;
        let key = (KeyPurpose::Token, u32::from(next));
        self.make_key(tenant, key, &tenant_key, now_ms, random).await?;
        self.retire_key(tenant, KeyPurpose::Token, newest).await?;
        Ok(next)
    }

    /// Replaces a wrapped key if it is still the one that was read.
    async fn wrap_anew(&self, row: &Row, wrapped: Vec<u8>, by: String) -> Result<(), StoreError> {
        use wrapped_key::Column;
        let replaced = wrapped_key::Entity::update_many()
            .col_expr(Column::Wrapped, Expr::value(wrapped))
            .col_expr(Column::WrappedBy, Expr::value(by))
            .filter(Column::Tenant.eq(row.tenant))
            .filter(Column::Purpose.eq(row.purpose.as_str()))
            .filter(Column::Number.eq(row.number))
            .filter(Column::WrappedBy.eq(row.wrapped_by.as_str()))
            .filter(Column::Wrapped.eq(row.wrapped.clone()))
            .exec(self.connection())
            .await?;
        if replaced.rows_affected == 1 {
            Ok(())
        } else {
            Err(StoreError::Raced)
        }
    }
}

/// The tenant keys that a root key wraps.
fn under(root: &str) -> sea_orm::Select<wrapped_key::Entity> {
    wrapped_key::Entity::find()
        .filter(wrapped_key::Column::Purpose.eq(KeyPurpose::Tenant.code()))
        .filter(wrapped_key::Column::WrappedBy.eq(root))
        .order_by_asc(wrapped_key::Column::Tenant)
        .order_by_asc(wrapped_key::Column::Number)
}
