//! Grants for the server's operator: who gives them, which doors they open, for how long, and that each look under one is
//! in the tenant's log with its name.

use std::sync::LazyLock;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::app::{Setup, TestApp};
use crate::harness::client::{Answer, Caller};
use crate::harness::world::{self, WORLD};

const PATH: &str = "/v1/operator-grants";
const HOUR: i64 = 3_600;
const FOREIGN_PRIVACY: &str = "ek_test_globex_privacy_0001";

/// The usual tenants, the second one with a privacy officer, too.
static TWO_OFFICERS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{WORLD}  [[tenant.user]]\n  name = \"privacy\"\n  role = \"privacy\"\n  api_key = \"{FOREIGN_PRIVACY}\"\n"
    )
});

fn operator(app: &TestApp) -> Caller {
    app.holder(world::OPERATOR)
}

async fn tenant_of(caller: &Caller) -> String {
    let page = caller.get("/v1/tenants").await.json();
    page["items"][0]["id"].as_str().expect("an id").to_owned()
}

/// Lets the operator look; the grant's id.
async fn grant(by: &Caller, more: &Value) -> String {
    let mut body = json!({"reason": "support", "reference": "INC-2026/17"});
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    let answer = by.post(PATH, &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.member("id")
}

async fn revoke(by: &Caller, id: &str) -> Answer {
    by.send(by.request(Method::DELETE, &format!("{PATH}/{id}"))).await
}

/// What there is to see in the first tenant: a consent record and a copy that was asked for, each with its door.
struct Sealed {
    token: String,
    record: String,
    result: String,
}

impl Sealed {
    async fn in_tenant(app: &TestApp) -> Self {
        let query = "consent=granted&notice=canary-notice";
        let token = app.click("Ab3xK9", query).await.token.expect("tracked");
        let page = app
            .manager()
            .get(&format!("/v1/consent-records?token={token}"))
            .await
            .json();
        let record = page["items"][0]["id"].as_str().expect("an id").to_owned();
        let body = json!({"kind": "access", "token": token});
        let id = app
            .privacy()
            .post("/v1/subject-requests", &body)
            .await
            .member("id");
        let path = format!("/v1/subject-requests/{id}");
        let done = app.privacy().post(&format!("{path}/execution"), &json!({})).await;
        assert_eq!(done.status, 200, "{}", done.text());
        Self {
            token,
            record: format!("/v1/consent-records/{record}"),
            result: format!("{path}/result"),
        }
    }

    /// Both doors, with these parameters.
    async fn both(&self, caller: &Caller, query: &str) -> [Answer; 2] {
        [
            caller.get(&format!("{}?{query}", self.record)).await,
            caller.get(&format!("{}?{query}", self.result)).await,
        ]
    }
}

/// The entries of a tenant's log that tell of looks.
async fn looks(app: &TestApp, slug: &str) -> Vec<Value> {
    let tenant = app.ledger.tenant(slug).await;
    let mut entries = app.ledger.entries(tenant).await;
    let actions = ["consent_record.read", "subject_request.result_read"];
    entries.retain(|entry| actions.iter().any(|action| entry["action"] == *action));
    entries
}

fn field<'e>(entry: &'e Value, name: &str) -> Option<&'e str> {
    let mut changes = entry["changes"].as_array()?.iter();
    let change = changes.find(|change| change["field"] == name)?;
    change["new"].as_str()
}

both!(
    the_operator_sees_nothing_without_a_grant,
    async |app: &TestApp| {
        let sealed = Sealed::in_tenant(app).await;
        let tenant = tenant_of(&app.manager()).await;
        for tenant in [tenant.as_str(), "tnt_01a0b1c2d3e47f00a1b2c3d4e5f60718"] {
            for query in ["", "&unmasked=true"] {
                let query = format!("reason=complaint&tenant={tenant}{query}");
                for answer in sealed.both(&operator(app), &query).await {
                    answer.is(403, "refused", "no_grant");
                }
            }
        }
        // Whether there is such a record is not told either.
        let path = format!(
            "/v1/consent-records/csr_{}?reason=answer&tenant={tenant}",
            "A".repeat(68)
        );
        operator(app).get(&path).await.is(403, "refused", "no_grant");
        for answer in sealed.both(&operator(app), "reason=complaint").await {
            answer.is_invalid("tenant");
        }
        for answer in sealed.both(&operator(app), &format!("tenant={tenant}")).await {
            answer.is_invalid("reason");
        }
        for answer in sealed.both(&operator(app), "reason=answer&tenant=tnt_1").await {
            answer.is_invalid("tenant");
        }
        for caller in [app.privacy(), app.manager()] {
            let path = format!("{}?tenant={tenant}", sealed.record);
            caller.get(&path).await.is_invalid("tenant");
        }
        let receipt = format!("{}/receipt?reason=answer", sealed.record);
        operator(app).get(&receipt).await.is(403, "refused", "forbidden");
        assert_eq!(looks(app, "acme").await.len(), 0);
    }
);

