//! `kill -9` during a purge: whatever is gone is in the log, whatever is not is whole, and the next purge goes on.
//!
//! The data is made by a server whose clock is four months behind, so that it had its time. Each purge is killed once it has
//! removed something, at moments spread over the chunks that follow; then the tables are compared with the log, on both
//! databases. `EINKLANG_PURGE_KILLS` sets how often (default 3; 20 are the documented full run), and how much data there is
//! with it; `-- --nocapture` shows the figures.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "the figures of a run are shown with --nocapture"
)]

#[expect(dead_code, reason = "other tests start servers")]
mod binary;
#[path = "it/harness/client.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod client;
#[path = "it/harness/clock.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod clock;
#[path = "it/harness/contract.rs"]
mod contract;
#[path = "it/harness/database.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod database;
#[path = "it/harness/ledger.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod ledger;
#[path = "it/harness/postgres.rs"]
mod postgres;
#[path = "it/harness/world.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod world;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use einklang::app::config::{Config, Options, sqlite_url};
use einklang::app::system::{SystemClock, SystemEntropy};
use einklang::app::wire;
use einklang::domain::provision;
use einklang::edge::listener::{self, Limits};
use einklang::flow::Clock;
use einklang::flow::provision::ProvisionFlow;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use binary::einklang;
use client::Caller;
use ledger::Reader;
use world::WORLD;

const DEFAULT_KILLS: usize = 3;
/// Clients at a time, and what each of them does for each kill to come.
const CLIENTS: usize = 8;
const CLICKS_EACH: usize = 50;
const ORDERS_EACH: usize = 25;
/// So long ago: every class but the minimal proofs had its time.
const AGO_MS: i64 = 120 * 86_400_000;

/// A clock that is behind.
struct Behind(SystemClock);

impl Clock for Behind {
    fn now_ms(&self) -> i64 {
        self.0.now_ms() - AGO_MS
    }
}

async fn visit(base: String, http: reqwest::Client, number: usize, kills: usize) {
    let visitor = Caller::new(&base, &http);
    let shop = Caller::new(&base, &http).key(world::SHOP);
    for turn in 0..CLICKS_EACH * kills {
        let answer = visitor.get("/c/Ab3xK9?consent=granted").await;
        let location = answer.header("location").expect("a redirect").to_owned();
        if turn >= ORDERS_EACH * kills {
            continue;
        }
        let page = url::Url::parse(&location).expect("a URL");
        let mut pairs = page.query_pairs();
        let token = pairs.find(|(name, _)| name == "s2s").expect("a token").1;
        let order = format!("A-{number}-{turn}");
        let pairs = [
            ("token", token.as_ref()),
            ("order_id", order.as_str()),
            ("amount", "10.01"),
            ("consent", "1"),
        ];
        shop.postback(&pairs).await.is(200, "recorded", "accepted");
    }
}

/// Rows that have had their time, and that a purge takes long for however often it is killed.
fn many(url: &str, kills: usize) -> String {
    let rows = kills * 5_000;
    if url.starts_with("sqlite:") {
        format!(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {rows}) \
             INSERT INTO suppression SELECT 1, randomblob(32), 1 FROM n"
        )
    } else {
        format!(
            "INSERT INTO suppression SELECT 1, sha256(CAST(CAST(n AS TEXT) AS BYTEA)), 1 FROM generate_series(1, {rows}) AS s(n)"
        )
    }
}

/// A folder and a database with data of four months ago.
struct Stand {
    folder: tempfile::TempDir,
    url: String,
    kills: usize,
    ledger: Reader,
}

