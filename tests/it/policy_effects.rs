//! Every field of a policy decides something: the same request under the default and under another value.

use serde_json::{Value, json};

use crate::harness::app::{Click, TestApp};
use crate::harness::clock::START_S;
use crate::harness::tcf;
use crate::policy::made;

const VENDOR: u16 = 755;
const DAY_S: i64 = 86_400;

/// The reason under which the only untracked click since the last look was counted; none if it was tracked.
async fn counted(app: &TestApp, click: &Click) -> Option<String> {
    let counts = app.ledger.by_name("stat_untracked", "reason", "1 = 1").await;
    app.database.execute("DELETE FROM stat_untracked").await;
    assert_eq!(click.token.is_none(), counts.len() == 1, "{counts:?}");
    counts.into_keys().next()
}

/// What becomes of a click with this query.
async fn click(app: &TestApp, query: &str) -> Option<String> {
    let click = app.click("Ab3xK9", query).await;
    counted(app, &click).await
}

async fn change(app: &TestApp, mut body: Value) {
    body["policy_reason"] = json!("a test");
    made(&app.manager(), &body).await;
}

fn with_string(purposes: &[u32], age_days: i64) -> String {
    let string = tcf::string(VENDOR, purposes, START_S - age_days * DAY_S);
    format!("gdpr=1&gdpr_consent={string}")
}

both!(
    purposes_that_are_required_have_to_be_granted,
    async |app: &TestApp| {
        let measuring = with_string(&[1, 7], 1);
        assert_eq!(click(app, &measuring).await, None);
        change(app, json!({"require": ["access", "measure", "personalise"]})).await;
        assert_eq!(click(app, &measuring).await.as_deref(), Some("consent_denied"));
        assert_eq!(click(app, &with_string(&[1, 3, 4, 7], 1)).await, None);
    }
);

both!(consent_ages_as_the_policy_says, async |app: &TestApp| {
    let missing = Some("consent_missing");
    for (days, old, too_old) in [(395, 395, 396), (397, 397, 398), (180, 180, 181)] {
        change(app, json!({"max_consent_age_days": days})).await;
        assert_eq!(click(app, &with_string(&[1, 7], old)).await, None, "{days}");
        assert_eq!(
            click(app, &with_string(&[1, 7], too_old)).await.as_deref(),
            missing,
            "{days}"
        );
    }
    // At the shop, too.
    let token = app.token("Ab3xK9").await;
    for (age_days, status) in [(181, 422), (180, 200)] {
        let string = tcf::string(VENDOR, &[1, 7], START_S - age_days * DAY_S);
        let order = [
            ("token", token.as_str()),
            ("order_id", "A-1"),
            ("gdpr_consent", &string),
        ];
        assert_eq!(app.shop().postback(&order).await.status, status, "{age_days}");
    }
});

both!(
    a_tc_string_overrides_gpc_only_where_the_policy_says_so,
    async |app: &TestApp| {
        let denied = Some("consent_denied");
        let string = with_string(&[1, 7], 1);
        let asked = async |query: &str| {
            let visitor = app.visitor().with("sec-gpc", "1");
            let click = Click::of(visitor.get(&format!("/c/Ab3xK9?{query}")).await);
            counted(app, &click).await
        };
        assert_eq!(asked(&string).await.as_deref(), denied);
        change(app, json!({"gpc": "tcf_overrides"})).await;
        assert_eq!(asked(&string).await, None);
        assert_eq!(click(app, &format!("{string}&gpc=1")).await, None);
        for query in [
            "consent=granted",
            &with_string(&[1], 1),
            &with_string(&[1, 7], 500),
            &format!("{string}&consent=denied"),
        ] {
            assert_eq!(asked(query).await.as_deref(), denied, "{query}");
        }
    }
);

both!(
    gdpr_0_relaxes_only_where_there_are_such_visitors,
    async |app: &TestApp| {
        let missing = Some("consent_missing".to_owned());
        assert_eq!(click(app, "gdpr=0").await, missing);
        change(app, json!({"jurisdictions": ["eea", "us"]})).await;
        assert_eq!(click(app, "gdpr=0").await, None);
        assert_eq!(
            click(app, "gdpr=0&consent=denied").await.as_deref(),
            Some("consent_denied")
        );
        assert_eq!(click(app, "gdpr=0&us_privacy=1YNN").await, None);
        assert_eq!(
            click(app, "gdpr=0&us_privacy=1YYN").await.as_deref(),
            Some("consent_denied")
        );
        for query in ["", "gdpr=1", "gdpr=1&us_privacy=1YNN"] {
            assert_eq!(click(app, query).await, missing, "{query}");
        }
        // At the shop each request speaks for itself.
        let token = app.click("Ab3xK9", "gdpr=0").await.token.expect("a token");
        let order = [("token", token.as_str()), ("order_id", "A-1")];
        app.shop()
            .postback(&order)
            .await
            .is(422, "refused", "consent_missing");
        app.shop()
            .postback(&[&order[..], &[("gdpr", "0")]].concat())
            .await
            .is(200, "recorded", "accepted");
        // Where opting out is enough, it is not for somebody whom the GDPR protects.
        change(app, json!({"mode": "opt_out", "jurisdictions": []})).await;
        assert_eq!(click(app, "").await, None);
        assert_eq!(click(app, "gdpr=1").await, missing);
    }
);

