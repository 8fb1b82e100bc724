//! How a purge runs: what it says beforehand, its steps, its one run a day by one process, and what is shown of it.

use einklang::domain::event::Actor;
use einklang::domain::retention::Class;
use einklang::flow::Clock;
use einklang::flow::retention::{PurgeEnd, Purged};
use einklang::store::Store;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::database::as_superuser;
use crate::harness::ledger::execute;
use crate::harness::world;
use crate::retention::{DAY, is_sound, order, removed, standing, test_order};

fn class_of<'a>(page: &'a Value, class: &str) -> &'a Value {
    let classes = page["classes"].as_array().expect("classes");
    let found = classes.iter().find(|one| one["class"] == class);
    found.unwrap_or_else(|| panic!("{class} in {page}"))
}

both!(a_dry_run_says_what_a_run_does, async |app: &TestApp| {
    for name in ["A-1", "A-2"] {
        let token = app.token("Ab3xK9").await;
        order(app, &token, name).await;
        test_order(app, &token, name).await;
    }
    app.clock.advance_seconds(100 * DAY);
    let before = app.ledger.totals().await;
    let planned = app.purger().plan().await.expect("planned");
    assert_eq!(app.ledger.totals().await, before, "it changes nothing");
    assert!(planned.classes.iter().any(|one| one.removed > 0));
    let done = std::sync::Mutex::new(Vec::new());
    let heard = |one: &Purged| done.lock().expect("not poisoned").push(*one);
    let ended = app.purger().run(false, &heard).await.expect("purged");
    let PurgeEnd::Done(report) = ended else {
        panic!("nobody else purges");
    };
    assert_eq!(planned.classes, report.classes);
    assert_eq!(*done.lock().expect("not poisoned"), report.classes);
    // Each class of both tenants has its proof in the log, empty ones included.
    assert_eq!(app.ledger.leaves("retention.purged").await, 14);
});

both!(what_is_counted_wrong_is_found, async |app: &TestApp| {
    for name in ["A-1", "A-2"] {
        let token = app.token("Ab3xK9").await;
        order(app, &token, name).await;
    }
    app.clock.advance_seconds(120 * DAY);
    app.purge().await;
    app.token("Ab3xK9").await;
    is_sound(app).await;
    for (sql, words) in [
        ("DELETE FROM click", "rows of clicks"),
        (
            "UPDATE conversion SET purged = FALSE WHERE conversion_id IN (SELECT conversion_id FROM conversion LIMIT 1)",
            "details had their time",
        ),
        (
            "DELETE FROM consent_proof WHERE record_id IN (SELECT record_id FROM consent_proof LIMIT 1)",
            "rows of minimal proofs",
        ),
        (
            "UPDATE retention_run SET removed = removed + 1",
            "removed by purges",
        ),
    ] {
        app.database.execute(sql).await;
        let extent = einklang::flow::audit::check::Extent::default();
        let found = app.checks().flow().run(extent).await.expect("searched");
        let places: Vec<&str> = found.findings.iter().map(|one| one.place.as_str()).collect();
        let counted: u64 = found.findings.iter().map(|one| one.count).sum();
        assert!(counted > 0 && !places.is_empty(), "{words}: {places:?}");
    }
});

both!(
    what_is_planned_and_done_is_shown_overdue_first,
    async |app: &TestApp| {
        let fresh = app.holder(world::AUDITOR).get("/v1/retention").await.json();
        assert_eq!(fresh["classes"].as_array().map(Vec::len), Some(Class::ALL.len()));
        for (class, term) in [
            ("audit", "kept"),
            ("consent_record", "follows"),
            ("suppression", "own_expiry"),
        ] {
            assert_eq!(class_of(&fresh, class)["term"], term);
        }
        let token = app.token("Winter").await;
        order(app, &token, "A-1").await;
        app.clock.advance_seconds(30 * DAY + 1);
        let click = standing(app, "click").await;
        assert_eq!(
            (&click["due"], &click["overdue"]),
            (&json!(1), &json!(false)),
            "{click}"
        );
        assert_eq!(click["next_cut_off"], "2026-11-24T12:00:01.000Z", "{click}");
        assert_eq!(click["oldest_at"], "2026-11-24T12:00:00.000Z", "{click}");
        app.clock.advance_seconds(36 * 3_600);
        let page = app.privacy().get("/v1/retention").await.json();
        assert_eq!(page["classes"][0]["class"], "click", "{page}");
        assert_eq!(page["classes"][0]["overdue"], true);
        app.purge().await;
        let click = standing(app, "click").await;
        assert_eq!(
            (&click["due"], &click["overdue"]),
            (&json!(0), &json!(false)),
            "{click}"
        );
        assert_eq!(
            (&click["last_run"]["removed"], click.get("oldest_at")),
            (&json!(1), None)
        );
        let foreign = app
            .holder(world::FOREIGN_MANAGER)
            .get("/v1/retention")
            .await
            .json();
        assert_eq!(
            class_of(&foreign, "click")["last_run"]["removed"],
            0,
            "their own part"
        );
    }
);

