//! What a postback may say, through every door, and what becomes of it.

use serde_json::json;

use crate::harness::app::TestApp;

both!(every_door_records, async |app: &TestApp| {
    let (shop, token) = (app.shop(), app.token("Ab3xK9").await);
    let pairs = |order: &'static str| {
        [
            ("token", token.as_str()),
            ("order_id", order),
            ("consent", "1"),
            ("amount", "1"),
        ]
    };
    let object =
        |order: &str| json!({"token": token, "order_id": order, "consent": "granted", "amount": "1"});
    let target = |path: &str, order| format!("{path}?{}", crate::harness::client::query(&pairs(order)));
    let answers = [
        shop.get(&target("/postback", "get")).await,
        shop.get(&target("/postback/shp_acme_main", "get-shop")).await,
        shop.post_form("/postback", &pairs("form")).await,
        shop.post_form("/postback/shp_acme_main", &pairs("form-shop"))
            .await,
        shop.post("/postback", &object("json")).await,
        shop.post("/postback/shp_acme_main", &object("json-shop")).await,
        shop.post("/v1/conversions", &object("v1")).await,
        // Half in the URL, half in the body.
        shop.post_form(&format!("/postback?token={token}"), &pairs("split")[1..])
            .await,
    ];
    for answer in &answers {
        answer.is(200, "recorded", "accepted");
    }
    assert_eq!(
        app.ledger
            .count("conversion", "amount_minor = 100 AND currency = 'EUR'")
            .await,
        8
    );
    assert_eq!(
        app.ledger
            .number("SELECT CAST(SUM(amount_minor) AS BIGINT) FROM stat_hour WHERE outcome = 'confirmed'")
            .await,
        800
    );
});

both!(names_of_other_systems_are_for_urls, async |app: &TestApp| {
    let (shop, token) = (app.shop(), app.token("Ab3xK9").await);
    for (number, name) in (0..).zip(["clickid", "click_id", "cid", "subid", "transaction_id", "trkinfo"]) {
        let order = format!("token-{number}");
        let pairs = [
            (name, token.as_str()),
            ("order_id", &order),
            ("consent", "granted"),
        ];
        shop.postback(&pairs).await.is(200, "recorded", "accepted");
        shop.post_form("/postback", &pairs)
            .await
            .is(422, "refused", "no_token");
    }
    for name in ["txid", "tid", "oid", "saleid", "transaction"] {
        let pairs = [
            ("token", token.as_str()),
            (name, name),
            ("consent", "granted"),
            ("amount", "2"),
        ];
        shop.postback(&pairs).await.is(200, "recorded", "accepted");
        shop.postback(&pairs).await.is(200, "duplicate", "duplicate");
    }
    for name in ["sum", "price", "payout", "revenue"] {
        let pairs = [
            ("token", token.as_str()),
            ("order_id", name),
            ("consent", "granted"),
            (name, "12.34"),
        ];
        shop.postback(&pairs).await.is(200, "recorded", "accepted");
    }
    assert_eq!(app.ledger.count("conversion", "amount_minor = 1234").await, 4);
    // A name and its alias are one parameter sent twice.
    let twice = [
        ("token", token.as_str()),
        ("clickid", token.as_str()),
        ("consent", "granted"),
    ];
    shop.postback(&twice).await.is_invalid("token");
    let unknown = json!({"clickid": token, "consent": "granted"});
    shop.post("/v1/conversions", &unknown).await.is_invalid("clickid");
});

