//! Requests of people over the API: what each kind does, what is shown of it and to whom, and what is left when it is over.

use einklang::domain::retention::Class;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Answer;
use crate::harness::world;

const PATH: &str = "/v1/subject-requests";
const DAY: i64 = 86_400;

async fn asked(app: &TestApp, body: Value) -> String {
    let answer = app.privacy().post(PATH, &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(
        answer.header("location").map(str::to_owned),
        Some(format!("{PATH}/{}", answer.member("id")))
    );
    answer.member("id")
}

async fn executed(app: &TestApp, id: &str) -> Answer {
    app.privacy()
        .post(&format!("{PATH}/{id}/execution"), &json!({}))
        .await
}

/// Takes a request, carries it out, and tells how many things it concerned.
async fn done(app: &TestApp, body: Value) -> i64 {
    let id = asked(app, body).await;
    let answer = executed(app, &id).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["request"]["status"], "completed");
    answer.json()["request"]["results_count"]
        .as_i64()
        .expect("a count")
}

async fn changed(app: &TestApp, id: &str, body: Value) -> Answer {
    app.privacy().patch(&format!("{PATH}/{id}"), &body).await
}

async fn order(app: &TestApp, token: &str, order: &str, customer: &str) -> Answer {
    let pairs = [
        ("token", token),
        ("order_id", order),
        ("customer_ref", customer),
        ("coupon", "SPRING-canary"),
        ("amount", "49.90"),
        ("consent", "1"),
    ];
    app.shop().postback(&pairs).await
}

/// How many cases still name their person.
async fn named(app: &TestApp) -> i64 {
    let named = "case_key IS NOT NULL OR subject IS NOT NULL";
    app.ledger.count("subject_request", named).await
}

both!(a_copy_shows_what_is_held_and_who_looked, async |app: &TestApp| {
    let token = app.token("Ab3xK9").await;
    order(app, &token, "canary-order", "canary-customer")
        .await
        .is(200, "recorded", "accepted");
    let id = asked(app, json!({"kind": "access", "order_id": "canary-order"})).await;
    let result = format!("{PATH}/{id}/result");
    let early = app.privacy().get(&format!("{result}?reason=answer")).await;
    early.is(409, "refused", "conflict");
    assert_eq!(executed(app, &id).await.status, 200);

    app.privacy().get(&result).await.is_invalid("reason");
    app.privacy()
        .get(&format!("{result}?reason=curiosity"))
        .await
        .is_invalid("reason");
    assert_eq!(app.ledger.leaves("subject_request.result_read").await, 0);
    let masked = app.privacy().get(&format!("{result}?reason=answer")).await;
    assert_eq!(masked.header("cache-control"), Some("no-store"));
    assert!(!masked.text().contains("canary"), "{}", masked.text());
    let shown = masked.json();
    assert_eq!((&shown["held"], &shown["masked"]), (&json!(true), &json!(true)));
    let click = &shown["clicks"][0];
    assert_eq!(
        (&click["campaign"], &click["publisher"], &click["shop"]),
        (&json!("autumn"), &json!("news"), &json!("main"))
    );
    let conversion = &click["conversions"][0];
    assert_eq!(
        (
            &conversion["amount"],
            &conversion["currency"],
            &conversion["status"]
        ),
        (&json!("49.90"), &json!("EUR"), &json!("confirmed"))
    );
    assert_eq!(click["consent_record"]["state"], "granted");
    assert_eq!(conversion["consent_record"]["kind"], "postback");
    assert!(shown["recipients"].as_array().is_some_and(|all| all.len() == 3));

    let whole = app
        .privacy()
        .get(&format!("{result}?reason=complaint&unmasked=true"))
        .await;
    for text in ["canary-order", "SPRING-canary"] {
        assert!(whole.text().contains(text), "{text}: {}", whole.text());
    }
    assert_eq!(app.ledger.leaves("subject_request.result_read").await, 2);
    for key in [world::MANAGER, world::AUDITOR] {
        let refused = app.holder(key).get(&format!("{result}?reason=answer")).await;
        refused.is(403, "refused", "forbidden");
        let case = app.holder(key).get(&format!("{PATH}/{id}")).await;
        assert_eq!(case.status, 200);
        assert!(!case.text().contains("canary") && case.json()["request"].get("results_count").is_none());
    }
    let history = app.privacy().get(&format!("{PATH}/{id}")).await.json();
    let events: Vec<&str> = history["history"]
        .as_array()
        .expect("a history")
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect();
    assert_eq!(
        events,
        ["created", "started", "completed", "result_read", "result_read"]
    );

    app.clock.advance_seconds(7 * DAY);
    let over = app.privacy().get(&format!("{result}?reason=answer")).await;
    over.is(410, "refused", "gone");
    assert_eq!((app.work_on_requests().await, named(app).await), (1, 0));
    assert_eq!(app.work_on_requests().await, 0);
    assert_eq!(app.ledger.leaves("subject_request.closed").await, 1);
});

