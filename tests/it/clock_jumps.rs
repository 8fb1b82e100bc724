//! The server's clock jumps by a day, ahead or back, over the end of a month, and is put right again: what is decided
//! meanwhile is decided on the safe side, nothing is stored twice, and no history is signed twice.

use std::sync::Arc;

use einklang::domain::keys::{hmac_sha256, sha256};
use einklang::flow::audit::days::ClosedDays;
use einklang::flow::retention::PurgeEnd;
use serde_json::json;

use crate::harness::app::{Click, TestApp};
use crate::harness::client::Answer;
use crate::harness::ledger::changes;
use crate::harness::world::{self, SECRETS};

const LINK: &str = "Ab3xK9";
const DAY: i64 = 86_400;
/// From the start of the clock to noon of the last day of its month.
const TO_END_OF_MONTH: i64 = 6 * DAY;

async fn order(app: &TestApp, token: &str, order: &str) -> Answer {
    let pairs = [("token", token), ("order_id", order), ("consent", "granted")];
    app.shop().postback(&pairs).await
}

/// No log was begun anew, and everything fits together.
async fn is_one_history(app: &TestApp) {
    app.keep_logs().await;
    assert_eq!(app.ledger.count("audit_log", "epoch > 0").await, 0, "one history");
    let report = app.checks().run().await.expect("searched");
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}

/// A click of tomorrow is none of today's: its order is refused, and nothing else is stored of it.
async fn is_refused_as_ahead(app: &TestApp, token: &str, name: &str) {
    let before = app.ledger.totals().await;
    order(app, token, name).await.is(422, "refused", "outside_window");
    let changed = changes(&before, &app.ledger.totals().await);
    let expected = [("audit_entry", 1), ("stat_refused", 1)].into();
    assert_eq!(changed, expected, "a count and its entry");
}

both!(a_clock_that_was_a_day_ahead, async |app: &TestApp| {
    app.clock.advance_seconds(TO_END_OF_MONTH);
    let today = app.token(LINK).await;
    app.keep_logs().await;
    app.clock.advance_seconds(DAY);
    let first = order(app, &today, "A-1").await;
    first.is(200, "recorded", "accepted");
    let (ahead, withdrawn) = (app.token(LINK).await, app.token(LINK).await);
    app.keep_logs().await;

    app.clock.advance_seconds(-DAY);
    let again = order(app, &today, "A-1").await;
    again.is(200, "duplicate", "duplicate");
    assert_eq!(again.member("conversion_id"), first.member("conversion_id"));
    is_refused_as_ahead(app, &ahead, "A-2").await;
    // A withdrawal does not wait for the clock.
    let denied = json!({"token": withdrawn, "consent": "denied"});
    assert_eq!(app.shop().post("/v1/consent-signals", &denied).await.status, 200);
    assert_eq!(app.ledger.count("click", "1 = 1").await, 2);
    // What is dated rightly works beside it.
    let now = app.token(LINK).await;
    order(app, &now, "A-3").await.is(200, "recorded", "accepted");
    is_one_history(app).await;

    app.clock.advance_seconds(DAY);
    order(app, &ahead, "A-2").await.is(200, "recorded", "accepted");
    assert_eq!(app.ledger.count("conversion", "1 = 1").await, 3);
    is_one_history(app).await;
});

both!(a_clock_that_was_a_day_behind, async |app: &TestApp| {
    app.clock.advance_seconds(TO_END_OF_MONTH + DAY);
    let today = app.token(LINK).await;
    order(app, &today, "B-1").await.is(200, "recorded", "accepted");
    app.keep_logs().await;

    app.clock.advance_seconds(-DAY);
    is_refused_as_ahead(app, &today, "B-2").await;
    let Click { token, answer, .. } = app.click(LINK, "consent=granted").await;
    assert_eq!(answer.status, 302);
    let yesterday = token.expect("a token");
    order(app, &yesterday, "B-3")
        .await
        .is(200, "recorded", "accepted");
    is_one_history(app).await;

    app.clock.advance_seconds(DAY);
    order(app, &today, "B-2").await.is(200, "recorded", "accepted");
    order(app, &yesterday, "B-3")
        .await
        .is(200, "duplicate", "duplicate");
    assert_eq!(app.ledger.count("conversion", "1 = 1").await, 3);
    is_one_history(app).await;
});