both!(
    amounts_are_decimal_strings_of_their_currency,
    async |app: &TestApp| {
        let (shop, token) = (app.shop(), app.token("Ab3xK9").await);
        let send = async |order: &str, amount: &str, currency: &str| {
            let pairs = [
                ("token", token.as_str()),
                ("consent", "granted"),
                ("order_id", order),
            ];
            shop.postback(&[&pairs[..], &[("amount", amount), ("currency", currency)]].concat())
                .await
        };
        let good = [
            ("49", "", "EUR", 4900_i64),
            ("49.9", "EUR", "EUR", 4990),
            ("0.01", "USD", "USD", 1),
            ("0", "USD", "USD", 0),
            ("", "EUR", "EUR", 0),
            ("1000", "JPY", "JPY", 1000),
            ("1.234", "KWD", "KWD", 1234),
            ("007.50", "EUR", "EUR", 750),
            ("10000000000000.00", "EUR", "EUR", 1_000_000_000_000_000),
        ];
        for (number, (amount, currency, stored, minor)) in (0..).zip(good) {
            send(&format!("good-{number}"), amount, currency)
                .await
                .is(200, "recorded", "accepted");
            let last = format!("amount_minor = {minor} AND currency = '{stored}'");
            assert_eq!(
                app.ledger.count("conversion", &last).await,
                1,
                "{amount} {currency}"
            );
        }
        let before = app.ledger.totals().await;
        for amount in [
            "-1",
            "1,50",
            "1.",
            ".5",
            "1e3",
            " 1",
            "+1",
            "1.234",
            "abc",
            "٣",
            "10000000000000.01",
            "0x10",
        ] {
            send("bad", amount, "EUR").await.is_invalid("amount");
        }
        send("bad", "1.5", "JPY").await.is_invalid("amount");
        for currency in ["eur", "EURO", "XXQ", "€", "E"] {
            send("bad", "1", currency).await.is_invalid("currency");
        }
        assert_eq!(
            app.ledger.totals().await,
            before,
            "a bad parameter leaves nothing, not even a count"
        );
        send("other", "1", "GBP")
            .await
            .is(422, "refused", "currency_mismatch");
    }
);

both!(
    a_bad_parameter_is_named_and_never_repeated,
    async |app: &TestApp| {
        let (shop, token) = (app.shop(), app.token("Ab3xK9").await);
        let long = "canary".repeat(60);
        let before = app.ledger.totals().await;
        let bad = [
            ("order_id", long.as_str()),
            ("order_id", "canary\u{7}"),
            ("goal", &long),
            ("coupon", &long),
            ("customer_ref", &long),
            ("adv5", &long),
            ("status", "canary"),
            ("customer", "canary"),
            ("items", "canary"),
            ("items", "[{\"sku\": \"\"}]"),
            ("items", "[{\"sku\": \"a\", \"canary\": 1}]"),
            ("occurred_at", "canary"),
            ("occurred_at", "2026-11-24"),
            ("occurred_at", "1999-12-31T23:59:59Z"),
            ("occurred_at", "2099-01-01T00:00:00Z"),
            ("test", "canary"),
            ("dry_run", "canary"),
            ("amount", "canary"),
            ("currency", "canary"),
        ];
        for (name, value) in bad {
            let pairs = [("token", token.as_str()), ("consent", "granted"), (name, value)];
            for answer in [
                shop.postback(&pairs).await,
                shop.post_form("/postback", &pairs).await,
            ] {
                answer.is_invalid(name);
                assert!(!answer.text().contains("canary"), "{name}: {}", answer.text());
            }
        }
        shop.postback(&[("token", "x".repeat(121).as_str()), ("consent", "granted")])
            .await
            .is_invalid("token");
        shop.get(&format!("/postback?token={token}&consent=granted&order_id=%ff"))
            .await
            .is_invalid("order_id");
        shop.get(&format!(
            "/postback?token={token}&consent=granted&order_id=a&order_id=b"
        ))
        .await
        .is_invalid("order_id");
        // A signal that is repeated, empty or does not decode is malformed, not a bad parameter.
        for signals in [
            "consent=granted&cons=granted",
            "consent=",
            "consent=%ff",
            "gdpr=1&gdpr=1&consent=1",
        ] {
            let answer = shop.get(&format!("/postback?token={token}&{signals}")).await;
            answer.is(400, "refused", "consent_malformed");
        }
        let mut after = app.ledger.totals().await;
        // The malformed signals are counted as refusals; nothing else is left of anything.
        for table in ["stat_refused", "audit_entry"] {
            assert_eq!(after.insert(table, before[table]), Some(before[table] + 4));
        }
        assert_eq!(after, before);
    }
);