both!(
    whoever_is_not_known_is_answered_the_same,
    async |app: &TestApp| {
        let token = app.token("Ab3xK9").await;
        order(app, &token, "A-1", "known").await;
        let forged = token.chars().rev().collect::<String>();
        let pairs = [
            (
                json!({"customer_ref": "known"}),
                json!({"customer_ref": "nobody"}),
            ),
            (json!({"order_id": "A-1"}), json!({"order_id": "A-2"})),
            (json!({"token": token}), json!({"token": forged})),
        ];
        // What differs by itself: ids, and how many things were found, which only the result tells.
        let shape = |answer: &Answer| {
            let mut body = answer.json();
            let case = if body.get("request").is_some() {
                &mut body["request"]
            } else {
                &mut body
            };
            for member in ["id", "results_count"] {
                case.as_object_mut().expect("a case").remove(member);
            }
            // The name of the act; whoever is not known gets one, too.
            for event in body["history"].as_array_mut().into_iter().flatten() {
                if let Some(code) = event.get_mut("code") {
                    *code = json!("era_");
                }
            }
            (answer.status, body)
        };
        for (known, unknown) in pairs {
            for kind in ["access", "restriction", "erasure"] {
                let mut shapes = Vec::new();
                for name in [&unknown, &known] {
                    let mut body = name.clone();
                    body["kind"] = json!(kind);
                    let created = app.privacy().post(PATH, &body).await;
                    let id = created.member("id");
                    let ended = executed(app, &id).await;
                    shapes.push((shape(&created), shape(&ended)));
                    if kind == "access" {
                        let result = app
                            .privacy()
                            .get(&format!("{PATH}/{id}/result?reason=answer"))
                            .await;
                        let held = result.json()["held"].as_bool().expect("a word");
                        // An earlier round has erased whom this one names.
                        assert!(!held || name == &known, "{name}");
                    }
                }
                assert_eq!(shapes[0], shapes[1], "{kind}");
            }
        }
    }
);

both!(
    an_erasure_and_an_objection_end_everything,
    async |app: &TestApp| {
        for kind in ["erasure", "objection"] {
            let (one, two) = (app.token("Ab3xK9").await, app.token("Ab3xK9").await);
            for (number, token) in [&one, &two].into_iter().enumerate() {
                order(app, token, &format!("{kind}-{number}"), kind)
                    .await
                    .is(200, "recorded", "accepted");
            }
            assert_eq!(done(app, json!({"kind": kind, "customer_ref": kind})).await, 2);
            assert_eq!(named(app).await, 0, "the names are gone with the case");
            for token in [&one, &two] {
                order(app, token, "late", kind)
                    .await
                    .is(410, "refused", "consent_withdrawn");
            }
            let door = if kind == "erasure" {
                "subject_request"
            } else {
                "objection"
            };
            let acts = app.ledger.count("erasure", &format!("door = '{door}'")).await;
            assert_eq!(acts, 1);
            let cases = app.privacy().get(PATH).await.json();
            let last = cases["items"]
                .as_array()
                .and_then(|items| items.last())
                .expect("a case");
            let path = format!("{PATH}/{}", last["id"].as_str().expect("an id"));
            let history = app.privacy().get(&path).await.json();
            let act = history["history"][2]["code"].as_str().expect("an act");
            assert!(act.starts_with("era_"), "{act}");
        }
    }
);

