//! Everything that leaves nothing behind: declined clicks, refused and dropped postbacks, bad requests, callers that
//! are not let in. Each is sent with canaries, and each has to be answered as such.

use einklang::app::config::sqlite_url;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Answer, Caller};
use crate::ledger::execute;
use crate::load::{click_query, loaded, object, postback, postback_query, robot};
use crate::needles::canary;
use crate::place::{Place, Server, token_in};
use crate::tcf::of_today;
use crate::world;

/// The token of a visitor of whom nothing is watched.
pub async fn token(server: &Server, link: &str) -> String {
    let answer = server.visitor().get(&format!("/c/{link}?consent=granted")).await;
    token_of(&answer).expect("a token")
}

/// The token that a redirect carries.
pub fn token_of(answer: &Answer) -> Option<String> {
    token_in(answer.header("location").expect("a redirect"))
}

/// Clicks that may not be tracked; returns how many were counted.
pub async fn clicks(server: &Server) -> i64 {
    let rest = click_query();
    let denied_string = of_today("d-tcf-043");
    let signal = canary("signal");
    let signals = [
        "consent=denied".to_owned(),
        "cons=0".to_owned(),
        String::new(),
        format!("consent={signal}"),
        "consent=granted&consent=granted".to_owned(),
        "consent=granted&gpc=1".to_owned(),
        format!("gdpr=1&gdpr_consent={denied_string}"),
        format!("gdpr=1&gdpr_consent={signal}"),
        format!("consent=granted&gdpr_consent={signal}"),
        format!("consent=granted&gpp={signal}&gpp_sid=7"),
        format!("consent=granted&us_privacy={signal}"),
        format!("addtl_consent={signal}"),
        format!("gcs={signal}&gcd={signal}"),
        format!("consent=denied&sub1=%zz{signal}&sub1={signal}"),
        format!("consent=denied&sub2={}", signal.repeat(20)),
    ];
    let visitor = loaded(server.anonymous());
    let mut answers = Vec::new();
    for signals in &signals {
        answers.push(visitor.get(&format!("/c/Ab3xK9?{rest}&{signals}")).await);
    }
    let granted = format!("/c/Ab3xK9?{rest}&consent=granted");
    answers.push(
        loaded(server.anonymous())
            .with("sec-gpc", "1")
            .get(&granted)
            .await,
    );
    answers.push(robot(server.anonymous()).get(&granted).await);
    answers.push(visitor.send(visitor.request(Method::HEAD, &granted)).await);
    // The publisher has no contract on record, so that its word is none.
    answers.push(visitor.get(&format!("/c/BlogAd?{rest}&consent=granted")).await);
    for answer in &answers {
        assert_eq!((answer.status, token_of(answer)), (302, None));
    }
    let path = canary("path");
    visitor
        .get(&format!("/c/{path}?{rest}&consent=granted"))
        .await
        .is(404, "refused", "not_found");
    visitor
        .get(&format!("/{path}/{path}?{rest}"))
        .await
        .is(404, "refused", "not_found");
    i64::try_from(answers.len()).expect("few")
}

/// A postback's parameters that bring about one reason.
type Case = (&'static str, Vec<(&'static str, String)>);

