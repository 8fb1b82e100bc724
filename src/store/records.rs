//! Reading consent records where they stand: in the rows of clicks, of conversions, and of later signals.
//!
//! Each table is read along its primary key, so that a page costs the same wherever it lies. Rows of erased people are
//! not found: a click's is gone, and a conversion's has no click any more.

use std::collections::{HashMap, HashSet};

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::connect::StoreError;
use super::tx::Reader;
use crate::domain::campaign::MAX_WINDOW_DAYS;
use crate::domain::consent::ConsentState;
use crate::domain::ids::{ClickId, ClickKey, millis_of, seconds_of, ticks_of, time_ordered};
use crate::domain::record::{Record, RecordKey, RecordKind};
use entity::{click, click_salt, consent_record, conversion, order_key, suppression};

/// How long after its click a signal may still come: as long as the token opens, and a day.
const LATEST_SIGNAL_MS: i64 = (MAX_WINDOW_DAYS + 7 + 1) * 86_400_000;

/// Which records are asked for.
#[derive(Debug, Clone, Default)]
pub struct RecordFilter {
    /// Only those of these clicks.
    pub clicks: Option<Vec<ClickKey>>,
    /// Decided at this time or later.
    pub from_ms: Option<i64>,
    /// Decided before this time.
    pub until_ms: Option<i64>,
    /// Decided on this state.
    pub state: Option<ConsentState>,
}

fn key(tenant: i64, issued_at_ticks: i64, click: Uuid) -> ClickKey {
    ClickKey {
        tenant,
        issued_at_ticks,
        click: ClickId(click.into_bytes()),
    }
}

fn version(number: i64, table: &'static str) -> Result<u16, StoreError> {
    u16::try_from(number).map_err(|_| StoreError::Inconsistent {
        table,
        column: "policy_version",
    })
}

/// The two lowest bits of a bit set hold the state.
fn state_is(column: impl ColumnTrait, state: Option<ConsentState>) -> Condition {
    let number = match state {
        None => return Condition::all(),
        Some(ConsentState::Unknown) => 0,
        Some(ConsentState::Granted) => 1,
        Some(ConsentState::Denied) => 2,
        Some(ConsentState::Malformed) => 3,
    };
    Condition::all().add(column.into_expr().modulo(4_i64).eq(number))
}

/// Rows of one of these clicks.
fn of_clicks(
    ticks: impl ColumnTrait,
    click: impl ColumnTrait,
    keys: Option<&Vec<ClickKey>>,
) -> Option<Condition> {
    let one = |key: &ClickKey| {
        Condition::all()
            .add(ticks.eq(key.issued_at_ticks))
            .add(click.eq(Uuid::from_bytes(key.click.0)))
    };
    keys.map(|keys| {
        keys.iter()
            .fold(Condition::any().add(Expr::val(1).eq(2)), |all, key| {
                all.add(one(key))
            })
    })
}

/// Rows behind a pair of values, in their order.
fn behind<T: Copy + Into<sea_orm::Value>>(
    major: impl ColumnTrait,
    minor: impl ColumnTrait,
    last: (i64, T),
) -> Condition {
    let same = Condition::all().add(major.eq(last.0)).add(minor.gt(last.1));
    // The first condition is what the index is entered by.
    Condition::all()
        .add(major.gte(last.0))
        .add(Condition::any().add(major.gt(last.0)).add(same))
}

