//! Corrections of recorded conversions: `PATCH /v1/conversions/{id}` and by the order.

use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Answer;
use crate::harness::world;

/// Records an order and returns the conversion's path.
async fn recorded(app: &TestApp, order: &str, status: &str) -> String {
    let token = app.token("Ab3xK9").await;
    let pairs = [
        ("token", token.as_str()),
        ("order_id", order),
        ("amount", "50.00"),
        ("status", status),
        ("consent", "1"),
    ];
    let answer = app.shop().postback(&pairs).await;
    format!(
        "/v1/conversions/{}",
        answer.is(200, "recorded", "accepted").member("conversion_id")
    )
}

#[track_caller]
fn stands(answer: &Answer, status: &str, amount: &str) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        (answer.member("status").as_str(), answer.member("amount").as_str()),
        (status, amount)
    );
}

both!(a_status_only_moves_on, async |app: &TestApp| {
    let shop = app.shop();
    let moves = [
        ("pending", "confirmed", true),
        ("pending", "cancelled", true),
        ("pending", "pending", true),
        ("confirmed", "cancelled", true),
        ("confirmed", "confirmed", true),
        ("confirmed", "pending", false),
        ("cancelled", "cancelled", true),
        ("cancelled", "confirmed", false),
        ("cancelled", "pending", false),
    ];
    for (from, to, allowed) in moves {
        let path = recorded(app, &format!("{from}-{to}"), from).await;
        let answer = shop.patch(&path, &json!({"status": to})).await;
        if allowed {
            stands(&answer, to, "50.00");
        } else {
            answer.is(409, "refused", "conflict");
        }
    }
    let counts = app
        .ledger
        .by_name("stat_hour", "outcome", "outcome <> 'click'")
        .await;
    let wanted = [("pending", 1), ("confirmed", 3), ("cancelled", 5)];
    assert_eq!(
        counts,
        wanted
            .map(|(outcome, events)| (outcome.to_owned(), events))
            .into()
    );
    let changed = app.ledger.count("conversion", "status = 'cancelled'").await;
    assert_eq!(changed, 5);
});

both!(an_amount_only_falls, async |app: &TestApp| {
    let shop = app.shop();
    let path = recorded(app, "A-1", "confirmed").await;
    stands(
        &shop.patch(&path, &json!({"amount": "20"})).await,
        "confirmed",
        "20.00",
    );
    stands(
        &shop.patch(&path, &json!({"amount": "20.00"})).await,
        "confirmed",
        "20.00",
    );
    shop.patch(&path, &json!({"amount": "20.01"}))
        .await
        .is(409, "refused", "conflict");
    for amount in ["-1", "1.005", "abc", ""] {
        shop.patch(&path, &json!({"amount": amount}))
            .await
            .is_invalid("amount");
    }
    assert_eq!(app.ledger.count("conversion", "amount_minor = 2000").await, 1);
    let sum = "SELECT CAST(SUM(amount_minor) AS BIGINT) FROM stat_hour WHERE outcome = 'confirmed'";
    assert_eq!(app.ledger.number(sum).await, 2_000);
    stands(
        &shop
            .patch(&path, &json!({"status": "cancelled", "amount": "5"}))
            .await,
        "cancelled",
        "5.00",
    );
    shop.patch(&path, &json!({"amount": "4"}))
        .await
        .is(409, "refused", "conflict");
});

