//! The answer table and the order of checks (DESIGN 4.2), over HTTP.
//!
//! A postback can have several faults at once; the first in the order is the answer. Each fault alone is tried under
//! refusing and dropping tenants and under shops that override them; every pair of faults that one postback can have is
//! tried under a refusing one.

use crate::harness::app::TestApp;
use crate::harness::client::{Answer, Caller};
use crate::harness::ledger::changes;
use crate::harness::world;

/// What can be wrong with a postback, in the order of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    NoKey,
    Syntax,
    Goal,
    Currency,
    Malformed,
    NoToken,
    UnknownToken,
    Withdrawn,
    Restricted,
    Denied,
    Expired,
    Outside,
    Missing,
    Conflict,
    Duplicate,
}

use Fault::{
    Conflict, Currency, Denied, Duplicate, Expired, Goal, Malformed, Missing, NoKey, NoToken, Outside,
    Restricted, Syntax, UnknownToken, Withdrawn,
};

/// Fault, status where refusals are refused, status where they are dropped, reason.
const TABLE: [(Fault, u16, u16, &str); 15] = [
    (NoKey, 401, 401, "unauthenticated"),
    (Syntax, 400, 400, "invalid_request"),
    (Goal, 422, 422, "unknown_goal"),
    (Currency, 422, 422, "currency_mismatch"),
    (Malformed, 400, 400, "consent_malformed"),
    (NoToken, 422, 200, "no_token"),
    (UnknownToken, 404, 404, "unknown_token"),
    (Withdrawn, 410, 200, "consent_withdrawn"),
    (Restricted, 409, 200, "restricted"),
    (Denied, 403, 200, "consent_denied"),
    (Expired, 410, 410, "token_expired"),
    (Outside, 422, 200, "outside_window"),
    (Missing, 422, 200, "consent_missing"),
    (Conflict, 409, 409, "duplicate_conflict"),
    (Duplicate, 200, 200, "duplicate"),
];

/// Whether one postback can have both: it has one token or none, one signal, one time, one earlier order.
fn together(one: Fault, other: Fault) -> bool {
    let token = |fault| matches!(fault, NoToken | UnknownToken);
    let known_token = |fault| {
        matches!(
            fault,
            Withdrawn | Restricted | Expired | Outside | Conflict | Duplicate
        )
    };
    let signal = |fault| matches!(fault, Malformed | Denied | Missing);
    let prior = |fault| matches!(fault, Conflict | Duplicate);
    let time = |fault| matches!(fault, Expired | Outside);
    let clash = |left: &dyn Fn(Fault) -> bool, right: &dyn Fn(Fault) -> bool| {
        (left(one) && right(other)) || (left(other) && right(one))
    };
    // Erasing a click frees its orders, so a withdrawn one has no duplicate.
    let withdrawn = |fault| fault == Withdrawn;
    !(clash(&token, &token)
        || clash(&token, &known_token)
        || clash(&signal, &signal)
        || clash(&prior, &prior)
        || clash(&time, &time)
        || clash(&withdrawn, &prior))
}

/// A shop with its tracking link, whose campaign has a window of one day.
struct Door {
    shop: Caller,
    link: &'static str,
    drops: bool,
}

fn doors(app: &TestApp) -> [Door; 4] {
    let door = |key, link, drops| Door {
        shop: app.holder(key),
        link,
        drops,
    };
    [
        door(world::SHOP, "Winter", false),
        door(world::FOREIGN_SHOP, "Globex", true),
        door(world::OUTLET, "Outlet", true),
        door(world::FOREIGN_STRICT_SHOP, "Strict", false),
    ]
}

const DAY_SECONDS: i64 = 86_400;

