//! Two servers on one database, killed with `kill -9` again and again: their logs never have a gap, an entry twice, or two
//! roots for one size.
//!
//! Both place and sign as fast as they can while clients click and order on both. The moment of each kill is a number of
//! acknowledged requests that differs from round to round. `EINKLANG_SEQUENCER_KILLS` sets the number of kills on each
//! database (default 3; 25 on each are the documented full run); `-- --nocapture` shows the figures.

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
#[path = "binary/place.rs"]
#[expect(dead_code, reason = "the search for canaries uses the rest")]
mod place;
#[path = "it/harness/postgres.rs"]
mod postgres;
#[path = "it/harness/world.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use einklang::app::config::sqlite_url;
use einklang::audit::growth::Edge;
use einklang::audit::merkle::{Hash, leaf_hash};
use einklang::audit::note::{Checkpoint, open_note};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use binary::{Running, einklang, text};
use client::{Caller, query};
use ledger::Reader;
use place::token_in;

const DEFAULT_KILLS: usize = 3;
/// Clients of each server; each waits for its answer before it asks again.
const CLIENTS: usize = 4;
/// Acknowledgements before the first kill, and how many more or fewer it takes later.
const FIRST_KILL: usize = 120;
const SPREAD: [usize; 5] = [0, 53, 17, 91, 34];

/// One of the two servers.
struct Node {
    running: Running,
    url: String,
    clients: Vec<JoinHandle<()>>,
}

/// Requests that were answered, on both servers.
#[derive(Default)]
struct Answered {
    count: AtomicUsize,
    wanted: AtomicUsize,
    reached: Notify,
}

impl Answered {
    fn one_more(&self) {
        let count = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        if count == self.wanted.load(Ordering::SeqCst) {
            self.reached.notify_one();
        }
    }

    async fn wait_for(&self, more: usize) {
        let wanted = self.count.load(Ordering::SeqCst) + more;
        self.wanted.store(wanted, Ordering::SeqCst);
        self.reached.notified().await;
    }
}

impl Node {
    fn start(folder: &Path, url: &str, number: usize, answered: &Arc<Answered>) -> Self {
        let (node, guard) = (number.to_string(), format!("data/guard-{number}.json"));
        let mut running = Running::start(
            folder,
            &[
                "serve",
                "--json",
                "--database-url",
                url,
                "--node",
                &node,
                "--audit-guard-file",
                &guard,
            ],
        );
        let base = text(&running.welcome(), "url");
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client");
        let clients = (0..CLIENTS)
            .map(|client| {
                let caller = Caller::new(&base, &http);
                let answered = Arc::clone(answered);
                tokio::spawn(load(caller, format!("{number}-{client}"), answered))
            })
            .collect();
        Self {
            running,
            url: base,
            clients,
        }
    }

    async fn kill(self) {
        drop(self.running);
        for client in self.clients {
            client.await.expect("a client");
        }
    }
}

/// Clicks and orders, the latter on whatever token came last, until the server is gone.
async fn load(caller: Caller, name: String, answered: Arc<Answered>) {
    let browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let (visitor, shop) = (
        caller.clone().with("user-agent", browser),
        caller.key(world::SHOP),
    );
    for turn in 0_usize.. {
        let click = visitor
            .request(reqwest::Method::GET, "/c/Ab3xK9?consent=granted")
            .send()
            .await;
        let Ok(answer) = click else { return };
        answered.one_more();
        let location = answer
            .headers()
            .get("location")
            .and_then(|value| value.to_str().ok());
        let Some(token) = location.and_then(token_in) else {
            continue;
        };
        let order = format!("{name}-{turn}-{token}");
        let pairs = [
            ("token", token.as_str()),
            ("order_id", &order),
            ("amount", "1.00"),
            ("consent", "granted"),
        ];
        let target = format!("/postback?{}", query(&pairs));
        if shop.request(reqwest::Method::GET, &target).send().await.is_err() {
            return;
        }
        answered.one_more();
    }
}

