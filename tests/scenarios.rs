//! The three scenarios of S2S tracking, end to end against the demo, and what becomes of a "no".
//!
//! The demo is the built binary in a folder of its own; clicks, consent and orders go through the shop's pages as a
//! person's would. What counts is what the ad server's reports say afterwards.

#![expect(
    clippy::expect_used,
    reason = "the helpers of a test may fail where they stand, too"
)]

mod binary;
#[path = "scenarios/browser.rs"]
mod browser;
#[path = "scenarios/demo.rs"]
mod demo;
#[path = "scenarios/third_party.rs"]
mod third_party;

use std::fs;

use browser::Browser;
use demo::{Demo, client, fact, field, href, jar, location};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// Clicks and agrees, at the publisher and in the shop.
async fn agree(browser: &Browser, demo: &Demo) {
    browser.open(&format!("{}?consent=granted", demo.click)).await;
    let landed = browser.url().await;
    assert!(landed.as_str().starts_with(&demo.shop_url), "{landed}");
    assert!(
        !landed.as_str().contains("s2s"),
        "the token is still in the URL: {landed}"
    );
    assert_eq!(
        browser.cookies().await,
        [],
        "nothing may be stored before the decision"
    );
    browser.press("zustimmen").await;
    assert_eq!(browser.read("einwilligung").await, "erteilt");
    let names: Vec<String> = browser
        .cookies()
        .await
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["mh_einwilligung", "mh_token"]);
}

#[tokio::test]
async fn an_order_in_a_browser_without_third_party_cookies() {
    let (demo, browser) = (Demo::start(), Browser::start().await);
    third_party::assert_blocked(&browser).await;
    let before = demo.totals().await;
    agree(&browser, &demo).await;
    browser.press("zur-kasse").await;
    browser.press("bestellen").await;
    assert_eq!(browser.read("meldung").await, "recorded");
    assert_eq!(browser.read("grund").await, "accepted");
    assert_eq!(demo.totals().await, before.with(1, 1));
    // The ad server never had a cookie of its own, neither as a third party nor as the first.
    browser.open(&format!("{}/livez", demo.url)).await;
    assert_eq!(browser.cookies().await, []);
    browser.close().await;
}

#[tokio::test]
async fn an_order_by_sms_after_a_click_on_a_banner() {
    let demo = Demo::start();
    let before = demo.totals().await;
    let browser = jar();
    let get = async |url: String| browser.get(url).send().await.expect("an answer");
    let landing = location(&get(format!("{}?consent=granted", demo.click)).await);
    let page = location(&get(landing).await);
    let page = get(format!("{}{page}", demo.shop_url))
        .await
        .text()
        .await
        .expect("a page");
    // They look at the checkout before they decide: the token waits for them there, too.
    let page = get(format!("{}{}", demo.shop_url, href(&page, "zur-kasse")))
        .await
        .text()
        .await
        .expect("a page");
    let decision = [
        ("wahl", "ja"),
        ("besuch", &field(&page, "besuch")),
        ("produkt", "hausrat"),
    ];
    let decided = browser
        .post(format!("{}/einwilligung", demo.shop_url))
        .form(&decision)
        .send()
        .await;
    assert_eq!(decided.expect("an answer").status(), StatusCode::SEE_OTHER);
    let page = get(format!("{}/sms", demo.shop_url))
        .await
        .text()
        .await
        .expect("a page");
    // The telephone knows the code and nothing else.
    let message = [("code", fact(&page, "code")), ("produkt", "hausrat".to_owned())];
    let sms = async || {
        client()
            .post(format!("{}/sms", demo.shop_url))
            .form(&message)
            .send()
            .await
    };
    let answer: Value = sms().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(
        (&answer["meldung"], &answer["grund"]),
        (&json!("recorded"), &json!("accepted")),
        "{answer}"
    );
    assert_eq!(demo.totals().await, before.with(1, 1));
    assert_eq!(
        sms().await.expect("an answer").status(),
        StatusCode::NOT_FOUND,
        "a code is used once"
    );
}

