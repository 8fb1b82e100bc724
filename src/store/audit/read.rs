//! Reading the logs: entries by place, by id and by time, checkpoints, and what stands beside a click batch.
//!
//! Promise: every query names its tenant first and goes along a key, so that a page costs the same wherever it lies.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select,
};
use uuid::Uuid;

use super::heads::Signed;
use super::{LogKey, signed, split, unsigned};
use crate::audit::merkle::Hash;
use crate::store::connect::StoreError;
use crate::store::tx::Reader;
use entity::{audit_batch, audit_checkpoint, audit_entry, audit_leaf, audit_log};

/// One epoch of a log as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    /// Which log.
    pub log: LogKey,
    /// How many entries it has.
    pub size: u64,
    /// Its origin, once it has signed anything.
    pub origin: Option<String>,
    /// When it was opened, in milliseconds since 1970.
    pub opened_at_ms: i64,
}

/// An entry at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Which log.
    pub log: LogKey,
    /// Its index, from 0.
    pub index: u64,
    /// Its id.
    pub id: Uuid,
    /// The stored bytes.
    pub body: Vec<u8>,
}

/// A click batch's entry with the hashes of its clicks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchLeaf {
    /// The entry.
    pub leaf: Leaf,
    /// The clicks' leaf hashes, in order.
    pub hashes: Vec<Hash>,
}

/// The span of ids that a list goes through. An id begins with its moment, so this is a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first moment, in milliseconds since 1970.
    pub from_ms: i64,
    /// The moment behind the last.
    pub until_ms: i64,
}

/// What a leaf's row shows.
#[derive(FromQueryResult)]
struct LeafRow {
    tenant: i64,
    epoch: i64,
    idx: i64,
    entry_id: Uuid,
    body: Vec<u8>,
}

impl From<LeafRow> for Leaf {
    fn from(row: LeafRow) -> Self {
        Self {
            log: LogKey {
                tenant: row.tenant,
                epoch: row.epoch,
            },
            index: unsigned(row.idx),
            id: row.entry_id,
            body: row.body,
        }
    }
}

/// The least id of a moment.
fn least(at_ms: i64) -> Uuid {
    // 48 bits hold the milliseconds of an id (RFC 9562, section 5.7); what is outside is before or behind all ids.
    let millis = u128::try_from(at_ms.clamp(0, (1 << 48) - 1)).unwrap_or(0);
    Uuid::from_u128(millis << 80)
}

fn within(span: Span) -> Condition {
    Condition::all()
        .add(audit_leaf::Column::EntryId.gte(least(span.from_ms)))
        .add(audit_leaf::Column::EntryId.lt(least(span.until_ms)))
}

/// Leaves that clicks' hashes stand beside.
fn batched(tenant: i64) -> Expr {
    let ids = audit_batch::Entity::find()
        .select_only()
        .column(audit_batch::Column::EntryId)
        .filter(audit_batch::Column::Tenant.eq(tenant))
        .into_query();
    audit_leaf::Column::EntryId.in_subquery(ids)
}

/// Leaves of a tenant.
fn leaves(tenant: i64) -> Select<audit_leaf::Entity> {
    use audit_leaf::Column::{Body, EntryId, Epoch, Idx, Tenant};
    audit_leaf::Entity::find()
        .select_only()
        .columns([Tenant, Epoch, Idx, EntryId, Body])
        .filter(Tenant.eq(tenant))
}

fn checkpoint(row: audit_checkpoint::Model) -> (LogKey, Signed) {
    let log = LogKey {
        tenant: row.tenant,
        epoch: row.epoch,
    };
    let signed = Signed {
        size: unsigned(row.size),
        at_ms: row.at_ms,
        note: row.note,
    };
    (log, signed)
}

