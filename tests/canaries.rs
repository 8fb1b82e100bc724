//! Nothing of a person who declined is kept, in whatever form, and nothing of one who agreed is kept in plain.
//!
//! The built binary runs on SQLite and logs everything there is (`trace`). Requests carry canaries in every place that a
//! client can fill. Afterwards every byte of the data folder, of the log and of the metrics is searched: after `kill -9`,
//! when the write-ahead log still holds its pages, and after an orderly end. `-- --nocapture` shows the counts.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "the figures of a run are shown with --nocapture"
)]

#[path = "canaries/accepted.rs"]
mod accepted;
mod binary;
#[path = "it/harness/client.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod client;
#[path = "it/harness/contract.rs"]
mod contract;
#[path = "canaries/declined.rs"]
mod declined;
#[path = "canaries/kept.rs"]
mod kept;
#[path = "it/harness/ledger.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod ledger;
#[path = "canaries/load.rs"]
mod load;
#[path = "canaries/needles.rs"]
mod needles;
#[path = "binary/place.rs"]
#[expect(dead_code, reason = "the tests of several nodes use the rest")]
mod place;
#[path = "canaries/tcf.rs"]
mod tcf;
#[path = "canaries/turned_away.rs"]
mod turned_away;
#[path = "it/harness/world.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use declined::{bad_requests, clicks, postbacks, token};
use kept::{Holder, column, kept};
use load::{ADDRESS, AMOUNT, AMOUNT_MINOR, NETWORK, PLACES};
use needles::Watch;
use place::{Place, Server};

/// Far beyond the time after which it is tried again.
const PATIENCE: Duration = Duration::from_secs(30);

/// What no refusal may leave anywhere.
fn of_the_declined() -> Watch {
    let mut watch = Watch::places(&PLACES);
    for text in [ADDRESS, NETWORK, AMOUNT, &tcf::of_today("d-tcf-043")] {
        watch.add_text(text);
    }
    let address: std::net::Ipv6Addr = ADDRESS.parse().expect("an address");
    watch.add_bytes(&address.octets());
    watch.add_number(AMOUNT_MINOR);
    watch
}

/// What may only be kept sealed, or not at all; the amount stays readable, since totals need it.
fn of_the_accepted(tokens: &[String]) -> Watch {
    let mut watch = Watch::places(&PLACES);
    for text in [ADDRESS, NETWORK, &tcf::of_today("d-tcf-053")] {
        watch.add_text(text);
    }
    let keys = [
        world::SHOP,
        world::MANAGER,
        world::OPERATOR,
        world::SECRETS[0],
        world::SECRETS[1],
    ];
    for text in tokens.iter().map(String::as_str).chain(keys) {
        watch.add_text(text);
    }
    let address: std::net::Ipv6Addr = ADDRESS.parse().expect("an address");
    watch.add_bytes(&address.octets());
    watch
}

async fn decline_everything(place: &Place, server: &Server, salt: &str) -> i64 {
    let counted = clicks(server).await;
    postbacks(place, server, world::SHOP, "Ab3xK9", salt).await;
    postbacks(place, server, world::OUTLET, "Outlet", salt).await;
    bad_requests(server).await;
    counted
}

/// Logs everything and believes forwarded addresses, as behind a proxy on this machine.
fn serve(place: &Place) -> Server {
    place.serve(&["--log=trace", "--trusted-proxies=127.0.0.1/32"])
}

