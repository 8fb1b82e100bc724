//! The hot path's statements: the facts of a batch, and its rows.
//!
//! Facts are read in the transaction that writes the verdict. On PostgreSQL the click rows are locked in key order, so
//! that a withdrawal on another node is either seen or waits. Rows go in one statement per table, tables in one order
//! everywhere (click, salt, consent record, conversion, order, customer, suppression, counters, audit).

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::cells::{Cells, Rows};
use super::connect::StoreError;
use super::tx::{Batch, entry_id};
use crate::audit::leaf;
use crate::domain::event::Trail;
use crate::domain::ids::{ClickId, ClickKey};

/// A click's row to be written.
#[derive(Debug)]
pub struct ClickRow {
    /// Its key.
    pub key: ClickKey,
    /// Campaign, publisher, shop and link numbers.
    pub campaign: i64,
    /// The publisher's number.
    pub publisher: i64,
    /// The shop's number.
    pub shop: i64,
    /// The link's number.
    pub link: i64,
    /// The policy version of the decision.
    pub policy_version: i64,
    /// The month of its epoch key.
    pub retention_epoch: i64,
    /// The consent at the click.
    pub consent_bits: i64,
    /// The encrypted details.
    pub payload: Vec<u8>,
    /// The salt.
    pub salt: [u8; 16],
}

/// A consent record's row to be written.
#[derive(Debug)]
pub struct ConsentRow {
    /// The click it is about.
    pub key: ClickKey,
    /// Its own id.
    pub record_id: Uuid,
    /// When the signal was read.
    pub recorded_at_ms: i64,
    /// 0: publisher, at the click; 1: shop.
    pub collector: i64,
    /// State and answers.
    pub consent_bits: i64,
    /// Which kinds of signal arrived.
    pub signal_kinds: i64,
    /// The policy version of the decision.
    pub policy_version: i64,
}

/// A conversion's row to be written.
#[derive(Debug)]
pub struct ConversionRow {
    /// The tenant's number.
    pub tenant: i64,
    /// The second its id was made in: the partition key.
    pub recorded_at_s: i64,
    /// Its id.
    pub conversion_id: Uuid,
    /// The shop's number.
    pub shop: i64,
    /// The campaign's number.
    pub campaign: i64,
    /// The publisher's number.
    pub publisher: i64,
    /// The link's number.
    pub link: i64,
    /// The goal's number.
    pub goal: i64,
    /// `pending`, `confirmed` or `cancelled`.
    pub status: &'static str,
    /// The amount in minor units of the currency.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: &'static str,
    /// When the goal happened.
    pub occurred_at_ms: i64,
    /// When it was recorded.
    pub updated_at_ms: i64,
    /// Whether it is a test.
    pub test: bool,
    /// The policy version of the verdict.
    pub policy_version: i64,
    /// The month whose epoch key the details hang on.
    pub retention_epoch: i64,
    /// The click.
    pub click: ClickKey,
    /// The keyed hash of the order.
    pub order_hash: [u8; 16],
    /// The keyed hash of the content.
    pub content_hash: [u8; 16],
    /// When the order's uniqueness may be forgotten.
    pub expires_at_s: i64,
    /// The encrypted details.
    pub payload: Vec<u8>,
    /// The keyed hash of the customer reference.
    pub customer_hash: Option<[u8; 16]>,
}

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

