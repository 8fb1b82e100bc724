//! How long one erasure takes beside many clicks, and how many a second there are while clicks go on at half load.
//!
//! A measurement, and so left out of the usual run:
//! `cargo test --release --test erasure_rate -- --ignored --nocapture`. `EINKLANG_ERASURE_ROWS` sets how many clicks are
//! there beforehand (default 1,000,000), `EINKLANG_ERASURE_PEOPLE` how many are erased (default 10,000), and
//! `EINKLANG_ERASURE_DATABASE` the URL of an empty PostgreSQL database, where it is not to be SQLite. Statistics are taken
//! before the measuring, as autovacuum would have by then.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![expect(clippy::cast_precision_loss, reason = "counts that are far below 2^52")]

mod binary;
#[path = "it/harness/client.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod client;
#[path = "it/harness/contract.rs"]
mod contract;
#[path = "it/harness/ledger.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod ledger;
#[path = "binary/place.rs"]
#[expect(dead_code, reason = "the search for canaries uses the rest")]
mod place;
#[path = "it/harness/world.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use einklang::app::config::sqlite_url;
use reqwest::{Client, Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use ledger::execute;
use place::{Place, Server, token_in};

/// Erasures that are timed one by one.
const SINGLE: usize = 50;
/// Clients at a time.
const CLIENTS: usize = 64;
/// Erasures that wait for their answers at a time (`EINKLANG_ERASURE_CLIENTS`): an answer waits until the write-ahead log is
/// truncated, which all that wait share.
const ERASERS: usize = 384;
/// How long clicks are counted to know the full load.
const FULL_LOAD: Duration = Duration::from_secs(4);

fn given(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// One request by a client that keeps its connection; nothing is held against the contract meanwhile.
async fn click(http: &Client, url: &str) -> Option<String> {
    let browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let request = http
        .get(format!("{url}/c/Ab3xK9?consent=granted"))
        .header("user-agent", browser);
    let answer = request.send().await.ok()?;
    token_in(answer.headers().get("location")?.to_str().ok()?)
}

async fn post(http: &Client, url: &str, key: &str, path: &str, body: &serde_json::Value) -> StatusCode {
    let request = http.request(Method::POST, format!("{url}{path}"));
    let answer = request
        .bearer_auth(key)
        .json(body)
        .send()
        .await
        .expect("an answer");
    answer.status()
}

/// Somebody with a click and an order.
async fn person(http: &Client, url: &str, number: usize) -> String {
    let token = click(http, url).await.expect("a token");
    let order = json!({"token": token, "order_id": format!("order {number}"), "amount": "49.90", "consent": "granted",
        "customer_ref": format!("customer {number}")});
    assert_eq!(post(http, url, world::SHOP, "/postback", &order).await, 200);
    token
}

/// People, made by many clients at a time.
async fn people(http: &Client, url: &str, from: usize, count: usize) -> Vec<String> {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (http, url) = (http.clone(), url.to_owned());
        clients.spawn(async move {
            let mut tokens = Vec::new();
            for number in (from + client..from + count).step_by(CLIENTS) {
                tokens.push(person(&http, &url, number).await);
            }
            tokens
        });
    }
    clients.join_all().await.concat()
}

/// Clicks of others, as rows: spread over the month before, a dozen in the same moment.
async fn fill(url: &str, rows: usize) {
    let first = "SELECT MAX(issued_at_ticks) FROM click";
    let ticks = format!(
        "({first}) - 256 * 2500000 + ((n / 12) * {})",
        256 * 2_400_000 * 12 / rows.max(12)
    );
    let click = |series: &str, id: &str, payload: &str| {
        format!(
            "{series} INSERT INTO click SELECT tenant, {ticks}, {id}, campaign, publisher, shop, link, policy_version, \
             retention_epoch, clicked_at_ms, consent_bits, signal_kinds, FALSE, {payload} \
             FROM s CROSS JOIN (SELECT * FROM click LIMIT 1) AS c"
        )
    };
    let statements = if url.starts_with("sqlite:") {
        let series =
            format!("WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows})");
        let salts = "INSERT INTO click_salt SELECT tenant, issued_at_ticks, click_id, randomblob(16) FROM click \
             WHERE (tenant, issued_at_ticks, click_id) NOT IN (SELECT tenant, issued_at_ticks, click_id FROM click_salt)";
        vec![
            click(&series, "randomblob(16)", "randomblob(160)"),
            salts.to_owned(),
        ]
    } else {
        let series = format!("WITH s AS (SELECT n FROM generate_series(1, {rows}) AS n)");
        let payload = "decode(repeat(md5(n::text), 10), 'hex')";
        let salts = "INSERT INTO vault.salt_block (tenant, issued_at_ticks, clicks, salts) \
             SELECT tenant, issued_at_ticks, array_agg(click_id), array_agg(decode(md5(click_id::text), 'hex')) FROM click \
             WHERE issued_at_ticks NOT IN (SELECT issued_at_ticks FROM vault.salt_block) GROUP BY tenant, issued_at_ticks";
        let clicks = click(&series, "gen_random_uuid()", payload);
        vec![clicks, salts.to_owned(), "VACUUM ANALYZE".to_owned()]
    };
    for statement in statements {
        execute(url, &statement).await;
    }
}

/// Clicks as fast as they are answered, or so many a second; returns how many there were.
async fn clicks(server: &Server, http: &Client, rate: Option<f64>, until: Arc<AtomicBool>) -> usize {
    let done = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let taken = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (http, url) = (http.clone(), server.url.clone());
        let (done, taken, until) = (Arc::clone(&done), Arc::clone(&taken), Arc::clone(&until));
        clients.spawn(async move {
            while !until.load(Ordering::Relaxed) {
                if let Some(rate) = rate {
                    let turn = taken.fetch_add(1, Ordering::Relaxed);
                    let due = Duration::from_secs_f64(turn as f64 / rate);
                    tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
                }
                done.fetch_add(usize::from(click(&http, &url).await.is_some()), Ordering::Relaxed);
            }
        });
    }
    clients.join_all().await;
    done.load(Ordering::Relaxed)
}

