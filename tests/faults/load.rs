//! A steady load of clicks and postbacks, by clients that remember what they were told.
//!
//! A shop that is told to come again comes again with the same order, as real ones do. What is not right is noted and not
//! panicked about, so that a run ends and says all of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::HeaderMap;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::client::{Answer, Caller, query};
use crate::site::Server;
use crate::{contract, world};

/// Clients at a time; each waits for its answer before it asks again.
const CLIENTS: usize = 6;
/// How long a client of the steady load rests between two rounds.
const REST: Duration = Duration::from_millis(10);
/// Tokens that a client keeps for the fault, in which none come.
const RESERVE: usize = 2;
/// An answer that took longer than this is a request that hung: the ledger gives up after five seconds.
const HANG: Duration = Duration::from_secs(12);
/// How long a test waits for the load to show something.
const PATIENCE: Duration = Duration::from_secs(30);
/// As many faults as are shown.
const SHOWN: usize = 5;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Before,
    During,
    After,
}

/// What the clients know.
#[derive(Default)]
pub struct Known {
    /// Answers by what was asked and when, as in `click During 302 token`.
    pub answers: BTreeMap<(&'static str, Phase, String), usize>,
    /// Clicks whose redirect came with a token.
    pub tokens: usize,
    /// Visitors who agreed and were sent on without one.
    pub plain: usize,
    /// Visitors who agreed and heard nothing.
    pub unheard: usize,
    /// Visitors who declined, and those of them who heard nothing.
    pub declined: usize,
    pub unheard_declined: usize,
    /// Conversions by their orders.
    pub orders: BTreeMap<String, String>,
    /// Orders whose outcome is not known, with their tokens.
    pub open: Vec<(String, String)>,
    /// From the end of the fault to the first order that was recorded.
    pub back_after: Option<Duration>,
    /// What should not have happened.
    pub wrong: Vec<String>,
}

impl Known {
    /// How many answers there were of a kind in a phase.
    pub fn count(&self, kind: &str, phase: Phase, outcome: &str) -> usize {
        let of = |(key, count): (&(&str, Phase, String), &usize)| {
            (key.0 == kind && key.1 == phase && key.2 == outcome).then_some(*count)
        };
        self.answers.iter().filter_map(of).sum()
    }

    /// The answers, a line for each kind and phase.
    pub fn figures(&self) -> String {
        let mut lines: BTreeMap<(&str, Phase), String> = BTreeMap::new();
        for ((kind, phase, outcome), count) in &self.answers {
            let line = lines.entry((kind, *phase)).or_default();
            let _ = write!(line, "  {outcome}: {count}");
        }
        let mut text = String::new();
        for ((kind, phase), line) in lines {
            let _ = writeln!(text, "  {kind:<9}{phase:<7}{line}", phase = format!("{phase:?}"));
        }
        text
    }
}

struct Course {
    phase: Mutex<(Phase, Instant, bool)>,
    known: Mutex<Known>,
    changed: Notify,
}

impl Course {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The phase, since when, and whether the run goes on.
    fn now(&self) -> (Phase, Instant, bool) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, kind: &'static str, phase: Phase, outcome: &str, change: impl FnOnce(&mut Known)) {
        let mut known = self.known();
        *known
            .answers
            .entry((kind, phase, outcome.to_owned()))
            .or_default() += 1;
        change(&mut known);
        drop(known);
        self.changed.notify_waiters();
    }
}

/// A load under way.
pub struct Load {
    course: Arc<Course>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts it, and waits until all is well: clicks tracked and orders recorded.
    pub async fn start(server: &Server) -> Self {
        let course = Arc::new(Course {
            phase: Mutex::new((Phase::Before, Instant::now(), true)),
            known: Mutex::default(),
            changed: Notify::new(),
        });
        let mut load = Self {
            course,
            clients: Vec::new(),
        };
        load.add(server, CLIENTS, Some(REST));
        load.until("clicks and orders before the fault", |known| {
            known.count("click", Phase::Before, TOKEN) >= 40
                && known.count("postback", Phase::Before, RECORDED) >= 40
        })
        .await;
        load
    }

