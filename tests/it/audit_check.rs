//! The tamper search: a server that did all kinds of things fits together, and whatever is changed behind its back is
//! found and named.

use einklang::app::config::Options;
use einklang::flow::audit::check::CheckReport;

use crate::harness::app::TestApp;
use crate::harness::database::as_superuser;
use crate::harness::ledger::execute;
use crate::harness::world;
use crate::retention::{is_sound, order};

/// Some of everything: clicks, every verdict, a later signal, an erasure, corrections, changes of objects.
async fn live_through(app: &TestApp) {
    let shop = app.shop();
    let mut tokens = Vec::new();
    for _ in 0..5 {
        tokens.push(app.token("Ab3xK9").await);
    }
    app.click("Ab3xK9", "consent=denied").await;
    for (number, token) in tokens.iter().enumerate() {
        let order = format!("A-{number}");
        let pairs = [("token", token.as_str()), ("order_id", &order), ("consent", "1")];
        shop.postback(&pairs).await.is(200, "recorded", "accepted");
        shop.postback(&pairs).await.is(200, "duplicate", "duplicate");
    }
    let test = [
        ("token", tokens[0].as_str()),
        ("order_id", "T"),
        ("consent", "1"),
        ("test", "1"),
    ];
    shop.postback(&test).await.is(200, "recorded", "accepted");
    shop.postback(&[("order_id", "B-1"), ("consent", "1")])
        .await
        .is(422, "refused", "no_token");
    for (token, state) in [(&tokens[0], "1"), (&tokens[1], "0")] {
        let body = serde_json::json!({"token": token, "consent": state});
        shop.post("/v1/consent-signals", &body).await;
    }
    let denied = [
        ("token", tokens[2].as_str()),
        ("order_id", "C-1"),
        ("consent", "0"),
    ];
    shop.postback(&denied).await.is(403, "refused", "consent_denied");
    app.clock.advance_seconds(86_400);
    einklang::flow::audit::days::ClosedDays::new(std::sync::Arc::clone(&app.live))
        .enter()
        .await
        .expect("entered");
}

async fn search(app: &TestApp) -> std::sync::Arc<CheckReport> {
    app.keep_logs().await;
    app.checks().run().await.expect("searched")
}

fn kinds(report: &CheckReport) -> Vec<(&'static str, u64)> {
    report
        .findings
        .iter()
        .map(|one| (one.kind.code(), one.count))
        .collect()
}

both!(
    a_server_that_did_all_kinds_of_things_fits_together,
    async |app: &TestApp| {
        live_through(app).await;
        let report = search(app).await;
        assert_eq!(kinds(&report), [], "{:#?}", report.findings);
        let at = report.looked_at;
        assert!(at.entries > 20 && at.objects > 20, "{at:?}");
        assert_eq!(
            (at.clicks, at.conversions, at.consent_records),
            (3, 4, 1),
            "{at:?}"
        );
        assert!(at.checkpoints >= 3, "{at:?}");
        app.clock.advance_seconds(8 * 86_400);
        app.purge().await;
        assert_eq!(app.ledger.count("conversion", "test").await, 0);
        let report = search(app).await;
        assert_eq!(kinds(&report), [], "{:#?}", report.findings);
        assert_eq!(app.ledger.leaves("audit.checked").await, 2);
    }
);

both!(
    what_waits_for_its_place_counts_as_entered,
    async |app: &TestApp| {
        live_through(app).await;
        let report = app.checks().run().await.expect("searched");
        assert_eq!(kinds(&report), [], "{:#?}", report.findings);
    }
);

both!(a_row_without_its_entry_is_found, async |app: &TestApp| {
    live_through(app).await;
    app.keep_logs().await;
    // What a row is made of is changed, so that its leaf is no longer its own.
    app.database
        .execute("UPDATE click SET publisher = publisher + 1 WHERE clicked_at_ms = (SELECT MIN(clicked_at_ms) FROM click)")
        .await;
    app.database
        .execute("UPDATE consent_record SET policy_version = 9")
        .await;
    let report = search(app).await;
    let found = kinds(&report);
    assert!(found.contains(&("consent_record_without_entry", 1)), "{found:?}");
    assert!(
        found.iter().any(|(kind, _)| *kind == "click_without_entry"),
        "{found:?}"
    );
    for one in &report.findings {
        assert!(one.tenant > 0 && !one.place.contains("A-"), "{one:?}");
    }
});

both!(
    counters_and_rows_that_are_not_as_many_as_the_log_says_are_found,
    async |app: &TestApp| {
        live_through(app).await;
        app.keep_logs().await;
        for sql in [
            "UPDATE stat_refused SET events = events + 1 WHERE reason = 'no_token'",
            "DELETE FROM conversion WHERE click_id IS NULL",
            "UPDATE stat_untracked SET events = events + 3",
            "UPDATE erasure SET clicks = clicks + 1",
        ] {
            app.database.execute(sql).await;
        }
        let report = search(app).await;
        assert_eq!(kinds(&report), [("count_differs", 4)], "{:#?}", report.findings);
    }
);

