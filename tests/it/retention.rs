//! Retention: each class goes at its time and not before, what is held or frozen stays, and nothing that is counted
//! changes.

use einklang::domain::retention::Class;
use einklang::flow::retention::PurgeReport;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::world;

pub const DAY: i64 = 86_400;

/// An order of a person's, under a token.
pub async fn order(app: &TestApp, token: &str, name: &str) -> String {
    let pairs = [
        ("token", token),
        ("order_id", name),
        ("amount", "77.13"),
        ("customer_ref", name),
        ("consent", "1"),
    ];
    let answer = app.shop().postback(&pairs).await;
    answer.is(200, "recorded", "accepted");
    answer.member("conversion_id")
}

pub async fn test_order(app: &TestApp, token: &str, name: &str) {
    let pairs = [
        ("token", token),
        ("order_id", name),
        ("consent", "1"),
        ("test", "1"),
    ];
    app.shop().postback(&pairs).await.is(200, "recorded", "accepted");
}

/// How many rows of a class went.
pub fn removed(report: &PurgeReport, class: Class) -> u64 {
    let of_class = report.classes.iter().filter(|one| one.class == class);
    of_class.map(|one| one.removed).sum()
}

pub async fn is_sound(app: &TestApp) {
    app.keep_logs().await;
    let report = app.checks().run().await.expect("searched");
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}

async fn report(app: &TestApp, name: &str) -> Value {
    // A period that has everything in it.
    let path = format!("/v1/reports/{name}?from=2026-11-01&to=2027-10-31");
    let answer = app.manager().get(&path).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut report = answer.json();
    // When it was made is no figure.
    report["generated_at"] = Value::Null;
    report
}

pub async fn standing(app: &TestApp, class: &str) -> Value {
    let page = app.holder(world::AUDITOR).get("/v1/retention").await;
    assert_eq!(page.status, 200, "{}", page.text());
    let page = page.json();
    let classes = page["classes"].as_array().expect("classes");
    let found = classes.iter().find(|one| one["class"] == class);
    found.unwrap_or_else(|| panic!("{class} in {page}")).clone()
}

both!(test_conversions_go_after_seven_days, async |app: &TestApp| {
    let token = app.token("Ab3xK9").await;
    test_order(app, &token, "A-1").await;
    order(app, &token, "A-1").await;

    app.clock.advance_seconds(7 * DAY);
    assert_eq!(
        removed(&app.purge().await, Class::TestConversion),
        0,
        "not a second early"
    );
    app.clock.advance_seconds(1);
    assert_eq!(removed(&app.purge().await, Class::TestConversion), 1);
    assert_eq!(removed(&app.purge().await, Class::TestConversion), 0, "once");

    assert_eq!(app.ledger.count("conversion", "test").await, 0);
    assert_eq!(app.ledger.count("order_key", "test").await, 0);
    assert_eq!(app.ledger.count("conversion", "NOT test").await, 1);
    assert_eq!(app.ledger.count("order_key", "NOT test").await, 1);
    assert_eq!(
        app.ledger.count("click_salt", "1 = 1").await,
        1,
        "the order hangs on it"
    );
    is_sound(app).await;
});

both!(
    a_click_goes_after_its_rule_and_never_before_its_window_and_margin,
    async |app: &TestApp| {
        // The long campaign's window has 30 days, the short one's a single day.
        let long = app.token("Ab3xK9").await;
        let short = app.token("Winter").await;
        let signal = json!({"token": long, "consent": "1"});
        assert_eq!(app.shop().post("/v1/consent-signals", &signal).await.status, 200);
        app.clock.advance_seconds(30 * DAY);
        assert_eq!(removed(&app.purge().await, Class::Click), 0, "not a second early");
        app.clock.advance_seconds(1);
        assert_eq!(removed(&app.purge().await, Class::Click), 1, "the short one's");
        app.clock.advance_seconds(7 * DAY - 1);
        assert_eq!(removed(&app.purge().await, Class::Click), 0);
        assert_eq!(app.ledger.count("consent_record", "1 = 1").await, 1);
        app.clock.advance_seconds(1);
        assert_eq!(removed(&app.purge().await, Class::Click), 1, "the long one's");
        for table in ["click", "click_salt", "consent_record"] {
            assert_eq!(app.ledger.count(table, "1 = 1").await, 0, "{table}");
        }
        assert_eq!(
            app.ledger.count("consent_proof", "1 = 1").await,
            3,
            "of two clicks and a later signal"
        );
        is_sound(app).await;

        // Nothing brings it back: neither a postback, nor a signal, nor a repetition.
        let before = app.ledger.totals().await;
        for token in [&long, &short] {
            let pairs = [("token", token.as_str()), ("order_id", "late"), ("consent", "1")];
            app.shop()
                .postback(&pairs)
                .await
                .is(410, "refused", "token_expired");
            let signal = json!({"token": token, "consent": "1"});
            let answer = app.shop().post("/v1/consent-signals", &signal).await;
            assert_eq!(
                (answer.status, answer.member("outcome").as_str()),
                (200, "no_effect")
            );
        }
        let after = app.ledger.totals().await;
        for table in ["click", "click_salt", "consent_record", "conversion", "order_key"] {
            assert_eq!(before[table], after[table], "{table}");
        }
        is_sound(app).await;
    }
);

