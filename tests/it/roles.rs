//! Every operation by every role, on its own tenant's objects and on another's, and without a key.
//!
//! Operations, paths and bodies come from the OpenAPI document, roles from the access table: a new operation is tested
//! as soon as it stands there, and one whose path or example this file cannot fill in fails.

use std::sync::LazyLock;

use einklang::domain::access::{Role, TABLE, may};

use crate::harness::app::{Setup, TestApp};
use crate::harness::client::Answer;
use crate::harness::stage::{Operation, Stage};
use crate::harness::world::{self, WORLD};

/// The usual tenants, the second one with a key for every role, too.
static BOTH_STAFFED: LazyLock<String> = LazyLock::new(|| {
    let user = |role: &str, more: &str| {
        format!(
            "  [[tenant.user]]\n  name = \"{role}\"\n  role = \"{role}\"\n  {more}\n  api_key = \"{}\"\n",
            foreign_key_of(role)
        )
    };
    let users = [
        user("auditor", ""),
        user("privacy", ""),
        user("publisher", "publisher = \"news\""),
    ];
    format!("{WORLD}{}", users.concat())
});

fn foreign_key_of(role: &str) -> String {
    format!("ek_test_globex_{role}_000000001")
}

fn own_key(role: Role) -> &'static str {
    match role {
        Role::Operator => world::OPERATOR,
        Role::Manager => world::MANAGER,
        Role::Shop => world::SHOP,
        Role::Publisher => world::PUBLISHER,
        Role::Auditor => world::AUDITOR,
        Role::Privacy => world::PRIVACY,
    }
}

/// The key of this role in the other tenant; the server's operator has only one.
fn foreign_key(role: Role) -> Option<String> {
    Some(match role {
        Role::Operator => return None,
        Role::Manager => world::FOREIGN_MANAGER.to_owned(),
        Role::Shop => world::FOREIGN_SHOP.to_owned(),
        other => foreign_key_of(other.code()),
    })
}

/// What somebody with the right role in another tenant finds of the first tenant's objects: nothing.
fn check_foreign(operation: &Operation, answer: &Answer, own_ids: &[String]) {
    let (name, text) = (operation.name, answer.text());
    let references_others = operation.example.as_ref().is_some_and(|example| {
        ["shop", "campaign", "publisher", "link"]
            .iter()
            .any(|member| example.get(member).is_some())
    });
    match name {
        "send_shop_postback" | "send_shop_postback_form" => {
            answer.is(403, "refused", "forbidden");
        }
        "send_postback" | "send_postback_form" | "create_conversion" => {
            answer.is(404, "refused", "unknown_token");
        }
        "create_conversions" => assert_eq!(answer.json()["items"][0]["reason"], "unknown_token", "{text}"),
        "send_consent_signal" => {
            assert_eq!(
                (answer.status, answer.member("outcome").as_str()),
                (200, "no_effect"),
                "{text}"
            );
        }
        "change_conversion_by_order" => {
            answer.is(404, "refused", "not_found");
        }
        _ if names_an_entry(operation) => {
            answer.is(404, "refused", "not_found");
        }
        _ if operation.kind().is_some() || references_others => {
            answer.is(404, "refused", "not_found");
        }
        _ => assert!(matches!(answer.status, 200 | 201), "{name}: {text}"),
    }
    for id in own_ids {
        assert!(!text.contains(id), "{name} shows another tenant's object: {text}");
    }
}

/// Whether the path names an entry, a record or a log.
fn names_an_entry(operation: &Operation) -> bool {
    ["{entry}", "{record}", "{tenant}"]
        .iter()
        .any(|place| operation.path.contains(place))
}

/// The ids of everything that the first tenant has.
async fn ids(app: &TestApp) -> Vec<String> {
    let mut ids = Vec::new();
    for kind in [
        "tenants",
        "shops",
        "publishers",
        "campaigns",
        "links",
        "goals",
        "users",
        "api-keys",
        "policies",
        "approvals",
    ] {
        let page = app.manager().get(&format!("/v1/{kind}?limit=100")).await.json();
        let items = page["items"].as_array().expect("items").clone();
        ids.extend(
            items
                .iter()
                .filter_map(|item| item["id"].as_str().map(str::to_owned)),
        );
    }
    ids
}

/// How many requests came to what.
#[derive(Default)]
struct Count {
    allowed: usize,
    forbidden: usize,
    foreign: usize,
    unauthenticated: usize,
}

/// One operation by everybody.
async fn play(stage: &mut Stage<'_>, operation: &Operation, count: &mut Count) {
    let (app, name) = (stage.app, operation.name);
    let request = stage.request(operation, Role::Manager).await;
    let before = app.ledger.totals().await;
    for caller in [
        app.anonymous(),
        app.holder("ek_test_nobody_knows_this_key"),
        app.holder(&format!("{}x", world::MANAGER)),
    ] {
        request.send(&caller).await.is(401, "refused", "unauthenticated");
        count.unauthenticated += 1;
    }
    for role in Role::ALL.into_iter().filter(|role| !may(*role, name)) {
        let keys = [Some(own_key(role).to_owned()), foreign_key(role)];
        for key in keys.into_iter().flatten() {
            request
                .send(&app.holder(&key))
                .await
                .is(403, "refused", "forbidden");
            count.forbidden += 1;
        }
    }
    assert_eq!(
        app.ledger.totals().await,
        before,
        "{name}: refused, and yet something was written"
    );
    for role in Role::ALL.into_iter().filter(|role| may(*role, name)) {
        let request = stage.request(operation, role).await;
        if let Some(key) = foreign_key(role) {
            let own_ids = ids(app).await;
            check_foreign(operation, &request.send(&app.holder(&key)).await, &own_ids);
            count.foreign += 1;
        }
        // What the others tried has changed nothing for those who may.
        let answer = request.send(&app.holder(own_key(role))).await;
        assert!(
            matches!(answer.status, 200 | 201),
            "{name} by {role:?}: {} {}",
            answer.status,
            answer.text()
        );
        count.allowed += 1;
    }
}

both!(
    everybody_may_what_the_table_says_and_nothing_else,
    Setup::default().provision(&BOTH_STAFFED),
    async |app: &TestApp| {
        let mut stage = Stage::new(app).await;
        let mut count = Count::default();
        for (name, _) in TABLE {
            play(&mut stage, &Operation::of(name), &mut count).await;
        }
        for filter in ["campaigns", "links", "publishers", "goals"] {
            let (name, id) = (filter.trim_end_matches('s'), stage.first_of(filter).await);
            let target = format!("/v1/reports/performance?{name}={id}");
            let foreign = app.holder(world::FOREIGN_MANAGER).get(&target).await;
            foreign.is(404, "refused", "not_found");
            assert_eq!(app.manager().get(&target).await.status, 200, "{name}");
        }
        println!(
            "{} operations: {} allowed, {} forbidden, {} about another tenant's objects, {} without a known key",
            TABLE.len(),
            count.allowed,
            count.forbidden,
            count.foreign,
            count.unauthenticated
        );
    }
);