impl Reader<'_> {
    /// Records of one kind behind the last one that was seen, in the order of their keys.
    pub async fn records(
        &self,
        tenant: i64,
        kind: RecordKind,
        filter: &RecordFilter,
        after: Option<&RecordKey>,
        limit: u64,
    ) -> Result<Vec<Record>, StoreError> {
        let mut records = match kind {
            RecordKind::Click => self.click_records(tenant, filter, after, limit).await?,
            RecordKind::Postback => self.conversion_records(tenant, filter, after, limit).await?,
            RecordKind::Signal => self.signal_records(tenant, filter, after, limit).await?,
        };
        self.add_salts(tenant, &mut records).await?;
        Ok(records)
    }

    /// One record, if its row is there and still a person's.
    pub async fn record(&self, tenant: i64, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let found = match key {
            RecordKey::Click(at) => {
                let id = (tenant, at.issued_at_ticks, Uuid::from_bytes(at.click.0));
                let row = click::Entity::find_by_id(id).one(self.connection()).await?;
                row.map(of_click).transpose()?
            }
            RecordKey::Conversion(id) => {
                let id = (tenant, seconds_of(*id), *id);
                let row = conversion::Entity::find_by_id(id).one(self.connection()).await?;
                row.map(of_conversion).transpose()?.flatten()
            }
            RecordKey::Signal(at, record) => {
                let id = (tenant, at.issued_at_ticks, Uuid::from_bytes(at.click.0), *record);
                let row = consent_record::Entity::find_by_id(id)
                    .one(self.connection())
                    .await?;
                row.map(of_signal).transpose()?
            }
        };
        let mut records: Vec<Record> = found.into_iter().collect();
        self.add_salts(tenant, &mut records).await?;
        Ok(records.pop())
    }

    /// The conversions that were recorded in one millisecond: their ids, with their records unless the person was erased.
    /// Those whose details had their time are left out.
    pub async fn conversions_of_moment(
        &self,
        tenant: i64,
        at_ms: i64,
    ) -> Result<Vec<(Uuid, Option<Record>)>, StoreError> {
        let rows = conversion::Entity::find()
            .filter(conversion::Column::Tenant.eq(tenant))
            .filter(conversion::Column::RecordedAtS.eq(at_ms.div_euclid(1_000)))
            .filter(conversion::Column::Purged.eq(false))
            .filter(conversion::Column::ConversionId.gte(time_ordered(at_ms, [0; 10])))
            .filter(conversion::Column::ConversionId.lt(time_ordered(at_ms + 1, [0; 10])))
            .all(self.connection())
            .await?;
        let mut erased = Vec::new();
        let mut records = Vec::new();
        for row in rows {
            let id = row.conversion_id;
            match of_conversion(row)? {
                Some(record) => records.push(record),
                None => erased.push((id, None)),
            }
        }
        self.add_salts(tenant, &mut records).await?;
        let named = records.into_iter().filter_map(|record| match record.key {
            RecordKey::Conversion(id) => Some((id, Some(record))),
            RecordKey::Click(_) | RecordKey::Signal(..) => None,
        });
        Ok(named.chain(erased).collect())
    }

    /// A click's salt, while it is there.
    pub async fn salt(&self, click: &ClickKey) -> Result<Option<[u8; 16]>, StoreError> {
        let id = (
            click.tenant,
            click.issued_at_ticks,
            Uuid::from_bytes(click.click.0),
        );
        let row = click_salt::Entity::find_by_id(id).one(self.connection()).await?;
        Ok(row.and_then(|row| row.salt.as_slice().try_into().ok()))
    }

    /// Where a click came from: the numbers of its campaign, its publisher and its link.
    pub async fn way_of_click(&self, click: &ClickKey) -> Result<Option<[i64; 3]>, StoreError> {
        let id = (
            click.tenant,
            click.issued_at_ticks,
            Uuid::from_bytes(click.click.0),
        );
        let row = click::Entity::find_by_id(id).one(self.connection()).await?;
        Ok(row.map(|row| [row.campaign, row.publisher, row.link]))
    }

    /// Whether a conversion's details had their time; nothing where its row is not there.
    pub async fn is_purged_conversion(&self, tenant: i64, id: Uuid) -> Result<Option<bool>, StoreError> {
        let id = (tenant, seconds_of(id), id);
        let row = conversion::Entity::find_by_id(id).one(self.connection()).await?;
        Ok(row.map(|row| row.purged))
    }

    /// Whether an entry is suppressed.
    pub async fn is_suppressed(&self, tenant: i64, entry: [u8; 32]) -> Result<bool, StoreError> {
        let id = (tenant, entry.to_vec());
        Ok(suppression::Entity::find_by_id(id)
            .one(self.connection())
            .await?
            .is_some())
    }

    /// The clicks behind an order at any of these shops, under any of these goals.
    pub async fn clicks_of_order(
        &self,
        tenant: i64,
        shops: Vec<i64>,
        goals: Vec<i64>,
        order_hash: [u8; 16],
    ) -> Result<Vec<ClickKey>, StoreError> {
        let found = self
            .conversions_of_order(tenant, shops, goals, order_hash)
            .await?;
        Ok(found.into_iter().map(|(click, _)| click).collect())
    }

    /// The conversions that an order became at any of these shops, under any of these goals, with their clicks. Where the
    /// details had their time, the order names no click.
    pub async fn conversions_of_order(
        &self,
        tenant: i64,
        shops: Vec<i64>,
        goals: Vec<i64>,
        order_hash: [u8; 16],
    ) -> Result<Vec<(ClickKey, Uuid)>, StoreError> {
        let rows = order_key::Entity::find()
            .filter(order_key::Column::Tenant.eq(tenant))
            .filter(order_key::Column::Shop.is_in(shops))
            .filter(order_key::Column::Goal.is_in(goals))
            .filter(order_key::Column::OrderHash.eq(order_hash.to_vec()))
            .filter(order_key::Column::IssuedAtTicks.ne(0))
            .all(self.connection())
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| (key(tenant, row.issued_at_ticks, row.click_id), row.conversion_id))
            .collect())
    }

    async fn click_records(
        &self,
        tenant: i64,
        filter: &RecordFilter,
        after: Option<&RecordKey>,
        limit: u64,
    ) -> Result<Vec<Record>, StoreError> {
        use click::Column::{ClickId as Id, ConsentBits, IssuedAtTicks as Ticks, Tenant};
        let mut rows = click::Entity::find()
            .filter(Tenant.eq(tenant))
            .filter(state_is(ConsentBits, filter.state));
        if let Some(condition) = of_clicks(Ticks, Id, filter.clicks.as_ref()) {
            rows = rows.filter(condition);
        }
        if let Some(from_ms) = filter.from_ms {
            let at = click::Column::ClickedAtMs.gte(from_ms);
            rows = rows.filter(Ticks.gte(ticks_of(from_ms))).filter(at);
        }
        if let Some(until_ms) = filter.until_ms {
            let at = click::Column::ClickedAtMs.lt(until_ms);
            rows = rows.filter(Ticks.lte(ticks_of(until_ms))).filter(at);
        }
        if let Some(RecordKey::Click(last)) = after {
            let last = (last.issued_at_ticks, Uuid::from_bytes(last.click.0));
            rows = rows.filter(behind(Ticks, Id, last));
        }
        let rows = rows.order_by_asc(Ticks).order_by_asc(Id).limit(limit);
        rows.all(self.connection())
            .await?
            .into_iter()
            .map(of_click)
            .collect()
    }

    async fn conversion_records(
        &self,
        tenant: i64,
        filter: &RecordFilter,
        after: Option<&RecordKey>,
        limit: u64,
    ) -> Result<Vec<Record>, StoreError> {
        use conversion::Column::{
            ClickId as Click, ConsentBits, ConversionId as Id, IssuedAtTicks as Ticks, RecordedAtS as At,
            Tenant,
        };
        let mut rows = conversion::Entity::find()
            .filter(Tenant.eq(tenant))
            .filter(Click.is_not_null())
            .filter(state_is(ConsentBits, filter.state));
        if let Some(condition) = of_clicks(Ticks, Click, filter.clicks.as_ref()) {
            rows = rows.filter(condition);
        }
        // To the second: that is how the rows are kept.
        if let Some(from_ms) = filter.from_ms {
            rows = rows.filter(At.gte(from_ms.div_euclid(1_000)));
        }
        if let Some(until_ms) = filter.until_ms {
            rows = rows.filter(At.lt((until_ms + 999).div_euclid(1_000)));
        }
        if let Some(RecordKey::Conversion(last)) = after {
            rows = rows.filter(behind(At, Id, (seconds_of(*last), *last)));
        }
        let rows = rows.order_by_asc(At).order_by_asc(Id).limit(limit);
        let read = rows.all(self.connection()).await?.into_iter().map(of_conversion);
        read.filter_map(Result::transpose).collect()
    }

    async fn signal_records(
        &self,
        tenant: i64,
        filter: &RecordFilter,
        after: Option<&RecordKey>,
        limit: u64,
    ) -> Result<Vec<Record>, StoreError> {
        use consent_record::Column::{
            ClickId as Click, ConsentBits, IssuedAtTicks as Ticks, RecordId as Id, RecordedAtMs as At, Tenant,
        };
        let mut rows = consent_record::Entity::find()
            .filter(Tenant.eq(tenant))
            .filter(state_is(ConsentBits, filter.state));
        if let Some(condition) = of_clicks(Ticks, Click, filter.clicks.as_ref()) {
            rows = rows.filter(condition);
        }
        if let Some(from_ms) = filter.from_ms {
            let earliest = ticks_of(from_ms.saturating_sub(LATEST_SIGNAL_MS));
            rows = rows.filter(Ticks.gte(earliest)).filter(At.gte(from_ms));
        }
        if let Some(until_ms) = filter.until_ms {
            rows = rows.filter(Ticks.lte(ticks_of(until_ms))).filter(At.lt(until_ms));
        }
        if let Some(RecordKey::Signal(last, id)) = after {
            let click = Uuid::from_bytes(last.click.0);
            let same_click = Condition::all()
                .add(Ticks.eq(last.issued_at_ticks))
                .add(Click.eq(click))
                .add(Id.gt(*id));
            let later = behind(Ticks, Click, (last.issued_at_ticks, click));
            rows = rows
                .filter(Ticks.gte(last.issued_at_ticks))
                .filter(Condition::any().add(later).add(same_click));
        }
        let rows = rows
            .order_by_asc(Ticks)
            .order_by_asc(Click)
            .order_by_asc(Id)
            .limit(limit);
        rows.all(self.connection())
            .await?
            .into_iter()
            .map(of_signal)
            .collect()
    }

    /// Puts the clicks' salts beside their records, from a table that is not joined with any other.
    async fn add_salts(&self, tenant: i64, records: &mut [Record]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let ticks: HashSet<i64> = records
            .iter()
            .map(|record| record.click.issued_at_ticks)
            .collect();
        let rows = click_salt::Entity::find()
            .filter(click_salt::Column::Tenant.eq(tenant))
            .filter(click_salt::Column::IssuedAtTicks.is_in(ticks))
            .all(self.connection())
            .await?;
        let salts: HashMap<ClickKey, Vec<u8>> = rows
            .into_iter()
            .map(|row| (key(tenant, row.issued_at_ticks, row.click_id), row.salt))
            .collect();
        for record in records {
            let salt = salts.get(&record.click);
            record.salt = salt.and_then(|salt| salt.as_slice().try_into().ok());
        }
        Ok(())
    }
}

