//! Visitors and shops who go on whatever happens, come again where they were told to, and remember what was acknowledged.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::iter;
use reqwest::Client as Http;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::client::query;
use crate::ledger::Reader;
use crate::place::token_in;
use crate::{now, world};

/// Far beyond what anything may take here.
pub const PATIENCE: Duration = Duration::from_mins(2);
/// Clients at a time; each waits for its answer before it asks again.
const CLIENTS: usize = 6;
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// An order and the token that it is sent with.
#[derive(Debug, Clone)]
pub struct Order {
    pub token: String,
    pub name: String,
    /// Once it is acknowledged.
    pub conversion: String,
}

/// What the clients were told.
#[derive(Debug, Default)]
pub struct Known {
    /// Tokens that no order was sent with.
    pub unused: Vec<String>,
    pub orders: Vec<Order>,
    /// Orders that were not acknowledged yet.
    pub owed: Vec<Order>,
    /// Redirects with a token.
    pub clicks: usize,
    /// Redirects without one, though the visitor agreed.
    pub plain: usize,
    /// Clicks that a node which was gone did not take, and that were sent to the next one.
    pub moved: usize,
    /// Clicks that a node took and did not answer.
    pub cut: usize,
    /// Postbacks that were told to come again.
    pub later: usize,
    /// Whatever should not have been answered.
    pub faults: Vec<String>,
    pub slowest_click: Duration,
}

impl Known {
    pub fn add(&mut self, other: Known) {
        self.unused.extend(other.unused);
        self.orders.extend(other.orders);
        self.owed.extend(other.owed);
        self.clicks += other.clicks;
        self.plain += other.plain;
        self.moved += other.moved;
        self.cut += other.cut;
        self.later += other.later;
        self.faults.extend(other.faults);
        self.slowest_click = self.slowest_click.max(other.slowest_click);
    }
}

/// What clients and the test share.
pub struct Shared {
    /// Where the nodes listen now.
    nodes: RwLock<Vec<String>>,
    over: AtomicBool,
    /// Acknowledged clicks and orders.
    acknowledged: AtomicUsize,
    /// Postbacks that were told to come again.
    turned_away: AtomicUsize,
    wanted: Mutex<Option<(bool, usize)>>,
    reached: Notify,
    /// When an order was recorded for the first time after somebody asked for it.
    recorded: Mutex<Option<Instant>>,
    recording: Notify,
}

/// Clients at work.
pub struct Load {
    pub shared: Arc<Shared>,
    clients: Vec<JoinHandle<Known>>,
}

impl Shared {
    fn node(&self, turn: usize) -> String {
        let nodes = self.nodes.read().expect("not poisoned");
        nodes[turn % nodes.len()].clone()
    }

    /// A node listens here from now on.
    pub fn up(&self, url: &str) {
        self.nodes.write().expect("not poisoned").push(url.to_owned());
    }

    /// A node is gone.
    pub fn down(&self, url: &str) {
        self.nodes.write().expect("not poisoned").retain(|one| one != url);
    }

    fn count(&self, good: bool) {
        let counter = if good {
            &self.acknowledged
        } else {
            &self.turned_away
        };
        let count = counter.fetch_add(1, Ordering::SeqCst) + 1;
        let mut wanted = self.wanted.lock().expect("not poisoned");
        if wanted.is_some_and(|(of, enough)| of == good && count >= enough) {
            *wanted = None;
            self.reached.notify_one();
        }
    }

    /// Waits for so many more acknowledgements, or answers that are none.
    pub async fn wait_for(&self, good: bool, more: usize) {
        let counter = if good {
            &self.acknowledged
        } else {
            &self.turned_away
        };
        let enough = counter.load(Ordering::SeqCst) + more;
        *self.wanted.lock().expect("not poisoned") = Some((good, enough));
        let reached = tokio::time::timeout(PATIENCE, self.reached.notified()).await;
        assert!(reached.is_ok(), "{more} more (acknowledged: {good}) never came");
    }

    /// The moment of the next recorded order.
    pub async fn next_recorded(&self) -> Instant {
        *self.recorded.lock().expect("not poisoned") = None;
        loop {
            let notified = self.recording.notified();
            if let Some(at) = *self.recorded.lock().expect("not poisoned") {
                return at;
            }
            let recorded = tokio::time::timeout(PATIENCE, notified).await;
            assert!(recorded.is_ok(), "nothing is recorded any more");
        }
    }
}