async fn one_by_one(http: &Client, server: &Server, rows: usize) {
    let tokens = people(http, &server.url, 0, SINGLE).await;
    let mut took = Vec::new();
    for token in tokens {
        let begun = Instant::now();
        let body = json!({"token": token});
        assert_eq!(
            post(http, &server.url, world::PRIVACY, "/v1/erasures", &body).await,
            200
        );
        took.push(begun.elapsed());
    }
    took.sort();
    println!(
        "one erasure beside {rows} clicks: median {:?}, 95th percentile {:?}, worst {:?}",
        took[SINGLE / 2],
        took[SINGLE * 95 / 100],
        took[SINGLE - 1]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement; see the file's head"]
async fn erasures_in_time() {
    let (rows, count) = (
        given("EINKLANG_ERASURE_ROWS", 1_000_000),
        given("EINKLANG_ERASURE_PEOPLE", 10_000),
    );
    let place = Place::new();
    let url = std::env::var("EINKLANG_ERASURE_DATABASE").unwrap_or_else(|_| sqlite_url(&place.data()));
    place.provision(&url);
    let http = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("a client");
    let limits = [
        "--requests-per-minute",
        "10000000",
        "--log",
        "warn",
        "--database-url",
        &url,
    ];
    let server = place.serve(&limits);
    click(&http, &server.url).await.expect("a token");
    server.stop();
    let begun = Instant::now();
    fill(&url, rows).await;
    println!("{rows} clicks written in {:?}", begun.elapsed());
    let server = place.serve(&limits);
    one_by_one(&http, &server, rows).await;
    let stop = Arc::new(AtomicBool::new(false));
    let timer = {
        let stop = Arc::clone(&stop);
        async move {
            tokio::time::sleep(FULL_LOAD).await;
            stop.store(true, Ordering::Relaxed);
        }
    };
    let (full, ()) = tokio::join!(clicks(&server, &http, None, Arc::clone(&stop)), timer);
    let full = full as f64 / FULL_LOAD.as_secs_f64();
    let tokens = people(&http, &server.url, SINGLE, count).await;
    let (stop, begun) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let erasers = given("EINKLANG_ERASURE_CLIENTS", ERASERS);
    let erasures = async {
        let mut clients = JoinSet::new();
        for share in tokens.chunks(count.div_ceil(erasers)) {
            let (http, url, share) = (http.clone(), server.url.clone(), share.to_vec());
            clients.spawn(async move {
                for token in share {
                    let body = json!({"token": token});
                    assert_eq!(
                        post(&http, &url, world::PRIVACY, "/v1/erasures", &body).await,
                        200
                    );
                }
            });
        }
        clients.join_all().await;
        stop.store(true, Ordering::Relaxed);
        begun.elapsed()
    };
    let (clicks, took) = tokio::join!(
        clicks(&server, &http, Some(full / 2.0), Arc::clone(&stop)),
        erasures
    );
    println!(
        "{count} erasures in {took:?}: {:.0} a second, beside {:.0} clicks a second (full load: {full:.0})",
        count as f64 / took.as_secs_f64(),
        clicks as f64 / took.as_secs_f64(),
    );
    server.stop();
    let reader = ledger::Reader::open(&url).await;
    let left = reader.count("erasure", "clicks = 1").await;
    assert_eq!(left, i64::try_from(count + SINGLE).expect("a count"));
}
