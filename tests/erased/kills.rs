//! `kill -9` during erasures: everybody is there as a whole or gone as a whole, and whoever is gone is in the journal; on both
//! databases, before anything starts again and after it did.
//!
//! The kills come after another number of answers each time and a moment later, while other erasures are under way.
//! `EINKLANG_ERASURE_KILLS` sets how often (default 3; 20 are the documented full run); `-- --nocapture` shows the figures.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use einklang::app::config::{Config, Options};
use einklang::app::erasure_journal;
use einklang::domain::ids::ClickId;
use einklang::domain::journal::{Act, click_reference};
use reqwest::Method;
use serde_json::json;
use tokio::sync::Notify;

use crate::ledger::Reader;
use crate::people::{Person, arrive};
use crate::place::Server;
use crate::{Run, postgres, world};

const DEFAULT_KILLS: usize = 3;
const PEOPLE: usize = 24;
/// Clients at a time; each waits for its answer before it asks again.
const CLIENTS: usize = 3;

/// What there was to see of a kill.
struct Kill {
    /// Erasures that were answered before it.
    acknowledged: usize,
    /// Those that were under way.
    at_work: usize,
}

/// Erases people until so many were acknowledged, and a moment longer; then the server is killed.
async fn kill_at(server: Server, people: Vec<Person>, enough: usize, moment: Duration) -> Kill {
    let (acknowledged, reached) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let at_work = Arc::new(AtomicUsize::new(0));
    let mut shares: Vec<Vec<Person>> = (0..CLIENTS).map(|_| Vec::new()).collect();
    for (place, person) in people.into_iter().enumerate() {
        shares[place % CLIENTS].push(person);
    }
    let erasures: Vec<_> = shares
        .into_iter()
        .map(|share| {
            let (acknowledged, reached) = (Arc::clone(&acknowledged), Arc::clone(&reached));
            let at_work = Arc::clone(&at_work);
            let privacy = server.holder(world::PRIVACY);
            tokio::spawn(async move {
                for person in share {
                    let body = json!({"token": person.token});
                    let request = privacy.request(Method::POST, "/v1/erasures").json(&body);
                    match request.send().await {
                        Ok(answer) => {
                            assert_eq!(answer.status(), 200);
                            if acknowledged.fetch_add(1, Ordering::SeqCst) + 1 == enough {
                                reached.notify_one();
                            }
                        }
                        // It was asked, and the connection broke; nobody was there for those behind it.
                        Err(error) => {
                            at_work.fetch_add(usize::from(!error.is_connect()), Ordering::SeqCst);
                            return;
                        }
                    }
                }
            })
        })
        .collect();
    reached.notified().await;
    std::thread::sleep(moment);
    server.kill();
    for erasure in erasures {
        erasure.await.expect("asked");
    }
    Kill {
        acknowledged: acknowledged.load(Ordering::SeqCst),
        at_work: at_work.load(Ordering::SeqCst),
    }
}

/// What a killed server had sent to PostgreSQL is done with: committed, or rolled back.
async fn settled(reader: &Reader) {
    let Reader::Postgres(_) = reader else { return };
    let others = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
                  AND application_name = 'einklang'";
    while reader.number(others).await > 0 {
        tokio::task::yield_now().await;
    }
}

/// How many people there are, every table telling the same; and everybody else is in the journal.
async fn whole(run: &Run, reader: &Reader, all: &BTreeSet<Vec<u8>>) -> usize {
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
        data_dir: Some(run.place.data()),
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
    let left: BTreeSet<Vec<u8>> = reader.blobs(clicks_of(reader)).await.into_iter().collect();
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

fn clicks_of(reader: &Reader) -> &'static str {
    match reader {
        Reader::Sqlite(_) => "SELECT click_id FROM click",
        Reader::Postgres(_) => "SELECT uuid_send(click_id) FROM click",
    }
}

async fn kill_again_and_again(run: Run) {
    let kills = std::env::var("EINKLANG_ERASURE_KILLS");
    let kills = kills.map_or(DEFAULT_KILLS, |kills| kills.parse().expect("a number"));
    let mut all = BTreeSet::new();
    let (mut number, mut hits) = (0, 0);
    for kill in 0..kills {
        let server = run.place.serve(&["--database-url", &run.url]);
        let mut people = Vec::new();
        for _ in 0..PEOPLE {
            people.push(arrive(&server, number).await);
            number += 1;
        }
        let reader = Reader::open(&run.url).await;
        all.extend(reader.blobs(clicks_of(&reader)).await);
        let before = whole(&run, &reader, &all).await;
        let moment = Duration::from_micros(500 * (kill as u64 * 7 % 20));
        let seen = kill_at(server, people, 1 + kill * 5 % (PEOPLE - 8), moment).await;
        settled(&reader).await;
        let gone = whole(&run, &reader, &all).await;
        assert!(
            gone >= before + seen.acknowledged,
            "an acknowledged erasure was lost"
        );
        let server = run.place.serve(&["--database-url", &run.url]);
        assert_eq!(whole(&run, &reader, &all).await, gone, "what was done stays done");
        hits += usize::from(seen.at_work > 0);
        println!(
            "kill {}: {} acknowledged, {} under way, {} of them done; {gone} of {} gone in all",
            kill + 1,
            seen.acknowledged,
            seen.at_work,
            gone - before - seen.acknowledged,
            all.len()
        );
        server.stop();
    }
    println!("{kills} kills, {hits} of them with erasures under way");
    assert!(hits > 0, "no kill came while somebody was being erased");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_leaves_everybody_whole_or_gone() {
    kill_again_and_again(Run::new(None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_leaves_everybody_whole_or_gone_on_postgresql() {
    let url = postgres::create_database().await;
    kill_again_and_again(Run::new(Some(url))).await;
}
