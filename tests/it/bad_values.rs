//! Values that have the right type and are still not acceptable: addresses, names that are taken, times, amounts.
//!
//! Everything here is refused with the parameter named and nothing written, except on `/c/`, which goes on redirecting.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::app::{Click, TestApp};
use crate::harness::client::{Answer, Caller};
use crate::harness::stage::Stage;
use crate::harness::world;

/// Refused because of this parameter, as it is written or together with what is there.
#[track_caller]
fn check(what: &str, answer: &Answer, parameter: &str) {
    let code = (answer.status, answer.reason());
    let known = [(400, "invalid_request".to_owned()), (409, "conflict".to_owned())];
    assert!(known.contains(&code), "{what}: {}", answer.text());
    assert_eq!(answer.member("parameter"), parameter, "{what}: {}", answer.text());
    assert!(
        !answer.text().contains(what),
        "{what} is shown: {}",
        answer.text()
    );
}

/// Sends each value in this member of an otherwise good body.
async fn refuses(caller: &Caller, method: &Method, path: &str, good: &Value, member: &str, values: &[Value]) {
    for value in values {
        let mut body = good.clone();
        body[member] = value.clone();
        let answer = caller
            .send(caller.request(method.clone(), path).json(&body))
            .await;
        check(&value.to_string(), &answer, member);
    }
}

fn texts(values: &[&str]) -> Vec<Value> {
    values.iter().map(|value| json!(value)).collect()
}

const ADDRESSES: [&str; 20] = [
    "javascript:alert(1)",
    "data:text/html,x",
    "ftp://shop.example/",
    "file:///etc/passwd",
    "//shop.example/landing",
    "/landing",
    "shop.example",
    "",
    "https://",
    "https:///landing",
    "https://shop.example/\r\nSet-Cookie: a=b",
    "https://shop.example/\n",
    "https://shop.example/%0d%0aSet-Cookie:a=b",
    "https://shop.example/\u{0}",
    "https://shop.example/a b",
    "https://user:secret@shop.example/",
    "https://shop.example@evil.example/",
    "https://shop.example\\@evil.example/",
    "https://shop.example:99999/",
    "https://sh\u{f6}p.example/",
];

both!(
    addresses_lead_to_pages_of_the_shop_alone,
    async |app: &TestApp| {
        let (mut stage, manager) = (Stage::new(app).await, app.manager());
        let campaign = stage.object("campaigns").await;
        let before = app.ledger.totals().await;
        let shop = stage.first_of("shops").await;
        let new = json!({"slug": "fresh", "shop": shop, "landing_url": "https://shop.example/"});
        let change = format!("/v1/campaigns/{campaign}");
        for (method, path, good) in [
            (Method::POST, "/v1/campaigns", &new),
            (Method::PATCH, change.as_str(), &json!({})),
        ] {
            let mut addresses = texts(&ADDRESSES);
            addresses.push(json!(format!("https://shop.example/{}", "x".repeat(2_048))));
            addresses.push(json!("https://evil.example/"));
            let macros = texts(&[
                "https://shop.example/{secret}",
                "https://{campaign}.example/",
                "https://shop.example/{",
            ]);
            refuses(
                &manager,
                &method,
                path,
                good,
                "landing_url",
                &[addresses.clone(), macros].concat(),
            )
            .await;
            // A page for when the campaign is over may be anywhere, and is an address all the same.
            addresses.pop();
            refuses(&manager, &method, path, good, "fallback_url", &addresses).await;
        }
        let controller = |notice: &str| json!({"controller": {"name": "A", "contact": "a@acme.example", "jurisdiction": "DE", "notice_url": notice}});
        let tenant = format!("/v1/tenants/{}", stage.first_of("tenants").await);
        for address in ADDRESSES {
            let answer = manager.patch(&tenant, &controller(address)).await;
            assert_eq!(answer.status, 400, "{address}: {}", answer.text());
            assert!(
                answer.member("parameter").ends_with("notice_url"),
                "{address}: {}",
                answer.text()
            );
        }
        assert_eq!(app.ledger.totals().await, before, "something was written");
    }
);

