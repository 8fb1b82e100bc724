//! The four-eyes principle: what one user asks for takes effect by the word of another, and by nobody else's.

use std::sync::Arc;

use einklang::domain::provision;
use einklang::flow::objects::Effect;
use einklang::flow::provision::ProvisionFlow;
use serde_json::{Value, json};

use crate::harness::app::{Setup, TestApp};
use crate::harness::client::{Answer, Caller};
use crate::harness::world;
use crate::policy::{clashes, made, read};

const PATH: &str = "/v1/approvals";

/// One tenant with two managers.
const TWO: &str = r#"
[[tenant]]
slug = "acme"
four_eyes = true
  [[tenant.shop]]
  slug = "main"
  landing_hosts = ["shop.example"]
  api_key = "ek_test_acme_shop_main_0001"
  [[tenant.publisher]]
  slug = "news"
  explicit_consent = "notice-2026-03"
  [[tenant.campaign]]
  slug = "autumn"
  shop = "main"
  landing_url = "https://shop.example/landing"
  [[tenant.link]]
  slug = "Ab3xK9"
  campaign = "autumn"
  publisher = "news"
  [[tenant.user]]
  name = "manager"
  role = "manager"
  api_key = "ek_test_acme_manager_00001"
  [[tenant.user]]
  name = "second"
  role = "manager"
  api_key = "ek_test_acme_manager_00002"
  [[tenant.user]]
  name = "privacy"
  role = "privacy"
  api_key = "ek_test_acme_privacy_00001"
  [[tenant.user]]
  name = "auditor"
  role = "auditor"
  api_key = "ek_test_acme_auditor_00001"
"#;
const SECOND: &str = "ek_test_acme_manager_00002";

fn setup() -> Setup {
    Setup::default().provision(TWO)
}

async fn decide(caller: &Caller, approval: &Value, word: &str) -> Answer {
    let id = approval["id"].as_str().expect("an id");
    caller
        .post(&format!("{PATH}/{id}/{word}"), &json!({"note": "looked at it"}))
        .await
}

async fn last(caller: &Caller) -> Value {
    let page = caller.get(PATH).await.json();
    let items = page["items"].as_array().expect("items");
    items.last().expect("an approval").clone()
}

/// What becomes of a postback without a signal: `refused` under the first version, `dropped` under the changed one.
async fn outcome(app: &TestApp, token: &str) -> String {
    let order = [("token", token), ("order_id", "A-1")];
    app.shop().postback(&order).await.member("outcome")
}

both!(
    a_version_waits_for_another_user,
    setup(),
    async |app: &TestApp| {
        let (author, second) = (app.manager(), app.holder(SECOND));
        let token = app.token("Ab3xK9").await;
        let version = made(&author, &json!({"refusal": "drop", "policy_reason": "a hook"})).await;
        assert_eq!(version["state"], "waiting");
        let approval = last(&author).await;
        assert_eq!(version["approval"], approval["id"]);
        assert_eq!(approval["policy"], version["id"]);
        assert_eq!(
            (&approval["kind"], &approval["state"]),
            (&json!("policy"), &json!("waiting"))
        );
        app.clock.advance_seconds(3_600);
        assert_eq!(outcome(app, &token).await, "refused", "no effect while it waits");
        for word in ["approve", "reject"] {
            decide(&author, &approval, word)
                .await
                .is(403, "refused", "forbidden");
            decide(&app.holder(world::AUDITOR), &approval, word)
                .await
                .is(403, "refused", "forbidden");
        }
        assert_eq!(outcome(app, &token).await, "refused");
        let answer = decide(&second, &approval, "approve").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let decided = answer.json();
        assert_eq!(
            (&decided["state"], &decided["note"]),
            (&json!("approved"), &json!("looked at it"))
        );
        assert_ne!(decided["author"]["user"], decided["decider"]["user"]);
        assert!(decided["author"]["user"].is_string() && decided["decider"]["user"].is_string());
        assert_eq!(outcome(app, &token).await, "dropped");
        let version = read(&author, &version).await;
        assert_eq!(version["state"], "in_force");
        assert_eq!(
            version["effective_from"], decided["decided_at"],
            "never backwards in time"
        );
        for action in ["approval.created", "approval.approved"] {
            assert_eq!(app.ledger.leaves(action).await, 1, "{action}");
        }
        clashes(&decide(&second, &approval, "reject").await, "id");
        assert_eq!(
            app.holder(world::AUDITOR)
                .get(&format!("{PATH}/{}", decided["id"].as_str().expect("an id")))
                .await
                .json(),
            decided
        );
    }
);