/// Postbacks that are refused or dropped, by a shop that does the one or the other.
pub async fn postbacks(place: &Place, server: &Server, key: &str, link: &str, salt: &str) {
    let shop = loaded(server.holder(key));
    let neutral = server.holder(key);
    let [live, gone, held, taken] = [
        token(server, link).await,
        token(server, link).await,
        token(server, link).await,
        token(server, link).await,
    ];
    let order = format!("A-{salt}");
    let first = [
        ("token", taken.as_str()),
        ("order_id", &order),
        ("consent", "granted"),
    ];
    neutral.postback(&first).await.is(200, "recorded", "accepted");

    let signal = canary("signal");
    let long_ago = "2020-01-01T00:00:00Z";
    let t = live.as_str();
    let cases: [Case; 15] = [
        ("consent_missing", postback(&[("token", t)])),
        // A section that nobody knows: read as far as it goes, and no answer.
        (
            "consent_missing",
            postback(&[("token", t), ("gpp", &format!("DBABKY~{signal}"))]),
        ),
        ("consent_malformed", postback(&[("token", t), ("gpp", &signal)])),
        (
            "consent_malformed",
            postback(&[("token", t), ("consent", &signal)]),
        ),
        (
            "consent_malformed",
            postback(&[("token", t), ("gdpr_consent", &signal)]),
        ),
        ("no_token", postback(&[("consent", "granted")])),
        (
            "unknown_token",
            postback(&[("token", &canary("token")), ("consent", "granted")]),
        ),
        (
            "unknown_goal",
            postback(&[("token", t), ("goal", &canary("goal")), ("consent", "granted")]),
        ),
        (
            "currency_mismatch",
            postback(&[("token", t), ("currency", "GBP"), ("consent", "granted")]),
        ),
        (
            "outside_window",
            postback(&[("token", t), ("occurred_at", long_ago), ("consent", "granted")]),
        ),
        (
            "duplicate_conflict",
            postback(&[("token", &taken), ("order_id", &order), ("consent", "granted")]),
        ),
        (
            "accepted",
            postback(&[("token", t), ("consent", "granted"), ("dry_run", "1")]),
        ),
        (
            "consent_denied",
            postback(&[("token", &gone), ("consent", "denied")]),
        ),
        (
            "consent_withdrawn",
            postback(&[("token", &gone), ("consent", "granted")]),
        ),
        (
            "consent_withdrawn",
            postback(&[("token", &gone), ("gdpr_consent", &of_today("d-tcf-043"))]),
        ),
    ];
    for (reason, pairs) in &cases {
        every_door(&shop, pairs, reason).await;
    }
    execute(&sqlite_url(&place.data()), "UPDATE click SET restricted = TRUE").await;
    every_door(
        &shop,
        &postback(&[("token", &held), ("consent", "granted")]),
        "restricted",
    )
    .await;
    execute(&sqlite_url(&place.data()), "UPDATE click SET restricted = FALSE").await;
    // A click that retention has taken away counts as expired.
    for table in ["click_salt", "click"] {
        execute(&sqlite_url(&place.data()), &format!("DELETE FROM {table}")).await;
    }
    let purged = postback(&[("token", &held), ("consent", "granted")]);
    every_door(&shop, &purged, "token_expired").await;
}