both!(a_correction_by_the_order_is_the_same, async |app: &TestApp| {
    let shop = app.shop();
    recorded(app, "A-1", "pending").await;
    let by_order = async |more: Value| {
        let mut body = json!({"order_id": "A-1"});
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        shop.patch("/v1/conversions", &body).await
    };
    stands(
        &by_order(json!({"status": "confirmed", "amount": "40"})).await,
        "confirmed",
        "40.00",
    );
    by_order(json!({"goal": "newsletter"}))
        .await
        .is(404, "refused", "not_found");
    by_order(json!({"order_id": "A-2"}))
        .await
        .is(404, "refused", "not_found");
    by_order(json!({"test": true}))
        .await
        .is(404, "refused", "not_found");
    by_order(json!({"order_id": ""})).await.is_invalid("order_id");
    by_order(json!({"status": "lost"})).await.is_invalid("status");
    by_order(json!({"reason": "The customer said so."}))
        .await
        .is_invalid("reason");
    by_order(json!({"state": "confirmed"})).await.is_invalid("state");
    stands(
        &by_order(json!({"reason": "returned", "status": "cancelled"})).await,
        "cancelled",
        "40.00",
    );
    // A repeated postback never changes what was recorded.
    let token = app.token("Ab3xK9").await;
    let again = [
        ("token", token.as_str()),
        ("order_id", "A-1"),
        ("amount", "50.00"),
        ("consent", "1"),
    ];
    shop.postback(&again)
        .await
        .is(409, "refused", "duplicate_conflict");
    assert_eq!(
        app.ledger
            .count("conversion", "status = 'cancelled' AND amount_minor = 4000")
            .await,
        1
    );
});

both!(only_the_tenant_and_the_shop_reach_it, async |app: &TestApp| {
    let path = recorded(app, "A-1", "pending").await;
    let change = json!({"status": "confirmed"});
    app.holder(world::OUTLET)
        .patch(&path, &change)
        .await
        .is(404, "refused", "not_found");
    app.foreign_shop()
        .patch(&path, &change)
        .await
        .is(404, "refused", "not_found");
    app.holder(world::FOREIGN_MANAGER)
        .patch(&path, &change)
        .await
        .is(404, "refused", "not_found");
    for key in [world::AUDITOR, world::PRIVACY, world::PUBLISHER, world::OPERATOR] {
        app.holder(key)
            .patch(&path, &change)
            .await
            .is(403, "refused", "forbidden");
    }
    app.anonymous()
        .patch(&path, &change)
        .await
        .is(401, "refused", "unauthenticated");
    let order = json!({"order_id": "A-1", "status": "confirmed"});
    app.holder(world::OUTLET)
        .patch("/v1/conversions", &order)
        .await
        .is(404, "refused", "not_found");
    app.foreign_shop()
        .patch("/v1/conversions", &order)
        .await
        .is(404, "refused", "not_found");
    app.shop()
        .patch("/v1/conversions/cnv_00000000000070008000000000000000", &change)
        .await
        .is(404, "refused", "not_found");
    for id in ["cnv_1", "lnk_00000000000070008000000000000000"] {
        let answer = app.shop().patch(&format!("/v1/conversions/{id}"), &change).await;
        answer.is_invalid("id");
    }
    assert_eq!(app.ledger.count("conversion", "status = 'pending'").await, 1);
    // A manager reaches every shop of the tenant, by the id.
    stands(&app.manager().patch(&path, &change).await, "confirmed", "50.00");
});

both!(
    after_an_erasure_there_is_nothing_to_correct,
    async |app: &TestApp| {
        let shop = app.shop();
        let path = recorded(app, "A-1", "confirmed").await;
        let withdrawn = shop
            .post(
                "/v1/consent-signals",
                &json!({"order_id": "A-1", "consent": "denied"}),
            )
            .await;
        assert_eq!(
            (withdrawn.status, withdrawn.member("outcome").as_str()),
            (200, "applied")
        );
        shop.patch(&path, &json!({"status": "cancelled"}))
            .await
            .is(410, "refused", "consent_withdrawn");
        let order = json!({"order_id": "A-1", "status": "cancelled"});
        shop.patch("/v1/conversions", &order)
            .await
            .is(410, "refused", "consent_withdrawn");
        // The totals keep their counts; what was personal is gone.
        let kept = "status = 'confirmed' AND amount_minor = 5000 AND click_id IS NULL AND order_hash IS NULL AND payload IS NULL";
        assert_eq!(app.ledger.count("conversion", kept).await, 1);
        assert_eq!(app.ledger.events("stat_hour", "outcome = 'confirmed'").await, 1);
    }
);
