//! The primary is killed under load and the standby takes over: nothing that was acknowledged is missing or doubled.

use crate::cluster::Cluster;
use crate::ledger::Reader;
use crate::load::{Load, settle};
use crate::place::Place;
use crate::{TURN, check_log, middle_and_worst, node, now, number_of};

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
        let back = load.shared.next_recorded().await;
        from_kill.push(back - killed);
        from_promotion.push(back.saturating_duration_since(promoted));
        load.shared.wait_for(true, AFTERWARDS).await;
        let mut known = load.stop().await;
        println!(
            "failover {}: {} clicks and {} orders acknowledged, {} clicks untracked and {} postbacks told to come again, slowest \
             click {:.0?}; first order {:.2?} after the kill, {:.2?} after the promotion began",
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
        settle(&server.url, &mut known, &ledger).await;
        assert_eq!(
            ledger.count("audit_log", "epoch > 0").await,
            0,
            "no log was rewound"
        );
        assert_eq!(server.anonymous().get("/readyz").await.status, 200);
    }
    server.stop();
    check_log(&place);
    println!(
        "{rounds} failovers, 0 missing, 0 doubled: from the kill {}",
        middle_and_worst(from_kill)
    );
    println!("from the promotion {}", middle_and_worst(from_promotion));
}
