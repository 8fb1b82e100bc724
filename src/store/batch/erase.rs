//! Erasing people: rows, columns and keys go, a suppression entry stays, all in the batch's transaction.
//!
//! With the salt every key that hangs on it is gone, and with those whatever a backup, a free page or a log segment may
//! still hold of the ciphertexts. Totals keep their counts. Many people are erased together.

pub(super) mod texts;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::super::cells::{Cells, Rows};
use super::super::connect::StoreError;
use super::super::tx::{Batch, Expected};
use super::key_cells;
use crate::domain::campaign::MAX_WINDOW_DAYS;
use crate::domain::ids::{ClickId, ClickKey};
use crate::domain::journal::Suppressed;
use crate::domain::keyring::KeyRing;
use crate::domain::keys::epoch_of;
use texts::{FORGET_CLICKS, OF_CLICKS, OF_ORDERS, ORDERS_OF_CLICKS, REMOVE_ORDERS, Texts, removal};

/// How long a suppression entry lives, in seconds from the click: the longest life of a token and seven days.
pub const SUPPRESSION_SECONDS: i64 = (MAX_WINDOW_DAYS + 7 + 7) * 86_400;

/// What went with one click.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ErasedClick {
    /// Whether its row was there.
    pub was_there: bool,
    /// Whether its salt was there: it outlives the row as long as a conversion's details hang on it.
    pub had_salt: bool,
    /// Conversions whose personal columns were emptied.
    pub conversions: u64,
    /// Records of later signals.
    pub consent_records: u64,
    /// Customer references.
    pub customer_refs: u64,
    /// The suppression entries that now stand, each with its end.
    pub entries: Vec<Suppressed>,
}

/// What was erased, click by click.
pub type Erased = BTreeMap<ClickKey, ErasedClick>;

/// An act of erasing, as it is kept.
#[derive(Debug, Clone)]
pub struct ErasureRow {
    /// The tenant's number.
    pub tenant: i64,
    /// Its id.
    pub erasure_id: Uuid,
    /// When.
    pub erased_at_ms: i64,
    /// The door's word.
    pub door: &'static str,
    /// The ground's word.
    pub reason: &'static str,
    /// What went.
    pub counts: ErasureCounts,
    /// The audit entry that says so.
    pub entry_id: Uuid,
    /// The months whose salts went.
    pub months: BTreeSet<i64>,
}

/// How much went in one act.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ErasureCounts {
    /// Clicks with their salts.
    pub clicks: u64,
    /// Conversions that lost what was personal.
    pub conversions: u64,
    /// Records of later signals.
    pub consent_records: u64,
    /// Customer references.
    pub customer_refs: u64,
    /// Suppression entries.
    pub suppressed: u64,
}

impl ErasureCounts {
    /// Whether anything of a person went.
    pub fn is_something(&self) -> bool {
        self.clicks > 0 || self.conversions > 0
    }

    /// Adds what went with a click.
    pub fn add(&mut self, click: &ErasedClick) {
        self.clicks += u64::from(click.was_there);
        self.conversions += click.conversions;
        self.consent_records += click.consent_records;
        self.customer_refs += click.customer_refs;
        self.suppressed += u64::try_from(click.entries.len()).unwrap_or(0);
    }
}

/// The month of a click, as partitions are named.
pub fn month_of(click: &ClickKey) -> i64 {
    i64::from(epoch_of(click.issued_at_s()))
}

type OrderTuple = (i64, Uuid, i64, i64, bool, Vec<u8>);

