//! Playing the plan: weeks of clicks and postbacks through the real server, with a clock that is moved by hand.
//!
//! Nothing is written past the flows, so the figures in the reports are the server's own. Each day is noted before it
//! is played: a start after an interruption goes on with the next day and plays none twice.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use chrono::{Datelike, Days, NaiveDate, TimeZone, Weekday};
use chrono_tz::Europe::Berlin;
use futures_util::future::join_all;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::plan::{self, Again, Goal, Later, Shop, Then, Token, Visit};
use super::tenant::Keys;
use super::{DemoError, write_whole};
use crate::edge::listener::PeerAddr;
use crate::flow::Clock;

const PROGRESS: &str = "demo-progress.json";
/// Its form is a token's, and it opens nowhere.
const FORGED: &str =
    "AQABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A clock that stands where it is put.
#[derive(Debug)]
pub struct StillClock(AtomicI64);

impl StillClock {
    /// Standing at this time.
    pub fn at(now_ms: i64) -> Self {
        Self(AtomicI64::new(now_ms))
    }

    /// Moves it.
    pub fn put(&self, now_ms: i64) {
        self.0.store(now_ms, Ordering::Release);
    }
}

impl Clock for StillClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }
}

/// How far the plan has been played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    first_day: NaiveDate,
    begun: u32,
}

impl Progress {
    /// A plan that ends yesterday.
    pub fn starting(now_ms: i64) -> Self {
        let today = chrono::DateTime::from_timestamp_millis(now_ms)
            .unwrap_or_default()
            .with_timezone(&Berlin);
        let first_day = today
            .date_naive()
            .checked_sub_days(Days::new(u64::from(plan::DAYS)))
            .unwrap_or_default();
        Self { first_day, begun: 0 }
    }

    /// What a folder remembers.
    pub fn read(folder: &Path) -> Result<Option<Self>, DemoError> {
        let path = folder.join(PROGRESS);
        let file = |source| DemoError::File {
            path: path.clone(),
            source,
        };
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| file(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file(error)),
        }
    }

    fn write(self, folder: &Path) -> Result<(), DemoError> {
        write_whole(&folder.join(PROGRESS), &format!("{}\n", json!(self)))
    }

    /// Whether every day was begun.
    pub fn is_over(self) -> bool {
        self.begun >= plan::DAYS
    }

    /// When a moment of a day is, in milliseconds.
    pub fn moment(self, day: u32, hour: u32, minute: u32) -> i64 {
        let date = self
            .first_day
            .checked_add_days(Days::new(u64::from(day)))
            .unwrap_or(self.first_day);
        let local = date.and_hms_opt(hour, minute, 0).unwrap_or_default();
        // Between nine in the morning and midnight no clock in Berlin is ever put back or forward.
        Berlin
            .from_local_datetime(&local)
            .earliest()
            .map_or(0, |at| at.timestamp_millis())
    }

    fn is_weekend(self, day: u32) -> bool {
        let date = self
            .first_day
            .checked_add_days(Days::new(u64::from(day)))
            .unwrap_or(self.first_day);
        matches!(date.weekday(), Weekday::Sat | Weekday::Sun)
    }
}

/// Something that happens some days after its click.
struct Due {
    day: u32,
    shop: Shop,
    what: What,
}

enum What {
    Postback(Goal, Value),
    Later(Later, String, String),
}

/// Plays a plan into a server.
pub struct Player<'a> {
    router: Router,
    clock: &'a StillClock,
    keys: &'a Keys,
    due: Vec<Due>,
    orders: u32,
}

impl<'a> Player<'a> {
    /// For a server that lives by this clock.
    pub fn new(router: Router, clock: &'a StillClock, keys: &'a Keys) -> Self {
        Self {
            router,
            clock,
            keys,
            due: Vec::new(),
            orders: 0,
        }
    }

    /// Plays the days that were not begun yet.
    pub async fn play(&mut self, folder: &Path, mut progress: Progress) -> Result<(), DemoError> {
        while !progress.is_over() {
            let day = progress.begun;
            progress.begun += 1;
            progress.write(folder)?;
            self.day(progress, day).await?;
        }
        Ok(())
    }

    async fn day(&mut self, progress: Progress, day: u32) -> Result<(), DemoError> {
        let visits = plan::visits(day, progress.is_weekend(day));
        for (slot, hour) in plan::HOURS.into_iter().enumerate() {
            self.clock.put(progress.moment(day, hour, 7));
            let now: Vec<&Visit> = visits.iter().filter(|visit| visit.slot == slot).collect();
            let tokens = join_all(now.iter().map(|visit| self.click(visit))).await;
            self.clock.put(progress.moment(day, hour, 31));
            for (visit, token) in now.into_iter().zip(tokens) {
                self.follow(day, visit, token?).await?;
            }
        }
        self.clock.put(progress.moment(day, 22, 40));
        let (today, rest) = std::mem::take(&mut self.due)
            .into_iter()
            .partition(|due| due.day == day);
        self.due = rest;
        for due in today {
            self.settle(day, due).await?;
        }
        Ok(())
    }

