//! The decision table, row by row over HTTP: `vectors/decision.jsonl`.
//!
//! Each row is a story: a click under a policy, something in between, a postback. What the server answers and what it
//! leaves in the database are both held against the row. The rows of one policy and answer mode share a tenant; each
//! row has a second of its own, so that its click can be found.

use serde_json::{Value, json};

use crate::harness::app::{Setup, TestApp};
use crate::harness::client::Answer;
use crate::harness::ledger::changes;

const VECTORS: &str = include_str!("../vectors/decision.jsonl");

both!(
    every_row,
    Setup::default().provision(""),
    async |app: &TestApp| {
        for policy in ["strict_opt_in", "inherit_click", "opt_out"] {
            for mode in ["refuse", "drop"] {
                app.provision(&tenant(policy, mode)).await;
            }
        }
        let mut failed = Vec::new();
        let mut passed = 0;
        for line in VECTORS.lines() {
            let row: Value = serde_json::from_str(line).expect("a row");
            app.clock.advance_seconds(1);
            let faults = play(app, &row).await;
            if faults.is_empty() {
                passed += 1;
            } else {
                failed.push(format!("{}: {}", row["id"], faults.join("; ")));
            }
        }
        println!("{passed} of {}", VECTORS.lines().count());
        assert!(failed.is_empty(), "{}", failed.join("\n"));
        assert_eq!(passed, 289);
    }
);

fn slug(policy: &str, mode: &str) -> String {
    format!("{policy}-{mode}")
}

fn tenant(policy: &str, mode: &str) -> String {
    let slug = slug(policy, mode);
    format!(
        r#"
        [[tenant]]
        slug = "{slug}"
        policy = "{policy}"
        policy_reason = "the rows of this policy"
        refusal = "{mode}"
          [[tenant.shop]]
          slug = "main"
          landing_hosts = ["shop.example"]
          currency = "EUR"
          api_key = "ek_test_{slug}_shop_main_0001"
          [[tenant.publisher]]
          slug = "news"
          explicit_consent = "notice-2026-03"
          [[tenant.campaign]]
          slug = "autumn"
          shop = "main"
          landing_url = "https://shop.example/landing"
          [[tenant.link]]
          slug = "{slug}"
          campaign = "autumn"
          publisher = "news"
        "#
    )
}

/// The story of one row, and everything in which it did not go as the row says.
struct Story<'a> {
    app: &'a TestApp,
    row: &'a Value,
    /// Names this row's click, wherever it left something.
    click: String,
    slug: String,
    faults: Vec<String>,
}

async fn play(app: &TestApp, row: &Value) -> Vec<String> {
    let slug = slug(text(&row["policy"]), text(&row["answer_mode"]));
    let number = app.ledger.tenant(&slug).await;
    let click = format!(
        "tenant = {number} AND issued_at_ticks / 256 = {}",
        app.clock.now_s()
    );
    let mut story = Story {
        app,
        row,
        click,
        slug,
        faults: Vec::new(),
    };
    let token = story.click().await;
    story.between(token.as_deref()).await;
    if row["click_consent_older_than_inherit_window"] == true {
        app.clock.advance_seconds(24 * 3_600 + 1);
    }
    story.postback(token.as_deref()).await;
    story.faults
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The words for a state, in a query.
fn signal(state: &str) -> Option<&'static str> {
    match state {
        "granted" => Some("granted"),
        "denied" => Some("denied"),
        "malformed" => Some("perhaps"),
        "absent" | "unknown" => None,
        other => panic!("the vectors name a state {other}"),
    }
}