    /// More clients, which rest for so long between two rounds; those that do not rest go when the fault ends.
    pub fn add(&mut self, server: &Server, clients: usize, rest: Option<Duration>) {
        for _ in 0..clients {
            let client = Client {
                visitor: server.visitor(),
                shop: server.holder(world::SHOP),
                number: self.clients.len(),
                rest,
                course: Arc::clone(&self.course),
                tokens: Vec::new(),
                open: None,
                made: 0,
                in_need: false,
            };
            self.clients.push(tokio::spawn(client.run()));
        }
    }

    fn enter(&self, phase: Phase, goes_on: bool) {
        *self.course.phase.lock().unwrap_or_else(PoisonError::into_inner) = (phase, Instant::now(), goes_on);
    }

    /// The fault is there from now on.
    pub fn fault_begins(&self) {
        self.enter(Phase::During, true);
    }

    /// The fault is gone from now on.
    pub fn fault_ends(&self) {
        self.enter(Phase::After, true);
    }

    /// Waits until the clients know something.
    pub async fn until(&self, what: &str, is_enough: impl Fn(&Known) -> bool) {
        let waiting = async {
            loop {
                let changed = self.course.changed.notified();
                if is_enough(&self.course.known()) {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            let known = self.course.known();
            panic!(
                "{what}: not in {PATIENCE:?}; {:?}\n{}",
                known.wrong,
                known.figures()
            );
        }
    }

    /// Waits until all is well again, ends the load and settles what is open; returns what is known then.
    pub async fn finish(mut self, server: &Server) -> Known {
        self.until("clicks and orders after the fault", |known| {
            known.count("click", Phase::After, TOKEN) >= 20
                && known.count("postback", Phase::After, RECORDED) >= 20
        })
        .await;
        self.enter(Phase::After, false);
        for client in self.clients.drain(..) {
            client.await.expect("a client");
        }
        let mut known = std::mem::take(&mut *self.course.known());
        let shop = server.holder(world::SHOP);
        for (order, token) in std::mem::take(&mut known.open) {
            let answer = shop.get(&postback(&token, &order)).await;
            let outcome = answer.member("outcome");
            assert!(
                matches!(outcome.as_str(), RECORDED | DUPLICATE),
                "{}",
                answer.text()
            );
            known.orders.insert(order, answer.member("conversion_id"));
        }
        let shown = &known.wrong[..known.wrong.len().min(SHOWN)];
        assert!(
            shown.is_empty(),
            "{} times wrong, as {shown:#?}\n{}",
            known.wrong.len(),
            known.figures()
        );
        known
    }
}

/// What clicks and postbacks come to.
pub const TOKEN: &str = "302 token";
pub const PLAIN: &str = "302 plain";
pub const RECORDED: &str = "recorded";
pub const DUPLICATE: &str = "duplicate";
pub const LATER: &str = "503";
pub const NOTHING: &str = "no answer";

/// The target of an order's postback.
fn postback(token: &str, order: &str) -> String {
    let pairs = [
        ("token", token),
        ("order_id", order),
        ("amount", "49.90"),
        ("consent", "granted"),
    ];
    format!("/postback?{}", query(&pairs))
}

struct Client {
    visitor: Caller,
    shop: Caller,
    number: usize,
    rest: Option<Duration>,
    course: Arc<Course>,
    /// Tokens that no order was sent with.
    tokens: Vec<String>,
    /// An order whose outcome is not known.
    open: Option<(String, String)>,
    made: usize,
    /// The last visitor who agreed brought no token.
    in_need: bool,
}

impl Client {
    /// Every third visitor declines; every round the shop sends an order, or the open one again.
    async fn run(mut self) {
        let mut turn = self.number;
        loop {
            let (phase, _, goes_on) = self.course.now();
            if !goes_on || (self.rest.is_none() && phase == Phase::After) {
                break;
            }
            turn += 1;
            let declines = turn.is_multiple_of(3);
            self.click(declines).await;
            self.order().await;
            if let Some(rest) = self.rest {
                tokio::time::sleep(rest).await;
            }
        }
        self.course.known().open.extend(self.open);
    }

    /// The answer, or none where the connection gave none. One that hangs is wrong.
    async fn ask(&self, caller: &Caller, target: &str) -> Option<Answer> {
        let request = caller.request(Method::GET, target).timeout(HANG);
        let answered = async {
            let response = request.send().await?;
            let (status, headers): (u16, HeaderMap) =
                (response.status().as_u16(), response.headers().clone());
            Ok::<Answer, reqwest::Error>(Answer::new(status, headers, response.bytes().await?.to_vec()))
        };
        match answered.await {
            Ok(answer) => Some(answer),
            Err(error) => {
                if error.is_timeout() {
                    self.course
                        .known()
                        .wrong
                        .push(format!("a request hung: {error:?}"));
                }
                None
            }
        }
    }

    async fn click(&mut self, declines: bool) {
        let (phase, ..) = self.course.now();
        let consent = if declines { "denied" } else { "granted" };
        let answer = self
            .ask(&self.visitor, &format!("/c/Ab3xK9?consent={consent}"))
            .await;
        let kind = if declines { "declined" } else { "click" };
        let Some(answer) = answer else {
            return self.course.note(kind, phase, NOTHING, |known| {
                *(if declines {
                    &mut known.unheard_declined
                } else {
                    &mut known.unheard
                }) += 1;
            });
        };
        let location = answer.header("location").unwrap_or_default();
        let right = answer.status == 302 && location.starts_with("https://shop.example/landing?");
        let token = right.then(|| token_in(location)).flatten();
        let outcome = match (right, &token) {
            (true, Some(_)) => TOKEN,
            (true, None) => PLAIN,
            _ => "wrong",
        };
        self.course.note(kind, phase, outcome, |known| {
            if !right || (declines && token.is_some()) {
                known
                    .wrong
                    .push(format!("{kind}: {} {location:?}", answer.status));
            }
            *match (declines, &token) {
                (true, _) => &mut known.declined,
                (false, Some(_)) => &mut known.tokens,
                (false, None) => &mut known.plain,
            } += 1;
        });
        if !declines {
            self.in_need = token.is_none();
        }
        self.tokens.extend(token);
    }

    async fn order(&mut self) {
        let again = self.open.is_some();
        // While tokens come some are kept, for when none do.
        let reserve = if self.in_need { 0 } else { RESERVE };
        let next = self.open.take().or_else(|| {
            if self.tokens.len() <= reserve {
                return None;
            }
            self.made += 1;
            Some((format!("A-{}-{}", self.number, self.made), self.tokens.pop()?))
        });
        let Some((order, token)) = next else { return };
        let (phase, since, _) = self.course.now();
        let Some(answer) = self.ask(&self.shop, &postback(&token, &order)).await else {
            self.open = Some((order, token));
            return self.course.note("postback", phase, NOTHING, |_| {});
        };
        if answer.status == 503 {
            contract::check("GET", "/postback", &answer);
            let wait = answer.header("retry-after").and_then(|wait| wait.parse().ok());
            let right = wait.is_some_and(|seconds: u32| seconds >= 1) && answer.reason() == "unavailable";
            self.open = Some((order, token));
            return self.course.note("postback", phase, LATER, |known| {
                if !right {
                    known.wrong.push(format!(
                        "503 without a word when to come again: {}",
                        answer.text()
                    ));
                }
            });
        }
        let outcome = answer.member("outcome");
        let right = answer.status == 200 && (outcome == RECORDED || (again && outcome == DUPLICATE));
        self.course.note(
            "postback",
            phase,
            if right { &outcome } else { "wrong" },
            |known| {
                if !right {
                    known
                        .wrong
                        .push(format!("postback: {} {}", answer.status, answer.text()));
                }
                if phase == Phase::After && outcome == RECORDED {
                    known.back_after.get_or_insert_with(|| since.elapsed());
                }
                known.orders.insert(order, answer.member("conversion_id"));
            },
        );
    }
}

/// The token in the address of a landing page.
fn token_in(location: &str) -> Option<String> {
    let page = url::Url::parse(location).ok()?;
    let mut pairs = page.query_pairs();
    let token = pairs.find(|(name, _)| name == "s2s");
    token.map(|(_, value)| value.into_owned())
}
