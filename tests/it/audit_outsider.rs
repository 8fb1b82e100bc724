//! An outsider's whole audit: with the API, one key of the tenant's auditor and the log's public key, and nobody's word.

use einklang::audit::merkle::leaf_hash;
use einklang::domain::keys::sha256;
use serde_json::Value;

use crate::harness::app::TestApp;
use crate::harness::log::{Auditor, bytes, check_complete, text};
use crate::harness::world;

async fn order(app: &TestApp, link: &str, shop: &str, id: &str) -> String {
    let token = app.token(link).await;
    let pairs = [
        ("token", token.as_str()),
        ("order_id", id),
        ("consent", "granted"),
    ];
    let answer = app.holder(shop).postback(&pairs).await;
    answer.is(200, "recorded", "accepted");
    app.clock.advance_seconds(1);
    answer.member("conversion_id")
}

/// Everything that the auditor can read, as one text.
async fn all_that_can_be_read(auditor: &Auditor) -> String {
    let (_, log) = auditor.name.split_once('/').expect("a path");
    let size = auditor.latest().await.size;
    let mut all = String::new();
    for path in [
        "/v1/audit/entries?limit=100".to_owned(),
        "/v1/audit/entries?limit=100&from=2020-01-01T00:00:00Z".to_owned(),
        "/v1/audit/checkpoint".to_owned(),
        "/v1/audit/keys".to_owned(),
        format!("/v1/audit/consistency?from=1&to={size}"),
        format!("/{log}/checkpoint"),
        format!("/{log}/tile/entries/000.p/{size}"),
        format!("/{log}/tile/0/000.p/{size}"),
    ] {
        let answer = auditor.caller.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        all.push_str(&answer.text());
    }
    all
}

both!(
    a_tenant_s_auditor_with_the_api_and_the_public_key_alone_proves_completeness_between_two_checkpoints_and_opens_one_order,
    async |app: &TestApp| {
        order(app, "Ab3xK9", world::SHOP, "A-1").await;
        order(app, "Strict", world::FOREIGN_STRICT_SHOP, "G-1").await;
        app.keep_logs().await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let first = auditor.latest().await;
        let wanted = order(app, "Ab3xK9", world::SHOP, "A-2").await;
        order(app, "Strict", world::FOREIGN_STRICT_SHOP, "G-2").await;
        order(app, "Winter", world::SHOP, "A-3").await;
        app.keep_logs().await;
        let second = auditor.latest().await;
        assert!(second.size > first.size);

        // Complete: the entries make both roots, and the later tree extends the earlier.
        let entries = auditor.entries("").await;
        check_complete(&entries, &first);
        check_complete(&entries, &second);
        auditor.check_growth(&first, &second).await;
        let end = usize::try_from(second.size).expect("small");
        let begin = usize::try_from(first.size).expect("small");
        let between = &entries[begin..end];
        let verdicts = between.iter().filter(|entry| entry["entry"]["action"] == "postback.verdict");
        assert_eq!(verdicts.count(), 2, "both orders and no other");

        // One order: found, in the tree, and opened.
        let found = auditor.entries(&format!("&conversion={wanted}")).await;
        let [entry] = found.as_slice() else { panic!("one entry: {found:?}") };
        assert!(between.contains(entry));
        let id = text(entry, "id");
        let proof = auditor.get(&format!("/v1/audit/entries/{id}/proof?size={}", second.size)).await;
        auditor.check_proof(&proof, &leaf_hash(&bytes(entry)));
        let opening = auditor.get(&format!("/v1/audit/entries/{id}/opening?order_id=A-2")).await;
        let part = |name: &str| hex::decode(text(&opening, name)).expect("hexadecimal");
        let what = sha256(b"A-2");
        let made = sha256(&[&part("entry_key")[..], &part("click"), &what].concat());
        let stored: Value = serde_json::from_slice(&bytes(entry)).expect("JSON");
        assert_eq!(hex::encode(made), text(&stored, "commitment"));

        // The other tenant's entries are in none of it.
        let other = Auditor::meet(app.holder(world::FOREIGN_MANAGER)).await;
        let foreign = other.entries("").await;
        assert!(foreign.len() > 2);
        let all = all_that_can_be_read(&auditor).await;
        for entry in &foreign {
            for trace in [text(entry, "id"), text(entry, "bytes"), text(&entry["entry"], "nonce"), text(entry, "leaf_hash")] {
                assert!(!all.contains(trace), "another tenant's entry can be read");
            }
        }
        assert!(entries.iter().all(|entry| entry["entry"]["tenant"] == stored["tenant"]));
    }
);
