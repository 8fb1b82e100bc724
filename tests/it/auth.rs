//! How a shop's server proves who it is: key, signature, token alone, and from where.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use einklang::domain::keys::{hmac_sha256, sha256};
use reqwest::Method;
use serde_json::json;

use crate::harness::app::{Setup, TestApp};
use crate::harness::client::{Answer, Caller, query};
use crate::harness::world::{self, SECRETS};

const SIGNING: &str = "/postback/shp_acme_signing";

/// A target with `ts` and `sig`, as the documentation tells senders to make it.
fn signed(method: &str, path: &str, query: &str, body: &[u8], ts: i64, secret: &str) -> String {
    let query = format!("{query}{}ts={ts}", if query.is_empty() { "" } else { "&" });
    let text = format!("{method}\n{path}\n{query}\n{}", hex::encode(sha256(body)));
    let sig = hex::encode(hmac_sha256(secret.as_bytes(), &[text.as_bytes()]));
    format!("{path}?{query}&sig={sig}")
}

/// The headers of Standard Webhooks 1.0 over a body.
fn webhook(caller: Caller, body: &str, ts: i64, key: &[u8]) -> Caller {
    let ts = ts.to_string();
    let mac = hmac_sha256(key, &[b"msg_1", b".", ts.as_bytes(), b".", body.as_bytes()]);
    let signature = format!("v1,{}", STANDARD.encode(mac));
    caller
        .with("webhook-id", "msg_1")
        .with("webhook-timestamp", &ts)
        .with("webhook-signature", &signature)
}

async fn post_text(caller: &Caller, target: &str, body: &str) -> Answer {
    let request = caller
        .request(Method::POST, target)
        .header("content-type", "application/json")
        .body(body.to_owned());
    caller.send(request).await
}

fn whsec_key() -> Vec<u8> {
    STANDARD
        .decode(SECRETS[1].trim_start_matches("whsec_"))
        .expect("base64")
}

both!(a_key_has_to_be_known, async |app: &TestApp| {
    let token = app.token("Ab3xK9").await;
    let target = format!("/postback?token={token}&consent=granted");
    app.shop().get(&target).await.is(200, "recorded", "accepted");
    let unknown = app.holder("ek_test_nobody_knows_this_key").get(&target).await;
    unknown.is(401, "refused", "unauthenticated");
    assert_eq!(unknown.header("www-authenticate"), Some("Bearer"));
    app.anonymous()
        .get(&target)
        .await
        .is(401, "refused", "unauthenticated");
    let word = |value: &str| app.anonymous().with("authorization", value);
    for value in [
        "Bearer",
        "Bearer ",
        "Basic ZWs6",
        world::SHOP,
        &format!("Token {}", world::SHOP),
    ] {
        word(value)
            .get(&target)
            .await
            .is(401, "refused", "unauthenticated");
    }
    let twice =
        word(&format!("Bearer {}", world::SHOP)).with("authorization", &format!("Bearer {}", world::SHOP));
    twice.get(&target).await.is(401, "refused", "unauthenticated");
    word(&format!("bearer {}", world::SHOP))
        .get(&target)
        .await
        .is(200, "duplicate", "duplicate");
});

both!(only_shops_send_postbacks, async |app: &TestApp| {
    let token = app.token("Ab3xK9").await;
    let pairs = [("token", token.as_str()), ("consent", "granted")];
    let body = json!({"token": token, "consent": "granted"});
    for key in [
        world::MANAGER,
        world::AUDITOR,
        world::PRIVACY,
        world::PUBLISHER,
        world::OPERATOR,
    ] {
        let caller = app.holder(key);
        for answer in [
            caller.postback(&pairs).await,
            caller.post_form("/postback", &pairs).await,
            caller
                .get(&format!("/postback/shp_acme_main?{}", query(&pairs)))
                .await,
            caller.post_form("/postback/shp_acme_main", &pairs).await,
            caller.post("/v1/conversions", &body).await,
            caller
                .post("/v1/conversions/batch", &json!({"conversions": [body]}))
                .await,
        ] {
            answer.is(403, "refused", "forbidden");
        }
    }
    assert_eq!(app.ledger.count("conversion", "1 = 1").await, 0);
});

