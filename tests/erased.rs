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
#[path = "it/harness/world.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use einklang::app::config::sqlite_url;
use einklang::domain::keyring::KeyRing;
use einklang::domain::keys::{Place as Sealed, Secret};
use einklang::domain::routing::TenantRoute;
use einklang::store::Store;
use einklang::store::roots::Roots;
use serde_json::Value;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use binary::einklang;
use clock::START_S;
use ledger::{Reader, execute};
use needles::files;
use people::{Person, arrive, erase, text};
use place::{Place, Server};
use scan::Scanner;

const PEOPLE: usize = 200;
/// Far beyond the time in which the server writes the salts anew after its start.
const PATIENCE: Duration = Duration::from_mins(1);

/// A ciphertext with what it is bound to.
struct Sealing {
    table: &'static str,
    row: Vec<u8>,
    sealed: Vec<u8>,
}

/// What the database holds of people.
struct Holdings {
    salts: Vec<Vec<u8>>,
    clicks: Vec<Vec<u8>>,
    sealings: Vec<Sealing>,
}

impl Holdings {
    async fn of(reader: &Reader) -> Self {
        let id = |column: &str| match reader {
            Reader::Sqlite(_) => column.to_owned(),
            Reader::Postgres(_) => format!("uuid_send({column})"),
        };
        let mut sealings = Vec::new();
        for (table, row) in [
            ("click", "click_id"),
            ("conversion", "conversion_id"),
            ("consent_record", "record_id"),
        ] {
            let condition = "FROM {table} WHERE payload IS NOT NULL".replace("{table}", table);
            let rows = reader
                .blobs(&format!("SELECT {} {condition} ORDER BY {row}", id(row)))
                .await;
            let sealed = reader
                .blobs(&format!("SELECT payload {condition} ORDER BY {row}"))
                .await;
            sealings.extend(
                rows.into_iter()
                    .zip(sealed)
                    .map(|(row, sealed)| Sealing { table, row, sealed }),
            );
        }
        Self {
            salts: reader.blobs("SELECT salt FROM click_salt").await,
            clicks: reader
                .blobs(&format!("SELECT {} FROM click", id("click_id")))
                .await,
            sealings,
        }
    }

    /// What is here and not there.
    fn without(self, other: &Self) -> Self {
        let kept = |lists: &[Vec<u8>], one: &Vec<u8>| lists.contains(one);
        Self {
            salts: self
                .salts
                .into_iter()
                .filter(|salt| !kept(&other.salts, salt))
                .collect(),
            clicks: self
                .clicks
                .into_iter()
                .filter(|click| !kept(&other.clicks, click))
                .collect(),
            sealings: self
                .sealings
                .into_iter()
                .filter(|one| !other.sealings.iter().any(|left| left.sealed == one.sealed))
                .collect(),
        }
    }
}

/// How many of these ciphertexts any of these salts opens under any month's key.
fn opened(keys: &KeyRing, salts: &[Vec<u8>], sealings: &[Sealing]) -> usize {
    let epochs: Vec<u16> = (600..900).filter(|epoch| keys.has_epoch(*epoch)).collect();
    let mut opened = 0;
    for epoch in &epochs {
        for salt in salts {
            let salt: [u8; 16] = salt.as_slice().try_into().expect("a salt");
            let secrets = keys.click(*epoch, &salt).expect("derived");
            for one in sealings {
                let place = Sealed {
                    tenant: keys.tenant(),
                    table: one.table,
                    column: "payload",
                    row: &one.row,
                    key_version: u32::from(*epoch),
                };
                opened += usize::from(secrets.key.open(&place, &one.sealed).is_ok());
            }
        }
    }
    opened
}

/// One run on one database.
struct Run {
    place: Place,
    url: String,
}

impl Run {
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

    /// acme with every key that is there.
    async fn tenant(&self) -> Arc<TenantRoute> {
        let text = std::fs::read_to_string(self.place.data().join("root.key")).expect("a key");
        let digits = text.trim_end().split(':').next_back().expect("digits");
        let root =
            Roots::from(Secret::from_slice(&hex::decode(digits).expect("hexadecimal")).expect("a key"));
        let store = Store::connect(&self.url).await.expect("connected");
        let routing = store
            .load_routing(&root, START_S * 1_000, None)
            .await
            .expect("read");
        store.close().await;
        let mut tenants = routing.tenants.values();
        let acme = tenants.find(|route| route.tenant.slug == "acme").expect("acme");
        Arc::clone(acme)
    }

    /// Every byte that anything was written to.
    async fn contents(&self, reader: &Reader) -> BTreeMap<String, Vec<u8>> {
        let mut contents = files(&self.folder());
        if let Reader::Postgres(_) = reader {
            let folder = reader.texts("SHOW data_directory").await.pop().expect("a folder");
            for (name, bytes) in files(Path::new(&folder)) {
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
        holdings
            .clicks
            .iter()
            .for_each(|click| scanner.bytes(clicks, click));
        // A whole one may be stored in pieces; some of its bytes in a row are as telling.
        for one in &holdings.sealings {
            scanner.add(sealed, &one.sealed[12..44.min(one.sealed.len())]);
        }
    }
    scanner.text("planted", "KnrPlantedOnPurposeVgl");
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
    let place = Place::new();
    let url = url.unwrap_or_else(|| sqlite_url(&place.data()));
    let run = Run { place, url };
    if !run.url.starts_with("sqlite:") {
        let args = [
            "apply",
            "world.toml",
            "--operator-key",
            world::OPERATOR,
            "--database-url",
            &run.url,
        ];
        assert!(
            einklang(&run.folder(), args)
                .output()
                .expect("it runs")
                .status
                .success()
        );
    }
    let server = run.serve();
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(arrive(&server, number).await);
    }
    let reader = Reader::open(&run.url).await;
    let before = Holdings::of(&reader).await;
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
    server.stop();
    let left = Holdings::of(&reader).await;
    let gone = before.without(&left);
    assert_eq!((gone.salts.len(), left.salts.len()), (PEOPLE / 2, PEOPLE / 2));
    assert_eq!(
        gone.sealings.len(),
        3 * PEOPLE / 2,
        "click, conversion and confirmation"
    );
    let acme = run.tenant().await;
    let shop = reader.number("SELECT shop FROM shop WHERE slug = 'main' AND tenant = (SELECT tenant FROM tenant WHERE slug = 'acme')").await;
    let scanner = watch(&acme.keys, shop, &people, &gone, &left);
    let found = scanner.search(&run.contents(&reader).await);
    println!("{} patterns; before the horizon: {found:#?}", scanner.len());
    run.reach_horizon(&reader).await;
    std::fs::write(run.folder().join("planted"), "a KnrPlantedOnPurposeVgl b").expect("planted");
    let contents = run.contents(&reader).await;
    let found = scanner.search(&contents);
    let bytes: usize = contents.values().map(Vec::len).sum();
    println!("{} files, {bytes} bytes; after it: {found:#?}", contents.len());
    for (what, (count, place)) in &found {
        assert!(!what.ends_with("of the erased"), "{count} {what}, one in {place}");
    }
    assert!(!found.contains_key("texts of the others"), "sealed");
    for (what, least) in [
        ("planted", 1),
        ("salts of the others", PEOPLE / 2),
        ("clicks of the others", PEOPLE / 2),
        ("hashes of the others", PEOPLE),
        ("ciphertexts of the others", 3 * PEOPLE / 2),
    ] {
        assert!(
            found.get(what).is_some_and(|(count, _)| *count >= least),
            "{what}: {found:?}"
        );
    }
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
