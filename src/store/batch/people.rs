//! Clicks of one person, and clicks that count no more without being erased.
//!
//! Which clicks belong to one person is known only as far as the shop has named the person in its orders, and only to
//! that shop: references are hashed under each shop's own name.

use uuid::Uuid;

use super::super::cells::Rows;
use super::super::connect::StoreError;
use super::super::tx::Batch;
use super::erase::SUPPRESSION_SECONDS;
use super::key_cells;
use crate::domain::ids::{ClickId, ClickKey};
use crate::domain::keyring::KeyRing;

impl Batch {
    /// The clicks whose conversions name the same person as one of these clicks' do.
    pub async fn clicks_of_same_person(&mut self, clicks: &[ClickKey]) -> Result<Vec<ClickKey>, StoreError> {
        let rows = Rows {
            before: "WITH k(t, i, c) AS (",
            cells: key_cells(clicks),
            after: ") SELECT DISTINCT o.tenant, o.issued_at_ticks, o.click_id FROM k \
                    JOIN customer_key m ON m.tenant = k.t AND m.issued_at_ticks = k.i AND m.click_id = k.c \
                    JOIN customer_key o ON o.tenant = m.tenant AND o.customer_hash = m.customer_hash",
        };
        let found: Vec<(i64, i64, Uuid)> = self.look_up(&rows).await?;
        let key = |(tenant, issued_at_ticks, click): (i64, i64, Uuid)| ClickKey {
            tenant,
            issued_at_ticks,
            click: ClickId(click.into_bytes()),
        };
        Ok(found.into_iter().map(key).collect())
    }

    /// Makes these clicks of one tenant count no more: late postbacks find an entry and are refused. Nothing else of
    /// them changes. Returns the entries that now stand.
    pub async fn block_clicks(
        &mut self,
        keys: &KeyRing,
        clicks: &[ClickKey],
    ) -> Result<Vec<[u8; 32]>, StoreError> {
        let entries = clicks
            .iter()
            .map(|click| {
                let expires_at_s = click.issued_at_s() + SUPPRESSION_SECONDS;
                (keys.suppressed_click(&click.click), expires_at_s)
            })
            .collect();
        self.suppress(keys.tenant(), entries).await
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
}
