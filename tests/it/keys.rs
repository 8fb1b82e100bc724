//! Keys while a server runs: versions, rotation, successors of token keys, and what is destroyed when.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use einklang::domain::key_life::{TOKEN_KEY_KEPT_SECONDS, TOKEN_KEY_LEAD_SECONDS, TOKEN_KEY_SECONDS};
use einklang::flow::keys::{Kept, KeysFlow};
use einklang::flow::rotation::{NewToken, RotationFlow};

use crate::harness::app::TestApp;
use crate::harness::world;
use crate::key_sources::refusal;

/// A tracked click with its order; the click's token.
pub async fn order(app: &TestApp, name: &str) -> String {
    let token = app.token("Ab3xK9").await;
    let pairs = [("token", token.as_str()), ("order_id", name), ("consent", "1")];
    app.shop().postback(&pairs).await.is(200, "recorded", "accepted");
    token
}

/// Sends the order again: it is the same, if every key still gives what it gave.
pub async fn is_known(app: &TestApp, token: &str, name: &str) {
    let pairs = [("token", token), ("order_id", name), ("consent", "1")];
    app.shop()
        .postback(&pairs)
        .await
        .is(200, "duplicate", "duplicate");
}

/// Every consent record opens for whoever may see it; how many there are.
pub async fn every_record_opens(app: &TestApp) -> usize {
    let page = app.privacy().get("/v1/consent-records?limit=100").await.json();
    let items = page["items"].as_array().expect("items").clone();
    for item in &items {
        let id = item["id"].as_str().expect("an id");
        let record = app
            .privacy()
            .get(&format!("/v1/consent-records/{id}?reason=verification"))
            .await
            .json();
        assert!(record["evidence"].is_object(), "{record}");
    }
    items.len()
}