both!(
    what_is_rejected_or_withdrawn_never_has_an_effect,
    setup(),
    async |app: &TestApp| {
        let (author, privacy) = (app.manager(), app.privacy());
        let token = app.token("Ab3xK9").await;
        let rejected = made(&author, &json!({"refusal": "drop"})).await;
        let approval = last(&author).await;
        let answer = decide(&privacy, &approval, "reject").await;
        assert_eq!(answer.member("state"), "rejected", "{}", answer.text());
        assert_eq!(read(&author, &rejected).await["state"], "rejected");
        let withdrawn = made(&author, &json!({"refusal": "drop"})).await;
        let approval = last(&author).await;
        let path = format!("/v1/policies/{}", withdrawn["id"].as_str().expect("an id"));
        let answer = author.send(author.request(reqwest::Method::DELETE, &path)).await;
        assert_eq!(answer.member("state"), "withdrawn");
        assert_eq!(last(&author).await["state"], "withdrawn");
        clashes(&decide(&privacy, &approval, "approve").await, "id");
        app.clock.advance_seconds(60);
        assert_eq!(outcome(app, &token).await, "refused");
        // An approval in time for a time ahead leaves that time as it is.
        let at = app.clock.rfc3339(3_600);
        let ahead = made(&author, &json!({"refusal": "drop", "effective_from": at})).await;
        decide(&privacy, &last(&author).await, "approve").await;
        assert_eq!(read(&author, &ahead).await["state"], "scheduled");
        assert_eq!(outcome(app, &token).await, "refused");
        app.clock.advance_seconds(3_600);
        assert_eq!(outcome(app, &token).await, "dropped");
    }
);

both!(a_file_waits_too, setup(), async |app: &TestApp| {
    let token = app.token("Ab3xK9").await;
    let changed = TWO.replace("four_eyes = true", "refusal = \"drop\"");
    let plan = provision::parse(&changed).expect("a file");
    for effect in [Effect::Created, Effect::Unchanged] {
        let applied = ProvisionFlow::new(Arc::clone(&app.live)).apply(&plan).await;
        let applied = applied.expect("applied");
        let told: Vec<_> = applied.iter().filter(|one| one.kind == "policy").collect();
        assert_eq!(told.len(), 1, "what has no effect yet is said to have none");
        let expected = "tenant acme, version 2: waits for its time or an approval";
        assert_eq!((told[0].name.as_str(), told[0].effect), (expected, effect));
    }
    let page = app.manager().get(PATH).await.json();
    assert_eq!(
        page["items"].as_array().map(Vec::len),
        Some(1),
        "asked for once: {page}"
    );
    assert_eq!(
        page["items"][0]["author"],
        json!({"actor": "command_line"}),
        "whoever runs the server"
    );
    assert_eq!(outcome(app, &token).await, "refused");
    // The tenant's own settings go through the same door.
    let tenant = app.manager().get("/v1/tenants").await.json()["items"][0]["id"].clone();
    let path = format!("/v1/tenants/{}", tenant.as_str().expect("an id"));
    let body = json!({"untracked_counts": "tenant"});
    let answer = app.manager().patch(&path, &body).await.json();
    assert_eq!(
        (&answer["untracked_counts"], &answer["policy_version"]),
        (&json!("campaign"), &json!(1))
    );
    decide(&app.manager(), &page["items"][0], "approve").await;
    assert_eq!(outcome(app, &token).await, "dropped");
});

