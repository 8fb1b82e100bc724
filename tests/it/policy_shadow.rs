//! A draft in the shadow of the policy in force: asked about everything, counted, obeyed in nothing.

use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::clock::START_S;
use crate::harness::tcf;
use crate::harness::world;
use crate::policy::{made, read};

/// The report of a draft, as an auditor reads it.
async fn report(app: &TestApp, draft: &Value) -> Value {
    let id = draft["id"].as_str().expect("an id");
    let answer = app
        .holder(world::AUDITOR)
        .get(&format!("/v1/policies/{id}/shadow-report"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The rows of a report: kind, what came of it, what would have, how often.
fn rows(report: &Value) -> Vec<String> {
    let said = |verdict: &Value| {
        let text = |member: &str| verdict[member].as_str().expect("a text").to_owned();
        format!("{} {}", text("outcome"), text("reason"))
    };
    let items = report["items"].as_array().expect("items").iter();
    items
        .map(|item| {
            assert_eq!(item["day"], "2026-11-24");
            format!(
                "{} {}: {} -> {} x{}",
                item["kind"].as_str().expect("a kind"),
                item["campaign"]["slug"].as_str().unwrap_or("-"),
                said(&item["in_force"]),
                said(&item["draft"]),
                item["events"]
            )
        })
        .collect()
}

both!(
    where_a_draft_would_have_said_otherwise_is_counted,
    async |app: &TestApp| {
        let manager = app.manager();
        let draft = made(
            &manager,
            &json!({"draft": true, "mode": "opt_out", "refusal": "drop"}),
        )
        .await;
        assert_eq!(draft["state"], "draft");
        // Clicks: the draft would track those of whom nothing is known.
        for query in ["", "gdpr=0", "consent=denied", "consent=granted", "consent=x"] {
            app.click("Ab3xK9", query).await;
        }
        app.click("Winter", "").await;
        let head = app.visitor();
        head.send(head.request(reqwest::Method::HEAD, "/c/Ab3xK9")).await;
        // Postbacks: it would take one without a signal, and drop what it does not take.
        let token = app.token("Ab3xK9").await;
        let order = [("token", token.as_str()), ("order_id", "A-1")];
        app.shop()
            .postback(&order)
            .await
            .is(422, "refused", "consent_missing");
        app.shop()
            .postback(&[("order_id", "A-2"), ("consent", "granted")])
            .await
            .is(422, "refused", "no_token");
        for more in [("dry_run", "1"), ("test", "1")] {
            app.shop().postback(&[&order[..], &[more]].concat()).await;
        }
        let granted = [&order[..], &[("consent", "granted")]].concat();
        app.shop()
            .postback(&granted)
            .await
            .is(200, "recorded", "accepted");
        let report = report(app, &draft).await;
        assert_eq!(
            rows(&report),
            [
                "postback -: refused no_token -> dropped no_token x1",
                "click autumn: untracked consent_missing -> tracked accepted x2",
                "postback autumn: refused consent_missing -> recorded accepted x1",
                "click winter: untracked consent_missing -> tracked accepted x1",
            ],
            "{report}"
        );
        assert_eq!(report["clicks"], json!({"evaluated": 7, "different": 3}));
        assert_eq!(report["postbacks"], json!({"evaluated": 3, "different": 2}));
        // Only the policy in force acted.
        assert_eq!(app.ledger.count("click", "1 = 1").await, 2);
        assert_eq!(app.ledger.count("click", "policy_version <> 1").await, 0);
        assert_eq!(app.ledger.count("conversion", "NOT test").await, 1);
    }
);

both!(a_draft_reads_signals_on_its_own_terms, async |app: &TestApp| {
    let manager = app.manager();
    let string = |age_days: i64| {
        let string = tcf::string(755, &[1, 7], START_S - age_days * 86_400);
        format!("gdpr_consent={string}")
    };
    let younger = made(&manager, &json!({"draft": true, "max_consent_age_days": 180})).await;
    for age_days in [1, 180, 181, 395, 396] {
        app.click("BlogAd", &string(age_days)).await;
    }
    assert_eq!(
        rows(&report(app, &younger).await),
        ["click autumn: tracked accepted -> untracked consent_missing x2"]
    );
    // Another draft takes its place; what the first one said stays readable.
    let other = made(&manager, &json!({"draft": true, "tcf_vendor_id": 756})).await;
    assert_eq!(read(&manager, &younger).await["state"], "withdrawn");
    app.click("BlogAd", &string(1)).await;
    assert_eq!(
        rows(&report(app, &other).await),
        ["click autumn: tracked accepted -> untracked consent_denied x1"]
    );
    let first = report(app, &younger).await;
    assert_eq!(first["clicks"], json!({"evaluated": 5, "different": 2}));
    // Once it is withdrawn, nothing is asked any more.
    let path = format!("/v1/policies/{}", other["id"].as_str().expect("an id"));
    manager
        .send(manager.request(reqwest::Method::DELETE, &path))
        .await;
    let before = app.ledger.events("stat_shadow", "1 = 1").await;
    app.click("BlogAd", &string(1)).await;
    assert_eq!(app.ledger.events("stat_shadow", "1 = 1").await, before);
});

both!(
    campaigns_that_are_too_small_to_be_counted_are_not_in_the_report,
    async |app: &TestApp| {
        let manager = app.manager();
        made(&manager, &json!({"untracked_counts": "tenant"})).await;
        let draft = made(&manager, &json!({"draft": true, "mode": "opt_out"})).await;
        app.click("Ab3xK9", "").await;
        app.click("Winter", "").await;
        let token = app.token("Ab3xK9").await;
        let order = [("token", token.as_str()), ("order_id", "A-1")];
        app.shop().postback(&order).await;
        assert_eq!(
            rows(&report(app, &draft).await),
            [
                "click -: untracked consent_missing -> tracked accepted x2",
                "postback -: refused consent_missing -> recorded accepted x1",
            ]
        );
        assert_eq!(app.ledger.count("stat_shadow", "campaign <> 0").await, 0);
    }
);

both!(the_counts_know_nobody, async |app: &TestApp| {
    let twin = app.twin().await;
    let manager = app.manager();
    let draft = made(&manager, &json!({"draft": true, "mode": "opt_out"})).await;
    twin.live.reload_if_changed().await.expect("reloaded");
    for node in [app, &twin, &twin] {
        node.click("Ab3xK9", "sub1=canary").await;
    }
    // Each node counts by itself, the report sums them up; another tenant's draft is nobody else's business.
    assert_eq!(app.ledger.count("stat_shadow", "events > 0").await, 2);
    assert_eq!(report(app, &draft).await["clicks"]["different"], 3);
    app.click("Globex", "").await;
    assert_eq!(app.ledger.events("stat_shadow", "1 = 1").await, 3);
    twin.stop().await;
});
