//! Somebody who was erased is nowhere: not in the database's files, free pages and write-ahead log, not in a log file, not
//! in the journal, and not by any key that is left.
//!
//! 200 people with texts of their own in every place; 100 are erased, through every door in turn. Then every byte is
//! searched for their texts (plain, hexadecimal, base64, MD5, SHA-1, SHA-256), their salts, their ciphertexts, and the
//! hashes that the remaining keys make of their references; and every ciphertext of theirs is tried with every key that
//! can still be derived. What is planted, and what belongs to the others, is found, so the search works. PostgreSQL is
//! first brought to its horizon: the server writes the salts anew, and the test does what autovacuum, checkpoints and the
//! recycling of log segments do in time. `-- --nocapture` shows the figures.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "the figures of a run are shown with --nocapture"
)]

#[path = "erased/backups.rs"]
mod backups;
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
#[path = "erased/digests.rs"]
mod digests;
#[path = "erased/holdings.rs"]
mod holdings;
#[path = "erased/kills.rs"]
mod kills;
#[path = "it/harness/ledger.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod ledger;
#[path = "canaries/needles.rs"]
#[expect(dead_code, reason = "the search for canaries uses the rest")]
mod needles;
#[path = "erased/people.rs"]
mod people;
#[path = "binary/place.rs"]
#[expect(dead_code, reason = "the search for canaries uses the rest")]
mod place;
#[path = "it/harness/postgres.rs"]
mod postgres;
#[path = "erased/scan.rs"]
mod scan;
#[path = "erased/small.rs"]
mod small;
#[path = "it/harness/world.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use einklang::app::config::sqlite_url;
use einklang::domain::keyring::KeyRing;
use einklang::domain::keys::Secret;
use einklang::domain::routing::TenantRoute;
use einklang::store::Store;
use einklang::store::roots::Roots;
use serde_json::Value;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use binary::einklang;
use clock::START_S;
use holdings::{Holdings, opened};
use ledger::{Reader, execute};
use needles::files;
use people::{Person, arrive, erase, text};
use place::{Place, Server};
use scan::Scanner;

const PEOPLE: usize = 200;
/// Far beyond the time in which the server writes the salts anew after its start.
const PATIENCE: Duration = Duration::from_mins(1);

/// One run on one database.
struct Run {
    place: Place,
    url: String,
}

impl Run {
    /// In the usual world.
    fn new(url: Option<String>) -> Self {
        let place = Place::new();
        let url = url.unwrap_or_else(|| sqlite_url(&place.data()));
        let run = Self { place, url };
        if !run.url.starts_with("sqlite:") {
            let mut apply = einklang(&run.folder(), ["apply", "world.toml", "--operator-key"]);
            apply.args([world::OPERATOR, "--database-url", &run.url]);
            assert!(apply.output().expect("it runs").status.success());
        }
        run
    }

    fn folder(&self) -> PathBuf {
        self.place.data().parent().expect("a folder").to_owned()
    }

    fn serve(&self) -> Server {
        // Only what was due at the start is written anew: the horizon is over at once.
        self.place.serve(&[
            "--database-url",
            &self.url,
            "--remains-hours",
            "0",
            "--log",
            "trace",
        ])
    }

    /// Every byte that anything was written to.
    async fn contents(&self, reader: &Reader) -> BTreeMap<String, Vec<u8>> {
        let mut contents = files(&self.folder());
        if let Reader::Postgres(_) = reader {
            let folder = reader.texts("SHOW data_directory").await.pop().expect("a folder");
            // Its log file lies beside it.
            let folder = Path::new(&folder).parent().expect("a folder");
            for (name, bytes) in files(folder) {
                contents.insert(format!("postgresql/{name}"), bytes);
            }
        }
        contents
    }

    /// What happens in time of its own: dead rows go, the log's segments go.
    async fn reach_horizon(&self, reader: &Reader) {
        if self.url.starts_with("sqlite:") {
            return;
        }
        self.sweep(reader).await;
        // What a server's own role may not do.
        let administrator = database::as_superuser(&self.url);
        execute(&administrator, "ALTER SYSTEM SET wal_recycle = off").await;
        execute(&administrator, "SELECT pg_reload_conf()").await;
        for statement in [
            "VACUUM FULL",
            "CHECKPOINT",
            "SELECT pg_switch_wal()",
            "CHECKPOINT",
            "CHECKPOINT",
        ] {
            execute(&administrator, statement).await;
        }
    }

    /// A server writes anew what is owed.
    async fn sweep(&self, reader: &Reader) {
        let server = self.serve();
        let swept = async {
            while reader.count("remains", "1 = 1").await > 0 {
                server.visitor().get("/livez").await;
            }
        };
        tokio::time::timeout(PATIENCE, swept)
            .await
            .expect("nobody writes the salts anew");
        server.stop();
    }
}