both!(
    a_daily_purge_is_made_once_a_day_and_by_one_process_at_a_time,
    async |app: &TestApp| {
        let classes = async |purger: &einklang::flow::retention::Purger| match purger
            .run(true, &|_| {})
            .await
            .expect("purged")
        {
            PurgeEnd::Done(report) => Some(report.classes.len()),
            PurgeEnd::Elsewhere => None,
        };
        assert_eq!(classes(app.purger()).await, Some(14));
        assert_eq!(classes(app.purger()).await, Some(0), "today it was");
        app.clock.advance_seconds(DAY);
        assert_eq!(classes(app.purger()).await, Some(14));
        // Somebody else has begun and has not ended.
        app.clock.advance_seconds(DAY);
        let until_ms = (app.clock.now_s() + 5) * 1_000;
        let other = if app.database.url.starts_with("postgres") {
            "gen_random_uuid()"
        } else {
            "randomblob(16)"
        };
        app.database
            .execute(&format!(
                "UPDATE purge_lease SET holder = {other}, until_ms = {until_ms}"
            ))
            .await;
        assert_eq!(classes(app.purger()).await, None);
        assert_eq!(
            app.ledger.leaves("retention.purged").await,
            28,
            "nothing was entered"
        );
        app.clock.advance_seconds(6);
        assert_eq!(classes(app.purger()).await, Some(14), "whoever it was is gone");
    }
);

both!(
    many_rows_go_in_small_steps_and_the_last_entry_says_their_sum,
    async |app: &TestApp| {
        let token = app.token("Winter").await;
        order(app, &token, "A-1").await;
        // More suppression entries than a chunk takes.
        let acme = app.ledger.tenant("acme").await;
        let many = if app.database.url.starts_with("postgres") {
            format!(
                "INSERT INTO suppression SELECT {acme}, decode(lpad(to_hex(n), 64, '0'), 'hex'), 1 FROM generate_series(1, 1201) n"
            )
        } else {
            format!(
                "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1201) \
                 INSERT INTO suppression SELECT {acme}, randomblob(32), 1 FROM n"
            )
        };
        app.database.execute(&many).await;
        assert_eq!(removed(&app.purge().await, Class::Suppression), 1_201);
        let entries = app.ledger.entries(acme).await;
        let of = |action: &str| -> Vec<i64> {
            let found = entries
                .iter()
                .filter(|entry| entry["action"] == action && entry["reason"] == "suppression");
            let mut counts: Vec<i64> = found.map(|entry| entry["count"].as_i64().unwrap_or(0)).collect();
            counts.sort_unstable();
            counts
        };
        assert_eq!(of("retention.removed"), [201, 500, 500]);
        assert_eq!(of("retention.purged"), [1_201]);
        let actor = Actor::Server.text();
        assert!(
            entries
                .iter()
                .filter(|entry| entry["action"] == "retention.purged")
                .all(|entry| entry["actor"] == actor)
        );
        is_sound(app).await;
    }
);

both!(
    what_was_purged_before_a_backup_came_back_goes_again_whatever_the_rules_say,
    async |app: &TestApp| {
        let token = app.token("Ab3xK9").await;
        test_order(app, &token, "A-1").await;
        app.clock.advance_seconds(3 * DAY);
        let tenant = app.ledger.tenant("acme").await;
        let before_ms = app.clock.now_ms();
        let again = |class: Class, at_ms| {
            let cut_offs = [((tenant, class.code().to_owned()), at_ms)].into();
            app.purger().clone().again(cut_offs)
        };
        let run = async |purger: einklang::flow::retention::Purger| {
            let ended = purger.run(false, &|_| {}).await.expect("purged");
            let PurgeEnd::Done(report) = ended else {
                panic!("nobody else purges");
            };
            removed(&report, Class::TestConversion)
        };
        assert_eq!(
            run(again(Class::Suppression, before_ms)).await,
            0,
            "another class"
        );
        assert_eq!(
            run(again(Class::TestConversion, before_ms - 4 * DAY * 1_000)).await,
            0
        );
        assert_eq!(run(again(Class::TestConversion, before_ms)).await, 1);
        is_sound(app).await;
    }
);

both!(
    a_month_that_is_over_goes_with_its_last_row_and_not_before,
    async |app: &TestApp| {
        app.token("Ab3xK9").await;
        let store = Store::connect(&app.database.url).await.expect("connected");
        let now_s = || app.clock.now_ms().div_euclid(1_000);
        if !app.database.url.starts_with("postgres") {
            let dropped = store.drop_empty_months(now_s()).await;
            assert_eq!(dropped.expect("nothing to do"), 0);
            return;
        }
        let there = async |table: &str| {
            let text = format!("SELECT COUNT(*) FROM pg_class WHERE relname = '{table}'");
            app.ledger.number(&text).await == 1
        };
        // November 2026.
        let parts = [
            "click_m682",
            "salt_block_m682",
            "consent_record_m682",
            "conversion_m682",
        ];
        for part in parts {
            assert!(there(part).await, "{part}");
        }
        // Somebody's whom no rule of the others reaches.
        let admin = as_superuser(&app.database.url);
        for text in [
            "CREATE TABLE other AS SELECT * FROM click LIMIT 1",
            "UPDATE other SET tenant = 999",
            "INSERT INTO click SELECT * FROM other",
            "DROP TABLE other",
        ] {
            execute(&admin, text).await;
        }
        app.clock.advance_seconds(400 * DAY);
        app.purge().await;
        assert_eq!(app.ledger.count("click", "1 = 1").await, 1);
        assert!(there("click_m682").await, "a row of another tenant is in it");
        for part in &parts[1..] {
            assert!(!there(part).await, "{part} is empty");
        }
        execute(&admin, "DELETE FROM click WHERE tenant = 999").await;
        app.purge().await;
        assert!(!there("click_m682").await);
        // What comes later has a place, and so has a late row of that month.
        store.prepare_months(now_s()).await.expect("partitions");
        app.token("Ab3xK9").await;
        assert_eq!(app.ledger.count("click", "1 = 1").await, 1);
    }
);