both!(names_are_taken_once, async |app: &TestApp| {
    let (mut stage, manager) = (Stage::new(app).await, app.manager());
    let (shop, campaign) = (stage.first_of("shops").await, stage.first_of("campaigns").await);
    let publisher = stage.first_of("publishers").await;
    let hosts = json!(["shop.example"]);
    let taken = [
        (
            "shops",
            "slug",
            json!({"slug": "main", "landing_hosts": hosts, "currency": "EUR"}),
        ),
        (
            "shops",
            "reference",
            json!({"slug": "x", "reference": "shp_acme_outlet", "landing_hosts": hosts, "currency": "EUR"}),
        ),
        (
            "shops",
            "reference",
            json!({"slug": "x", "reference": "shp_globex_main", "landing_hosts": hosts, "currency": "EUR"}),
        ),
        ("publishers", "slug", json!({"slug": "news"})),
        (
            "campaigns",
            "slug",
            json!({"slug": "autumn", "shop": shop, "landing_url": "https://shop.example/"}),
        ),
        ("goals", "slug", json!({"slug": "order", "campaign": campaign})),
        (
            "links",
            "slug",
            json!({"slug": "BlogAd", "campaign": campaign, "publisher": publisher}),
        ),
        (
            "links",
            "slug",
            json!({"slug": "Globex", "campaign": campaign, "publisher": publisher}),
        ),
        ("users", "name", json!({"name": "auditor", "role": "auditor"})),
    ];
    let mut others = Vec::new();
    for (kind, _, _) in &taken {
        others.push(stage.object(kind).await);
    }
    let before = app.ledger.totals().await;
    for ((kind, member, body), other) in taken.iter().zip(&others) {
        let answer = manager.post(&format!("/v1/{kind}"), body).await;
        answer.is(409, "refused", "conflict");
        assert_eq!(answer.member("parameter"), *member, "{kind}");
        let change = json!({*member: body[*member]});
        let answer = manager.patch(&format!("/v1/{kind}/{other}"), &change).await;
        answer.is(409, "refused", "conflict");
        assert_eq!(answer.member("parameter"), *member, "{kind}");
    }
    let tenant = app
        .holder(world::OPERATOR)
        .post("/v1/tenants", &json!({"slug": "globex"}))
        .await;
    tenant.is(409, "refused", "conflict");
    assert_eq!(tenant.member("parameter"), "slug");
    let own = format!("/v1/tenants/{}", stage.first_of("tenants").await);
    let renamed = manager.patch(&own, &json!({"slug": "globex"})).await;
    renamed.is(409, "refused", "conflict");
    assert_eq!(app.ledger.totals().await, before, "something was written");
});

both!(settings_have_their_bounds, async |app: &TestApp| {
    let (mut stage, manager) = (Stage::new(app).await, app.manager());
    let (shop, campaign) = (stage.object("shops").await, stage.object("campaigns").await);
    let tenant = stage.first_of("tenants").await;
    let before = app.ledger.totals().await;
    let far = [
        "+262143-01-01T00:00:00Z",
        "99999-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-11-24",
        "tomorrow",
        "2026-11-24T24:00:00Z",
        "2026-11-24T00:00:00",
        "-0001-01-01T00:00:00Z",
        "",
    ];
    let cases: [(&str, &str, &str, Vec<Value>); 12] = [
        ("campaigns", &campaign, "starts_at", texts(&far)),
        ("campaigns", &campaign, "ends_at", texts(&far)),
        (
            "campaigns",
            &campaign,
            "window_days",
            vec![
                json!(0),
                json!(91),
                json!(-1),
                json!(1.5),
                json!(1e300),
                json!("30"),
            ],
        ),
        (
            "shops",
            &shop,
            "currency",
            texts(&["eur", "EURO", "XXQ", "€", ""]),
        ),
        (
            "shops",
            &shop,
            "landing_hosts",
            vec![
                json!([]),
                json!([""]),
                json!(["*"]),
                json!(["*.example"]),
                json!(["shop.example:443"]),
                json!(["https://shop.example"]),
                json!(["a".repeat(254)]),
                json!(vec!["a.example"; 51]),
            ],
        ),
        (
            "shops",
            &shop,
            "ip_allow",
            vec![
                json!(["10.0.0.0/33"]),
                json!(["10.0.0.1.1/8"]),
                json!(["::/129"]),
                json!(["any"]),
            ],
        ),
        (
            "shops",
            &shop,
            "token_parameter",
            texts(&["", "a b", "a=b", "a&b", "tok\u{f6}n"]),
        ),
        (
            "shops",
            &shop,
            "hmac_secrets",
            vec![
                json!(["short"]),
                json!(["x".repeat(257)]),
                json!(vec!["x".repeat(24); 3]),
            ],
        ),
        (
            "tenants",
            &tenant,
            "time_zone",
            texts(&["Mars/Olympus", "europe/berlin", "+01:00", ""]),
        ),
        (
            "tenants",
            &tenant,
            "tcf_vendor_id",
            vec![json!(0), json!(65_536), json!(-1), json!(1e300)],
        ),
        (
            "tenants",
            &tenant,
            "require",
            vec![json!([]), json!(["marketing"]), json!(["access", 1])],
        ),
        (
            "tenants",
            &tenant,
            "policy",
            texts(&["opt_in", "STRICT_OPT_IN", ""]),
        ),
    ];
    for (kind, id, member, values) in cases {
        for value in values {
            let answer = manager
                .patch(&format!("/v1/{kind}/{id}"), &json!({member: value}))
                .await;
            let what = format!("{kind} {member} {value}");
            assert!(
                matches!(answer.status, 400 | 409),
                "{what}: {} {}",
                answer.status,
                answer.text()
            );
            // Of a list the place is named, too.
            assert!(
                answer.member("parameter").starts_with(member),
                "{what}: {}",
                answer.text()
            );
        }
    }
    assert_eq!(app.ledger.totals().await, before, "something was written");
});

