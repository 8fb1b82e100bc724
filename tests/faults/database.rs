//! PostgreSQL ends, is started again, and has no room.

use std::time::Duration;

use crate::account::{Exact, settle};
use crate::cluster::Cluster;
use crate::load::{LATER, Load, PLAIN, Phase, RECORDED};
use crate::site::Site;
use crate::turn;

/// How long PostgreSQL may take to end when it cannot write.
const PATIENCE: Duration = Duration::from_secs(30);

async fn is_felt(load: &Load, by: usize) {
    load.until("answers while there is no database", |known| {
        known.count("click", Phase::During, PLAIN) >= by
            && known.count("postback", Phase::During, LATER) >= by
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_is_started_again() {
    let _turn = turn().await;
    let cluster = Cluster::get().await;
    for mode in ["fast", "immediate"] {
        let site = Site::postgres(cluster.new_database(mode).await);
        let server = site.serve(&[]);
        let load = Load::start(&server).await;
        load.fault_begins();
        cluster.control_beside(&["restart", "-m", mode]);
        load.fault_ends();
        let known = load.finish(&server).await;
        let fault = format!("PostgreSQL restarted, -m {mode}");
        settle(&fault, &site, server, &known, Exact::CommitsLost).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_is_away_for_a_while() {
    let _turn = turn().await;
    let cluster = Cluster::get().await;
    let site = Site::postgres(cluster.new_database("away").await);
    let server = site.serve(&[]);
    let load = Load::start(&server).await;
    load.fault_begins();
    cluster.control_beside(&["stop", "-m", "fast"]);
    is_felt(&load, 30).await;
    cluster.control_beside(&["start"]);
    load.fault_ends();
    let known = load.finish(&server).await;
    settle(
        "PostgreSQL stopped for a while",
        &site,
        server,
        &known,
        Exact::CommitsLost,
    )
    .await;

    // It neither answers nor ends: nobody waits longer than the ledger does.
    let site = Site::postgres(cluster.new_database("silent").await);
    let server = site.serve(&[]);
    let load = Load::start(&server).await;
    load.fault_begins();
    cluster.signal("STOP");
    is_felt(&load, 6).await;
    cluster.signal("CONT");
    load.fault_ends();
    let known = load.finish(&server).await;
    settle(
        "PostgreSQL falls silent",
        &site,
        server,
        &known,
        Exact::CommitsLost,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_postgresql() {
    let _turn = turn().await;
    let cluster = Cluster::get().await;
    let site = Site::postgres(cluster.new_database("room").await);
    let server = site.serve(&[]);
    let load = Load::start(&server).await;
    load.fault_begins();
    // Not even its write-ahead log can be written: it ends, and does not come back while that is so.
    cluster.limit("--fsize=0");
    let gone = async {
        let mut look = tokio::time::interval(Duration::from_millis(50));
        while !cluster.is_gone() {
            look.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("PostgreSQL ends");
    is_felt(&load, 30).await;
    cluster.control_beside(&["start"]);
    load.fault_ends();
    let known = load.finish(&server).await;
    settle("disk full, PostgreSQL", &site, server, &known, Exact::CommitsLost).await;
}

/// The length of a file of PostgreSQL's write-ahead log, which is made before it is needed.
const WAL_FILE: u64 = 16 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_postgresql_that_cannot_grow() {
    let _turn = turn().await;
    let cluster = Cluster::get().await;
    let site = Site::postgres(cluster.new_database("grown").await);
    // Clicks of nobody, longer than a file of the write-ahead log, and their removal: the room they leave is used only after
    // a VACUUM, so that the next click needs more.
    for sql in [
        "INSERT INTO click SELECT 999, extract(epoch FROM now())::bigint * 256 + n, gen_random_uuid(), 1, 1, 1, 1, 1, 1, 1, 1, \
         1, false, decode(repeat('00', 400), 'hex') FROM generate_series(1, 60000) AS n",
        "DELETE FROM click WHERE tenant = 999",
        "CHECKPOINT",
    ] {
        cluster.execute("grown", sql.to_owned()).await;
    }
    let server = site.serve(&[]);
    let load = Load::start(&server).await;
    load.fault_begins();
    cluster.limit(&format!("--fsize={WAL_FILE}:"));
    // What needs no more room goes on beside it.
    load.until("clicks without room", |known| {
        known.count("click", Phase::During, PLAIN) >= 60
            && known.count("postback", Phase::During, RECORDED) >= 1
    })
    .await;
    load.fault_ends();
    cluster.limit("--fsize=unlimited:");
    let known = load.finish(&server).await;
    assert_eq!(
        known.count("postback", Phase::During, LATER),
        0,
        "orders have room"
    );
    settle(
        "PostgreSQL's table of clicks cannot grow",
        &site,
        server,
        &known,
        Exact::CommitsLost,
    )
    .await;
}