/// Sends a postback with these faults.
async fn send(app: &TestApp, door: &Door, faults: &[Fault], order: &str) -> Answer {
    let has = |fault| faults.contains(&fault);
    let mut token = app.token(door.link).await;
    if has(Withdrawn) {
        // The order belonged to a click that is erased; the postback comes with the token of another click.
        let recorded = door.shop.postback(&pairs(Some(&token), order, &[])).await;
        recorded.is(200, "recorded", "accepted");
        let denied = door
            .shop
            .postback(&[("token", token.as_str()), ("consent", "denied")])
            .await;
        assert_eq!(denied.reason(), "consent_denied");
        token = app.token(door.link).await;
    }
    if has(Duplicate) || has(Conflict) {
        let first = door.shop.postback(&pairs(Some(&token), order, &[])).await;
        first.is(200, "recorded", "accepted");
    }
    if has(Restricted) {
        let click = format!("issued_at_ticks / 256 = {}", app.clock.now_s());
        app.database
            .execute(&format!("UPDATE click SET restricted = TRUE WHERE {click}"))
            .await;
    }
    let days = if has(Expired) {
        9
    } else {
        i64::from(has(Outside)) * 2
    };
    app.clock.advance_seconds(days * DAY_SECONDS);
    let token = match () {
        () if has(NoToken) => None,
        () if has(UnknownToken) => {
            Some("AQABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
        }
        () => Some(token.as_str()),
    };
    let shop = if has(NoKey) {
        app.holder("ek_test_nobody_knows_this_key")
    } else {
        door.shop.clone()
    };
    let answer = shop.postback(&pairs(token, order, faults)).await;
    // Whatever comes next has a second of its own.
    app.clock.advance_seconds(1);
    answer
}

fn pairs<'a>(token: Option<&'a str>, order: &'a str, faults: &[Fault]) -> Vec<(&'a str, &'a str)> {
    let has = |fault| faults.contains(&fault);
    let mut pairs = vec![
        ("order_id", order),
        ("amount", if has(Conflict) { "1.00" } else { "49.90" }),
    ];
    pairs.extend(token.map(|token| ("token", token)));
    match () {
        () if has(Malformed) => pairs.push(("consent", "perhaps")),
        () if has(Denied) => pairs.push(("consent", "denied")),
        () if has(Missing) => {}
        () => pairs.push(("consent", "granted")),
    }
    for (fault, pair) in [
        (Syntax, ("status", "perhaps")),
        (Goal, ("goal", "lead")),
        (Currency, ("currency", "GBP")),
    ] {
        if has(fault) {
            pairs.push(pair);
        }
    }
    pairs
}

/// What an answer has to be for this fault.
fn expected(fault: Fault, drops: bool) -> (u16, String, String) {
    let (_, refuses, dropped, reason) = TABLE[fault as usize];
    let status = if drops { dropped } else { refuses };
    let outcome = match (fault, status) {
        (Duplicate, _) => "duplicate",
        (_, 200) => "dropped",
        _ => "refused",
    };
    (status, outcome.to_owned(), reason.to_owned())
}

both!(every_row_of_the_answer_table, async |app: &TestApp| {
    for (door, number) in doors(app).iter().zip(1..) {
        for (fault, ..) in TABLE {
            let before = app.ledger.totals().await;
            let answer = send(app, door, &[fault], &format!("row-{number}-{fault:?}")).await;
            assert_eq!(
                answer.verdict(),
                expected(fault, door.drops),
                "{fault:?} at {}",
                door.link
            );
            assert_eq!(answer.json()["retry"], false, "{fault:?}");
            let named = matches!(fault, Duplicate | Conflict);
            assert_eq!(answer.json().get("conversion_id").is_some(), named, "{fault:?}");
            let change = changes(&before, &app.ledger.totals().await);
            // One click, and a conversion only where the fault needs an earlier one.
            let conversions = i64::from(matches!(fault, Withdrawn | Conflict | Duplicate));
            assert_eq!(
                change.get("conversion").copied().unwrap_or(0),
                conversions,
                "{fault:?}: {change:?}"
            );
            let clicks = i64::from(fault != Denied);
            assert_eq!(
                change.get("click").copied().unwrap_or(0),
                clicks,
                "{fault:?}: {change:?}"
            );
        }
        let recorded = send(app, door, &[], &format!("row-{number}-none")).await;
        recorded.is(200, "recorded", "accepted");
    }
});

both!(the_first_of_two_faults_is_the_answer, async |app: &TestApp| {
    let [door, ..] = doors(app);
    let mut pairs = 0;
    for (place, (first, ..)) in TABLE.iter().enumerate() {
        for (second, ..) in &TABLE[place + 1..] {
            if !together(*first, *second) {
                continue;
            }
            let answer = send(app, &door, &[*first, *second], &format!("{first:?}-{second:?}")).await;
            assert_eq!(
                answer.verdict(),
                expected(*first, false),
                "{first:?} and {second:?}"
            );
            pairs += 1;
        }
    }
    println!("{pairs} pairs of faults");
    assert_eq!(pairs, 85);
});

