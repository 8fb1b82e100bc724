//! `POST /v1/explain`: what it says of signals, checks and storage, whom it lets look at what, and that asking changes
//! nothing. That its verdict is the live one is held row by row in `decision.rs` and page by page in `cmp_flow.rs`.

use serde_json::{Value, json};

use crate::harness::app::{Setup, TestApp};
use crate::harness::client::{Answer, Caller};
use crate::harness::clock::START_S;
use crate::harness::ledger::changes;
use crate::harness::tcf;
use crate::harness::world;

/// A question about a click on the first link.
fn click(parameters: &[(&str, &str)]) -> Value {
    json!({"kind": "click", "link": "Ab3xK9", "parameters": pairs(parameters)})
}

fn pairs(parameters: &[(&str, &str)]) -> Value {
    let pair = |(name, value): &(&str, &str)| json!({"name": name, "value": value});
    parameters.iter().map(pair).collect()
}

async fn ask(app: &TestApp, caller: &Caller, body: &Value) -> Answer {
    let before = app.ledger.totals().await;
    let answer = caller.post("/v1/explain", body).await;
    let change = changes(&before, &app.ledger.totals().await);
    assert_eq!(change, [].into(), "asking changed something");
    answer
}

async fn explained(app: &TestApp, body: &Value) -> Value {
    let answer = ask(app, &app.manager(), body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The codes under a member of a list's objects.
fn codes<'a>(answer: &'a Value, list: &str, member: &str) -> Vec<&'a str> {
    let items = answer[list].as_array().expect("a list").iter();
    items
        .map(|item| item[member].as_str().unwrap_or_default())
        .collect()
}

both!(a_click_is_explained_signal_by_signal, async |app: &TestApp| {
    let string = tcf::string(755, &[1, 7], START_S - 425 * 86_400);
    let mut body = click(&[
        ("gdpr", "1"),
        ("gdpr_consent", &string),
        ("consent", "granted"),
        ("us_privacy", "1YNX"),
        ("gcs", "${GCS}"),
        ("sub1", "banner-7"),
    ]);
    let answer = explained(app, &body).await;
    let line = |kind: &str| {
        let signals = answer["signals"].as_array().expect("signals");
        let found = signals.iter().find(|signal| signal["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind} in {answer}")).clone()
    };
    let tc = line("gdpr_consent");
    assert_eq!(
        (&tc["taken"], &tc["because"], &tc["tc_string"]["cmp_id"]),
        (&json!("unusable"), &json!("expired"), &json!(31))
    );
    assert_eq!(line("us_privacy")["because"], "not_of_its_form");
    assert_eq!(line("gcs")["because"], "macro_not_replaced");
    assert_eq!(line("consent")["says"]["measure"], "granted");
    assert_eq!(answer["consent"]["ground"], "unreadable");
    assert_eq!(answer["verdict"]["reason"], "consent_malformed");
    assert_eq!(codes(&answer, "stored", "code"), ["count_by_campaign"]);
    assert!(codes(&answer, "not_stored", "code").contains(&"click"));
    let results = codes(&answer, "steps", "result");
    assert_eq!(results, ["passed", "passed", "passed", "decides"]);
    assert!(!answer.to_string().contains(&string) && !answer.to_string().contains("banner-7"));
    body["agent"] = json!("bot");
    assert_eq!(explained(app, &body).await["verdict"]["reason"], "bot");
    body["agent"] = json!("mobile");
    body["head"] = json!(true);
    assert_eq!(explained(app, &body).await["verdict"]["reason"], "bot");
    let mut refused = click(&[("consent", "granted")]);
    refused["sec_gpc"] = json!(true);
    let answer = explained(app, &refused).await;
    assert_eq!(
        (&answer["consent"]["ground"], &answer["verdict"]["reason"]),
        (&json!("privacy_control"), &json!("consent_denied"))
    );
    let twice = click(&[("consent", "granted"), ("cons", "1")]);
    assert_eq!(explained(app, &twice).await["signals"][0]["because"], "repeated");
});

