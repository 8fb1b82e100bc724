//! `kill -9` during a purge: whatever is gone is in the log, whatever is not is whole, and the next purge goes on.
//!
//! The data is made by a server whose clock is four months behind, so that it had its time. Each purge is killed as soon
//! as it has removed something; then the tables are compared with the log. `EINKLANG_PURGE_KILLS` sets how often (default
//! 3); `-- --nocapture` shows the figures.

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
#[path = "it/harness/contract.rs"]
mod contract;
#[path = "it/harness/ledger.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod ledger;
#[path = "it/harness/world.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod world;

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

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
/// Clients at a time, and what each of them does.
const CLIENTS: usize = 8;
const CLICKS_EACH: usize = 150;
const ORDERS_EACH: usize = 75;
/// So long ago: every class but the minimal proofs had its time.
const AGO_MS: i64 = 120 * 86_400_000;

/// A clock that is behind.
struct Behind(SystemClock);

impl Clock for Behind {
    fn now_ms(&self) -> i64 {
        self.0.now_ms() - AGO_MS
    }
}

async fn visit(base: String, http: reqwest::Client, number: usize) {
    let visitor = Caller::new(&base, &http);
    let shop = Caller::new(&base, &http).key(world::SHOP);
    for turn in 0..CLICKS_EACH {
        let answer = visitor.get("/c/Ab3xK9?consent=granted").await;
        let location = answer.header("location").expect("a redirect").to_owned();
        if turn >= ORDERS_EACH {
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

/// Makes a folder with data of four months ago.
async fn seed(data: &Path, kills: usize) {
    let config = Config::load(Options {
        data_dir: Some(data.to_owned()),
        requests_per_minute: 1_000_000.try_into().ok(),
        ..Options::default()
    })
    .expect("a configuration");
    let clock = Arc::new(Behind(SystemClock));
    let app = wire::build(&config, clock, Arc::new(SystemEntropy))
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
        .map(|number| tokio::spawn(visit(base.clone(), http.clone(), number)))
        .collect();
    for client in clients {
        client.await.expect("a client");
    }
    drop(http);
    stop.cancel();
    serving.await.expect("served").expect("ended");
    app.stop().await;
    // Enough for a purge to have something to do however often it is killed.
    let many = format!(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {}) \
         INSERT INTO suppression SELECT 1, randomblob(32), 1 FROM n",
        kills * 5_000
    );
    ledger::execute(&config.database_url, &many).await;
}

async fn removed(ledger: &Reader) -> i64 {
    ledger
        .number("SELECT COALESCE(SUM(removed), 0) FROM retention_run")
        .await
}

/// Starts a purge and kills it once it has removed something; whether it was killed before it ended.
async fn kill_one(folder: &Path, ledger: &Reader) -> bool {
    // A killed process keeps its right to purge for ten seconds; nobody has to wait for that here.
    let url = sqlite_url(&folder.join("data"));
    ledger::execute(&url, "UPDATE purge_lease SET until_ms = 0").await;
    let before = removed(ledger).await;
    let mut purge = einklang(folder, ["purge"]);
    let mut purge = purge
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    while removed(ledger).await == before {
        if purge.try_wait().expect("a process").is_some() {
            return false;
        }
        tokio::task::yield_now().await;
    }
    purge.kill().expect("killed");
    !purge.wait().expect("it ends").success()
}

/// The log and the tables fit together, and nothing is between two states.
async fn is_sound(folder: &Path, ledger: &Reader) {
    let output = einklang(folder, ["audit", "check", "--json"]).output();
    let output = output.expect("the binary runs");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(found["outcome"], "clean", "{found}");
    let idle = "NOT EXISTS (SELECT 1 FROM click c WHERE c.tenant = s.tenant AND c.issued_at_ticks = s.issued_at_ticks \
                AND c.click_id = s.click_id) AND NOT EXISTS (SELECT 1 FROM conversion v WHERE v.tenant = s.tenant \
                AND v.issued_at_ticks = s.issued_at_ticks AND v.click_id = s.click_id)";
    assert_eq!(ledger.count("click_salt s", idle).await, 0, "salts of nothing");
    let half = "purged <> (click_id IS NULL) OR purged <> (payload IS NULL)";
    assert_eq!(ledger.count("conversion", half).await, 0, "half emptied");
    let (all, each) = (CLIENTS * ORDERS_EACH, 1_001);
    let all = i64::try_from(all).expect("a count");
    assert_eq!(ledger.count("conversion", "1 = 1").await, all);
    assert_eq!(
        ledger.number("SELECT SUM(amount_minor) FROM conversion").await,
        all * each,
        "to the cent"
    );
    let counted = "SELECT SUM(amount_minor) FROM stat_hour WHERE outcome = 'confirmed'";
    assert_eq!(ledger.number(counted).await, all * each, "in reports, too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_purge_leaves_nothing_that_the_log_does_not_say() {
    let kills = std::env::var("EINKLANG_PURGE_KILLS");
    let kills = kills.map_or(DEFAULT_KILLS, |kills| kills.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    seed(&data, kills).await;
    let ledger = Reader::open(&sqlite_url(&data)).await;
    is_sound(folder.path(), &ledger).await;
    for kill in 0..kills {
        let killed = kill_one(folder.path(), &ledger).await;
        assert!(killed, "kill {}: the purge was done before", kill + 1);
        println!(
            "kill {}: {} rows removed, {} clicks and {} open conversions left",
            kill + 1,
            removed(&ledger).await,
            ledger.count("click", "1 = 1").await,
            ledger.count("conversion", "NOT purged").await
        );
        is_sound(folder.path(), &ledger).await;
        // The journal told of it before.
        let journal = std::fs::read_to_string(data.join("journal/node-0.jsonl")).expect("a journal");
        assert!(
            journal.contains("\"kind\":\"purge\"") && journal.contains("\"cut_off_ms\""),
            "{journal}"
        );
    }
    ledger::execute(&sqlite_url(&data), "UPDATE purge_lease SET until_ms = 0").await;
    let output = einklang(folder.path(), ["purge", "--json"])
        .output()
        .expect("runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    is_sound(folder.path(), &ledger).await;
    for table in ["click", "click_salt", "order_key", "suppression"] {
        assert_eq!(ledger.count(table, "1 = 1").await, 0, "{table}");
    }
    assert_eq!(ledger.count("conversion", "NOT purged").await, 0);
    let records = i64::try_from(CLIENTS * (CLICKS_EACH + ORDERS_EACH)).expect("a count");
    assert_eq!(ledger.count("consent_proof", "1 = 1").await, records);
    let plan = einklang(folder.path(), ["purge", "--dry-run", "--json"])
        .output()
        .expect("runs");
    let plan: Value = serde_json::from_slice(&plan.stdout).expect("JSON");
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