/// acme with every key that is there.
async fn tenant(data: &Path, url: &str) -> Arc<TenantRoute> {
    let text = std::fs::read_to_string(data.join("root.key")).expect("a key");
    let digits = text.trim_end().split(':').next_back().expect("digits");
    let root = Roots::from(Secret::from_slice(&hex::decode(digits).expect("hexadecimal")).expect("a key"));
    let store = Store::connect(url).await.expect("connected");
    let routing = store
        .load_routing(&root, START_S * 1_000, None)
        .await
        .expect("read");
    store.close().await;
    let mut tenants = routing.tenants.values();
    let acme = tenants.find(|route| route.tenant.slug == "acme").expect("acme");
    Arc::clone(acme)
}

/// What is looked for: texts and keyed hashes of people, salts, clicks and ciphertexts of those who went and of the others.
fn watch(keys: &KeyRing, shop: i64, people: &[Person], gone: &Holdings, left: &Holdings) -> Scanner {
    let mut scanner = Scanner::default();
    for (at, person) in people.iter().enumerate() {
        let is_gone = at < PEOPLE / 2;
        for text in person.texts() {
            scanner.text(
                if is_gone {
                    "texts of the erased"
                } else {
                    "texts of the others"
                },
                &text,
            );
        }
        let what = if is_gone {
            "hashes of the erased"
        } else {
            "hashes of the others"
        };
        scanner.bytes(what, &keys.order_hash(&text(person.number, "order_id")));
        scanner.bytes(
            what,
            &keys.customer_hash(shop, &text(person.number, "customer_ref")),
        );
    }
    for (holdings, [salts, clicks, sealed]) in [
        (
            gone,
            [
                "salts of the erased",
                "clicks of the erased",
                "ciphertexts of the erased",
            ],
        ),
        (
            left,
            [
                "salts of the others",
                "clicks of the others",
                "ciphertexts of the others",
            ],
        ),
    ] {
        holdings.salts.iter().for_each(|salt| scanner.bytes(salts, salt));
        for click in &holdings.clicks {
            scanner.bytes(clicks, click);
            let written = uuid::Uuid::from_slice(click).expect("an id").to_string();
            scanner.add(clicks, written.as_bytes());
        }
        // A whole one may be stored in pieces; some of its bytes in a row are as telling.
        for one in &holdings.sealings {
            scanner.bytes(sealed, &one.sealed[12..44.min(one.sealed.len())]);
        }
    }
    scanner.text("planted", "KnrPlantedOnPurposeVgl");
    scanner.text("planted in the database", backups::PLANTED);
    scanner
}

/// The certificate of the first act, verified by the command and by openssl as the page says; and not with a byte changed.
async fn certify(server: &Server, folder: &Path) {
    let privacy = server.holder(world::PRIVACY);
    let first = privacy.get("/v1/erasures?limit=1").await.json();
    let id = first["items"][0]["id"].as_str().expect("an act").to_owned();
    let signed = async {
        loop {
            let answer = privacy.get(&format!("/v1/erasures/{id}/certificate")).await;
            if answer.status == 200 {
                return answer;
            }
            answer.is(404, "refused", "not_yet_sequenced");
        }
    };
    let answer = tokio::time::timeout(PATIENCE, signed)
        .await
        .expect("never signed");
    let keys = privacy.get("/v1/audit/keys").await.json();
    let certificate = answer.json();
    let signature = certificate["signature"].as_str().expect("a signature");
    let written: [(&str, Vec<u8>); 5] = [
        ("certificate.json", answer.body.clone()),
        (
            "changed.json",
            answer
                .text()
                .replace("\\\"count\\\":1", "\\\"count\\\":2")
                .into_bytes(),
        ),
        ("log.pem", keys["items"][0]["pem"].as_str().expect("a key").into()),
        (
            "document.json",
            certificate["document"].as_str().expect("a text").into(),
        ),
        ("signature", STANDARD.decode(signature).expect("base64")),
    ];
    for (name, bytes) in written {
        std::fs::write(folder.join(name), bytes).expect("written");
    }
    for (name, verified) in [("certificate.json", true), ("changed.json", false)] {
        let output = einklang(folder, ["audit", "verify-certificate", name, "--key", "log.pem"]).output();
        let output = output.expect("it runs");
        assert_eq!(output.status.success(), verified, "{name}");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.contains(&format!("{id}: verified")), verified, "{said}");
    }
    let words = "pkeyutl -verify -pubin -inkey log.pem -rawin -in document.json -sigfile signature";
    let openssl = std::process::Command::new("openssl")
        .args(words.split(' '))
        .current_dir(folder)
        .output();
    let openssl = openssl.expect("openssl runs");
    assert!(
        openssl.status.success(),
        "{}",
        String::from_utf8_lossy(&openssl.stderr)
    );
}

/// What is reported, but for the refusals: those by which people were erased are among them.
async fn figures(server: &Server) -> Value {
    let report = server.holder(world::MANAGER).get("/v1/reports/performance").await;
    let mut totals = report.json()["totals"].take();
    totals.as_object_mut().expect("totals").remove("refused");
    totals
}

