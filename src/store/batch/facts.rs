//! What a batch has to know before it decides.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::super::cells::{Cells, Rows};
use super::super::connect::StoreError;
use super::super::tx::Batch;
use super::{key_cells, sixteen};
use crate::domain::ids::{ClickId, ClickKey};

/// Names an order for look-ups.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderRef {
    /// The tenant's number.
    pub tenant: i64,
    /// The shop's number.
    pub shop: i64,
    /// The goal's number.
    pub goal: i64,
    /// Tests have a space of their own.
    pub test: bool,
    /// The keyed hash.
    pub order_hash: [u8; 16],
}

/// What a click's row says to a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClickFacts {
    /// The link's number.
    pub link: i64,
    /// The consent at the click.
    pub consent_bits: i64,
    /// Whether processing is restricted.
    pub restricted: bool,
    /// The month of its epoch key.
    pub retention_epoch: i64,
    /// The salt, unless it is gone.
    pub salt: Option<[u8; 16]>,
}

/// What was recorded under an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderFacts {
    /// The conversion.
    pub conversion_id: Uuid,
    /// Its content.
    pub content_hash: Vec<u8>,
    /// Its click.
    pub click: ClickKey,
}

impl OrderFacts {
    /// The click, unless the conversion's details had their time: its order then names none.
    pub fn living_click(&self) -> Option<ClickKey> {
        (self.click.issued_at_ticks != 0).then_some(self.click)
    }
}

/// A click with its salt on PostgreSQL, from the block that holds it. Through the view, every salt of the moment would become a
/// row to be compared: 75 µs for each click instead of 14.
macro_rules! click_with_salt {
    () => {
        ") SELECT c.tenant, c.issued_at_ticks, c.click_id, c.link, c.consent_bits, c.restricted, \
         c.retention_epoch, (SELECT b.salts[array_position(b.clicks, k.c)] FROM salt_block b WHERE b.tenant = k.t \
         AND b.issued_at_ticks = k.i AND k.c = ANY (b.clicks) LIMIT 1) FROM k JOIN click c ON c.tenant = k.t \
         AND c.issued_at_ticks = k.i AND c.click_id = k.c ORDER BY c.tenant, c.issued_at_ticks, c.click_id "
    };
}

type ClickTuple = (i64, i64, Uuid, i64, i64, bool, i64, Option<Vec<u8>>);
type OrderTuple = (i64, i64, i64, bool, Vec<u8>, Uuid, Vec<u8>, i64, Uuid);

impl Batch {
    /// The present state of these clicks. `erasing` takes the stronger lock at once, so that no two nodes wait for one
    /// another while both raise theirs.
    pub async fn click_facts(
        &mut self,
        keys: &mut Vec<ClickKey>,
        erasing: bool,
    ) -> Result<HashMap<ClickKey, ClickFacts>, StoreError> {
        keys.sort_unstable();
        keys.dedup();
        let after = match self {
            Batch::Sqlite(_) => {
                ") SELECT c.tenant, c.issued_at_ticks, c.click_id, c.link, c.consent_bits, c.restricted, \
                 c.retention_epoch, s.salt FROM k CROSS JOIN click c ON c.tenant = k.t AND c.issued_at_ticks = k.i \
                 AND c.click_id = k.c LEFT JOIN click_salt s ON s.tenant = c.tenant \
                 AND s.issued_at_ticks = c.issued_at_ticks AND s.click_id = c.click_id"
            }
            Batch::Postgres(_) if erasing => {
                concat!(click_with_salt!(), "FOR UPDATE OF c")
            }
            Batch::Postgres(_) => {
                concat!(click_with_salt!(), "FOR SHARE OF c")
            }
        };
        let rows = Rows {
            before: "WITH k(t, i, c) AS (",
            cells: key_cells(keys),
            after,
        };
        let found: Vec<ClickTuple> = self.look_up(&rows).await?;
        Ok(found
            .into_iter()
            .map(
                |(tenant, issued_at_ticks, click, link, consent_bits, restricted, retention_epoch, salt)| {
                    let key = ClickKey {
                        tenant,
                        issued_at_ticks,
                        click: ClickId(click.into_bytes()),
                    };
                    let salt = salt.as_deref().and_then(sixteen);
                    (
                        key,
                        ClickFacts {
                            link,
                            consent_bits,
                            restricted,
                            retention_epoch,
                            salt,
                        },
                    )
                },
            )
            .collect())
    }

    /// What was recorded under these orders.
    pub async fn order_facts(
        &mut self,
        orders: &mut Vec<OrderRef>,
    ) -> Result<HashMap<OrderRef, OrderFacts>, StoreError> {
        orders.sort_unstable();
        orders.dedup();
        let rows = Rows {
            before: "WITH k(t, s, g, e, h) AS (",
            cells: vec![
                Cells::Int(orders.iter().map(|order| order.tenant).collect()),
                Cells::Int(orders.iter().map(|order| order.shop).collect()),
                Cells::Int(orders.iter().map(|order| order.goal).collect()),
                Cells::Flag(orders.iter().map(|order| order.test).collect()),
                Cells::Hash(orders.iter().map(|order| order.order_hash).collect()),
            ],
            after: ") SELECT o.tenant, o.shop, o.goal, o.test, o.order_hash, o.conversion_id, o.content_hash, \
                    o.issued_at_ticks, o.click_id FROM k CROSS JOIN order_key o WHERE o.tenant = k.t AND o.shop = k.s \
                    AND o.goal = k.g AND o.test = k.e AND o.order_hash = k.h",
        };
        let found: Vec<OrderTuple> = self.look_up(&rows).await?;
        let mut facts = HashMap::with_capacity(found.len());
        for (tenant, shop, goal, test, hash, conversion_id, content_hash, issued_at_ticks, click) in found {
            let order_hash = sixteen(&hash).ok_or(StoreError::Inconsistent {
                table: "order_key",
                column: "order_hash",
            })?;
            let click = ClickKey {
                tenant,
                issued_at_ticks,
                click: ClickId(click.into_bytes()),
            };
            facts.insert(
                OrderRef {
                    tenant,
                    shop,
                    goal,
                    test,
                    order_hash,
                },
                OrderFacts {
                    conversion_id,
                    content_hash,
                    click,
                },
            );
        }
        Ok(facts)
    }

    /// Which of these entries are suppressed.
    pub async fn suppressed(
        &mut self,
        entries: &mut Vec<(i64, [u8; 32])>,
    ) -> Result<HashSet<(i64, [u8; 32])>, StoreError> {
        entries.sort_unstable();
        entries.dedup();
        let rows = Rows {
            before: "WITH k(t, e) AS (",
            cells: vec![
                Cells::Int(entries.iter().map(|(tenant, _)| *tenant).collect()),
                Cells::Bytes(entries.iter().map(|(_, entry)| entry.to_vec()).collect()),
            ],
            after: ") SELECT s.tenant, s.entry FROM k CROSS JOIN suppression s WHERE s.tenant = k.t AND s.entry = k.e",
        };
        let found: Vec<(i64, Vec<u8>)> = self.look_up(&rows).await?;
        let whole = |(tenant, entry): (i64, Vec<u8>)| Some((tenant, <[u8; 32]>::try_from(entry).ok()?));
        found
            .into_iter()
            .map(|row| {
                whole(row).ok_or(StoreError::Inconsistent {
                    table: "suppression",
                    column: "entry",
                })
            })
            .collect()
    }
}
