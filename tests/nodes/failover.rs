//! The primary is killed under load and the standby takes over: nothing that was acknowledged is missing or doubled.

use std::time::Duration;

use crate::cluster::{Cluster, signal};
use crate::ledger::Reader;
use crate::load::{Known, Load, postback, settle};
use crate::place::{Place, token_in};
use crate::postgres::binaries;
use crate::{TURN, check_log, middle_and_worst, node, now, number_of, world};

/// Acknowledgements before the kill, and how many more in every further round.
const FIRST_KILL: usize = 300;
const LATER: usize = 61;
/// Answers while there is no primary.
const MEANWHILE: usize = 40;
const AFTERWARDS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_primary_dies() {
    let _turn = TURN.lock().await;
    let rounds = number_of("EINKLANG_FAILOVERS", 1);
    let mut cluster = Cluster::start().await;
    let place = Place::on(&cluster.url_of_both());
    // One server through all rounds.
    let server = node(&place, 0);
    let (mut from_kill, mut from_promotion) = (Vec::new(), Vec::new());
    let mut all = Known::default();
    for round in 0..rounds {
        cluster.add_standby().await;
        let load = Load::start(&[&server.url]);
        load.shared.wait_for(true, FIRST_KILL + round * LATER).await;
        let killed = now();
        cluster.kill_primary();
        load.shared.wait_for(false, MEANWHILE).await;
        assert_eq!(
            server.anonymous().get("/readyz").await.status,
            503,
            "a balancer is told"
        );
        let promoted = now();
        tokio::task::block_in_place(|| cluster.promote());
        let took = promoted.elapsed();
        let back = load.shared.next_recorded().await;
        from_kill.push(back - killed);
        from_promotion.push(back.saturating_duration_since(promoted));
        load.shared.wait_for(true, AFTERWARDS).await;
        let known = load.stop().await;
        println!(
            "failover {}: {} clicks and {} orders acknowledged, {} clicks untracked and {} postbacks told to come again, slowest \
             click {:.0?}; first order {:.2?} after the kill, {:.2?} after the promotion began, which took {took:.2?}",
            round + 1,
            known.clicks,
            known.orders.len(),
            known.plain,
            known.later,
            known.slowest_click,
            back - killed,
            back.saturating_duration_since(promoted),
        );
        assert!(known.later > 0 && known.plain > 0 && known.cut == 0);
        let ledger = Reader::open(&cluster.url()).await;
        // With everything of the rounds before.
        all.add(known);
        settle(&server.url, &mut all, &ledger).await;
        assert_eq!(
            ledger.count("audit_log", "epoch > 0").await,
            0,
            "no log was rewound"
        );
        assert_eq!(server.anonymous().get("/readyz").await.status, 200);
    }
    // The tools that a backup needs are told the one host.
    let tools = binaries().display().to_string();
    let (made, said) = place.run(&["backup", "backups", "--pg-bin-dir", &tools]);
    assert!(made, "{said}");
    server.stop();
    check_log(&place);
    println!(
        "{rounds} failovers, 0 missing, 0 doubled: from the kill {}",
        middle_and_worst(from_kill)
    );
    println!("from the promotion {}", middle_and_worst(from_promotion));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_only_reads_is_left() {
    let _turn = TURN.lock().await;
    let mut cluster = Cluster::start().await;
    let place = Place::on(&cluster.url_of_both());
    cluster.add_slow_standby().await;
    let server = node(&place, 0);
    let load = Load::start(&[&server.url]);
    load.shared.wait_for(true, AFTERWARDS).await;
    // As somebody does who changes their roles at leisure: no writes any more, then everything has to have arrived.
    cluster.fence_primary().await;
    load.shared.wait_for(false, MEANWHILE).await;
    cluster.until_followed().await;
    let promoted = now();
    tokio::task::block_in_place(|| cluster.promote());
    let back = load.shared.next_recorded().await;
    load.shared.wait_for(true, AFTERWARDS).await;
    let mut known = load.stop().await;
    println!(
        "a fenced primary: first order {:.2?} after the promotion began, slowest click {:.0?}",
        back - promoted,
        known.slowest_click
    );
    let ledger = Reader::open(&cluster.url()).await;
    settle(&server.url, &mut known, &ledger).await;
    // The pool has moved, too.
    let body = serde_json::json!({"label": "after", "role": "auditor"});
    let made = server.holder(world::MANAGER).post("/v1/api-keys", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(ledger.count("api_key", "label = 'after'").await, 1);
    server.stop();
    check_log(&place);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_hangs_is_left() {
    let _turn = TURN.lock().await;
    let mut cluster = Cluster::start().await;
    let place = Place::on(&cluster.url_of_both());
    cluster.add_standby().await;
    let server = node(&place, 0);
    let load = Load::start(&[&server.url]);
    load.shared.wait_for(true, FIRST_KILL).await;
    let frozen = now();
    let processes = cluster.freeze_primary();
    load.shared.wait_for(false, MEANWHILE).await;
    let managed = server.holder(world::MANAGER).get("/v1/links").await;
    managed.is(503, "refused", "unavailable");
    let promoted = now();
    tokio::task::block_in_place(|| cluster.promote());
    let back = load.shared.next_recorded().await;
    load.shared.wait_for(true, AFTERWARDS).await;
    signal("-KILL", &processes);
    let mut known = load.stop().await;
    println!(
        "a primary that hangs: first order {:.2?} after it froze, {:.2?} after the promotion began, slowest click {:.0?}",
        back - frozen,
        back - promoted,
        known.slowest_click
    );
    let ledger = Reader::open(&cluster.url()).await;
    settle(&server.url, &mut known, &ledger).await;
    server.stop();
    check_log(&place);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_click_after_a_restart_of_the_database_is_tracked() {
    let _turn = TURN.lock().await;
    let cluster = Cluster::start().await;
    let place = Place::on(&cluster.url());
    let server = node(&place, 0);
    let (visitor, shop) = (server.visitor(), server.holder(world::SHOP));
    for round in 0..3 {
        let first = visitor.get("/c/Ab3xK9?consent=granted").await;
        let token = token_in(first.header("location").expect("an address")).expect("a token");
        let order = postback(&token, &format!("R-{round}"));
        shop.get(&order).await.is(200, "recorded", "accepted");
        tokio::task::block_in_place(|| cluster.restart_primary());
        // A restart takes longer than this anyway; only what lay idle is asked whether it lives.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let first = visitor.get("/c/Ab3xK9?consent=granted").await;
    let token = token_in(first.header("location").expect("an address")).expect("a token");
    shop.get(&postback(&token, "R-last"))
        .await
        .is(200, "recorded", "accepted");
    let ledger = place.reader().await;
    assert_eq!(ledger.count("click", "1 = 1").await, 4);
    assert_eq!(
        ledger.events("stat_untracked", "1 = 1").await,
        0,
        "nobody was missed"
    );
    server.stop();
}