both!(
    what_hangs_on_a_salt_keeps_it_and_goes_with_it,
    async |app: &TestApp| {
        let token = app.token("Ab3xK9").await;
        app.clock.advance_seconds(10 * DAY);
        let conversion = order(app, &token, "A-1").await;
        app.token("Ab3xK9").await;
        let figures = (report(app, "performance").await, report(app, "consent").await);
        app.clock.advance_seconds(28 * DAY);
        let purged = app.purge().await;
        assert_eq!(
            (
                removed(&purged, Class::Click),
                removed(&purged, Class::ConversionDetails)
            ),
            (1, 0)
        );
        assert_eq!(
            app.ledger.count("click_salt", "1 = 1").await,
            2,
            "details are sealed under one"
        );
        let listed = app.privacy().get("/v1/consent-records?order_id=A-1").await.json();
        let items = listed["items"].as_array().expect("items");
        assert_eq!(items.len(), 1, "the order's, its click's had its time: {listed}");
        let record = format!("/v1/consent-records/{}", items[0]["id"].as_str().expect("an id"));
        assert_eq!(app.privacy().get(&record).await.status, 200);
        let proof = app
            .holder(world::AUDITOR)
            .get(&format!("{record}/proof"))
            .await
            .json();
        assert_eq!(
            (&proof["state"], &proof["full_record"]),
            (&json!("granted"), &json!(true))
        );
        is_sound(app).await;

        // 90 days after the order: its row stays with what is counted.
        app.clock.advance_seconds(62 * DAY + 1);
        let purged = app.purge().await;
        assert_eq!(removed(&purged, Class::ConversionDetails), 1);
        for table in ["click", "click_salt", "customer_key"] {
            assert_eq!(app.ledger.count(table, "1 = 1").await, 0, "{table}");
        }
        let empty = "purged AND issued_at_ticks IS NULL AND click_id IS NULL AND order_hash IS NULL AND payload IS NULL \
                     AND consent_bits IS NULL AND signal_kinds IS NULL AND amount_minor = 7713";
        assert_eq!(app.ledger.count("conversion", empty).await, 1);
        assert_eq!(
            (report(app, "performance").await, report(app, "consent").await),
            figures,
            "to the cent"
        );
        app.privacy().get(&record).await.is(404, "refused", "not_found");
        let remains = app
            .holder(world::AUDITOR)
            .get(&format!("{record}/proof"))
            .await
            .json();
        assert_eq!(
            (
                &remains["state"],
                &remains["decided_at"],
                &remains["policy_version"],
                &remains["full_record"]
            ),
            (
                &proof["state"],
                &proof["decided_at"],
                &proof["policy_version"],
                &json!(false)
            )
        );
        // The order is known until its own end, and names no click.
        assert_eq!(removed(&purged, Class::Idempotency), 1, "97 days after the click");
        let path = format!("/v1/conversions/{conversion}");
        let change = json!({"status": "cancelled"});
        app.manager()
            .patch(&path, &change)
            .await
            .is(410, "refused", "gone");
        is_sound(app).await;
    }
);

both!(
    an_order_counts_once_even_when_its_details_are_gone,
    async |app: &TestApp| {
        let rule = json!({"class": "conversion_details", "days": 7});
        assert_eq!(app.manager().patch("/v1/retention", &rule).await.status, 200);
        let token = app.token("Ab3xK9").await;
        let conversion = order(app, &token, "A-1").await;
        app.clock.advance_seconds(7 * DAY + 1);
        assert_eq!(removed(&app.purge().await, Class::ConversionDetails), 1);
        assert_eq!(app.ledger.count("order_key", "issued_at_ticks = 0").await, 1);
        let pairs = [
            ("token", token.as_str()),
            ("order_id", "A-1"),
            ("amount", "77.13"),
            ("customer_ref", "A-1"),
            ("consent", "1"),
        ];
        let again = app.shop().postback(&pairs).await;
        again.is(200, "duplicate", "duplicate");
        assert_eq!(again.member("conversion_id"), conversion);
        // Whose order it was is no longer known here.
        let signal = json!({"order_id": "A-1", "consent": "0"});
        let answer = app.shop().post("/v1/consent-signals", &signal).await;
        assert_eq!(answer.member("outcome"), "no_effect", "{}", answer.text());
        is_sound(app).await;
    }
);

