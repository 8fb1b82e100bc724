//! Changing a recorded conversion: its status, or a lower amount.

use uuid::Uuid;

use super::cells::{Cells, Rows};
use super::connect::StoreError;
use super::tx::Batch;
use crate::domain::ids::{ClickId, ClickKey, seconds_of};

/// A conversion as a change needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
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
    pub status: String,
    /// The amount in minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// Whether it is a test.
    pub test: bool,
    /// Whether the person's data was erased.
    pub erased: bool,
    /// Whether its details had their time.
    pub purged: bool,
    /// When it was last changed.
    pub updated_at_ms: i64,
    /// Its click and the keyed hash of its order, until they are erased.
    pub click: Option<(ClickKey, Vec<u8>)>,
}

type Tuple = (
    i64,
    i64,
    i64,
    i64,
    i64,
    String,
    i64,
    String,
    bool,
    Option<i64>,
    Option<Uuid>,
    Option<Vec<u8>>,
    i64,
    bool,
);

impl Batch {
    /// One conversion, locked until this transaction ends.
    pub async fn conversion(&mut self, tenant: i64, id: Uuid) -> Result<Option<Recorded>, StoreError> {
        const SELECT: &str = ") SELECT v.shop, v.campaign, v.publisher, v.link, v.goal, v.status, v.amount_minor, \
             v.currency, v.test, v.issued_at_ticks, v.click_id, v.order_hash, v.updated_at_ms, v.purged FROM k CROSS JOIN conversion v \
             WHERE v.tenant = k.t AND v.recorded_at_s = k.r AND v.conversion_id = k.c";
        const LOCKED: &str = ") SELECT v.shop, v.campaign, v.publisher, v.link, v.goal, v.status, v.amount_minor, \
             v.currency, v.test, v.issued_at_ticks, v.click_id, v.order_hash, v.updated_at_ms, v.purged FROM k CROSS JOIN conversion v \
             WHERE v.tenant = k.t AND v.recorded_at_s = k.r AND v.conversion_id = k.c FOR UPDATE OF v";
        let after = if matches!(self, Batch::Postgres(_)) {
            LOCKED
        } else {
            SELECT
        };
        let rows = Rows {
            before: "WITH k(t, r, c) AS (",
            cells: key(tenant, id),
            after,
        };
        let found: Vec<Tuple> = self.look_up(&rows).await?;
        Ok(found.into_iter().next().map(|row| Recorded {
            conversion_id: id,
            shop: row.0,
            campaign: row.1,
            publisher: row.2,
            link: row.3,
            goal: row.4,
            status: row.5,
            amount_minor: row.6,
            currency: row.7.trim().to_owned(),
            test: row.8,
            erased: row.10.is_none() && !row.13,
            purged: row.13,
            updated_at_ms: row.12,
            click: row
                .9
                .zip(row.10)
                .zip(row.11)
                .map(|((issued_at_ticks, click), order_hash)| {
                    (
                        ClickKey {
                            tenant,
                            issued_at_ticks,
                            click: ClickId(click.into_bytes()),
                        },
                        order_hash,
                    )
                }),
        }))
    }

    /// Writes a new status and amount.
    pub async fn change_conversion(
        &mut self,
        tenant: i64,
        id: Uuid,
        status: &str,
        amount_minor: i64,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let mut cells = key(tenant, id);
        cells.extend([
            Cells::Text(vec![status.to_owned()]),
            Cells::Int(vec![amount_minor]),
            Cells::Int(vec![now_ms]),
        ]);
        let rows = Rows {
            before: "WITH k(t, r, c, s, a, u) AS (",
            cells,
            after: ") UPDATE conversion SET status = (SELECT s FROM k), amount_minor = (SELECT a FROM k), \
                    updated_at_ms = (SELECT u FROM k) \
                    WHERE (tenant, recorded_at_s, conversion_id) IN (SELECT t, r, c FROM k)",
        };
        self.write(&rows).await?;
        Ok(())
    }
}

fn key(tenant: i64, id: Uuid) -> Vec<Cells> {
    vec![
        Cells::Int(vec![tenant]),
        Cells::Int(vec![seconds_of(id)]),
        Cells::Id(vec![id]),
    ]
}