    /// A click; its token if it got one.
    async fn click(&self, visit: &Visit) -> Result<Option<String>, DemoError> {
        let uri = format!("/c/{}?{}", visit.offer.link, visit.query);
        let mut request = Request::get(uri)
            .header(header::USER_AGENT, visit.agent)
            .body(Body::empty())?;
        let address = IpAddr::V4(Ipv4Addr::new(203, 0, 113, visit.host));
        request
            .extensions_mut()
            .insert(PeerAddr(SocketAddr::new(address, 443)));
        let response = self.answer(request).await?;
        let landing = response
            .headers()
            .get(header::LOCATION)
            .and_then(|to| to.to_str().ok())
            .unwrap_or_default();
        let mut pairs = landing.split_once('?').map_or("", |(_, query)| query).split('&');
        Ok(pairs
            .find_map(|pair| pair.strip_prefix("s2s="))
            .map(str::to_owned))
    }

    /// What the visitor does at the shop on the day of the click.
    async fn follow(&mut self, day: u32, visit: &Visit, token: Option<String>) -> Result<(), DemoError> {
        let shop = visit.offer.shop;
        match (visit.then, token) {
            (Then::Declines, Some(token)) => {
                let body = json!({"token": token, "consent": "denied"});
                self.call(shop, Method::POST, "/v1/consent-signals", &body)
                    .await?;
            }
            (Then::Reaches(goal), token) => {
                let token = match goal.token {
                    Token::Own if token.is_none() => return Ok(()),
                    Token::Own => token.as_deref(),
                    Token::None => None,
                    Token::Forged => Some(FORGED),
                };
                let body = self.postback(goal, token);
                if goal.after_days > 0 {
                    self.due.push(Due {
                        day: day + goal.after_days,
                        shop,
                        what: What::Postback(goal, body),
                    });
                } else {
                    self.send(day, shop, goal, body).await?;
                }
            }
            (Then::Leaves | Then::Declines, _) => {}
        }
        Ok(())
    }

    fn postback(&mut self, goal: Goal, token: Option<&str>) -> Value {
        self.orders += 1;
        let mut body = json!({
            "order_id": format!("MH-{:05}", self.orders),
            "goal": goal.slug,
            "amount": goal.amount,
            "currency": goal.currency,
            "status": goal.status,
            "customer": if self.orders.is_multiple_of(3) { "returning" } else { "new" },
        });
        for (name, value) in [("token", token), ("consent", goal.consent)] {
            if let Some(value) = value {
                body[name] = Value::from(value);
            }
        }
        body
    }

    /// Sends a postback, perhaps again, and notes what happens to its conversion later.
    async fn send(&mut self, day: u32, shop: Shop, goal: Goal, mut body: Value) -> Result<(), DemoError> {
        let answer = self.call(shop, Method::POST, "/v1/conversions", &body).await?;
        let order = body["order_id"].as_str().unwrap_or_default().to_owned();
        if let (Some(id), true) = (answer["conversion_id"].as_str(), goal.later != Later::Stays) {
            let what = What::Later(goal.later, id.to_owned(), order);
            self.due.push(Due {
                day: day + plan::LATER_DAYS,
                shop,
                what,
            });
        }
        if goal.again == Again::Other {
            body["amount"] = Value::from("1.00");
        }
        if goal.again != Again::Never {
            self.call(shop, Method::POST, "/v1/conversions", &body).await?;
        }
        Ok(())
    }

    async fn settle(&mut self, day: u32, due: Due) -> Result<(), DemoError> {
        let (later, id, order) = match due.what {
            What::Postback(goal, body) => return self.send(day, due.shop, goal, body).await,
            What::Later(later, id, order) => (later, id, order),
        };
        let conversion = format!("/v1/conversions/{id}");
        let (method, path, body) = match later {
            Later::Stays => return Ok(()),
            Later::Confirmed => (Method::PATCH, conversion.as_str(), json!({"status": "confirmed"})),
            Later::Cancelled => (
                Method::PATCH,
                conversion.as_str(),
                json!({"status": "cancelled", "reason": "revoked"}),
            ),
            Later::Withdrawn => (
                Method::POST,
                "/v1/consent-signals",
                json!({"order_id": order, "consent": "denied"}),
            ),
        };
        self.call(due.shop, method, path, &body).await?;
        Ok(())
    }

    /// A call of a shop's server; whatever the verdict is, it is an answer.
    async fn call(&self, shop: Shop, method: Method, path: &str, body: &Value) -> Result<Value, DemoError> {
        let key = match shop {
            Shop::Online => self.keys.shop(),
            Shop::Broker => self.keys.broker(),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .body(Body::from(body.to_string()))?;
        let body = self
            .answer(request)
            .await?
            .into_body()
            .collect()
            .await?
            .to_bytes();
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn answer(&self, request: Request<Body>) -> Result<axum::response::Response, DemoError> {
        let response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status();
        if status.is_server_error()
            || [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS].contains(&status)
        {
            return Err(DemoError::Seed(status));
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_ends_yesterday_and_goes_on_where_it_was() {
        let now_ms = 1_795_555_555_000;
        let progress = Progress::starting(now_ms);
        let last = progress.moment(plan::DAYS - 1, 22, 40);
        assert!(last < now_ms && now_ms - last < 48 * 3_600_000);
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Progress::read(folder.path()).expect("read"), None);
        let begun = Progress { begun: 7, ..progress };
        begun.write(folder.path()).expect("written");
        assert_eq!(Progress::read(folder.path()).expect("read"), Some(begun));
        assert!(
            !begun.is_over()
                && Progress {
                    begun: plan::DAYS,
                    ..begun
                }
                .is_over()
        );
    }
}