both!(
    proofs_orders_and_suppressions_go_at_their_own_ends,
    async |app: &TestApp| {
        let token = app.token("Winter").await;
        order(app, &token, "A-1").await;
        let denied = json!({"token": app.token("Winter").await, "consent": "0"});
        app.shop().post("/v1/consent-signals", &denied).await;
        assert_eq!(app.ledger.count("suppression", "1 = 1").await, 1);
        app.clock.advance_seconds(97 * DAY);
        let purged = app.purge().await;
        assert_eq!(removed(&purged, Class::Idempotency), 0, "not a second early");
        app.clock.advance_seconds(1);
        assert_eq!(removed(&app.purge().await, Class::Idempotency), 1);
        app.clock.advance_seconds(7 * DAY - 1);
        assert_eq!(removed(&app.purge().await, Class::Suppression), 0);
        app.clock.advance_seconds(1);
        assert_eq!(removed(&app.purge().await, Class::Suppression), 1);
        assert_eq!(app.ledger.count("suppression", "1 = 1").await, 0);

        assert_eq!(
            app.ledger.count("consent_proof", "1 = 1").await,
            2,
            "of what was purged and not of what was erased"
        );
        app.clock.advance_seconds((365 - 104) * DAY);
        assert_eq!(removed(&app.purge().await, Class::MinimalProof), 2);
        assert_eq!(app.ledger.count("consent_proof", "1 = 1").await, 0);
        is_sound(app).await;
    }
);

both!(frozen_rows_stay_and_are_told_of, async |app: &TestApp| {
    for name in ["A-1", "A-2"] {
        let token = app.token("Ab3xK9").await;
        order(app, &token, name).await;
    }
    let one = "(SELECT MIN(click_id) FROM click)";
    let one = if app.database.url.starts_with("postgres") {
        "(SELECT click_id FROM click ORDER BY click_id LIMIT 1)"
    } else {
        one
    };
    app.database
        .execute(&format!(
            "UPDATE click SET restricted = TRUE WHERE click_id = {one}"
        ))
        .await;
    app.clock.advance_seconds(120 * DAY);
    let purged = app.purge().await;
    // The order stays, too, so that the restriction can be lifted by it.
    for class in [Class::Click, Class::ConversionDetails, Class::Idempotency] {
        assert_eq!(removed(&purged, class), 1, "{class:?}");
        let left = purged
            .classes
            .iter()
            .find(|found| found.class == class)
            .expect("one");
        assert_eq!((left.left_held, left.left_restricted), (0, 1), "{class:?}");
    }
    assert_eq!(app.ledger.count("click_salt", "1 = 1").await, 1);
    let click = standing(app, "click").await;
    assert_eq!(
        (&click["restricted"], &click["overdue"]),
        (&json!(1), &json!(false)),
        "{click}"
    );
    assert_eq!(click["last_run"]["left_restricted"], 1, "{click}");
    assert_eq!(app.ledger.leaves("\"reason\":\"restricted\"").await, 3);
    is_sound(app).await;
    // Their month's key stays as long as they do.
    let acme = app.ledger.tenant("acme").await;
    let id = app.live.routing().tenants[&acme].tenant.object.id;
    let is_theirs = |report: &PurgeReport| {
        let mut months = report.months.iter();
        months.any(|(tenant, month)| tenant.0 == id && *month == 682)
    };
    assert!(!is_theirs(&purged), "{purged:?}");
    app.database.execute("UPDATE click SET restricted = FALSE").await;
    let purged = app.purge().await;
    assert!(is_theirs(&purged), "{purged:?}");
    is_sound(app).await;
});

both!(
    a_months_key_is_destroyed_with_the_last_of_its_data_and_not_before,
    async |app: &TestApp| {
        let token = app.token("Ab3xK9").await;
        order(app, &token, "A-1").await;
        let acme = app.ledger.tenant("acme").await;
        let key = format!("tenant = {acme} AND purpose = 'epoch' AND number = 682");
        // The click is gone, its order's details are not.
        app.clock.advance_seconds(60 * DAY);
        app.live.prepare_epochs().await.expect("made");
        assert!(app.purge().await.months.iter().all(|(tenant, _)| {
            let routing = app.live.routing();
            tenant.0 != routing.tenants[&acme].tenant.object.id
        }));
        assert_eq!(app.ledger.count("wrapped_key", &key).await, 1);
        app.clock.advance_seconds(31 * DAY);
        app.live.prepare_epochs().await.expect("made");
        let months = app.purge().await.months;
        assert!(months.iter().any(|(_, month)| *month == 682), "{months:?}");
        assert_eq!(app.ledger.count("wrapped_key", &key).await, 0);
        let ring = &app.live.routing().tenants[&acme].keys;
        assert!(!ring.has_epoch(682), "gone from memory, too");
        assert!(ring.has_epoch(685), "this month's stays");
        assert!(app.ledger.leaves("key.destroyed").await >= 1);
        // Clicks of this month are tracked as ever.
        app.token("Ab3xK9").await;
        is_sound(app).await;
        // A key that is put back is one that the log says was destroyed.
        app.clock.advance_seconds(40 * DAY);
        let months = app.purge().await.months;
        assert!(months.iter().any(|(_, month)| *month == 684), "{months:?}");
        is_sound(app).await;
        app.database
            .execute(
                "INSERT INTO wrapped_key (tenant, purpose, number, wrapped, wrapped_by, state, created_at_ms) \
                 SELECT tenant, purpose, 684, wrapped, wrapped_by, state, created_at_ms FROM wrapped_key \
                 WHERE purpose = 'epoch' AND number = 685",
            )
            .await;
        let found = app.checks().run().await.expect("searched").findings.clone();
        let kinds: Vec<&str> = found.iter().map(|one| one.kind.code()).collect();
        assert!(kinds.contains(&"object_without_entry"), "{found:#?}");
    }
);