impl Batch {
    /// Erases these clicks of one tenant, and everything that hangs on them.
    pub async fn erase_clicks(&mut self, keys: &KeyRing, clicks: &[ClickKey]) -> Result<Erased, StoreError> {
        let tenant = keys.tenant();
        let mut erased: Erased = clicks
            .iter()
            .map(|click| {
                let entry = (keys.suppressed_click(&click.click), ends_at_s(click));
                let entries = vec![entry];
                (
                    *click,
                    ErasedClick {
                        entries,
                        ..ErasedClick::default()
                    },
                )
            })
            .collect();
        let orders = self.orders_of(clicks).await?;
        self.remove_orders(tenant, &orders).await?;
        for (issued_at_ticks, click, shop, goal, test, order_hash) in orders {
            let key = key_of(tenant, issued_at_ticks, click);
            let gone = erased.entry(key).or_default();
            gone.conversions += 1;
            // Tests have an order space of their own, and no real order may be shut out by one.
            if !test {
                let entry = keys.suppressed_order(shop, goal, &order_hash);
                gone.entries.push((entry, ends_at_s(&key)));
            }
        }
        for key in self.remove(clicks, "customer_key", tenant).await? {
            erased.entry(key).or_default().customer_refs += 1;
        }
        for key in self.remove(clicks, "consent_record", tenant).await? {
            erased.entry(key).or_default().consent_records += 1;
        }
        for key in self.remove(clicks, "click_salt", tenant).await? {
            erased.entry(key).or_default().had_salt = true;
        }
        for key in self.remove(clicks, "click", tenant).await? {
            erased.entry(key).or_default().was_there = true;
        }
        self.forget_clicks(clicks).await?;
        for gone in erased.values_mut() {
            gone.entries.sort_unstable();
            gone.entries.dedup();
        }
        self.suppress(
            tenant,
            erased.values().flat_map(|gone| &gone.entries).copied().collect(),
        )
        .await?;
        Ok(erased)
    }

    /// Writes suppression entries, each with its end in epoch seconds.
    pub(in crate::store) async fn suppress(
        &mut self,
        tenant: i64,
        mut entries: Vec<Suppressed>,
    ) -> Result<(), StoreError> {
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
        Ok(())
    }

    /// Keeps what was done. What PostgreSQL still has to rewrite is noted beside it, month by month.
    pub fn insert_erasures(&mut self, erasures: &[ErasureRow]) -> Result<(), StoreError> {
        let int = |value: fn(&ErasureRow) -> i64| Cells::Int(erasures.iter().map(value).collect());
        let count = |value: fn(&ErasureCounts) -> u64| {
            let signed = |row: &ErasureRow| i64::try_from(value(&row.counts)).unwrap_or(i64::MAX);
            Cells::Int(erasures.iter().map(signed).collect())
        };
        let rows = Rows {
            before: "INSERT INTO erasure (tenant, erasure_id, erased_at_ms, door, reason, clicks, conversions, \
                     consent_records, customer_refs, suppressed, entry_id)",
            cells: vec![
                int(|row| row.tenant),
                Cells::Id(erasures.iter().map(|row| row.erasure_id).collect()),
                int(|row| row.erased_at_ms),
                Cells::Word(erasures.iter().map(|row| row.door).collect()),
                Cells::Word(erasures.iter().map(|row| row.reason).collect()),
                count(|counts| counts.clicks),
                count(|counts| counts.conversions),
                count(|counts| counts.consent_records),
                count(|counts| counts.customer_refs),
                count(|counts| counts.suppressed),
                Cells::Id(erasures.iter().map(|row| row.entry_id).collect()),
            ],
            after: "",
        };
        self.insert(rows, Expected::Any)?;
        if matches!(self, Batch::Sqlite(_)) {
            return Ok(());
        }
        let owed: Vec<(i64, &ErasureRow)> = erasures
            .iter()
            .flat_map(|row| row.months.iter().map(move |month| (*month, row)))
            .collect();
        let rows = Rows {
            before: "INSERT INTO remains (month, erasure_id, owed_since_ms)",
            cells: vec![
                Cells::Int(owed.iter().map(|(month, _)| *month).collect()),
                Cells::Id(owed.iter().map(|(_, row)| row.erasure_id).collect()),
                Cells::Int(owed.iter().map(|(_, row)| row.erased_at_ms).collect()),
            ],
            after: "",
        };
        self.insert(rows, Expected::Any)
    }

    /// Conversions stay for the totals, without what led to anybody.
    async fn forget_clicks(&mut self, clicks: &[ClickKey]) -> Result<(), StoreError> {
        let rows = Rows {
            before: OF_CLICKS,
            cells: key_cells(clicks),
            after: self.either(FORGET_CLICKS),
        };
        self.write(&rows).await?;
        Ok(())
    }