/// The tamper search finds nothing.
pub async fn all_fits(app: &TestApp) {
    app.keep_logs().await;
    let report = app.checks().run().await.expect("searched");
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

/// The id of the key that sealed a token.
fn key_id(token: &str) -> u16 {
    let bytes = URL_SAFE_NO_PAD.decode(token).expect("base64");
    u16::from_be_bytes([bytes[1], bytes[2]])
}

async fn keep(app: &TestApp) -> Kept {
    KeysFlow::new(Arc::clone(&app.live)).keep().await.expect("kept")
}

fn rotation(app: &TestApp) -> RotationFlow {
    RotationFlow::new(Arc::clone(&app.live))
}

const ACME: i64 = 1;

both!(
    a_tenant_key_is_replaced_and_all_that_it_wrapped_stays,
    async |app: &TestApp| {
        let token = order(app, "A-1").await;
        let keys = app.ledger.count("wrapped_key", "tenant = 1").await;
        let done = rotation(app).tenant(ACME, &|_| {}).await.expect("rotated");
        assert_eq!((done.from.as_str(), done.to.as_str()), ("1", "2"));
        assert_eq!((done.done, done.total), (keys - 1, keys - 1));
        assert!(done.ended_at_ms.is_some());
        // The old version is destroyed, and no other tenant was touched.
        let versions =
            "SELECT CAST(number AS TEXT) FROM wrapped_key WHERE purpose = 'tenant' ORDER BY tenant";
        assert_eq!(app.ledger.texts(versions).await, ["2", "1"]);
        let under_old = "tenant = 1 AND purpose <> 'tenant' AND wrapped_by <> '2'";
        assert_eq!(app.ledger.count("wrapped_key", under_old).await, 0);
        // Who had the keys in memory noticed nothing, and who reads them now finds the same ones.
        is_known(app, &token, "A-1").await;
        let twin = app.twin().await;
        is_known(&twin, &token, "A-1").await;
        let fresh = order(&twin, "A-2").await;
        is_known(app, &fresh, "A-2").await;
        assert_eq!(every_record_opens(&twin).await, 4);
        all_fits(&twin).await;
        twin.stop().await;
        let entries = app.ledger.entries(ACME).await;
        for action in ["key.created", "key.rewrapped", "key.destroyed", "key.rotated"] {
            let about_it = |entry: &&serde_json::Value| {
                let object = entry["object"].as_str().unwrap_or_default();
                entry["action"] == action && object.starts_with("tenant_key:")
            };
            assert_eq!(entries.iter().filter(about_it).count(), 1, "{action}");
        }
        // What the new version wraps is counted.
        let uses = "SELECT uses FROM key_use WHERE tenant = 1 AND purpose = 'tenant' AND number = 2";
        assert_eq!(app.ledger.number(uses).await, keys - 1);
    }
);

both!(a_rotation_goes_on_where_it_was_left, async |app: &TestApp| {
    let token = order(app, "A-1").await;
    // As a process leaves it that is killed between two transactions: the new version is there, and nothing is under it.
    let flow = rotation(app);
    flow.tenant(ACME, &|_| {}).await.expect("rotated");
    app.database
        .execute("UPDATE key_rotation SET ended_at_ms = NULL, done = 0")
        .await;
    let done = flow.tenant(ACME, &|_| {}).await.expect("rotated");
    assert_eq!((done.to.as_str(), done.number), ("2", 1), "the same one");
    // Another one after that is another rotation.
    let next = flow.tenant(ACME, &|_| {}).await.expect("rotated");
    assert_eq!((next.from.as_str(), next.to.as_str()), ("2", "3"));
    is_known(app, &token, "A-1").await;
    all_fits(app).await;
});

both!(two_rotations_and_traffic_at_once, async |app: &TestApp| {
    let twin = app.twin().await;
    let token = order(app, "A-1").await;
    let rotate = async |app: &TestApp| {
        let flow = rotation(app);
        for _ in 0..3 {
            flow.tenant(ACME, &|_| {}).await.expect("rotated");
            flow.token(ACME).await.expect("made");
        }
    };
    let traffic = async |app: &TestApp, name: &str| {
        for turn in 0..15 {
            let order_id = format!("{name}-{turn}");
            let token = order(app, &order_id).await;
            is_known(app, &token, &order_id).await;
            app.live.reload().await.expect("reloaded");
        }
    };
    tokio::join!(rotate(app), rotate(&twin), traffic(app, "B"), traffic(&twin, "C"));
    is_known(&twin, &token, "A-1").await;
    let left = "ended_at_ms IS NULL";
    assert_eq!(app.ledger.count("key_rotation", left).await, 0);
    let versions = "tenant = 1 AND purpose = 'tenant'";
    assert_eq!(app.ledger.count("wrapped_key", versions).await, 1);
    let late = app.twin().await;
    is_known(&late, &token, "A-1").await;
    assert_eq!(every_record_opens(&late).await, 62);
    all_fits(&late).await;
    late.stop().await;
    twin.stop().await;
});

both!(
    a_token_key_is_succeeded_by_age_opens_on_and_is_destroyed,
    async |app: &TestApp| {
        let old = order(app, "A-1").await;
        assert_eq!(key_id(&old), 1);
        app.clock.advance_seconds(TOKEN_KEY_SECONDS - 1);
        assert_eq!(keep(app).await, Kept::default(), "not a second early");
        app.clock.advance_seconds(1);
        let made = Kept {
            made: 2,
            destroyed: 0,
        };
        assert_eq!(keep(app).await, made, "one for each tenant");
        assert_eq!(keep(app).await, Kept::default(), "once");
        // A node that has not read it yet gets no token of it, since nobody seals with it yet.
        let before = app.token("Ab3xK9").await;
        assert_eq!(key_id(&before), 1);
        app.clock.advance_seconds(TOKEN_KEY_LEAD_SECONDS);
        let after = app.token("Ab3xK9").await;
        assert_eq!(key_id(&after), 2);
        for (token, name) in [(&before, "A-2"), (&after, "A-3")] {
            let pairs = [("token", token.as_str()), ("order_id", name), ("consent", "1")];
            app.shop().postback(&pairs).await.is(200, "recorded", "accepted");
        }
        app.clock.advance_seconds(TOKEN_KEY_KEPT_SECONDS);
        let made = keep(app).await;
        assert_eq!(
            (made.made, made.destroyed),
            (2, 0),
            "its last tokens may still come"
        );
        let late = [("token", before.as_str()), ("order_id", "A-2"), ("consent", "1")];
        app.shop()
            .postback(&late)
            .await
            .is(410, "refused", "token_expired");
        app.clock.advance_seconds(1);
        assert_eq!(keep(app).await.destroyed, 2);
        // A token under a destroyed key is like any that does not open.
        let answer = app.shop().postback(&late).await;
        answer.is(404, "refused", "unknown_token");
        let mut garbage = app
            .shop()
            .postback(&[("token", "x"), ("consent", "1")])
            .await
            .json();
        garbage["request_id"] = answer.json()["request_id"].clone();
        assert_eq!(answer.json(), garbage);
        let twin = app.twin().await;
        twin.shop()
            .postback(&late)
            .await
            .is(404, "refused", "unknown_token");
        all_fits(&twin).await;
        twin.stop().await;
        assert_eq!(app.ledger.leaves("key.destroyed").await, 2);
    }
);

both!(a_token_key_is_succeeded_by_use, async |app: &TestApp| {
    for _ in 0..5 {
        app.token("Ab3xK9").await;
    }
    app.click("Ab3xK9", "consent=denied").await;
    assert_eq!(keep(app).await, Kept::default());
    let uses = "SELECT uses FROM key_use WHERE tenant = 1 AND purpose = 'token' AND number = 1";
    assert_eq!(
        app.ledger.number(uses).await,
        5,
        "what has no token counts as none"
    );
    // The twin's count comes on top when it stops.
    let twin = app.twin().await;
    twin.token("Ab3xK9").await;
    twin.stop().await;
    assert_eq!(app.ledger.number(uses).await, 6);
    app.database
        .execute("UPDATE key_use SET uses = 2147483647 WHERE purpose = 'token'")
        .await;
    assert_eq!(keep(app).await.made, 0, "one is left");
    app.token("Ab3xK9").await;
    assert_eq!(keep(app).await.made, 1);
    app.clock.advance_seconds(TOKEN_KEY_LEAD_SECONDS);
    assert_eq!(key_id(&app.token("Ab3xK9").await), 2);
});

both!(
    a_token_key_by_hand_is_made_once_a_minute,
    async |app: &TestApp| {
        let flow = rotation(app);
        assert_eq!(flow.token(ACME).await.expect("made"), NewToken::Made(2));
        assert_eq!(flow.token(ACME).await.expect("made"), NewToken::Waiting);
        app.clock.advance_seconds(TOKEN_KEY_LEAD_SECONDS);
        app.live.reload().await.expect("reloaded");
        assert_eq!(key_id(&app.token("Ab3xK9").await), 2);
        assert_eq!(flow.token(ACME).await.expect("made"), NewToken::Made(3));
    }
);

both!(two_nodes_make_one_successor, async |app: &TestApp| {
    let twin = app.twin().await;
    app.clock.advance_seconds(TOKEN_KEY_SECONDS);
    let (one, other) = tokio::join!(keep(app), keep(&twin));
    assert_eq!(one.made + other.made, 2, "one for each tenant");
    assert_eq!(app.ledger.count("wrapped_key", "purpose = 'token'").await, 4);
    twin.stop().await;
});

both!(keys_are_listed_without_being_shown, async |app: &TestApp| {
    rotation(app).tenant(ACME, &|_| {}).await.expect("rotated");
    let answer = app.manager().get("/v1/keys").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    let items = body["items"].as_array().expect("items");
    let of = |purpose: &str| -> Vec<_> { items.iter().filter(|item| item["purpose"] == purpose).collect() };
    for (purpose, number) in [
        ("tenant", 1),
        ("token", 1),
        ("index", 1),
        ("suppression", 1),
        ("secrets", 1),
        ("epoch", 2),
    ] {
        assert_eq!(of(purpose).len(), number, "{purpose}: {body}");
    }
    assert!(items.iter().all(|item| item["state"] == "primary"));
    assert_eq!(of("token")[0]["wrapped_by"], "2");
    assert_eq!(of("secrets")[0]["uses"], 2, "the signing shop's two");
    assert_eq!(body["rotations"][0]["kind"], "tenant");
    assert_eq!(body["rotations"][0]["done"], body["rotations"][0]["total"]);
    // The operator sees what wraps tenants' keys, and no tenant's.
    let operators = app.holder(world::OPERATOR).get("/v1/keys").await.json();
    let root = operators["items"].as_array().expect("items");
    assert_eq!(root.len(), 1);
    assert_eq!(
        (&root[0]["purpose"], &root[0]["uses"]),
        (&"root".into(), &2.into())
    );
    assert_eq!(of("tenant")[0]["wrapped_by"], root[0]["fingerprint"]);
    // Nothing of a wrapped key is in either.
    for wrapped in app.ledger.blobs("SELECT wrapped FROM wrapped_key").await {
        let tail = &wrapped[wrapped.len() - 8..];
        for text in [answer.text(), operators.to_string()] {
            assert!(!text.contains(&hex::encode(tail)));
        }
    }
    app.manager()
        .get("/v1/keys?purpose=token")
        .await
        .is(400, "refused", "invalid_request");
});

both!(
    a_damaged_row_is_named_and_stops_no_server_that_runs,
    async |app: &TestApp| {
        let token = order(app, "A-1").await;
        let of_globex = |purpose: &str| {
            format!(
                "wrapped = (SELECT o.wrapped FROM wrapped_key o WHERE o.tenant = 2 AND o.purpose = '{purpose}')"
            )
        };
        let cut = "wrapped = substr(wrapped, 1, 59)".to_owned();
        for (purpose, damage) in [
            ("token", cut),
            ("index", of_globex("index")),
            ("tenant", of_globex("tenant")),
        ] {
            let aside = "CREATE TABLE aside AS SELECT * FROM wrapped_key";
            app.database.execute(aside).await;
            let damage =
                format!("UPDATE wrapped_key SET {damage} WHERE tenant = 1 AND purpose = '{purpose}'");
            app.database.execute(&damage).await;
            app.database
                .execute("UPDATE routing SET version = version + 1")
                .await;
            // Who has the keys goes on with them.
            is_known(app, &token, "A-1").await;
            order(app, purpose).await;
            assert_eq!(app.live.rootless_tenants(), ["acme"]);
            assert!(rotation(app).tenant(ACME, &|_| {}).await.is_err());
            assert_eq!(app.ledger.count("key_rotation", "1 = 1").await, 0, "not begun");
            // Who has them not does not start, and says why.
            let said = refusal(app, |_| {}).await;
            let named =
                format!("the {purpose} key 1 of tenant 1 does not open: its row is damaged or was moved");
            assert!(said.contains(&named), "{said}");
            app.database.execute("DELETE FROM wrapped_key").await;
            let back = "INSERT INTO wrapped_key SELECT * FROM aside";
            app.database.execute(back).await;
            app.database.execute("DROP TABLE aside").await;
            app.live.reload().await.expect("reloaded");
            assert!(app.live.rootless_tenants().is_empty());
        }
    }
);