/// A client that follows nobody and gives up at some time.
pub fn http() -> Http {
    let builder = Http::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    builder
        .timeout(Duration::from_secs(30))
        .build()
        .expect("a client")
}

impl Load {
    /// Starts clients of these nodes.
    pub fn start(nodes: &[&str]) -> Self {
        let shared = Arc::new(Shared {
            nodes: RwLock::new(nodes.iter().map(|url| (*url).to_owned()).collect()),
            over: AtomicBool::new(false),
            acknowledged: AtomicUsize::new(0),
            turned_away: AtomicUsize::new(0),
            wanted: Mutex::default(),
            reached: Notify::new(),
            recorded: Mutex::default(),
            recording: Notify::new(),
        });
        let http = http();
        let clients = (0..CLIENTS).map(|number| {
            let client = Client {
                http: http.clone(),
                shared: Arc::clone(&shared),
                turn: number,
                known: Known::default(),
            };
            tokio::spawn(client.run())
        });
        Self {
            clients: clients.collect(),
            shared,
        }
    }

    /// Lets every client end what it does; returns what they know.
    pub async fn stop(self) -> Known {
        self.shared.over.store(true, Ordering::SeqCst);
        let mut known = Known::default();
        for client in self.clients {
            known.add(client.await.expect("a client"));
        }
        known
    }
}

struct Client {
    http: Http,
    shared: Arc<Shared>,
    turn: usize,
    known: Known,
}

