//! `kill -9` during `keys rotate`, again and again, while a server runs: afterwards every key is under the old key or under the
//! new one, as many as the rotation says of itself, every key opens, every click's details open, the search finds nothing
//! that does not fit, the same command brings the rotation to its end, and no request failed meanwhile.
//!
//! Every round rotates to another root key, replaces every tenant's key, and is killed after another number of transactions.
//! `EINKLANG_ROTATION_KILLS` sets how many kills there are on each database (default 3; 20 are the documented full run), and
//! `EINKLANG_ROTATION_CLICKS` how many clicks the database holds in the test that takes the time (default 20,000; 1,000,000 in
//! full); `-- --nocapture` shows the figures.

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

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use einklang::app::config::sqlite_url;
use serde_json::Value;
use tokio::task::JoinHandle;

use binary::{Running, einklang, text};
use client::{Caller, query};
use ledger::Reader;
use place::token_in;

const DEFAULT_KILLS: usize = 3;
const DEFAULT_CLICKS: usize = 20_000;
const CLIENTS: usize = 2;
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

fn from_environment(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |number| number.parse().expect("a number"))
}

/// A folder with the usual tenants and some without anything.
struct Stand {
    folder: tempfile::TempDir,
    url: String,
    roots: usize,
}

impl Stand {
    /// With so many root keys beside the first.
    fn new(url: Option<String>, roots: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = url.unwrap_or_else(|| sqlite_url(&folder.path().join("data")));
        let more = (1..=6).map(|number| format!("\n[[tenant]]\nslug = \"tenant-{number}\"\n"));
        let provision = format!("{}{}", world::WORLD, more.collect::<String>());
        std::fs::write(folder.path().join("world.toml"), provision).expect("written");
        let stand = Self { folder, url, roots };
        let apply = ["apply", "world.toml", "--operator-key", world::OPERATOR];
        Stand::succeed(stand.command(&apply, None));
        for root in 1..=roots {
            let file = format!("root-{root}.key");
            Stand::succeed(stand.command(&["keys", "make-root", &file], None));
        }
        stand
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The options that make the root key of a round the primary one.
    fn root_options(&self, primary: usize) -> Vec<String> {
        let name = |root: usize| match root {
            0 => "data/root.key".to_owned(),
            root => format!("root-{root}.key"),
        };
        let others = (0..=self.roots).filter(|root| *root != primary).map(name);
        let mut options = vec!["--root-key-file".to_owned(), name(primary)];
        for other in others {
            options.extend(["--root-other-key-files".to_owned(), other]);
        }
        options
    }

    fn command(&self, args: &[&str], primary: Option<usize>) -> Command {
        let mut command = einklang(self.path(), args);
        command.args(["--database-url", &self.url]);
        if let Some(primary) = primary {
            command.args(self.root_options(primary));
        }
        command
    }

    fn succeed(mut command: Command) -> Value {
        let output = command.output().expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let out = String::from_utf8(output.stdout).expect("text");
        let last = out.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_default()
    }

    fn serve(&self, node: &str) -> Running {
        let guard = format!("data/guard-{node}.json");
        let mut args = vec!["serve", "--json", "--database-url", &self.url];
        args.extend(["--node", node, "--audit-guard-file", &guard]);
        let roots = self.root_options(0);
        args.extend(roots.iter().map(String::as_str));
        Running::start(self.path(), &args)
    }

    /// Rotates everything and kills the process when it has said so many lines; how many it said, and whether it was still
    /// at work.
    fn rotate_and_kill(&self, primary: usize, lines: usize) -> (usize, bool) {
        let mut command = self.command(&["keys", "rotate", "--all", "--json"], Some(primary));
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the binary runs");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let said = out.lines().take(lines).map_while(Result::ok).count();
        child.kill().expect("killed");
        (said, !child.wait().expect("ended").success())
    }

    /// In the middle of it each key is under the old one or the new one, as many as the rotation's row says; returns how
    /// many rotations are half done.
    fn check_between(&self, primary: usize) -> usize {
        let list = Self::succeed(self.command(&["keys", "list", "--json"], Some(primary)));
        let keys = list["keys"].as_array().expect("keys");
        let mut half_done = 0;
        for rotation in list["rotations"].as_array().expect("rotations") {
            let wraps_tenants = rotation["kind"] == "root";
            let about = keys.iter().filter(|key| {
                (key["purpose"] == "tenant") == wraps_tenants
                    && (wraps_tenants || key["tenant"] == rotation["tenant"])
            });
            let by: Vec<&Value> = about.map(|key| &key["wrapped_by"]).collect();
            let under = |name: &str| by.iter().filter(|by| **by == &rotation[name]).count();
            let (old, new) = (under("from"), under("to"));
            assert_eq!(old + new, by.len(), "under a third key: {rotation} {list}");
            if rotation["ended_at_ms"].is_null() {
                half_done += 1;
                let told =
                    [&rotation["done"], &rotation["total"]].map(|count| count.as_u64().expect("a count"));
                assert_eq!([new as u64, (old + new) as u64], told, "{rotation} {list}");
            } else {
                assert_eq!(old, 0, "{rotation} {list}");
            }
        }
        half_done
    }

    fn rotate(&self, primary: usize) -> Value {
        Self::succeed(self.command(&["keys", "rotate", "--all", "--json"], Some(primary)))
    }

    /// Every tenant has one version of its key, under this root key, and everything else is under that version.
    fn check(&self, primary: usize) {
        let list = Self::succeed(self.command(&["keys", "list", "--json"], Some(primary)));
        let root = list["roots"].as_array().expect("roots");
        let root = root.iter().find(|root| root["primary"] == true).expect("one");
        let keys = list["keys"].as_array().expect("keys");
        assert_eq!(root["wraps"], 8, "{list}");
        for tenant in keys.iter().filter(|key| key["purpose"] == "tenant") {
            assert_eq!(tenant["wrapped_by"], root["name"], "{list}");
            let others = keys.iter().filter(|key| key["tenant"] == tenant["tenant"]);
            for other in others.filter(|key| key["purpose"] != "tenant") {
                assert_eq!(other["wrapped_by"], tenant["number"].to_string(), "{list}");
            }
        }
        let rotations = list["rotations"].as_array().expect("rotations");
        assert!(rotations.iter().all(|one| one["ended_at_ms"].is_i64()), "{list}");
    }
}

/// What a killed process had begun in PostgreSQL is done with: committed, or rolled back.
async fn settled(reader: &Reader) {
    let Reader::Postgres(_) = reader else { return };
    let now = reader.texts("SELECT CAST(clock_timestamp() AS TEXT)").await;
    let open = format!(
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
         AND xact_start < CAST('{}' AS TIMESTAMPTZ)",
        now[0]
    );
    while reader.number(&open).await > 0 {
        tokio::task::yield_now().await;
    }
}

/// Clicks and orders until it is told to stop. Whatever is not done as it should be is a failure.
async fn load(caller: Caller, name: String, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) {
    let (visitor, shop) = (
        caller.clone().with("user-agent", BROWSER),
        caller.key(world::SHOP),
    );
    for turn in 0_usize.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let click = visitor.get("/c/Ab3xK9?consent=granted").await;
        let token = click.header("location").and_then(token_in);
        let token = token.unwrap_or_else(|| panic!("no token in {} {}", click.status, click.text()));
        let order = format!("{name}-{turn}");
        let pairs = [
            ("token", token.as_str()),
            ("order_id", &order),
            ("amount", "1.00"),
            ("consent", "granted"),
        ];
        let target = format!("/postback?{}", query(&pairs));
        shop.get(&target).await.is(200, "recorded", "accepted");
        done.fetch_add(2, Ordering::SeqCst);
    }
}

struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(url: &str) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client");
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let clients = (0..CLIENTS).map(|client| {
            let caller = Caller::new(url, &http);
            tokio::spawn(load(
                caller,
                format!("c{client}"),
                Arc::clone(&stop),
                Arc::clone(&done),
            ))
        });
        Self {
            clients: clients.collect(),
            stop,
            done,
        }
    }

    /// Ends it; how many requests were answered, each as it should be.
    async fn end(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.await.expect("no request failed");
        }
        self.done.load(Ordering::SeqCst)
    }
}

/// The details of every click, order and later signal, or of so many, open for the privacy officer; how many did.
async fn details(url: &str, most: usize) -> usize {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let privacy = Caller::new(url, &http).key(world::PRIVACY);
    let (mut seen, mut cursor) = (0, String::new());
    loop {
        let page = privacy
            .get(&format!("/v1/consent-records?limit=100{cursor}"))
            .await
            .json();
        for item in page["items"].as_array().expect("items") {
            let id = item["id"].as_str().expect("an id");
            let path = format!("/v1/consent-records/{id}?reason=verification");
            let record = privacy.get(&path).await.json();
            assert!(record["evidence"].is_object(), "{record}");
            seen += 1;
        }
        match page["next_cursor"].as_str() {
            Some(next) if seen < most => cursor = format!("&cursor={next}"),
            _ => return seen,
        }
    }
}

