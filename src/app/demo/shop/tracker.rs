//! From the shop's server to the ad server: orders, and the visitor's "no".
//!
//! Each call carries the shop's key and its own consent signal. What may succeed later is tried again, the same order
//! id keeping it one conversion; any other answer is final.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use zeroize::Zeroizing;

const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);
/// Answers of the ad server are far smaller.
const ANSWER_BYTES: usize = 64 * 1024;

/// What came of telling the ad server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// Nothing was sent.
    NotSent,
    /// It answered: outcome and, for a verdict, its reason.
    Answered(String, String),
    /// It could not be reached. A real shop would keep the call and try again later.
    Failed,
}

/// Calls the ad server.
pub struct Tracker {
    client: Client<HttpConnector, Full<Bytes>>,
    base_url: String,
    key: Zeroizing<String>,
}

impl Tracker {
    /// For an ad server at this URL that knows the shop by this key.
    pub fn new(base_url: &str, key: &str) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            base_url: base_url.to_owned(),
            key: Zeroizing::new(key.to_owned()),
        }
    }

    /// An order whose visitor agreed in the shop.
    pub async fn report_order(
        &self,
        token: &str,
        order: &str,
        amount: &str,
        customer: Option<&str>,
    ) -> Report {
        let mut body = json!({
            "token": token,
            "order_id": order,
            "amount": amount,
            "currency": "EUR",
            "consent": "granted",
        });
        if let (Some(customer), Some(members)) = (customer, body.as_object_mut()) {
            members.insert("customer_ref".to_owned(), Value::from(customer));
        }
        self.post("/v1/conversions", &body).await
    }

    /// A visitor who declined, or withdrew: token and signal, no order.
    pub async fn report_denial(&self, token: &str) -> Report {
        self.post(
            "/v1/consent-signals",
            &json!({"token": token, "consent": "denied"}),
        )
        .await
    }

    /// A customer who withdrew: everything that is known under the account's number.
    pub async fn report_customer_denial(&self, customer: &str) -> Report {
        self.post(
            "/v1/consent-signals",
            &json!({"customer_ref": customer, "consent": "denied"}),
        )
        .await
    }

    async fn post(&self, path: &str, body: &Value) -> Report {
        for attempt in 1..=ATTEMPTS {
            let answer = tokio::time::timeout(PATIENCE, self.attempt(path, body))
                .await
                .ok()
                .flatten();
            match answer {
                Some(answer) if answer["retry"] != Value::Bool(true) => {
                    let member = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
                    return Report::Answered(member("outcome"), member("reason"));
                }
                // A person waits, so the pauses are short; a queue would wait as long as Retry-After says.
                _ if attempt < ATTEMPTS => tokio::time::sleep(PAUSE).await,
                _ => {}
            }
        }
        tracing::warn!("the ad server could not be told");
        Report::Failed
    }

    async fn attempt(&self, path: &str, body: &Value) -> Option<Value> {
        let request = Request::post(format!("{}{path}", self.base_url))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", *self.key))
            .body(Full::new(Bytes::from(body.to_string())))
            .ok()?;
        let response = self.client.request(request).await.ok()?;
        let body = Limited::new(response.into_body(), ANSWER_BYTES)
            .collect()
            .await
            .ok()?
            .to_bytes();
        serde_json::from_slice(&body).ok()
    }
}
