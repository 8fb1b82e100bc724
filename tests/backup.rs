//! `einklang backup` and `einklang restore` as people run them: under load, after erasures, killed, and with bad input.
//!
//! 200 people are there when the backup is made, and 100 of them are erased after it, by every door in turn. When the
//! database was lost and restored, every byte is searched for the 100 before the first request is answered.
//! `EINKLANG_BACKUP_KILLS` sets how often a backup and a restore are killed (default 3; 20 are the documented full run);
//! `-- --nocapture` shows the figures.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "the figures of a run are shown with --nocapture"
)]

#[path = "backup/bad_input.rs"]
mod bad_input;
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
#[expect(dead_code, reason = "the search for the erased uses the rest")]
mod holdings;
#[path = "backup/kills.rs"]
mod kills;
#[path = "it/harness/ledger.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod ledger;
#[path = "canaries/needles.rs"]
#[expect(dead_code, reason = "the search for canaries uses the rest")]
mod needles;
#[path = "backup/people.rs"]
mod people;
#[path = "binary/place.rs"]
#[expect(dead_code, reason = "the search for canaries uses the rest")]
mod place;
#[path = "it/harness/postgres.rs"]
mod postgres;
#[path = "erased/scan.rs"]
#[expect(dead_code, reason = "the search for the erased uses the rest")]
mod scan;
#[path = "backup/setting.rs"]
mod setting;
#[path = "it/harness/world.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod world;

use holdings::{Holdings, Sealing};
use people::{Crowd, People};
use setting::Setting;

const PEOPLE: usize = 200;

/// The proof that an entry is in the log as it was signed when the backup was made.
struct Proof {
    path: String,
    answer: serde_json::Value,
}

impl Proof {
    async fn of(server: &place::Server, backup: &std::path::Path) -> Self {
        let manifest = std::fs::read_to_string(backup.join("manifest.json")).expect("read");
        let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
        let log = manifest["logs"]
            .as_array()
            .expect("logs")
            .iter()
            .find(|log| log["tenant"] == 1);
        let signed = log.expect("the tenant's log")["checkpoint"]
            .as_str()
            .expect("signed");
        let size = signed.lines().nth(1).expect("a size");
        let auditor = server.holder(world::AUDITOR);
        let entries = auditor.get("/v1/audit/entries?epoch=0&limit=1").await.json();
        let entry = entries["items"][0]["id"].as_str().expect("an id");
        let path = format!("/v1/audit/entries/{entry}/proof?size={size}");
        let answer = auditor.get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Self {
            answer: answer.json(),
            path,
        }
    }

    /// The restored server gives the same one.
    async fn check(&self, server: &place::Server) {
        let answer = server.holder(world::AUDITOR).get(&self.path).await;
        assert_eq!(answer.json(), self.answer);
    }
}

/// A backup while the server works; half of the people are erased after it; the database is lost and restored.
async fn drill(setting: Setting) {
    let server = setting.serve();
    let mut people = People::come(&server, PEOPLE).await;
    let crowd = Crowd::begin(&server, 4);
    let backup = setting.backup();
    let proof = Proof::of(&server, &backup).await;
    let loaded = crowd.end().await;
    assert!(loaded > 0, "nobody was served while the backup was made");
    let all = setting.holdings().await;
    let salts = all.salts.clone();
    let totals = setting.totals().await;
    people.erase_half(&server, &setting).await;
    let left = setting.holdings().await;
    let erased = all.without(&left);
    assert_eq!(
        (erased.salts.len(), erased.clicks.len()),
        (PEOPLE / 2, PEOPLE / 2)
    );
    assert_eq!(erased.sealings.len(), PEOPLE, "of clicks and conversions");
    assert_eq!(setting.totals().await, totals, "an erasure changes no total");
    server.stop();

    setting.lose_database().await;
    setting.forget_segments().await;
    let told = setting.restored(&backup, &[]);
    assert_eq!(told["findings"], serde_json::json!([]), "{told}");
    assert_eq!(told["erased_again"], PEOPLE / 2, "{told}");
    assert_eq!(told["unreadable"], 0, "{told}");
    assert_eq!(told["journal"]["whole"], true, "{told}");
    // Before anybody asks anything.
    let bytes = none_of(&erased, &setting).await;
    let kept: Vec<_> = left
        .salts
        .into_iter()
        .filter(|salt| salts.contains(salt))
        .collect();
    assert!(
        setting.found(&kept).await >= PEOPLE / 2,
        "the search finds what is there"
    );
    assert_eq!(setting.totals().await, totals);

    assert!(setting.is_walled(), "what came back stands open to every tenant");

    let server = setting.serve();
    people.check(&server).await;
    proof.check(&server).await;
    assert_eq!(setting.totals().await, totals, "late postbacks count nothing");
    server.stop();
    let check = setting.run(&["audit", "check", "--json"]);
    assert!(
        check.status.success(),
        "{}",
        String::from_utf8_lossy(&check.stdout)
    );
    println!(
        "{loaded} requests were answered while the backup was made; of {} erased people {bytes} found; {told}",
        PEOPLE / 2
    );
}

