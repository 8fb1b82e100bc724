//! A demo of its own for each scenario, and what its reports say before and after.

use reqwest::{Client, Response, StatusCode, redirect};
use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{Running, text};

/// A running demo.
pub struct Demo {
    pub url: String,
    pub shop_url: String,
    pub click: String,
    pub shop_key: String,
    manager_key: String,
    running: Running,
    folder: TempDir,
}

/// What the performance report adds up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    pub clicks: i64,
    pub confirmed: i64,
    pub euro_cents: i64,
    pub refused: i64,
}

impl Demo {
    pub fn start() -> Self {
        Self::restart(tempfile::tempdir().expect("a folder"))
    }

    /// Starts in a folder that a demo may have left behind.
    pub fn restart(folder: TempDir) -> Self {
        let mut running = Running::start(folder.path(), &["demo", "--json", "--shop-listen=127.0.0.1:0"]);
        let welcome = running.welcome();
        Self {
            url: text(&welcome, "url"),
            shop_url: text(&welcome, "shop_url"),
            click: text(&welcome, "click"),
            shop_key: text(&welcome, "shop_key"),
            manager_key: text(&welcome, "manager_key"),
            running,
            folder,
        }
    }

    /// Stops it and leaves its folder to be looked at.
    pub fn stop(self) -> TempDir {
        assert!(self.running.stop().success());
        self.folder
    }

    async fn report(&self, what: &str) -> Value {
        let request = client()
            .get(format!("{}/v1/reports/{what}", self.url))
            .bearer_auth(&self.manager_key);
        let response = request.send().await.expect("the server answers");
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.expect("a report")
    }

    pub async fn totals(&self) -> Totals {
        let totals = self.report("performance").await["totals"].clone();
        let number = |value: &Value| value.as_i64().expect("a count");
        let euro = totals["revenue"]["confirmed"].as_array().into_iter().flatten();
        let refused = totals["refused"].as_array().into_iter().flatten();
        Totals {
            clicks: number(&totals["clicks"]),
            confirmed: number(&totals["conversions"]["confirmed"]),
            euro_cents: euro
                .filter(|one| one["currency"] == "EUR")
                .map(|one| number(&one["amount_minor"]))
                .sum(),
            refused: refused.map(|one| number(&one["events"])).sum(),
        }
    }

    /// Clicks that were not tracked because the person declined at the publisher.
    pub async fn declined_clicks(&self) -> i64 {
        let report = self.report("consent?group_by=reason").await;
        let rows = report["rows"].as_array().into_iter().flatten();
        rows.filter(|row| row["reason"] == "consent_denied")
            .map(|row| row["untracked_clicks"].as_i64().expect("a count"))
            .sum()
    }
}

impl Totals {
    /// The same with so many more clicks, and orders of the demo's household insurance.
    pub fn with(self, clicks: i64, orders: i64) -> Self {
        Self {
            clicks: self.clicks + clicks,
            confirmed: self.confirmed + orders,
            euro_cents: self.euro_cents + orders * 8_990,
            ..self
        }
    }
}

/// A client without memory that goes nowhere by itself.
pub fn client() -> Client {
    Client::builder()
        .redirect(redirect::Policy::none())
        .build()
        .expect("a client")
}

/// A client that keeps cookies, as a browser does, and goes nowhere by itself.
pub fn jar() -> Client {
    Client::builder()
        .redirect(redirect::Policy::none())
        .cookie_store(true)
        .build()
        .expect("a client")
}

/// Where a redirect leads.
pub fn location(response: &Response) -> String {
    assert!(response.status().is_redirection(), "{}", response.status());
    let to = response.headers().get("location").expect("a location");
    to.to_str().expect("ASCII").to_owned()
}

/// The text of the element with this id.
pub fn fact(page: &str, id: &str) -> String {
    between(page, &format!("id=\"{id}\">"), "<")
}

/// The value of the hidden field with this name.
pub fn field(page: &str, name: &str) -> String {
    between(page, &format!("name=\"{name}\" value=\""), "\"")
}

/// Where the link with this id leads.
pub fn href(page: &str, id: &str) -> String {
    between(page, &format!("id=\"{id}\" href=\""), "\"")
}

fn between(page: &str, start: &str, end: &str) -> String {
    let after = page
        .split_once(start)
        .unwrap_or_else(|| panic!("no {start:?} in {page}"))
        .1;
    after.split_once(end).expect("an end").0.to_owned()
}
