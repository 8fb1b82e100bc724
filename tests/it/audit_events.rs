//! Which events stand in which audit log, after a scenario that has some of everything, and that nothing in them is about
//! a person.

use std::collections::BTreeSet;
use std::sync::Arc;

use einklang::flow::audit::days::ClosedDays;
use einklang::flow::records::replay::ReplayFlow;
use http::Method;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::world;

/// What a tenant's log has to tell of, as action and outcome.
const OF_TENANT: [(&str, &str); 35] = [
    ("tenant.created", "created"),
    ("policy.created", "created"),
    ("shop.created", "created"),
    ("publisher.created", "created"),
    ("campaign.created", "created"),
    ("campaign.changed", "changed"),
    ("goal.created", "created"),
    ("link.created", "created"),
    ("link.archived", "archived"),
    ("user.created", "created"),
    ("api_key.created", "created"),
    ("click.batch", "tracked"),
    ("clicks.untracked", "untracked"),
    ("click.erased", "erased"),
    ("postback.verdict", "recorded"),
    ("postback.verdict", "duplicate"),
    ("postback.verdict", "refused"),
    ("postback.verdict", "dropped"),
    ("consent.changed", "granted"),
    ("consent.changed", "withdrawn"),
    ("conversion.changed", "changed"),
    ("retention.removed", "removed"),
    ("retention.purged", "purged"),
    ("retention.changed", "changed"),
    ("hold.created", "created"),
    ("hold.archived", "archived"),
    ("operator_grant.created", "created"),
    ("operator_grant.archived", "archived"),
    ("consent_record.read", "shown"),
    ("consent_receipt.issued", "shown"),
    ("consent_record.replayed", "shown"),
    ("consent_records.replayed", "replayed"),
    ("report.exported", "exported"),
    ("access.refused", "refused"),
    ("key.created", "created"),
];
/// What the server's own log has to tell of.
const OF_SERVER: [(&str, &str); 6] = [
    ("key.created", "created"),
    ("api_key.created", "created"),
    ("access.refused", "refused"),
    ("audit.checked", "clean"),
    ("server.started", "started"),
    ("server.stopped", "stopped"),
];

fn told(entries: &[Value]) -> BTreeSet<(String, String)> {
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    entries
        .iter()
        .map(|entry| (text(entry, "action"), text(entry, "outcome")))
        .collect()
}

async fn traffic(app: &TestApp) -> String {
    let shop = app.shop();
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(app.token("Ab3xK9").await);
    }
    app.click("Ab3xK9", "consent=denied").await;
    let pairs = [
        ("token", tokens[0].as_str()),
        ("order_id", "canary-order"),
        ("customer_ref", "canary-customer"),
        ("coupon", "canary-coupon"),
        ("amount", "77137713.77"),
        ("consent", "1"),
    ];
    let recorded = shop.postback(&pairs).await;
    let conversion = recorded.member("conversion_id");
    shop.postback(&pairs).await.is(200, "duplicate", "duplicate");
    let test = [
        ("token", tokens[1].as_str()),
        ("order_id", "T"),
        ("consent", "1"),
        ("test", "1"),
    ];
    shop.postback(&test).await.is(200, "recorded", "accepted");
    shop.postback(&[("order_id", "canary-refused"), ("consent", "1")])
        .await
        .is(422, "refused", "no_token");
    app.holder(world::OUTLET)
        .postback(&[("order_id", "canary-dropped"), ("consent", "1")])
        .await
        .is(200, "dropped", "no_token");
    for (token, state) in [(&tokens[0], "1"), (&tokens[2], "0")] {
        let body = json!({"token": token, "consent": state});
        assert_eq!(shop.post("/v1/consent-signals", &body).await.status, 200);
    }
    let correction = json!({"status": "cancelled"});
    let corrected = app
        .manager()
        .patch(&format!("/v1/conversions/{conversion}"), &correction)
        .await;
    assert_eq!(corrected.status, 200, "{}", corrected.text());
    tokens.remove(0)
}

async fn looks(app: &TestApp, token: &str) {
    let privacy = app.privacy();
    let list = privacy
        .get(&format!("/v1/consent-records?token={token}"))
        .await
        .json();
    let id = list["items"][0]["id"].as_str().expect("a record").to_owned();
    for more in ["?reason=complaint", "/receipt?reason=answer", "/replay"] {
        let answer = privacy.get(&format!("/v1/consent-records/{id}{more}")).await;
        assert_eq!(answer.status, 200, "{more}");
    }
    ReplayFlow::new(Arc::clone(&app.live))
        .run(None, &|_| {})
        .await
        .expect("replayed");
    for name in ["performance", "consent"] {
        let path = format!("/v1/reports/{name}");
        let json = app.manager().get(&format!("{path}?format=json")).await;
        // The contract that answers are held against is of JSON.
        let request = app.manager().request(Method::GET, &format!("{path}?format=csv"));
        let csv = request.send().await.expect("an answer");
        assert_eq!((json.status, csv.status().as_u16()), (200, 200));
    }
}

