//! The statements of erasing, each for SQLite and for PostgreSQL.
//!
//! On SQLite a statement runs for each click. Handed the click as a list, or left to choose, SQLite goes through all rows of
//! a tenant or a shop instead of asking the index: it has no statistics. So every column of the key is given by itself there, and
//! an index is named where another one looks as good.

/// A statement's end for SQLite and for PostgreSQL.
pub(in crate::store::batch) type Texts = (&'static str, &'static str);

/// How statements about clicks begin.
pub(in crate::store::batch) const OF_CLICKS: &str = "WITH k(t, i, c) AS (";
/// How statements about orders begin.
pub(super) const OF_ORDERS: &str = "WITH k(t, i, c, s, g, e, h) AS (";

macro_rules! of_clicks {
    ($before:literal, $after:literal) => {
        (
            concat!(
                $before,
                " WHERE tenant = (SELECT t FROM k) AND issued_at_ticks = (SELECT i FROM k) \
                 AND click_id = (SELECT c FROM k) ",
                $after
            ),
            concat!(
                $before,
                " WHERE (tenant, issued_at_ticks, click_id) IN (SELECT t, i, c FROM k) ",
                $after
            ),
        )
    };
}

/// Takes what led to anybody out of conversions.
pub(super) const FORGET_CLICKS: Texts = (
    ") UPDATE conversion INDEXED BY conversion_by_click SET issued_at_ticks = NULL, click_id = NULL, \
     order_hash = NULL, payload = NULL, consent_bits = NULL, signal_kinds = NULL \
     WHERE tenant = (SELECT t FROM k) AND issued_at_ticks = (SELECT i FROM k) AND click_id = (SELECT c FROM k)",
    ") UPDATE conversion SET issued_at_ticks = NULL, click_id = NULL, order_hash = NULL, payload = NULL, \
     consent_bits = NULL, signal_kinds = NULL WHERE (tenant, issued_at_ticks, click_id) IN (SELECT t, i, c FROM k)",
);

/// The orders of clicks.
pub(super) const ORDERS_OF_CLICKS: Texts = (
    ") SELECT v.issued_at_ticks, v.click_id, v.shop, v.goal, v.test, v.order_hash FROM k \
     CROSS JOIN conversion v INDEXED BY conversion_by_click \
     WHERE v.tenant = k.t AND v.issued_at_ticks = k.i AND v.click_id = k.c",
    ") SELECT v.issued_at_ticks, v.click_id, v.shop, v.goal, v.test, v.order_hash FROM k \
     CROSS JOIN conversion v \
     WHERE v.tenant = k.t AND v.issued_at_ticks = k.i AND v.click_id = k.c",
);

/// Whether the conversions of clicks are restricted.
pub(in crate::store::batch) const RESTRICTED_CONVERSIONS: Texts = (
    ") SELECT v.tenant, v.restricted FROM k CROSS JOIN conversion v INDEXED BY conversion_by_click \
     WHERE v.tenant = k.t AND v.issued_at_ticks = k.i AND v.click_id = k.c",
    ") SELECT v.tenant, v.restricted FROM k CROSS JOIN conversion v \
     WHERE v.tenant = k.t AND v.issued_at_ticks = k.i AND v.click_id = k.c",
);

/// Frees orders.
pub(super) const REMOVE_ORDERS: Texts = (
    ") DELETE FROM order_key WHERE tenant = (SELECT t FROM k) AND shop = (SELECT s FROM k) \
     AND goal = (SELECT g FROM k) AND test = (SELECT e FROM k) AND order_hash = (SELECT h FROM k) \
     AND issued_at_ticks = (SELECT i FROM k) AND click_id = (SELECT c FROM k)",
    ") DELETE FROM order_key WHERE (tenant, shop, goal, test, order_hash, issued_at_ticks, click_id) \
     IN (SELECT t, s, g, e, h, i, c FROM k)",
);

/// Removes the rows of clicks from a table, and says which there were.
pub(super) fn removal(table: &str) -> Texts {
    match table {
        "customer_key" => of_clicks!(
            ") DELETE FROM customer_key",
            "RETURNING issued_at_ticks, click_id"
        ),
        "consent_record" => of_clicks!(
            ") DELETE FROM consent_record",
            "RETURNING issued_at_ticks, click_id"
        ),
        "click_salt" => of_clicks!(") DELETE FROM click_salt", "RETURNING issued_at_ticks, click_id"),
        _ => of_clicks!(") DELETE FROM click", "RETURNING issued_at_ticks, click_id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    /// How SQLite would search, as it says itself.
    fn searches(connection: &rusqlite::Connection, before: &str, after: &str) -> Vec<String> {
        let columns = vec!["?"; before.split(',').count()].join(",");
        let text = format!("EXPLAIN QUERY PLAN {before} VALUES ({columns}) {after}");
        let mut explain = connection.prepare(&text).expect("prepared");
        let mut rows = explain.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next().expect("explained") {
            found.push(row.get::<_, String>(3).expect("a text"));
        }
        found.retain(|step| step.contains("SEARCH"));
        found
    }

    #[tokio::test]
    async fn sqlite_finds_everything_by_its_whole_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("einklang.db");
        let url = format!("sqlite:{}", path.display());
        let store = Store::connect(&url).await.expect("opened");
        store.migrate(0).await.expect("migrated");
        store.close().await;
        let connection = rusqlite::Connection::open(&path).expect("opened");
        let tables = ["customer_key", "consent_record", "click_salt", "click"];
        let removals = tables.map(|table| (OF_CLICKS, removal(table).0, "click_id=?"));
        let others = [
            (OF_CLICKS, FORGET_CLICKS.0, "click_id=?"),
            (OF_CLICKS, ORDERS_OF_CLICKS.0, "click_id=?"),
            (OF_CLICKS, RESTRICTED_CONVERSIONS.0, "click_id=?"),
            (OF_ORDERS, REMOVE_ORDERS.0, "order_hash=?"),
        ];
        for (before, after, last) in removals.into_iter().chain(others) {
            let found = searches(&connection, before, after);
            assert_eq!(found.len(), 1, "{after}: {found:?}");
            assert!(found[0].contains(last), "{after}: {found:?}");
        }
    }
}
