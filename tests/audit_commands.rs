//! `einklang audit check`, `einklang audit checkpoint` and `einklang doctor` as people run them, and checkpoints that a
//! server pushes into a folder.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "a test that waits for a process gives up at some time"
)]

mod binary;
#[path = "it/harness/client.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod client;
#[path = "it/harness/contract.rs"]
mod contract;
#[path = "it/harness/ledger.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod ledger;
#[path = "binary/place.rs"]
#[expect(dead_code, reason = "the search for canaries uses the rest")]
mod place;
#[path = "it/harness/world.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod world;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use binary::einklang;
use einklang::app::config::sqlite_url;
use einklang::audit::note::{Checkpoint, open_note, parse_vkey};
use ledger::execute;
use place::{Place, token_in};
use serde_json::Value;

fn run(folder: &Path, args: &[&str]) -> Output {
    einklang(folder, args).output().expect("the binary runs")
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// How long a server may take until it has pushed something.
const PATIENCE: Duration = Duration::from_secs(30);

/// Clicks and orders on a server that pushes its checkpoints into a folder.
async fn traffic(place: &Place, kept: &Path) {
    let push = format!("file:{}", kept.display());
    let server = place.serve(&["--audit-push", &push, "--audit-name", "ads.example"]);
    let shop = server.holder(world::SHOP);
    for order in ["A-1", "A-2"] {
        let answer = server.visitor().get("/c/Ab3xK9?consent=granted").await;
        let token = token_in(answer.header("location").expect("a redirect")).expect("a token");
        let pairs = [
            ("token", token.as_str()),
            ("order_id", order),
            ("consent", "granted"),
        ];
        shop.postback(&pairs).await.is(200, "recorded", "accepted");
    }
    let began = Instant::now();
    while !kept.exists() {
        assert!(began.elapsed() < PATIENCE, "nothing was pushed");
        server.anonymous().get("/livez").await;
    }
    server.stop();
}

/// The state and sentence of one of doctor's checks.
fn of<'a>(report: &'a Value, name: &str) -> (&'a str, &'a str) {
    let checks = report["checks"].as_array().expect("a list");
    let found = checks.iter().find(|check| check["check"] == name);
    let found = found.unwrap_or_else(|| panic!("no check {name} in {report}"));
    (
        found["state"].as_str().expect("a state"),
        found["sentence"].as_str().expect("a sentence"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fits_is_clean_and_what_was_changed_fails_both_commands() {
    let place = Place::new();
    let data = place.data();
    let folder = data.parent().expect("a folder").to_owned();
    traffic(&place, &folder.join("kept")).await;
    let name = ["--audit-name", "ads.example"];
    let check = || run(&folder, &[&["audit", "check", "--json"], &name[..]].concat());
    let doctor = || run(&folder, &[&["doctor", "--json"], &name[..]].concat());

    let output = check();
    let report = json(&output);
    assert!(output.status.success(), "{report}");
    assert_eq!(report["outcome"], "clean");
    assert_eq!(
        (
            &report["looked_at"]["clicks"],
            &report["looked_at"]["conversions"],
            &report["looked_at"]["waiting"]
        ),
        (&2.into(), &2.into(), &0.into())
    );
    let plain = run(&folder, &[&["audit", "check"], &name[..]].concat());
    let text = String::from_utf8_lossy(&plain.stdout);
    assert!(text.contains("Everything fits together."), "{text}");
    let output = doctor();
    let report = json(&output);
    assert!(output.status.success(), "{report}");
    for check in report["checks"].as_array().expect("a list") {
        assert_eq!(check["state"], "ok", "{check}");
    }

    execute(
        &sqlite_url(&data),
        "UPDATE audit_leaf SET body = CAST(REPLACE(CAST(body AS TEXT), 'recorded', 'recordet') AS BLOB) \
         WHERE CAST(body AS TEXT) LIKE '%\"recorded\"%'",
    )
    .await;
    let output = check();
    let report = json(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    let kinds: Vec<_> = report["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["kind"].as_str().expect("a kind"))
        .collect();
    for kind in ["entry_altered", "conversion_without_entry", "count_differs"] {
        assert!(kinds.contains(&kind), "{kind}: {report}");
    }
    let output = doctor();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(of(&json(&output), "audit_check").0, "failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_is_printed_and_pushed_into_a_folder() {
    let place = Place::new();
    let data = place.data();
    let folder = data.parent().expect("a folder").to_owned();
    let kept = folder.join("kept");
    traffic(&place, &kept).await;
    let name = ["--audit-name", "ads.example"];
    let output = run(&folder, &[&["audit", "checkpoint", "--json"], &name[..]].concat());
    let printed = json(&output);
    let (origin, public) = parse_vkey(printed["vkey"].as_str().expect("a key")).expect("a verifier key");
    assert_eq!(origin, "ads.example/audit/server/0");
    let note = printed["note"].as_str().expect("a note");
    let text = open_note(note, &origin, &public).expect("signed");
    assert_eq!(
        Checkpoint::parse(&text).expect("a checkpoint").size,
        printed["size"].as_u64().expect("a size")
    );

    // Each log has its latest note there, and every note is signed.
    let files: Vec<_> = fs::read_dir(&kept)
        .expect("listed")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    let latest = files
        .iter()
        .filter(|path| path.to_string_lossy().ends_with(".latest.note"));
    assert!(latest.count() >= 1, "{files:?}");
    for path in &files {
        let note = fs::read_to_string(path).expect("read");
        let origin = note.lines().next().expect("an origin");
        assert!(open_note(&note, origin, &public).is_ok(), "{}", path.display());
    }

    let mail = run(
        &folder,
        &["audit", "checkpoint", "--email", "--audit-name", "ads.example"],
    );
    let mail = String::from_utf8(mail.stdout).expect("text");
    assert!(
        mail.starts_with("Subject: Audit checkpoint of ads.example/audit/server/0"),
        "{mail}"
    );
    assert!(
        mail.contains("BEGIN PUBLIC KEY") && mail.ends_with(note),
        "{mail}"
    );
    let unknown = run(
        &folder,
        &[
            "audit",
            "checkpoint",
            "--log",
            "tnt_00000000000000000000000000000000",
        ],
    );
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert!(
        !unknown.status.success() && said.contains("There is no signed checkpoint"),
        "{said}"
    );
}

#[test]
fn doctor_says_what_is_wrong_and_makes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(folder.path(), &["doctor", "--json"]);
    let report = json(&output);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(of(&report, "data_folder").0, "failed");
    assert_eq!(of(&report, "audit_name").0, "warning");
    assert!(
        of(&report, "database").1.contains("Start the server once"),
        "{report}"
    );
    assert_eq!(
        fs::read_dir(folder.path()).expect("listed").count(),
        0,
        "nothing was made"
    );

    let place = Place::new();
    let data = place.data();
    let folder = data.parent().expect("a folder");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).expect("opened");
    fs::remove_file(data.join("root.key")).expect("removed");
    let output = run(folder, &["doctor", "--json"]);
    let report = json(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(of(&report, "data_folder").1.contains("chmod 0700"), "{report}");
    assert!(
        of(&report, "root_key").1.contains("Put the file back"),
        "{report}"
    );
    assert_eq!(of(&report, "integrity").0, "ok");
    assert_eq!(of(&report, "migrations").0, "ok");
}
