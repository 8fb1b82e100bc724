//! Changes of consent that a shop forwards: `POST /v1/consent-signals`, and what they leave behind.

use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::{Answer, Caller};
use crate::harness::ledger::changes;
use crate::harness::world;

const PATH: &str = "/v1/consent-signals";

#[track_caller]
fn came_to(answer: &Answer, outcome: &str) {
    assert_eq!(
        (answer.status, answer.member("outcome").as_str()),
        (200, outcome),
        "{}",
        answer.text()
    );
}

async fn order(app: &TestApp, shop: &Caller, order: &str, more: &[(&str, &str)]) -> String {
    let token = app.token("Ab3xK9").await;
    let pairs = [
        ("token", token.as_str()),
        ("order_id", order),
        ("consent", "granted"),
    ];
    shop.postback(&[&pairs[..], more].concat())
        .await
        .is(200, "recorded", "accepted");
    token
}

both!(
    a_customer_reference_erases_all_of_a_persons_clicks,
    async |app: &TestApp| {
        let shop = app.shop();
        let mut tokens = Vec::new();
        for number in 0..3 {
            tokens.push(order(app, &shop, &format!("A-{number}"), &[("customer_ref", "c-17")]).await);
        }
        let bystander = order(app, &shop, "B-1", &[("customer_ref", "c-18")]).await;
        assert_eq!(app.ledger.count("customer_key", "1 = 1").await, 4);
        came_to(
            &shop
                .post(PATH, &json!({"customer_ref": "c-99", "consent": "denied"}))
                .await,
            "no_effect",
        );
        let before = app.ledger.totals().await;
        came_to(
            &shop
                .post(PATH, &json!({"customer_ref": "c-17", "consent": "denied"}))
                .await,
            "applied",
        );
        let change = changes(&before, &app.ledger.totals().await);
        // Three clicks, whose consent records stand in their rows; suppression for three clicks and three orders; one
        // leaf for the erasure and one for the change.
        let rows = [
            ("audit_entry", 2),
            ("click", -3),
            ("click_salt", -3),
            ("customer_key", -3),
            ("order_key", -3),
            ("suppression", 6),
        ];
        assert_eq!(change, rows.into());
        for (number, token) in (0..).zip(&tokens) {
            let again = [
                ("token", token.as_str()),
                ("order_id", "new"),
                ("consent", "granted"),
            ];
            shop.postback(&again)
                .await
                .is(410, "refused", "consent_withdrawn");
            // The same order with another person's token stays out, too.
            let order = format!("A-{number}");
            let other = [
                ("token", bystander.as_str()),
                ("order_id", &order),
                ("consent", "granted"),
            ];
            shop.postback(&other)
                .await
                .is(410, "refused", "consent_withdrawn");
        }
        let theirs = [
            ("token", bystander.as_str()),
            ("order_id", "B-2"),
            ("consent", "granted"),
        ];
        shop.postback(&theirs).await.is(200, "recorded", "accepted");
        came_to(
            &shop
                .post(PATH, &json!({"customer_ref": "c-17", "consent": "denied"}))
                .await,
            "no_effect",
        );
    }
);

both!(a_person_is_named_by_token_or_order, async |app: &TestApp| {
    let shop = app.shop();
    for (number, goal) in [(1, None), (2, Some("newsletter"))] {
        let order_id = format!("A-{number}");
        let goal_pair = goal.map(|goal| ("goal", goal));
        let token = order(app, &shop, &order_id, goal_pair.as_slice()).await;
        if let Some(goal) = goal {
            came_to(
                &shop
                    .post(PATH, &json!({"order_id": order_id, "consent": "denied"}))
                    .await,
                "no_effect",
            );
            let body = json!({"order_id": order_id, "goal": goal, "consent": "denied"});
            came_to(&shop.post(PATH, &body).await, "applied");
        } else {
            came_to(
                &shop
                    .post(PATH, &json!({"order_id": order_id, "consent": "denied"}))
                    .await,
                "applied",
            );
        }
        let again = [("token", token.as_str()), ("consent", "granted")];
        shop.postback(&again)
            .await
            .is(410, "refused", "consent_withdrawn");
    }
    let token = app.token("Ab3xK9").await;
    came_to(
        &shop
            .post(PATH, &json!({"token": token, "consent": "granted"}))
            .await,
        "applied",
    );
    came_to(
        &shop.post(PATH, &json!({"token": token, "gpc": "1"})).await,
        "applied",
    );
    // A later grant revives nothing.
    came_to(
        &shop
            .post(PATH, &json!({"token": token, "consent": "granted"}))
            .await,
        "no_effect",
    );
    let order = [("token", token.as_str()), ("consent", "granted")];
    shop.postback(&order)
        .await
        .is(410, "refused", "consent_withdrawn");
    assert_eq!(app.ledger.count("click", "1 = 1").await, 0);
});

