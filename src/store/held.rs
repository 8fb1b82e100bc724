//! What is held of a person: the rows of clicks and conversions, for whoever answers a request about them.

use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::connect::StoreError;
use super::tx::Reader;
use crate::domain::ids::{ClickId, ClickKey};
use entity::{campaign, click, conversion, customer_key, goal, link, publisher, shop};

/// A click as it is shown to the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldClick {
    /// The click.
    pub key: ClickKey,
    /// When it happened.
    pub clicked_at_ms: i64,
    /// Names by slug: campaign, publisher, shop, link.
    pub names: [String; 4],
    /// How long it counts.
    pub window_days: i64,
    /// Whether processing is restricted.
    pub restricted: bool,
}

/// A conversion as it is shown to the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldConversion {
    /// Its id.
    pub id: Uuid,
    /// Its click.
    pub click: ClickKey,
    /// The goal's slug.
    pub goal: String,
    /// `pending`, `confirmed` or `cancelled`.
    pub status: String,
    /// The amount in minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// When the goal happened.
    pub occurred_at_ms: i64,
    /// Whether it is a test.
    pub test: bool,
}

fn key(tenant: i64, issued_at_ticks: i64, click: Uuid) -> ClickKey {
    ClickKey {
        tenant,
        issued_at_ticks,
        click: ClickId(click.into_bytes()),
    }
}

/// Rows of one of these clicks.
fn of_clicks(ticks: impl ColumnTrait, click: impl ColumnTrait, keys: &[ClickKey]) -> Condition {
    let one = |key: &ClickKey| {
        Condition::all()
            .add(ticks.eq(key.issued_at_ticks))
            .add(click.eq(Uuid::from_bytes(key.click.0)))
    };
    keys.iter().fold(Condition::any(), |all, key| all.add(one(key)))
}

/// The slugs of objects of one kind, by number.
macro_rules! slugs {
    ($reader:expr, $tenant:expr, $kind:ident, $number:ident) => {{
        let rows: Vec<(i64, String)> = $kind::Entity::find()
            .select_only()
            .column($kind::Column::$number)
            .column($kind::Column::Slug)
            .filter($kind::Column::Tenant.eq($tenant))
            .into_tuple()
            .all($reader.connection())
            .await?;
        let found: std::collections::HashMap<i64, String> = rows.into_iter().collect();
        move |number: i64| found.get(&number).cloned().unwrap_or_default()
    }};
}

impl Reader<'_> {
    /// The clicks that stand behind customer references of shops.
    pub async fn clicks_of_customers(
        &self,
        tenant: i64,
        hashes: &[[u8; 16]],
    ) -> Result<Vec<ClickKey>, StoreError> {
        let hashes = hashes.iter().map(|hash| hash.to_vec());
        let rows = customer_key::Entity::find()
            .filter(customer_key::Column::Tenant.eq(tenant))
            .filter(customer_key::Column::CustomerHash.is_in(hashes))
            .all(self.connection())
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| key(tenant, row.issued_at_ticks, row.click_id))
            .collect())
    }

    /// The clicks whose conversions name the same person as one of these clicks' do.
    pub async fn clicks_of_same_person(
        &self,
        tenant: i64,
        keys: &[ClickKey],
    ) -> Result<Vec<ClickKey>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let hashes: Vec<Vec<u8>> = customer_key::Entity::find()
            .select_only()
            .column(customer_key::Column::CustomerHash)
            .distinct()
            .filter(customer_key::Column::Tenant.eq(tenant))
            .filter(of_clicks(
                customer_key::Column::IssuedAtTicks,
                customer_key::Column::ClickId,
                keys,
            ))
            .into_tuple()
            .all(self.connection())
            .await?;
        let hashes: Vec<[u8; 16]> = hashes
            .iter()
            .filter_map(|hash| hash.as_slice().try_into().ok())
            .collect();
        self.clicks_of_customers(tenant, &hashes).await
    }

    /// Those of these clicks that are there, in the order of time.
    pub async fn held_clicks(&self, tenant: i64, keys: &[ClickKey]) -> Result<Vec<HeldClick>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let rows = click::Entity::find()
            .filter(click::Column::Tenant.eq(tenant))
            .filter(of_clicks(
                click::Column::IssuedAtTicks,
                click::Column::ClickId,
                keys,
            ))
            .order_by_asc(click::Column::IssuedAtTicks)
            .all(self.connection())
            .await?;
        let campaigns = slugs!(self, tenant, campaign, Campaign);
        let publishers = slugs!(self, tenant, publisher, Publisher);
        let shops = slugs!(self, tenant, shop, Shop);
        let links = slugs!(self, tenant, link, Link);
        let windows: Vec<(i64, i64)> = campaign::Entity::find()
            .select_only()
            .column(campaign::Column::Campaign)
            .column(campaign::Column::WindowDays)
            .filter(campaign::Column::Tenant.eq(tenant))
            .into_tuple()
            .all(self.connection())
            .await?;
        let window = |campaign: i64| {
            let found = windows.iter().find(|(number, _)| *number == campaign);
            found.map_or(0, |(_, days)| *days)
        };
        Ok(rows
            .into_iter()
            .map(|row| HeldClick {
                key: key(tenant, row.issued_at_ticks, row.click_id),
                clicked_at_ms: row.clicked_at_ms,
                names: [
                    campaigns(row.campaign),
                    publishers(row.publisher),
                    shops(row.shop),
                    links(row.link),
                ],
                window_days: window(row.campaign),
                restricted: row.restricted,
            })
            .collect())
    }

    /// The conversions of these clicks, in the order of time.
    pub async fn held_conversions(
        &self,
        tenant: i64,
        keys: &[ClickKey],
    ) -> Result<Vec<HeldConversion>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let rows = conversion::Entity::find()
            .filter(conversion::Column::Tenant.eq(tenant))
            .filter(of_clicks(
                conversion::Column::IssuedAtTicks,
                conversion::Column::ClickId,
                keys,
            ))
            .order_by_asc(conversion::Column::RecordedAtS)
            .order_by_asc(conversion::Column::ConversionId)
            .all(self.connection())
            .await?;
        let goals = slugs!(self, tenant, goal, Goal);
        let one = |row: conversion::Model| {
            Some(HeldConversion {
                id: row.conversion_id,
                click: key(tenant, row.issued_at_ticks?, row.click_id?),
                goal: goals(row.goal),
                status: row.status,
                amount_minor: row.amount_minor,
                currency: row.currency.trim().to_owned(),
                occurred_at_ms: row.occurred_at_ms,
                test: row.test,
            })
        };
        Ok(rows.into_iter().filter_map(one).collect())
    }
}
