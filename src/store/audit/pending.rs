//! Entering a trail in the transaction that it describes.

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, Statement};

use super::Placeable;
use crate::domain::event::Trail;
use crate::store::cells::{Cells, Rows};
use crate::store::connect::StoreError;
use crate::store::tx::{Batch, Expected, entry_id};

/// One row for each entry: management's trails are short.
const POSTGRES: &str = "INSERT INTO audit_pending (tenants, entry_ids, bodies) \
     VALUES (ARRAY[$1::bigint], ARRAY[$2::uuid], ARRAY[$3::bytea])";
const SQLITE: &str = "INSERT INTO audit_pending (tenant, entry_id, body) VALUES (?, ?, ?)";

/// Enters a managing transaction's trail. It holds no clicks, so nothing stands beside its entries.
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
        let values = [entry.tenant.into(), entry.id.into(), entry.body.into()];
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
        self.insert_click_hashes(trail)?;
        let entries: Vec<Placeable> = trail.entries().iter().map(Placeable::from).collect();
        if let Batch::Sqlite(inner) = self {
            return inner.place(entries);
        }
        let (mut tenants, mut ids) = (Vec::new(), Vec::new());
        let mut bodies = Vec::new();
        for entry in entries {
            tenants.push(entry.tenant);
            ids.push(entry.id);
            bodies.push(entry.body);
        }
        let rows = Rows {
            before: "INSERT INTO audit_pending (tenants, entry_ids, bodies)",
            cells: vec![Cells::Int(tenants), Cells::Id(ids), Cells::Bytes(bodies)],
            after: "",
        };
        self.insert(rows, Expected::Packed)
    }

    /// The hashes of the clicks that entries stand for.
    fn insert_click_hashes(&mut self, trail: &Trail) -> Result<(), StoreError> {
        let batches: Vec<_> = trail
            .entries()
            .iter()
            .filter_map(|entry| Some((entry, entry.hashes.clone()?)))
            .collect();
        let rows = Rows {
            before: "INSERT INTO audit_batch (tenant, entry_id, hashes)",
            cells: vec![
                Cells::Int(batches.iter().map(|(entry, _)| entry.event.tenant).collect()),
                Cells::Id(batches.iter().map(|(entry, _)| entry_id(entry)).collect()),
                Cells::Bytes(batches.into_iter().map(|(_, hashes)| hashes).collect()),
            ],
            after: "",
        };
        self.insert(rows, Expected::Any)
    }
}