impl Stand {
    async fn new(url: Option<String>) -> Self {
        let kills = std::env::var("EINKLANG_PURGE_KILLS");
        let kills = kills.map_or(DEFAULT_KILLS, |kills| kills.parse().expect("a number"));
        let folder = tempfile::tempdir().expect("a folder");
        let url = url.unwrap_or_else(|| sqlite_url(&folder.path().join("data")));
        let config = Config::load(Options {
            data_dir: Some(folder.path().join("data")),
            database_url: Some(url.clone()),
            requests_per_minute: 1_000_000.try_into().ok(),
            ..Options::default()
        });
        seed(&config.expect("a configuration"), kills).await;
        ledger::execute(&url, &many(&url, kills)).await;
        Self {
            ledger: Reader::open(&url).await,
            folder,
            url,
            kills,
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = einklang(self.folder.path(), args);
        command.args(["--database-url", &self.url]);
        command
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.command(args).output().expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{args:?}: {said}"))
    }

    async fn removed(&self) -> i64 {
        self.ledger
            .number("SELECT CAST(COALESCE(SUM(removed), 0) AS BIGINT) FROM retention_run")
            .await
    }

    /// A killed process keeps its right to purge for ten seconds; nobody has to wait for that here.
    async fn free_lease(&self) {
        ledger::execute(&self.url, "UPDATE purge_lease SET until_ms = 0").await;
    }

    /// What a killed process had sent to PostgreSQL is done with: committed, or rolled back.
    async fn settled(&self) {
        let Reader::Postgres(_) = self.ledger else { return };
        let others = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
                      AND application_name = 'einklang'";
        while self.ledger.number(others).await > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Starts a purge and kills it once it has removed something and a while after; whether it was killed before it ended.
    async fn kill_one(&self, after: Duration) -> bool {
        self.free_lease().await;
        let before = self.removed().await;
        let mut purge = self.command(&["purge"]);
        purge.stdout(Stdio::null()).stderr(Stdio::null());
        let mut purge = purge.spawn().expect("the binary starts");
        while self.removed().await == before {
            if purge.try_wait().expect("a process").is_some() {
                return false;
            }
            tokio::task::yield_now().await;
        }
        std::thread::sleep(after);
        purge.kill().expect("killed");
        let was_at_work = !purge.wait().expect("it ends").success();
        self.settled().await;
        was_at_work
    }

    /// The class that a killed purge was at.
    async fn class_at_work(&self) -> String {
        let last = "SELECT class FROM retention_run ORDER BY run DESC LIMIT 1";
        self.ledger.texts(last).await.pop().unwrap_or_default()
    }

    /// The log and the tables fit together, and nothing is between two states.
    async fn is_sound(&self) {
        let ledger = &self.ledger;
        let found = self.json(&["audit", "check", "--json"]);
        assert_eq!(found["outcome"], "clean", "{found}");
        let idle = "NOT EXISTS (SELECT 1 FROM click c WHERE c.tenant = s.tenant AND c.issued_at_ticks = s.issued_at_ticks \
                    AND c.click_id = s.click_id) AND NOT EXISTS (SELECT 1 FROM conversion v WHERE v.tenant = s.tenant \
                    AND v.issued_at_ticks = s.issued_at_ticks AND v.click_id = s.click_id)";
        assert_eq!(ledger.count("click_salt s", idle).await, 0, "salts of nothing");
        let bare = "NOT EXISTS (SELECT 1 FROM click_salt s WHERE c.tenant = s.tenant \
                    AND c.issued_at_ticks = s.issued_at_ticks AND c.click_id = s.click_id)";
        assert_eq!(ledger.count("click c", bare).await, 0, "clicks without a salt");
        let half = "purged <> (click_id IS NULL) OR purged <> (payload IS NULL)";
        assert_eq!(ledger.count("conversion", half).await, 0, "half emptied");
        let (all, each) = (CLIENTS * ORDERS_EACH * self.kills, 1_001);
        let all = i64::try_from(all).expect("a count");
        assert_eq!(ledger.count("conversion", "1 = 1").await, all);
        let sum = "SELECT CAST(SUM(amount_minor) AS BIGINT) FROM";
        let kept = ledger.number(&format!("{sum} conversion")).await;
        assert_eq!(kept, all * each, "to the cent");
        let counted = format!("{sum} stat_hour WHERE outcome = 'confirmed'");
        assert_eq!(ledger.number(&counted).await, all * each, "in reports, too");
    }
}

/// Makes a database with data of four months ago.
async fn seed(config: &Config, kills: usize) {
    let clock = Arc::new(Behind(SystemClock));
    let app = wire::build(config, clock, Arc::new(SystemEntropy))
        .await
        .expect("built");
    let plan = provision::parse(WORLD).expect("a provisioning file");
    ProvisionFlow::new(Arc::clone(&app.live))
        .apply(&plan)
        .await
        .expect("applied");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let stop = CancellationToken::new();
    let ended = stop.clone().cancelled_owned();
    let serving = tokio::spawn(listener::serve(
        listener,
        app.router.clone(),
        Limits::default(),
        ended,
    ));
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("a client");
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(visit(base.clone(), http.clone(), number, kills)))
        .collect();
    for client in clients {
        client.await.expect("a client");
    }
    drop(http);
    stop.cancel();
    serving.await.expect("served").expect("ended");
    app.stop().await;
}

async fn kill_again_and_again(url: Option<String>) {
    let stand = Stand::new(url).await;
    let (kills, ledger) = (stand.kills, &stand.ledger);
    stand.is_sound().await;
    let mut classes: BTreeMap<String, usize> = BTreeMap::new();
    for kill in 0..kills {
        // A chunk takes a few milliseconds.
        let after = Duration::from_micros(700 * (kill as u64 * 7 % 20));
        assert!(
            stand.kill_one(after).await,
            "kill {}: the purge was done before",
            kill + 1
        );
        let class = stand.class_at_work().await;
        println!(
            "kill {}: {} rows removed, {} clicks and {} open conversions left, at {class}",
            kill + 1,
            stand.removed().await,
            ledger.count("click", "1 = 1").await,
            ledger.count("conversion", "NOT purged").await
        );
        *classes.entry(class).or_default() += 1;
        stand.is_sound().await;
        // The journal told of it before.
        let journal = std::fs::read_to_string(stand.data().join("journal/node-0.jsonl")).expect("a journal");
        assert!(
            journal.contains("\"kind\":\"purge\"") && journal.contains("\"cut_off_ms\""),
            "{journal}"
        );
    }
    println!("{kills} purges killed, all at work, by class: {classes:?}");
    stand.free_lease().await;
    let output = stand.command(&["purge", "--json"]).output().expect("runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    stand.is_sound().await;
    for table in ["click", "click_salt", "order_key", "suppression"] {
        assert_eq!(ledger.count(table, "1 = 1").await, 0, "{table}");
    }
    assert_eq!(ledger.count("conversion", "NOT purged").await, 0);
    let records = i64::try_from(CLIENTS * (CLICKS_EACH + ORDERS_EACH) * kills).expect("a count");
    assert_eq!(ledger.count("consent_proof", "1 = 1").await, records);
    let plan = stand.json(&["purge", "--dry-run", "--json"]);
    let classes = plan["classes"].as_array().expect("classes");
    assert!(classes.iter().all(|one| one["removed"] == 0), "{plan}");
    // The months are over: nothing opens what any copy still holds of them.
    let months = "purpose = 'epoch' AND tenant = 1";
    assert_eq!(
        ledger.count("wrapped_key", months).await,
        2,
        "this month's key and the next one's"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_purge_leaves_nothing_that_the_log_does_not_say() {
    kill_again_and_again(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_purge_leaves_nothing_that_the_log_does_not_say_on_postgresql() {
    let url = postgres::create_database().await;
    kill_again_and_again(Some(url)).await;
}