both!(a_postback_is_explained_check_by_check, async |app: &TestApp| {
    let token = app.token("Ab3xK9").await;
    let postback = |more: &[(&str, &str)]| {
        let all = [
            &[
                ("token", token.as_str()),
                ("order_id", "A-1"),
                ("amount", "49.90"),
            ],
            more,
        ]
        .concat();
        json!({"kind": "postback", "shop": "shp_acme_main", "parameters": pairs(&all)})
    };
    let granted = postback(&[("consent", "granted")]);
    let answer = explained(app, &granted).await;
    assert_eq!(answer["verdict"]["outcome"], "recorded");
    assert_eq!(codes(&answer, "steps", "rule").len(), 12);
    assert!(codes(&answer, "stored", "code").contains(&"totals"));
    assert!(!answer.to_string().contains("A-1") && !answer.to_string().contains(&token));
    let denied = explained(app, &postback(&[("consent", "denied")])).await;
    assert_eq!(
        (&denied["verdict"]["status"], &denied["verdict"]["ends_click"]),
        (&json!(403), &json!(true))
    );
    assert!(codes(&denied, "stored", "code").contains(&"suppression"));
    let order = [
        ("token", token.as_str()),
        ("order_id", "A-1"),
        ("amount", "49.90"),
    ];
    app.shop()
        .postback(&[&order[..], &[("consent", "granted")]].concat())
        .await
        .is(200, "recorded", "accepted");
    assert_eq!(explained(app, &granted).await["verdict"]["reason"], "duplicate");
    // The shop's own key needs no reference, and other systems' names are understood.
    let aliases = json!({"kind": "postback",
        "parameters": pairs(&[("clickid", &token), ("txid", "A-2"), ("consent", "1")])});
    let answer = ask(app, &app.shop(), &aliases).await.json();
    assert_eq!(answer["verdict"]["reason"], "accepted");
    assert_eq!(app.ledger.count("conversion", "1 = 1").await, 1);
});

both!(whoever_asks_sees_only_their_own, async |app: &TestApp| {
    let question = click(&[("consent", "granted")]);
    for key in [world::MANAGER, world::SHOP, world::AUDITOR, world::PRIVACY] {
        assert_eq!(ask(app, &app.holder(key), &question).await.status, 200, "{key}");
    }
    let outlet = app.holder(world::OUTLET);
    for caller in [&outlet, &app.holder(world::FOREIGN_MANAGER), &app.foreign_shop()] {
        let answer = ask(app, caller, &question).await;
        answer.is(404, "refused", "not_found");
        assert_eq!(answer.member("parameter"), "link");
    }
    let postback = json!({"kind": "postback", "shop": "shp_acme_main"});
    for caller in [&outlet, &app.holder(world::FOREIGN_MANAGER)] {
        let answer = ask(app, caller, &postback).await;
        answer.is(404, "refused", "not_found");
        assert_eq!(answer.member("parameter"), "shop");
    }
    app.holder(world::PUBLISHER)
        .post("/v1/explain", &question)
        .await
        .is(403, "refused", "forbidden");
    for (body, parameter) in [
        (json!({"kind": "click"}), "link"),
        (
            json!({"kind": "click", "link": "Ab3xK9", "shop": "shp_acme_main"}),
            "shop",
        ),
        (json!({"kind": "postback"}), "shop"),
        (
            json!({"kind": "postback", "link": "Ab3xK9", "shop": "shp_acme_main"}),
            "link",
        ),
    ] {
        let answer = ask(app, &app.manager(), &body).await;
        answer.is(409, "refused", "conflict");
        assert_eq!(answer.member("parameter"), parameter, "{body}");
    }
    let amount = json!({"kind": "postback", "shop": "shp_acme_main",
        "parameters": pairs(&[("amount", "a lot")])});
    ask(app, &app.manager(), &amount).await.is_invalid("amount");
});

/// The usual tenants, and a link whose campaign is over.
const ENDED: &str = r#"
[[tenant]]
slug = "acme"
  [[tenant.shop]]
  slug = "main"
  landing_hosts = ["shop.example"]
  currency = "EUR"
  [[tenant.publisher]]
  slug = "news"
  [[tenant.campaign]]
  slug = "over"
  shop = "main"
  landing_url = "https://shop.example/"
  ends_at = 2026-01-01T00:00:00Z
  [[tenant.link]]
  slug = "Ab3xK9"
  campaign = "over"
  publisher = "news"
  [[tenant.user]]
  name = "manager"
  role = "manager"
  api_key = "ek_test_acme_manager_00001"
"#;

both!(
    a_campaign_that_is_over_says_so,
    Setup::default().provision(ENDED),
    async |app: &TestApp| {
        let answer = explained(app, &click(&[("consent", "granted")])).await;
        assert_eq!(
            (&answer["verdict"]["outcome"], &answer["verdict"]["status"]),
            (&json!("not_running"), &json!(410))
        );
        assert_eq!(codes(&answer, "stored", "code"), [""; 0]);
        assert_eq!(app.click("Ab3xK9", "consent=granted").await.answer.status, 410);
    }
);
