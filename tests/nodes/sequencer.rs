//! The node that places and signs is killed: another one goes on at once.

use std::time::Duration;

use crate::ledger::Reader;
use crate::load::{Load, PATIENCE, settle};
use crate::place::{Place, Server};
use crate::{TURN, check_log, middle_and_worst, node, now, postgres};

const KILLS: usize = 4;
const BETWEEN: usize = 100;
/// The next checkpoint comes within this.
const DEADLINE: Duration = Duration::from_secs(5);

/// The size that the tenant's last checkpoint was made at.
async fn signed(ledger: &Reader) -> i64 {
    let text = "SELECT COALESCE(MAX(size), 0) FROM audit_checkpoint WHERE tenant = (SELECT tenant FROM tenant WHERE slug = 'acme')";
    ledger.number(text).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_signs_on_when_one_is_killed() {
    let _turn = TURN.lock().await;
    let place = Place::on(&postgres::create_database().await);
    let mut nodes: Vec<Server> = (0..2).map(|number| node(&place, number)).collect();
    let load = Load::start(&[&nodes[0].url, &nodes[1].url]);
    let ledger = place.reader().await;
    let mut spans = Vec::new();
    // Both place and sign in turn, each whenever it finds the lock free: each is killed as often as the other.
    for kill in 0..KILLS {
        load.shared.wait_for(true, BETWEEN + 37 * kill).await;
        let victim = kill % 2;
        let killed = nodes.remove(victim);
        load.shared.down(&killed.url);
        let before = signed(&ledger).await;
        let began = now();
        killed.kill();
        while signed(&ledger).await <= before {
            assert!(began.elapsed() < PATIENCE, "nobody signs any more");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        spans.push(began.elapsed());
        nodes.insert(victim, node(&place, victim));
        load.shared.up(&nodes[victim].url);
    }
    let mut known = load.stop().await;
    settle(&nodes[0].url, &mut known, &ledger).await;
    nodes.into_iter().for_each(Server::stop);
    check_log(&place);
    assert_eq!(
        ledger.count("audit_log", "epoch > 0").await,
        0,
        "no log was rewound"
    );
    let worst = *spans.iter().max().expect("some");
    println!("the next checkpoint after a kill -9: {}", middle_and_worst(spans));
    assert!(worst < DEADLINE, "{worst:?}");
}