    /// The text for SQLite or the one for PostgreSQL.
    pub(super) fn either(&self, (embedded, server): Texts) -> &'static str {
        match self {
            Batch::Sqlite(_) => embedded,
            Batch::Postgres(_) => server,
        }
    }

    async fn orders_of(&mut self, clicks: &[ClickKey]) -> Result<Vec<OrderTuple>, StoreError> {
        let rows = Rows {
            before: OF_CLICKS,
            cells: key_cells(clicks),
            after: self.either(ORDERS_OF_CLICKS),
        };
        self.look_up(&rows).await
    }

    /// Frees the orders of clicks. An order that was forgotten since and taken by another click stays that click's.
    async fn remove_orders(&mut self, tenant: i64, orders: &[OrderTuple]) -> Result<(), StoreError> {
        let cells = vec![
            Cells::Int(vec![tenant; orders.len()]),
            Cells::Int(orders.iter().map(|(issued, ..)| *issued).collect()),
            Cells::Id(orders.iter().map(|(_, click, ..)| *click).collect()),
            Cells::Int(orders.iter().map(|(_, _, shop, ..)| *shop).collect()),
            Cells::Int(orders.iter().map(|(_, _, _, goal, ..)| *goal).collect()),
            Cells::Flag(orders.iter().map(|(.., test, _)| *test).collect()),
            Cells::Bytes(orders.iter().map(|(.., order_hash)| order_hash.clone()).collect()),
        ];
        self.write(&Rows {
            before: OF_ORDERS,
            cells,
            after: self.either(REMOVE_ORDERS),
        })
        .await?;
        Ok(())
    }

    /// Removes the rows of clicks from a table; names the click of each row that was there.
    async fn remove(
        &mut self,
        clicks: &[ClickKey],
        table: &'static str,
        tenant: i64,
    ) -> Result<Vec<ClickKey>, StoreError> {
        let after = self.either(removal(table));
        let rows = Rows {
            before: OF_CLICKS,
            cells: key_cells(clicks),
            after,
        };
        let found: Vec<(i64, Uuid)> = self.look_up(&rows).await?;
        Ok(found
            .into_iter()
            .map(|(issued, click)| key_of(tenant, issued, click))
            .collect())
    }

    /// The clicks that stand behind shops' customer references, each with the reference.
    pub async fn clicks_of_customers(
        &mut self,
        customers: &[(i64, [u8; 16])],
    ) -> Result<Vec<((i64, [u8; 16]), ClickKey)>, StoreError> {
        let rows = Rows {
            before: "WITH k(t, h) AS (",
            cells: vec![
                Cells::Int(customers.iter().map(|(tenant, _)| *tenant).collect()),
                Cells::Hash(customers.iter().map(|(_, hash)| *hash).collect()),
            ],
            after: ") SELECT c.tenant, c.customer_hash, c.issued_at_ticks, c.click_id FROM k CROSS JOIN customer_key c \
                    WHERE c.tenant = k.t AND c.customer_hash = k.h ORDER BY c.issued_at_ticks, c.click_id",
        };
        let found: Vec<(i64, Vec<u8>, i64, Uuid)> = self.look_up(&rows).await?;
        found
            .into_iter()
            .map(|(tenant, hash, issued_at_ticks, click)| {
                let hash = super::sixteen(&hash).ok_or(StoreError::Inconsistent {
                    table: "customer_key",
                    column: "customer_hash",
                })?;
                Ok(((tenant, hash), key_of(tenant, issued_at_ticks, click)))
            })
            .collect()
    }

    /// The clicks that stand behind a shop's customer reference.
    pub async fn clicks_of_customer(
        &mut self,
        tenant: i64,
        customer_hash: [u8; 16],
    ) -> Result<Vec<ClickKey>, StoreError> {
        let found = self.clicks_of_customers(&[(tenant, customer_hash)]).await?;
        Ok(found.into_iter().map(|(_, click)| click).collect())
    }
}

/// When the suppression of a click ends, in seconds since 1970.
fn ends_at_s(click: &ClickKey) -> i64 {
    click.issued_at_s() + SUPPRESSION_SECONDS
}

fn key_of(tenant: i64, issued_at_ticks: i64, click: Uuid) -> ClickKey {
    ClickKey {
        tenant,
        issued_at_ticks,
        click: ClickId(click.into_bytes()),
    }
}
