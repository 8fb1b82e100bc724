//! How much is stored: rows of the ledger's tables, and bytes.
//!
//! Numbers only. They serve the benchmark's check that what was acknowledged is there, and statements about size.

use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait, Statement};

use super::connect::{Store, StoreError};
use crate::domain::scope::TenantScope;

/// How much is stored at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Volume {
    /// Clicks.
    pub clicks: u64,
    /// Salts of clicks.
    pub salts: u64,
    /// Consent records.
    pub consent_records: u64,
    /// Conversions.
    pub conversions: u64,
    /// Orders' keys.
    pub orders: u64,
    /// Audit entries.
    pub audit_entries: u64,
    /// Bytes of the whole database, without its log.
    pub bytes: u64,
}

impl Volume {
    /// Rows of all tables together.
    pub fn rows(&self) -> u64 {
        self.clicks + self.salts + self.consent_records + self.conversions + self.orders + self.audit_entries
    }
}

impl Store {
    /// Counts what is stored. Takes as long as the tables are large.
    pub async fn volume(&self) -> Result<Volume, StoreError> {
        let reader = self.reader(TenantScope::Server);
        let connection = reader.connection();
        Ok(Volume {
            clicks: entity::click::Entity::find().count(connection).await?,
            salts: entity::click_salt::Entity::find().count(connection).await?,
            consent_records: entity::consent_record::Entity::find().count(connection).await?,
            conversions: entity::conversion::Entity::find().count(connection).await?,
            orders: entity::order_key::Entity::find().count(connection).await?,
            audit_entries: entity::audit_entry::Entity::find().count(connection).await?,
            bytes: self.bytes().await?,
        })
    }

    async fn bytes(&self) -> Result<u64, StoreError> {
        let reader = self.reader(TenantScope::Server);
        let connection = reader.connection();
        let text = if self.is_postgres() {
            "SELECT pg_database_size(current_database()) AS bytes"
        } else {
            "SELECT page_count * page_size AS bytes FROM pragma_page_count(), pragma_page_size()"
        };
        let row = connection
            .query_one_raw(Statement::from_string(connection.get_database_backend(), text))
            .await?;
        let bytes: i64 = match row {
            Some(row) => row.try_get("", "bytes")?,
            None => 0,
        };
        Ok(u64::try_from(bytes).unwrap_or(0))
    }
}