impl Client {
    /// Every second visitor orders; where visitors are not tracked, those of before do.
    async fn run(mut self) -> Known {
        for turn in 0_usize.. {
            if self.shared.over.load(Ordering::SeqCst) {
                break;
            }
            self.turn += 1;
            let token = match self.click().await {
                Some(token) if turn % 2 == 1 => {
                    self.known.unused.push(token);
                    None
                }
                Some(token) => Some(token),
                None => self.known.unused.pop(),
            };
            if let Some(token) = token {
                let (name, conversion) = (named("L", &token), String::new());
                self.known.owed.push(Order {
                    token,
                    name,
                    conversion,
                });
            }
            if let Some(order) = self.known.owed.pop()
                && !self.order(order).await
            {
                // It was told to come again in a while, and does not come at once.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        self.known
    }

    async fn click(&mut self) -> Option<String> {
        let began = now();
        loop {
            let url = format!("{}/c/Ab3xK9?consent=granted", self.shared.node(self.turn));
            let answer = match self.http.get(url).header("user-agent", BROWSER).send().await {
                Ok(answer) => answer,
                Err(error) => {
                    // As a balancer does: the next node.
                    self.turn += 1;
                    if error.is_connect() {
                        self.known.moved += 1;
                    } else {
                        self.known.cut += 1;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
            };
            self.known.slowest_click = self.known.slowest_click.max(began.elapsed());
            let status = answer.status().as_u16();
            let location = answer
                .headers()
                .get("location")
                .and_then(|value| value.to_str().ok());
            let Some(location) = location.filter(|_| status == 302) else {
                self.known.faults.push(format!("a click: {status}"));
                return None;
            };
            let token = token_in(location);
            if token.is_some() {
                self.known.clicks += 1;
                self.shared.count(true);
            } else {
                self.known.plain += 1;
            }
            return token;
        }
    }

    /// Whether it was acknowledged; if not, it is owed.
    async fn order(&mut self, mut order: Order) -> bool {
        let url = format!(
            "{}{}",
            self.shared.node(self.turn),
            postback(&order.token, &order.name)
        );
        let Some((status, waits, verdict)) = ask(&self.http, &url).await else {
            self.turn += 1;
            self.known.owed.push(order);
            return false;
        };
        let outcome = verdict["outcome"].as_str().unwrap_or_default();
        if status == 200 && ["recorded", "duplicate"].contains(&outcome) {
            verdict["conversion_id"]
                .as_str()
                .unwrap_or_default()
                .clone_into(&mut order.conversion);
            if outcome == "recorded" {
                let mut recorded = self.shared.recorded.lock().expect("not poisoned");
                recorded.get_or_insert_with(now);
                drop(recorded);
                self.shared.recording.notify_waiters();
            }
            self.known.orders.push(order);
            self.shared.count(true);
            return true;
        }
        if status == 503 && waits {
            self.known.later += 1;
            self.shared.count(false);
        } else {
            self.known.faults.push(format!("a postback: {status}, {verdict}"));
        }
        self.known.owed.push(order);
        false
    }
}

/// Status, whether it says when to come again, and the body.
async fn ask(http: &Http, url: &str) -> Option<(u16, bool, Value)> {
    let answer = http.get(url).bearer_auth(world::SHOP).send().await.ok()?;
    let waits = answer
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok());
    let waits = waits.is_some_and(|value| value.parse::<u32>().is_ok_and(|seconds| seconds > 0));
    let status = answer.status().as_u16();
    let body = answer.bytes().await.ok()?;
    Some((status, waits, serde_json::from_slice(&body).ok()?))
}

/// A name that no other token's order has.
fn named(prefix: &str, token: &str) -> String {
    let tail: String = token.chars().rev().take(20).collect();
    format!("{prefix}-{tail}")
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

/// Settles what is owed, then holds the database against everything that was acknowledged: every order is sent again and
/// has to be a duplicate of what it was, every token that is left has to be good for an order.
pub async fn settle(base: &str, known: &mut Known, ledger: &Reader) {
    assert!(known.faults.is_empty(), "{:#?}", known.faults);
    let http = http();
    let mut owed = std::mem::take(&mut known.owed);
    let unused = std::mem::take(&mut known.unused);
    let late = unused.into_iter().map(|token| Order {
        name: named("late", &token),
        token,
        conversion: String::new(),
    });
    owed.extend(late);
    let settled = iter(owed)
        .map(|order| resend(&http, base, order))
        .buffer_unordered(8);
    known.orders.extend(settled.collect::<Vec<_>>().await);
    let again = iter(known.orders.clone())
        .map(|order| resend(&http, base, order))
        .buffer_unordered(8);
    again.collect::<Vec<_>>().await;
    check_rows(known, ledger).await;
}

/// Sends an order until it is acknowledged: as what it was, if it was before.
async fn resend(http: &Http, base: &str, mut order: Order) -> Order {
    let url = format!("{base}{}", postback(&order.token, &order.name));
    let ended = tokio::time::timeout(PATIENCE, async {
        loop {
            match ask(http, &url).await {
                Some((200, _, verdict)) => return verdict,
                Some((503, true, _)) => tokio::time::sleep(Duration::from_millis(50)).await,
                other => panic!("an acknowledged click or order is missing: {other:?}"),
            }
        }
    });
    let verdict = ended.await.expect("an answer");
    let conversion = verdict["conversion_id"].as_str().expect("an id").to_owned();
    if !order.conversion.is_empty() {
        assert_eq!(
            verdict["outcome"], "duplicate",
            "{} is missing: {verdict}",
            order.name
        );
        assert_eq!(conversion, order.conversion, "{}", order.name);
    }
    order.conversion = conversion;
    order
}

/// Each order once, each acknowledged click once, and every table tells the same story.
async fn check_rows(known: &Known, ledger: &Reader) {
    let count = |rows: i64| usize::try_from(rows).expect("a count");
    let conversions = ledger.count("conversion", "click_id IS NOT NULL").await;
    let ids: HashSet<&str> = known
        .orders
        .iter()
        .map(|order| order.conversion.as_str())
        .collect();
    assert_eq!(
        ids.len(),
        known.orders.len(),
        "each order has a conversion of its own"
    );
    assert_eq!(count(conversions), known.orders.len(), "each order once");
    assert_eq!(ledger.count("order_key", "1 = 1").await, conversions);
    let clicks = ledger.count("click", "1 = 1").await;
    let most = known.clicks + known.plain + known.cut;
    assert!(
        (known.clicks..=most).contains(&count(clicks)),
        "{clicks} clicks, {} acknowledged, {most} at most",
        known.clicks
    );
    assert_eq!(ledger.count("click_salt", "1 = 1").await, clicks);
    for (outcome, rows) in [("click", clicks), ("confirmed", conversions)] {
        let counted = ledger
            .events("stat_hour", &format!("outcome = '{outcome}'"))
            .await;
        assert_eq!(counted, rows, "{outcome}");
    }
    let provable = "SELECT COALESCE(SUM(LENGTH(hashes)), 0) / 32 FROM audit_entry";
    assert_eq!(ledger.number(provable).await, clicks, "every click is in a leaf");
}
