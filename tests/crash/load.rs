//! Clients that remember what was acknowledged, and what was not yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::{Method, Response};
use serde_json::Value;
use tokio::sync::Notify;

use crate::client::{Caller, query};
use crate::ledger::Reader;
use crate::place::{Server, token_in};
use crate::world;

/// Clients at a time; each waits for its answer before it asks again.
const CLIENTS: usize = 8;

/// An order that was recorded.
pub struct Order {
    pub token: String,
    pub name: String,
    pub conversion: String,
}

/// What a client knows of the ledger.
#[derive(Default)]
pub struct Known {
    /// Clicks whose redirect came with a token.
    pub clicks: usize,
    /// Tokens that no order was sent with.
    pub unused: Vec<String>,
    /// Orders whose verdict came.
    pub orders: Vec<Order>,
    /// Declined clicks whose redirect came.
    pub untracked: usize,
    /// Repeats whose verdict came.
    pub repeats: usize,
    /// Whatever was on its way.
    pub open_clicks: usize,
    pub open_orders: Vec<(String, String)>,
    pub open_untracked: usize,
}

impl Known {
    pub fn acknowledged(&self) -> usize {
        self.clicks + self.orders.len() + self.untracked + self.repeats
    }

    pub fn add(&mut self, other: Known) {
        self.clicks += other.clicks;
        self.unused.extend(other.unused);
        self.orders.extend(other.orders);
        self.untracked += other.untracked;
        self.repeats += other.repeats;
        self.open_clicks += other.open_clicks;
        self.open_orders.extend(other.open_orders);
        self.open_untracked += other.open_untracked;
    }

    /// Clicks that were on their way have come or not; from here on that is known, too.
    pub async fn settle(&mut self, ledger: &Reader) {
        let count = |rows: i64| usize::try_from(rows).expect("a count");
        self.clicks = count(ledger.count("click", "1 = 1").await);
        self.untracked = count(ledger.events("stat_untracked", "1 = 1").await);
        (self.open_clicks, self.open_untracked) = (0, 0);
    }
}

/// Counts acknowledgements and tells when there are enough.
struct Counter {
    acknowledged: AtomicUsize,
    enough: usize,
    reached: Notify,
}

impl Counter {
    fn acknowledge(&self) {
        if self.acknowledged.fetch_add(1, Ordering::SeqCst) + 1 == self.enough {
            self.reached.notify_one();
        }
    }
}

/// The target of an order's postback.
pub fn postback(token: &str, order: &str) -> String {
    let pairs = [
        ("token", token),
        ("order_id", order),
        ("amount", "49.90"),
        ("consent", "granted"),
    ];
    format!("/postback?{}", query(&pairs))
}

/// Loads the server until so many requests were acknowledged, kills it, and returns what the clients know.
pub async fn until(server: Server, round: usize, enough: usize) -> Known {
    let counter = Arc::new(Counter {
        acknowledged: AtomicUsize::new(0),
        enough,
        reached: Notify::new(),
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let client = Client {
                visitor: server.visitor(),
                shop: server.holder(world::SHOP),
                name: format!("{round}-{number}"),
                counter: Arc::clone(&counter),
                known: Known::default(),
            };
            tokio::spawn(client.run())
        })
        .collect();
    counter.reached.notified().await;
    server.kill();
    let mut known = Known::default();
    for client in clients {
        known.add(client.await.expect("a client"));
    }
    known
}

struct Client {
    visitor: Caller,
    shop: Caller,
    name: String,
    counter: Arc<Counter>,
    known: Known,
}

impl Client {
    /// Until the server is gone. Every third visitor declines, every second one who agreed orders, every fourth order is
    /// sent twice.
    async fn run(mut self) -> Known {
        for turn in 0_usize.. {
            let going_on = match turn % 3 {
                0 => self.decline().await,
                _ => self.click(turn).await,
            };
            if going_on.is_none() {
                break;
            }
        }
        self.known
    }

    /// An answer, read to its end, or none: the server was killed before it was complete.
    async fn ask(&self, caller: &Caller, target: &str) -> Option<(u16, String, Vec<u8>)> {
        let response: Response = caller.request(Method::GET, target).send().await.ok()?;
        let location = response.headers().get("location");
        let location = location
            .map(|value| value.to_str().expect("text").to_owned())
            .unwrap_or_default();
        let status = response.status().as_u16();
        let body = response.bytes().await.ok()?.to_vec();
        self.counter.acknowledge();
        Some((status, location, body))
    }

    async fn decline(&mut self) -> Option<()> {
        self.known.open_untracked += 1;
        let (status, location, _) = self.ask(&self.visitor, "/c/Ab3xK9?consent=denied").await?;
        assert_eq!((status, token_in(&location)), (302, None));
        self.known.open_untracked -= 1;
        self.known.untracked += 1;
        Some(())
    }

    async fn click(&mut self, turn: usize) -> Option<()> {
        self.known.open_clicks += 1;
        let (_, location, _) = self.ask(&self.visitor, "/c/Ab3xK9?consent=granted").await?;
        let token = token_in(&location).expect("a token");
        self.known.open_clicks -= 1;
        self.known.clicks += 1;
        if turn.is_multiple_of(2) {
            self.known.unused.push(token);
            return Some(());
        }
        let order = format!("A-{}-{turn}", self.name);
        let conversion = self.order(&token, &order, "recorded").await?;
        if turn % 4 == 1 {
            let again = self.order(&token, &order, "duplicate").await?;
            assert_eq!(again, conversion);
        }
        Some(())
    }

    async fn order(&mut self, token: &str, order: &str, outcome: &str) -> Option<String> {
        let is_first = outcome == "recorded";
        if is_first {
            self.known.open_orders.push((token.to_owned(), order.to_owned()));
        }
        let (_, _, body) = self.ask(&self.shop, &postback(token, order)).await?;
        let verdict: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(verdict["outcome"], outcome, "{verdict}");
        let conversion = verdict["conversion_id"].as_str().expect("an id").to_owned();
        if is_first {
            self.known.open_orders.pop();
            let (token, name) = (token.to_owned(), order.to_owned());
            self.known.orders.push(Order {
                token,
                name,
                conversion: conversion.clone(),
            });
        } else {
            self.known.repeats += 1;
        }
        Some(conversion)
    }
}
