//! Holds: what they keep, for how long, and that an erasure goes through them.

use einklang::domain::retention::Class;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Answer;
use crate::harness::world;

const DAY: i64 = 86_400;

fn hold(app: &TestApp, class: &str) -> Value {
    json!({"class": class, "reason": "legal_claims", "reference": "LG-HH-324-O-17-26",
        "review_at": app.clock.rfc3339(200 * DAY)})
}

async fn make(app: &TestApp, body: &Value) -> String {
    let answer = app.privacy().post("/v1/holds", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.member("id")
}

async fn lift(app: &TestApp, id: &str) -> Answer {
    let manager = app.manager();
    manager
        .send(manager.request(Method::DELETE, &format!("/v1/holds/{id}")))
        .await
}

/// How many rows of a class went, and how many were held.
async fn purge(app: &TestApp, class: Class) -> (u64, u64) {
    let report = app.purge().await;
    let of_class: Vec<_> = report.classes.iter().filter(|one| one.class == class).collect();
    (
        of_class.iter().map(|one| one.removed).sum(),
        of_class.iter().map(|one| one.left_held).sum(),
    )
}

async fn is_sound(app: &TestApp) {
    app.keep_logs().await;
    let report = app.checks().run().await.expect("searched");
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}

both!(what_is_held_stays_until_it_is_lifted, async |app: &TestApp| {
    for link in ["Ab3xK9", "Winter"] {
        app.token(link).await;
    }
    let campaigns = app.manager().get("/v1/campaigns").await.json();
    let items = campaigns["items"].as_array().expect("items").clone();
    let winter = items
        .iter()
        .find(|one| one["slug"] == "winter")
        .expect("a campaign");
    let mut body = hold(app, "consent_record");
    body["campaign"] = winter["id"].clone();
    let id = make(app, &body).await;
    app.clock.advance_seconds(120 * DAY);
    assert_eq!(
        purge(app, Class::Click).await,
        (1, 1),
        "only the campaign's is held"
    );
    let page = app.privacy().get("/v1/retention").await.json();
    let click = page["classes"]
        .as_array()
        .expect("classes")
        .iter()
        .find(|one| one["class"] == "click")
        .expect("clicks");
    assert_eq!(
        (&click["held"], &click["due"], &click["overdue"]),
        (&json!(1), &json!(0), &json!(false))
    );
    assert_eq!(app.ledger.leaves("\"reason\":\"held\"").await, 1);
    let lifted = lift(app, &id).await;
    assert_eq!(lifted.status, 200, "{}", lifted.text());
    assert!(lifted.json()["archived_at"].is_string());
    assert_eq!(purge(app, Class::Click).await, (1, 0));
    let read = app.manager().get(&format!("/v1/holds/{id}")).await.json();
    assert_eq!(
        (&read["reference"], &read["campaign"]),
        (&body["reference"], &body["campaign"])
    );
    is_sound(app).await;
});

both!(
    a_hold_on_everything_keeps_keys_and_ends_by_itself,
    async |app: &TestApp| {
        let token = app.token("Winter").await;
        let pairs = [("token", token.as_str()), ("order_id", "A-1"), ("consent", "1")];
        app.shop().postback(&pairs).await.is(200, "recorded", "accepted");
        let mut body = hold(app, "all");
        body["from"] = json!(app.clock.rfc3339(20 * DAY));
        body["until"] = json!(app.clock.rfc3339(150 * DAY));
        make(app, &body).await;
        app.clock.advance_seconds(149 * DAY);
        let report = app.purge().await;
        let acme = app.ledger.tenant("acme").await;
        let id = app.live.routing().tenants[&acme].tenant.object.id;
        let own: Vec<_> = report.classes.iter().filter(|one| one.tenant.0 == id).collect();
        assert!(own.iter().all(|one| one.removed == 0), "{own:?}");
        assert_eq!(
            own.iter().map(|one| one.left_held).sum::<u64>(),
            3,
            "click, details, order"
        );
        assert!(report.months.iter().all(|(tenant, _)| tenant.0 != id));
        app.clock.advance_seconds(DAY);
        let report = app.purge().await;
        assert_eq!(report.classes.iter().map(|one| one.removed).sum::<u64>(), 3);
        is_sound(app).await;
    }
);

both!(an_erasure_goes_through_a_hold, async |app: &TestApp| {
    let token = app.token("Winter").await;
    let pairs = [("token", token.as_str()), ("order_id", "A-1"), ("consent", "1")];
    app.shop().postback(&pairs).await.is(200, "recorded", "accepted");
    make(app, &hold(app, "all")).await;
    let signal = json!({"token": token, "consent": "0"});
    let answer = app.shop().post("/v1/consent-signals", &signal).await;
    assert_eq!(answer.member("outcome"), "applied", "{}", answer.text());
    for table in ["click", "click_salt", "order_key"] {
        assert_eq!(app.ledger.count(table, "1 = 1").await, 0, "{table}");
    }
    is_sound(app).await;
});

both!(a_hold_that_makes_no_sense_is_refused, async |app: &TestApp| {
    let good = hold(app, "click");
    let campaigns = app.manager().get("/v1/campaigns").await.json();
    let campaign = campaigns["items"][0]["id"].clone();
    let foreign = app
        .holder(world::FOREIGN_MANAGER)
        .get("/v1/campaigns")
        .await
        .json();
    let before = app.ledger.totals().await;
    for (changes, status, parameter) in [
        (json!({"class": "audit"}), 400, "class"),
        (json!({"reason": "curiosity"}), 400, "reason"),
        (json!({"reference": "jane@canary.example"}), 400, "reference"),
        (json!({"reference": "Jane Canary"}), 400, "reference"),
        (json!({"review_at": app.clock.rfc3339(-1)}), 409, "review_at"),
        (
            json!({"review_at": app.clock.rfc3339(367 * DAY)}),
            409,
            "review_at",
        ),
        (json!({"review_at": null}), 400, "review_at"),
        (json!({"until": app.clock.rfc3339(-1)}), 409, "until"),
        (
            json!({"from": app.clock.rfc3339(2), "until": app.clock.rfc3339(1)}),
            409,
            "until",
        ),
        (
            json!({"class": "suppression", "campaign": campaign}),
            409,
            "campaign",
        ),
        (json!({"campaign": foreign["items"][0]["id"]}), 404, "campaign"),
        (json!({"holder": 1}), 400, "holder"),
    ] {
        let mut body = good.clone();
        for (name, value) in changes.as_object().expect("an object") {
            body[name] = value.clone();
        }
        let answer = app.manager().post("/v1/holds", &body).await;
        assert_eq!(
            (answer.status, answer.member("parameter").as_str()),
            (status, parameter),
            "{changes}: {}",
            answer.text()
        );
        assert!(
            !answer.text().to_lowercase().contains("canary"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(app.ledger.totals().await, before);
});
