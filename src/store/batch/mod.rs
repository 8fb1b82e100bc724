//! The hot path's statements: the facts of a batch, its rows, its counters.
//!
//! Facts are read in the transaction that writes the verdict. On PostgreSQL the click rows are locked in key order, so
//! that a withdrawal on another node is either seen or waits. Rows go in one statement per table, tables in one order
//! everywhere (click, salt, consent record, conversion, order, customer, suppression, counters, audit).

pub mod counters;
pub mod erase;
pub mod facts;
pub mod people;
pub mod rows;

use uuid::Uuid;

use super::cells::Cells;
use crate::domain::ids::ClickKey;

fn key_cells(keys: &[ClickKey]) -> Vec<Cells> {
    vec![
        Cells::Int(keys.iter().map(|key| key.tenant).collect()),
        Cells::Int(keys.iter().map(|key| key.issued_at_ticks).collect()),
        Cells::Id(keys.iter().map(|key| Uuid::from_bytes(key.click.0)).collect()),
    ]
}

/// 16 bytes of a column that holds just that.
fn sixteen(bytes: &[u8]) -> Option<[u8; 16]> {
    bytes.try_into().ok()
}