both!(what_is_not_known_is_not_told, async |app: &TestApp| {
    let shop = app.shop();
    let foreign = app.token("Globex").await;
    let neighbour = app.token("Outlet").await;
    let before = app.ledger.totals().await;
    for about in [
        json!({"token": "AQABAAAA"}),
        json!({"token": foreign}),
        json!({"token": neighbour}),
        json!({"order_id": "never"}),
        json!({"order_id": "never", "goal": "lead"}),
        json!({"customer_ref": "never"}),
    ] {
        for word in ["denied", "granted"] {
            let mut body = about.clone();
            body["consent"] = json!(word);
            came_to(&shop.post(PATH, &body).await, "no_effect");
        }
    }
    let change = changes(&before, &app.ledger.totals().await);
    assert!(
        !change.contains_key("click") && !change.contains_key("suppression"),
        "{change:?}"
    );
});

both!(
    a_change_has_one_person_and_one_readable_signal,
    async |app: &TestApp| {
        let shop = app.shop();
        let token = app.token("Ab3xK9").await;
        let malformed: [Value; 4] = [
            json!({"consent": "perhaps"}),
            json!({"consent": ""}),
            json!({"gpc": "2"}),
            json!({"gdpr_consent": "${TCF}"}),
        ];
        for mut body in malformed {
            body["token"] = json!(token);
            shop.post(PATH, &body)
                .await
                .is(400, "refused", "consent_malformed");
        }
        for signal in [json!({}), json!({"gdpr": "1"})] {
            let mut body = signal;
            body["token"] = json!(token);
            shop.post(PATH, &body).await.is(422, "refused", "consent_missing");
        }
        for body in [
            json!({"consent": "denied"}),
            json!({"consent": "denied", "token": token, "order_id": "A-1"}),
            json!({"consent": "denied", "order_id": "A-1", "customer_ref": "c"}),
        ] {
            shop.post(PATH, &body).await.is_invalid("token");
        }
        for (name, value) in [
            ("order_id", ""),
            ("customer_ref", "\u{1}"),
            ("occurred_at", "soon"),
        ] {
            let mut body = json!({"consent": "denied"});
            if name == "occurred_at" {
                body["token"] = json!(token);
            }
            body[name] = json!(value);
            shop.post(PATH, &body).await.is_invalid(name);
        }
        let ahead = json!({"consent": "denied", "token": token, "occurred_at": app.clock.rfc3339(301)});
        shop.post(PATH, &ahead).await.is_invalid("occurred_at");
        shop.post(PATH, &json!({"token": token, "word": "denied"}))
            .await
            .is_invalid("word");
        assert_eq!(app.ledger.count("click", "1 = 1").await, 1);
        let past = json!({"consent": "denied", "token": token, "occurred_at": app.clock.rfc3339(-86_400)});
        came_to(&shop.post(PATH, &past).await, "applied");
    }
);

both!(who_may_forward_a_change, async |app: &TestApp| {
    let token = app.token("Ab3xK9").await;
    let body = json!({"token": token, "consent": "denied"});
    app.anonymous()
        .post(PATH, &body)
        .await
        .is(401, "refused", "unauthenticated");
    for key in [world::MANAGER, world::AUDITOR, world::PUBLISHER, world::OPERATOR] {
        app.holder(key)
            .post(PATH, &body)
            .await
            .is(403, "refused", "forbidden");
    }
    came_to(&app.holder(world::OUTLET).post(PATH, &body).await, "no_effect");
    came_to(&app.foreign_shop().post(PATH, &body).await, "no_effect");
    assert_eq!(app.ledger.count("click", "1 = 1").await, 1);
    // The privacy officer speaks for people at any of the tenant's shops.
    came_to(&app.privacy().post(PATH, &body).await, "applied");
    assert_eq!(app.ledger.count("click", "1 = 1").await, 0);
});

both!(
    global_privacy_control_counts_at_the_shop_too,
    async |app: &TestApp| {
        let token = app.token("Ab3xK9").await;
        let order = [
            ("token", token.as_str()),
            ("order_id", "A-1"),
            ("consent", "granted"),
        ];
        let shop = app.shop();
        shop.clone()
            .with("sec-gpc", "0")
            .postback(&order)
            .await
            .is(200, "recorded", "accepted");
        shop.with("sec-gpc", "1")
            .postback(&order)
            .await
            .is(403, "refused", "consent_denied");
        assert_eq!(app.ledger.count("click", "1 = 1").await, 0);
    }
);
