//! Valid requests for every operation, made from the OpenAPI document: its paths and its examples, with ids, names and
//! tokens that are really there.

use std::sync::LazyLock;

use einklang::app::system::SystemEntropy;
use einklang::domain::access::{Role, TABLE};
use einklang::domain::look::may_look;
use einklang::edge::openapi;
use einklang::flow::Entropy;
use reqwest::Method;
use serde_json::{Value, json};

use super::app::TestApp;
use super::client::{Answer, Caller};
use super::world;

/// The document.
pub static SPEC: LazyLock<Value> = LazyLock::new(openapi::spec);

/// An operation of the document.
pub struct Operation {
    pub name: &'static str,
    pub method: Method,
    pub path: &'static str,
    pub example: Option<Value>,
    /// The members that its JSON body may have.
    pub members: Vec<&'static str>,
}

fn members(schema: &'static Value) -> Vec<&'static str> {
    let properties = schema["properties"].as_object().expect("properties");
    properties.keys().map(String::as_str).collect()
}

impl Operation {
    /// The operation with this id.
    pub fn of(name: &'static str) -> Self {
        let paths = SPEC["paths"].as_object().expect("paths");
        let found = paths.iter().find_map(|(path, item)| {
            let mut methods = item.as_object().expect("an item").iter();
            let (method, operation) = methods.find(|(_, operation)| operation["operationId"] == name)?;
            Some((path, method, operation))
        });
        let (path, method, operation) = found.unwrap_or_else(|| panic!("{name} is not in the document"));
        let content = operation["requestBody"]["content"].get("application/json");
        let schema = content.map(|content| {
            let schema = &content["schema"];
            let target = schema["$ref"].as_str().map(|path| path.trim_start_matches('#'));
            target.map_or(schema, |target| SPEC.pointer(target).expect("a schema"))
        });
        Self {
            name,
            method: method.to_uppercase().parse().expect("a method"),
            path,
            example: schema.map(|schema| schema.get("example").cloned().unwrap_or_else(|| json!({}))),
            members: schema.map_or_else(Vec::new, members),
        }
    }

    /// The kind of object whose id is in the path: `shops` of `/v1/shops/{id}`, and of what is below that.
    pub fn kind(&self) -> Option<&'static str> {
        let (kind, _) = self.path.strip_prefix("/v1/")?.split_once("/{id}")?;
        Some(kind)
    }

    /// Whether it is one of the doors for postbacks.
    pub fn takes_postbacks(&self) -> bool {
        self.path.starts_with("/postback") || self.name.starts_with("create_conversion")
    }
}

/// The first tenant's objects, and names that nothing has yet.
pub struct Stage<'a> {
    pub app: &'a TestApp,
    token: String,
    next: usize,
}

impl<'a> Stage<'a> {
    pub async fn new(app: &'a TestApp) -> Self {
        Self {
            app,
            token: app.token("Ab3xK9").await,
            next: 0,
        }
    }

    pub fn fresh(&mut self, word: &str) -> String {
        self.next += 1;
        format!("{word}-{}", self.next)
    }

