//! What a restore looks through: every click that a row names, table by table, and which of them have lost their salts.

use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use uuid::Uuid;

use super::connect::StoreError;
use super::tx::{Batch, Reader};
use crate::domain::ids::{ClickId, ClickKey};
use crate::domain::journal::Suppressed;

/// Clicks that are read at once.
const PAGE: i64 = 4_096;

/// A table whose rows name clicks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// The clicks themselves.
    Clicks,
    /// Records of later signals.
    ConsentRecords,
    /// Conversions.
    Conversions,
    /// Customer references.
    Customers,
}

impl Naming {
    /// All of them.
    pub const ALL: [Naming; 4] = [
        Naming::Clicks,
        Naming::ConsentRecords,
        Naming::Conversions,
        Naming::Customers,
    ];

    fn select(self) -> &'static str {
        match self {
            Naming::Clicks => {
                "SELECT t.issued_at_ticks, t.click_id, CAST(COUNT(s.salt) AS BIGINT) AS salts FROM (
                    SELECT tenant, issued_at_ticks, click_id FROM click
                    WHERE tenant = $1 AND (issued_at_ticks, click_id) > ($2, $3)
                    ORDER BY issued_at_ticks, click_id LIMIT $4) AS t
                 LEFT JOIN click_salt AS s
                    ON s.tenant = t.tenant AND s.issued_at_ticks = t.issued_at_ticks AND s.click_id = t.click_id
                 GROUP BY t.issued_at_ticks, t.click_id ORDER BY t.issued_at_ticks, t.click_id"
            }
            Naming::ConsentRecords => {
                "SELECT DISTINCT issued_at_ticks, click_id, CAST(1 AS BIGINT) AS salts FROM consent_record
                 WHERE tenant = $1 AND (issued_at_ticks, click_id) > ($2, $3)
                 ORDER BY issued_at_ticks, click_id LIMIT $4"
            }
            Naming::Conversions => {
                "SELECT DISTINCT issued_at_ticks, click_id, CAST(1 AS BIGINT) AS salts FROM conversion
                 WHERE tenant = $1 AND (issued_at_ticks, click_id) > ($2, $3)
                 ORDER BY issued_at_ticks, click_id LIMIT $4"
            }
            Naming::Customers => {
                "SELECT DISTINCT issued_at_ticks, click_id, CAST(1 AS BIGINT) AS salts FROM customer_key
                 WHERE tenant = $1 AND (issued_at_ticks, click_id) > ($2, $3)
                 ORDER BY issued_at_ticks, click_id LIMIT $4"
            }
        }
    }
}

/// A click that a row names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Which.
    pub key: ClickKey,
    /// Whether it is a click without a salt: nobody can read it any more.
    pub is_unreadable: bool,
}

#[derive(Debug, FromQueryResult)]
struct Row {
    issued_at_ticks: i64,
    click_id: Uuid,
    salts: i64,
}

impl Reader<'_> {
    /// The next clicks that a table names, behind one of them; none at the end.
    pub async fn named_clicks(
        &self,
        naming: Naming,
        tenant: i64,
        behind: Option<ClickKey>,
    ) -> Result<Vec<Named>, StoreError> {
        let connection = self.connection();
        let (tick, click) = behind.map_or((i64::MIN, Uuid::nil()), |key| {
            (key.issued_at_ticks, Uuid::from_bytes(key.click.0))
        });
        let select = Statement::from_sql_and_values(
            connection.get_database_backend(),
            naming.select(),
            [tenant.into(), tick.into(), click.into(), PAGE.into()],
        );
        let rows = Row::find_by_statement(select).all(connection).await?;
        let named = |row: Row| Named {
            key: ClickKey {
                tenant,
                issued_at_ticks: row.issued_at_ticks,
                click: ClickId(row.click_id.into_bytes()),
            },
            is_unreadable: row.salts == 0,
        };
        Ok(rows.into_iter().map(named).collect())
    }
}

impl Batch {
    /// Puts suppression entries back that the restored database does not have.
    pub async fn suppress_again(&mut self, tenant: i64, entries: &[Suppressed]) -> Result<(), StoreError> {
        self.suppress(tenant, entries.to_vec()).await
    }
}
