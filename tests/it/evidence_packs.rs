//! Evidence packs over HTTP: made of the log, verified offline with the public key alone, the same for the same seed.

use std::io::{Cursor, Read};

use einklang::app::audit::{self, OfflineStep};
use serde_json::{Value, json};

use crate::audit::history;
use crate::harness::app::TestApp;
use crate::harness::client::Caller;
use crate::harness::log::{Auditor, number, text};
use crate::harness::{database, world};

const PACKS: &str = "/v1/audit/evidence-packs";

fn period(app: &TestApp) -> Value {
    json!({"from": app.clock.rfc3339(-86_400), "to": app.clock.rfc3339(0), "seed": "42".repeat(32), "sample": 5})
}

/// Runs `einklang audit verify-pack --json`.
fn verify(zip: &[u8], vkey: &str) -> Value {
    let folder = database::scratch();
    let pack = folder.path().join("pack.zip");
    std::fs::write(&pack, zip).expect("written");
    let step = OfflineStep::VerifyPack {
        pack,
        key: vkey.to_owned(),
    };
    let (shown, _) = audit::run(&step, true).expect("it could be read");
    serde_json::from_str(&shown).expect("JSON")
}

/// Orders a pack, makes it, fetches it.
async fn packed(app: &TestApp, caller: &Caller, order: &Value) -> (Value, Vec<u8>) {
    let answer = caller.post(PACKS, order).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let ordered = answer.json();
    assert_eq!(text(&ordered, "state"), "queued");
    let path = format!("{PACKS}/{}", text(&ordered, "id"));
    assert_eq!(caller.get(&format!("{path}/file")).await.status, 409, "not done");
    assert!(app.packs().run().await.expect("made"));
    assert!(!app.packs().run().await.expect("nothing waits"));
    let done = caller.get(&path).await.json();
    assert_eq!(text(&done, "state"), "done", "{done}");
    let file = caller.get(&format!("{path}/file")).await;
    assert_eq!(
        (file.status, file.header("content-type")),
        (200, Some("application/zip"))
    );
    assert_eq!(number(&done, "bytes"), file.body.len() as u64);
    (done, file.body)
}

fn member(zip: &[u8], name: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(Cursor::new(zip)).expect("a ZIP");
    let mut bytes = Vec::new();
    let mut file = archive.by_name(name).unwrap_or_else(|_| panic!("no {name}"));
    file.read_to_end(&mut bytes).expect("bytes");
    bytes
}

fn document(zip: &[u8], name: &str) -> Value {
    serde_json::from_slice(&member(zip, name)).expect("JSON")
}

both!(
    a_pack_verifies_offline_and_says_what_the_log_says,
    async |app: &TestApp| {
        history(app).await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let vkey = einklang::audit::note::vkey(&auditor.name, &auditor.public);
        let (done, zip) = packed(app, &auditor.caller, &period(app)).await;
        let verdict = verify(&zip, &vkey);
        assert_eq!(
            (&verdict["verified"], &verdict["proofs"]),
            (&json!(true), &json!(5)),
            "{verdict}"
        );
        assert_eq!(verdict["size"], done["checkpoint_size"]);

        // Whatever single byte changes, it is no pack of this log any more.
        for place in (0..zip.len()).step_by(zip.len() / 97) {
            let mut changed = zip.clone();
            changed[place] ^= 1;
            let verdict = verify(&changed, &vkey);
            // What is not content (times, modes, offsets of the archive) may change without anything being believed.
            let same = verdict["verified"] == true;
            let unfolded = ["manifest.json", "decisions.json", "checkpoint"].map(|name| {
                let mut archive = zip::ZipArchive::new(Cursor::new(&changed[..])).ok()?;
                let mut bytes = Vec::new();
                archive.by_name(name).ok()?.read_to_end(&mut bytes).ok()?;
                Some(bytes)
            });
            let whole =
                ["manifest.json", "decisions.json", "checkpoint"].map(|name| Some(member(&zip, name)));
            assert!(!same || unfolded == whole, "byte {place} was changed unseen");
        }
        let other = einklang::audit::note::vkey(&auditor.name, &[7; 32]);
        assert_eq!(verify(&zip, &other)["verified"], false);

        let decisions = document(&zip, "decisions.json");
        let entries = auditor.entries("").await;
        let verdicts = entries
            .iter()
            .filter(|entry| entry["entry"]["action"] == "postback.verdict")
            .count();
        let told: u64 = decisions["decisions"]
            .as_array()
            .expect("rows")
            .iter()
            .filter(|row| row["action"] == "postback.verdict")
            .map(|row| number(row, "count"))
            .sum();
        assert_eq!(told, verdicts as u64, "{decisions}");
        let controller = document(&zip, "processing-controller.json");
        assert_eq!(text(&controller, "form"), "GDPR Article 30(1)");
        for index in ["index.en.html", "index.de.html"] {
            let page = String::from_utf8(member(&zip, index)).expect("text");
            assert!(
                page.contains("decisions.json") && page.contains(&auditor.name),
                "{page}"
            );
        }
    }
);