both!(
    a_restriction_freezes_joins_until_it_is_lifted,
    async |app: &TestApp| {
        let token = app.token("Ab3xK9").await;
        order(app, &token, "A-1", "someone").await;
        assert_eq!(
            done(app, json!({"kind": "restriction", "customer_ref": "someone"})).await,
            1
        );
        assert_eq!(app.ledger.count("click", "restricted").await, 1);
        let before = app.ledger.count("conversion", "1 = 1").await;
        order(app, &token, "A-2", "someone")
            .await
            .is(409, "refused", "restricted");
        assert_eq!(app.ledger.count("conversion", "1 = 1").await, before);
        let grant = json!({"token": token, "consent": "granted"});
        let signal = app.shop().post("/v1/consent-signals", &grant).await;
        assert_eq!(signal.member("outcome"), "no_effect");
        assert_eq!(app.ledger.count("consent_record", "1 = 1").await, 0);
        // A copy is still given, and says so.
        let id = asked(app, json!({"kind": "access", "token": token})).await;
        executed(app, &id).await;
        let result = app
            .privacy()
            .get(&format!("{PATH}/{id}/result?reason=answer"))
            .await;
        assert_eq!(result.json()["clicks"][0]["restricted"], true);

        let lift = json!({"kind": "restriction", "lift": true, "token": token});
        assert_eq!(done(app, lift).await, 1);
        assert_eq!(app.ledger.count("click", "restricted").await, 0);
        order(app, &token, "A-2", "someone")
            .await
            .is(200, "recorded", "accepted");
        for action in ["click.restricted", "click.unrestricted"] {
            assert_eq!(app.ledger.leaves(action).await, 1, "{action}");
        }
    }
);

both!(
    a_restriction_holds_where_only_an_order_is_left,
    async |app: &TestApp| {
        for name in ["A-1", "B-1"] {
            let token = app.token("Ab3xK9").await;
            order(app, &token, name, name)
                .await
                .is(200, "recorded", "accepted");
        }
        app.clock.advance_seconds(60 * DAY);
        app.purge().await;
        assert_eq!(app.ledger.count("click", "1 = 1").await, 0, "they had their time");
        for _ in 0..2 {
            let kind = json!({"kind": "restriction", "order_id": "A-1"});
            assert_eq!(done(app, kind).await, 1, "there is something to restrict");
        }
        assert_eq!(app.ledger.leaves("click.restricted").await, 1, "once");
        // Beyond the time of conversions, and of orders.
        app.clock.advance_seconds(60 * DAY);
        let purged = app.purge().await;
        let left = |class| {
            let of_class = purged.classes.iter().filter(|one| one.class == class);
            of_class.map(|one| one.left_restricted).sum::<u64>()
        };
        assert_eq!((left(Class::ConversionDetails), left(Class::Idempotency)), (1, 1));
        assert_eq!(app.ledger.count("conversion", "NOT purged").await, 1);
        assert_eq!(
            app.ledger.count("conversion", "restricted AND NOT purged").await,
            1
        );
        let lift = json!({"kind": "restriction", "lift": true, "order_id": "A-1"});
        assert_eq!(done(app, lift).await, 1);
        assert_eq!(app.ledger.leaves("click.unrestricted").await, 1);
        app.purge().await;
        assert_eq!(
            app.ledger.count("conversion", "NOT purged OR restricted").await,
            0
        );
        for table in ["click_salt", "order_key"] {
            assert_eq!(app.ledger.count(table, "1 = 1").await, 0, "{table}");
        }
        // Nothing is held any more, and nothing can be restricted.
        assert_eq!(
            done(app, json!({"kind": "restriction", "order_id": "A-1"})).await,
            0
        );
    }
);

both!(
    a_rectification_corrects_what_is_the_persons_and_nothing_else,
    async |app: &TestApp| {
        let (own, other) = (app.token("Ab3xK9").await, app.token("Ab3xK9").await);
        let id = order(app, &own, "A-1", "one").await.member("conversion_id");
        let foreign = order(app, &other, "B-1", "two").await.member("conversion_id");
        let wish = |conversion: &str, amount: &str| {
            json!({"kind": "rectification", "order_id": "A-1",
                "correction": {"conversion": conversion, "amount": amount}})
        };
        assert_eq!(done(app, wish(&foreign, "1.00")).await, 0);
        assert_eq!(done(app, wish(&id, "39.90")).await, 1);
        let raised = asked(app, wish(&id, "99.90")).await;
        let refused = executed(app, &raised).await;
        refused.is(409, "refused", "conflict");
        assert_eq!(refused.member("parameter"), "correction");
        let amounts = app
            .ledger
            .number("SELECT CAST(SUM(amount_minor) AS BIGINT) FROM conversion")
            .await;
        assert_eq!(amounts, 4_990 + 3_990);
        // It was begun and is still open.
        let case = app.privacy().get(&format!("{PATH}/{raised}")).await.json();
        assert_eq!(case["request"]["status"], "in_progress");
    }
);