impl Reader<'_> {
    /// All epochs of a tenant's log, the first one first.
    pub async fn log_epochs(&self, tenant: i64) -> Result<Vec<Epoch>, StoreError> {
        let rows = audit_log::Entity::find()
            .filter(audit_log::Column::Tenant.eq(tenant))
            .order_by_asc(audit_log::Column::Epoch)
            .all(self.connection())
            .await?;
        let epoch = |row: audit_log::Model| Epoch {
            log: LogKey {
                tenant: row.tenant,
                epoch: row.epoch,
            },
            size: unsigned(row.size),
            origin: row.origin,
            opened_at_ms: row.opened_at_ms,
        };
        Ok(rows.into_iter().map(epoch).collect())
    }

    /// The entry at an index.
    pub async fn log_entry(&self, log: LogKey, index: u64) -> Result<Option<Leaf>, StoreError> {
        let found = leaves(log.tenant)
            .filter(audit_leaf::Column::Epoch.eq(log.epoch))
            .filter(audit_leaf::Column::Idx.eq(signed(index)))
            .into_model::<LeafRow>()
            .one(self.connection())
            .await?;
        Ok(found.map(Leaf::from))
    }

    /// The entry with an id, once it has its place.
    pub async fn log_entry_named(&self, tenant: i64, id: Uuid) -> Result<Option<Leaf>, StoreError> {
        let found = leaves(tenant)
            .filter(audit_leaf::Column::EntryId.eq(id))
            .into_model::<LeafRow>()
            .one(self.connection())
            .await?;
        Ok(found.map(Leaf::from))
    }

    /// Whether an entry is committed, wherever it stands.
    pub async fn is_entered(&self, tenant: i64, id: Uuid) -> Result<bool, StoreError> {
        let found = audit_entry::Entity::find_by_id((tenant, id))
            .one(self.connection())
            .await?;
        Ok(found.is_some())
    }

    /// Entries in the order of their places, behind a place or from the beginning; of one epoch or of all.
    pub async fn log_entries(
        &self,
        tenant: i64,
        epoch: Option<i64>,
        after: Option<(i64, u64)>,
        limit: u64,
    ) -> Result<Vec<Leaf>, StoreError> {
        use audit_leaf::Column::{Epoch, Idx};
        let mut rows = leaves(tenant);
        if let Some(epoch) = epoch {
            rows = rows.filter(Epoch.eq(epoch));
        }
        if let Some((epoch, index)) = after {
            // As one comparison of pairs the key is entered right behind the place, in both databases.
            let place = Expr::tuple([Epoch.into_expr(), Idx.into_expr()]);
            rows = rows.filter(place.gt(Expr::tuple([Expr::val(epoch), Expr::val(signed(index))])));
        }
        let found = rows
            .order_by_asc(Epoch)
            .order_by_asc(Idx)
            .limit(limit)
            .into_model::<LeafRow>()
            .all(self.connection())
            .await?;
        Ok(found.into_iter().map(Leaf::from).collect())
    }

    /// Entries of a span of time in the order of their ids, behind an id or from the beginning.
    pub async fn log_entries_between(
        &self,
        tenant: i64,
        span: Span,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<Leaf>, StoreError> {
        use audit_leaf::Column::EntryId;
        let mut rows = leaves(tenant).filter(within(span));
        if let Some(after) = after {
            rows = rows.filter(EntryId.gt(after));
        }
        let found = rows
            .order_by_asc(EntryId)
            .limit(limit)
            .into_model::<LeafRow>()
            .all(self.connection())
            .await?;
        Ok(found.into_iter().map(Leaf::from).collect())
    }

    /// Click batches of a span of time with their clicks' hashes, in the order of their ids.
    pub async fn click_batches(
        &self,
        tenant: i64,
        span: Span,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<BatchLeaf>, StoreError> {
        let mut rows = leaves(tenant).filter(within(span)).filter(batched(tenant));
        if let Some(after) = after {
            rows = rows.filter(audit_leaf::Column::EntryId.gt(after));
        }
        let found: Vec<LeafRow> = rows
            .order_by_asc(audit_leaf::Column::EntryId)
            .limit(limit)
            .into_model()
            .all(self.connection())
            .await?;
        let beside: HashMap<Uuid, Vec<u8>> = audit_batch::Entity::find()
            .filter(audit_batch::Column::Tenant.eq(tenant))
            .filter(audit_batch::Column::EntryId.is_in(found.iter().map(|row| row.entry_id)))
            .all(self.connection())
            .await?
            .into_iter()
            .map(|row| (row.entry_id, row.hashes))
            .collect();
        let batch = |row: LeafRow| {
            let hashes = split(beside.get(&row.entry_id)?)?;
            Some(BatchLeaf {
                leaf: row.into(),
                hashes,
            })
        };
        let broken = StoreError::Inconsistent {
            table: "audit_batch",
            column: "hashes",
        };
        found.into_iter().map(batch).collect::<Option<_>>().ok_or(broken)
    }

    /// The stored bytes of the entries from one index up to another.
    pub async fn log_bodies(&self, log: LogKey, begin: u64, end: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        use audit_leaf::Column::{Body, Epoch, Idx, Tenant};
        let bodies = audit_leaf::Entity::find()
            .select_only()
            .column(Body)
            .filter(Tenant.eq(log.tenant))
            .filter(Epoch.eq(log.epoch))
            .filter(Idx.gte(signed(begin)))
            .filter(Idx.lt(signed(end)))
            .order_by_asc(Idx)
            .into_tuple()
            .all(self.connection())
            .await?;
        Ok(bodies)
    }

    /// The checkpoint of a size, if one was signed.
    pub async fn checkpoint_of(&self, log: LogKey, size: u64) -> Result<Option<Signed>, StoreError> {
        let id = (log.tenant, log.epoch, signed(size));
        let found = audit_checkpoint::Entity::find_by_id(id)
            .one(self.connection())
            .await?;
        Ok(found.map(|row| checkpoint(row).1))
    }

    /// The latest checkpoint of an epoch.
    pub async fn latest_checkpoint(&self, log: LogKey) -> Result<Option<Signed>, StoreError> {
        use audit_checkpoint::Column::{Epoch, Size, Tenant};
        let found = audit_checkpoint::Entity::find()
            .filter(Tenant.eq(log.tenant))
            .filter(Epoch.eq(log.epoch))
            .order_by_desc(Size)
            .one(self.connection())
            .await?;
        Ok(found.map(|row| checkpoint(row).1))
    }

    /// The last checkpoint that was signed at a moment or before; of one epoch or of any.
    pub async fn checkpoint_at(
        &self,
        tenant: i64,
        epoch: Option<i64>,
        at_ms: i64,
    ) -> Result<Option<(LogKey, Signed)>, StoreError> {
        use audit_checkpoint::Column::{AtMs, Epoch, Size, Tenant};
        let mut rows = audit_checkpoint::Entity::find()
            .filter(Tenant.eq(tenant))
            .filter(AtMs.lte(at_ms));
        if let Some(epoch) = epoch {
            rows = rows.filter(Epoch.eq(epoch));
        }
        let found = rows
            .order_by_desc(AtMs)
            .order_by_desc(Epoch)
            .order_by_desc(Size)
            .one(self.connection())
            .await?;
        Ok(found.map(checkpoint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::time_ordered;

    #[test]
    fn every_id_of_a_moment_lies_between_the_least_ones() {
        let at_ms = 1_790_000_000_123;
        for random in [[0; 10], [255; 10]] {
            let id = time_ordered(at_ms, random);
            assert!(least(at_ms) <= id && id < least(at_ms + 1));
        }
        assert_eq!(least(-5), least(0));
        assert!(least(i64::MAX) > time_ordered(at_ms, [255; 10]));
    }
}
