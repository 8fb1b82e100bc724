//! Tokens of an outside issuer: what they open, how often its keys are asked for, and what holds while they cannot be had.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use crate::harness::Kind;
use crate::harness::app::TestApp;
use crate::harness::client::{Answer, Caller};
use crate::harness::issuer::{self, Issuer, Mood, claims, header, key_set, signed_text, token, trusting};

const DAY_S: i64 = 86_400;

async fn shops(app: &TestApp, token: &str) -> Answer {
    app.holder(token).get("/v1/shops").await
}

/// A token of now.
fn fresh(app: &TestApp, kid: &str, number: u8) -> String {
    token(kid, number, app.clock.now_s())
}

#[track_caller]
fn refused(answer: &Answer, code: &str) {
    answer.is(401, "refused", "unauthenticated");
    assert_eq!(answer.member("code"), code, "{}", answer.text());
}

/// Asks until a token with a known key gets this status: keys are renewed in the background.
async fn until(app: &TestApp, kid: &str, number: u8, status: u16) {
    let renewed = async {
        while shops(app, &fresh(app, kid, number)).await.status != status {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), renewed)
        .await
        .expect("the keys were not renewed");
}

async fn open_what_the_role_opens(app: &TestApp, _: &Issuer) {
    let boss = fresh(app, "one", 1);
    let made = app
        .holder(&boss)
        .post("/v1/publishers", &json!({"slug": "new"}))
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(
        app.ledger.leaves("\"actor\":\"oidc:").await,
        1,
        "the trail names a digest"
    );
    assert_eq!(app.ledger.leaves("person-1").await, 0, "and never the subject");
    let mut body = claims(app.clock.now_s());
    body["realm_access"]["roles"] = json!(["reviewer"]);
    body["aud"] = json!(["account", "einklang"]);
    let reviewer = signed_text(&header("one").to_string(), &body.to_string(), 1);
    assert_eq!(shops(app, &reviewer).await.status, 200);
    let refused = app
        .holder(&reviewer)
        .post("/v1/publishers", &json!({"slug": "x"}))
        .await;
    refused.is(403, "refused", "forbidden");
    // It is a role of one tenant's: the other's objects are not there.
    let tenants = app.holder(&boss).get("/v1/tenants").await.json();
    assert_eq!(tenants["items"].as_array().map(Vec::len), Some(1));
}

async fn ask_once_a_minute(app: &TestApp, issuer: &Issuer) {
    assert_eq!(issuer.fetches(), 0, "nobody is asked before a token comes");
    for minute in 1..4 {
        for number in 0..100 {
            refused(
                &shops(app, &fresh(app, &format!("unknown-{number}"), 9)).await,
                "bearer_key",
            );
        }
        assert_eq!(shops(app, &fresh(app, "one", 1)).await.status, 200);
        assert_eq!(issuer.fetches(), minute);
        app.clock.advance_seconds(59);
        refused(&shops(app, &fresh(app, "unknown", 9)).await, "bearer_key");
        assert_eq!(issuer.fetches(), minute);
        app.clock.advance_seconds(1);
    }
}

async fn refuse_nobody_wrongly_while_keys_are_rotated(app: &TestApp, issuer: &Issuer) {
    assert_eq!(shops(app, &fresh(app, "one", 1)).await.status, 200);
    app.clock.advance_seconds(60);
    issuer.be(Mood::Well(key_set(&[("one", 1), ("two", 2)])));
    // Many come with the new key at once, and with the old one: one fetch, and all are let in.
    let (old, new) = (fresh(app, "one", 1), fresh(app, "two", 2));
    let mut running = tokio::task::JoinSet::new();
    for number in 0..200 {
        let caller = app.holder(if number % 2 == 0 { &new } else { &old });
        running.spawn(async move { caller.get("/v1/shops").await.status });
    }
    while let Some(status) = running.join_next().await {
        assert_eq!(status.expect("an answer"), 200);
    }
    assert_eq!(issuer.fetches(), 2);
    // The old key is withdrawn: until the keys are looked at again it counts, then no more.
    issuer.be(Mood::Well(key_set(&[("two", 2)])));
    app.clock.advance_seconds(599);
    assert_eq!(shops(app, &fresh(app, "one", 1)).await.status, 200);
    app.clock.advance_seconds(1);
    until(app, "one", 1, 401).await;
    assert_eq!(shops(app, &fresh(app, "two", 2)).await.status, 200);
    refused(&shops(app, &fresh(app, "one", 1)).await, "bearer_key");
    // Another key under the same name takes its place.
    issuer.be(Mood::Well(key_set(&[("two", 3)])));
    app.clock.advance_seconds(600);
    until(app, "two", 3, 200).await;
    refused(&shops(app, &fresh(app, "two", 2)).await, "bearer_signature");
}

