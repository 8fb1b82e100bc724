//! What is left on the disk and in the log, byte by byte, and people who read it meanwhile.

use std::collections::BTreeMap;
use std::fs;

use einklang::app::config::sqlite_url;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};

use crate::needles::files;
use crate::place::Place;

/// Every byte of the data folder and of the log.
pub fn kept(place: &Place) -> BTreeMap<String, Vec<u8>> {
    let mut kept: BTreeMap<String, Vec<u8>> = files(&place.data())
        .into_iter()
        .map(|(name, bytes)| (format!("data/{name}"), bytes))
        .collect();
    assert!(kept.contains_key("data/einklang.db"), "{:?}", kept.keys());
    let log = fs::read(place.log()).expect("a log");
    // The filter is in force: every answered request stands there.
    let lines = String::from_utf8_lossy(&log);
    assert!(
        lines.contains(" DEBUG einklang::edge::router: answered request_id=req_"),
        "{lines}"
    );
    kept.insert("log".to_owned(), log);
    kept
}

async fn connect(place: &Place) -> SqliteConnection {
    let options: SqliteConnectOptions = sqlite_url(&place.data()).parse().expect("a URL");
    options
        .pragma("query_only", "ON")
        .connect()
        .await
        .expect("opened")
}

/// A column of bytes.
pub async fn column(place: &Place, sql: &str) -> Vec<Vec<u8>> {
    let mut connection = connect(place).await;
    let sql = AssertSqlSafe(sql.to_owned());
    let rows = sqlx::query_scalar(sql)
        .fetch_all(&mut connection)
        .await
        .expect("rows");
    connection.close().await.expect("closed");
    rows
}

/// Somebody who reads the present state for a long time, as a backup does.
pub struct Holder(SqliteConnection);

impl Holder {
    pub async fn hold(place: &Place) -> Self {
        let mut connection = connect(place).await;
        for sql in ["BEGIN", "SELECT COUNT(*) FROM click"] {
            sqlx::query(sql).execute(&mut connection).await.expect("read");
        }
        Self(connection)
    }

    pub async fn release(mut self) {
        sqlx::query("ROLLBACK").execute(&mut self.0).await.expect("ended");
        self.0.close().await.expect("closed");
    }
}
