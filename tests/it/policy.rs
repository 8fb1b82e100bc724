//! Policies over the API and by file: versions with author, time, reason and difference; times ahead; what is refused.

use std::sync::Arc;

use einklang::domain::provision;
use einklang::flow::provision::ProvisionFlow;
use migration::{Migrator, MigratorTrait};
use serde_json::{Value, json};

use crate::harness::app::{Setup, TestApp};
use crate::harness::client::{Answer, Caller};
use crate::harness::stage::Stage;
use crate::harness::world;

const PATH: &str = "/v1/policies";

/// A policy that was made.
pub async fn made(caller: &Caller, body: &Value) -> Value {
    let answer = caller.post(PATH, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// The policy with this id.
pub async fn read(caller: &Caller, policy: &Value) -> Value {
    let id = policy["id"].as_str().expect("an id");
    let answer = caller.get(&format!("{PATH}/{id}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Refused because of this parameter, as it is or together with what is there.
#[track_caller]
pub fn clashes(answer: &Answer, parameter: &str) {
    answer.is(409, "refused", "conflict");
    assert_eq!(answer.member("parameter"), parameter, "{}", answer.text());
}

fn states(page: &Value) -> Vec<(Option<u64>, &str)> {
    let items = page["items"].as_array().expect("items");
    let one = |item: &'_ Value| item["version"].as_u64();
    items
        .iter()
        .map(|item| (one(item), item["state"].as_str().expect("a state")))
        .collect()
}

both!(
    a_change_is_a_version_with_author_time_reason_and_difference,
    async |app: &TestApp| {
        let manager = app.manager();
        let before = app.ledger.totals().await;
        app.clock.advance_seconds(60);
        let body = json!({
            "max_consent_age_days": 180, "require": ["personalise", "measure", "access"],
            "policy_reason": "The regulator asks for six months."
        });
        let second = made(&manager, &body).await;
        assert_eq!(
            (&second["version"], &second["state"]),
            (&json!(2), &json!("in_force"))
        );
        assert_eq!(second["effective_from"], json!("2026-11-24T12:01:00.000Z"));
        assert_eq!(
            second["policy_reason"],
            json!("The regulator asks for six months.")
        );
        assert_eq!(second["require"], json!(["access", "measure", "personalise"]));
        assert!(
            second["author"]["actor"]
                .as_str()
                .is_some_and(|actor| actor.starts_with("key:"))
        );
        let users = manager.get("/v1/users").await.json();
        let of = |name: &str| {
            let items = users["items"].as_array().expect("items").iter();
            items
                .filter(|item| item["name"] == name)
                .map(|item| item["id"].clone())
                .next()
        };
        assert_eq!(Some(second["author"]["user"].clone()), of("manager"));
        let expected = json!([
            {"field": "require", "old": "access, measure", "new": "access, measure, personalise"},
            {"field": "max_consent_age_days", "old": "395", "new": "180"},
        ]);
        assert_eq!((&second["changes"], &second["replaces"]), (&expected, &json!(1)));
        assert_eq!(read(&app.holder(world::AUDITOR), &second).await, second);
        let page = app.holder(world::AUDITOR).get(PATH).await.json();
        assert_eq!(states(&page), [(Some(1), "past"), (Some(2), "in_force")]);
        assert_eq!(page["items"][1].get("changes"), None);
        let after = app.ledger.totals().await;
        assert_eq!(
            (
                after["policy"] - before["policy"],
                after["audit_entry"] - before["audit_entry"]
            ),
            (1, 1)
        );
        for text in [
            "policy.created",
            "The regulator asks for six months.",
            "max_consent_age_days",
        ] {
            assert_eq!(
                app.ledger.leaves(&format!("policy.created%{text}")).await > 0,
                text != "policy.created",
                "{text}"
            );
        }
        // The tenant shows it, too.
        let tenant = manager.get("/v1/tenants").await.json();
        assert_eq!(tenant["items"][0]["policy_version"], 2);
    }
);

both!(a_file_changes_the_policy_once, async |app: &TestApp| {
    let file = "[[tenant]]\nslug = \"acme\"\ntcf_vendor_id = 755\ntime_zone = \"Europe/Berlin\"\n\
        jurisdictions = [\"uk\", \"eea\"]\nmax_consent_age_days = 396\ngpc = \"tcf_overrides\"\n\
        inherit_window_hours = 12\nshop_denial_erases = \"person\"\nuntracked_counts = \"tenant\"\n\
        policy = \"inherit_click\"\npolicy_reason = \"agreed with the data protection officer\"\n";
    for _ in 0..2 {
        app.provision(file).await;
    }
    let page = app.manager().get(PATH).await.json();
    assert_eq!(states(&page), [(Some(1), "past"), (Some(2), "in_force")]);
    let second = &page["items"][1];
    assert_eq!(second["author"], json!({"actor": "command_line"}));
    let expected = [
        ("mode", json!("inherit_click")),
        ("jurisdictions", json!(["eea", "uk"])),
        ("max_consent_age_days", json!(396)),
        ("gpc", json!("tcf_overrides")),
        ("inherit_window_hours", json!(12)),
        ("shop_denial_erases", json!("person")),
        ("untracked_counts", json!("tenant")),
        ("policy_reason", json!("agreed with the data protection officer")),
    ];
    for (member, value) in expected {
        assert_eq!(second[member], value, "{member}");
    }
    assert_eq!(
        app.ledger.leaves("agreed with the data protection officer").await,
        1
    );
    // Ahead of its time, and once only while it waits for that.
    let later = format!("{file}policy_effective_from = 2026-12-01T00:00:00Z\n").replace("396", "180");
    for _ in 0..2 {
        app.provision(&later).await;
    }
    let page = app.manager().get(PATH).await.json();
    assert_eq!(
        states(&page)[1..],
        [(Some(2), "in_force"), (Some(3), "scheduled")]
    );
});

both!(
    what_is_laxer_than_the_default_needs_a_reason,
    async |app: &TestApp| {
        let (stage, manager) = (Stage::new(app).await, app.manager());
        let tenant = format!("/v1/tenants/{}", stage.first_of("tenants").await);
        let before = app.ledger.totals().await;
        let lax = [
            json!({"mode": "inherit_click"}),
            json!({"mode": "opt_out"}),
            json!({"max_consent_age_days": 396}),
            json!({"max_consent_age_days": 397, "refusal": "drop"}),
            json!({"jurisdictions": ["eea", "us"]}),
            json!({"gpc": "tcf_overrides"}),
            json!({"inherit_window_hours": 25}),
            json!({"shop_denial_erases": "nothing"}),
        ];
        for body in &lax {
            let answer = manager.post(PATH, body).await;
            clashes(&answer, "policy_reason");
            assert!(answer.member("detail").starts_with("must say why"), "{body}");
        }
        for mode in ["inherit_click", "opt_out"] {
            clashes(
                &manager.patch(&tenant, &json!({"policy": mode})).await,
                "policy_reason",
            );
            let body = json!({"slug": "new", "policy": mode});
            clashes(
                &app.holder(world::OPERATOR).post("/v1/tenants", &body).await,
                "policy_reason",
            );
            let file = format!("[[tenant]]\nslug = \"acme\"\ntcf_vendor_id = 755\npolicy = \"{mode}\"\n");
            let plan = provision::parse(&file).expect("a file");
            let applied = ProvisionFlow::new(Arc::clone(&app.live)).apply(&plan).await;
            let error = applied.expect_err("refused").to_string();
            assert!(
                error.starts_with("line 1: tenant acme: policy_reason must say why"),
                "{error}"
            );
        }
        assert_eq!(app.ledger.totals().await, before, "something was written");
        // What has no effect needs none, what is as lax as before neither, and what is given is kept.
        made(&manager, &json!({"draft": true, "mode": "opt_out"})).await;
        let body = json!({"mode": "opt_out", "policy_reason": "Visitors in the US only."});
        let second = made(&manager, &body).await;
        assert_eq!(second["jurisdictions"], json!(["us"]));
        made(&manager, &json!({"refusal": "drop"})).await;
        let back = json!({"policy": "strict_opt_in"});
        assert_eq!(manager.patch(&tenant, &back).await.json()["policy_version"], 4);
    }
);

both!(
    a_version_made_ahead_takes_over_at_its_time_on_every_node,
    async |app: &TestApp| {
        let twin = app.twin().await;
        let manager = app.manager();
        let at = app.clock.rfc3339(3_600);
        let body = json!({"untracked_counts": "tenant", "effective_from": at});
        let second = made(&manager, &body).await;
        assert_eq!(second["state"], "scheduled");
        // The other node learns of it as of any change; after that nothing happens any more.
        twin.live.reload_if_changed().await.expect("reloaded");
        let read_before = twin.live.routing().version;
        app.clock.advance_seconds(3_599);
        twin.click("Ab3xK9", "").await;
        twin.click("Ab3xK9", "consent=granted").await;
        app.clock.advance_seconds(1);
        for node in [&twin, app] {
            node.click("Ab3xK9", "").await;
            node.click("Ab3xK9", "consent=granted").await;
        }
        assert_eq!(twin.live.routing().version, read_before, "nothing was read anew");
        for (condition, events) in [
            ("campaign <> 0 AND policy_version = 1", 1),
            ("campaign = 0 AND policy_version = 2", 2),
        ] {
            assert_eq!(
                app.ledger.events("stat_untracked", condition).await,
                events,
                "{condition}"
            );
        }
        for (version, clicks) in [(1, 1), (2, 2)] {
            let condition = format!("policy_version = {version}");
            assert_eq!(app.ledger.count("click", &condition).await, clicks);
        }
        let leaf = |version: u8| format!("click.batch%\"policy_version\":{version}");
        assert_eq!(
            (
                app.ledger.leaves(&leaf(1)).await,
                app.ledger.leaves(&leaf(2)).await
            ),
            (1, 2)
        );
        assert_eq!(read(&manager, &second).await["state"], "in_force");
        twin.stop().await;
    }
);

both!(
    what_never_had_an_effect_can_be_withdrawn,
    async |app: &TestApp| {
        let manager = app.manager();
        let body = json!({"refusal": "drop", "effective_from": app.clock.rfc3339(60)});
        let second = made(&manager, &body).await;
        let path = |policy: &Value| format!("{PATH}/{}", policy["id"].as_str().expect("an id"));
        let withdraw = async |policy: &Value| {
            manager
                .send(manager.request(reqwest::Method::DELETE, &path(policy)))
                .await
        };
        assert_eq!(withdraw(&second).await.json()["state"], "withdrawn");
        assert_eq!(withdraw(&second).await.status, 200, "again changes nothing");
        app.clock.advance_seconds(60);
        let token = app.token("Ab3xK9").await;
        let order = [("token", token.as_str()), ("order_id", "A-1")];
        app.shop()
            .postback(&order)
            .await
            .is(422, "refused", "consent_missing");
        // Its number is not used again, and what was in force stays.
        let third = made(&manager, &json!({"refusal": "drop"})).await;
        assert_eq!(third["version"], 3);
        clashes(&withdraw(&third).await, "id");
        let page = manager.get(PATH).await.json();
        clashes(&withdraw(&page["items"][0]).await, "id");
        app.shop()
            .postback(&order)
            .await
            .is(200, "dropped", "consent_missing");
    }
);

both!(
    an_earlier_document_and_a_draft_can_be_gone_back_to,
    async |app: &TestApp| {
        let manager = app.manager();
        let first = manager.get(PATH).await.json()["items"][0].clone();
        let body = json!({"max_consent_age_days": 90, "tcf_vendor_id": null});
        let second = made(&manager, &body).await;
        assert_eq!(second.get("tcf_vendor_id"), None);
        let draft = made(&manager, &json!({"draft": true, "shop_denial_erases": "person"})).await;
        assert_eq!((draft.get("version"), &draft["state"]), (None, &json!("draft")));
        assert_eq!(draft["max_consent_age_days"], 90, "what was in force");
        let third = made(&manager, &json!({"base": draft["id"], "policy_reason": "proven"})).await;
        assert_eq!(third["shop_denial_erases"], "person");
        assert_eq!(
            read(&manager, &draft).await["state"],
            "withdrawn",
            "it is a version"
        );
        let fourth = made(&manager, &json!({"base": first["id"]})).await;
        assert_eq!(
            (&fourth["max_consent_age_days"], &fourth["tcf_vendor_id"]),
            (&json!(395), &json!(755))
        );
        assert_eq!(fourth["changes"].as_array().map(Vec::len), Some(3));
        let other = made(&app.holder(world::FOREIGN_MANAGER), &json!({"refusal": "refuse"})).await;
        let answer = manager.post(PATH, &json!({"base": other["id"]})).await;
        answer.is(404, "refused", "not_found");
        assert_eq!(answer.member("parameter"), "base");
        let target = format!("{PATH}/{}/shadow-report", other["id"].as_str().expect("an id"));
        manager.get(&target).await.is(404, "refused", "not_found");
    }
);

both!(bad_policies_are_refused_by_name, async |app: &TestApp| {
    let manager = app.manager();
    let draft = made(&manager, &json!({"draft": true})).await;
    let before = app.ledger.totals().await;
    let past = app.clock.rfc3339(-1);
    let cases = [
        ("mode", json!("off")),
        ("mode", json!("log_only")),
        ("enforce", json!(false)),
        ("require", json!([])),
        ("require", json!(["access"])),
        ("require", json!(["access", "measure", "measure", "access"])),
        ("require", json!("access")),
        ("jurisdictions", json!(["mars"])),
        ("jurisdictions", json!(["eea", "eea", "eea", "eea", "eea"])),
        ("jurisdictions", json!(null)),
        ("tcf_vendor_id", json!(0)),
        ("max_consent_age_days", json!(0)),
        ("max_consent_age_days", json!(398)),
        ("max_consent_age_days", json!(1.5)),
        ("gpc", json!("ignore")),
        ("inherit_window_hours", json!(0)),
        ("inherit_window_hours", json!(73)),
        ("shop_denial_erases", json!("all")),
        ("untracked_counts", json!("none")),
        ("refusal", json!("accept")),
        ("policy_reason", json!("")),
        ("policy_reason", json!("a\nb")),
        ("policy_reason", json!("x".repeat(501))),
        ("effective_from", json!("tomorrow")),
        ("effective_from", json!(past)),
        ("base", json!("pol_1")),
        ("base", json!(world::MANAGER)),
        ("draft", json!("yes")),
    ];
    for (member, value) in cases {
        let answer = manager.post(PATH, &json!({member: value})).await;
        assert!(
            matches!(answer.status, 400 | 409),
            "{member} {value}: {}",
            answer.text()
        );
        assert!(
            answer.member("parameter").starts_with(member),
            "{member} {value}: {}",
            answer.text()
        );
        assert!(
            value
                .as_str()
                .is_none_or(|text| text.is_empty() || !answer.member("detail").contains(text)),
            "{member}: {}",
            answer.text()
        );
    }
    let opt_out = json!({"mode": "opt_out", "jurisdictions": ["us", "eea"], "policy_reason": "a"});
    clashes(&manager.post(PATH, &opt_out).await, "jurisdictions");
    let timed = json!({"draft": true, "effective_from": app.clock.rfc3339(60)});
    clashes(&manager.post(PATH, &timed).await, "effective_from");
    manager.get("/v1/policies/pol_1").await.is_invalid("id");
    let id = draft["id"].as_str().expect("an id");
    let report = |query: &str| format!("{PATH}/{id}/shadow-report?{query}");
    for (query, parameter) in [
        ("from=yesterday", "from"),
        ("to=2026-13-01", "to"),
        ("from=2026-11-25", "from"),
        ("from=2024-01-01", "from"),
        ("day=2026-11-24", "day"),
    ] {
        manager.get(&report(query)).await.is_invalid(parameter);
    }
    assert_eq!(app.ledger.totals().await, before, "something was written");
});

both!(
    a_tenant_is_made_with_its_first_version,
    Setup::default().provision(""),
    async |app: &TestApp| {
        let operator = app.holder(world::OPERATOR);
        let body = json!({
            "slug": "acme", "policy": "opt_out", "policy_reason": "Visitors in the US only.", "four_eyes": true
        });
        let made = operator.post("/v1/tenants", &body).await;
        assert_eq!(made.status, 201, "{}", made.text());
        assert_eq!(made.json()["four_eyes"], true);
        let manager = app.holder(&made.member("api_key"));
        let page = manager.get(PATH).await.json();
        assert_eq!(states(&page), [(Some(1), "in_force")], "nothing else could be");
        assert_eq!(page["items"][0]["policy_reason"], "Visitors in the US only.");
        assert_eq!(app.ledger.leaves("Visitors in the US only.").await, 1);
    }
);

both!(
    versions_from_before_the_drafts_keep_their_numbers,
    async |app: &TestApp| {
        let manager = app.manager();
        made(&manager, &json!({"max_consent_age_days": 180})).await;
        made(&manager, &json!({"draft": true, "max_consent_age_days": 90})).await;
        // Back to the schema of before, which knew neither drafts nor ids, and forward again.
        let options = sea_orm::ConnectOptions::new(&app.database.url);
        let connection = sea_orm::Database::connect(options).await.expect("connected");
        Migrator::down(&connection, Some(14)).await.expect("back");
        let plain = "version IN (1, 2) AND effective_from_ms IS NOT NULL";
        assert_eq!(
            app.ledger.count("policy", plain).await,
            3,
            "acme's two and globex's"
        );
        assert_eq!(app.ledger.count("policy", "1 = 1").await, 3);
        Migrator::up(&connection, None).await.expect("forward");
        connection.close().await.expect("closed");
        let page = manager.get(PATH).await.json();
        assert_eq!(states(&page), [(Some(1), "past"), (Some(2), "in_force")]);
        let second = read(&manager, &page["items"][1]).await;
        assert_eq!(
            second["changes"],
            json!([{"field": "max_consent_age_days", "old": "395", "new": "180"}])
        );
    }
);
