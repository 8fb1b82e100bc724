//! `kill -9` during erasures: everybody is there as a whole or gone as a whole, and whoever is gone is in the journal.
//!
//! `EINKLANG_ERASURE_KILLS` sets how often (default 3; 20 are the documented full run).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use einklang::app::config::{Config, Options};
use einklang::app::erasure_journal;
use einklang::domain::ids::ClickId;
use einklang::domain::journal::{Act, click_reference};
use reqwest::Method;
use serde_json::json;
use tokio::sync::Notify;

use crate::ledger::Reader;
use crate::people::{Person, arrive};
use crate::place::{Place, Server};
use crate::world;

const DEFAULT_KILLS: usize = 3;
const PEOPLE: usize = 24;
/// Clients at a time; each waits for its answer before it asks again.
const CLIENTS: usize = 3;

/// Erases people until so many were acknowledged; then the server is killed. Returns how many were.
async fn kill_at(server: Server, people: Vec<Person>, enough: usize) -> usize {
    let (acknowledged, reached) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut shares: Vec<Vec<Person>> = (0..CLIENTS).map(|_| Vec::new()).collect();
    for (place, person) in people.into_iter().enumerate() {
        shares[place % CLIENTS].push(person);
    }
    let erasures: Vec<_> = shares
        .into_iter()
        .map(|share| {
            let (acknowledged, reached) = (Arc::clone(&acknowledged), Arc::clone(&reached));
            let privacy = server.holder(world::PRIVACY);
            tokio::spawn(async move {
                for person in share {
                    let body = json!({"token": person.token});
                    let request = privacy.request(Method::POST, "/v1/erasures").json(&body);
                    if request.send().await.is_ok_and(|answer| answer.status() == 200)
                        && acknowledged.fetch_add(1, Ordering::SeqCst) + 1 == enough
                    {
                        reached.notify_one();
                    }
                }
            })
        })
        .collect();
    reached.notified().await;
    server.kill();
    for erasure in erasures {
        erasure.await.expect("asked");
    }
    acknowledged.load(Ordering::SeqCst)
}

/// How many people there are, every table telling the same; and everybody else is in the journal.
async fn whole(place: &Place, reader: &Reader, all: &BTreeSet<Vec<u8>>) -> usize {
    let clicks = reader.count("click", "1 = 1").await;
    for (table, condition) in [
        ("click_salt", "1 = 1"),
        ("order_key", "1 = 1"),
        ("customer_key", "1 = 1"),
        ("consent_record", "1 = 1"),
        ("conversion", "click_id IS NOT NULL"),
        ("conversion", "payload IS NOT NULL"),
        ("conversion", "order_hash IS NOT NULL"),
    ] {
        assert_eq!(reader.count(table, condition).await, clicks, "{table}");
    }
    let gone = i64::try_from(all.len()).expect("a count") - clicks;
    assert_eq!(reader.count("erasure", "clicks = 1").await, gone);
    assert_eq!(
        reader.leaves("click.erased").await,
        reader.count("erasure", "1 = 1").await
    );
    let options = Options {
        data_dir: Some(place.data()),
        ..Options::default()
    };
    let config = Config::load(options).expect("a configuration");
    let key = erasure_journal::key(&config).expect("read").expect("a key");
    let mut told = BTreeSet::new();
    for line in erasure_journal::read(&config.erasure_journal_dir).expect("readable after a kill") {
        if let Act::Erase { clicks, .. } = line.act {
            told.extend(clicks);
        }
    }
    let left: BTreeSet<Vec<u8>> = reader
        .blobs("SELECT click_id FROM click")
        .await
        .into_iter()
        .collect();
    let tenant = reader.tenant("acme").await;
    for click in all.difference(&left) {
        let click = ClickId(click.as_slice().try_into().expect("an id"));
        assert!(
            told.contains(&click_reference(&key, tenant, &click)),
            "gone without a line"
        );
    }
    usize::try_from(gone).expect("a count")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_leaves_everybody_whole_or_gone() {
    let kills = std::env::var("EINKLANG_ERASURE_KILLS");
    let kills = kills.map_or(DEFAULT_KILLS, |kills| kills.parse().expect("a number"));
    let place = Place::new();
    let mut all = BTreeSet::new();
    let mut number = 0;
    for kill in 0..kills {
        let server = place.serve(&[]);
        let mut people = Vec::new();
        for _ in 0..PEOPLE {
            people.push(arrive(&server, number).await);
            number += 1;
        }
        let reader = place.reader().await;
        all.extend(reader.blobs("SELECT click_id FROM click").await);
        let before = whole(&place, &reader, &all).await;
        let acknowledged = kill_at(server, people, 1 + kill * 5 % (PEOPLE - 2)).await;
        let server = place.serve(&[]);
        let gone = whole(&place, &reader, &all).await;
        assert!(gone >= before + acknowledged, "an acknowledged erasure was lost");
        println!(
            "kill {}: {acknowledged} acknowledged, {gone} of {} gone in all",
            kill + 1,
            all.len()
        );
        server.stop();
    }
}
