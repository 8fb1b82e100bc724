//! The audit logs as they are kept: every entry has one place, what is signed is the tree of what is stored, and a history
//! is never signed twice.

use std::path::PathBuf;

use ed25519_dalek::SigningKey;
use einklang::audit::merkle::{Hash, leaf_hash, root};
use einklang::audit::note::{Checkpoint, open_note};
use einklang::domain::event::{Actor, AuditEvent, Entry, Trail};
use einklang::domain::scope::TenantScope;
use einklang::flow::audit::days::ClosedDays;
use einklang::store::Store;

use crate::harness::app::TestApp;

const NAME: &str = "einklang.invalid/audit/";

/// The public key, from the file that the server made.
fn public(app: &TestApp) -> [u8; 32] {
    let text = std::fs::read_to_string(app.database.data_dir().join("audit.key")).expect("a key file");
    let digits = text
        .trim()
        .strip_prefix("einklang-audit-key-1:")
        .expect("its head");
    let mut seed = [0; 32];
    hex::decode_to_slice(digits, &mut seed).expect("hexadecimal");
    SigningKey::from_bytes(&seed).verifying_key().to_bytes()
}

fn guard(app: &TestApp) -> PathBuf {
    app.database.data_dir().join("audit-guard.json")
}

/// The leaves of a log's epoch, in order; every index from 0 has to be there once.
async fn leaves(app: &TestApp, tenant: i64, epoch: i64) -> Vec<Hash> {
    let of_log = format!("tenant = {tenant} AND epoch = {epoch}");
    let bodies = app
        .ledger
        .blobs(&format!(
            "SELECT body FROM audit_leaf WHERE {of_log} ORDER BY idx"
        ))
        .await;
    let last = app
        .ledger
        .number(&format!(
            "SELECT COALESCE(MAX(idx) + 1, 0) FROM audit_leaf WHERE {of_log}"
        ))
        .await;
    assert_eq!(last, i64::try_from(bodies.len()).expect("few"), "no gap");
    bodies.iter().map(|body| leaf_hash(body)).collect()
}

/// Every kept checkpoint of a log's epoch opens with the key and says what the leaves say. Returns the sizes.
async fn check_signed(app: &TestApp, tenant: i64, epoch: i64) -> Vec<u64> {
    let leaves = leaves(app, tenant, epoch).await;
    let of_log = format!("tenant = {tenant} AND epoch = {epoch}");
    let origin = app
        .ledger
        .texts(&format!(
            "SELECT origin FROM audit_log WHERE {of_log} AND origin IS NOT NULL"
        ))
        .await;
    let notes = app
        .ledger
        .texts(&format!(
            "SELECT note FROM audit_checkpoint WHERE {of_log} ORDER BY size"
        ))
        .await;
    let mut sizes = Vec::new();
    for note in notes {
        let origin = origin.first().expect("an origin");
        assert!(
            origin.starts_with(NAME) && origin.ends_with(&format!("/{epoch}")),
            "{origin}"
        );
        let text = open_note(&note, origin, &public(app)).expect("signed with the key");
        let checkpoint = Checkpoint::parse(&text).expect("a checkpoint");
        let size = usize::try_from(checkpoint.size).expect("small");
        assert_eq!(checkpoint.root, root(&leaves[..size]), "the root at {size}");
        sizes.push(checkpoint.size);
    }
    sizes
}

/// Many entries of the server's own log in one transaction.
async fn enter(app: &TestApp, count: usize) {
    let entries = (0..count).map(|number| {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&app.live.random::<8>());
        nonce[8..].copy_from_slice(&(number as u64).to_be_bytes());
        let mut event = AuditEvent::new(0, "test.made", &Actor::Server, "made", &nonce);
        event.at_ms = Some(app.live.now_ms());
        Entry::from(event)
    });
    let trail = Trail::from_entries(entries.collect()).expect("entries");
    let store = Store::connect(&app.database.url).await.expect("connected");
    let tx = store.begin(TenantScope::Server).await.expect("begun");
    tx.commit_with(&trail).await.expect("committed");
    store.close().await;
}