    /// The document's example with ids, names and tokens of this stage.
    pub async fn filled(&mut self, example: &Value) -> Value {
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
                "subject_request_id" => json!(random_id()),
                "submitted_time" => json!(self.app.clock.rfc3339(0)),
                "token" => json!(self.token),
                _ if is_id("sho_") => json!(self.first_of("shops").await),
                _ if is_id("cmp_") => json!(self.first_of("campaigns").await),
                _ if is_id("pub_") => json!(self.first_of("publishers").await),
                _ => continue,
            };
        }
        body
    }

    /// The id of the oldest object of a kind.
    pub async fn first_of(&self, kind: &str) -> String {
        let page = self.app.manager().get(&format!("/v1/{kind}")).await;
        page.json()["items"][0]["id"].as_str().expect("an id").to_owned()
    }

    /// A new object of the first tenant, made as the document's example says.
    pub async fn object(&mut self, kind: &str) -> String {
        match kind {
            "conversions" => return self.conversion().await.0,
            "approvals" => return self.approval().await,
            "erasures" => return self.erasure().await,
            "audit/evidence-packs" => return self.pack().await,
            // The stage's own click has one.
            "consent-records" => return self.first_of(kind).await,
            "subject-requests" => return self.subject_request().await,
            _ => {}
        }
        let create = TABLE
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| name.starts_with("create_"))
            .map(Operation::of)
            .find(|operation| operation.path == format!("/v1/{kind}"));
        let create = create.unwrap_or_else(|| panic!("nothing makes {kind}"));
        let body = self.filled(create.example.as_ref().expect("an example")).await;
        let maker = match kind {
            "tenants" => world::OPERATOR,
            "operator-grants" => world::PRIVACY,
            _ => world::MANAGER,
        };
        let answer = self.app.holder(maker).post(create.path, &body).await;
        assert_eq!(answer.status, 201, "{kind}: {}", answer.text());
        let made = answer.json();
        // A key is shown beside the object that it belongs to.
        let id = made["id"].as_str().or_else(|| made["api_key"]["id"].as_str());
        id.unwrap_or_else(|| panic!("no id in {made}")).to_owned()
    }

    /// A change that waits for the word of any user: whoever runs the server asked for it.
    async fn approval(&mut self) -> String {
        let days = 100 + self.next;
        self.next += 1;
        let file = format!(
            "[[tenant]]\nslug = \"acme\"\ntcf_vendor_id = 755\ntime_zone = \"Europe/Berlin\"\nfour_eyes = true\n\
             max_consent_age_days = {days}\n"
        );
        self.app.provision(&file).await;
        // The first change took effect with the principle itself; from then on every one waits.
        self.app
            .provision(&file.replace(&days.to_string(), &format!("{}", days + 100)))
            .await;
        let page = self.app.manager().get("/v1/approvals?limit=100").await.json();
        let items = page["items"].as_array().expect("items");
        let waiting = items.iter().rfind(|item| item["state"] == "waiting");
        waiting.expect("one that waits")["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    /// An evidence pack that is done.
    async fn pack(&self) -> String {
        let body = json!({"from": self.app.clock.rfc3339(-60), "to": self.app.clock.rfc3339(0)});
        let auditor = self.app.holder(world::AUDITOR);
        let answer = auditor.post("/v1/audit/evidence-packs", &body).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        while self.app.packs().run().await.expect("made") {}
        answer.member("id")
    }

    /// An act of erasing, with its entry in the signed log.
    async fn erasure(&mut self) -> String {
        let body = json!({"customer_ref": self.fresh("customer")});
        let answer = self.app.privacy().post("/v1/erasures", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.app.keep_logs().await;
        answer.member("id")
    }

    /// A request of a person of the first tenant's.
    async fn subject_request(&self) -> String {
        let body = json!({"kind": "access", "token": self.token});
        let answer = self.app.privacy().post("/v1/subject-requests", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.member("id")
    }

    /// The same, carried out.
    async fn answered_request(&self) -> String {
        let id = self.subject_request().await;
        let path = format!("/v1/subject-requests/{id}/execution");
        let answer = self.app.privacy().post(&path, &json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        id
    }

    /// The first tenant, which lets the operator look.
    async fn granting_tenant(&mut self) -> String {
        self.object("operator-grants").await;
        self.first_of("tenants").await
    }

    /// The id of an OpenDSR request of the first tenant's controller.
    async fn opendsr_request(&self) -> String {
        let id = random_id();
        let body = json!({"regulation": "gdpr", "subject_request_id": id, "subject_request_type": "access",
            "submitted_time": self.app.clock.rfc3339(0), "subject_identities": [{"identity_type": "email",
            "identity_value": "a@example.com", "identity_format": "raw"}]});
        let answer = self.app.privacy().post("/v2/requests", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        id
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
    pub async fn request(&mut self, operation: &Operation, role: Role) -> Ready {
        let mut path = operation.path.replace("{shop}", "shp_acme_main");
        if let Some(kind) = operation.kind() {
            let id = if kind == "tenants" && role != Role::Operator {
                self.first_of("tenants").await
            } else if operation.name == "read_subject_request_result" {
                self.answered_request().await
            } else {
                self.object(kind).await
            };
            path = path.replace("{id}", &id);
        }
        if path.contains("{request}") {
            path = path.replace("{request}", &self.opendsr_request().await);
        }
        if may_look(role, operation.name) {
            path.push_str("?reason=answer");
            if role == Role::Operator {
                let tenant = self.granting_tenant().await;
                path = format!("{path}&tenant={tenant}");
            }
        }
        if path.contains("/audit/") {
            path = self.in_the_log(&path, role).await;
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

impl Stage<'_> {
    /// A path below the audit log with an entry, a record, a tile that is there.
    async fn in_the_log(&mut self, path: &str, role: Role) -> String {
        let mut path = path.to_owned();
        if path.contains("{entry}") {
            self.conversion().await;
        }
        self.app.keep_logs().await;
        let (reader, filter) = match role {
            Role::Operator => (world::OPERATOR, ""),
            _ => (world::MANAGER, "&action=postback.verdict&outcome=recorded"),
        };
        let reader = self.app.holder(reader);
        if path.contains("{entry}") {
            let page = reader
                .get(&format!("/v1/audit/entries?limit=1{filter}"))
                .await
                .json();
            let id = page["items"][0]["id"].as_str().expect("an entry").to_owned();
            path = path.replace("{entry}", &id);
        }
        if path.contains("{record}") {
            path = path.replace("{record}", &self.first_of("consent-records").await);
        }
        let log = match role {
            Role::Operator => "server".to_owned(),
            _ => self.first_of("tenants").await,
        };
        path = path.replace("{tenant}", &log).replace("{epoch}", "0");
        path = path.replace("{level}", "0").replace("{path}", "000.p/1");
        if path.ends_with("/consistency") {
            path.push_str("?from=1&to=1");
        }
        path
    }
}

/// A request that anybody may send.
pub struct Ready {
    pub method: Method,
    pub path: String,
    pub body: Option<Value>,
}

impl Ready {
    pub async fn send(&self, caller: &Caller) -> Answer {
        let request = caller.request(self.method.clone(), &self.path);
        let request = match &self.body {
            Some(body) => request.json(body),
            None => request,
        };
        caller.send(request).await
    }
}

/// A UUID of version 4, as a controller's system makes one.
pub fn random_id() -> String {
    let mut bytes = [0; 16];
    SystemEntropy.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
