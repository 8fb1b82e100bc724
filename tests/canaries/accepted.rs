//! What is kept of people who agreed: sealed, and gone when they take it back.

use serde_json::json;

use crate::client::query;
use crate::declined::token_of;
use crate::load::{click_query, loaded, object, postback, postback_query};
use crate::place::Server;
use crate::tcf::of_today;
use crate::world;

/// Clicks of people who agreed, one with a TC string; returns their tokens.
pub async fn clicks(server: &Server) -> Vec<String> {
    let visitor = loaded(server.anonymous());
    let string = of_today("d-tcf-053");
    let mut tokens = Vec::new();
    for signals in [
        "consent=granted",
        "cons=1&gdpr=0",
        &format!("gdpr=1&gdpr_consent={string}"),
    ] {
        let answer = visitor
            .get(&format!("/c/Ab3xK9?{}&{signals}", click_query()))
            .await;
        tokens.push(token_of(&answer).unwrap_or_else(|| panic!("{signals}: no token")));
    }
    tokens
}

/// A conversion by every way in which a shop can send one, and its corrections; returns how many there are.
pub async fn conversions(server: &Server, tokens: &[String], salt: &str) -> i64 {
    let shop = loaded(server.holder(world::SHOP));
    let string = of_today("d-tcf-053");
    let mut conversions = 0;
    for (number, token) in (0..).zip(tokens) {
        let pairs = |door: &str, signal: (&'static str, &str)| {
            let mut pairs = postback(&[("token", token), signal]);
            for (_, value) in pairs.iter_mut().filter(|(name, _)| *name == "order_id") {
                *value = format!("{value}-{salt}-{door}-{number}");
            }
            pairs
        };
        let by_string = pairs("string", ("gdpr_consent", &string));
        let (form, body) = (
            pairs("form", ("consent", "granted")),
            pairs("body", ("consent", "1")),
        );
        let text: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut trial = pairs("trial", ("consent", "granted"));
        trial.push(("test", "1".to_owned()));
        let answers = [
            shop.get(&format!("/postback?{}", postback_query(&by_string)))
                .await,
            shop.post_form(&format!("/postback?{}", query(&text[..2])), &text[2..])
                .await,
            shop.post("/postback", &object(&body)).await,
            shop.post("/v1/conversions", &object(&trial)).await,
        ];
        for answer in &answers {
            answer.is(200, "recorded", "accepted");
        }
        let batch = json!({"conversions": [object(&pairs("batch", ("consent", "granted"))), object(&body)]});
        let batch = shop.post("/v1/conversions/batch", &batch).await.json();
        assert_eq!(
            (&batch["items"][0]["reason"], &batch["items"][1]["reason"]),
            (&"accepted".into(), &"duplicate".into())
        );
        let order = &body
            .iter()
            .find(|(name, _)| *name == "order_id")
            .expect("an order")
            .1;
        let change = json!({"order_id": order, "amount": "1.00", "reason": "returned"});
        assert_eq!(shop.patch("/v1/conversions", &change).await.status, 200);
        let again = json!({"order_id": order, "consent": "granted"});
        assert_eq!(shop.post("/v1/consent-signals", &again).await.status, 200);
        conversions += 5;
    }
    conversions
}

/// Three people take it back, each in another way.
pub async fn withdrawals(server: &Server, tokens: &[String], salt: &str) {
    let shop = loaded(server.holder(world::SHOP));
    let [by_postback, by_signal, by_order] = tokens else {
        panic!("three people")
    };
    let denied = postback(&[("token", by_postback), ("consent", "denied")]);
    shop.get(&format!("/postback?{}", postback_query(&denied)))
        .await
        .is(403, "refused", "consent_denied");
    let order = postback(&[])
        .into_iter()
        .find(|(name, _)| *name == "order_id")
        .expect("an order")
        .1;
    for body in [
        json!({"token": by_signal, "consent": "denied"}),
        json!({"order_id": format!("{order}-{salt}-body-2"), "consent": "denied"}),
    ] {
        let answer = shop.post("/v1/consent-signals", &body).await;
        assert_eq!(
            (answer.status, answer.member("outcome").as_str()),
            (200, "applied"),
            "{}",
            answer.text()
        );
    }
    for token in [by_postback, by_signal, by_order] {
        let late = postback(&[("token", token), ("consent", "granted")]);
        let answer = shop.get(&format!("/postback?{}", postback_query(&late))).await;
        answer.is(410, "refused", "consent_withdrawn");
    }
}
