//! Many at once, and many nodes: one order is one conversion, and a withdrawal that came first is seen everywhere.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::app::{Setup, TestApp};
use crate::harness::client::{Answer, Caller};
use crate::harness::{Kind, run};

/// How often each outcome occurred, and every conversion that was named.
fn outcomes(answers: &[Answer]) -> (BTreeMap<String, usize>, Vec<String>) {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.member("outcome")).or_default() += 1;
    }
    let mut ids: Vec<String> = answers
        .iter()
        .map(|answer| answer.member("conversion_id"))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    (counts, ids)
}

/// Sends the same postback from all of these callers in turn, 64 times in all, in parallel.
async fn storm(callers: &[Caller], token: &str, order: &str) -> Vec<Answer> {
    let pairs = [
        ("token", token),
        ("order_id", order),
        ("amount", "49.90"),
        ("consent", "granted"),
    ];
    join_all((0..64).map(|number| callers[number % callers.len()].postback(&pairs))).await
}

async fn one_of_64(app: &TestApp, callers: &[Caller]) {
    for round in 0..4 {
        let token = app.token("Ab3xK9").await;
        let answers = storm(callers, &token, &format!("A-{round}")).await;
        let (counts, ids) = outcomes(&answers);
        assert_eq!(
            counts,
            [("duplicate".to_owned(), 63), ("recorded".to_owned(), 1)].into()
        );
        assert_eq!(ids.len(), 1, "one conversion: {ids:?}");
        assert_eq!(app.ledger.count("conversion", "1 = 1").await, round + 1);
        assert_eq!(app.ledger.count("order_key", "1 = 1").await, round + 1);
        assert_eq!(
            app.ledger.events("stat_hour", "outcome = 'confirmed'").await,
            round + 1
        );
        assert_eq!(
            app.ledger.events("stat_hour", "outcome = 'duplicate'").await,
            63 * (round + 1)
        );
    }
}

both!(
    of_64_identical_postbacks_one_is_recorded,
    async |app: &TestApp| {
        one_of_64(app, &[app.shop()]).await;
    }
);

both!(a_denial_among_64_leaves_nothing, async |app: &TestApp| {
    let (shop, token) = (app.shop(), app.token("Ab3xK9").await);
    let send = async |number: usize| {
        let order = format!("A-{number}");
        let word = if number == 32 { "denied" } else { "granted" };
        shop.postback(&[("token", token.as_str()), ("order_id", &order), ("consent", word)])
            .await
    };
    let answers = join_all((0..64).map(send)).await;
    answers[32].is(403, "refused", "consent_denied");
    let recorded = answers
        .iter()
        .filter(|answer| answer.reason() == "accepted")
        .count();
    let withdrawn = answers
        .iter()
        .filter(|answer| answer.reason() == "consent_withdrawn")
        .count();
    assert_eq!(recorded + withdrawn, 63);
    // Whoever came first, nothing personal is left of anybody.
    for table in [
        "click",
        "click_salt",
        "consent_record",
        "order_key",
        "customer_key",
    ] {
        assert_eq!(app.ledger.count(table, "1 = 1").await, 0, "{table}");
    }
    assert_eq!(app.ledger.count("conversion", "payload IS NOT NULL").await, 0);
    let suppressed = app.ledger.count("suppression", "1 = 1").await;
    assert_eq!(suppressed, 1 + i64::try_from(recorded).expect("small"));
});

