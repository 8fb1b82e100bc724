//! Purging what has had its time.
//!
//! In this version: test conversions, seven days after they were recorded. Retention by data class comes later.

use sea_orm::{ConnectionTrait, Statement, Values};

use super::connect::StoreError;
use super::tx::Tx;

impl Tx {
    /// Removes a tenant's test conversions that were recorded before this second, with their order keys. Returns how
    /// many there were.
    pub async fn purge_tests(&self, tenant: i64, before_s: i64) -> Result<u64, StoreError> {
        const CONVERSIONS: &str = "DELETE FROM conversion WHERE tenant = $1 AND recorded_at_s < $2 AND test";
        // An order key goes with its conversion: by the click's time it may be older, never younger.
        const ORDERS: &str = "DELETE FROM order_key WHERE tenant = $1 AND test AND conversion_id IN \
             (SELECT conversion_id FROM conversion WHERE tenant = $1 AND recorded_at_s < $2 AND test)";
        self.run(ORDERS, tenant, before_s).await?;
        self.run(CONVERSIONS, tenant, before_s).await
    }

    async fn run(&self, text: &'static str, tenant: i64, before_s: i64) -> Result<u64, StoreError> {
        let connection = self.connection();
        let values = Values(vec![tenant.into(), before_s.into()]);
        let statement = Statement {
            sql: text.to_owned(),
            values: Some(values),
            db_backend: connection.get_database_backend(),
        };
        Ok(connection.execute_raw(statement).await?.rows_affected())
    }
}