both!(a_reference_names_the_callers_own_shop, async |app: &TestApp| {
    let token = app.token("Ab3xK9").await;
    let target = |reference: &str| format!("/postback/{reference}?token={token}&consent=granted");
    let shop = app.shop();
    for reference in [
        "shp_acme_outlet",
        "shp_globex_main",
        "shp_nobody",
        "shp_acme_migrating",
    ] {
        shop.get(&target(reference)).await.is(403, "refused", "forbidden");
        let named = shop.clone().with("einklang-shop", reference);
        named
            .post("/v1/conversions", &json!({"token": token}))
            .await
            .is(403, "refused", "forbidden");
    }
    // Whether a reference exists is not told to somebody who is not known.
    for reference in ["shp_acme_main", "shp_nobody", "shp_acme_signing"] {
        app.anonymous()
            .get(&target(reference))
            .await
            .is(401, "refused", "unauthenticated");
    }
    shop.get(&target("shp_acme_main"))
        .await
        .is(200, "recorded", "accepted");
});

both!(a_signed_url_is_taken, async |app: &TestApp| {
    let (token, now) = (app.token("Signing").await, app.clock.now_s());
    let shop = app.anonymous();
    let order = |order: &str| {
        query(&[
            ("token", token.as_str()),
            ("order_id", order),
            ("consent", "granted"),
        ])
    };
    for secret in SECRETS {
        let target = signed("GET", SIGNING, &order(&secret[..4]), b"", now, secret);
        shop.get(&target).await.is(200, "recorded", "accepted");
        // A repeat inside the window is processed again.
        shop.get(&target).await.is(200, "duplicate", "duplicate");
    }
    for (offset, status) in [(-300, 200), (300, 200), (-301, 401), (301, 401)] {
        let target = signed(
            "GET",
            SIGNING,
            &order(&format!("at{offset}")),
            b"",
            now + offset,
            SECRETS[0],
        );
        assert_eq!(shop.get(&target).await.status, status, "{offset}");
    }
    let good = signed("GET", SIGNING, &order("changed"), b"", now, SECRETS[0]);
    let wrong = [
        good.replace("changed", "changes"),
        good.replace("sig=", "sig=0"),
        format!("{good}&amount=1"),
        format!("{good}&sig=00"),
        format!("{good}&ts={now}"),
        good.replace(&format!("ts={now}"), "ts="),
        good.replace(SIGNING, "/postback/shp_acme_main"),
        good.replace(SIGNING, "/postback"),
        signed("POST", SIGNING, &order("changed"), b"", now, SECRETS[0]),
        signed(
            "GET",
            SIGNING,
            &order("changed"),
            b"",
            now,
            "a-secret-of-nobody-at-all-00000",
        ),
        format!("{SIGNING}?{}", order("changed")),
    ];
    for target in wrong {
        shop.get(&target).await.is(401, "refused", "unauthenticated");
    }
    let body = query(&[
        ("token", token.as_str()),
        ("order_id", "form"),
        ("consent", "granted"),
    ]);
    let target = signed("POST", SIGNING, "", body.as_bytes(), now, SECRETS[1]);
    let form = |body: String| {
        let request = shop.request(Method::POST, &target);
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    };
    shop.send(form(body.replace("form", "mrof")))
        .await
        .is(401, "refused", "unauthenticated");
    shop.send(form(body)).await.is(200, "recorded", "accepted");
});

both!(
    a_shown_key_that_is_unknown_is_never_replaced_by_something_weaker,
    async |app: &TestApp| {
        let (token, now) = (app.token("Signing").await, app.clock.now_s());
        let pairs = query(&[("token", token.as_str()), ("consent", "granted")]);
        let target = signed("GET", SIGNING, &pairs, b"", now, SECRETS[0]);
        let caller = app.holder("ek_test_nobody_knows_this_key");
        caller.get(&target).await.is(401, "refused", "unauthenticated");
        let token = app.token("Migrate").await;
        let target = format!("/postback/shp_acme_migrating?token={token}&consent=granted");
        caller.get(&target).await.is(401, "refused", "unauthenticated");
    }
);