both!(
    objects_and_entries_are_held_against_each_other_both_ways,
    async |app: &TestApp| {
        app.keep_logs().await;
        app.database
            .execute("DELETE FROM link WHERE slug = 'Winter'")
            .await;
        app.database
            .execute("UPDATE goal SET goal = 4711 WHERE goal = (SELECT MAX(goal) FROM goal)")
            .await;
        let report = search(app).await;
        let found = kinds(&report);
        assert!(found.contains(&("object_without_entry", 1)), "{found:?}");
        assert_eq!(
            found
                .iter()
                .filter(|(kind, _)| *kind == "entry_without_object")
                .map(|(_, count)| count)
                .sum::<u64>(),
            2,
            "{found:?}"
        );
    }
);

both!(
    everybody_sees_their_own_part_of_the_result,
    async |app: &TestApp| {
        live_through(app).await;
        let auditor = app.holder(world::AUDITOR);
        let before = auditor.get("/v1/audit/check").await;
        assert_eq!(before.json()["outcome"], "not_checked");
        app.keep_logs().await;
        app.database
            .execute("UPDATE stat_refused SET events = events + 1")
            .await;
        search(app).await;
        let own = auditor.get("/v1/audit/check").await.json();
        assert_eq!(own["outcome"], "findings");
        assert_eq!(own["findings"][0]["kind"], "count_differs");
        assert!(
            own["findings"][0]["log"]
                .as_str()
                .expect("a log")
                .starts_with("tnt_")
        );
        assert!(own.get("looked_at").is_none(), "{own}");
        let foreign = app
            .holder(world::FOREIGN_MANAGER)
            .get("/v1/audit/check")
            .await
            .json();
        assert_eq!(
            (&foreign["outcome"], foreign["findings"].as_array().map(Vec::len)),
            (&"clean".into(), Some(0))
        );
        let operator = app.holder(world::OPERATOR).get("/v1/audit/check").await.json();
        assert!(operator["looked_at"]["entries"].as_u64() > Some(20), "{operator}");
        app.shop()
            .get("/v1/audit/check")
            .await
            .is(403, "refused", "forbidden");
    }
);

both!(a_search_beside_traffic_finds_nothing, async |app: &TestApp| {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    let is_over = AtomicBool::new(false);
    let visit = async |number: usize| {
        let token = app.token("Ab3xK9").await;
        let order = format!("A-{number}");
        let pairs = [("token", token.as_str()), ("order_id", &order), ("consent", "1")];
        app.shop().postback(&pairs).await.is(200, "recorded", "accepted");
        app.shop()
            .postback(&[("order_id", order.as_str()), ("consent", "1")])
            .await;
        if number.is_multiple_of(3) {
            let body = serde_json::json!({"token": token, "consent": "0"});
            app.shop().post("/v1/consent-signals", &body).await;
        }
        app.clock.advance_seconds(1);
    };
    let traffic = async {
        for number in 0..40 {
            let place = number * 4;
            tokio::join!(visit(place), visit(place + 1), visit(place + 2), visit(place + 3));
        }
        is_over.store(true, Relaxed);
    };
    let keeper = async {
        while !is_over.load(Relaxed) {
            app.keep_logs().await;
            tokio::task::yield_now().await;
        }
    };
    let searches = async {
        let mut count = 0;
        while !is_over.load(Relaxed) {
            let extent = einklang::flow::audit::check::Extent::default();
            let report = app.checks().flow().run(extent).await.expect("searched");
            assert_eq!(kinds(&report), [], "{:#?}", report.findings);
            count += 1;
        }
        count
    };
    let ((), (), count) = tokio::join!(traffic, keeper, searches);
    assert!(count > 2, "only {count} searches beside the traffic");
});

/// The configuration names a target by its place only.
#[test]
fn a_target_that_is_none_is_refused_without_being_repeated() {
    let options = Options {
        audit_push: Some(vec!["file:/a".to_owned(), "http://canary.example/".to_owned()]),
        ..Options::default()
    };
    let Err(error) = einklang::app::config::Config::load(options) else {
        panic!("an error")
    };
    let text = error.to_string();
    assert!(text.contains("target 2") && !text.contains("canary"), "{text}");
}

both!(
    each_click_of_a_shared_block_has_its_own_salt,
    async |app: &TestApp| {
        let mut tokens = Vec::new();
        for _ in 0..5 {
            tokens.push(app.token("Ab3xK9").await);
        }
        if app.database.url.starts_with("postgres") {
            // As if all of them had come in one batch.
            let admin = as_superuser(&app.database.url);
            for text in [
                "CREATE TABLE one AS SELECT tenant, issued_at_ticks, array_agg(clicks[1]) AS clicks, \
                 array_agg(salts[1]) AS salts FROM vault.salt_block GROUP BY 1, 2",
                "GRANT SELECT ON one TO PUBLIC",
                "DELETE FROM vault.salt_block",
                "INSERT INTO vault.salt_block (tenant, issued_at_ticks, clicks, salts) SELECT * FROM one",
            ] {
                execute(&admin, text).await;
            }
            let most = "SELECT CAST(MAX(cardinality(clicks)) AS BIGINT) FROM one";
            assert_eq!(app.ledger.number(most).await, 5);
        }
        for (number, token) in tokens.iter().enumerate() {
            order(app, token, &format!("A-{number}")).await;
        }
        is_sound(app).await;
    }
);