both!(
    nobody_is_a_second_pair_of_eyes_for_himself,
    setup(),
    async |app: &TestApp| {
        let author = app.manager();
        // A key that is nobody's could be the approver's own.
        let new_key = async |body: Value| {
            let answer = author.post("/v1/api-keys", &body).await;
            assert_eq!(answer.status, 201, "{}", answer.text());
            answer.member("api_key")
        };
        let nobodys = app.holder(&new_key(json!({"label": "a", "role": "manager"})).await);
        clashes(
            &nobodys.post("/v1/policies", &json!({"refusal": "drop"})).await,
            "four_eyes",
        );
        made(&author, &json!({"refusal": "drop"})).await;
        let approval = last(&author).await;
        decide(&nobodys, &approval, "approve")
            .await
            .is(403, "refused", "forbidden");
        // Nor does a user, or another's key, that is made for the occasion.
        app.clock.advance_seconds(1);
        let users = author.get("/v1/users").await.json();
        let second = &users["items"][1]["id"];
        let borrowed = app.holder(&new_key(json!({"label": "b", "role": "manager", "user": second})).await);
        decide(&borrowed, &approval, "approve")
            .await
            .is(403, "refused", "forbidden");
        assert_eq!(last(&author).await["state"], "waiting");
        assert_eq!(
            decide(&app.holder(SECOND), &approval, "approve").await.status,
            200
        );
    }
);

both!(
    the_principle_is_not_given_up_by_one_pair_of_eyes,
    setup(),
    async |app: &TestApp| {
        let author = app.manager();
        let tenant = author.get("/v1/tenants").await.json()["items"][0]["id"].clone();
        let path = format!("/v1/tenants/{}", tenant.as_str().expect("an id"));
        for _ in 0..2 {
            let answer = author.patch(&path, &json!({"four_eyes": false})).await;
            assert_eq!(answer.json()["four_eyes"], true, "{}", answer.text());
        }
        app.provision("[[tenant]]\nslug = \"acme\"\nfour_eyes = false\n")
            .await;
        let page = author.get(PATH).await.json();
        assert_eq!(page["items"].as_array().map(Vec::len), Some(1), "{page}");
        let approval = &page["items"][0];
        assert_eq!(
            (&approval["kind"], approval.get("policy")),
            (&json!("four_eyes_end"), None)
        );
        decide(&author, approval, "approve")
            .await
            .is(403, "refused", "forbidden");
        assert_eq!(author.get(&path).await.json()["four_eyes"], true);
        decide(&app.holder(SECOND), approval, "approve").await;
        assert_eq!(author.get(&path).await.json()["four_eyes"], false);
        assert_eq!(
            made(&author, &json!({"refusal": "drop"})).await["state"],
            "in_force"
        );
    }
);

both!(
    bad_decisions_are_refused_by_name,
    setup(),
    async |app: &TestApp| {
        let author = app.manager();
        made(&author, &json!({"refusal": "drop"})).await;
        let approval = last(&author).await;
        let before = app.ledger.totals().await;
        let path = format!("{PATH}/{}/approve", approval["id"].as_str().expect("an id"));
        let second = app.holder(SECOND);
        for (body, parameter) in [
            (json!({"note": ""}), "note"),
            (json!({"note": "a\u{7}b"}), "note"),
            (json!({"note": "x".repeat(501)}), "note"),
            (json!({"force": true}), "force"),
            (json!([]), "body"),
        ] {
            second.post(&path, &body).await.is_invalid(parameter);
        }
        second
            .post(&format!("{PATH}/apr_0/approve"), &json!({}))
            .await
            .is_invalid("id");
        let nowhere = format!("{PATH}/apr_{}/reject", "0".repeat(32));
        second
            .post(&nowhere, &json!({}))
            .await
            .is(404, "refused", "not_found");
        assert_eq!(app.ledger.totals().await, before, "something was written");
    }
);