both!(a_signed_webhook_is_taken, async |app: &TestApp| {
    let (token, now) = (app.token("Signing").await, app.clock.now_s());
    let body = |order: &str| json!({"token": token, "order_id": order, "consent": "granted"}).to_string();
    for (key, order) in [(SECRETS[0].as_bytes().to_vec(), "plain"), (whsec_key(), "whsec")] {
        let (text, anonymous) = (body(order), app.anonymous());
        let caller = webhook(anonymous, &text, now, &key);
        post_text(&caller, SIGNING, &text)
            .await
            .is(200, "recorded", "accepted");
        post_text(&caller, SIGNING, &text)
            .await
            .is(200, "duplicate", "duplicate");
        let named = caller.clone().with("einklang-shop", "shp_acme_signing");
        post_text(&named, "/v1/conversions", &text)
            .await
            .is(200, "duplicate", "duplicate");
        // The signature covers the body alone, so nothing may stand in the query.
        let target = format!("{SIGNING}?dry_run=1");
        post_text(&caller, &target, &text)
            .await
            .is(401, "refused", "unauthenticated");
        post_text(&caller, SIGNING, &body("other"))
            .await
            .is(401, "refused", "unauthenticated");
        post_text(&caller, "/v1/conversions", &text)
            .await
            .is(401, "refused", "unauthenticated");
    }
    let text = body("stale");
    for offset in [-301, 301] {
        let caller = webhook(app.anonymous(), &text, now + offset, SECRETS[0].as_bytes());
        post_text(&caller, SIGNING, &text)
            .await
            .is(401, "refused", "unauthenticated");
    }
    // While a secret is replaced, a sender signs with both: one that fits is enough.
    let mac = STANDARD.encode(hmac_sha256(
        &whsec_key(),
        &[format!("msg_1.{now}.{text}").as_bytes()],
    ));
    let both = app
        .anonymous()
        .with("webhook-id", "msg_1")
        .with("webhook-timestamp", &now.to_string());
    let both = both.with("webhook-signature", &format!("v1,AAAA v1a,{mac} v1,{mac}"));
    post_text(&both, SIGNING, &text)
        .await
        .is(200, "recorded", "accepted");
});

both!(
    a_signing_shop_corrects_and_forwards_changes,
    async |app: &TestApp| {
        let (token, now) = (app.token("Signing").await, app.clock.now_s());
        let send = async |method: Method, path: &str, body: serde_json::Value| {
            let text = body.to_string();
            let caller =
                webhook(app.anonymous(), &text, now, &whsec_key()).with("einklang-shop", "shp_acme_signing");
            let request = caller
                .request(method, path)
                .header("content-type", "application/json")
                .body(text);
            caller.send(request).await
        };
        let order = json!({"token": token, "order_id": "A-1", "amount": "5", "consent": "granted"});
        send(Method::POST, "/v1/conversions", order.clone())
            .await
            .is(200, "recorded", "accepted");
        let batch = send(
            Method::POST,
            "/v1/conversions/batch",
            json!({"conversions": [order]}),
        )
        .await;
        assert_eq!(batch.json()["items"][0]["reason"], "duplicate");
        let change = send(
            Method::PATCH,
            "/v1/conversions",
            json!({"order_id": "A-1", "amount": "4"}),
        )
        .await;
        assert_eq!((change.status, change.member("amount").as_str()), (200, "4.00"));
        let denied = json!({"order_id": "A-1", "consent": "denied"});
        assert_eq!(
            send(Method::POST, "/v1/consent-signals", denied)
                .await
                .member("outcome"),
            "applied"
        );
    }
);

