//! Whether the second wall between tenants stands on PostgreSQL.

use super::{Sheet, State};
use crate::app::cli::chain;
use crate::store::Store;
use crate::store::wall::Wall;

/// Every statement names its tenant; this is about what holds when one does not.
pub(super) async fn second_wall(store: &Store, sheet: &mut Sheet) {
    let (state, sentence) = match store.second_wall().await {
        Ok(None) => return,
        Ok(Some(Wall::Stands)) => (
            State::Ok,
            "Row-level security stands before every table of tenants, and holds for this role.".to_owned(),
        ),
        Ok(Some(Wall::Bypassed)) => (
            State::Warning,
            "Row-level security does not hold for this role, which is a superuser or has BYPASSRLS: the second wall between \
             tenants is not there. Connect as an ordinary role that owns the database (docs/access.md)."
                .to_owned(),
        ),
        Ok(Some(Wall::Open(tables))) => (
            State::Failed,
            format!(
                "{} tables of tenants stand open, the first is {}: somebody took row-level security away from them. \
                 Run on each: SELECT second_wall('…')",
                tables.len(),
                tables.first().map_or("", String::as_str)
            ),
        ),
        Err(error) => (State::Failed, chain(&error)),
    };
    sheet.note("second_wall", state, sentence);
}