both!(a_case_is_worked_on_and_decided_once, async |app: &TestApp| {
    let body = json!({"kind": "erasure", "customer_ref": "someone"});
    let id = asked(app, body.clone()).await;
    let users = app.manager().get("/v1/users").await.json();
    let user = |role: &str| {
        let all = users["items"].as_array().expect("users");
        let found = all.iter().find(|user| user["role"] == role).expect("a user");
        found["id"].clone()
    };
    let assigned = changed(
        app,
        &id,
        json!({"assignee": user("privacy"), "note": "identity_checked"}),
    )
    .await;
    assert_eq!(assigned.json()["request"]["assignee"], user("privacy"));
    let wrong = changed(app, &id, json!({"assignee": user("auditor")})).await;
    wrong.is(409, "refused", "conflict");
    let cleared = changed(app, &id, json!({"assignee": null})).await.json();
    assert!(cleared["request"].get("assignee").is_none());

    for (body, parameter) in [
        (json!({"status": "completed"}), "status"),
        (json!({"status": "rejected"}), "ground"),
        (json!({"status": "cancelled", "ground": "art_17_3_e"}), "ground"),
        (json!({"note": "Erika Mustermann"}), "note"),
        (json!({"extension": {"reason": "holidays"}}), "extension.reason"),
    ] {
        changed(app, &id, body).await.is_invalid(parameter);
    }
    let unfit = json!({"status": "rejected", "ground": "art_15_4_rights_of_others"});
    changed(app, &id, unfit).await.is(409, "refused", "conflict");
    let rejected = json!({"status": "rejected", "ground": "art_17_3_e"});
    let answer = changed(app, &id, rejected.clone()).await.json();
    assert_eq!(
        (&answer["request"]["status"], &answer["request"]["ground"]),
        (&json!("rejected"), &json!("art_17_3_e"))
    );
    changed(app, &id, rejected).await.is(409, "refused", "conflict");
    executed(app, &id).await.is(409, "refused", "conflict");
    let other = asked(app, body).await;
    changed(app, &other, json!({"status": "cancelled"})).await;
    executed(app, &other).await.is(409, "refused", "conflict");
    assert_eq!(named(app).await, 0);
    for action in ["subject_request.rejected", "subject_request.cancelled"] {
        assert_eq!(app.ledger.leaves(action).await, 1, "{action}");
    }
    // The file stays three years, and then goes with the purge, whole.
    app.clock.advance_seconds(3 * 365 * DAY);
    app.purge().await;
    assert_eq!(app.ledger.count("subject_request", "1 = 1").await, 2);
    app.clock.advance_seconds(1);
    app.purge().await;
    for table in ["subject_request", "subject_request_event"] {
        assert_eq!(app.ledger.count(table, "1 = 1").await, 0, "{table}");
    }
    let removed = "\"action\":\"retention.removed\"%\"reason\":\"subject_request\"";
    assert_eq!(app.ledger.leaves(removed).await, 1);
});

both!(
    a_tenant_says_how_long_files_of_requests_stay,
    async |app: &TestApp| {
        let rule = |days| json!({"class": "subject_request", "days": days});
        let patch = async |body: Value| app.manager().patch("/v1/retention", &body).await;
        patch(rule(89)).await.is(409, "refused", "conflict");
        patch(rule(1_096)).await.is_invalid("days");
        let unknown = json!({"kind": "erasure", "customer_ref": "somebody"});
        done(app, unknown.clone()).await;
        let open = asked(app, unknown).await;
        assert_eq!(patch(rule(90)).await.status, 200);
        let hold = json!({"class": "all", "reason": "legal_claims", "reference": "4711",
        "review_at": "2027-06-01T00:00:00Z"});
        let held = app.manager().post("/v1/holds", &hold).await;
        app.clock.advance_seconds(91 * DAY);
        app.purge().await;
        assert_eq!(app.ledger.count("subject_request", "1 = 1").await, 2, "held");
        let path = format!("/v1/holds/{}", held.member("id"));
        let manager = app.manager();
        let lifted = manager.send(manager.request(Method::DELETE, &path)).await;
        assert!(lifted.status < 300, "{}", lifted.text());
        app.purge().await;
        assert_eq!(
            app.ledger.count("subject_request", "1 = 1").await,
            1,
            "the open one"
        );
        assert_eq!(app.ledger.count("subject_request_event", "1 = 1").await, 1);
        // Closed much later, it counts from then.
        executed(app, &open).await;
        app.clock.advance_seconds(90 * DAY);
        app.purge().await;
        assert_eq!(app.ledger.count("subject_request", "1 = 1").await, 1);
        app.clock.advance_seconds(1);
        app.purge().await;
        assert_eq!(app.ledger.count("subject_request", "1 = 1").await, 0);
    }
);