async fn changes(app: &TestApp) {
    let manager = app.manager();
    let campaigns = manager.get("/v1/campaigns").await.json();
    let id = campaigns["items"][0]["id"]
        .as_str()
        .expect("a campaign")
        .to_owned();
    let change = json!({"window_days": 7});
    assert_eq!(
        manager
            .patch(&format!("/v1/campaigns/{id}"), &change)
            .await
            .status,
        200
    );
    let links = manager.get("/v1/links").await.json();
    let last = links["items"]
        .as_array()
        .and_then(|items| items.last())
        .expect("a link");
    let path = format!("/v1/links/{}", last["id"].as_str().expect("an id"));
    let archived = manager.send(manager.request(Method::DELETE, &path)).await;
    assert_eq!(archived.status, 200, "{}", archived.text());
    let change = json!({"class": "minimal_proof", "days": 400, "reason": "legal_claims"});
    assert_eq!(manager.patch("/v1/retention", &change).await.status, 200);
    let hold = json!({"class": "suppression", "reason": "investigation", "reference": "A-1",
        "review_at": "2026-12-31T00:00:00Z"});
    let made = app.privacy().post("/v1/holds", &hold).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = format!("/v1/holds/{}", made.member("id"));
    let lifted = manager.send(manager.request(Method::DELETE, &path)).await;
    assert_eq!(lifted.status, 200, "{}", lifted.text());
    let grant = json!({"reason": "incident", "reference": "A-2"});
    let made = app.privacy().post("/v1/operator-grants", &grant).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = format!("/v1/operator-grants/{}", made.member("id"));
    let revoked = manager.send(manager.request(Method::DELETE, &path)).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text());
}

/// Everything that is turned away: an unknown key, a role, a signature, an address.
async fn intrusions(app: &TestApp) {
    for _ in 0..3 {
        app.holder("ek_test_canary_key_of_nobody").get("/v1/shops").await;
        app.shop().get("/v1/shops").await;
    }
    app.anonymous()
        .post_form("/postback/shp_acme_signing", &[("order_id", "canary-unsigned")])
        .await
        .is(401, "refused", "unauthenticated");
    app.holder(world::FENCED)
        .postback(&[("order_id", "canary-fenced")])
        .await
        .is(403, "refused", "forbidden");
    let guess = [
        ("grant_type", "password"),
        ("username", "acme/canary-user"),
        ("password", "canary-password"),
    ];
    let signed_in = app.anonymous().post_form("/oauth/token", &guess).await;
    assert_eq!(signed_in.status, 401, "{}", signed_in.text());
    assert_eq!(app.enter_refusals().await, 5, "one for each kind");
    assert_eq!(app.enter_refusals().await, 0);
}

both!(
    every_kind_of_event_stands_in_its_log_and_says_nothing_personal,
    async |app: &TestApp| {
        app.note_server("server.started", "started").await;
        let token = traffic(app).await;
        looks(app, &token).await;
        changes(app).await;
        intrusions(app).await;
        // Long enough for the purge of tests, and into another month.
        app.clock.advance_seconds(40 * 86_400);
        app.live.prepare_epochs().await.expect("made");
        ClosedDays::new(Arc::clone(&app.live))
            .enter()
            .await
            .expect("entered");
        app.purge().await;
        app.keep_logs().await;
        let report = app.checks().run().await.expect("searched");
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
        app.note_server("server.stopped", "stopped").await;

        let acme = app.ledger.tenant("acme").await;
        let of_tenant = app.ledger.entries(acme).await;
        let of_server = app.ledger.entries(0).await;
        for (entries, expected) in [(&of_tenant, &OF_TENANT[..]), (&of_server, &OF_SERVER[..])] {
            let told = told(entries);
            for (action, outcome) in expected {
                let pair = ((*action).to_owned(), (*outcome).to_owned());
                assert!(told.contains(&pair), "{action} {outcome} is missing: {told:?}");
            }
            assert!(
                entries
                    .iter()
                    .all(|entry| entry["tenant"] == entries[0]["tenant"])
            );
        }
        let needles = [
            "canary",
            "Mozilla",
            "127.0.0.1",
            "77137713.77",
            "7713771377",
            token.as_str(),
            world::SHOP,
            world::MANAGER,
            world::SECRETS[0],
        ];
        for entry in of_tenant.iter().chain(&of_server) {
            let text = entry.to_string();
            for needle in needles {
                assert!(!text.contains(needle), "{needle} in {text}");
            }
        }
    }
);

both!(
    who_is_turned_away_stands_in_the_log_of_whom_it_was_about,
    async |app: &TestApp| {
        intrusions(app).await;
        let acme = app.ledger.tenant("acme").await;
        let refused = |entries: Vec<Value>| -> Vec<(String, String, i64, bool)> {
            let mut found: Vec<_> = entries
                .iter()
                .filter(|entry| entry["action"] == "access.refused")
                .map(|entry| {
                    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
                    let by_key = text("actor").starts_with("key:");
                    (
                        text("object"),
                        text("reason"),
                        entry["count"].as_i64().unwrap_or(0),
                        by_key,
                    )
                })
                .collect();
            found.sort();
            found
        };
        let own = |object: &str, reason: &str, count, by_key| {
            (format!("operation:{object}"), reason.to_owned(), count, by_key)
        };
        assert_eq!(
            refused(app.ledger.entries(acme).await),
            [
                own("list_shops", "forbidden", 3, true),
                own("send_postback", "forbidden", 1, true),
                own("send_shop_postback_form", "unauthenticated", 1, false),
            ]
        );
        assert_eq!(
            refused(app.ledger.entries(0).await),
            [
                own("issue_token", "unauthenticated", 1, false),
                own("list_shops", "unauthenticated", 3, false),
            ]
        );
    }
);