both!(
    every_entry_has_a_place_in_its_own_log_and_what_is_signed_is_its_tree,
    async |app: &TestApp| {
        let token = app.token("Ab3xK9").await;
        let answer = app
            .shop()
            .get(&format!(
                "/postback?token={token}&order_id=1&amount=1.00&currency=EUR&consent=granted"
            ))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        app.keep_logs().await;
        assert_eq!(
            app.ledger.number("SELECT COUNT(*) FROM audit_pending").await,
            0,
            "nothing waits"
        );
        let acme = app.ledger.tenant("acme").await;
        let globex = app.ledger.tenant("globex").await;
        for tenant in [0, acme, globex] {
            let sizes = check_signed(app, tenant, 0).await;
            let size = leaves(app, tenant, 0).await.len() as u64;
            assert_eq!(sizes.last(), Some(&size), "tenant {tenant} is signed whole");
        }
        let foreign = format!("tenant = {globex} AND tenant <> {globex}");
        assert_eq!(app.ledger.count("audit_leaf", &foreign).await, 0);
    }
);

both!(
    a_tree_of_many_tiles_is_signed_as_the_leaves_say,
    async |app: &TestApp| {
        // Across the borders of tiles, in steps that fit none of them.
        for count in [1, 254, 1, 1, 300, 255, 700] {
            enter(app, count).await;
            app.keep_logs().await;
        }
        let sizes = check_signed(app, 0, 0).await;
        assert!(sizes.len() >= 7, "{sizes:?}");
        let size = i64::try_from(leaves(app, 0, 0).await.len()).expect("few");
        assert_eq!(
            app.ledger.count("audit_tile", "tenant = 0 AND level = 0").await,
            size / 256,
            "one row for each full tile"
        );
        let parents = app
            .ledger
            .blobs("SELECT hashes FROM audit_tile WHERE tenant = 0 AND level = 1")
            .await;
        assert_eq!(parents.len(), 1);
        assert_eq!(i64::try_from(parents[0].len()).expect("short"), size / 256 * 32);
    }
);

both!(
    two_nodes_that_place_at_once_never_give_a_place_twice,
    async |app: &TestApp| {
        let twin = app.twin().await;
        for _ in 0..8 {
            tokio::join!(enter(app, 90), enter(&twin, 70));
            tokio::join!(app.keep_logs(), twin.keep_logs());
        }
        app.keep_logs().await;
        let made = app.ledger.leaves("test.made").await;
        assert_eq!(made, 8 * 160);
        check_signed(app, 0, 0).await;
        assert_eq!(
            app.ledger.count("audit_log", "epoch > 0").await,
            0,
            "no new epoch"
        );
        twin.stop().await;
    }
);