both!(the_window_to_inherit_is_the_policys, async |app: &TestApp| {
    change(app, json!({"mode": "inherit_click", "inherit_window_hours": 1})).await;
    let token = app.token("Ab3xK9").await;
    let order = |order: &'static str| {
        [("token", token.as_str()), ("order_id", order)].map(|(a, b)| (a, b.to_owned()))
    };
    let send = async |name: &'static str| {
        let order = order(name);
        let pairs: Vec<(&str, &str)> = order.iter().map(|(a, b)| (*a, b.as_str())).collect();
        app.shop().postback(&pairs).await
    };
    app.clock.advance_seconds(3_600);
    send("A-1").await.is(200, "recorded", "accepted");
    app.clock.advance_seconds(1);
    send("A-2").await.is(422, "refused", "consent_missing");
    change(app, json!({"inherit_window_hours": 72})).await;
    send("A-2").await.is(200, "recorded", "accepted");
    app.clock.advance_seconds(71 * 3_600);
    send("A-3").await.is(422, "refused", "consent_missing");
});

both!(refusals_are_answered_as_the_policy_says, async |app: &TestApp| {
    let token = app.token("Ab3xK9").await;
    let order = [("token", token.as_str()), ("order_id", "A-1")];
    app.shop()
        .postback(&order)
        .await
        .is(422, "refused", "consent_missing");
    change(app, json!({"refusal": "drop"})).await;
    app.shop()
        .postback(&order)
        .await
        .is(200, "dropped", "consent_missing");
});

/// Two clicks of one person with an order each, and one of somebody else; returns the tokens.
async fn people(app: &TestApp) -> [String; 3] {
    let mut tokens = Vec::new();
    for (order, person) in [("A-1", "c-1"), ("A-2", "c-1"), ("B-1", "c-2")] {
        let token = app.token("Ab3xK9").await;
        let pairs = [
            ("token", token.as_str()),
            ("order_id", order),
            ("customer_ref", person),
            ("consent", "granted"),
        ];
        app.shop().postback(&pairs).await.is(200, "recorded", "accepted");
        tokens.push(token);
    }
    tokens.try_into().expect("three")
}

/// What a shop's word at a postback, or between, leaves of the three clicks.
async fn clicks_left(app: &TestApp, body: &Value) -> i64 {
    let [token, _, _] = people(app).await;
    let mut body = body.clone();
    if body["token"] == "first" {
        body["token"] = json!(token);
    }
    let path = if body.get("order_id").is_some() {
        "/v1/conversions"
    } else {
        "/v1/consent-signals"
    };
    let answer = app.shop().post(path, &body).await;
    let applied = answer.reason() == "consent_denied" || answer.member("outcome") == "applied";
    assert!(applied, "{}", answer.text());
    // Whatever was erased, a late grant changes nothing.
    let late = [
        ("token", token.as_str()),
        ("order_id", "A-9"),
        ("consent", "granted"),
    ];
    app.shop()
        .postback(&late)
        .await
        .is(410, "refused", "consent_withdrawn");
    let left = app.ledger.count("click", "1 = 1").await;
    assert_eq!(app.ledger.count("click_salt", "1 = 1").await, left);
    for table in [
        "click",
        "click_salt",
        "conversion",
        "order_key",
        "customer_key",
        "suppression",
    ] {
        app.database.execute(&format!("DELETE FROM {table}")).await;
    }
    left
}

both!(
    a_no_from_the_shop_erases_what_the_policy_says,
    async |app: &TestApp| {
        let at_the_order = json!({"token": "first", "order_id": "A-3", "consent": "denied"});
        let between = json!({"token": "first", "consent": "denied"});
        for (word, left) in [("click", 2), ("person", 1), ("nothing", 3)] {
            change(app, json!({"shop_denial_erases": word})).await;
            for body in [&at_the_order, &between] {
                assert_eq!(clicks_left(app, body).await, left, "{word} {body}");
            }
        }
        for (action, leaves) in [("click.erased", 4), ("click.blocked", 2)] {
            assert_eq!(app.ledger.leaves(action).await, leaves, "{action}");
        }
    }
);

both!(a_refused_order_names_the_person_as_well, async |app: &TestApp| {
    change(app, json!({"shop_denial_erases": "person"})).await;
    let [_, _, _] = people(app).await;
    // A click that has no order of its own yet.
    let token = app.token("Ab3xK9").await;
    let denied = json!({"token": token, "order_id": "A-3", "customer_ref": "c-1", "consent": "denied"});
    app.shop()
        .post("/v1/conversions", &denied)
        .await
        .is(403, "refused", "consent_denied");
    assert_eq!(app.ledger.count("click", "1 = 1").await, 1, "the other person's");
});

both!(
    what_is_only_blocked_stays_and_never_counts_again,
    async |app: &TestApp| {
        change(app, json!({"shop_denial_erases": "nothing"})).await;
        let [token, _, _] = people(app).await;
        let denied = json!({"token": token, "consent": "denied"});
        let path = "/v1/consent-signals";
        assert_eq!(app.shop().post(path, &denied).await.member("outcome"), "applied");
        assert_eq!(
            app.shop().post(path, &denied).await.member("outcome"),
            "no_effect",
            "again"
        );
        assert_eq!(app.ledger.count("conversion", "payload IS NOT NULL").await, 3);
        // The privacy officer speaks for the person: that erases, whatever a shop's word does.
        let answer = app.privacy().post(path, &denied).await;
        assert_eq!(answer.member("outcome"), "applied", "{}", answer.text());
        assert_eq!(app.ledger.count("click", "1 = 1").await, 2);
        assert_eq!(app.ledger.count("conversion", "payload IS NOT NULL").await, 2);
    }
);
