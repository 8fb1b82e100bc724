//! Nodes that are stopped and started one after another, and nodes of two versions beside one another.

use std::path::Path;

use crate::cluster::Cluster;
use crate::ledger::execute;
use crate::load::{Known, Load, settle};
use crate::place::{Place, Server};
use crate::{RATE, TURN, check_log, node, postgres, words};

const ROUNDS: usize = 1;
const BETWEEN: usize = 150;

fn show(what: &str, known: &Known) {
    println!(
        "{what}: {} clicks and {} orders acknowledged, 0 missing, 0 doubled; {} clicks untracked, {} postbacks told to come \
         again, {} clicks sent to the next node, {} cut off, slowest click {:.0?}",
        known.clicks,
        known.orders.len(),
        known.plain,
        known.later,
        known.moved,
        known.cut,
        known.slowest_click,
    );
}

/// Stops every node and starts it again, one after another. Whoever drains takes a node out of the balancer first.
async fn restart_each(place: &Place, nodes: &mut Vec<Server>, drains: bool) -> Known {
    let load = Load::start(&[&nodes[0].url, &nodes[1].url]);
    for _ in 0..ROUNDS {
        for number in 0..nodes.len() {
            load.shared.wait_for(true, BETWEEN).await;
            let stopping = nodes.remove(number);
            let url = stopping.url.clone();
            if drains {
                load.shared.down(&url);
            }
            tokio::task::block_in_place(|| stopping.stop());
            load.shared.down(&url);
            nodes.insert(number, node(place, number));
            load.shared.up(&nodes[number].url);
        }
    }
    load.shared.wait_for(true, BETWEEN).await;
    load.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_restarted_one_after_another_under_load() {
    let _turn = TURN.lock().await;
    let place = Place::on(&postgres::create_database().await);
    let mut nodes: Vec<Server> = (0..2).map(|number| node(&place, number)).collect();
    let ledger = place.reader().await;
    let mut known = restart_each(&place, &mut nodes, true).await;
    show("rolling restart, out of the balancer first", &known);
    assert_eq!((known.plain, known.cut), (0, 0), "no visitor noticed");
    settle(&nodes[0].url, &mut known, &ledger).await;
    // A connection that is kept alive may be closed as the next request is on its way: the balancer has to send it again.
    let harsh = restart_each(&place, &mut nodes, false).await;
    show("rolling restart, while requests come", &harsh);
    assert_eq!(harsh.plain, 0, "whoever was answered was tracked");
    known.add(harsh);
    settle(&nodes[0].url, &mut known, &ledger).await;
    nodes.into_iter().for_each(Server::stop);
    check_log(&place);
}

async fn ready(server: &Server) -> bool {
    server.anonymous().get("/readyz").await.status == 200
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_goes_on_while_a_newer_version_migrates_beneath_it() {
    let _turn = TURN.lock().await;
    let place = Place::on(&postgres::create_database().await);
    let older = node(&place, 0);
    let load = Load::start(&[&older.url]);
    load.shared.wait_for(true, BETWEEN).await;
    // As every migration does that may be applied beneath nodes of the version before: it only adds.
    for sql in [
        "ALTER TABLE conversion ADD COLUMN of_the_next_version BIGINT",
        "ALTER TABLE click ADD COLUMN of_the_next_version BIGINT",
        "CREATE TABLE of_the_next_version (tenant BIGINT PRIMARY KEY)",
        "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20991231_000099_of_the_next_version', 0)",
    ] {
        execute(place.url(), sql).await;
    }
    load.shared.wait_for(true, BETWEEN).await;
    assert!(ready(&older).await, "a balancer would take it away");
    let mut known = load.stop().await;
    settle(&older.url, &mut known, &place.reader().await).await;
    assert_eq!((known.plain, known.later), (0, 0), "nobody noticed");
    show("a migration beneath a node", &known);
    older.stop();
    // A node that does not know the schema does not start on it.
    let (starts, said) = place.run(&["migrate", "status"]);
    assert!(!starts, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_two_versions_serve_beside_one_another() {
    let Some(previous) = std::env::var_os("EINKLANG_PREVIOUS") else {
        println!("EINKLANG_PREVIOUS names no build of the version before: nothing is upgraded");
        return;
    };
    let _turn = TURN.lock().await;
    let previous = Path::new(&previous);
    let cluster = Cluster::start().await;
    let place = Place::on_with(&cluster.url(), previous);
    let ((first, guard), (second, other_guard)) = (words(0), words(1));
    let start = |node: &str, guard: &str| {
        place.serve_with(previous, &["--node", node, "--audit-guard-file", guard, RATE])
    };
    let (one, other) = (start(&first, &guard), start(&second, &other_guard));
    let load = Load::start(&[&one.url, &other.url]);
    load.shared.wait_for(true, BETWEEN).await;
    let (url, of_other) = (one.url.clone(), other.url.clone());
    load.shared.down(&url);
    tokio::task::block_in_place(|| one.stop());
    // The new version migrates, while the older one serves.
    let newer = node(&place, 0);
    load.shared.up(&newer.url);
    load.shared.wait_for(true, 3 * BETWEEN).await;
    load.shared.down(&of_other);
    tokio::task::block_in_place(|| other.stop());
    let newest = node(&place, 1);
    load.shared.up(&newest.url);
    load.shared.wait_for(true, BETWEEN).await;
    let mut known = load.stop().await;
    settle(&newer.url, &mut known, &place.reader().await).await;
    show("rolling upgrade", &known);
    assert_eq!((known.plain, known.cut), (0, 0), "no visitor noticed");
    newer.stop();
    newest.stop();
    check_log(&place);
}
