//! `einklang backup` and `einklang restore` as people run them: under load, after erasures, killed, and with bad input.
//!
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
#[path = "backup/kills.rs"]
mod kills;
#[path = "it/harness/ledger.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod ledger;
#[path = "backup/people.rs"]
mod people;
#[path = "binary/place.rs"]
#[expect(dead_code, reason = "the search for canaries uses the rest")]
mod place;
#[path = "it/harness/postgres.rs"]
mod postgres;
#[path = "backup/setting.rs"]
mod setting;
#[path = "it/harness/world.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod world;

use people::{Crowd, People};
use setting::Setting;

const PEOPLE: usize = 24;

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
    let all = setting.salts().await;
    let totals = setting.totals().await;
    people.erase_half(&server).await;
    let left = setting.salts().await;
    let erased: Vec<_> = all.iter().filter(|salt| !left.contains(*salt)).cloned().collect();
    assert_eq!(erased.len(), PEOPLE / 2);
    assert_eq!(setting.totals().await, totals, "an erasure changes no total");
    server.stop();

    setting.lose_database().await;
    let told = setting.restored(&backup, &[]);
    assert_eq!(told["findings"], serde_json::json!([]), "{told}");
    assert_eq!(told["erased_again"], PEOPLE / 2, "{told}");
    assert_eq!(told["unreadable"], 0, "{told}");
    assert_eq!(told["journal"]["whole"], true, "{told}");
    // Before anybody asks anything.
    assert_eq!(setting.found(&erased).await, 0, "salts of erased people");
    let kept: Vec<_> = left.iter().filter(|salt| all.contains(*salt)).cloned().collect();
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
    println!("{loaded} requests were answered while the backup was made; {told}");
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
    people.erase_half(&server).await;
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

fn text(path: &std::path::Path) -> String {
    path.to_str().expect("text").to_owned()
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
