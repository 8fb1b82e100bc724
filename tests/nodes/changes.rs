//! What is changed on one node is in force on the other within a second.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Caller;
use crate::load::postback;
use crate::place::{Place, token_in};
use crate::{TURN, middle_and_worst, node, now, postgres, world};

const TIMES: usize = 20;
/// What is promised is a second; beyond this something is broken, and not merely slow.
const DEADLINE: Duration = Duration::from_secs(5);

/// Asks until it is so; returns how long that took.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> Duration {
    let began = now();
    while !is_so().await {
        assert!(
            began.elapsed() < DEADLINE,
            "{what} is not in force on the other node"
        );
    }
    began.elapsed()
}

async fn made(caller: &Caller, path: &str, body: &Value) -> Value {
    let answer = caller.post(path, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// The id of the object of this slug.
async fn id_of(caller: &Caller, path: &str, slug: &str) -> String {
    let page = caller.get(path).await.json();
    let items = page["items"].as_array().expect("items");
    let item = items.iter().find(|item| item["slug"] == slug).expect("there");
    item["id"].as_str().expect("an id").to_owned()
}

/// A link that leads elsewhere.
async fn link(manager: &Caller, visitor: &Caller) -> Vec<Duration> {
    let path = format!("/v1/links/{}", id_of(manager, "/v1/links", "Ab3xK9").await);
    let mut spans = Vec::new();
    for (campaign, page) in [("winter", "/winter"), ("autumn", "/landing")]
        .into_iter()
        .cycle()
        .take(TIMES)
    {
        let campaign = id_of(manager, "/v1/campaigns", campaign).await;
        assert_eq!(
            manager.patch(&path, &json!({"campaign": campaign})).await.status,
            200
        );
        let leads_there = async || {
            let answer = visitor.get("/c/Ab3xK9?consent=denied").await;
            answer.header("location").expect("an address").contains(page)
        };
        spans.push(until("the link", leads_there).await);
    }
    spans
}

/// A policy that asks for consent where it was not asked for before.
async fn policy(manager: &Caller, visitor: &Caller) -> Vec<Duration> {
    let mut spans = Vec::new();
    for _ in 0..TIMES {
        for (mode, tracked) in [("opt_out", true), ("strict_opt_in", false)] {
            made(
                manager,
                "/v1/policies",
                &json!({"mode": mode, "policy_reason": "a test"}),
            )
            .await;
            let decides = async || {
                let answer = visitor.get("/c/Ab3xK9").await;
                let location = answer.header("location").expect("an address").to_owned();
                token_in(&location).is_some() == tracked
            };
            let span = until("the policy", decides).await;
            if !tracked {
                spans.push(span);
            }
        }
    }
    spans
}

/// A key that is revoked.
async fn key(manager: &Caller, anonymous: &Caller) -> Vec<Duration> {
    let mut spans = Vec::new();
    for number in 0..TIMES {
        let key = made(
            manager,
            "/v1/api-keys",
            &json!({"label": number.to_string(), "role": "auditor"}),
        )
        .await;
        let holder = anonymous.clone().key(key["api_key"].as_str().expect("a key"));
        until("the key", async || holder.get("/v1/links").await.status == 200).await;
        let path = format!("/v1/api-keys/{}", key["id"].as_str().expect("an id"));
        let revoked = manager.send(manager.request(Method::DELETE, &path)).await;
        assert_eq!(revoked.status, 200, "{}", revoked.text());
        spans.push(
            until("the revocation", async || {
                holder.get("/v1/links").await.status == 401
            })
            .await,
        );
    }
    spans
}

/// A click that is erased.
async fn erasure(privacy: &Caller, visitor: &Caller, shop: &Caller) -> Vec<Duration> {
    let mut spans = Vec::new();
    for number in 0..TIMES {
        let click = visitor.get("/c/Ab3xK9?consent=granted").await;
        let token = token_in(click.header("location").expect("an address")).expect("a token");
        let erased = privacy.post("/v1/erasures", &json!({"token": token})).await;
        assert_eq!(erased.status, 200, "{}", erased.text());
        let began = now();
        // Not one postback is let through meanwhile.
        let late = shop.get(&postback(&token, &format!("E-{number}"))).await;
        assert_eq!(late.status, 410, "{}", late.text());
        spans.push(began.elapsed());
    }
    spans
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_on_one_node_is_in_force_on_the_other() {
    let _turn = TURN.lock().await;
    let place = Place::on(&postgres::create_database().await);
    let (one, other) = (node(&place, 0), node(&place, 1));
    let (manager, visitor) = (one.holder(world::MANAGER), other.visitor());
    let figures = [
        ("a link", link(&manager, &visitor).await),
        ("a stricter policy", policy(&manager, &visitor).await),
        ("a revoked key", key(&manager, &other.anonymous()).await),
        (
            "an erased click",
            erasure(
                &one.holder(world::PRIVACY),
                &one.visitor(),
                &other.holder(world::SHOP),
            )
            .await,
        ),
    ];
    for (what, spans) in figures {
        println!("{what}, in force on the other node: {}", middle_and_worst(spans));
    }
    one.stop();
    other.stop();
}