async fn keep_the_last_keys_for_a_day(app: &TestApp, issuer: &Issuer) {
    assert_eq!(shops(app, &fresh(app, "one", 1)).await.status, 200);
    issuer.be(Mood::Failing);
    for _ in 0..23 {
        app.clock.advance_seconds(3_600);
        assert_eq!(shops(app, &fresh(app, "one", 1)).await.status, 200);
        refused(&shops(app, &fresh(app, "two", 2)).await, "bearer_key");
    }
    app.clock.advance_seconds(DAY_S - 23 * 3_600);
    let answer = shops(app, &fresh(app, "one", 1)).await;
    answer.is(503, "refused", "unavailable");
    issuer.be(Mood::Well(key_set(&[("one", 1)])));
    shops(app, &fresh(app, "one", 1))
        .await
        .is(503, "refused", "unavailable");
    app.clock.advance_seconds(60);
    assert_eq!(shops(app, &fresh(app, "one", 1)).await.status, 200);
}

async fn take_no_keys_that_are_none(app: &TestApp, issuer: &Issuer) {
    let many: Vec<(String, u8)> = (0..101).map(|number| (format!("k{number}"), 1)).collect();
    let many: Vec<(&str, u8)> = many.iter().map(|(kid, number)| (kid.as_str(), *number)).collect();
    let one = issuer::jwk("one", 1).to_string();
    let private = one.replace("\"kty\"", "\"d\":\"AA\",\"kty\"");
    let for_encryption = one.replace("\"sig\"", "\"enc\"");
    for mood in [
        Mood::Failing,
        Mood::Huge,
        Mood::Elsewhere,
        Mood::Well(String::new()),
        Mood::Well("<html>".to_owned()),
        Mood::Well("{\"keys\":{}}".to_owned()),
        Mood::Well("{\"keys\":[]}".to_owned()),
        Mood::Well(key_set(&many)),
        Mood::Well(key_set(&[("one", 1), ("one", 2)])),
        Mood::Well(format!("{{\"keys\":[{private}]}}")),
        Mood::Well(format!("{{\"keys\":[{for_encryption}]}}")),
    ] {
        issuer.be(mood.clone());
        let answer = shops(app, &fresh(app, "one", 1)).await;
        assert_eq!(answer.status, 503, "{mood:?}");
        assert!(answer.header("retry-after").is_some());
        app.clock.advance_seconds(60);
    }
    issuer.be(Mood::Well(format!("{{\"keys\":[{one}]}}")));
    assert_eq!(shops(app, &fresh(app, "one", 1)).await.status, 200);
}

async fn wait_no_longer_than_five_seconds(app: &TestApp, issuer: &Issuer) {
    issuer.be(Mood::Silent);
    let token = fresh(app, "one", 1);
    let answer = timeout(Duration::from_secs(8), shops(app, &token)).await;
    answer.expect("an answer").is(503, "refused", "unavailable");
    issuer.be(Mood::Well(key_set(&[("one", 1)])));
    app.clock.advance_seconds(60);
    assert_eq!(shops(app, &fresh(app, "one", 1)).await.status, 200);
    // While the keys are being asked for again, those who have a known one do not wait.
    issuer.be(Mood::Silent);
    app.clock.advance_seconds(600);
    let many = async {
        for _ in 0..10 {
            assert_eq!(shops(app, &fresh(app, "one", 1)).await.status, 200);
        }
    };
    timeout(Duration::from_secs(4), many)
        .await
        .expect("answers while nobody answers");
}

/// Two eyes of somebody whom another vouches for are not known to be other eyes than a user's.
async fn have_no_part_in_four_eyes(app: &TestApp, _: &Issuer) {
    let boss = app.holder(&fresh(app, "one", 1));
    let tenants = app.manager().get("/v1/tenants").await.json();
    let target = format!(
        "/v1/tenants/{}",
        tenants["items"][0]["id"].as_str().expect("an id")
    );
    let four_eyes = async |caller: &Caller, on: bool| caller.patch(&target, &json!({"four_eyes": on})).await;
    assert_eq!(four_eyes(&app.manager(), true).await.status, 200);
    let asked = four_eyes(&boss, false).await;
    asked.is(409, "refused", "conflict");
    assert_eq!(four_eyes(&app.manager(), false).await.status, 200);
    let waiting = app.manager().get("/v1/approvals").await.json();
    let id = waiting["items"][0]["id"].as_str().expect("an id");
    let approved = boss
        .post(&format!("/v1/approvals/{id}/approve"), &json!({}))
        .await;
    approved.is(403, "refused", "forbidden");
}

/// One test on both databases, with an issuer.
macro_rules! with_issuer {
    ($name:ident, $body:expr) => {
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                trusting(Kind::Sqlite, $body).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                trusting(Kind::Postgres, $body).await;
            }
        }
    };
}

with_issuer!(tokens_open_what_their_role_opens, open_what_the_role_opens);
with_issuer!(keys_are_asked_for_once_a_minute_whatever_comes, ask_once_a_minute);
with_issuer!(others_users_have_no_part_in_four_eyes, have_no_part_in_four_eyes);
with_issuer!(
    nobody_is_refused_wrongly_while_keys_are_rotated,
    refuse_nobody_wrongly_while_keys_are_rotated
);
with_issuer!(the_last_keys_stay_for_a_day, keep_the_last_keys_for_a_day);
with_issuer!(what_is_no_key_set_is_not_taken, take_no_keys_that_are_none);
with_issuer!(a_silent_issuer_holds_nobody_up, wait_no_longer_than_five_seconds);