both!(
    the_same_checkpoint_and_seed_give_the_same_bytes,
    async |app: &TestApp| {
        history(app).await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let mut order = period(app);
        let (done, first) = packed(app, &auditor.caller, &order).await;
        order["checkpoint_size"] = done["checkpoint_size"].clone();
        // The log has grown since, and the checkpoint is an old one.
        app.keep_logs().await;
        assert!(auditor.latest().await.size > number(&done, "checkpoint_size"));
        let (_, second) = packed(app, &auditor.caller, &order).await;
        assert!(first == second, "the same bytes");
        order["seed"] = json!("43".repeat(32));
        let (_, third) = packed(app, &auditor.caller, &order).await;
        let drawn = |zip: &[u8]| document(zip, "manifest.json")["sample"]["drawn"].clone();
        assert_eq!(drawn(&first), drawn(&second));
        assert_ne!(drawn(&first), drawn(&third));
    }
);

both!(
    a_pack_is_the_tenant_s_own_and_every_step_is_in_its_log,
    async |app: &TestApp| {
        history(app).await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let order =
            json!({"from": app.clock.rfc3339(-86_400), "to": app.clock.rfc3339(0), "credential": "key:1"});
        let (done, zip) = packed(app, &auditor.caller, &order).await;
        let scope = document(&zip, "breach-scope.json");
        assert_eq!(text(&scope["credential"], "credential"), "key:1");
        let path = format!("{PACKS}/{}", text(&done, "id"));
        let stranger = app.holder(world::FOREIGN_MANAGER);
        for path in [path.clone(), format!("{path}/file")] {
            assert_eq!(stranger.get(&path).await.status, 404, "{path}");
        }
        assert_eq!(stranger.get(PACKS).await.json()["items"], json!([]));
        assert_eq!(
            auditor.caller.get(PACKS).await.json()["items"][0]["id"],
            done["id"]
        );
        app.keep_logs().await;
        let entries = auditor.entries("").await;
        for action in [
            "evidence_pack.ordered",
            "evidence_pack.made",
            "evidence_pack.fetched",
        ] {
            let found = entries.iter().filter(|entry| entry["entry"]["action"] == action);
            let objects: Vec<&Value> = found.map(|entry| &entry["entry"]["object"]).collect();
            assert_eq!(objects, [&done["id"]], "{action}");
        }
    }
);

both!(
    orders_that_cannot_be_carried_out_name_their_fault,
    async |app: &TestApp| {
        app.keep_logs().await;
        let auditor = app.holder(world::AUDITOR);
        let (past, now, later) = (
            app.clock.rfc3339(-60),
            app.clock.rfc3339(0),
            app.clock.rfc3339(60),
        );
        let long_ago = app.clock.rfc3339(-400 * 86_400);
        for (order, status, parameter) in [
            (json!({"from": now, "to": past}), 400, "to"),
            (json!({"from": past, "to": later}), 400, "to"),
            (json!({"from": long_ago, "to": now}), 400, "to"),
            (json!({"from": past, "to": now, "seed": "4"}), 400, "seed"),
            (
                json!({"from": past, "to": now, "seed": "AB".repeat(32)}),
                400,
                "seed",
            ),
            (json!({"from": past, "to": now, "sample": 1_001}), 400, "sample"),
            (
                json!({"from": past, "to": now, "credential": "Key 1"}),
                400,
                "credential",
            ),
            (
                json!({"from": past, "to": now, "checkpoint_size": 0}),
                400,
                "checkpoint_size",
            ),
            (
                json!({"from": past, "to": now, "checkpoint_size": 999_999}),
                404,
                "checkpoint_size",
            ),
            (json!({"from": past}), 400, "to"),
        ] {
            let answer = auditor.post(PACKS, &order).await;
            assert_eq!(answer.status, status, "{order}: {}", answer.text());
            assert_eq!(text(&answer.json(), "parameter"), parameter, "{order}");
        }
    }
);