async fn kill_again_and_again(stand: Stand) {
    let kills = stand.roots;
    let mut server = stand.serve("0");
    let url = text(&server.welcome(), "url");
    let traffic = Load::start(&url);
    let reader = Reader::open(&stand.url).await;
    let mut hits = 0;
    for kill in 1..=kills {
        // Early, late and in between: the whole of it takes 18 transactions.
        let (said, was_at_work) = stand.rotate_and_kill(kill, 1 + kill * 7 % 17);
        hits += usize::from(was_at_work);
        settled(&reader).await;
        let half_done = stand.check_between(kill);
        println!("kill {kill}: after {said} transactions that were told of, {half_done} rotations half done");
        let checked = Stand::succeed(stand.command(&["audit", "check", "--json"], Some(kill)));
        assert_eq!(checked["outcome"], "clean", "{checked}");
        // A server that starts in the middle of it opens everything.
        let mut second = stand.serve("1");
        assert!(details(&text(&second.welcome(), "url"), 20).await > 0);
        assert!(second.stop().success());
        stand.rotate(kill);
        stand.check(kill);
    }
    let answered = traffic.end().await;
    let opened = details(&url, usize::MAX).await;
    assert!(server.stop().success());
    // With the last root key alone, and nothing in memory from before.
    let last = format!("root-{kills}.key");
    let guard = "data/guard-0.json";
    let alone = [
        &["serve", "--json", "--database-url", &stand.url][..],
        &["--root-key-file", &last, "--audit-guard-file", guard],
    ]
    .concat();
    let mut server = Running::start(stand.path(), &alone);
    let url = text(&server.welcome(), "url");
    assert_eq!(details(&url, usize::MAX).await, opened);
    assert_eq!(opened, answered, "a record for each click and each order");
    assert!(server.stop().success());
    println!("{kills} kills, {hits} of them at work, {answered} requests answered, {opened} records opened");
    assert!(hits > 0, "no kill came while something was at work");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_rotation_loses_nothing_on_sqlite() {
    let kills = from_environment("EINKLANG_ROTATION_KILLS", DEFAULT_KILLS);
    kill_again_and_again(Stand::new(None, kills)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_rotation_loses_nothing_on_postgresql() {
    let kills = from_environment("EINKLANG_ROTATION_KILLS", DEFAULT_KILLS);
    let url = postgres::create_database().await;
    kill_again_and_again(Stand::new(Some(url), kills)).await;
}

/// Clicks that are rows and nothing more.
fn fill(kind: database::Kind, clicks: usize) -> String {
    let numbers = match kind {
        database::Kind::Sqlite => format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {clicks}) \
             SELECT 1, 459653529600 + i, randomblob(16), 1, 1, 1, 1, 1, 682, 1795521600000, 0, 1, FALSE, randomblob(300) FROM n"
        ),
        database::Kind::Postgres => format!(
            "SELECT 1, 459653529600 + i, gen_random_uuid(), 1, 1, 1, 1, 1, 682, 1795521600000, 0, 1, FALSE, \
             decode(repeat(md5(i::text), 9), 'hex') FROM generate_series(1, {clicks}) AS n(i)"
        ),
    };
    format!("INSERT INTO click {numbers}")
}

/// How long a rotation of everything takes where there are many clicks, and that traffic runs on beside it.
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is measured")]
async fn with_many_clicks(kind: database::Kind, url: Option<String>) {
    let clicks = from_environment("EINKLANG_ROTATION_CLICKS", DEFAULT_CLICKS);
    let stand = Stand::new(url, 1);
    ledger::execute(&stand.url, &fill(kind, clicks)).await;
    let mut server = stand.serve("0");
    let traffic = Load::start(&text(&server.welcome(), "url"));
    let began = Instant::now();
    let rotated = stand.rotate(1);
    let seconds = began.elapsed().as_secs_f64();
    stand.check(1);
    let answered = traffic.end().await;
    assert!(server.stop().success());
    let rotations = rotated["rotated"].as_array().expect("rotations");
    let in_all: i64 = rotations
        .iter()
        .filter_map(|one| Some(one["ended_at_ms"].as_i64()? - one["started_at_ms"].as_i64()?))
        .sum();
    let stored = Reader::open(&stand.url).await.count("click", "1 = 1").await;
    println!(
        "{kind:?}: {stored} clicks; keys rotate --all took {seconds:.2} s as a process, {in_all} ms in its rotations; \
         {answered} requests answered beside it, none failed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_clicks_does_not_matter_on_sqlite() {
    with_many_clicks(database::Kind::Sqlite, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_clicks_does_not_matter_on_postgresql() {
    let url = postgres::create_database().await;
    with_many_clicks(database::Kind::Postgres, Some(url)).await;
}

/// Runs a command that has to fail; its sentence.
fn refused(mut command: Command) -> String {
    let output = command.output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).expect("text");
    let sentence = said.lines().find_map(|line| line.strip_prefix("einklang: "));
    sentence.unwrap_or_else(|| panic!("{said}")).to_owned()
}

#[test]
fn what_cannot_be_done_is_one_sentence() {
    let stand = Stand::new(None, 1);
    let said = refused(stand.command(&["keys", "rotate"], None));
    assert_eq!(
        said,
        "Say what to rotate: --root, --tenant SLUG, --token or --all."
    );
    let said = refused(stand.command(&["keys", "rotate", "--tenant", "nobody"], None));
    assert_eq!(said, "There is no tenant nobody.");
    let said = refused(stand.command(&["keys", "make-root", "root-1.key"], None));
    assert!(
        said.starts_with("The root key file root-1.key cannot be read or made: File exists"),
        "{said}"
    );
    // A new root key alone does not open what the old one wrapped.
    let said = refused(stand.command(&["keys", "list", "--root-key-file", "root-1.key"], None));
    assert!(
        said.starts_with("The root key file root-1.key holds key ")
            && said.ends_with("after a rotation, with the old one among root_other_key_files."),
        "{said}"
    );
    let key = std::fs::read_to_string(stand.path().join("data/root.key")).expect("a key");
    let from_environment = |args: &[&str]| {
        let mut command = stand.command(args, None);
        command.env("EINKLANG_ROOT_KEY", key.trim());
        command
    };
    let listed = Stand::succeed(from_environment(&["keys", "list", "--json"]));
    assert_eq!(listed["roots"][0]["present"], true);
    let production = ["serve", "--production", "--audit-name", "tracker.example"];
    assert_eq!(
        refused(from_environment(&production)),
        "In production the root key has to come from a file or a command, not from EINKLANG_ROOT_KEY."
    );
}

#[test]
fn doctor_says_which_tenant_is_locked_and_which_rotation_is_due() {
    let stand = Stand::new(None, 1);
    let own = ["--tenant-root-keys", "acme=root-1.key"];
    let rotate = [&["keys", "rotate", "--tenant", "acme"][..], &own].concat();
    Stand::succeed(stand.command(&rotate, None));
    let doctor = |args: &[&str]| {
        let output = stand.command(&[&["doctor"][..], args].concat(), None).output();
        String::from_utf8(output.expect("the binary runs").stdout).expect("text")
    };
    let well = doctor(&own);
    assert!(well.contains("Every tenant's keys open."), "{well}");
    assert!(well.contains("No rotation of keys is half done."), "{well}");
    let locked = doctor(&[]);
    assert!(
        locked.contains("so that their requests are refused: acme. Name their files"),
        "{locked}"
    );
    let due = doctor(&[
        "--root-key-file",
        "root-1.key",
        "--root-other-key-files",
        "data/root.key",
    ]);
    assert!(due.contains("The database is still under root key"), "{due}");
}
