//! Postbacks that are tried out, marked as tests, or sent by the thousand.

use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Answer;
use crate::harness::ledger::changes;

/// Parameters, and the verdict that they come to.
type Case<'a> = (&'a [(&'a str, &'a str)], (u16, &'a str, &'a str));

both!(a_dry_run_leaves_no_trace, async |app: &TestApp| {
    let (shop, token) = (app.shop(), app.token("Ab3xK9").await);
    let order = [("token", token.as_str()), ("order_id", "A-1"), ("amount", "5")];
    let with = |more: &[(&'static str, &'static str)]| [&order[..], more].concat();
    shop.postback(&with(&[("consent", "granted")]))
        .await
        .is(200, "recorded", "accepted");
    let before = app.ledger.totals().await;
    let cases: [Case; 6] = [
        (&[("consent", "granted")], (200, "duplicate", "duplicate")),
        (
            &[("consent", "granted"), ("coupon", "x")],
            (409, "refused", "duplicate_conflict"),
        ),
        (&[("consent", "denied")], (403, "refused", "consent_denied")),
        (&[], (422, "refused", "consent_missing")),
        (
            &[("consent", "granted"), ("goal", "newsletter")],
            (200, "recorded", "accepted"),
        ),
        (
            &[("consent", "granted"), ("goal", "newsletter"), ("test", "1")],
            (200, "recorded", "accepted"),
        ),
    ];
    for (more, (status, outcome, reason)) in cases {
        let answer = shop
            .postback(&[&with(more)[..], &[("dry_run", "1")]].concat())
            .await;
        answer.is(status, outcome, reason);
        let id = answer.json().get("conversion_id").is_some();
        assert_eq!(
            id,
            reason.starts_with("duplicate"),
            "only what is there has an id: {}",
            answer.text()
        );
    }
    let body = json!({"token": token, "consent": "denied", "dry_run": true});
    shop.post("/v1/conversions", &body)
        .await
        .is(403, "refused", "consent_denied");
    assert_eq!(app.ledger.totals().await, before);
});

both!(tests_are_live_and_in_no_report, async |app: &TestApp| {
    let (shop, token) = (app.shop(), app.token("Ab3xK9").await);
    let order = [
        ("token", token.as_str()),
        ("order_id", "A-1"),
        ("amount", "5"),
        ("consent", "granted"),
    ];
    let test = [&order[..], &[("test", "1")]].concat();
    let before = app.ledger.totals().await;
    shop.postback(&test).await.is(200, "recorded", "accepted");
    shop.postback(&test).await.is(200, "duplicate", "duplicate");
    shop.postback(&[&test[..], &[("coupon", "x")]].concat())
        .await
        .is(409, "refused", "duplicate_conflict");
    let change = changes(&before, &app.ledger.totals().await);
    // The conversion with the shop's consent record, its order key, and three leaves; no counter.
    let rows = [("audit_entry", 3), ("conversion", 1), ("order_key", 1)];
    assert_eq!(change, rows.into());
    assert_eq!(app.ledger.count("conversion", "test").await, 1);
    // The live order is another one.
    shop.postback(&order).await.is(200, "recorded", "accepted");
    assert_eq!(app.ledger.count("conversion", "NOT test").await, 1);
    // Erasure is live, too.
    let denied = [("token", token.as_str()), ("consent", "denied"), ("test", "1")];
    shop.postback(&denied).await.is(403, "refused", "consent_denied");
    assert_eq!(app.ledger.count("click", "1 = 1").await, 0);
    shop.postback(&order)
        .await
        .is(410, "refused", "consent_withdrawn");
});

both!(a_batch_gives_every_line_its_verdict, async |app: &TestApp| {
    let shop = app.shop();
    let (token, declined) = (app.token("Ab3xK9").await, app.token("Ab3xK9").await);
    let line = |number: usize| match number % 5 {
        0 => {
            json!({"token": token, "order_id": format!("B-{number}"), "amount": "1.50", "consent": "granted"})
        }
        1 => {
            json!({"token": token, "order_id": format!("B-{}", number - 1), "amount": "1.50", "consent": "granted"})
        }
        2 => json!({"order_id": format!("B-{number}"), "consent": "granted"}),
        3 => json!({"token": token, "amount": "1.505", "consent": "granted"}),
        _ => json!({"token": declined, "order_id": format!("B-{number}"), "consent": "denied"}),
    };
    let lines: Vec<Value> = (0..1_000).map(line).collect();
    let answer = shop
        .post("/v1/conversions/batch", &json!({"conversions": lines}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let items = answer.json()["items"].as_array().expect("items").clone();
    assert_eq!(items.len(), 1_000);
    for (number, item) in items.iter().enumerate() {
        let verdict = (item["status"].as_u64(), item["reason"].as_str());
        let wanted = match number {
            4 => (Some(403), Some("consent_denied")),
            _ if number % 5 == 4 => (Some(410), Some("consent_withdrawn")),
            _ => [
                (Some(200), Some("accepted")),
                (Some(200), Some("duplicate")),
                (Some(422), Some("no_token")),
                (Some(400), Some("invalid_request")),
            ][number % 5],
        };
        assert_eq!(verdict, wanted, "line {number}: {item}");
        let parameter = item.get("parameter").and_then(Value::as_str);
        assert_eq!(parameter, (number % 5 == 3).then_some("amount"), "line {number}");
        if number % 5 == 1 {
            assert_eq!(item["conversion_id"], items[number - 1]["conversion_id"]);
        }
    }
    assert_eq!(app.ledger.count("conversion", "amount_minor = 150").await, 200);
    let shut = app.ledger.by_name("stat_refused", "reason", "1 = 1").await;
    let counts = [
        ("consent_denied", 1),
        ("consent_withdrawn", 199),
        ("no_token", 200),
    ];
    assert_eq!(
        shut,
        counts.map(|(reason, events)| (reason.to_owned(), events)).into()
    );
    let many: Vec<Value> = (0..1_001).map(|_| json!({})).collect();
    for wrong in [json!([]), Value::Array(many)] {
        shop.post("/v1/conversions/batch", &json!({"conversions": wrong}))
            .await
            .is_invalid("conversions");
    }
    let faulty = json!({"conversions": [{"token": token, "consent": "granted"}, {"orderid": "a"}]});
    let answer: Answer = shop.post("/v1/conversions/batch", &faulty).await;
    answer.is(400, "refused", "invalid_request");
    assert_eq!(
        app.ledger.count("conversion", "1 = 1").await,
        200,
        "no line of a batch that cannot be read counts"
    );
});
