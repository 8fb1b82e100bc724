//! Callers: what a visitor's browser, a shop's server or a person with a key sends, and what comes back.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::contract;

/// A response, read to its end and held against the contract.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    headers: HeaderMap,
}

impl Answer {
    /// An answer from its parts.
    pub fn new(status: u16, headers: HeaderMap, body: Vec<u8>) -> Self {
        Self {
            status,
            body,
            headers,
        }
    }

    /// A header, if it occurs.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The names of all headers, in order.
    pub fn header_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.headers.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort_unstable();
        names
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}: not JSON: {}", self.status, self.text()))
    }

    /// A member of the body that is a text; empty if there is none.
    pub fn member(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }

    /// The stable code.
    pub fn reason(&self) -> String {
        self.member("reason")
    }

    /// Status, outcome and reason: what the answer table is about.
    pub fn verdict(&self) -> (u16, String, String) {
        (self.status, self.member("outcome"), self.reason())
    }

    /// Panics unless the answer is this verdict.
    #[track_caller]
    pub fn is(&self, status: u16, outcome: &str, reason: &str) -> &Self {
        assert_eq!(
            self.verdict(),
            (status, outcome.to_owned(), reason.to_owned()),
            "{}",
            self.text()
        );
        self
    }

    /// Panics unless the answer refuses this parameter.
    #[track_caller]
    pub fn is_invalid(&self, parameter: &str) {
        self.is(400, "refused", "invalid_request");
        assert_eq!(self.member("parameter"), parameter, "{}", self.text());
    }
}

/// Somebody who sends requests, with or without a key.
#[derive(Debug, Clone)]
pub struct Caller {
    base: String,
    http: reqwest::Client,
    key: Option<String>,
    headers: HeaderMap,
}

impl Caller {
    /// A caller without a key.
    pub fn new(base: &str, http: &reqwest::Client) -> Self {
        Self {
            base: base.to_owned(),
            http: http.clone(),
            key: None,
            headers: HeaderMap::new(),
        }
    }

    /// The same caller with this key.
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// The same caller, sending this header too.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).expect("a header"),
        );
        self
    }

    /// A request that [`Caller::send`] takes.
    pub fn request(&self, method: Method, target: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}{target}", self.base))
            .headers(self.headers.clone());
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Sends a request and holds the answer against the contract.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().expect("a request");
        let (method, path) = (request.method().to_string(), request.url().path().to_owned());
        let response = self.http.execute(request).await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.expect("a whole body").to_vec();
        let answer = Answer::new(status, headers, body);
        contract::check(&method, &path, &answer);
        answer
    }

    /// `GET`.
    pub async fn get(&self, target: &str) -> Answer {
        self.send(self.request(Method::GET, target)).await
    }

    /// `POST` with JSON.
    pub async fn post(&self, target: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, target).json(body)).await
    }

    /// `POST` with a form.
    pub async fn post_form(&self, target: &str, pairs: &[(&str, &str)]) -> Answer {
        self.send(self.request(Method::POST, target).form(pairs)).await
    }

    /// `PATCH` with JSON.
    pub async fn patch(&self, target: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, target).json(body)).await
    }

    /// `GET /postback` with these parameters.
    pub async fn postback(&self, pairs: &[(&str, &str)]) -> Answer {
        self.get(&format!("/postback?{}", query(pairs))).await
    }
}

/// Pairs as a query.
pub fn query(pairs: &[(&str, &str)]) -> String {
    serde_urlencoded::to_string(pairs).expect("pairs")
}
