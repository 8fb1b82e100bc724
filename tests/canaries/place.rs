//! The server in a folder of its own, logging everything, and the callers of its world.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use einklang::app::config::sqlite_url;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use tempfile::TempDir;

use crate::binary::{Running, einklang, text};
use crate::client::{Answer, Caller};
use crate::ledger::{Reader, execute};
use crate::needles::files;
use crate::world::{self, WORLD};

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// A folder that was provisioned with the usual tenants.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("world.toml"), WORLD).expect("written");
        let output = einklang(
            folder.path(),
            ["apply", "world.toml", "--operator-key", world::OPERATOR],
        )
        .output();
        let output = output.expect("the binary runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Self { folder }
    }

    /// Starts the server on it, behind a proxy on this machine, so that forwarded addresses are believed.
    pub fn serve(&self) -> Server {
        let args = ["serve", "--json", "--log=trace", "--trusted-proxies=127.0.0.1/32"];
        let mut running = Running::start(self.folder.path(), &args);
        let welcome = running.welcome();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build();
        Server {
            url: text(&welcome, "url"),
            metrics: text(&welcome, "metrics"),
            http: http.expect("a client"),
            running,
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A look into the database.
    pub async fn reader(&self) -> Reader {
        Reader::open(&sqlite_url(&self.data())).await
    }

    /// A column of bytes.
    pub async fn bytes(&self, sql: &str) -> Vec<Vec<u8>> {
        let options: SqliteConnectOptions = sqlite_url(&self.data()).parse().expect("a URL");
        let mut connection = options
            .pragma("query_only", "ON")
            .connect()
            .await
            .expect("opened");
        let sql = AssertSqlSafe(sql.to_owned());
        let rows = sqlx::query_scalar(sql)
            .fetch_all(&mut connection)
            .await
            .expect("rows");
        connection.close().await.expect("closed");
        rows
    }

    /// Somebody who reads the present state for a long time, as a backup does.
    pub async fn hold_state(&self) -> Holder {
        let options: SqliteConnectOptions = sqlite_url(&self.data()).parse().expect("a URL");
        let mut connection = options.connect().await.expect("opened");
        for sql in ["BEGIN", "SELECT COUNT(*) FROM click"] {
            sqlx::query(sql).execute(&mut connection).await.expect("read");
        }
        Holder(connection)
    }

    /// Does what no API does yet.
    pub async fn execute(&self, sql: &str) {
        execute(&sqlite_url(&self.data()), sql).await;
    }

    /// Every byte of the data folder and of the log.
    pub fn kept(&self) -> BTreeMap<String, Vec<u8>> {
        let mut kept: BTreeMap<String, Vec<u8>> = files(&self.data())
            .into_iter()
            .map(|(name, bytes)| (format!("data/{name}"), bytes))
            .collect();
        assert!(kept.contains_key("data/einklang.db"), "{:?}", kept.keys());
        let log = fs::read(self.folder.path().join("stderr.log")).expect("a log");
        // The filter is in force: every answered request stands there.
        let lines = String::from_utf8_lossy(&log);
        assert!(
            lines.contains(" DEBUG einklang::edge::router: answered request_id=req_"),
            "{lines}"
        );
        kept.insert("log".to_owned(), log);
        kept
    }
}

/// A reader with an open transaction.
pub struct Holder(SqliteConnection);

impl Holder {
    pub async fn release(mut self) {
        sqlx::query("ROLLBACK").execute(&mut self.0).await.expect("ended");
        self.0.close().await.expect("closed");
    }
}

/// A running server.
pub struct Server {
    pub url: String,
    metrics: String,
    http: reqwest::Client,
    running: Running,
}

impl Server {
    /// Somebody without a key.
    pub fn anonymous(&self) -> Caller {
        Caller::new(&self.url, &self.http)
    }

    /// Whoever has this key.
    pub fn holder(&self, key: &str) -> Caller {
        self.anonymous().key(key)
    }

    /// A visitor of whom nothing is watched.
    pub async fn token(&self, link: &str) -> String {
        let visitor = self.anonymous().with("user-agent", BROWSER);
        let answer = visitor.get(&format!("/c/{link}?consent=granted")).await;
        token_in(&answer).expect("a token")
    }

    pub async fn metrics(&self) -> Vec<u8> {
        let answer = self.http.get(&self.metrics).send().await.expect("an answer");
        answer.bytes().await.expect("a body").to_vec()
    }

    /// Ends it in good order.
    pub fn stop(self) {
        assert!(self.running.stop().success());
    }

    /// Ends it at once: `kill -9`.
    pub fn kill(self) {
        drop(self.running);
    }
}

/// The token that a redirect carries.
pub fn token_in(answer: &Answer) -> Option<String> {
    let page = url::Url::parse(answer.header("location")?).expect("a URL");
    let mut pairs = page.query_pairs();
    let token = pairs.find(|(name, _)| name == "s2s" || name == "click");
    token.map(|(_, value)| value.into_owned())
}