/// None of these people's rows are there, and none of their bytes: on SQLite not in a free page either. PostgreSQL has
/// ciphertexts in dead rows until they are freed, to which there is no salt in any byte.
async fn none_of(erased: &Holdings, setting: &Setting) -> usize {
    let there = setting.holdings().await;
    let mut found = erased
        .salts
        .iter()
        .filter(|salt| there.salts.contains(salt))
        .count();
    found += erased
        .clicks
        .iter()
        .filter(|click| there.clicks.contains(click))
        .count();
    let sealed = |one: &&Sealing| there.sealings.iter().any(|other| other.sealed == one.sealed);
    found += erased.sealings.iter().filter(sealed).count();
    assert_eq!(found, 0, "rows of the erased");
    let mut bytes = erased.salts.clone();
    if setting.is_embedded() {
        bytes.extend(erased.clicks.iter().cloned());
        // Some bytes in a row: a whole one may be stored in pieces.
        bytes.extend(erased.sealings.iter().map(|one| one.sealed[12..44].to_vec()));
    }
    found += setting.found(&bytes).await;
    assert_eq!(found, 0, "bytes of the erased");
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_erased_after_a_backup_stays_erased_on_sqlite() {
    drill(Setting::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_erased_after_a_backup_stays_erased_on_postgresql() {
    drill(Setting::postgres().await).await;
}

/// The keys of a later backup know who is gone, even without a journal; and without keys nothing personal is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_live_shorter_than_data() {
    let setting = Setting::sqlite();
    let server = setting.serve();
    let mut people = People::come(&server, 6).await;
    let first = setting.backup();
    people.erase_half(&server, &setting).await;
    let second = setting.backup();
    let half = std::fs::read(first.join("data.sealed")).expect("read");
    for salt in setting.salts().await {
        assert!(!contains(&half, &salt));
    }
    let pruned = setting.json(&["backup", "prune", "backups", "--keys-older-than", "0", "--json"]);
    assert_eq!(
        pruned["keys_removed"].as_array().map(Vec::len),
        Some(2),
        "{pruned}"
    );
    let verified = setting.json(&["backup", "verify", &text(&first), "--json"]);
    assert_eq!(verified["keys"], "pruned");
    let third = setting.backup();
    server.stop();
    setting.lose_database().await;
    let refused = setting.refused(&["restore", &text(&first)]);
    assert!(
        refused.contains("nothing personal in it can be read"),
        "{refused}"
    );
    std::fs::rename(setting.data().join("journal"), setting.data().join("lost")).expect("moved");
    let keys = ["--keys-from", &text(&third), "--accept-missing-journal"];
    let told = setting.restored(&first, &keys);
    assert_eq!(
        (&told["erased_again"], &told["unreadable"]),
        (&serde_json::json!(3), &serde_json::json!(3)),
        "{told}"
    );
    assert_eq!(told["findings"], serde_json::json!([]), "{told}");
    let server = setting.serve();
    people.check(&server).await;
    server.stop();
    let all = setting.json(&["backup", "prune", "backups", "--data-older-than", "0", "--json"]);
    assert_eq!(all["left"], 0, "{all}");
    assert!(!first.exists() && !second.exists() && !third.exists());
}

/// A node's journal in two files is read as one; a file that is missing is a gap, and nothing is restored across it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_of_several_files_is_whole_or_refused() {
    let setting = Setting::sqlite();
    let server = setting.serve();
    let mut people = People::come(&server, 8).await;
    let backup = setting.backup();
    people.erase_half(&server, &setting).await;
    server.stop();
    // The last two erasures stand in the next file, as if it had been begun a month later.
    let journal = setting.data().join("journal");
    let files = ["node-0.jsonl", "node-0.2.jsonl", "node-0.3.jsonl"].map(|name| journal.join(name));
    let lines = std::fs::read_to_string(&files[0]).expect("read");
    let lines: Vec<&str> = lines.split_inclusive('\n').collect();
    assert_eq!(lines.len(), 5, "one that opens the file, and an erasure each");
    let opened = "{\"v\":1,\"at_ms\":4000000000000,\"tenant\":0,\"kind\":\"opened\"}\n";
    std::fs::write(&files[0], lines[..3].concat()).expect("written");
    std::fs::write(&files[1], format!("{opened}{}", lines[3..].concat())).expect("written");
    setting.lose_database().await;
    for (from, to, words) in [
        // The first one is gone, as after its time.
        (0, 2, "node-0.2.jsonl begins at"),
        // The second one is: what it is called now follows nothing.
        (1, 2, "node-0.3.jsonl begins at"),
    ] {
        let aside = journal.join("aside");
        let hidden = if from == 0 { &aside } else { &files[to] };
        std::fs::rename(&files[from], hidden).expect("moved");
        let refused = setting.refused(&["restore", &text(&backup)]);
        assert!(
            refused.contains(words) && refused.contains("after the backup"),
            "{refused}"
        );
        std::fs::rename(hidden, &files[from]).expect("moved");
    }
    let told = setting.restored(&backup, &[]);
    assert_eq!(
        (&told["erased_again"], &told["journal"]["whole"]),
        (&4.into(), &true.into()),
        "{told}"
    );
    let doctor = |setting: &Setting| String::from_utf8_lossy(&setting.run(&["doctor"]).stdout).into_owned();
    assert!(doctor(&setting).contains("The erasure journal can be read: 4 lines."));
    std::fs::rename(&files[1], &files[2]).expect("moved");
    let said = doctor(&setting);
    assert!(
        said.contains("lacks the file that follows") && said.contains("node-0.jsonl"),
        "{said}"
    );
    std::fs::rename(&files[2], &files[1]).expect("moved");
    // What comes next goes into the newest file.
    let server = setting.serve();
    people.check(&server).await;
    people.erase_rest(&server, &setting).await;
    server.stop();
    let newest = std::fs::read_to_string(&files[1]).expect("read");
    assert_eq!(newest.lines().count(), 7, "{newest}");
}

fn text(path: &std::path::Path) -> String {
    path.to_str().expect("text").to_owned()
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
