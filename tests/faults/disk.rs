//! The disk is full, or takes no write at all, while the server runs or when it starts.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::account::{Exact, settle};
use crate::load::{LATER, Load, PLAIN, Phase};
use crate::site::{Server, Site, said, within};
use crate::{turn, world};

/// The words that run a command without the right to pass over permissions, which root otherwise has.
const WITHOUT_PRIVILEGE: [&str; 3] = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"];

/// The length of the longest file, from which on the disk has no more room.
fn longest(site: &Site) -> u64 {
    let files = fs::read_dir(site.data()).expect("a folder").flatten();
    let lengths = files.map(|file| file.metadata().expect("a length").len());
    lengths.max().expect("a file")
}

/// No write succeeds that ends beyond so many bytes of a file.
fn no_room_beyond(server: &Server, bytes: u64) {
    server.limit(&format!("--fsize={bytes}:"));
}

fn room_again(server: &Server) {
    server.limit("--fsize=unlimited:");
}

/// Until clicks and postbacks have felt it for a while, and the audit log's keeper, whose transactions are management's, more than
/// once.
async fn is_felt(load: &Load, server: &Server) {
    server.logs("cannot be placed or signed yet", 3).await;
    clients_feel_it(load).await;
}

async fn clients_feel_it(load: &Load) {
    load.until("answers while nothing can be written", |known| {
        known.count("click", Phase::During, PLAIN) >= 30
            && known.count("postback", Phase::During, LATER) >= 30
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_beside_sqlite() {
    let _turn = turn().await;
    let site = Site::sqlite();
    let server = site.serve(&[]);
    let load = Load::start(&server).await;
    load.fault_begins();
    no_room_beyond(&server, longest(&site) + 16 * 1_024);
    is_felt(&load, &server).await;
    load.fault_ends();
    room_again(&server);
    let known = load.finish(&server).await;
    let log = settle("disk full, SQLite", &site, server, &known, Exact::Yes).await;
    assert!(log.contains("SQLite 778"), "the log says what failed: a write");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_no_write_not_even_of_the_log() {
    let _turn = turn().await;
    let site = Site::sqlite();
    let server = site.serve_logging_to_a_file(&[]);
    let load = Load::start(&server).await;
    load.fault_begins();
    no_room_beyond(&server, 0);
    clients_feel_it(&load).await;
    // Nor can it be noted that somebody is erased: then nobody is, and whoever asked is told so.
    let asked = json!({"order_id": "A-0-1"});
    let privacy = server.holder(world::PRIVACY);
    let answer = privacy.post("/v1/erasures", &asked).await;
    answer.is(503, "refused", "unavailable");
    load.fault_ends();
    room_again(&server);
    assert_eq!(
        privacy
            .post("/v1/erasures", &json!({"order_id": "Z-1"}))
            .await
            .status,
        200
    );
    let known = load.finish(&server).await;
    settle(
        "no write succeeds, SQLite, log on the same disk",
        &site,
        server,
        &known,
        Exact::Yes,
    )
    .await;
}

/// The documented full run only: not every machine lets a test mount something.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_file_system_that_is_really_full() {
    if std::env::var_os("EINKLANG_FAULTS_MOUNT").is_none() {
        return;
    }
    let _turn = turn().await;
    let site = Site::sqlite();
    let server = site.serve_on_a_small_disk(24);
    let load = Load::start(&server).await;
    load.fault_begins();
    let filler = server.data.join("filler");
    let mut filling = fs::File::create(&filler).expect("made");
    while filling.write_all(&[0; 4_096]).is_ok() {}
    server.logs("nothing is signed", 3).await;
    clients_feel_it(&load).await;
    drop(filling);
    load.fault_ends();
    fs::remove_file(filler).expect("removed");
    let known = load.finish(&server).await;
    let log = settle("file system full, SQLite", &site, server, &known, Exact::Yes).await;
    assert!(
        log.contains("SQLite 13"),
        "the log says what failed: the disk is full"
    );
}

/// Changes the mode of something in the data folder; returns the one before.
fn change_mode(site: &Site, name: &str, mode: u32) -> u32 {
    let path = site.data().join(name);
    let before = fs::metadata(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("changed");
    before.permissions().mode()
}

/// Starts a server that has to refuse, as it is and for ten seconds at most; returns what it said.
fn refuses_to_start(site: &Site) -> String {
    let mut serve = site.command(&["serve", "--listen=127.0.0.1:0", "--management-listen=127.0.0.1:0"]);
    serve.env("EINKLANG_LOG", "error");
    let limited = within(&["timeout", "10"], &within(&WITHOUT_PRIVILEGE, &serve));
    let output = { limited }
        .output()
        .expect("setpriv and timeout run (Debian: util-linux, coreutils)");
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("einklang: ") && !said.contains("panicked"),
        "{said}"
    );
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_on_what_cannot_be_written() {
    let _turn = turn().await;
    // Each with a part of what is said.
    for (name, mode, says) in [
        ("", 0o555, "database"),
        ("einklang.db", 0o444, "database"),
        ("journal", 0o555, "journal"),
        ("audit-guard.json", 0o000, "guard file"),
        ("root.key", 0o000, "root key"),
    ] {
        let site = Site::sqlite();
        site.serve(&[]).stop();
        if name == "audit-guard.json" && !site.data().join(name).exists() {
            fs::write(site.data().join(name), "{}").expect("written");
        }
        if name == "journal" {
            for file in fs::read_dir(site.data().join(name)).expect("a folder").flatten() {
                fs::remove_file(file.path()).expect("removed");
            }
        }
        let before = change_mode(&site, name, mode);
        let said = refuses_to_start(&site);
        println!("not writable: {name:?}: {}", said.trim());
        assert!(said.to_lowercase().contains(says), "{name}: {said}");
        change_mode(&site, name, before);
        site.serve(&[]).stop();
    }
}
