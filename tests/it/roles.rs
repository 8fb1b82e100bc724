//! Every operation by every role, on its own tenant's objects and on another's, and without a key.
//!
//! Operations, paths and bodies come from the OpenAPI document, roles from the access table: a new operation is tested
//! as soon as it stands there, and one whose path or example this file cannot fill in fails.

use std::sync::LazyLock;

use einklang::domain::access::{Role, TABLE, may};
use einklang::edge::openapi;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::app::{Setup, TestApp};
use crate::harness::client::{Answer, Caller};
use crate::harness::world::{self, WORLD};

static SPEC: LazyLock<Value> = LazyLock::new(openapi::spec);
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

/// An operation of the document.
struct Operation {
    name: &'static str,
    method: Method,
    path: &'static str,
    example: Option<Value>,
}

impl Operation {
    fn of(name: &'static str) -> Self {
        let paths = SPEC["paths"].as_object().expect("paths");
        let found = paths.iter().find_map(|(path, item)| {
            let mut methods = item.as_object().expect("an item").iter();
            let (method, operation) = methods.find(|(_, operation)| operation["operationId"] == name)?;
            Some((path, method, operation))
        });
        let (path, method, operation) = found.unwrap_or_else(|| panic!("{name} is not in the document"));
        let content = operation["requestBody"]["content"].get("application/json");
        let example = content.map(|content| {
            let schema = &content["schema"];
            let target = schema["$ref"].as_str().map(|path| path.trim_start_matches('#'));
            let schema = target.map_or(schema, |target| SPEC.pointer(target).expect("a schema"));
            schema.get("example").cloned().unwrap_or_else(|| json!({}))
        });
        Self {
            name,
            method: method.to_uppercase().parse().expect("a method"),
            path,
            example,
        }
    }

    /// The kind of object whose id is in the path: `shops` of `/v1/shops/{id}`.
    fn kind(&self) -> Option<&'static str> {
        self.path.strip_prefix("/v1/")?.strip_suffix("/{id}")
    }

    fn takes_postbacks(&self) -> bool {
        self.path.starts_with("/postback") || self.name.starts_with("create_conversion")
    }
}

/// The first tenant's objects, and names that nothing has yet.
struct Stage<'a> {
    app: &'a TestApp,
    token: String,
    next: usize,
}

impl Stage<'_> {
    fn fresh(&mut self, word: &str) -> String {
        self.next += 1;
        format!("{word}-{}", self.next)
    }

    /// The document's example with ids, names and tokens of this stage.
    async fn filled(&mut self, example: &Value) -> Value {
        let mut body = example.clone();
        if let Some(lines) = body.get_mut("conversions").and_then(Value::as_array_mut) {
            for line in lines {
                *line = Box::pin(self.filled(line)).await;
                line["token"] = json!(self.token);
            }
            return body;
        }
        for (name, value) in body.as_object_mut().expect("an object") {
            let is_id = |prefix: &str| value.as_str().is_some_and(|text| text.starts_with(prefix));
            *value = match name.as_str() {
                "slug" | "name" | "order_id" => json!(self.fresh("new")),
                "token" => json!(self.token),
                _ if is_id("sho_") => json!(self.first_of("shops").await),
                _ if is_id("cmp_") => json!(self.first_of("campaigns").await),
                _ if is_id("pub_") => json!(self.first_of("publishers").await),
                _ => continue,
            };
        }
        body
    }

    async fn first_of(&self, kind: &str) -> String {
        let page = self.app.manager().get(&format!("/v1/{kind}")).await;
        page.json()["items"][0]["id"].as_str().expect("an id").to_owned()
    }

    /// A new object of the first tenant, made as the document's example says.
    async fn object(&mut self, kind: &str) -> String {
        if kind == "conversions" {
            return self.conversion().await.0;
        }
        let create = TABLE
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| name.starts_with("create_"))
            .map(Operation::of)
            .find(|operation| operation.path == format!("/v1/{kind}"));
        let create = create.unwrap_or_else(|| panic!("nothing makes {kind}"));
        let body = self.filled(create.example.as_ref().expect("an example")).await;
        let maker = if kind == "tenants" {
            world::OPERATOR
        } else {
            world::MANAGER
        };
        let answer = self.app.holder(maker).post(create.path, &body).await;
        assert_eq!(answer.status, 201, "{kind}: {}", answer.text());
        let made = answer.json();
        // A key is shown beside the object that it belongs to.
        let id = made["id"].as_str().or_else(|| made["api_key"]["id"].as_str());
        id.unwrap_or_else(|| panic!("no id in {made}")).to_owned()
    }

    /// A new conversion of the first tenant, and its order.
    async fn conversion(&mut self) -> (String, String) {
        let order = self.fresh("order");
        let pairs = [
            ("token", self.token.as_str()),
            ("order_id", &order),
            ("amount", "49.90"),
            ("consent", "granted"),
        ];
        let answer = self.app.shop().postback(&pairs).await;
        answer.is(200, "recorded", "accepted");
        (answer.member("conversion_id"), order)
    }

    /// A request for the operation about the first tenant's objects. Whoever has a tenant may see and change that one;
    /// the server's operator gets one of its own making.
    async fn request(&mut self, operation: &Operation, role: Role) -> Ready {
        let mut path = operation.path.replace("{shop}", "shp_acme_main");
        if let Some(kind) = operation.kind() {
            let id = if kind == "tenants" && role != Role::Operator {
                self.first_of("tenants").await
            } else {
                self.object(kind).await
            };
            path = path.replace("{id}", &id);
        }
        assert!(
            !path.contains('{'),
            "{path} has a place that this test cannot fill"
        );
        if operation.method == Method::GET && operation.takes_postbacks() {
            let order = self.fresh("order");
            path = format!("{path}?token={}&order_id={order}&consent=granted", self.token);
        }
        let mut body = None;
        if let Some(example) = &operation.example {
            let mut filled = self.filled(example).await;
            if operation.name == "change_conversion_by_order" {
                filled["order_id"] = json!(self.conversion().await.1);
            } else if operation.takes_postbacks() && filled.as_object().is_some_and(serde_json::Map::is_empty)
            {
                filled = json!({"token": self.token, "order_id": self.fresh("order"), "consent": "granted"});
            }
            body = Some(filled);
        }
        Ready {
            method: operation.method.clone(),
            path,
            body,
        }
    }
}

/// A request that anybody may send.
struct Ready {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl Ready {
    async fn send(&self, caller: &Caller) -> Answer {
        let request = caller.request(self.method.clone(), &self.path);
        let request = match &self.body {
            Some(body) => request.json(body),
            None => request,
        };
        caller.send(request).await
    }
}

/// What somebody with the right role in another tenant finds of the first tenant's objects: nothing.
fn check_foreign(operation: &Operation, answer: &Answer, own_ids: &[String]) {
    let (name, text) = (operation.name, answer.text());
    let references_others = operation.example.as_ref().is_some_and(|example| {
        ["shop", "campaign", "publisher"]
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
        _ if operation.kind().is_some() || references_others => {
            answer.is(404, "refused", "not_found");
        }
        _ => assert!(matches!(answer.status, 200 | 201), "{name}: {text}"),
    }
    for id in own_ids {
        assert!(!text.contains(id), "{name} shows another tenant's object: {text}");
    }
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
        let mut stage = Stage {
            app,
            token: app.token("Ab3xK9").await,
            next: 0,
        };
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