/// What is stored of every log: no gap, and every kept or guarded checkpoint is the root of the leaves before it.
async fn check(ledger: &Reader, folder: &Path, public: &[u8; 32]) -> usize {
    assert_eq!(
        ledger.count("audit_log", "epoch > 0").await,
        0,
        "no log was rewound"
    );
    let mut checked = 0;
    for tenant in ledger
        .texts("SELECT CAST(tenant AS TEXT) FROM audit_log ORDER BY tenant")
        .await
    {
        let of_log = format!("tenant = {tenant} AND epoch = 0");
        let last = format!("SELECT COALESCE(MAX(idx) + 1, 0) FROM audit_leaf WHERE {of_log}");
        let head = ledger
            .number(&format!("SELECT size FROM audit_log WHERE {of_log}"))
            .await;
        let bodies = ledger
            .blobs(&format!(
                "SELECT body FROM audit_leaf WHERE {of_log} AND idx < {head} ORDER BY idx"
            ))
            .await;
        assert!(
            ledger.number(&last).await >= head,
            "the head is not ahead of the leaves"
        );
        assert_eq!(
            i64::try_from(bodies.len()).expect("few"),
            head,
            "log {tenant} has no gap"
        );
        let roots = roots(&bodies);
        let origin = format!("SELECT COALESCE(origin, '') FROM audit_log WHERE {of_log}");
        let origin = ledger.texts(&origin).await.concat();
        let notes = format!("SELECT note FROM audit_checkpoint WHERE {of_log} AND size <= {head}");
        for note in ledger.texts(&notes).await {
            let text = open_note(&note, &origin, public).expect("signed");
            let Checkpoint { size, root, .. } = Checkpoint::parse(&text).expect("a checkpoint");
            assert_eq!(roots.get(&size), Some(&root), "log {tenant} at {size}");
            checked += 1;
        }
        for (size, root) in guarded(folder, origin.trim_end_matches("/0")) {
            if let Some(known) = roots.get(&size) {
                assert_eq!(known, &root, "log {tenant} at {size}, as a node remembers it");
            }
        }
    }
    checked
}

/// The root at every size.
fn roots(bodies: &[Vec<u8>]) -> BTreeMap<u64, Hash> {
    let mut edge = Edge { levels: Vec::new() };
    let mut roots = BTreeMap::new();
    for body in bodies {
        edge.append(&[leaf_hash(body)]);
        roots.insert(edge.size(), edge.root());
    }
    roots
}

/// What both nodes remember of a log.
fn guarded(folder: &Path, log: &str) -> Vec<(u64, Hash)> {
    let files = (0..2).filter_map(|node| std::fs::read(folder.join(format!("data/guard-{node}.json"))).ok());
    files
        .filter_map(|file| {
            let file: serde_json::Value = serde_json::from_slice(&file).expect("whole at any time");
            let line = file.get(log)?;
            let mut root = [0; 32];
            hex::decode_to_slice(line["root"].as_str()?, &mut root).ok()?;
            Some((line["size"].as_u64()?, root))
        })
        .collect()
}

/// The public key, from the file that the first server made.
fn public(folder: &Path) -> [u8; 32] {
    let text = std::fs::read_to_string(folder.join("data/audit.key")).expect("a key file");
    let digits = text
        .trim()
        .strip_prefix("einklang-audit-key-1:")
        .expect("its head");
    let mut seed = [0; 32];
    hex::decode_to_slice(digits, &mut seed).expect("hexadecimal");
    ed25519_dalek::SigningKey::from_bytes(&seed)
        .verifying_key()
        .to_bytes()
}

async fn kill_again_and_again(folder: &Path, url: &str) {
    std::fs::write(folder.join("world.toml"), world::WORLD).expect("written");
    let provision = [
        "apply",
        "world.toml",
        "--operator-key",
        world::OPERATOR,
        "--database-url",
        url,
    ];
    let output = einklang(folder, provision).output().expect("the binary runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let kills = std::env::var("EINKLANG_SEQUENCER_KILLS");
    let kills = kills.map_or(DEFAULT_KILLS, |kills| kills.parse().expect("a number"));
    let answered = Arc::new(Answered::default());
    let first = Node::start(folder, url, 0, &answered);
    let mut nodes = [Some(first), Some(Node::start(folder, url, 1, &answered))];
    let ledger = Reader::open(url).await;
    let key = public(folder);
    let mut checked = 0;
    for kill in 0..kills {
        answered.wait_for(FIRST_KILL + SPREAD[kill % SPREAD.len()]).await;
        let victim = kill % 2;
        nodes[victim].take().expect("running").kill().await;
        checked = check(&ledger, folder, &key).await;
        nodes[victim] = Some(Node::start(folder, url, victim, &answered));
    }
    answered.wait_for(FIRST_KILL).await;
    for node in nodes.into_iter().flatten() {
        assert!(!node.url.is_empty());
        node.kill().await;
    }
    check(&ledger, folder, &key).await;
    println!(
        "{kills} kills, {} requests answered, {} entries, {checked} checkpoints at the last kill",
        answered.count.load(Ordering::SeqCst),
        ledger.count("audit_entry", "1 = 1").await,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_one_file_never_fork_a_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = sqlite_url(&folder.path().join("data"));
    kill_again_and_again(folder.path(), &url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_one_postgresql_never_fork_a_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = postgres::create_database().await;
    kill_again_and_again(folder.path(), &url).await;
}
