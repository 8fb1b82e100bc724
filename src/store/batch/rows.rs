//! The rows that a batch writes.

use uuid::Uuid;

use super::super::cells::{Cells, Rows};
use super::super::connect::StoreError;
use super::super::tx::{Batch, Expected};
use super::key_cells;
use crate::domain::ids::ClickKey;

/// Salts in one row at most: with more, PostgreSQL would move the arrays to a table of their own.
const SALTS_IN_BLOCK: i64 = 48;

/// A click's row to be written.
#[derive(Debug, Clone)]
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
    /// When the click happened; with the next two and the policy version, its consent record.
    pub clicked_at_ms: i64,
    /// State and answers.
    pub consent_bits: i64,
    /// Which kinds of signal arrived.
    pub signal_kinds: i64,
    /// The encrypted details.
    pub payload: Vec<u8>,
    /// The salt.
    pub salt: [u8; 16],
}

/// The consent record of a signal that came without an order, to be written. Those of clicks and conversions stand in
/// their rows.
#[derive(Debug, Clone)]
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
    /// What it was made on, sealed under the click's key.
    pub payload: Option<Vec<u8>>,
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
    /// State and answers of the shop's signal; 0 where the consent was inherited.
    pub consent_bits: i64,
    /// Which kinds of signal arrived with it.
    pub signal_kinds: i64,
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