/// Two nodes need a database that both can write.
async fn on_two_nodes(body: impl AsyncFnOnce(&TestApp, &TestApp)) {
    let both = run(Kind::Postgres, Setup::default(), async |app: &TestApp| {
        let twin = Box::pin(app.twin()).await;
        body(app, &twin).await;
        Box::pin(twin.stop()).await;
    });
    Box::pin(both).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_on_two_nodes_one_is_recorded() {
    on_two_nodes(async |app, twin| one_of_64(app, &[app.shop(), twin.shop()]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_on_one_node_is_seen_by_the_other() {
    on_two_nodes(async |app, twin| {
        for number in 0..8 {
            let token = app.token("Ab3xK9").await;
            let order = format!("A-{number}");
            let pairs = [
                ("token", token.as_str()),
                ("order_id", order.as_str()),
                ("consent", "granted"),
            ];
            twin.shop().postback(&pairs).await.is(200, "recorded", "accepted");
            let body = json!({"token": token, "consent": "denied"});
            assert_eq!(
                app.shop()
                    .post("/v1/consent-signals", &body)
                    .await
                    .member("outcome"),
                "applied"
            );
            twin.shop()
                .postback(&pairs)
                .await
                .is(410, "refused", "consent_withdrawn");
            let other = twin.token("Ab3xK9").await;
            let same_order = [
                ("token", other.as_str()),
                ("order_id", order.as_str()),
                ("consent", "granted"),
            ];
            twin.shop()
                .postback(&same_order)
                .await
                .is(410, "refused", "consent_withdrawn");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stricter_policy_on_one_node_stops_the_next_click_on_the_other() {
    on_two_nodes(async |app, twin| {
        let lax = json!({"mode": "opt_out", "policy_reason": "a test"});
        assert_eq!(app.manager().post("/v1/policies", &lax).await.status, 201);
        twin.live.reload_if_changed().await.expect("reloaded");
        // With this click the lane has its connection, and the next batch relies on the routing data it knows.
        assert!(twin.click("Ab3xK9", "").await.token.is_some());
        let known = twin.live.routing().version;
        let strict = json!({"mode": "strict_opt_in"});
        assert_eq!(app.manager().post("/v1/policies", &strict).await.status, 201);
        assert_eq!(
            twin.live.routing().version,
            known,
            "the other node has not heard of it"
        );
        assert!(twin.click("Ab3xK9", "").await.token.is_none());
        assert_eq!(app.ledger.count("click", "1 = 1").await, 1);
        assert_eq!(
            app.ledger
                .events("stat_untracked", "reason = 'consent_missing'")
                .await,
            1
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denials_and_orders_on_two_nodes_do_not_lock_one_another_out() {
    on_two_nodes(async |app, twin| {
        let mut tokens = Vec::new();
        for _ in 0..16 {
            tokens.push(app.token("Ab3xK9").await);
        }
        let (one, other) = (app.shop(), twin.shop());
        let send = async |number: usize| {
            let (shop, token) = (
                if number.is_multiple_of(2) { &one } else { &other },
                &tokens[(number * 7) % 16],
            );
            let order = format!("A-{number}");
            let word = if number.is_multiple_of(5) {
                "denied"
            } else {
                "granted"
            };
            shop.postback(&[("token", token.as_str()), ("order_id", &order), ("consent", word)])
                .await
        };
        let answers = join_all((0..160).map(send)).await;
        for answer in &answers {
            let reason = answer.reason();
            assert!(
                ["accepted", "consent_denied", "consent_withdrawn"].contains(&reason.as_str()),
                "{}",
                answer.text()
            );
        }
        // Every token was declined by one of its ten postbacks.
        assert_eq!(app.ledger.count("click", "1 = 1").await, 0);
        assert_eq!(app.ledger.count("conversion", "payload IS NOT NULL").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_configuration_on_one_node_is_in_force_on_the_other() {
    on_two_nodes(async |app, twin| {
        let token = twin.token("Ab3xK9").await;
        let before = [("token", token.as_str()), ("order_id", "A-1")];
        twin.shop().postback(&before).await.is(422, "refused", "consent_missing");
        app.provision(
            "[[tenant]]\nslug = \"acme\"\npolicy = \"inherit_click\"\npolicy_reason = \"a test\"\nrefusal = \"drop\"\ntcf_vendor_id = 755\n\
             time_zone = \"Europe/Berlin\"\n\
             [[tenant.link]]\nslug = \"Newest\"\ncampaign = \"autumn\"\npublisher = \"news\"\n",
        )
        .await;
        // A verdict is never made under an old policy, even before the node has looked for changes.
        twin.shop().postback(&before).await.is(200, "recorded", "accepted");
        assert!(twin.click("Newest", "consent=granted").await.token.is_some());
        let token = app.token("Newest").await;
        app.clock.advance_seconds(86_401);
        let late = [("token", token.as_str()), ("order_id", "A-2")];
        twin.shop().postback(&late).await.is(200, "dropped", "consent_missing");
        assert!(!twin.live.reload_if_changed().await.expect("read"), "it has seen the change already");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_link_is_followed_after_a_reload() {
    on_two_nodes(async |app, twin| {
        app.provision(
            "[[tenant]]\nslug = \"acme\"\nrefusal = \"refuse\"\ntcf_vendor_id = 755\ntime_zone = \"Europe/Berlin\"\n\
             [[tenant.link]]\nslug = \"Newest\"\ncampaign = \"autumn\"\npublisher = \"news\"\n",
        )
        .await;
        assert_eq!(twin.click("Newest", "consent=granted").await.answer.status, 404);
        assert!(twin.live.reload_if_changed().await.expect("read"));
        assert!(twin.click("Newest", "consent=granted").await.token.is_some());
    })
    .await;
}
