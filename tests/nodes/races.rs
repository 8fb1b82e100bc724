//! The same order at every node at once, and withdrawals on one node while the order comes to another.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::iter;
use serde_json::json;

use crate::client::{Answer, Caller};
use crate::load::postback;
use crate::place::{Place, Server, token_in};
use crate::{TURN, check_log, node, number_of, postgres, world};

const ORDERS: usize = 1_000;
const DEFAULT_PAIRS: usize = 200;
/// Orders or pairs that are on their way at a time.
const AT_ONCE: usize = 12;

async fn token(visitor: &Caller) -> String {
    let answer = visitor.get("/c/Ab3xK9?consent=granted").await;
    let location = answer.header("location").expect("an address");
    token_in(location).expect("a token")
}

/// Until it is no longer told to come again.
async fn until_answered<F: Future<Output = Answer>>(send: impl Fn() -> F) -> Answer {
    loop {
        let answer = send().await;
        if answer.status != 503 {
            return answer;
        }
        assert!(answer.header("retry-after").is_some());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn each_order_at_every_node(place: &Place, nodes: &[Server], prefix: &str) -> usize {
    let visitor = nodes[0].visitor();
    let shops: Vec<Caller> = nodes.iter().map(|node| node.holder(world::SHOP)).collect();
    let one = async |number: usize| {
        let target = postback(&token(&visitor).await, &format!("{prefix}-{number}"));
        let sent = shops.iter().map(|shop| until_answered(|| shop.get(&target)));
        let answers = join_all(sent).await;
        let ids: Vec<String> = answers
            .iter()
            .map(|answer| answer.member("conversion_id"))
            .collect();
        assert!(
            ids.iter().all(|id| !id.is_empty() && *id == ids[0]),
            "{answers:?}"
        );
        let mut outcomes: HashMap<String, usize> = HashMap::new();
        for answer in &answers {
            assert_eq!(answer.status, 200, "{}", answer.text());
            *outcomes.entry(answer.member("outcome")).or_default() += 1;
        }
        // One that was told to come again may have been recorded all the same; then all are duplicates.
        let recorded = outcomes.remove("recorded").unwrap_or_default();
        assert!(recorded <= 1, "{answers:?}");
        assert_eq!(
            outcomes.remove("duplicate").unwrap_or_default() + recorded,
            answers.len()
        );
        recorded
    };
    let recorded: Vec<usize> = iter(0..ORDERS).map(one).buffer_unordered(AT_ONCE).collect().await;
    let ledger = place.reader().await;
    let total = ledger.count("conversion", "1 = 1").await;
    assert_eq!(ledger.count("order_key", "1 = 1").await, total);
    assert_eq!(ledger.events("stat_hour", "outcome = 'confirmed'").await, total);
    assert_eq!(ledger.count("click", "1 = 1").await, total);
    usize::try_from(total).expect("a count") + recorded.iter().sum::<usize>()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_sent_to_every_node_at_once_is_recorded_once() {
    let _turn = TURN.lock().await;
    let place = Place::on(&postgres::create_database().await);
    let mut nodes: Vec<Server> = (0..2).map(|number| node(&place, number)).collect();
    let two = each_order_at_every_node(&place, &nodes, "two").await;
    println!(
        "2 nodes: {ORDERS} orders, {} of them answered as recorded",
        two - ORDERS
    );
    nodes.extend((2..4).map(|number| node(&place, number)));
    let four = each_order_at_every_node(&place, &nodes, "four").await;
    println!(
        "4 nodes: {ORDERS} orders, {} of them answered as recorded",
        four - 2 * ORDERS
    );
    nodes.into_iter().for_each(Server::stop);
    check_log(&place);
}

/// What came of a pair: whether the postback was recorded before the withdrawal.
async fn pair(one: &Server, other: &Server, number: usize) -> bool {
    let token = token(&one.visitor()).await;
    let (shop, there) = (one.holder(world::SHOP), other.holder(world::SHOP));
    let body = json!({"token": token, "consent": "denied"});
    let target = postback(&token, &format!("P-{number}"));
    let withdraw = until_answered(|| shop.post("/v1/consent-signals", &body));
    let order = until_answered(|| there.get(&target));
    // Who is sent first differs from pair to pair; both are on their way before either is answered.
    let (withdrawn, ordered) = if number.is_multiple_of(2) {
        tokio::join!(withdraw, order)
    } else {
        let (ordered, withdrawn) = tokio::join!(order, withdraw);
        (withdrawn, ordered)
    };
    assert_eq!(withdrawn.status, 200, "{}", withdrawn.text());
    assert_eq!(withdrawn.member("outcome"), "applied");
    match ordered.status {
        200 => assert_eq!(ordered.member("outcome"), "recorded", "{}", ordered.text()),
        _ => {
            ordered.is(410, "refused", "consent_withdrawn");
        }
    }
    // From here on it is out on both.
    let later = [&shop, &there][number / 2 % 2];
    later.get(&target).await.is(410, "refused", "consent_withdrawn");
    ordered.status == 200
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_recorded_after_a_withdrawal_on_another_node() {
    let _turn = TURN.lock().await;
    let pairs = number_of("EINKLANG_NODE_PAIRS", DEFAULT_PAIRS);
    let place = Place::on(&postgres::create_database().await);
    let (one, other) = (node(&place, 0), node(&place, 1));
    let races = iter(0..pairs).map(|number| pair(&one, &other, number));
    let recorded: Vec<bool> = races.buffer_unordered(AT_ONCE).collect().await;
    let first = recorded.iter().filter(|first| **first).count();
    let ledger = place.reader().await;
    let live = ledger
        .count("conversion", "click_id IS NOT NULL OR payload IS NOT NULL")
        .await;
    println!("{pairs} pairs: {first} postbacks came before the withdrawal, {live} conversions live");
    assert_eq!(live, 0, "nothing of anybody who withdrew");
    for table in ["click", "click_salt", "order_key"] {
        assert_eq!(ledger.count(table, "1 = 1").await, 0, "{table}");
    }
    let counted = ledger.count("conversion", "1 = 1").await;
    assert_eq!(
        usize::try_from(counted).expect("a count"),
        first,
        "what was acknowledged is counted"
    );
    one.stop();
    other.stop();
    check_log(&place);
}
