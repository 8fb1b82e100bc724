//! Erasing people: rows, columns and keys go, a suppression entry stays, all in the batch's transaction.
//!
//! With the salt every key that hangs on it is gone, and with those whatever a backup, a free page or a log segment may
//! still hold of the ciphertexts. Totals keep their counts.

use uuid::Uuid;

use super::super::cells::{Cells, Rows};
use super::super::connect::StoreError;
use super::super::tx::Batch;
use super::key_cells;
use crate::domain::campaign::MAX_WINDOW_DAYS;
use crate::domain::ids::{ClickId, ClickKey};
use crate::domain::keyring::KeyRing;

/// How long a suppression entry lives, in seconds from the click: the longest life of a token and seven days.
pub const SUPPRESSION_SECONDS: i64 = (MAX_WINDOW_DAYS + 7 + 7) * 86_400;

/// What was erased.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Erased {
    /// Clicks whose rows were there.
    pub clicks: u64,
    /// Conversions whose personal columns were emptied.
    pub conversions: u64,
    /// The suppression entries that now stand.
    pub entries: Vec<[u8; 32]>,
}

type OrderTuple = (i64, i64, bool, Vec<u8>);

impl Batch {
    /// Erases these clicks of one tenant, and everything that hangs on them.
    pub async fn erase_clicks(&mut self, keys: &KeyRing, clicks: &[ClickKey]) -> Result<Erased, StoreError> {
        let mut erased = Erased::default();
        let mut entries: Vec<([u8; 32], i64)> = Vec::new();
        for click in clicks {
            let expires_at_s = click.issued_at_s() + SUPPRESSION_SECONDS;
            entries.push((keys.suppressed_click(&click.click), expires_at_s));
            let orders = self.orders_of(click).await?;
            self.remove_orders(click, &orders).await?;
            for (shop, goal, test, order_hash) in orders {
                // Tests have an order space of their own, and no real order may be shut out by one.
                if !test {
                    entries.push((keys.suppressed_order(shop, goal, &order_hash), expires_at_s));
                }
            }
        }
        self.remove(clicks, "customer_key").await?;
        self.remove(clicks, "consent_record").await?;
        self.remove(clicks, "click_salt").await?;
        erased.clicks = self.remove(clicks, "click").await?;
        erased.conversions = self
            .write(&Rows {
                before: "WITH k(t, i, c) AS (",
                cells: key_cells(clicks),
                after: ") UPDATE conversion SET issued_at_ticks = NULL, click_id = NULL, order_hash = NULL, payload = NULL, \
                        consent_bits = NULL, signal_kinds = NULL WHERE (tenant, issued_at_ticks, click_id) IN (SELECT t, i, c FROM k)",
            })
            .await?;
        erased.entries = self.suppress(keys.tenant(), entries).await?;
        Ok(erased)
    }

    /// Writes suppression entries, each with its end in epoch seconds; returns the entries that now stand.
    pub(super) async fn suppress(
        &mut self,
        tenant: i64,
        mut entries: Vec<([u8; 32], i64)>,
    ) -> Result<Vec<[u8; 32]>, StoreError> {
        entries.sort_unstable();
        entries.dedup();
        self.write(&Rows {
            before: "INSERT INTO suppression (tenant, entry, expires_at_s)",
            cells: vec![
                Cells::Int(vec![tenant; entries.len()]),
                Cells::Bytes(entries.iter().map(|(entry, _)| entry.to_vec()).collect()),
                Cells::Int(entries.iter().map(|(_, expires_at_s)| *expires_at_s).collect()),
            ],
            after: "ON CONFLICT DO NOTHING",
        })
        .await?;
        Ok(entries.into_iter().map(|(entry, _)| entry).collect())
    }

    async fn orders_of(&mut self, click: &ClickKey) -> Result<Vec<OrderTuple>, StoreError> {
        let rows = Rows {
            before: "WITH k(t, i, c) AS (",
            cells: key_cells(std::slice::from_ref(click)),
            after: ") SELECT v.shop, v.goal, v.test, v.order_hash FROM k CROSS JOIN conversion v \
                    WHERE v.tenant = k.t AND v.issued_at_ticks = k.i AND v.click_id = k.c",
        };
        self.look_up(&rows).await
    }

    /// Frees the orders of a click. An order that was forgotten since and taken by another click stays that click's.
    async fn remove_orders(&mut self, click: &ClickKey, orders: &[OrderTuple]) -> Result<(), StoreError> {
        let mut cells = key_cells(&vec![*click; orders.len()]);
        cells.extend([
            Cells::Int(orders.iter().map(|(shop, ..)| *shop).collect()),
            Cells::Int(orders.iter().map(|(_, goal, ..)| *goal).collect()),
            Cells::Flag(orders.iter().map(|(_, _, test, _)| *test).collect()),
            Cells::Bytes(orders.iter().map(|(.., order_hash)| order_hash.clone()).collect()),
        ]);
        self.write(&Rows {
            before: "WITH k(t, i, c, s, g, e, h) AS (",
            cells,
            after: ") DELETE FROM order_key WHERE (tenant, shop, goal, test, order_hash, issued_at_ticks, click_id) \
                    IN (SELECT t, s, g, e, h, i, c FROM k)",
        })
        .await?;
        Ok(())
    }

    async fn remove(&mut self, clicks: &[ClickKey], table: &'static str) -> Result<u64, StoreError> {
        let after = match table {
            "customer_key" => {
                ") DELETE FROM customer_key WHERE (tenant, issued_at_ticks, click_id) IN (SELECT t, i, c FROM k)"
            }
            "consent_record" => {
                ") DELETE FROM consent_record WHERE (tenant, issued_at_ticks, click_id) IN (SELECT t, i, c FROM k)"
            }
            "click_salt" => {
                ") DELETE FROM click_salt WHERE (tenant, issued_at_ticks, click_id) IN (SELECT t, i, c FROM k)"
            }
            _ => ") DELETE FROM click WHERE (tenant, issued_at_ticks, click_id) IN (SELECT t, i, c FROM k)",
        };
        self.write(&Rows {
            before: "WITH k(t, i, c) AS (",
            cells: key_cells(clicks),
            after,
        })
        .await
    }

    /// The clicks that stand behind a shop's customer reference.
    pub async fn clicks_of_customer(
        &mut self,
        tenant: i64,
        customer_hash: [u8; 16],
    ) -> Result<Vec<ClickKey>, StoreError> {
        let rows = Rows {
            before: "WITH k(t, h) AS (",
            cells: vec![
                Cells::Int(vec![tenant]),
                Cells::Bytes(vec![customer_hash.to_vec()]),
            ],
            after: ") SELECT c.issued_at_ticks, c.click_id FROM k CROSS JOIN customer_key c \
                    WHERE c.tenant = k.t AND c.customer_hash = k.h ORDER BY c.issued_at_ticks, c.click_id",
        };
        let found: Vec<(i64, Uuid)> = self.look_up(&rows).await?;
        let key = |(issued_at_ticks, click): (i64, Uuid)| ClickKey {
            tenant,
            issued_at_ticks,
            click: ClickId(click.into_bytes()),
        };
        Ok(found.into_iter().map(key).collect())
    }
}