fn of_click(row: click::Model) -> Result<Record, StoreError> {
    let click = key(row.tenant, row.issued_at_ticks, row.click_id);
    Ok(Record {
        key: RecordKey::Click(click),
        click,
        decided_at_ms: row.clicked_at_ms,
        occurred_at_ms: row.clicked_at_ms,
        policy_version: version(row.policy_version, "click")?,
        consent_bits: row.consent_bits,
        signal_kinds: row.signal_kinds,
        salt: None,
        payload: Some(row.payload),
    })
}

/// Nothing where the person was erased.
fn of_conversion(row: conversion::Model) -> Result<Option<Record>, StoreError> {
    let (Some(ticks), Some(click)) = (row.issued_at_ticks, row.click_id) else {
        return Ok(None);
    };
    Ok(Some(Record {
        key: RecordKey::Conversion(row.conversion_id),
        click: key(row.tenant, ticks, click),
        decided_at_ms: millis_of(row.conversion_id),
        occurred_at_ms: row.occurred_at_ms,
        policy_version: version(row.policy_version, "conversion")?,
        consent_bits: row.consent_bits.unwrap_or(0),
        signal_kinds: row.signal_kinds.unwrap_or(0),
        salt: None,
        payload: row.payload,
    }))
}

fn of_signal(row: consent_record::Model) -> Result<Record, StoreError> {
    let click = key(row.tenant, row.issued_at_ticks, row.click_id);
    Ok(Record {
        key: RecordKey::Signal(click, row.record_id),
        click,
        decided_at_ms: row.recorded_at_ms,
        occurred_at_ms: row.recorded_at_ms,
        policy_version: version(row.policy_version, "consent_record")?,
        consent_bits: row.consent_bits,
        signal_kinds: row.signal_kinds,
        salt: None,
        payload: row.payload,
    })
}