#[tokio::test]
async fn an_order_in_an_app_after_a_click_in_a_browser() {
    let (demo, browser) = (Demo::start(), Browser::start().await);
    let before = demo.totals().await;
    agree(&browser, &demo).await;
    browser.open(&format!("{}/konto", demo.shop_url)).await;
    browser.press("konto-anlegen").await;
    let (number, pin) = (browser.read("kontonummer").await, browser.read("pin").await);
    browser.close().await;
    let order = async |pin: &str| {
        let request = client().post(format!("{}/app/bestellung", demo.shop_url));
        let request = request
            .basic_auth(&number, Some(pin))
            .form(&[("produkt", "hausrat")]);
        request.send().await.expect("an answer")
    };
    assert_eq!(order("falsch").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(demo.totals().await, before.with(1, 0));
    let answer: Value = order(&pin).await.json().await.expect("JSON");
    assert_eq!(
        (&answer["meldung"], &answer["grund"]),
        (&json!("recorded"), &json!("accepted")),
        "{answer}"
    );
    assert_eq!(demo.totals().await, before.with(1, 1));
}

#[tokio::test]
async fn a_no_in_the_shop_ends_what_the_click_began() {
    let demo = Demo::start();
    let before = demo.totals().await;
    let browser = jar();
    let get = async |url: String| browser.get(url).send().await.expect("an answer");
    let landing = location(&get(format!("{}?consent=granted&sub1=KANARIENVOGEL", demo.click)).await);
    let token = landing.rsplit_once("s2s=").expect("a token").1.to_owned();
    let page = location(&get(landing).await);
    assert!(!page.contains(&token));
    let page = get(format!("{}{page}", demo.shop_url))
        .await
        .text()
        .await
        .expect("a page");
    assert!(!page.contains(&token), "the page holds the token");
    let decision = [
        ("wahl", "nein"),
        ("besuch", &field(&page, "besuch")),
        ("produkt", "hausrat"),
    ];
    let post = async |path: &str, form: &[(&str, &str)]| {
        let sent = browser
            .post(format!("{}{path}", demo.shop_url))
            .form(form)
            .send()
            .await;
        sent.expect("an answer")
    };
    let decided = post("/einwilligung", &decision).await;
    let cookies: Vec<String> = decided
        .cookies()
        .map(|one| format!("{}={}", one.name(), one.value()))
        .collect();
    assert_eq!(cookies, ["mh_einwilligung=denied", "mh_token="]);
    // They order all the same, and nobody hears of it.
    let page = post("/bestellung", &[("produkt", "hausrat")])
        .await
        .text()
        .await
        .expect("a page");
    assert_eq!(fact(&page, "meldung"), "nicht gesendet");
    assert_eq!(demo.totals().await, before.with(1, 0));
    // The click is gone for good: not even a postback with a grant brings it back.
    let late = client()
        .post(format!("{}/postback", demo.url))
        .bearer_auth(&demo.shop_key);
    let late = late.form(&[
        ("token", token.as_str()),
        ("order_id", "SPAET-1"),
        ("consent", "granted"),
    ]);
    let late = late.send().await.expect("an answer");
    assert_eq!(late.status(), StatusCode::GONE);
    let verdict: Value = late.json().await.expect("JSON");
    assert_eq!(
        (&verdict["outcome"], &verdict["reason"]),
        (&json!("refused"), &json!("consent_withdrawn"))
    );
    let mut after = before.with(1, 0);
    after.refused += 1;
    assert_eq!(demo.totals().await, after);
    let folder = demo.stop();
    for canary in [token.as_str(), "KANARIENVOGEL", "SPAET-1"] {
        assert_nowhere(folder.path(), canary);
    }
}

#[tokio::test]
async fn a_no_at_the_publisher_is_a_count_and_nothing_else() {
    let demo = Demo::start();
    let (before, declined) = (demo.totals().await, demo.declined_clicks().await);
    let landing = client()
        .get(format!("{}?consent=denied&sub1=KANARIENVOGEL", demo.click))
        .send()
        .await;
    let landing = location(&landing.expect("an answer"));
    assert!(
        landing.starts_with(&demo.shop_url) && !landing.contains("s2s"),
        "{landing}"
    );
    assert_eq!(demo.totals().await, before);
    assert_eq!(demo.declined_clicks().await, declined + 1);
    assert_nowhere(demo.stop().path(), "KANARIENVOGEL");
}

#[tokio::test]
async fn a_second_start_finds_the_demo_as_it_was() {
    let demo = Demo::start();
    let (before, key) = (demo.totals().await, demo.shop_key.clone());
    assert!(
        before.clicks > 400 && before.confirmed > 40 && before.refused > 10,
        "{before:?}"
    );
    let again = Demo::restart(demo.stop());
    assert_eq!(again.totals().await, before);
    assert_eq!(again.shop_key, key);
}

/// Whether no file below a folder has these bytes in it.
fn assert_nowhere(folder: &std::path::Path, canary: &str) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            assert_nowhere(&path, canary);
            continue;
        }
        let bytes = fs::read(&path).expect("a file");
        let found = bytes
            .windows(canary.len())
            .any(|window| window == canary.as_bytes());
        assert!(!found, "{canary} stands in {}", path.display());
    }
}