both!(
    the_token_alone_is_enough_where_that_is_allowed,
    async |app: &TestApp| {
        let token = app.token("Migrate").await;
        let shop = app.anonymous();
        let pairs = query(&[
            ("token", token.as_str()),
            ("order_id", "A-1"),
            ("consent", "granted"),
        ]);
        shop.get(&format!("/postback?{pairs}"))
            .await
            .is(401, "refused", "unauthenticated");
        shop.get(&format!("/postback/shp_acme_main?{pairs}"))
            .await
            .is(401, "refused", "unauthenticated");
        shop.get(&format!("/postback/shp_acme_migrating?{pairs}"))
            .await
            .is(200, "recorded", "accepted");
        assert_eq!(app.ledger.leaves("token_only:").await, 1, "the trail says so");
        // Whoever can guess an order id could cancel the order, or have its person erased.
        let named = app.anonymous().with("einklang-shop", "shp_acme_migrating");
        let cancel = json!({"order_id": "A-1", "status": "cancelled"});
        named
            .patch("/v1/conversions", &cancel)
            .await
            .is(401, "refused", "unauthenticated");
        for about in [
            json!({"order_id": "A-1", "consent": "denied"}),
            json!({"customer_ref": "c", "consent": "denied"}),
        ] {
            named
                .post("/v1/consent-signals", &about)
                .await
                .is(401, "refused", "unauthenticated");
        }
        let about = json!({"token": token, "consent": "denied"});
        assert_eq!(
            named.post("/v1/consent-signals", &about).await.member("outcome"),
            "applied"
        );
    }
);

both!(
    a_forwarded_address_counts_from_a_trusted_proxy,
    Setup::default().options(|options| {
        options.trusted_proxies = Some(vec![
            "127.0.0.1/32".parse().expect("a range"),
            "10.0.0.0/8".parse().expect("a range"),
        ]);
    }),
    async |app: &TestApp| {
        let token = app.token("Fenced").await;
        let target = format!("/postback?token={token}&consent=granted&dry_run=1");
        let from = async |forwarded: &[&str]| {
            let fenced = app.holder(world::FENCED);
            let caller = forwarded
                .iter()
                .fold(fenced, |caller, value| caller.with("x-forwarded-for", value));
            caller.get(&target).await.status
        };
        let inside: [&[&str]; 6] = [
            &["203.0.113.7"],
            &["2001:db8:1::5"],
            // The rightmost address that is no proxy of ours is the sender; what stands left of it, the sender wrote.
            &["198.51.100.1, 203.0.113.7"],
            &["203.0.113.7, 10.0.0.3"],
            &["198.51.100.1", "203.0.113.7"],
            &["nonsense, 203.0.113.7"],
        ];
        for forwarded in inside {
            assert_eq!(from(forwarded).await, 200, "{forwarded:?}");
        }
        let outside: [&[&str]; 6] = [
            &[],
            &["198.51.100.1"],
            &["203.0.113.7, 198.51.100.1"],
            &["203.0.113.7", "198.51.100.1"],
            &["203.0.113.7, nonsense"],
            &["203.0.113.7, nonsense, 10.0.0.3"],
        ];
        for forwarded in outside {
            assert_eq!(from(forwarded).await, 403, "{forwarded:?}");
        }
    }
);

both!(
    a_forwarded_address_from_anybody_else_does_not,
    async |app: &TestApp| {
        let token = app.token("Fenced").await;
        let target = format!("/postback?token={token}&consent=granted");
        let caller = app.holder(world::FENCED).with("x-forwarded-for", "203.0.113.7");
        caller.get(&target).await.is(403, "refused", "forbidden");
        assert_eq!(app.ledger.count("conversion", "1 = 1").await, 0);
    }
);

both!(
    a_caller_that_asks_too_often_has_to_wait,
    Setup::default().options(|options| options.requests_per_minute = 5.try_into().ok()),
    async |app: &TestApp| {
        let shop = app.shop();
        for left in (0..5).rev() {
            let answer = shop.postback(&[("consent", "granted")]).await;
            answer.is(422, "refused", "no_token");
            let state = answer.header("ratelimit").expect("a header");
            assert!(state.contains(&format!("r={left};")), "{state}");
        }
        let answer = shop.postback(&[("consent", "granted")]).await;
        answer.is(429, "refused", "rate_limited");
        assert_eq!(answer.json()["retry"], true);
        assert!(
            answer
                .header("retry-after")
                .expect("a header")
                .parse::<u32>()
                .expect("seconds")
                >= 1
        );
        // Somebody else still has a quota, and visitors have none to use up.
        app.foreign_shop()
            .postback(&[])
            .await
            .is(200, "dropped", "no_token");
        for _ in 0..10 {
            assert_eq!(app.click("Ab3xK9", "").await.answer.status, 302);
        }
    }
);