async fn erase_half_and_search(url: Option<String>) {
    let run = Run::new(url);
    let server = run.serve();
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(arrive(&server, number).await);
    }
    let reader = Reader::open(&run.url).await;
    let before = Holdings::of(&reader).await;
    backups::plant(&run.url).await;
    // Everybody is still in this one, as the search has to show; then it goes, as old backups do.
    let earlier = backups::opened(&run, &backups::take(&run));
    backups::remove_all(&run);
    let totals = figures(&server).await;
    for person in &people[..PEOPLE / 2] {
        erase(&server, person, &run.folder(), &run.url).await;
    }
    assert_eq!(figures(&server).await, totals, "to the cent");
    for person in &people[..PEOPLE / 2] {
        let pairs = [
            ("token", person.token.as_str()),
            ("order_id", "late"),
            ("consent", "granted"),
        ];
        let answer = server.holder(world::SHOP).postback(&pairs).await;
        answer.is(410, "refused", "consent_withdrawn");
    }
    certify(&server, &run.folder()).await;
    let fresh = backups::take(&run);
    server.stop();
    let left = Holdings::of(&reader).await;
    let gone = before.without(&left);
    assert_eq!((gone.salts.len(), left.salts.len()), (PEOPLE / 2, PEOPLE / 2));
    assert_eq!(
        gone.sealings.len(),
        3 * PEOPLE / 2,
        "click, conversion and confirmation"
    );
    let acme = tenant(&run.place.data(), &run.url).await;
    let shop = reader.number("SELECT shop FROM shop WHERE slug = 'main' AND tenant = (SELECT tenant FROM tenant WHERE slug = 'acme')").await;
    let scanner = watch(&acme.keys, shop, &people, &gone, &left);
    let found = scanner.search(&run.contents(&reader).await);
    println!("{} patterns; before the horizon: {found:#?}", scanner.len());
    run.reach_horizon(&reader).await;
    std::fs::write(run.folder().join("planted"), "a KnrPlantedOnPurposeVgl b").expect("planted");
    let restored = search_backups(&run, &scanner, &earlier, &fresh).await;
    let contents = run.contents(&reader).await;
    let found = scanner.search(&contents);
    let bytes: usize = contents.values().map(Vec::len).sum();
    println!("{} files, {bytes} bytes; after it: {found:#?}", contents.len());
    only_the_others(&found);
    assert!(found.contains_key("planted"), "{found:?}");
    // Whoever got hold of a ciphertext elsewhere opens nothing with the keys that are left, and would have before.
    assert_eq!(opened(&acme.keys, &left.salts, &gone.sealings), 0);
    assert_eq!(
        opened(&acme.keys, &left.salts, &left.sealings),
        left.sealings.len()
    );
    assert_eq!(
        opened(&acme.keys, &gone.salts, &gone.sealings),
        gone.sealings.len()
    );
    // Nor with those that the backup has.
    let copied = Holdings::of(&restored.reader().await).await;
    let acme = tenant(&restored.data, &restored.url).await;
    assert_eq!(
        (copied.salts.len(), copied.sealings.len()),
        (PEOPLE / 2, left.sealings.len())
    );
    assert_eq!(opened(&acme.keys, &copied.salts, &gone.sealings), 0);
    assert_eq!(
        opened(&acme.keys, &copied.salts, &copied.sealings),
        copied.sealings.len()
    );
}

type Found = BTreeMap<&'static str, (usize, String)>;

/// Nothing of the erased was found, and everything of the others but their texts, which are sealed.
fn only_the_others(found: &Found) {
    for (what, (count, place)) in found {
        assert!(!what.ends_with("of the erased"), "{count} {what}, one in {place}");
    }
    all_of("the others", found);
    assert!(found.contains_key("planted in the database"), "{found:?}");
}

fn all_of(whom: &str, found: &Found) {
    assert!(!found.contains_key(format!("texts of {whom}").as_str()), "sealed");
    for (what, least) in [
        ("salts", PEOPLE / 2),
        ("clicks", PEOPLE / 2),
        ("hashes", PEOPLE),
        ("ciphertexts", 3 * PEOPLE / 2),
    ] {
        let what = format!("{what} of {whom}");
        assert!(
            found.get(what.as_str()).is_some_and(|(count, _)| *count >= least),
            "{what}: {found:?}"
        );
    }
}

/// In the backup from before everybody is found by this search, and in the fresh one those who are left; which is then
/// restored below the run's folder, for the search to go on in.
async fn search_backups(
    run: &Run,
    scanner: &Scanner,
    earlier: &BTreeMap<String, Vec<u8>>,
    fresh: &Path,
) -> backups::Restored {
    let found = scanner.search(earlier);
    println!("a backup from before: {found:#?}");
    all_of("the erased", &found);
    all_of("the others", &found);
    let contents = backups::opened(run, fresh);
    let found = scanner.search(&contents);
    let bytes: usize = contents.values().map(Vec::len).sum();
    println!("a fresh backup, {bytes} bytes raw and opened: {found:#?}");
    only_the_others(&found);
    backups::restore(run, fresh).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_finds_the_erased_on_sqlite() {
    erase_half_and_search(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_finds_the_erased_on_postgresql() {
    let url = postgres::create_database().await;
    erase_half_and_search(Some(url)).await;
}