both!(a_value_stands_under_its_name, async |app: &TestApp| {
    let (manager, shop) = (app.manager(), app.shop());
    let stage = Stage::new(app).await;
    let (tenant, link) = (stage.first_of("tenants").await, stage.first_of("links").await);
    let before = app.ledger.totals().await;
    // An array of the members' values is no object.
    let controller = json!({"controller": ["A", "a@acme.example", "DE", "https://acme.example/"]});
    let answer = manager.patch(&format!("/v1/tenants/{tenant}"), &controller).await;
    answer.is_invalid("controller");
    let answer = manager
        .patch(&format!("/v1/links/{link}"), &json!({"subs": ["a", "b"]}))
        .await;
    answer.is_invalid("subs");
    let token = app.token("Ab3xK9").await;
    let after_click = app.ledger.totals().await;
    let items = json!([["A-1", "1", "1.00"]]);
    let order = json!({"token": token, "consent": "granted", "items": items});
    shop.post("/postback", &order).await.is_invalid("items");
    shop.post("/v1/conversions", &order).await.is_invalid("items[0]");
    let pairs = [
        ("token", token.as_str()),
        ("consent", "granted"),
        ("items", &items.to_string()),
    ];
    shop.postback(&pairs).await.is_invalid("items");
    let line = json!(["a", "b"]);
    let batch = shop
        .post("/v1/conversions/batch", &json!({"conversions": [order, line]}))
        .await;
    assert_eq!(batch.status, 400, "{}", batch.text());
    let unknown = json!({"conversions": [{"token": token, "amonut": "1"}]});
    shop.post("/v1/conversions/batch", &unknown)
        .await
        .is_invalid("conversions[0].amonut");
    let unknown = json!({"controller": {"name": "A", "e_mail": "a@acme.example"}});
    manager
        .patch(&format!("/v1/tenants/{tenant}"), &unknown)
        .await
        .is_invalid("controller.e_mail");
    assert_eq!(app.ledger.totals().await, after_click);
    assert_eq!(after_click["conversion"], before["conversion"]);
});

both!(a_click_goes_on_whatever_it_carries, async |app: &TestApp| {
    let long = "x".repeat(8_000);
    let queries = [
        "sub1=%zz",
        "sub1=%ff&sub2=%00&sub3=%0d%0a",
        "sub1=a&sub1=b",
        "sub99=a&sub0=b&sub=c&sub18446744073709551617=d",
        &format!("sub1={long}"),
        &format!("notice={long}"),
        "url=javascript:alert(1)",
        "url=https://evil.example/",
        "url=%ff",
        "url=https://shop.example/%0d%0aSet-Cookie:a=b",
        "&&&=&=a&%=%",
        "utm_source=a&utm_source=b&gclid=c",
        "consent[]=granted",
        "%00=%00",
    ];
    for query in queries {
        for signal in ["consent=granted", "consent=denied"] {
            let answer = app.visitor().get(&format!("/c/Ab3xK9?{query}&{signal}")).await;
            let click = Click::of(answer);
            assert_eq!(click.answer.status, 302, "{query}");
            assert_eq!(click.token.is_some(), signal == "consent=granted", "{query}");
            assert!(
                click
                    .location
                    .starts_with("https://shop.example/landing?utm_source=news"),
                "{}",
                click.location
            );
            assert!(click.location.len() < 300, "{}", click.location);
        }
    }
    let tracked = i64::try_from(queries.len()).expect("few");
    assert_eq!(app.ledger.count("click", "1 = 1").await, tracked);
    assert_eq!(
        app.ledger
            .events("stat_untracked", "reason = 'consent_denied'")
            .await,
        tracked
    );
});

both!(what_is_no_http_is_turned_away, async |app: &TestApp| {
    let before = app.ledger.totals().await;
    let head = "Host: a\r\nConnection: close\r\n";
    let key = format!("Authorization: Bearer {}\r\n", world::SHOP);
    for request in [
        format!("GET /postback?order_id=a\0b HTTP/1.1\r\n{head}{key}\r\n"),
        format!("GET /postback HTTP/1.1\r\n{head}{key}X-A: a\0b\r\n\r\n"),
        format!("GET /postback HTTP/1.1\r\n{head}{key}X A: b\r\n\r\n"),
        format!("GET /postback HTTP/9.9\r\n{head}{key}\r\n"),
        format!(
            "GET /postback HTTP/1.1\r\n{head}{key}X-A: {}\r\n\r\n",
            "x".repeat(20_000)
        ),
        format!(
            "GET /postback?order_id={} HTTP/1.1\r\n{head}{key}\r\n",
            "x".repeat(20_000)
        ),
        format!("POST /postback HTTP/1.1\r\n{head}{key}Content-Length: -1\r\n\r\n"),
        format!("POST /postback HTTP/1.1\r\n{head}{key}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        format!(
            "POST /postback HTTP/1.1\r\n{head}{key}Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n"
        ),
    ] {
        let answer = app.raw(request.as_bytes()).await;
        assert!((400..500).contains(&answer.status), "{} {request}", answer.status);
    }
    assert_eq!(app.ledger.totals().await, before);
});