both!(
    a_log_that_was_rewound_opens_a_new_epoch_and_says_so,
    async |app: &TestApp| {
        enter(app, 10).await;
        app.keep_logs().await;
        let signed = *check_signed(app, 0, 0).await.last().expect("signed");
        // As a restored backup does: the last entries and the checkpoints over them are gone.
        let kept = signed - 4;
        for sql in [
            format!("DELETE FROM audit_leaf WHERE tenant = 0 AND idx >= {kept}"),
            format!("DELETE FROM audit_checkpoint WHERE tenant = 0 AND size > {kept}"),
            format!("UPDATE audit_log SET size = {kept} WHERE tenant = 0"),
        ] {
            app.database.execute(&sql).await;
        }
        enter(app, 2).await;
        app.keep_logs().await;
        assert_eq!(
            app.ledger
                .count(
                    "audit_checkpoint",
                    &format!("tenant = 0 AND epoch = 0 AND size > {kept}")
                )
                .await,
            0,
            "nothing more is signed in the old epoch"
        );
        app.keep_logs().await;
        let opened = app
            .ledger
            .blobs("SELECT body FROM audit_leaf WHERE tenant = 0 AND epoch = 1 AND idx = 0")
            .await;
        let opened = String::from_utf8(opened.concat()).expect("text");
        assert!(opened.contains(r#""action":"log.opened""#) && opened.contains(r#""reason":"rewound""#));
        assert!(
            opened.contains(&format!(r#""field":"last_size","old":"{signed}""#)),
            "{opened}"
        );
        enter(app, 3).await;
        app.keep_logs().await;
        assert_eq!(check_signed(app, 0, 1).await.last(), Some(&4));
        let guard = std::fs::read_to_string(guard(app)).expect("a guard file");
        assert!(guard.contains(r#""epoch": 1"#), "{guard}");
    }
);

both!(
    a_tree_that_contradicts_what_was_signed_is_not_signed_on,
    async |app: &TestApp| {
        enter(app, 300).await;
        app.keep_logs().await;
        let forged = if app.database.url.starts_with("sqlite:") {
            "zeroblob(32)"
        } else {
            "decode(repeat('00', 32), 'hex')"
        };
        let sql = format!("UPDATE audit_tile SET hashes = {forged} WHERE tenant = 0 AND level = 1");
        app.database.execute(&sql).await;
        enter(app, 1).await;
        app.keep_logs().await;
        let opened = app
            .ledger
            .blobs("SELECT body FROM audit_leaf WHERE tenant = 0 AND epoch = 1 AND idx = 0")
            .await;
        let opened = String::from_utf8(opened.concat()).expect("text");
        assert!(opened.contains(r#""reason":"contradicted""#), "{opened}");
    }
);

both!(
    without_a_guard_file_that_can_be_written_nothing_is_signed,
    async |app: &TestApp| {
        app.keep_logs().await;
        let before = check_signed(app, 0, 0).await;
        let place = guard(app);
        std::fs::remove_file(&place).expect("removed");
        std::fs::create_dir_all(place.join("in-the-way")).expect("made");
        enter(app, 5).await;
        app.keep_logs().await;
        assert_eq!(check_signed(app, 0, 0).await, before, "not signed");
        assert_eq!(app.ledger.leaves("test.made").await, 5, "placed all the same");
        std::fs::remove_dir_all(&place).expect("removed");
        app.keep_logs().await;
        assert_eq!(check_signed(app, 0, 0).await.len(), before.len() + 1);
    }
);

both!(
    old_checkpoints_are_thinned_out_and_what_is_left_still_verifies,
    async |app: &TestApp| {
        for _ in 0..4 {
            enter(app, 1).await;
            app.keep_logs().await;
            app.clock.advance_seconds(10);
        }
        let before = check_signed(app, 0, 0).await;
        assert_eq!(app.thin_checkpoints().await, 0, "these are of today");
        app.clock.advance_seconds(3 * 86_400);
        assert!(app.thin_checkpoints().await > 0);
        let after = check_signed(app, 0, 0).await;
        assert_eq!(after.last(), before.last());
        assert!(after.len() < before.len(), "{after:?} of {before:?}");
    }
);

both!(
    untracked_clicks_enter_the_log_as_one_leaf_per_closed_day,
    async |app: &TestApp| {
        for _ in 0..3 {
            app.click("Ab3xK9", "").await;
        }
        let denied = app.click("Ab3xK9", "consent=denied").await;
        assert_eq!(denied.token, None);
        let days = ClosedDays::new(std::sync::Arc::clone(&app.live));
        assert_eq!(days.enter().await.expect("entered"), 0, "the day is not over");
        app.clock.advance_seconds(86_400);
        let twin = app.twin().await;
        let other = ClosedDays::new(std::sync::Arc::clone(&twin.live));
        let (one, two) = tokio::join!(days.enter(), other.enter());
        assert_eq!(
            one.expect("entered") + two.expect("entered"),
            1,
            "once, whoever does it"
        );
        assert_eq!(days.enter().await.expect("entered"), 0);
        app.keep_logs().await;
        let acme = app.ledger.tenant("acme").await;
        // A node that looked before the other one committed is told so, and commits nothing.
        let store = Store::connect(&app.database.url).await.expect("connected");
        let day = app
            .ledger
            .number(&format!("SELECT day FROM audit_day WHERE tenant = {acme}"))
            .await;
        let tx = store.begin(TenantScope::Server).await.expect("begun");
        assert!(!tx.close_day(acme, day).await.expect("asked"), "it is closed");
        drop(tx);
        store.close().await;
        let bodies = app
            .ledger
            .blobs(&format!("SELECT body FROM audit_leaf WHERE tenant = {acme}"))
            .await;
        let text = |body: &Vec<u8>| String::from_utf8(body.clone()).expect("text");
        let untracked: Vec<String> = bodies
            .iter()
            .map(text)
            .filter(|body| body.contains("clicks.untracked"))
            .collect();
        let [leaf] = untracked.as_slice() else {
            panic!("one leaf: {untracked:?}")
        };
        let leaf: serde_json::Value = serde_json::from_str(leaf).expect("JSON");
        assert_eq!(leaf["count"], 4);
        assert_eq!(leaf["counts"].as_array().map(Vec::len), Some(2), "{leaf}");
        assert_eq!(leaf.get("at_ms"), None, "the day and nothing finer");
        twin.stop().await;
    }
);