/// A signed request without a token: what comes after the signature refuses it.
async fn signed(app: &TestApp, at_s: i64) -> (u16, String, String) {
    let path = "/postback/shp_acme_signing";
    let query = format!("order_id=C-1&consent=granted&ts={at_s}");
    let text = format!("GET\n{path}\n{query}\n{}", hex::encode(sha256(b"")));
    let signature = hex::encode(hmac_sha256(SECRETS[0].as_bytes(), &[text.as_bytes()]));
    let target = format!("{path}?{query}&sig={signature}");
    app.anonymous().get(&target).await.verdict()
}

both!(
    what_is_dated_by_the_right_clock_is_refused_by_a_wrong_one,
    async |app: &TestApp| {
        let now_s = app.clock.now_s();
        let manager = app.holder(&app.token_for(world::MANAGER).await);
        let refused = (401, "refused".to_owned(), "unauthenticated".to_owned());
        for (jump, right) in [(DAY, false), (-DAY, true), (-DAY, false), (DAY, true)] {
            app.clock.advance_seconds(jump);
            let status = manager.get("/v1/campaigns").await.status;
            if right {
                let without_token = (422, "refused".to_owned(), "no_token".to_owned());
                assert_eq!(signed(app, now_s).await, without_token);
                assert_eq!(status, 200, "the bearer token holds again");
            } else {
                assert_eq!(signed(app, now_s).await, refused);
                assert_eq!(status, 401, "a bearer token out of its time");
            }
            // An API key has no time, and neither have quotas.
            assert_eq!(app.manager().get("/v1/campaigns").await.status, 200);
        }
    }
);

async fn purged_classes(app: &TestApp) -> usize {
    let ended = app.purger().run(true, &|_| {}).await.expect("purged");
    let PurgeEnd::Done(report) = ended else {
        panic!("nobody else purges");
    };
    report.classes.len()
}

both!(
    a_purge_that_was_dated_ahead_does_not_keep_the_next_from_running,
    async |app: &TestApp| {
        let token = app.token(LINK).await;
        order(app, &token, "D-1").await.is(200, "recorded", "accepted");
        app.clock.advance_seconds(DAY);
        assert!(purged_classes(app).await > 0);
        app.clock.advance_seconds(-DAY);
        assert!(purged_classes(app).await > 0, "the last run lies ahead");
        assert_eq!(purged_classes(app).await, 0, "once a day");
        let rows = [
            app.ledger.count("click", "1 = 1").await,
            app.ledger.count("conversion", "1 = 1").await,
        ];
        assert_eq!(rows, [1, 1], "what has days left stays");
    }
);

both!(
    a_day_that_was_closed_too_early_is_named_by_the_search,
    async |app: &TestApp| {
        let days = ClosedDays::new(Arc::clone(&app.live));
        app.click(LINK, "consent=denied").await;
        app.clock.advance_seconds(DAY);
        assert_eq!(days.enter().await.expect("entered"), 1);
        app.clock.advance_seconds(-DAY);
        app.click(LINK, "consent=denied").await;
        app.clock.advance_seconds(DAY);
        assert_eq!(days.enter().await.expect("looked"), 0, "a day is entered once");
        app.keep_logs().await;
        let report = app.checks().run().await.expect("searched");
        let kinds: Vec<&str> = report.findings.iter().map(|one| one.kind.code()).collect();
        assert_eq!(kinds, ["count_differs"], "{:#?}", report.findings);
    }
);