both!(bodies_have_their_types_and_limits, async |app: &TestApp| {
    let shop = app.shop();
    let send = async |target: &str, media_type: &str, body: Vec<u8>| {
        let request = shop
            .request(reqwest::Method::POST, target)
            .header("content-type", media_type)
            .body(body);
        shop.send(request).await
    };
    for target in [
        "/postback",
        "/v1/conversions",
        "/v1/conversions/batch",
        "/v1/consent-signals",
    ] {
        let answer = send(target, "text/plain", b"token=a".to_vec()).await;
        answer.is(415, "refused", "unsupported_media_type");
        let limit = if target.ends_with("batch") {
            1024 * 1024
        } else {
            64 * 1024
        };
        let answer = send(target, "application/json", vec![b' '; limit + 1]).await;
        answer.is(413, "refused", "too_large");
        for body in ["", "{", "[]", "\"a\"", "{\"token\": 1}", "{}{}", "\u{feff}{}"] {
            let answer = send(target, "application/json", body.as_bytes().to_vec()).await;
            assert!(
                matches!(answer.status, 400 | 422),
                "{target} {body}: {}",
                answer.text()
            );
        }
    }
    for body in [&b"token=%"[..], b"token=%ff", b"token=a%00b"] {
        send("/postback", "application/x-www-form-urlencoded", body.to_vec())
            .await
            .is_invalid("token");
    }
    let body = b"\xff\xfe".to_vec();
    send("/postback", "application/x-www-form-urlencoded", body)
        .await
        .is_invalid("body");
    let unknown = json!({"order": "a"});
    shop.post("/v1/conversions", &unknown).await.is_invalid("order");
    shop.post("/postback", &unknown)
        .await
        .is(422, "refused", "no_token");
    shop.post("/postback", &json!({"order_id": 17}))
        .await
        .is_invalid("order_id");
});

both!(the_same_order_is_one_conversion, async |app: &TestApp| {
    let (shop, token) = (app.shop(), app.token("Ab3xK9").await);
    let base = [("token", token.as_str()), ("consent", "granted")];
    let send = async |more: &[(&str, &str)]| shop.postback(&[&base[..], more].concat()).await;
    let first = send(&[("order_id", "A-1"), ("amount", "49.90"), ("coupon", "c")]).await;
    let id = first.is(200, "recorded", "accepted").member("conversion_id");
    let again = send(&[
        ("coupon", "c"),
        ("amount", "49.9"),
        ("order_id", "A-1"),
        ("currency", "EUR"),
    ])
    .await;
    assert_eq!(
        again.is(200, "duplicate", "duplicate").member("conversion_id"),
        id
    );
    for other in [
        ("amount", "49.91"),
        ("coupon", "d"),
        ("status", "pending"),
        ("adv1", "x"),
        ("customer_ref", "c-1"),
    ] {
        let mut pairs = vec![("order_id", "A-1")];
        pairs.extend(
            [("amount", "49.90"), ("coupon", "c")]
                .iter()
                .filter(|(name, _)| *name != other.0),
        );
        pairs.push(other);
        let conflict = send(&pairs).await;
        assert_eq!(
            conflict
                .is(409, "refused", "duplicate_conflict")
                .member("conversion_id"),
            id
        );
    }
    // The order of another click: somebody else's, or the same person after another click.
    let second = app.token("Ab3xK9").await;
    let order = [
        ("order_id", "A-1"),
        ("amount", "49.90"),
        ("coupon", "c"),
        ("consent", "granted"),
    ];
    let other = shop
        .postback(&[&order[..], &[("token", second.as_str())]].concat())
        .await;
    other.is(409, "refused", "duplicate_conflict");
    // The same order under another goal, and at another shop, is another conversion.
    send(&[("order_id", "A-1"), ("goal", "newsletter")])
        .await
        .is(200, "recorded", "accepted");
    // Without an order id there is one conversion per click and goal.
    send(&[]).await.is(200, "recorded", "accepted");
    send(&[]).await.is(200, "duplicate", "duplicate");
    send(&[("goal", "newsletter")])
        .await
        .is(200, "recorded", "accepted");
    shop.postback(&[("token", second.as_str()), ("consent", "granted")])
        .await
        .is(200, "recorded", "accepted");
    assert_eq!(app.ledger.count("conversion", "1 = 1").await, 5);
    assert_eq!(app.ledger.events("stat_hour", "outcome = 'duplicate'").await, 2);
    assert_eq!(
        app.ledger
            .events("stat_refused", "reason = 'duplicate_conflict'")
            .await,
        6
    );
});
