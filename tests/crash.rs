//! `kill -9` under load: what was acknowledged is there after the next start, once.
//!
//! Clients click and order as fast as they are answered. The moment of the kill is a number of acknowledged requests,
//! different in every round; requests that were on their way then have an unknown outcome, and nothing else has. The
//! server starts again on the same folder, and every round goes on with what the rounds before left.
//! `EINKLANG_CRASH_ROUNDS` sets how many rounds there are on each database (default 3; 20 are the documented full run);
//! `-- --nocapture` shows the figures.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "the figures of a run are shown with --nocapture"
)]

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
#[path = "crash/load.rs"]
mod load;
#[path = "binary/place.rs"]
#[expect(dead_code, reason = "the search for canaries uses the rest")]
mod place;
#[path = "it/harness/postgres.rs"]
mod postgres;
#[path = "it/harness/world.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod world;

use ledger::Reader;
use load::{Known, Order, until};
use place::{Place, Server};

const DEFAULT_ROUNDS: usize = 3;
/// Acknowledgements before the first kill, and how many more it takes in every further round.
const FIRST_KILL: usize = 211;
const LATER: usize = 97;

/// What the database holds is what was acknowledged, and at most the requests on their way besides.
async fn check_rows(ledger: &Reader, known: &Known) {
    let within = |what: &str, rows: i64, acknowledged: usize, open: usize| {
        let (least, most) = (acknowledged, acknowledged + open);
        let rows = usize::try_from(rows).expect("a count");
        assert!(
            (least..=most).contains(&rows),
            "{what}: {rows}, and {least} to {most} were expected"
        );
    };
    let open = known.open_orders.len();
    let clicks = ledger.count("click", "1 = 1").await;
    let conversions = ledger.count("conversion", "1 = 1").await;
    let untracked = ledger.events("stat_untracked", "1 = 1").await;
    within("clicks", clicks, known.clicks, known.open_clicks);
    within("conversions", conversions, known.orders.len(), open);
    within(
        "untracked clicks",
        untracked,
        known.untracked,
        known.open_untracked,
    );
    // Every table tells the same story.
    assert_eq!(ledger.count("click_salt", "1 = 1").await, clicks);
    for table in ["click", "conversion"] {
        let unheard = ledger.count(table, "signal_kinds = 0").await;
        assert_eq!(unheard, 0, "{table}: each with its consent record");
    }
    assert_eq!(ledger.count("order_key", "1 = 1").await, conversions);
    let distinct = "SELECT COUNT(DISTINCT conversion_id) FROM order_key";
    assert_eq!(
        ledger.number(distinct).await,
        conversions,
        "one conversion for each order"
    );
    for (outcome, rows) in [("click", clicks), ("confirmed", conversions)] {
        let counted = ledger
            .events("stat_hour", &format!("outcome = '{outcome}'"))
            .await;
        assert_eq!(counted, rows, "{outcome}");
    }
    let provable = "SELECT COALESCE(SUM(LENGTH(hashes)), 0) / 32 FROM audit_entry";
    assert_eq!(
        ledger.number(provable).await,
        clicks,
        "every click is in a leaf of the trail"
    );
    if matches!(ledger, Reader::Sqlite(_)) {
        let sound = "SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'";
        assert_eq!(ledger.number(sound).await, 1, "the file is sound");
    }
}

/// Everything acknowledged is sent again, and what was on its way is settled.
async fn check_answers(server: &Server, known: &mut Known) {
    let shop = server.holder(world::SHOP);
    for Order {
        token,
        name,
        conversion,
    } in &known.orders
    {
        let answer = shop.get(&load::postback(token, name)).await;
        answer.is(200, "duplicate", "duplicate");
        assert_eq!(&answer.member("conversion_id"), conversion, "{name}");
    }
    for (token, name) in std::mem::take(&mut known.open_orders) {
        let answer = shop.get(&load::postback(&token, &name)).await;
        assert!(
            matches!(answer.member("outcome").as_str(), "recorded" | "duplicate"),
            "{}",
            answer.text()
        );
        let conversion = answer.member("conversion_id");
        known.orders.push(Order {
            token,
            name,
            conversion,
        });
    }
    for token in std::mem::take(&mut known.unused) {
        let name = format!("late-{}", known.orders.len());
        let answer = shop.get(&load::postback(&token, &name)).await;
        answer.is(200, "recorded", "accepted");
        let conversion = answer.member("conversion_id");
        known.orders.push(Order {
            token,
            name,
            conversion,
        });
    }
}

async fn kill_again_and_again(place: &Place) {
    let rounds = std::env::var("EINKLANG_CRASH_ROUNDS");
    let rounds = rounds.map_or(DEFAULT_ROUNDS, |rounds| rounds.parse().expect("a number"));
    let mut server = place.serve(&[]);
    let mut known = Known::default();
    for round in 0..rounds {
        let before = known.acknowledged();
        let kill_at = FIRST_KILL + round * LATER;
        known.add(until(server, round, kill_at).await);
        server = place.serve(&[]);
        println!(
            "round {}: killed at {} acknowledgements ({} clicks, {} orders, {} untracked in all; {} on their way)",
            round + 1,
            known.acknowledged() - before,
            known.clicks,
            known.orders.len(),
            known.untracked,
            known.open_clicks + known.open_orders.len() + known.open_untracked,
        );
        let ledger = place.reader().await;
        check_rows(&ledger, &known).await;
        check_answers(&server, &mut known).await;
        known.settle(&ledger).await;
        check_rows(&ledger, &known).await;
    }
    server.stop();
    check_rows(&place.reader().await, &known).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill() {
    kill_again_and_again(&Place::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill_on_postgresql() {
    kill_again_and_again(&Place::on(&postgres::create_database().await)).await;
}