impl Story<'_> {
    fn expect<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, found: T, wanted: T) {
        match (found, wanted) {
            (found, wanted) if found == wanted => {}
            (found, wanted) => self.faults.push(format!("{what}: {found:?}, not {wanted:?}")),
        }
    }

    async fn click(&mut self) -> Option<String> {
        let (app, wanted) = (self.app, &self.row["click_action"]);
        let before = app.ledger.totals().await;
        let counted = self.untracked().await;
        let query = signal(text(&self.row["click"]))
            .map(|word| format!("consent={word}"))
            .unwrap_or_default();
        let parameters = signal(text(&self.row["click"])).map(|word| ("consent", word));
        let explained = self
            .explain(
                &json!({"kind": "click", "link": self.slug}),
                parameters.as_slice(),
            )
            .await;
        let click = app.click(&self.slug, &query).await;
        self.expect("click status", click.answer.status, 302);
        let redirect = if click.token.is_some() {
            "302_with_token"
        } else {
            "302_plain"
        };
        self.expect("redirect", redirect, text(&wanted["redirect"]));
        let stored = app.ledger.count("click", &self.click).await == 1;
        self.expect("click stored", stored, wanted["store_click"] == true);
        let mut new = self.untracked().await;
        for (reason, events) in counted {
            *new.entry(reason).or_default() -= events;
        }
        new.retain(|_, events| *events != 0);
        let reason = match text(&wanted["counter"]) {
            "" => None,
            "click_not_tracked_denied" => Some("consent_denied"),
            "click_not_tracked_unknown" => Some("consent_missing"),
            "click_not_tracked_malformed" => Some("consent_malformed"),
            other => panic!("the vectors name a counter {other}"),
        };
        self.expect(
            "untracked counter",
            new,
            reason.map(|reason| (reason.to_owned(), 1)).into_iter().collect(),
        );
        let said = explained["verdict"]["reason"].as_str().unwrap_or_default();
        self.expect("explained click", said, reason.unwrap_or("accepted"));
        if reason.is_some() {
            // The count and nothing else.
            let change = changes(&before, &app.ledger.totals().await);
            self.expect(
                "traces of an untracked click",
                change,
                [("stat_untracked", 1)].into(),
            );
        }
        click.token
    }

    async fn untracked(&self) -> std::collections::BTreeMap<String, i64> {
        let number = self.app.ledger.tenant(&self.slug).await;
        self.app
            .ledger
            .by_name("stat_untracked", "reason", &format!("tenant = {number}"))
            .await
    }

    /// What happens between click and postback: the shop forwards a change, or the person declines at an order.
    async fn between(&mut self, token: Option<&str>) {
        let shop = self.shop();
        let word = match text(&self.row["between"]) {
            "none" => return,
            "withdrawn_or_erased" => "denied",
            "granted_later" => "granted",
            other => panic!("the vectors name a change {other}"),
        };
        let Some(token) = token else {
            // The shop has nothing to name the person by, and an order that is not known changes nothing.
            let answer = shop
                .post(
                    "/v1/consent-signals",
                    &json!({"order_id": "never", "consent": word}),
                )
                .await;
            self.expect(
                "change without a click",
                (answer.status, answer.member("outcome").as_str()),
                (200, "no_effect"),
            );
            return;
        };
        // Both ways of withdrawing are the same to what comes after; the rows take turns.
        let odd = text(&self.row["id"]).ends_with(['1', '3', '5', '7', '9']);
        if word == "denied" && odd {
            let answer = shop
                .postback(&[("token", token), ("order_id", "declined"), ("consent", "denied")])
                .await;
            self.expect("denied in between", answer.reason().as_str(), "consent_denied");
        } else {
            let answer = shop
                .post("/v1/consent-signals", &json!({"token": token, "consent": word}))
                .await;
            self.expect(
                "change in between",
                (answer.status, answer.member("outcome").as_str()),
                (200, "applied"),
            );
        }
    }

    fn shop(&self) -> crate::harness::client::Caller {
        self.app.holder(&format!("ek_test_{}_shop_main_0001", self.slug))
    }

    async fn postback(&mut self, token: Option<&str>) {
        let (app, wanted) = (self.app, &self.row["postback_action"]);
        let (before, present) = (app.ledger.totals().await, self.present().await);
        let pairs = self.pairs(token);
        let explained = self.explain(&json!({"kind": "postback"}), &pairs).await;
        let answer = self.send(token).await;
        for member in ["status", "outcome", "reason"] {
            self.expect(
                "explained postback",
                &explained["verdict"][member],
                &wanted[member],
            );
        }
        self.expect(
            "explained end",
            &explained["verdict"]["ends_click"],
            &wanted["erase_click_data"],
        );
        self.expect(
            "status",
            u64::from(answer.status),
            wanted["status"].as_u64().unwrap_or(0),
        );
        for member in ["outcome", "reason", "retry"] {
            self.expect(member, &answer.json()[member], &wanted[member]);
        }
        let change = changes(&before, &app.ledger.totals().await);
        let changed = |table: &str| change.get(table).copied().unwrap_or(0);
        self.expect(
            "conversion stored",
            changed("conversion"),
            i64::from(wanted["store_conversion"] == true),
        );
        self.expect(
            "conversion named",
            answer.json().get("conversion_id").is_some(),
            wanted["store_conversion"] == true,
        );
        self.expect(
            "suppression written",
            changed("suppression") > 0,
            wanted["write_suppression"] == true,
        );
        let erased = wanted["erase_click_data"] == true;
        self.expect(
            "click with its consent record, and salt before",
            present[0] == present[1] && present[0] == present[2],
            true,
        );
        self.expect(
            "click erased",
            present[0] > 0 && self.present().await == [0, 0, 0],
            erased,
        );
        if wanted["store_conversion"] == false {
            let kept = (
                changed("order_key"),
                changed("stat_hour"),
                changed("stat_refused"),
            );
            self.expect("kept of a refusal", kept, (0, 0, 1));
        }
    }

    /// Rows of this row's click: itself, its salt, its consent record, which stands in its row.
    async fn present(&self) -> [i64; 3] {
        let told = format!("{} AND clicked_at_ms > 0 AND policy_version > 0", self.click);
        let ledger = &self.app.ledger;
        [
            ledger.count("click", &self.click).await,
            ledger.count("click_salt", &self.click).await,
            ledger.count("click", &told).await,
        ]
    }

    fn pairs<'b>(&'b self, token: Option<&'b str>) -> Vec<(&'b str, &'b str)> {
        let mut pairs = vec![("order_id", text(&self.row["id"])), ("amount", "49.90")];
        pairs.extend(token.map(|token| ("token", token)));
        pairs.extend(signal(text(&self.row["postback"])).map(|word| ("consent", word)));
        pairs
    }

    /// What the server would say; asking changes nothing.
    async fn explain(&self, about: &Value, pairs: &[(&str, &str)]) -> Value {
        let before = self.app.ledger.totals().await;
        let mut body = about.clone();
        body["parameters"] = pairs
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        let answer = self.shop().post("/v1/explain", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(changes(&before, &self.app.ledger.totals().await), [].into());
        answer.json()
    }

    /// The postback, by a URL or as JSON in turns.
    async fn send(&self, token: Option<&str>) -> Answer {
        let id = text(&self.row["id"]);
        let pairs = self.pairs(token);
        if id.ends_with(['2', '3', '6', '7']) {
            let body: serde_json::Map<String, Value> = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value)))
                .collect();
            return self.shop().post("/v1/conversions", &Value::Object(body)).await;
        }
        self.shop().postback(&pairs).await
    }
}