/// The same postback by every way in which a shop can send it.
async fn every_door(shop: &Caller, pairs: &[(&'static str, String)], reason: &str) {
    // A denial erases, and whoever comes behind it finds the click gone.
    let next = if reason == "consent_denied" {
        "consent_withdrawn"
    } else {
        reason
    };
    let text: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let answers = [
        shop.get(&format!("/postback?{}", postback_query(pairs))).await,
        shop.post_form("/postback", &text).await,
        shop.post("/postback", &object(pairs)).await,
        shop.post("/v1/conversions", &object(pairs)).await,
    ];
    for (answer, reason) in answers.iter().zip([reason, next, next, next]) {
        assert_eq!(answer.reason(), reason, "{}", answer.text());
    }
    let batch = shop
        .post("/v1/conversions/batch", &json!({"conversions": [object(pairs)]}))
        .await;
    assert_eq!(batch.json()["items"][0]["reason"], next, "{}", batch.text());
}

/// What cannot be read, or is not for this caller.
pub async fn bad_requests(server: &Server) {
    let shop = loaded(server.holder(world::SHOP));
    let token = token(server, "Ab3xK9").await;
    for name in [
        "amount",
        "currency",
        "status",
        "customer",
        "occurred_at",
        "test",
        "items",
    ] {
        let place = if matches!(name, "test" | "items") {
            "body"
        } else {
            name
        };
        let pairs = postback(&[("token", &token), ("consent", "granted"), (name, &canary(place))]);
        shop.get(&format!("/postback?{}", postback_query(&pairs)))
            .await
            .is_invalid(name);
        shop.post("/v1/conversions", &object(&pairs))
            .await
            .is_invalid(name);
    }
    let text = canary("body");
    for (kind, body) in [
        (
            "application/json",
            format!("{{\"order_id\": \"{text}\", \"order_id\": \"{text}\"}}"),
        ),
        ("application/json", format!("{{\"{text}\": 1}}")),
        ("application/json", format!("{{\"{text}")),
        ("application/json", text.repeat(3_000)),
        (
            "application/x-www-form-urlencoded",
            format!("order_id=%{text}&consent=granted"),
        ),
        (&format!("text/{}", canary("content_type")), text.clone()),
    ] {
        for path in [
            "/postback",
            "/v1/conversions",
            "/v1/conversions/batch",
            "/v1/consent-signals",
        ] {
            let request = shop.request(Method::POST, path).header("content-type", kind);
            let answer = shop.send(request.body(body.clone())).await;
            assert!(answer.status >= 400, "{path} {}", answer.text());
        }
    }
    corrections(&shop, &token).await;
    management(server).await;
    strangers(server, &token).await;
    no_http(server).await;
}

async fn corrections(shop: &Caller, token: &str) {
    let (order, reason) = (canary("order_id"), canary("reason"));
    for body in [
        json!({"order_id": order, "status": "cancelled"}),
        json!({"order_id": order, "reason": reason}),
        json!({"order_id": order, "amount": canary("amount")}),
    ] {
        assert!(shop.patch("/v1/conversions", &body).await.status >= 400);
    }
    let answer = shop
        .patch(
            &format!("/v1/conversions/{}", canary("id")),
            &json!({"status": "cancelled"}),
        )
        .await;
    answer.is_invalid("id");
    for body in [
        json!({"order_id": order, "consent": "denied"}),
        json!({"customer_ref": canary("customer_ref"), "consent": "denied"}),
        json!({"token": canary("token"), "consent": "denied"}),
    ] {
        let answer = shop.post("/v1/consent-signals", &body).await;
        assert_eq!(
            (answer.status, answer.member("outcome").as_str()),
            (200, "no_effect")
        );
    }
    let malformed = json!({"token": token, "consent": canary("signal")});
    shop.post("/v1/consent-signals", &malformed)
        .await
        .is(400, "refused", "consent_malformed");
}

async fn management(server: &Server) {
    let manager = loaded(server.holder(world::MANAGER));
    let text = canary("body");
    for target in [
        format!("/v1/shops?cursor={}", canary("cursor")),
        format!("/v1/shops/{}", canary("id")),
        format!("/v1/reports/performance?from={text}"),
        format!("/v1/reports/consent?{}=1", canary("unknown_name")),
    ] {
        assert_eq!(manager.get(&target).await.status, 400, "{target}");
    }
    for body in [
        json!({"slug": "x", "landing_url": format!("javascript:{text}"), "shop": text}),
        json!({"slug": text, text.as_str(): 1}),
        json!([text]),
    ] {
        for kind in [
            "tenants",
            "shops",
            "publishers",
            "campaigns",
            "links",
            "goals",
            "users",
            "api-keys",
        ] {
            let answer = manager.post(&format!("/v1/{kind}"), &body).await;
            assert!(matches!(answer.status, 400 | 403), "{kind}: {}", answer.text());
        }
    }
}

async fn strangers(server: &Server, token: &str) {
    let pairs = postback(&[("token", token), ("consent", "granted")]);
    let target = format!("/postback?{}", postback_query(&pairs));
    let key = canary("authorization");
    let refused = |answer: Answer| assert!(matches!(answer.status, 401 | 403), "{}", answer.text());
    refused(
        loaded(server.holder(&format!("ek_test_{key}")))
            .get(&target)
            .await,
    );
    for value in [format!("Basic {key}"), key.clone(), format!("Bearer {key} {key}")] {
        refused(
            loaded(server.anonymous())
                .with("authorization", &value)
                .get(&target)
                .await,
        );
    }
    refused(loaded(server.holder(world::MANAGER)).get(&target).await);
    refused(loaded(server.holder(world::FENCED)).get(&target).await);
    let shop = loaded(server.holder(world::SHOP));
    refused(
        shop.get(&target.replace("/postback", &format!("/postback/{}", canary("path"))))
            .await,
    );
    let signature = canary("signature");
    let signed = target.replace("/postback", "/postback/shp_acme_signing");
    refused(
        loaded(server.anonymous())
            .get(&format!("{signed}&ts=1&sig={signature}"))
            .await,
    );
    let webhook = loaded(server.anonymous())
        .with("webhook-id", &signature)
        .with("webhook-timestamp", &signature)
        .with("webhook-signature", &format!("v1,{signature}"));
    refused(webhook.post("/postback/shp_acme_signing", &object(&pairs)).await);
    let put = shop.send(shop.request(Method::PUT, &target)).await;
    put.is(405, "refused", "method_not_allowed");
}

/// What the listener turns away before anybody reads it.
async fn no_http(server: &Server) {
    let (path, text) = (canary("path"), canary("x_custom"));
    let long = text.repeat(2_000);
    for request in [
        format!("GET /{path} HTTP/9.9\r\nHost: a\r\n\r\n"),
        format!("{path} / HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET /{path} HTTP/1.1\r\nHost: a\r\nX-Custom: {text}\0\r\n\r\n"),
        format!("GET /{path} HTTP/1.1\r\nHost: a\r\n{text} : x\r\n\r\n"),
        format!("GET /{path}?{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("POST /{path} HTTP/1.1\r\nHost: a\r\nContent-Length: {text}\r\n\r\n"),
        format!("GET /{path} HTTP/1.1\r\nX-Custom: {text}"),
    ] {
        let address = server.url.strip_prefix("http://").expect("a plain URL");
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(request.as_bytes()).await.expect("sent");
        stream.shutdown().await.expect("shut");
        let mut answer = Vec::new();
        // A reset is an answer too.
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
}