/// A counter of clicks and conversions: (tenant, quarter-hour, shop, campaign, publisher, link, goal, currency,
/// outcome) → (events, amount).
pub type HourKey = (i64, i64, i64, i64, i64, i64, i64, &'static str, &'static str);
/// A counter of refused and dropped postbacks: (tenant, day, shop, campaign, outcome, reason).
pub type RefusedKey = (i64, i64, i64, i64, &'static str, &'static str);
/// A counter of untracked clicks: (tenant, day, campaign, reason, policy version).
pub type UntrackedKey = (i64, i64, i64, &'static str, i64);

/// Counters of one batch, summed up.
#[derive(Debug, Default)]
pub struct Counters {
    /// Clicks and conversions.
    pub hours: BTreeMap<HourKey, (i64, i64)>,
    /// Refused and dropped postbacks.
    pub refused: BTreeMap<RefusedKey, i64>,
    /// Untracked clicks.
    pub untracked: BTreeMap<UntrackedKey, i64>,
}

type ClickTuple = (i64, i64, Uuid, i64, i64, bool, i64, Option<Vec<u8>>);
type OrderTuple = (i64, i64, i64, bool, Vec<u8>, Uuid, Vec<u8>, i64, Uuid);

fn key_cells(keys: &[ClickKey]) -> Vec<Cells> {
    vec![
        Cells::Int(keys.iter().map(|key| key.tenant).collect()),
        Cells::Int(keys.iter().map(|key| key.issued_at_s).collect()),
        Cells::Id(keys.iter().map(|key| Uuid::from_bytes(key.click.0)).collect()),
    ]
}

/// 16 bytes of a column that holds just that.
pub(super) fn sixteen(bytes: &[u8]) -> Option<[u8; 16]> {
    bytes.try_into().ok()
}

impl Batch {
    /// The routing version that this transaction sees.
    pub async fn routing_version(&mut self) -> Result<i64, StoreError> {
        const SELECT: &str = "SELECT version FROM routing WHERE id = 1";
        Ok(match self {
            Batch::Sqlite(inner) => sqlx::query_scalar(SELECT).fetch_one(&mut **inner).await?,
            Batch::Postgres(inner) => sqlx::query_scalar(SELECT).fetch_one(&mut **inner).await?,
        })
    }

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
                ") SELECT c.tenant, c.issued_at_s, c.click_id, c.link, c.consent_bits, c.restricted, \
                 c.retention_epoch, s.salt FROM k CROSS JOIN click c ON c.tenant = k.t AND c.issued_at_s = k.i \
                 AND c.click_id = k.c LEFT JOIN click_salt s ON s.tenant = c.tenant \
                 AND s.issued_at_s = c.issued_at_s AND s.click_id = c.click_id"
            }
            Batch::Postgres(_) if erasing => {
                ") SELECT c.tenant, c.issued_at_s, c.click_id, c.link, c.consent_bits, c.restricted, \
                 c.retention_epoch, s.salt FROM k JOIN click c ON c.tenant = k.t AND c.issued_at_s = k.i \
                 AND c.click_id = k.c LEFT JOIN click_salt s ON s.tenant = k.t AND s.issued_at_s = k.i \
                 AND s.click_id = k.c ORDER BY c.tenant, c.issued_at_s, c.click_id FOR UPDATE OF c"
            }
            Batch::Postgres(_) => {
                ") SELECT c.tenant, c.issued_at_s, c.click_id, c.link, c.consent_bits, c.restricted, \
                 c.retention_epoch, s.salt FROM k JOIN click c ON c.tenant = k.t AND c.issued_at_s = k.i \
                 AND c.click_id = k.c LEFT JOIN click_salt s ON s.tenant = k.t AND s.issued_at_s = k.i \
                 AND s.click_id = k.c ORDER BY c.tenant, c.issued_at_s, c.click_id FOR SHARE OF c"
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
                |(tenant, issued_at_s, click, link, consent_bits, restricted, retention_epoch, salt)| {
                    let key = ClickKey {
                        tenant,
                        issued_at_s,
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
                Cells::Bytes(orders.iter().map(|order| order.order_hash.to_vec()).collect()),
            ],
            after: ") SELECT o.tenant, o.shop, o.goal, o.test, o.order_hash, o.conversion_id, o.content_hash, \
                    o.issued_at_s, o.click_id FROM k CROSS JOIN order_key o WHERE o.tenant = k.t AND o.shop = k.s \
                    AND o.goal = k.g AND o.test = k.e AND o.order_hash = k.h",
        };
        let found: Vec<OrderTuple> = self.look_up(&rows).await?;
        let mut facts = HashMap::with_capacity(found.len());
        for (tenant, shop, goal, test, hash, conversion_id, content_hash, issued_at_s, click) in found {
            let order_hash = sixteen(&hash).ok_or(StoreError::Inconsistent {
                table: "order_key",
                column: "order_hash",
            })?;
            let click = ClickKey {
                tenant,
                issued_at_s,
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
    ) -> Result<HashSet<(i64, Vec<u8>)>, StoreError> {
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
        Ok(self.look_up::<(i64, Vec<u8>)>(&rows).await?.into_iter().collect())
    }

    /// Writes clicks with their salts.
    pub async fn insert_clicks(&mut self, clicks: &[ClickRow]) -> Result<(), StoreError> {
        let keys: Vec<ClickKey> = clicks.iter().map(|click| click.key).collect();
        let int = |value: fn(&ClickRow) -> i64| Cells::Int(clicks.iter().map(value).collect());
        let mut cells = key_cells(&keys);
        cells.extend([
            int(|click| click.campaign),
            int(|click| click.publisher),
            int(|click| click.shop),
            int(|click| click.link),
            int(|click| click.policy_version),
            int(|click| click.retention_epoch),
            int(|click| click.consent_bits),
            Cells::Flag(vec![false; clicks.len()]),
            Cells::Bytes(clicks.iter().map(|click| click.payload.clone()).collect()),
        ]);
        let rows = Rows {
            before: "INSERT INTO click (tenant, issued_at_s, click_id, campaign, publisher, shop, link, \
                     policy_version, retention_epoch, consent_bits, restricted, payload)",
            cells,
            after: "",
        };
        self.write(&rows).await?;
        let mut cells = key_cells(&keys);
        cells.push(Cells::Bytes(
            clicks.iter().map(|click| click.salt.to_vec()).collect(),
        ));
        let rows = Rows {
            before: "INSERT INTO click_salt (tenant, issued_at_s, click_id, salt)",
            cells,
            after: "",
        };
        self.write(&rows).await?;
        Ok(())
    }

    /// Writes consent records.
    pub async fn insert_consent_records(&mut self, records: &[ConsentRow]) -> Result<(), StoreError> {
        let keys: Vec<ClickKey> = records.iter().map(|record| record.key).collect();
        let int = |value: fn(&ConsentRow) -> i64| Cells::Int(records.iter().map(value).collect());
        let mut cells = key_cells(&keys);
        cells.extend([
            int(|record| record.recorded_at_ms),
            Cells::Id(records.iter().map(|record| record.record_id).collect()),
            int(|record| record.collector),
            int(|record| record.consent_bits),
            int(|record| record.signal_kinds),
            int(|record| record.policy_version),
        ]);
        let rows = Rows {
            before: "INSERT INTO consent_record (tenant, issued_at_s, click_id, recorded_at_ms, record_id, \
                     collector, consent_bits, signal_kinds, policy_version)",
            cells,
            after: "",
        };
        self.write(&rows).await?;
        Ok(())
    }

    /// Writes conversions with their order and customer keys. `Raced` if another writer took one of the orders since the
    /// facts were read: the batch has to be decided again.
    pub async fn insert_conversions(&mut self, conversions: &[ConversionRow]) -> Result<(), StoreError> {
        if conversions.is_empty() {
            return Ok(());
        }
        self.insert_conversion_rows(conversions).await?;
        let mut ordered: Vec<&ConversionRow> = conversions.iter().collect();
        ordered.sort_unstable_by_key(|row| (row.tenant, row.shop, row.goal, row.test, row.order_hash));
        let int =
            |value: fn(&ConversionRow) -> i64| Cells::Int(ordered.iter().map(|row| value(row)).collect());
        let rows = Rows {
            before: "INSERT INTO order_key (tenant, shop, goal, test, order_hash, conversion_id, content_hash, \
                     issued_at_s, click_id, expires_at_s)",
            cells: vec![
                int(|row| row.tenant),
                int(|row| row.shop),
                int(|row| row.goal),
                Cells::Flag(ordered.iter().map(|row| row.test).collect()),
                Cells::Bytes(ordered.iter().map(|row| row.order_hash.to_vec()).collect()),
                Cells::Id(ordered.iter().map(|row| row.conversion_id).collect()),
                Cells::Bytes(ordered.iter().map(|row| row.content_hash.to_vec()).collect()),
                int(|row| row.click.issued_at_s),
                Cells::Id(
                    ordered
                        .iter()
                        .map(|row| Uuid::from_bytes(row.click.click.0))
                        .collect(),
                ),
                int(|row| row.expires_at_s),
            ],
            after: "ON CONFLICT DO NOTHING",
        };
        let written = self.write(&rows).await?;
        if usize::try_from(written).ok() != Some(conversions.len()) {
            return Err(StoreError::Raced);
        }
        self.insert_customers(conversions).await
    }

    async fn insert_conversion_rows(&mut self, conversions: &[ConversionRow]) -> Result<(), StoreError> {
        let int = |value: fn(&ConversionRow) -> i64| Cells::Int(conversions.iter().map(value).collect());
        let rows = Rows {
            before: "INSERT INTO conversion (tenant, recorded_at_s, conversion_id, shop, campaign, publisher, link, \
                     goal, status, amount_minor, currency, occurred_at_ms, updated_at_ms, test, policy_version, \
                     retention_epoch, issued_at_s, click_id, order_hash, payload)",
            cells: vec![
                int(|row| row.tenant),
                int(|row| row.recorded_at_s),
                Cells::Id(conversions.iter().map(|row| row.conversion_id).collect()),
                int(|row| row.shop),
                int(|row| row.campaign),
                int(|row| row.publisher),
                int(|row| row.link),
                int(|row| row.goal),
                Cells::Text(conversions.iter().map(|row| row.status.to_owned()).collect()),
                int(|row| row.amount_minor),
                Cells::Text(conversions.iter().map(|row| row.currency.to_owned()).collect()),
                int(|row| row.occurred_at_ms),
                int(|row| row.updated_at_ms),
                Cells::Flag(conversions.iter().map(|row| row.test).collect()),
                int(|row| row.policy_version),
                int(|row| row.retention_epoch),
                int(|row| row.click.issued_at_s),
                Cells::Id(
                    conversions
                        .iter()
                        .map(|row| Uuid::from_bytes(row.click.click.0))
                        .collect(),
                ),
                Cells::Bytes(conversions.iter().map(|row| row.order_hash.to_vec()).collect()),
                Cells::Bytes(conversions.iter().map(|row| row.payload.clone()).collect()),
            ],
            after: "",
        };
        self.write(&rows).await?;
        Ok(())
    }

    async fn insert_customers(&mut self, conversions: &[ConversionRow]) -> Result<(), StoreError> {
        let named: Vec<(&ConversionRow, [u8; 16])> = conversions
            .iter()
            .filter_map(|row| row.customer_hash.map(|hash| (row, hash)))
            .collect();
        let keys: Vec<ClickKey> = named.iter().map(|(row, _)| row.click).collect();
        let mut cells = key_cells(&keys);
        cells.push(Cells::Bytes(
            named.iter().map(|(_, hash)| hash.to_vec()).collect(),
        ));
        let rows = Rows {
            before: "INSERT INTO customer_key (tenant, issued_at_s, click_id, customer_hash)",
            cells,
            after: "ON CONFLICT DO NOTHING",
        };
        self.write(&rows).await?;
        Ok(())
    }

    /// Adds counters; the lane is part of the key, so that writers do not wait for one another.
    pub async fn add_counters(&mut self, counters: &Counters, lane: i64) -> Result<(), StoreError> {
        let keys: Vec<&HourKey> = counters.hours.keys().collect();
        let int = |value: fn(&HourKey) -> i64| Cells::Int(keys.iter().map(|key| value(key)).collect());
        let text = |value: fn(&HourKey) -> &'static str| {
            Cells::Text(keys.iter().map(|key| value(key).to_owned()).collect())
        };
        let hours = Rows {
            before: "INSERT INTO stat_hour (tenant, quarter, shop, campaign, publisher, link, goal, currency, outcome, \
                     lane, events, amount_minor)",
            cells: vec![
                int(|key| key.0),
                int(|key| key.1),
                int(|key| key.2),
                int(|key| key.3),
                int(|key| key.4),
                int(|key| key.5),
                int(|key| key.6),
                text(|key| key.7),
                text(|key| key.8),
                Cells::Int(vec![lane; keys.len()]),
                Cells::Int(counters.hours.values().map(|(events, _)| *events).collect()),
                Cells::Int(counters.hours.values().map(|(_, amount)| *amount).collect()),
            ],
            after: "ON CONFLICT (tenant, quarter, shop, campaign, publisher, link, goal, currency, outcome, lane) \
                    DO UPDATE SET events = stat_hour.events + excluded.events, \
                    amount_minor = stat_hour.amount_minor + excluded.amount_minor",
        };
        self.write(&hours).await?;
        self.add_refused(&counters.refused, lane).await?;
        self.add_untracked(&counters.untracked, lane).await
    }

    async fn add_refused(
        &mut self,
        refused: &BTreeMap<RefusedKey, i64>,
        lane: i64,
    ) -> Result<(), StoreError> {
        let keys: Vec<&RefusedKey> = refused.keys().collect();
        let int = |value: fn(&RefusedKey) -> i64| Cells::Int(keys.iter().map(|key| value(key)).collect());
        let rows = Rows {
            before: "INSERT INTO stat_refused (tenant, day, shop, campaign, outcome, reason, lane, events)",
            cells: vec![
                int(|key| key.0),
                int(|key| key.1),
                int(|key| key.2),
                int(|key| key.3),
                Cells::Text(keys.iter().map(|key| key.4.to_owned()).collect()),
                Cells::Text(keys.iter().map(|key| key.5.to_owned()).collect()),
                Cells::Int(vec![lane; keys.len()]),
                Cells::Int(refused.values().copied().collect()),
            ],
            after: "ON CONFLICT (tenant, day, shop, campaign, outcome, reason, lane) \
                    DO UPDATE SET events = stat_refused.events + excluded.events",
        };
        self.write(&rows).await?;
        Ok(())
    }

    async fn add_untracked(
        &mut self,
        untracked: &BTreeMap<UntrackedKey, i64>,
        lane: i64,
    ) -> Result<(), StoreError> {
        let keys: Vec<&UntrackedKey> = untracked.keys().collect();
        let int = |value: fn(&UntrackedKey) -> i64| Cells::Int(keys.iter().map(|key| value(key)).collect());
        let rows = Rows {
            before: "INSERT INTO stat_untracked (tenant, day, campaign, reason, policy_version, lane, events)",
            cells: vec![
                int(|key| key.0),
                int(|key| key.1),
                int(|key| key.2),
                Cells::Text(keys.iter().map(|key| key.3.to_owned()).collect()),
                int(|key| key.4),
                Cells::Int(vec![lane; keys.len()]),
                Cells::Int(untracked.values().copied().collect()),
            ],
            after: "ON CONFLICT (tenant, day, campaign, reason, policy_version, lane) \
                    DO UPDATE SET events = stat_untracked.events + excluded.events",
        };
        self.write(&rows).await?;
        Ok(())
    }

    pub(super) async fn insert_entries(&mut self, trail: &Trail) -> Result<(), StoreError> {
        let entries = trail.entries();
        let rows = Rows {
            before: "INSERT INTO audit_entry (tenant, entry_id, body, hashes)",
            cells: vec![
                Cells::Int(entries.iter().map(|entry| entry.event.tenant).collect()),
                Cells::Id(entries.iter().map(entry_id).collect()),
                Cells::Bytes(entries.iter().map(|entry| leaf::encode(&entry.event)).collect()),
                Cells::MaybeBytes(entries.iter().map(|entry| entry.hashes.clone()).collect()),
            ],
            after: "",
        };
        self.write(&rows).await?;
        Ok(())
    }
}
