//! Exports over HTTP: verified offline by the command line's own verifier, entered in the log, and refused when they
//! cannot be made.

use std::io::Read;

use einklang::app::audit::{self, OfflineStep};
use serde_json::Value;

use crate::audit::history;
use crate::harness::app::TestApp;
use crate::harness::log::{Auditor, bytes, number, text};
use crate::harness::{database, world};

/// The members of a tar by name.
fn members(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let mut members = Vec::new();
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("a member");
        let name = entry.path().expect("a name").to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("bytes");
        members.push((name, bytes));
    }
    members
}

fn member(members: &[(String, Vec<u8>)], name: &str) -> Vec<u8> {
    let found = members.iter().find(|(other, _)| other == name);
    found.unwrap_or_else(|| panic!("no {name}")).1.clone()
}

/// Runs `einklang audit verify --json` on an export, with a kept checkpoint or without.
fn verify(tar: &[u8], vkey: &str, since: Option<&str>) -> Value {
    let folder = database::scratch();
    let export = folder.path().join("export.tar");
    std::fs::write(&export, tar).expect("written");
    let since = since.map(|note| {
        let kept = folder.path().join("kept");
        std::fs::write(&kept, note).expect("written");
        kept
    });
    let step = OfflineStep::Verify {
        export,
        key: vkey.to_owned(),
        since,
    };
    let (shown, _) = audit::run(&step, true).expect("it could be read");
    serde_json::from_str(&shown).expect("JSON")
}

async fn export(auditor: &Auditor, query: &str) -> Vec<u8> {
    let answer = auditor.caller.get(&format!("/v1/audit/export{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/x-tar"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let file = answer.header("content-disposition").expect("a name");
    assert!(file.starts_with("attachment; filename=\"audit-0-"), "{file}");
    answer.body
}

both!(
    an_export_verifies_offline_and_holds_what_was_logged,
    async |app: &TestApp| {
        app.keep_logs().await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let vkey = einklang::audit::note::vkey(&auditor.name, &auditor.public);
        let kept = auditor.get("/v1/audit/checkpoint").await;
        let kept_size = number(&kept, "size");
        app.clock.advance_seconds(60);
        history(app).await;
        let latest = auditor.latest().await;
        let entries = auditor.entries("").await;
        for (query, since) in [
            (String::new(), None),
            ("?format=csv".to_owned(), None),
            (format!("?since={kept_size}"), Some(text(&kept, "note"))),
            (format!("?from=3&to={}", latest.size - 2), None),
        ] {
            let tar = export(&auditor, &query).await;
            let verdict = verify(&tar, &vkey, since);
            assert_eq!(verdict["verified"], true, "{query}: {verdict}");
            // Behind the first header: a byte of the entries.
            let mut changed = tar.clone();
            changed[532] ^= 1;
            assert_eq!(verify(&changed, &vkey, since)["verified"], false, "{query}");
        }
        let all = members(&export(&auditor, "").await);
        let lines = String::from_utf8(member(&all, "entries-000000.jsonl")).expect("text");
        let stored: Vec<Vec<u8>> = entries.iter().map(bytes).collect();
        let exported: Vec<&[u8]> = lines.lines().map(str::as_bytes).collect();
        assert_eq!(exported, stored);
        let manifest: Value = serde_json::from_slice(&member(&all, "manifest.json")).expect("JSON");
        assert_eq!(number(&manifest, "rows"), latest.size);
        assert_eq!(text(&manifest, "time_zone"), "UTC");
    }
);

both!(
    a_filtered_export_proves_every_row_that_it_holds,
    async |app: &TestApp| {
        history(app).await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let vkey = einklang::audit::note::vkey(&auditor.name, &auditor.public);
        let middle = app.clock.rfc3339(-150);
        for (query, rows) in [
            ("action=postback.verdict".to_owned(), 7),
            ("outcome=duplicate&format=csv".to_owned(), 3),
            (format!("action=postback.verdict&from_time={middle}"), 4),
            (format!("action=postback.verdict&to_time={middle}"), 3),
            ("actor=nobody".to_owned(), 0),
        ] {
            let tar = export(&auditor, &format!("?{query}")).await;
            let verdict = verify(&tar, &vkey, None);
            assert_eq!(verdict["verified"], true, "{query}: {verdict}");
            let manifest: Value =
                serde_json::from_slice(&member(&members(&tar), "manifest.json")).expect("JSON");
            assert_eq!(
                (number(&manifest, "rows"), text(&manifest, "kind")),
                (rows, "filtered"),
                "{query}"
            );
        }
    }
);

both!(
    every_export_is_in_the_log_before_it_is_sent,
    async |app: &TestApp| {
        history(app).await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let size = auditor.latest().await.size;
        export(&auditor, "?actor=link").await;
        app.keep_logs().await;
        let found = auditor.entries("&action=audit.exported").await;
        let [entry] = found.as_slice() else {
            panic!("one entry: {found:?}")
        };
        let event = &entry["entry"];
        assert_eq!((text(event, "outcome"), number(event, "count")), ("shown", 3));
        let told: Vec<(&str, &str)> = event["changes"]
            .as_array()
            .expect("changes")
            .iter()
            .map(|change| (text(change, "field"), text(change, "new")))
            .collect();
        assert_eq!(
            told,
            [("from", "0"), ("to", &size.to_string()), ("filters", "actor")]
        );
        // The operator's log is exported like any other.
        let operator = Auditor::meet(app.holder(world::OPERATOR)).await;
        let vkey = einklang::audit::note::vkey(&operator.name, &operator.public);
        assert_eq!(
            verify(&export(&operator, "").await, &vkey, None)["verified"],
            true
        );
    }
);

both!(
    an_export_that_cannot_be_made_is_refused_before_it_begins,
    async |app: &TestApp| {
        history(app).await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let size = auditor.latest().await.size;
        app.token("Ab3xK9").await;
        let before = app.ledger.totals().await;
        for (query, parameter) in [
            ("format=xml".to_owned(), "format"),
            ("from=5&to=5".to_owned(), "to"),
            ("from=6&to=5".to_owned(), "to"),
            ("from=-1".to_owned(), "from"),
            ("to=9007199254740992".to_owned(), "to"),
            ("from_time=now".to_owned(), "from_time"),
            (
                "from_time=2026-12-01T00:00:00Z&to_time=2026-11-01T00:00:00Z".to_owned(),
                "to_time",
            ),
            ("actor=".to_owned(), "actor"),
            ("colour=red".to_owned(), "colour"),
        ] {
            let answer = auditor.caller.get(&format!("/v1/audit/export?{query}")).await;
            answer.is_invalid(parameter);
        }
        for (query, parameter) in [
            (format!("from={}", size + 9), "from"),
            (format!("to={}", size + 9), "to"),
            ("since=0".to_owned(), "since"),
            (format!("since={}", size + 9), "since"),
            ("epoch=1".to_owned(), "epoch"),
        ] {
            let answer = auditor.caller.get(&format!("/v1/audit/export?{query}")).await;
            answer.is(404, "refused", "not_found");
            assert_eq!(answer.member("parameter"), parameter, "{query}");
        }
        assert_eq!(
            app.ledger.totals().await,
            before,
            "nothing was exported, nothing entered"
        );
    }
);