both!(the_ways_to_a_withdrawal, async |app: &TestApp| {
    let shop = app.shop();
    let token = app.token("Winter").await;
    let other = app.token("Winter").await;
    shop.postback(&pairs(Some(&token), "gone", &[]))
        .await
        .is(200, "recorded", "accepted");
    shop.postback(&pairs(Some(&token), "gone", &[Denied]))
        .await
        .is(403, "refused", "consent_denied");
    // By the click, for any order and any signal; by the order, with any other click's token.
    for order in ["gone", "another"] {
        for fault in [Missing, Denied, Duplicate] {
            let answer = shop.postback(&pairs(Some(&token), order, &[fault])).await;
            answer.is(410, "refused", "consent_withdrawn");
        }
    }
    shop.postback(&pairs(Some(&other), "gone", &[]))
        .await
        .is(410, "refused", "consent_withdrawn");
    shop.postback(&pairs(Some(&other), "another", &[]))
        .await
        .is(200, "recorded", "accepted");
    // A test postback is checked as a live one is; an order that was only ever a test shuts out none.
    let test = |token: &str, order: &str| {
        let target = crate::harness::client::query(&pairs(Some(token), order, &[]));
        format!("/postback?{target}&test=1")
    };
    shop.get(&test(&other, "gone"))
        .await
        .is(410, "refused", "consent_withdrawn");
    let trial = app.token("Winter").await;
    shop.get(&test(&trial, "trial"))
        .await
        .is(200, "recorded", "accepted");
    shop.postback(&pairs(Some(&trial), "trial", &[Denied]))
        .await
        .is(403, "refused", "consent_denied");
    shop.postback(&pairs(Some(&other), "trial", &[]))
        .await
        .is(200, "recorded", "accepted");
});

both!(a_purged_click_counts_as_expired, async |app: &TestApp| {
    let token = app.token("Winter").await;
    let click = format!("issued_at_ticks / 256 = {}", app.clock.now_s());
    for table in ["click", "click_salt", "consent_record"] {
        app.database
            .execute(&format!("DELETE FROM {table} WHERE {click}"))
            .await;
    }
    let answer = app.shop().postback(&pairs(Some(&token), "purged", &[])).await;
    answer.is(410, "refused", "token_expired");
});

both!(
    a_click_without_its_salt_counts_as_erased,
    async |app: &TestApp| {
        let token = app.token("Winter").await;
        let click = format!("issued_at_ticks / 256 = {}", app.clock.now_s());
        app.database
            .execute(&format!("DELETE FROM click_salt WHERE {click}"))
            .await;
        let answer = app.shop().postback(&pairs(Some(&token), "half", &[])).await;
        answer.is(410, "refused", "consent_withdrawn");
    }
);

both!(tokens_of_others_are_unknown, async |app: &TestApp| {
    for link in ["Globex", "Outlet"] {
        let token = app.token(link).await;
        let answer = app.shop().postback(&pairs(Some(&token), "foreign", &[])).await;
        answer.is(404, "refused", "unknown_token");
    }
    let token = app.token("Winter").await;
    let mut forged = token.clone().into_bytes();
    let last = forged.len() - 5;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).expect("ASCII");
    app.shop()
        .postback(&pairs(Some(&forged), "forged", &[]))
        .await
        .is(404, "refused", "unknown_token");
    app.shop()
        .postback(&pairs(Some(&token[..60]), "cut", &[]))
        .await
        .is(404, "refused", "unknown_token");
});

both!(the_edges_of_the_window, async |app: &TestApp| {
    let shop = app.shop();
    let margin = 7 * DAY_SECONDS;
    let cases = [
        (DAY_SECONDS, (200, "recorded", "accepted")),
        (DAY_SECONDS + 1, (422, "refused", "outside_window")),
        (DAY_SECONDS + margin, (422, "refused", "outside_window")),
        (DAY_SECONDS + margin + 1, (410, "refused", "token_expired")),
    ];
    for (seconds, (status, outcome, reason)) in cases {
        let token = app.token("Winter").await;
        app.clock.advance_seconds(seconds);
        let answer = shop
            .postback(&pairs(Some(&token), &format!("after-{seconds}"), &[]))
            .await;
        answer.is(status, outcome, reason);
    }
});

both!(what_counts_is_when_the_goal_happened, async |app: &TestApp| {
    let shop = app.shop();
    let at = async |token: &str, order: &str, offset_seconds: i64| {
        let moment = app.clock.rfc3339(offset_seconds);
        let mut pairs = pairs(Some(token), order, &[]);
        pairs.push(("occurred_at", &moment));
        shop.postback(&pairs).await
    };
    let token = app.token("Winter").await;
    // A shop's clock may be five minutes off, in either direction.
    at(&token, "just-before", -300)
        .await
        .is(200, "recorded", "accepted");
    at(&token, "before", -301)
        .await
        .is(422, "refused", "outside_window");
    at(&token, "just-ahead", 300)
        .await
        .is(200, "recorded", "accepted");
    at(&token, "ahead", 301).await.is_invalid("occurred_at");
    app.clock.advance_seconds(3 * DAY_SECONDS);
    at(&token, "late-sender", -2 * DAY_SECONDS)
        .await
        .is(200, "recorded", "accepted");
    at(&token, "too-late", -2 * DAY_SECONDS + 1)
        .await
        .is(422, "refused", "outside_window");
});