async fn metrics(server: &Server) -> BTreeMap<String, Vec<u8>> {
    let answer = reqwest::get(&server.metrics).await.expect("an answer");
    let text = answer.text().await.expect("a body");
    assert!(
        text.contains("einklang_clicks_total") && text.contains("einklang_postbacks_total"),
        "{text}"
    );
    BTreeMap::from([("metrics".to_owned(), text.into_bytes())])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_refusal_is_kept() {
    let (place, watch) = (Place::new(), of_the_declined());
    let server = serve(&place);
    let mut counted = decline_everything(&place, &server, "first").await;
    watch.assert_absent("while it runs", &metrics(&server).await);
    server.kill();
    watch.assert_absent("after kill -9", &kept(&place));
    let server = serve(&place);
    counted += decline_everything(&place, &server, "second").await;
    watch.assert_absent("while it runs again", &metrics(&server).await);
    server.stop();
    watch.assert_absent("after an orderly end", &kept(&place));
    // All of it was really there, and is counted.
    let ledger = place.reader().await;
    assert_eq!(ledger.events("stat_untracked", "1 = 1").await, counted);
    assert_eq!(
        ledger.count("conversion", "1 = 1").await,
        4,
        "the four neutral ones"
    );
    assert_eq!(
        ledger.events("stat_refused", "reason = 'consent_denied'").await,
        4
    );
    for reason in [
        "consent_missing",
        "consent_malformed",
        "no_token",
        "unknown_token",
        "unknown_goal",
        "currency_mismatch",
        "outside_window",
        "duplicate_conflict",
        "restricted",
        "consent_withdrawn",
        "token_expired",
    ] {
        let events = ledger
            .events("stat_refused", &format!("reason = '{reason}'"))
            .await;
        assert!(events >= 20, "{reason}: {events}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_what_is_turned_away_is_kept() {
    let (place, watch) = (Place::new(), of_the_declined());
    let server = serve(&place);
    turned_away::while_the_ledger_cannot_write(&place, &server).await;
    turned_away::until_the_body_is_given_up(&server).await;
    watch.assert_absent("while it runs", &metrics(&server).await);
    server.kill();
    watch.assert_absent("after kill -9", &kept(&place));
    let busy = place.serve(&["--log=trace", "--requests-per-minute=2"]);
    turned_away::beyond_the_limit(&busy).await;
    busy.stop();
    watch.assert_absent("after an orderly end", &kept(&place));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_accepted_is_nowhere_in_plain() {
    let place = Place::new();
    let server = serve(&place);
    let mut tokens = accepted::clicks(&server).await;
    let mut recorded = accepted::conversions(&server, &tokens, "first").await;
    of_the_accepted(&tokens).assert_absent("while it runs", &metrics(&server).await);
    server.kill();
    of_the_accepted(&tokens).assert_absent("after kill -9", &kept(&place));
    let server = serve(&place);
    let more = accepted::clicks(&server).await;
    recorded += accepted::conversions(&server, &more, "second").await;
    tokens.extend(more);
    server.stop();
    of_the_accepted(&tokens).assert_absent("after an orderly end", &kept(&place));
    let ledger = place.reader().await;
    assert_eq!(ledger.count("click", "LENGTH(payload) > 200").await, 6);
    assert_eq!(
        ledger.count("conversion", "LENGTH(payload) > 200").await,
        recorded
    );
}

/// Everything by which a person could be found again.
const PERSONAL: [(&str, &str); 7] = [
    ("click ids", "SELECT click_id FROM click"),
    ("salts", "SELECT salt FROM click_salt"),
    ("sealed clicks", "SELECT payload FROM click"),
    (
        "sealed conversions",
        "SELECT payload FROM conversion WHERE payload IS NOT NULL",
    ),
    ("hashes of orders", "SELECT order_hash FROM order_key"),
    ("hashes of contents", "SELECT content_hash FROM order_key"),
    ("hashes of customers", "SELECT customer_hash FROM customer_key"),
];

/// Watches everything personal that the database holds now, and makes sure that it is found.
async fn of_the_erased(place: &Place) -> Watch {
    let mut watch = Watch::default();
    for (name, sql) in PERSONAL {
        let values = column(place, sql).await;
        assert!(!values.is_empty(), "{name}");
        for value in values {
            let mut there = Watch::default();
            there.add_bytes(&value);
            let found: usize = there.search(&kept(place)).values().sum();
            assert!(
                found > 0,
                "{name}: what is in the database is not found in its files"
            );
            watch.add_bytes(&value);
            if let Ok(id) = uuid::Uuid::from_slice(&value) {
                watch.add_text(&id.to_string());
            }
        }
    }
    watch
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_person_is_nowhere() {
    let place = Place::new();
    let server = serve(&place);
    let tokens = accepted::clicks(&server).await;
    accepted::conversions(&server, &tokens, "first").await;
    let watch = of_the_erased(&place).await;
    let bystander = token(&server, "Ab3xK9").await;
    accepted::withdrawals(&server, &tokens, "first").await;
    watch.assert_absent("erased, while it runs", &kept(&place));
    server.kill();
    watch.assert_absent("erased, after kill -9", &kept(&place));
    let server = serve(&place);
    let order = [("token", bystander.as_str()), ("consent", "granted")];
    let shop = server.holder(world::SHOP);
    shop.postback(&order).await.is(200, "recorded", "accepted");
    server.stop();
    watch.assert_absent("erased, after an orderly end", &kept(&place));
    let clicks = place.reader().await.count("click", "1 = 1").await;
    assert_eq!(clicks, 1, "somebody else's");
}

/// Whoever reads an older state keeps SQLite from emptying its write-ahead log: it is made up for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_a_reader_held_up_is_made_up_for() {
    for killed in [false, true] {
        let place = Place::new();
        let server = serve(&place);
        let tokens = accepted::clicks(&server).await;
        accepted::conversions(&server, &tokens, "first").await;
        let watch = of_the_erased(&place).await;
        let reader = Holder::hold(&place).await;
        accepted::withdrawals(&server, &tokens, "first").await;
        let held: usize = watch.search(&kept(&place)).values().sum();
        assert!(
            held > 0,
            "the reader holds nothing, so that this test tests nothing"
        );
        if killed {
            server.kill();
            reader.release().await;
            let server = serve(&place);
            watch.assert_absent("held up, after kill -9 and a start", &kept(&place));
            server.stop();
        } else {
            reader.release().await;
            let tidied_up = async {
                while watch.search(&kept(&place)).values().any(|found| *found > 0) {
                    token(&server, "Ab3xK9").await;
                }
            };
            let tidied_up = tokio::time::timeout(PATIENCE, tidied_up).await;
            tidied_up.expect("nobody tidies up");
            watch.assert_absent("held up, after the release", &kept(&place));
            server.stop();
        }
    }
}
