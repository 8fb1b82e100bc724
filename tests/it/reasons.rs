//! Every reason, reached over HTTP by a test that has its name.
//!
//! What each reason means for the database stands in other tests; here is one way to every code, its status and its
//! form. The last test holds that no reason is without one.

use std::time::Duration;

use einklang::domain::refusal::Reason;
use serde_json::json;

use crate::harness::app::{Setup, TestApp};
use crate::harness::client::Answer;
use crate::harness::world;

/// Refused under this code, with its status, as a problem that says whether it is worth trying again.
#[track_caller]
fn refused(answer: &Answer, code: &str) {
    let reason = Reason::from_code(code).expect("a reason");
    answer.is(reason.status(), "refused", code);
    assert_eq!(answer.json()["retry"], reason.retry(), "{code}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{code}"
    );
    assert!(!answer.member("detail").is_empty(), "{code}");
}

/// A postback about a new click of the campaign whose window is a day.
async fn postback(app: &TestApp, more: &[(&str, &str)]) -> Answer {
    let token = app.token("Winter").await;
    send(app, &token, more).await
}

async fn send(app: &TestApp, token: &str, more: &[(&str, &str)]) -> Answer {
    let order = [("token", token), ("order_id", "A-1"), ("amount", "49.90")];
    app.shop().postback(&[&order[..], more].concat()).await
}

const GRANTED: &[(&str, &str)] = &[("consent", "granted")];

both!(accepted, async |app: &TestApp| {
    postback(app, GRANTED).await.is(200, "recorded", "accepted");
});

both!(duplicate, async |app: &TestApp| {
    let token = app.token("Winter").await;
    send(app, &token, GRANTED).await.is(200, "recorded", "accepted");
    send(app, &token, GRANTED).await.is(200, "duplicate", "duplicate");
});

both!(duplicate_conflict, async |app: &TestApp| {
    let token = app.token("Winter").await;
    send(app, &token, GRANTED).await.is(200, "recorded", "accepted");
    let other = [("consent", "granted"), ("coupon", "TEN")];
    refused(&send(app, &token, &other).await, "duplicate_conflict");
});

both!(consent_denied, async |app: &TestApp| {
    refused(&postback(app, &[("consent", "denied")]).await, "consent_denied");
});

both!(consent_missing, async |app: &TestApp| {
    refused(&postback(app, &[]).await, "consent_missing");
});

both!(consent_withdrawn, async |app: &TestApp| {
    let token = app.token("Winter").await;
    let change = json!({"token": token, "consent": "denied"});
    let answer = app.shop().post("/v1/consent-signals", &change).await;
    assert_eq!(answer.member("outcome"), "applied");
    refused(&send(app, &token, GRANTED).await, "consent_withdrawn");
});

both!(consent_malformed, async |app: &TestApp| {
    refused(
        &postback(app, &[("consent", "${CONSENT}")]).await,
        "consent_malformed",
    );
});

both!(no_token, async |app: &TestApp| {
    refused(&app.shop().postback(GRANTED).await, "no_token");
});

both!(unknown_token, async |app: &TestApp| {
    refused(&send(app, "not-one-of-ours", GRANTED).await, "unknown_token");
});

both!(token_expired, async |app: &TestApp| {
    let token = app.token("Winter").await;
    app.clock.advance_seconds(8 * 86_400 + 1);
    refused(&send(app, &token, GRANTED).await, "token_expired");
});

both!(outside_window, async |app: &TestApp| {
    let token = app.token("Winter").await;
    app.clock.advance_seconds(86_400 + 1);
    refused(&send(app, &token, GRANTED).await, "outside_window");
});

both!(unknown_goal, async |app: &TestApp| {
    let goal = [("consent", "granted"), ("goal", "newsletter")];
    refused(&postback(app, &goal).await, "unknown_goal");
});

both!(currency_mismatch, async |app: &TestApp| {
    let pounds = [("consent", "granted"), ("currency", "GBP")];
    refused(&postback(app, &pounds).await, "currency_mismatch");
});

both!(restricted, async |app: &TestApp| {
    let token = app.token("Winter").await;
    app.database.execute("UPDATE click SET restricted = TRUE").await;
    refused(&send(app, &token, GRANTED).await, "restricted");
});

both!(invalid_request, async |app: &TestApp| {
    let answer = postback(app, &[("consent", "granted"), ("status", "paid")]).await;
    refused(&answer, "invalid_request");
    assert_eq!(answer.member("parameter"), "status");
});

both!(too_large, async |app: &TestApp| {
    let body = json!({"order_id": "a".repeat(64 * 1024)});
    refused(&app.shop().post("/v1/conversions", &body).await, "too_large");
});

both!(unauthenticated, async |app: &TestApp| {
    let stranger = app.holder("ek_test_nobody_knows_this_key");
    refused(&stranger.postback(GRANTED).await, "unauthenticated");
});

both!(forbidden, async |app: &TestApp| {
    refused(&app.shop().get("/v1/shops").await, "forbidden");
});

both!(not_found, async |app: &TestApp| {
    refused(&app.visitor().get("/c/NoSuch").await, "not_found");
});

