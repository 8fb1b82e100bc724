//! Entering a trail in the transaction that it describes.

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, Statement};

use super::Placeable;
use crate::domain::event::Trail;
use crate::store::cells::{Cells, Rows};
use crate::store::connect::StoreError;
use crate::store::tx::{Batch, Expected};

/// One row for each entry: management's trails are short.
const POSTGRES: &str = "INSERT INTO audit_pending (tenants, entry_ids, bodies, hashes) \
     VALUES (ARRAY[$1::bigint], ARRAY[$2::uuid], ARRAY[$3::bytea], ARRAY[$4::bytea])";
const SQLITE: &str = "INSERT INTO audit_pending (tenant, entry_id, body, hashes) VALUES (?, ?, ?, ?)";

/// Enters a managing transaction's trail.
pub(in crate::store) async fn enter(
    transaction: &DatabaseTransaction,
    trail: &Trail,
) -> Result<(), StoreError> {
    let backend = transaction.get_database_backend();
    let text = match backend {
        DatabaseBackend::Postgres => POSTGRES,
        _ => SQLITE,
    };
    for entry in trail.entries().iter().map(Placeable::from) {
        let values = [
            entry.tenant.into(),
            entry.id.into(),
            entry.body.into(),
            entry.hashes.into(),
        ];
        let insert = Statement::from_sql_and_values(backend, text, values);
        transaction.execute_raw(insert).await?;
    }
    Ok(())
}

impl Batch {
    /// Enters a batch's trail: at its place on SQLite, as one row that waits on PostgreSQL.
    pub(in crate::store) fn enter(&mut self, trail: &Trail) -> Result<(), StoreError> {
        if cfg!(feature = "without-log") {
            return Ok(());
        }
        let entries: Vec<Placeable> = trail.entries().iter().map(Placeable::from).collect();
        if let Batch::Sqlite(inner) = self {
            return inner.place(entries);
        }
        let (mut tenants, mut ids) = (Vec::new(), Vec::new());
        let (mut bodies, mut hashes) = (Vec::new(), Vec::new());
        for entry in entries {
            tenants.push(entry.tenant);
            ids.push(entry.id);
            bodies.push(entry.body);
            hashes.push(entry.hashes);
        }
        let rows = Rows {
            before: "INSERT INTO audit_pending (tenants, entry_ids, bodies, hashes)",
            cells: vec![
                Cells::Int(tenants),
                Cells::Id(ids),
                Cells::Bytes(bodies),
                Cells::MaybeBytes(hashes),
            ],
            after: "",
        };
        self.insert(rows, Expected::Packed)
    }
}