both!(
    what_is_wrong_is_named_and_nothing_is_written,
    async |app: &TestApp| {
        let before = app.ledger.totals().await;
        let person = |body: Value| {
            let mut body = body;
            body["kind"] = body.get("kind").cloned().unwrap_or(json!("access"));
            body
        };
        for (body, parameter) in [
            (json!({"kind": "forgetting", "token": "a"}), "kind"),
            (json!({"token": "a"}), "kind"),
            (json!({"kind": "access"}), "token"),
            (person(json!({"email": "a@example.com"})), "email"),
            (person(json!({"token": "a", "order_id": "b"})), "token"),
            (person(json!({"order_id": "", })), "order_id"),
            (person(json!({"customer_ref": "x".repeat(256)})), "customer_ref"),
            (person(json!({"token": "a", "goal": "order"})), "goal"),
            (person(json!({"token": "a", "lift": true})), "lift"),
            (
                person(json!({"token": "a", "submitted_at": "yesterday"})),
                "submitted_at",
            ),
            (
                person(json!({"token": "a", "submitted_at": app.clock.rfc3339(3_600)})),
                "submitted_at",
            ),
            (
                person(json!({"token": "a", "holidays": ["25.12.2026"]})),
                "holidays",
            ),
            (json!({"kind": "rectification", "token": "a"}), "correction"),
            (
                json!({"kind": "rectification", "token": "a", "correction": {"conversion": "A-1"}}),
                "correction.conversion",
            ),
        ] {
            app.privacy().post(PATH, &body).await.is_invalid(parameter);
        }
        let nowhere = json!({"kind": "access", "order_id": "A", "shop": format!("sho_{}", "0".repeat(32))});
        app.privacy()
            .post(PATH, &nowhere)
            .await
            .is(404, "refused", "not_found");
        for (path, parameter) in [
            ("?status=done", "status"),
            ("?overdue=maybe", "overdue"),
            ("?limit=0", "limit"),
            ("?cursor=x", "cursor"),
            ("?due_before=soon", "due_before"),
            ("/srq_0", "id"),
        ] {
            app.privacy()
                .get(&format!("{PATH}{path}"))
                .await
                .is_invalid(parameter);
        }
        let nobody = format!("{PATH}/srq_{}", "0".repeat(32));
        app.privacy().get(&nobody).await.is(404, "refused", "not_found");
        for key in [world::SHOP, world::MANAGER, world::AUDITOR] {
            let answer = app
                .holder(key)
                .post(PATH, &json!({"kind": "access", "token": "a"}))
                .await;
            answer.is(403, "refused", "forbidden");
        }
        let delete = app.privacy();
        let answer = delete.send(delete.request(Method::DELETE, &nobody)).await;
        answer.is(405, "refused", "method_not_allowed");
        assert_eq!(app.ledger.totals().await, before, "something was written");
    }
);

both!(
    an_answer_tells_the_tenants_own_times_and_what_outlives_its_click,
    async |app: &TestApp| {
        let rule = json!({"class": "conversion_details", "days": 60});
        let set = app.manager().patch("/v1/retention", &rule).await;
        assert_eq!(set.status, 200, "{}", set.text());
        let token = app.token("Winter").await;
        order(app, &token, "A-1", "c-1")
            .await
            .is(200, "recorded", "accepted");
        app.clock.advance_seconds(40 * DAY);
        app.purge().await;
        assert_eq!(app.ledger.count("click", "1 = 1").await, 0, "it has had its time");
        let id = asked(app, json!({"kind": "access", "customer_ref": "c-1"})).await;
        assert_eq!(executed(app, &id).await.status, 200);
        let path = format!("{PATH}/{id}/result?reason=answer&unmasked=true");
        let result = app.privacy().get(&path).await;
        assert_eq!(result.status, 200, "{}", result.text());
        let result = result.json();
        assert_eq!((&result["held"], &result["clicks"]), (&json!(true), &json!([])));
        assert_eq!(result["conversions"].as_array().expect("a list").len(), 1);
        assert!(
            result["conversions"][0]["details"]
                .to_string()
                .contains("SPRING-canary")
        );
        let times = result["retention"].as_array().expect("a list");
        let of_details = times.iter().find(|one| one["class"] == "conversion_details");
        let period = of_details.expect("a class")["period"].as_str().expect("a text");
        assert!(period.starts_with("60 days"), "{period}");
    }
);