both!(
    under_a_grant_each_look_of_the_operator_is_in_the_tenants_log,
    async |app: &TestApp| {
        let sealed = Sealed::in_tenant(app).await;
        let tenant = tenant_of(&app.manager()).await;
        grant(&app.privacy(), &json!({})).await;
        let query = format!("reason=complaint&tenant={tenant}");
        for answer in sealed.both(&operator(app), &query).await {
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert!(
                !answer.text().contains("canary-notice"),
                "masked: {}",
                answer.text()
            );
        }
        // This grant is for masked looks.
        for answer in sealed
            .both(&operator(app), &format!("{query}&unmasked=true"))
            .await
        {
            answer.is(403, "refused", "no_grant");
        }
        grant(&app.privacy(), &json!({"unmasked": true, "hours": 72})).await;
        for answer in sealed
            .both(&operator(app), &format!("{query}&unmasked=true"))
            .await
        {
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.text().contains("canary-notice"), "{}", answer.text());
        }
        let entries = looks(app, "acme").await;
        assert_eq!(entries.len(), 4);
        for entry in &entries {
            let number = match field(entry, "unmasked") {
                Some("false") => "operator_grant:1",
                _ => "operator_grant:2",
            };
            assert_eq!(field(entry, "grant"), Some(number), "{entry}");
            assert_eq!(field(entry, "reason"), Some("complaint"));
            assert!(
                entry["actor"]
                    .as_str()
                    .is_some_and(|actor| actor.starts_with("operator:"))
            );
        }
        assert_eq!(app.ledger.leaves("canary").await, 0, "no personal data");
        // The operator changes nothing, and finds no other door.
        for path in [
            "/v1/consent-records",
            "/v1/subject-requests",
            "/v1/reports/consent",
            PATH,
        ] {
            operator(app).get(path).await.is(403, "refused", "forbidden");
        }
        let denied = json!({"token": sealed.token, "consent": "denied"});
        assert_eq!(app.shop().post("/v1/consent-signals", &denied).await.status, 200);
        operator(app).get(&format!("{}?{query}", sealed.record)).await.is(
            410,
            "refused",
            "consent_withdrawn",
        );
    }
);

