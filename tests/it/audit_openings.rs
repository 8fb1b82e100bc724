//! Openings: what an entry commits to, shown to those who may see it, entered in the log first, and gone with the person.

use einklang::audit::merkle::{Hash, leaf_hash, verify_inclusion};
use einklang::domain::ids::{ConversionId, RecordId};
use einklang::domain::keys::sha256;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::log::{Auditor, bytes, check_complete, hash, hashes, number, text};
use crate::harness::world;

/// Whoever was given an opening computes the commitment again.
#[track_caller]
fn check(opening: &Value) {
    let part = |name: &str| hex::decode(text(opening, name)).expect("hexadecimal");
    let opened = [part("entry_key"), part("click"), part("what")].concat();
    let stored: Value = serde_json::from_slice(&bytes(&opening["entry"])).expect("JSON");
    assert_eq!(hex::encode(sha256(&opened)), text(&stored, "commitment"));
    assert_eq!(text(opening, "commitment"), text(&stored, "commitment"));
}

fn order(token: &str, id: &'static str) -> [(&'static str, String); 3] {
    [
        ("token", token.to_owned()),
        ("order_id", id.to_owned()),
        ("consent", "granted".to_owned()),
    ]
}

async fn send(app: &TestApp, pairs: &[(&'static str, String)]) -> String {
    let pairs: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let answer = app.shop().postback(&pairs).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.member("conversion_id")
}

async fn only(auditor: &Auditor, filter: &str) -> String {
    let found = auditor.entries(filter).await;
    assert_eq!(found.len(), 1, "{filter}");
    text(&found[0], "id").to_owned()
}

both!(
    an_opening_shows_what_the_commitment_is_the_hash_of,
    async |app: &TestApp| {
        let token = app.token("Ab3xK9").await;
        let conversion = send(app, &order(&token, "A-1")).await;
        app.clock.advance_seconds(1);
        send(app, &order(&token, "A-1")).await;
        let nameless = app.token("Winter").await;
        let without_order = [("token", nameless.clone()), ("consent", "granted".to_owned())];
        app.clock.advance_seconds(1);
        let plain = send(app, &without_order).await;
        app.clock.advance_seconds(1);
        let change = json!({"status": "cancelled"});
        assert_eq!(
            app.manager()
                .patch(&format!("/v1/conversions/{conversion}"), &change)
                .await
                .status,
            200
        );
        app.keep_logs().await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let recorded = only(&auditor, &format!("&conversion={conversion}")).await;
        let nameless = only(&auditor, &format!("&conversion={plain}")).await;
        assert_eq!(
            only(&auditor, "&order_id=A-1").await,
            recorded,
            "found by its order, too"
        );
        assert_eq!(auditor.entries("&order_id=A-9").await.len(), 0);
        let duplicate = only(&auditor, "&outcome=duplicate").await;
        let changed = only(&auditor, "&action=conversion.changed").await;
        let order_hex = hex::encode(sha256(b"A-1"));
        let id: ConversionId = conversion.parse().expect("an id");
        let conversion_hex = id.0.simple().to_string();
        for (entry, query, kind, what) in [
            (&recorded, String::new(), "order", order_hex.as_str()),
            (&recorded, "?order_id=A-1".to_owned(), "order", &order_hex),
            (
                &recorded,
                format!("?conversion={conversion}"),
                "order",
                &order_hex,
            ),
            (&duplicate, "?order_id=A-1".to_owned(), "order", &order_hex),
            (
                &duplicate,
                format!("?conversion={conversion}"),
                "order",
                &order_hex,
            ),
            (
                &changed,
                format!("?conversion={conversion}"),
                "conversion",
                &conversion_hex,
            ),
            (&nameless, String::new(), "click", ""),
        ] {
            let before = app.ledger.leaves("audit_entry.opened").await;
            let opening = auditor
                .get(&format!("/v1/audit/entries/{entry}/opening{query}"))
                .await;
            check(&opening);
            assert_eq!(
                (text(&opening, "kind"), text(&opening, "what")),
                (kind, what),
                "{query}"
            );
            assert!(!opening.to_string().contains("A-1"), "the order stays sealed");
            assert_eq!(
                app.ledger.leaves("audit_entry.opened").await,
                before + 1,
                "entered"
            );
            let object = format!("{entry}\",\"outcome\":\"shown");
            assert!(app.ledger.leaves(&object).await >= 1, "the entry is named");
        }
    }
);

both!(
    what_is_not_of_the_entry_does_not_open_it,
    async |app: &TestApp| {
        let token = app.token("Ab3xK9").await;
        let first = send(app, &order(&token, "A-1")).await;
        app.clock.advance_seconds(1);
        let second = send(app, &order(&token, "A-2")).await;
        app.clock.advance_seconds(1);
        send(app, &order(&token, "A-2")).await;
        let change = json!({"status": "cancelled"});
        assert_eq!(
            app.manager()
                .patch(&format!("/v1/conversions/{first}"), &change)
                .await
                .status,
            200
        );
        app.keep_logs().await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let entry = only(&auditor, &format!("&conversion={first}")).await;
        let duplicate = only(&auditor, "&outcome=duplicate").await;
        let changed = only(&auditor, "&action=conversion.changed").await;
        let batch = text(&auditor.entries("&action=click.batch").await[0], "id").to_owned();
        let before = app.ledger.totals().await;
        for (entry, query, parameter) in [
            (&entry, "?order_id=A-2".to_owned(), "order_id"),
            (&entry, "?order_id=A-9".to_owned(), "order_id"),
            (&duplicate, "?order_id=A-1".to_owned(), "order_id"),
            (&duplicate, format!("?conversion={first}"), "conversion"),
            (&changed, format!("?conversion={second}"), "conversion"),
            (&batch, String::new(), "entry"),
        ] {
            let answer = auditor
                .caller
                .get(&format!("/v1/audit/entries/{entry}/opening{query}"))
                .await;
            answer.is(409, "refused", "conflict");
            assert_eq!(answer.member("parameter"), parameter, "{query}");
            assert!(!answer.text().contains("A-"), "never echoed");
        }
        for (entry, parameter) in [(&duplicate, "order_id"), (&changed, "conversion")] {
            auditor
                .caller
                .get(&format!("/v1/audit/entries/{entry}/opening"))
                .await
                .is_invalid(parameter);
        }
        assert_eq!(
            app.ledger.totals().await,
            before,
            "nothing was opened, nothing entered"
        );
    }
);

both!(
    every_click_of_a_batch_is_proved_on_its_own,
    async |app: &TestApp| {
        let mut clicks = Vec::new();
        for _ in 0..5 {
            clicks.push(app.click("Ab3xK9", "consent=granted"));
        }
        for click in futures_util::future::join_all(clicks).await {
            assert!(click.token.is_some());
        }
        app.keep_logs().await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let records = auditor.get("/v1/consent-records").await;
        let records = records["items"].as_array().expect("items").clone();
        assert_eq!(records.len(), 5);
        for record in &records {
            let proof = auditor
                .get(&format!("/v1/audit/clicks/{}/proof", text(record, "id")))
                .await;
            let event: Value = serde_json::from_slice(&bytes(&proof)).expect("JSON");
            assert_eq!(
                (text(&event, "action"), text(&event, "state")),
                ("click", "granted")
            );
            assert_eq!(
                event["commitment"], record["click_commitment"],
                "the same name as in the record"
            );
            let leaf = leaf_hash(&bytes(&proof));
            assert_eq!(hash(text(&proof, "leaf_hash")), leaf);
            let batch: Value = serde_json::from_slice(&bytes(&proof["batch"])).expect("JSON");
            let (place, count) = (number(&proof, "position"), number(&batch, "count"));
            assert_eq!(number(&proof, "count"), count);
            verify_inclusion(place, count, &leaf, &hashes(&proof), &hash(text(&batch, "root")))
                .expect("in the batch");
            auditor.check_proof(&proof["proof"], &leaf_hash(&bytes(&proof["batch"])));
        }
        // A record of another kind is no click.
        let token = app.token("Ab3xK9").await;
        send(app, &order(&token, "A-1")).await;
        let records = auditor.get("/v1/consent-records?order_id=A-1").await;
        let postback = text(&records["items"][1], "id");
        let answer = auditor
            .caller
            .get(&format!("/v1/audit/clicks/{postback}/proof"))
            .await;
        answer.is_invalid("record");
    }
);

/// What there is of a person before the erasure.
struct Before {
    proofs: Vec<(Value, Hash)>,
    committed: Vec<Value>,
}

async fn gather(auditor: &Auditor) -> Before {
    let (mut proofs, mut committed) = (Vec::new(), Vec::new());
    for entry in auditor.entries("").await {
        let proof = auditor
            .get(&format!("/v1/audit/entries/{}/proof", number(&entry, "index")))
            .await;
        proofs.push((proof, leaf_hash(&bytes(&entry))));
        if entry["entry"]["commitment"].is_string() {
            committed.push(entry);
        }
    }
    Before { proofs, committed }
}

both!(
    after_an_erasure_proofs_hold_and_nothing_that_is_left_opens_the_commitment,
    async |app: &TestApp| {
        let stays = app.token("Ab3xK9").await;
        let leaves = app.token("Ab3xK9").await;
        let kept = send(app, &order(&stays, "A-2")).await;
        app.clock.advance_seconds(1);
        let erased = send(app, &order(&leaves, "A-1")).await;
        app.clock.advance_seconds(1);
        send(app, &order(&leaves, "A-1")).await;
        app.keep_logs().await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let entry = only(&auditor, &format!("&conversion={erased}")).await;
        let duplicate = only(&auditor, "&outcome=duplicate").await;
        let records = auditor.get(&format!("/v1/consent-records?token={leaves}")).await;
        let click_record: RecordId = text(&records["items"][0], "id").parse().expect("an id");
        let opening = auditor.get(&format!("/v1/audit/entries/{entry}/opening")).await;
        check(&opening);
        app.keep_logs().await;
        let before = gather(&auditor).await;
        let earlier = auditor.latest().await;

        let withdrawn = json!({"token": leaves, "consent": "denied"});
        let answer = app.shop().post("/v1/consent-signals", &withdrawn).await;
        assert_eq!(answer.member("outcome"), "applied");
        app.clock.advance_seconds(2);
        app.keep_logs().await;

        // Every proof from before verifies, and the log goes on from there.
        for (proof, leaf) in &before.proofs {
            auditor.check_proof(proof, leaf);
        }
        let later = auditor.latest().await;
        auditor.check_growth(&earlier, &later).await;
        check_complete(&auditor.entries("").await, &later);
        // There is no opening any more, however one asks.
        for path in [
            format!("entries/{entry}/opening"),
            format!("entries/{entry}/opening?order_id=A-1"),
            format!("entries/{entry}/opening?order_id=A-7"),
            format!("entries/{entry}/opening?conversion={erased}"),
            format!("entries/{duplicate}/opening?order_id=A-1"),
            format!("entries/{duplicate}/opening?conversion={erased}"),
            format!("entries?conversion={erased}"),
            "entries?order_id=A-1".to_owned(),
            format!("clicks/{click_record}/proof"),
        ] {
            let answer = auditor.caller.get(&format!("/v1/audit/{path}")).await;
            answer.is(410, "refused", "consent_withdrawn");
        }
        let other = only(&auditor, &format!("&conversion={kept}")).await;
        check(&auditor.get(&format!("/v1/audit/entries/{other}/opening")).await);
        nothing_recomputes(app, &before, &opening).await;
    }
);

/// Tries everything that is left: every key of the tenant with every salt and every stored value that could stand in for
/// one, with the click and the order that were known before.
async fn nothing_recomputes(app: &TestApp, before: &Before, opening: &Value) {
    use einklang::domain::event::{LOG_EPOCH, commitment};
    use einklang::domain::keys::Secret;
    let tenant = app.ledger.tenant("acme").await;
    let routing = app.live.routing();
    let route = &routing.tenants[&tenant];
    let click: [u8; 16] = hex::decode(text(opening, "click"))
        .expect("hex")
        .try_into()
        .expect("16 bytes");
    let mut secrets: Vec<Secret> = vec![route.keys.record_key(), route.keys.secrets_key().clone()];
    for salt in app.ledger.blobs("SELECT salt FROM click_salt").await {
        let salt: [u8; 16] = salt.try_into().expect("a salt");
        for epoch in (0..=u16::MAX).filter(|epoch| route.keys.has_epoch(*epoch)) {
            secrets.push(route.keys.click(epoch, &salt).expect("the epoch's key").subject);
        }
    }
    for (table, column) in [
        ("suppression", "entry"),
        ("wrapped_key", "wrapped"),
        ("order_key", "order_hash"),
        ("order_key", "content_hash"),
    ] {
        for value in app.ledger.blobs(&format!("SELECT {column} FROM {table}")).await {
            // As a secret itself, and as the salt that a secret is derived from.
            secrets.extend(value.windows(32).filter_map(|part| Secret::from_slice(part).ok()));
            for salt in value.windows(16) {
                let salt: [u8; 16] = salt.try_into().expect("16 bytes");
                let epochs = (600..800).filter(|epoch| route.keys.has_epoch(*epoch));
                secrets.extend(epochs.map(|epoch| route.keys.click(epoch, &salt).expect("a key").subject));
            }
        }
    }
    assert!(secrets.len() > 100, "{}", secrets.len());
    let mut opened_of_others = 0;
    for entry in &before.committed {
        let mut nonce = [0; 16];
        hex::decode_to_slice(text(&entry["entry"], "nonce"), &mut nonce).expect("a nonce");
        for secret in &secrets {
            for what in [&sha256(b"A-1")[..], &[], &click[..]] {
                let made = commitment(secret, LOG_EPOCH, &nonce, &click, what);
                opened_of_others += usize::from(hex::encode(made) == text(&entry["entry"], "commitment"));
            }
        }
    }
    assert_eq!(opened_of_others, 0, "a commitment was recomputed");
}
