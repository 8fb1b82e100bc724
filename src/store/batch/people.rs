//! Clicks of one person, and clicks that count no more without being erased.
//!
//! Which clicks belong to one person is known only as far as the shop has named the person in its orders, and only to
//! that shop: references are hashed under each shop's own name.

use uuid::Uuid;

use super::super::cells::Rows;
use super::super::connect::StoreError;
use super::super::tx::Batch;
use super::erase::SUPPRESSION_SECONDS;
use super::erase::texts::RESTRICTED_CONVERSIONS;
use super::{key_cells, sixteen};
use crate::domain::ids::{ClickId, ClickKey};
use crate::domain::journal::Suppressed;
use crate::domain::keyring::KeyRing;

impl Batch {
    /// The customer references that these clicks' conversions name, each with its click.
    pub async fn customers_of(
        &mut self,
        clicks: &[ClickKey],
    ) -> Result<Vec<(ClickKey, [u8; 16])>, StoreError> {
        let rows = Rows {
            before: "WITH k(t, i, c) AS (",
            cells: key_cells(clicks),
            after: ") SELECT m.tenant, m.issued_at_ticks, m.click_id, m.customer_hash FROM k CROSS JOIN customer_key m \
                    WHERE m.tenant = k.t AND m.issued_at_ticks = k.i AND m.click_id = k.c",
        };
        let found: Vec<(i64, i64, Uuid, Vec<u8>)> = self.look_up(&rows).await?;
        let key = |(tenant, issued_at_ticks, click, hash): (i64, i64, Uuid, Vec<u8>)| {
            let hash = sixteen(&hash).ok_or(StoreError::Inconsistent {
                table: "customer_key",
                column: "customer_hash",
            })?;
            let key = ClickKey {
                tenant,
                issued_at_ticks,
                click: ClickId(click.into_bytes()),
            };
            Ok((key, hash))
        };
        found.into_iter().map(key).collect()
    }

    /// The clicks whose conversions name the same person as one of these clicks' do.
    pub async fn clicks_of_same_person(&mut self, clicks: &[ClickKey]) -> Result<Vec<ClickKey>, StoreError> {
        let named = self.customers_of(clicks).await?;
        let mut customers: Vec<(i64, [u8; 16])> = named
            .into_iter()
            .map(|(click, hash)| (click.tenant, hash))
            .collect();
        customers.sort_unstable();
        customers.dedup();
        let found = self.clicks_of_customers(&customers).await?;
        Ok(found.into_iter().map(|(_, click)| click).collect())
    }

    /// Makes these clicks of one tenant count no more: late postbacks find an entry and are refused. Nothing else of
    /// them changes. Returns the entries that now stand, each with its end.
    pub async fn block_clicks(
        &mut self,
        keys: &KeyRing,
        clicks: &[ClickKey],
    ) -> Result<Vec<Suppressed>, StoreError> {
        let entries: Vec<Suppressed> = clicks
            .iter()
            .map(|click| {
                let expires_at_s = click.issued_at_s() + SUPPRESSION_SECONDS;
                (keys.suppressed_click(&click.click), expires_at_s)
            })
            .collect();
        self.suppress(keys.tenant(), entries.clone()).await?;
        Ok(entries)
    }

    /// Sets or lifts the restriction of clicks; returns how many it changed.
    pub async fn restrict_clicks(
        &mut self,
        clicks: &[ClickKey],
        restricted: bool,
    ) -> Result<u64, StoreError> {
        let after = if restricted {
            ") UPDATE click SET restricted = TRUE WHERE NOT restricted \
             AND (tenant, issued_at_ticks, click_id) IN (SELECT t, i, c FROM k)"
        } else {
            ") UPDATE click SET restricted = FALSE WHERE restricted \
             AND (tenant, issued_at_ticks, click_id) IN (SELECT t, i, c FROM k)"
        };
        self.write(&Rows {
            before: "WITH k(t, i, c) AS (",
            cells: key_cells(clicks),
            after,
        })
        .await
    }

    /// Sets or lifts the restriction of the conversions of clicks that had their time; returns how many such conversions
    /// there are, and how many of them it changed.
    pub async fn restrict_conversions(
        &mut self,
        clicks: &[ClickKey],
        restricted: bool,
    ) -> Result<(u64, u64), StoreError> {
        if clicks.is_empty() {
            return Ok((0, 0));
        }
        let rows = Rows {
            before: "WITH k(t, i, c) AS (",
            cells: key_cells(clicks),
            after: self.either(RESTRICTED_CONVERSIONS),
        };
        let found: Vec<(i64, bool)> = self.look_up(&rows).await?;
        let after = if restricted {
            ") UPDATE conversion SET restricted = TRUE WHERE NOT restricted \
             AND (tenant, issued_at_ticks, click_id) IN (SELECT t, i, c FROM k)"
        } else {
            ") UPDATE conversion SET restricted = FALSE WHERE restricted \
             AND (tenant, issued_at_ticks, click_id) IN (SELECT t, i, c FROM k)"
        };
        let changed = self
            .write(&Rows {
                before: "WITH k(t, i, c) AS (",
                cells: key_cells(clicks),
                after,
            })
            .await?;
        Ok((found.len() as u64, changed))
    }
}