both!(
    a_grant_ends_by_itself_and_by_revocation_on_every_node,
    async |app: &TestApp| {
        let sealed = Sealed::in_tenant(app).await;
        let tenant = tenant_of(&app.manager()).await;
        let query = format!("reason=verification&tenant={tenant}");
        let twin = app.twin().await;
        for revoker in [app.privacy(), app.manager()] {
            let id = grant(&app.privacy(), &json!({"hours": 1})).await;
            for node in [app, &twin] {
                for answer in sealed.both(&operator(node), &query).await {
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            }
            let revoked = revoke(&revoker, &id).await;
            assert_eq!(revoked.status, 200, "{}", revoked.text());
            assert!(revoked.json()["archived_at"].is_string());
            for node in [&twin, app] {
                for answer in sealed.both(&operator(node), &query).await {
                    answer.is(403, "refused", "no_grant");
                }
            }
            let again = revoke(&revoker, &id).await;
            assert_eq!(again.json(), revoked.json(), "revoking again changes nothing");
        }
        grant(&app.privacy(), &json!({})).await;
        app.clock.advance_seconds(8 * HOUR - 1);
        for answer in sealed.both(&operator(&twin), &query).await {
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        app.clock.advance_seconds(1);
        for node in [app, &twin] {
            for answer in sealed.both(&operator(node), &query).await {
                answer.is(403, "refused", "no_grant");
            }
        }
        assert_eq!(looks(app, "acme").await.len(), 2 * 4 + 2);
        assert_eq!(app.ledger.leaves("operator_grant.created").await, 3);
        assert_eq!(app.ledger.leaves("operator_grant.archived").await, 2);
        twin.stop().await;
    }
);

both!(
    a_grant_opens_its_own_tenant_and_no_other,
    Setup::default().provision(&TWO_OFFICERS),
    async |app: &TestApp| {
        let sealed = Sealed::in_tenant(app).await;
        let (acme, globex) = (
            tenant_of(&app.manager()).await,
            tenant_of(&app.holder(world::FOREIGN_MANAGER)).await,
        );
        let officer = app.holder(FOREIGN_PRIVACY);
        let id = grant(&officer, &json!({"unmasked": true})).await;
        for answer in sealed
            .both(&operator(app), &format!("reason=answer&tenant={acme}"))
            .await
        {
            answer.is(403, "refused", "no_grant");
        }
        // What is named is looked for in the tenant that granted, and is not there.
        for answer in sealed
            .both(&operator(app), &format!("reason=answer&tenant={globex}"))
            .await
        {
            answer.is(404, "refused", "not_found");
        }
        for caller in [app.privacy(), app.manager()] {
            revoke(&caller, &id).await.is(404, "refused", "not_found");
            caller
                .get(&format!("{PATH}/{id}"))
                .await
                .is(404, "refused", "not_found");
        }
        assert_eq!(app.privacy().get(PATH).await.json()["items"], json!([]));
        assert_eq!(
            looks(app, "acme").await.len() + looks(app, "globex").await.len(),
            0
        );
    }
);

both!(
    grants_are_short_and_have_a_reason_and_no_name,
    async |app: &TestApp| {
        let id = grant(&app.privacy(), &json!({})).await;
        for caller in [app.privacy(), app.manager(), app.holder(world::AUDITOR)] {
            let read = caller.get(&format!("{PATH}/{id}")).await.json();
            let end = app.clock.rfc3339(8 * HOUR).replace('Z', ".000Z");
            assert_eq!(
                (&read["ends_at"], &read["unmasked"]),
                (&json!(end), &json!(false))
            );
            assert_eq!(caller.get(PATH).await.json()["items"], json!([read]));
        }
        let before = app.ledger.totals().await;
        for (changes, parameter) in [
            (json!({"hours": 0}), "hours"),
            (json!({"hours": 73}), "hours"),
            (json!({"hours": -1}), "hours"),
            (json!({"hours": null}), "hours"),
            (json!({"hours": "8"}), "hours"),
            (json!({"unmasked": "yes"}), "unmasked"),
            (json!({"reason": "curiosity"}), "reason"),
            (json!({"reference": "canary@shop.example"}), "reference"),
            (json!({"reference": "Jane Canary"}), "reference"),
            (json!({"reference": ""}), "reference"),
            (json!({"operator": "key_1"}), "operator"),
        ] {
            let mut body = json!({"reason": "support", "reference": "INC-1"});
            for (name, value) in changes.as_object().expect("an object") {
                body[name] = value.clone();
            }
            let answer = app.privacy().post(PATH, &body).await;
            answer.is_invalid(parameter);
            assert!(
                !answer.text().to_lowercase().contains("canary"),
                "{}",
                answer.text()
            );
        }
        assert_eq!(app.ledger.totals().await, before);
        // JSON has one kind of number.
        let whole = json!({"reason": "support", "reference": "INC-1", "hours": 72.0});
        assert_eq!(app.privacy().post(PATH, &whole).await.status, 201);
        let before = app.ledger.totals().await;
        for missing in ["reason", "reference"] {
            let mut body = json!({"reason": "support", "reference": "INC-1"});
            body.as_object_mut().expect("an object").remove(missing);
            app.privacy().post(PATH, &body).await.is_invalid(missing);
        }
        let good = json!({"reason": "support", "reference": "INC-1"});
        for caller in [app.manager(), operator(app), app.holder(world::AUDITOR)] {
            caller.post(PATH, &good).await.is(403, "refused", "forbidden");
        }
        assert_eq!(app.ledger.totals().await, before);
    }
);