both!(not_yet_sequenced, async |app: &TestApp| {
    app.keep_logs().await;
    let publisher = json!({"slug": "waiting"});
    assert_eq!(app.manager().post("/v1/publishers", &publisher).await.status, 201);
    let path = format!("/v1/audit/entries/{}", app.ledger.waiting_entry().await);
    let answer = app.manager().get(&path).await;
    refused(&answer, "not_yet_sequenced");
    assert_eq!(answer.member("expected_by"), "2026-11-24T12:00:02.000Z");
    assert!(answer.header("retry-after").is_some());
    app.keep_logs().await;
    assert_eq!(app.manager().get(&path).await.status, 200);
});

both!(method_not_allowed, async |app: &TestApp| {
    let put = app.shop().request(reqwest::Method::PUT, "/postback");
    refused(&app.shop().send(put).await, "method_not_allowed");
});

both!(unsupported_media_type, async |app: &TestApp| {
    let text = app
        .shop()
        .request(reqwest::Method::POST, "/v1/conversions")
        .header("content-type", "text/plain")
        .body("{}");
    refused(&app.shop().send(text).await, "unsupported_media_type");
});

both!(conflict, async |app: &TestApp| {
    let shop = app.manager().get("/v1/shops").await.json()["items"][0].clone();
    let same = json!({"slug": shop["slug"], "landing_hosts": ["shop.example"], "currency": "EUR"});
    let answer = app.manager().post("/v1/shops", &same).await;
    refused(&answer, "conflict");
    assert_eq!(answer.member("parameter"), "slug");
});

/// A campaign that was over before it began, with another page or without.
fn over(fallback: &str) -> String {
    format!(
        "[[tenant]]\nslug = \"over\"\n\
         [[tenant.shop]]\nslug = \"main\"\nlanding_hosts = [\"shop.example\"]\ncurrency = \"EUR\"\n\
         [[tenant.publisher]]\nslug = \"news\"\n\
         [[tenant.campaign]]\nslug = \"over\"\nshop = \"main\"\nlanding_url = \"https://shop.example/\"\n\
         ends_at = 2026-01-01T00:00:00Z\n{fallback}\
         [[tenant.link]]\nslug = \"Over\"\ncampaign = \"over\"\npublisher = \"news\"\n"
    )
}

both!(gone, async |app: &TestApp| {
    app.provision(&over("")).await;
    refused(&app.visitor().get("/c/Over").await, "gone");
});

both!(
    timeout,
    Setup::default().limits(|limits| limits.body = Duration::from_millis(200)),
    async |app: &TestApp| {
        let key = world::SHOP;
        let stalled = format!(
            "POST /v1/conversions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{{\"a"
        );
        refused(&app.raw(stalled.as_bytes()).await, "timeout");
    }
);

both!(
    rate_limited,
    Setup::default().options(|options| options.requests_per_minute = 1.try_into().ok()),
    async |app: &TestApp| {
        let shop = app.shop();
        shop.postback(GRANTED).await.is(422, "refused", "no_token");
        let answer = shop.postback(GRANTED).await;
        refused(&answer, "rate_limited");
        assert!(answer.header("retry-after").is_some());
    }
);

both!(no_grant, async |app: &TestApp| {
    app.token("Winter").await;
    let record = app.manager().get("/v1/consent-records").await.json()["items"][0].clone();
    let tenant = app.manager().get("/v1/tenants").await.json()["items"][0].clone();
    let id = |of: &serde_json::Value| of["id"].as_str().expect("an id").to_owned();
    let path = format!(
        "/v1/consent-records/{}?reason=answer&tenant={}",
        id(&record),
        id(&tenant)
    );
    refused(&app.holder(world::OPERATOR).get(&path).await, "no_grant");
});

both!(unavailable, async |app: &TestApp| {
    app.database.execute("ALTER TABLE shop RENAME TO elsewhere").await;
    let answer = app.manager().get("/v1/shops").await;
    app.database.execute("ALTER TABLE elsewhere RENAME TO shop").await;
    refused(&answer, "unavailable");
    assert!(answer.header("retry-after").is_some());
});

both!(tenant_locked, async |app: &TestApp| {
    app.database
        .execute("UPDATE wrapped_key SET wrapped_by = 'of-a-root-key-elsewhere' WHERE purpose = 'tenant'")
        .await;
    let twin = app.twin().await;
    let answer = twin.manager().get("/v1/shops").await;
    twin.stop().await;
    refused(&answer, "tenant_locked");
    assert!(answer.header("retry-after").is_some());
});

both!(internal, async |app: &TestApp| {
    // A page that no header can carry is refused wherever it comes in; somebody wrote it into the database.
    app.provision(&over("fallback_url = \"https://shop.example/over\"\n"))
        .await;
    assert_eq!(app.visitor().get("/c/Over").await.status, 302);
    app.database
        .execute(
            "UPDATE campaign SET fallback_url = 'https://shop.example/\n' WHERE fallback_url IS NOT NULL",
        )
        .await;
    app.live.reload().await.expect("reloaded");
    refused(&app.visitor().get("/c/Over").await, "internal");
});

#[test]
fn every_reason_has_its_test() {
    let this = include_str!("reasons.rs");
    let words: String = this.split_whitespace().collect::<Vec<_>>().join(" ");
    for reason in Reason::ALL {
        let code = reason.code();
        let is_named = ["both!(", "both!( "]
            .iter()
            .any(|opening| words.contains(&format!("{opening}{code},")));
        assert!(is_named, "no test is named after {code}");
    }
}