impl Batch {
    /// Writes clicks with their salts.
    pub fn insert_clicks(&mut self, mut clicks: Vec<ClickRow>) -> Result<(), StoreError> {
        let payloads = clicks
            .iter_mut()
            .map(|click| std::mem::take(&mut click.payload))
            .collect();
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
            int(|click| click.clicked_at_ms),
            int(|click| click.consent_bits),
            int(|click| click.signal_kinds),
            Cells::Flag(vec![false; clicks.len()]),
            Cells::Bytes(payloads),
        ]);
        let rows = Rows {
            before: "INSERT INTO click (tenant, issued_at_ticks, click_id, campaign, publisher, shop, link, \
                     policy_version, retention_epoch, clicked_at_ms, consent_bits, signal_kinds, restricted, payload)",
            cells,
            after: "",
        };
        self.insert(rows, Expected::Any)?;
        if cfg!(feature = "without-encryption") {
            return Ok(());
        }
        let mut cells = key_cells(&keys);
        cells.push(Cells::Hash(clicks.iter().map(|click| click.salt).collect()));
        self.insert_salts(cells)
    }

    /// Writes salts, on PostgreSQL those of a tick in one row.
    fn insert_salts(&mut self, mut cells: Vec<Cells>) -> Result<(), StoreError> {
        let (before, after) = match self {
            Batch::Sqlite(_) => (
                "INSERT INTO click_salt (tenant, issued_at_ticks, click_id, salt)",
                "",
            ),
            Batch::Postgres(_) => {
                let chunks = (0_i64..).map(|place| place / SALTS_IN_BLOCK);
                let count = cells.first().map_or(0, Cells::len);
                cells.push(Cells::Int(chunks.take(count).collect()));
                (
                    "INSERT INTO salt_block (tenant, issued_at_ticks, clicks, salts) \
                     SELECT k.t, k.i, array_agg(k.c), array_agg(k.s) FROM (",
                    ") AS k (t, i, c, s, chunk) GROUP BY k.t, k.i, k.chunk",
                )
            }
        };
        let rows = Rows { before, cells, after };
        self.insert(rows, Expected::Any)
    }

    /// Writes consent records.
    pub fn insert_consent_records(&mut self, records: &[ConsentRow]) -> Result<(), StoreError> {
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
            Cells::MaybeBytes(records.iter().map(|record| record.payload.clone()).collect()),
        ]);
        let rows = Rows {
            before: "INSERT INTO consent_record (tenant, issued_at_ticks, click_id, recorded_at_ms, record_id, \
                     collector, consent_bits, signal_kinds, policy_version, payload)",
            cells,
            after: "",
        };
        self.insert(rows, Expected::Any)
    }

    /// Writes conversions with their order and customer keys. `Raced` if another writer took one of the orders since the
    /// facts were read: the batch has to be decided again.
    pub fn insert_conversions(&mut self, mut conversions: Vec<ConversionRow>) -> Result<(), StoreError> {
        let payloads = conversions
            .iter_mut()
            .map(|row| std::mem::take(&mut row.payload))
            .collect();
        self.insert_conversion_rows(&conversions, payloads)?;
        let mut ordered: Vec<&ConversionRow> = conversions.iter().collect();
        ordered.sort_unstable_by_key(|row| (row.tenant, row.shop, row.goal, row.test, row.order_hash));
        let int =
            |value: fn(&ConversionRow) -> i64| Cells::Int(ordered.iter().map(|row| value(row)).collect());
        let rows = Rows {
            before: "INSERT INTO order_key (tenant, shop, goal, test, order_hash, conversion_id, content_hash, \
                     issued_at_ticks, click_id, expires_at_s)",
            cells: vec![
                int(|row| row.tenant),
                int(|row| row.shop),
                int(|row| row.goal),
                Cells::Flag(ordered.iter().map(|row| row.test).collect()),
                Cells::Hash(ordered.iter().map(|row| row.order_hash).collect()),
                Cells::Id(ordered.iter().map(|row| row.conversion_id).collect()),
                Cells::Hash(ordered.iter().map(|row| row.content_hash).collect()),
                int(|row| row.click.issued_at_ticks),
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
        self.insert(rows, Expected::All)?;
        self.insert_customers(&conversions)
    }

    fn insert_conversion_rows(
        &mut self,
        conversions: &[ConversionRow],
        payloads: Vec<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let int = |value: fn(&ConversionRow) -> i64| Cells::Int(conversions.iter().map(value).collect());
        let rows = Rows {
            before: "INSERT INTO conversion (tenant, recorded_at_s, conversion_id, shop, campaign, publisher, link, \
                     goal, status, amount_minor, currency, occurred_at_ms, updated_at_ms, test, policy_version, \
                     retention_epoch, consent_bits, signal_kinds, issued_at_ticks, click_id, order_hash, payload)",
            cells: vec![
                int(|row| row.tenant),
                int(|row| row.recorded_at_s),
                Cells::Id(conversions.iter().map(|row| row.conversion_id).collect()),
                int(|row| row.shop),
                int(|row| row.campaign),
                int(|row| row.publisher),
                int(|row| row.link),
                int(|row| row.goal),
                Cells::Word(conversions.iter().map(|row| row.status).collect()),
                int(|row| row.amount_minor),
                Cells::Word(conversions.iter().map(|row| row.currency).collect()),
                int(|row| row.occurred_at_ms),
                int(|row| row.updated_at_ms),
                Cells::Flag(conversions.iter().map(|row| row.test).collect()),
                int(|row| row.policy_version),
                int(|row| row.retention_epoch),
                int(|row| row.consent_bits),
                int(|row| row.signal_kinds),
                int(|row| row.click.issued_at_ticks),
                Cells::Id(
                    conversions
                        .iter()
                        .map(|row| Uuid::from_bytes(row.click.click.0))
                        .collect(),
                ),
                Cells::Hash(conversions.iter().map(|row| row.order_hash).collect()),
                Cells::Bytes(payloads),
            ],
            after: "",
        };
        self.insert(rows, Expected::Any)
    }

    fn insert_customers(&mut self, conversions: &[ConversionRow]) -> Result<(), StoreError> {
        let named: Vec<(&ConversionRow, [u8; 16])> = conversions
            .iter()
            .filter_map(|row| row.customer_hash.map(|hash| (row, hash)))
            .collect();
        let keys: Vec<ClickKey> = named.iter().map(|(row, _)| row.click).collect();
        let mut cells = key_cells(&keys);
        cells.push(Cells::Hash(named.iter().map(|(_, hash)| *hash).collect()));
        let rows = Rows {
            before: "INSERT INTO customer_key (tenant, issued_at_ticks, click_id, customer_hash)",
            cells,
            after: "ON CONFLICT DO NOTHING",
        };
        self.insert(rows, Expected::Any)
    }
}