both!(a_tenants_own_rules_hold, async |app: &TestApp| {
    let manager = app.manager();
    let change = async |body: Value| manager.patch("/v1/retention", &body).await;
    for (body, status, parameter) in [
        (json!({"class": "click", "days": 0}), 400, "days"),
        (json!({"class": "click", "days": 105}), 409, "days"),
        (json!({"class": "click", "days": 1_096}), 400, "days"),
        (json!({"class": "conversion_details", "days": 6}), 409, "days"),
        (json!({"class": "click", "days": 31}), 409, "reason"),
        (
            json!({"class": "click", "days": 31, "reason": "because"}),
            400,
            "reason",
        ),
        (json!({"class": "audit", "days": 31}), 409, "class"),
        (json!({"class": "everything", "days": 31}), 400, "class"),
        (json!({"class": "click", "days": 3, "more": 1}), 400, "more"),
        (json!({"days": 3}), 400, "class"),
    ] {
        let answer = change(body.clone()).await;
        assert_eq!(
            (answer.status, answer.member("parameter").as_str()),
            (status, parameter),
            "{body}: {}",
            answer.text()
        );
    }
    assert_eq!(app.ledger.leaves("retention.changed").await, 0);
    let longer = change(json!({"class": "conversion_details", "days": 200, "reason": "legal_claims"})).await;
    assert_eq!(longer.status, 200, "{}", longer.text());
    assert_eq!(
        (
            &longer.json()["days"],
            &longer.json()["source"],
            &longer.json()["reason"]
        ),
        (&json!(200), &json!("tenant"), &json!("legal_claims"))
    );
    assert_eq!(change(json!({"class": "click", "days": 2})).await.status, 200);
    assert_eq!(
        change(json!({"class": "click", "days": 2})).await.status,
        200,
        "again"
    );
    assert_eq!(
        app.ledger.leaves("retention.changed").await,
        2,
        "what changes nothing is not entered"
    );

    let token = app.token("Winter").await;
    order(app, &token, "A-1").await;
    let foreign = app.token("Strict").await;
    app.clock.advance_seconds(8 * DAY + 1);
    let purged = app.purge().await;
    assert_eq!(removed(&purged, Class::Click), 1, "the other tenant's stays");
    app.clock.advance_seconds(100 * DAY);
    assert_eq!(removed(&app.purge().await, Class::ConversionDetails), 0);
    app.clock.advance_seconds(100 * DAY);
    assert_eq!(removed(&app.purge().await, Class::ConversionDetails), 1);
    let back = change(json!({"class": "click"})).await;
    assert_eq!(
        (&back.json()["days"], &back.json()["source"]),
        (&json!(30), &json!("default"))
    );
    assert!(!foreign.is_empty());
    is_sound(app).await;
});

both!(
    somebody_is_erased_of_whom_only_an_orders_details_are_left,
    async |app: &TestApp| {
        let token = app.token("Winter").await;
        order(app, &token, "A-1").await;
        app.clock.advance_seconds(40 * DAY);
        assert_eq!(removed(&app.purge().await, Class::Click), 1);
        assert_eq!(app.ledger.count("click_salt", "1 = 1").await, 1);
        let signal = json!({"token": token, "consent": "0"});
        let answer = app.shop().post("/v1/consent-signals", &signal).await;
        assert_eq!(answer.member("outcome"), "applied", "{}", answer.text());
        for table in ["click_salt", "customer_key", "order_key"] {
            assert_eq!(app.ledger.count(table, "1 = 1").await, 0, "{table}");
        }
        assert_eq!(
            app.ledger
                .count("conversion", "click_id IS NULL AND NOT purged")
                .await,
            1
        );
        is_sound(app).await;
    }
);
