//! The load generator: a fixed number of kept-alive connections, each with one request under way.
//!
//! Every answer is checked, so that a rate counts only what the server promised to have stored: a click's redirect must
//! carry a token, a postback's verdict must be `recorded`. One answer that is anything else ends the run. Requests are
//! written and answers read by hand: a client library would take a larger share of the machine than the server.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::answer::{Head, contains, token};
use super::report::real;
use crate::domain::token::TOKEN_CHARS;

/// How long a round may take beyond its time until it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(30);
/// A browser's, since its classification is part of a click's price.
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// Why a round does not count.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The connection broke.
    #[error("a connection to the server under test failed: {0}")]
    Connection(#[from] std::io::Error),
    /// The server ended it.
    #[error("the server under test closed a connection")]
    Closed,
    /// An answer that is not HTTP.
    #[error("an answer of the server under test cannot be read")]
    Unreadable,
    /// An answer that promises nothing.
    #[error("a {what} was answered with status {status} and without what it had to carry")]
    Wrong {
        /// What was sent.
        what: &'static str,
        /// The status of the answer.
        status: u16,
    },
    /// There was nothing to send.
    #[error("there are no clicks that postbacks could name")]
    NoTokens,
    /// The server does not answer any more.
    #[error("the server under test hangs")]
    Hangs,
    /// A task of the generator ended badly.
    #[error("a task of the load generator ended badly")]
    Task,
}

/// What is sent.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Clicks whose answer is any 302.
    Bare,
    /// Clicks that must be tracked.
    Click {
        /// What they say about consent, as the beginning of a query.
        signals: Arc<str>,
    },
    /// Postbacks that must be recorded, each with an order of its own.
    Postback {
        /// The shop's API key.
        key: String,
        /// The tokens of earlier clicks.
        tokens: Tokens,
    },
    /// Postbacks that were sent before, each of which must be answered as a duplicate.
    Duplicate {
        /// The shop's API key.
        key: String,
        /// The tokens they were sent with.
        tokens: Tokens,
        /// How many each connection had answered.
        turns: Arc<Vec<usize>>,
    },
    /// Postbacks that are only tried: looked up and decided, and nothing is written.
    Trial {
        /// The shop's API key.
        key: String,
        /// The tokens of earlier clicks.
        tokens: Tokens,
    },
}

impl Kind {
    fn what(&self) -> &'static str {
        match self {
            Kind::Bare => "bare request",
            Kind::Click { .. } => "click",
            Kind::Postback { .. } => "postback",
            Kind::Duplicate { .. } => "duplicate",
            Kind::Trial { .. } => "trial postback",
        }
    }
}

/// Tokens, one after another in one buffer.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Arc<Vec<u8>>);

impl Tokens {
    /// Both lists, in turns of one token each as far as both go: neighbours are then of different ages.
    pub fn mixed_with(&self, other: &Tokens) -> Tokens {
        let mut mixed = Vec::with_capacity(self.0.len() + other.0.len());
        for place in 0..self.count().max(other.count()) {
            for tokens in [self, other] {
                let from = place * TOKEN_CHARS;
                mixed.extend_from_slice(tokens.0.get(from..from + TOKEN_CHARS).unwrap_or_default());
            }
        }
        Tokens(Arc::new(mixed))
    }

    fn count(&self) -> usize {
        self.0.len() / TOKEN_CHARS
    }

    /// The token at a place; after the last comes the first again.
    fn get(&self, place: usize) -> Option<&[u8]> {
        let from = place.checked_rem(self.count())? * TOKEN_CHARS;
        self.0.get(from..from + TOKEN_CHARS)
    }
}

/// One round.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to.
    pub address: SocketAddr,
    /// How many connections.
    pub connections: usize,
    /// For how long.
    pub duration: Duration,
    /// What is sent.
    pub kind: Kind,
    /// At most so many requests on each connection.
    pub turns: usize,
    /// Tokens that each connection keeps at most.
    pub keep_tokens: usize,
    /// The links in clicks, in turn.
    pub links: Arc<Vec<String>>,
    /// Makes sub-ids and orders of this round different from every other's.
    pub name: String,
}

/// What came of a round.
#[derive(Debug, Default)]
pub struct Fired {
    /// Requests that were answered as they had to be.
    pub acknowledged: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// The time of each answer in microseconds, sorted.
    pub latencies_us: Vec<u32>,
    /// The tokens that came, for postbacks.
    pub tokens: Tokens,
    /// How many answers each connection had.
    pub turns: Vec<usize>,
    /// What made sub-ids and orders of this round different.
    pub name: String,
}

impl Fired {
    /// Answers per second.
    pub fn per_second(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 {
            real(self.acknowledged) / seconds
        } else {
            0.0
        }
    }

    /// The time within which this share of the answers came, in milliseconds.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        let last = real(self.acknowledged.saturating_sub(1));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in a list, from 0 to its end"
        )]
        let place = (last * share).round() as usize;
        self.latencies_us
            .get(place)
            .map_or(0.0, |us| f64::from(*us) / 1_000.0)
    }
}

#[expect(clippy::disallowed_methods, reason = "measuring is what this is for")]
fn now() -> Instant {
    Instant::now()
}

/// Fires one round and waits for every answer.
pub async fn fire(plan: Plan) -> Result<Fired, LoadError> {
    let (plan_connections, name) = (plan.connections, plan.name.clone());
    let plan = Arc::new(plan);
    let mut streams = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        let stream = TcpStream::connect(plan.address).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let begin = now();
    let mut tasks = JoinSet::new();
    for (number, stream) in streams.into_iter().enumerate() {
        tasks.spawn(Connection::new(Arc::clone(&plan), number, stream, begin).run());
    }
    let gathering = async {
        let mut all = Fired {
            turns: vec![0; plan_connections],
            name,
            ..Fired::default()
        };
        let mut tokens = Vec::new();
        while let Some(joined) = tasks.join_next().await {
            let one = joined.map_err(|_| LoadError::Task)??;
            if let Some(turns) = all.turns.get_mut(one.number) {
                *turns = one.latencies_us.len();
            }
            all.latencies_us.extend(one.latencies_us);
            tokens.extend(one.tokens);
        }
        all.tokens = Tokens(Arc::new(tokens));
        Ok::<_, LoadError>(all)
    };
    let gathered = tokio::time::timeout(plan.duration + PATIENCE, gathering).await;
    let mut all = gathered.map_err(|_| LoadError::Hangs)??;
    all.elapsed = begin.elapsed();
    all.acknowledged = all.latencies_us.len() as u64;
    all.latencies_us.sort_unstable();
    Ok(all)
}

/// What one connection saw.
#[derive(Default)]
struct Tally {
    number: usize,
    latencies_us: Vec<u32>,
    tokens: Vec<u8>,
}

struct Connection {
    plan: Arc<Plan>,
    number: usize,
    stream: TcpStream,
    end: Instant,
    request: Vec<u8>,
    body: Vec<u8>,
    answer: Vec<u8>,
    tally: Tally,
}

impl Connection {
    fn new(plan: Arc<Plan>, number: usize, stream: TcpStream, begin: Instant) -> Self {
        let end = begin + plan.duration;
        let buffer = || Vec::with_capacity(2_048);
        Self {
            plan,
            number,
            stream,
            end,
            request: buffer(),
            body: buffer(),
            answer: buffer(),
            tally: Tally {
                number,
                ..Tally::default()
            },
        }
    }

    async fn run(mut self) -> Result<Tally, LoadError> {
        let mut sent_at = now();
        for turn in 0..self.plan.turns {
            self.write(turn)?;
            self.stream.write_all(&self.request).await?;
            self.read().await?;
            let answered_at = now();
            let taken = answered_at.duration_since(sent_at).as_micros();
            self.tally
                .latencies_us
                .push(u32::try_from(taken).unwrap_or(u32::MAX));
            if answered_at >= self.end {
                break;
            }
            sent_at = answered_at;
        }
        Ok(self.tally)
    }

    /// Writes the request of this turn.
    fn write(&mut self, turn: usize) -> Result<(), LoadError> {
        let Self {
            plan,
            number,
            request,
            body,
            ..
        } = self;
        request.clear();
        let (key, tokens, turn, more) = match &plan.kind {
            Kind::Bare => return click(request, plan, *number, turn, "consent=granted"),
            Kind::Click { signals } => return click(request, plan, *number, turn, signals),
            Kind::Postback { key, tokens } => (key, tokens, turn, ""),
            Kind::Trial { key, tokens } => (key, tokens, turn, ",\"dry_run\":true"),
            Kind::Duplicate { key, tokens, turns } => {
                let sent = turns.get(*number).copied().unwrap_or(0).max(1);
                (key, tokens, turn % sent, "")
            }
        };
        let token = tokens
            .get(*number + turn * plan.connections)
            .ok_or(LoadError::NoTokens)?;
        body.clear();
        body.extend_from_slice(b"{\"token\":\"");
        body.extend_from_slice(token);
        write!(
            body,
            "\",\"order_id\":\"{}-{number}-{turn}\",\"amount\":\"49.90\",\"currency\":\"EUR\",\"consent\":\"granted\"{more}}}",
            plan.name
        )?;
        write!(
            request,
            "POST /postback HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            plan.address,
            body.len()
        )?;
        request.extend_from_slice(body);
        Ok(())
    }

    /// Reads one answer and checks it.
    async fn read(&mut self) -> Result<(), LoadError> {
        self.answer.clear();
        let (head, length) = loop {
            self.more().await?;
            if let Some(head) = Head::read(&self.answer)? {
                let length = head.length + head.body_length;
                break (head, length);
            }
        };
        while self.answer.len() < length {
            self.more().await?;
        }
        let body = self
            .answer
            .get(head.length..length)
            .ok_or(LoadError::Unreadable)?;
        let location = self.answer.get(head.location.clone()).unwrap_or_default();
        let right = match &self.plan.kind {
            Kind::Bare => head.status == 302,
            Kind::Click { .. } => {
                let token = token(location);
                if self.tally.tokens.len() < self.plan.keep_tokens.saturating_mul(TOKEN_CHARS) {
                    self.tally.tokens.extend_from_slice(token.unwrap_or_default());
                }
                head.status == 302 && token.is_some()
            }
            Kind::Postback { .. } | Kind::Trial { .. } => {
                head.status == 200 && contains(body, b"\"outcome\":\"recorded\"")
            }
            Kind::Duplicate { .. } => head.status == 200 && contains(body, b"\"outcome\":\"duplicate\""),
        };
        if right {
            Ok(())
        } else {
            Err(LoadError::Wrong {
                what: self.plan.kind.what(),
                status: head.status,
            })
        }
    }

    async fn more(&mut self) -> Result<(), LoadError> {
        match self.stream.read_buf(&mut self.answer).await? {
            0 => Err(LoadError::Closed),
            _ => Ok(()),
        }
    }
}

/// Writes a click's request.
fn click(
    request: &mut Vec<u8>,
    plan: &Plan,
    number: usize,
    turn: usize,
    signals: &str,
) -> Result<(), LoadError> {
    let place = (number + turn).checked_rem(plan.links.len()).unwrap_or(0);
    let link = plan.links.get(place).map_or("", String::as_str);
    write!(
        request,
        "GET /c/{link}?{signals}&sub1={}-{number}-{turn} HTTP/1.1\r\nhost: {}\r\nuser-agent: {USER_AGENT}\r\n\r\n",
        plan.name, plan.address
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixed_tokens_are_all_there_in_turns() {
        let of = |letters: &[u8]| {
            Tokens(Arc::new(
                letters.iter().flat_map(|letter| [*letter; TOKEN_CHARS]).collect(),
            ))
        };
        let mixed = of(b"abc").mixed_with(&of(b"x"));
        let firsts: Vec<u8> = (0..mixed.count())
            .filter_map(|place| mixed.get(place)?.first().copied())
            .collect();
        assert_eq!(firsts, b"axbc");
    }

    #[test]
    fn tokens_begin_again_after_the_last() {
        let tokens = Tokens(Arc::new([[b'a'; TOKEN_CHARS], [b'b'; TOKEN_CHARS]].concat()));
        assert_eq!(tokens.get(3), tokens.get(1));
        assert_ne!(tokens.get(2), tokens.get(1));
        assert_eq!(Tokens::default().get(0), None);
    }

    #[test]
    fn quantiles_are_places_in_the_sorted_list() {
        let latencies_us = (1..=101).map(|n| n * 1_000).collect();
        let fired = Fired {
            acknowledged: 101,
            latencies_us,
            ..Fired::default()
        };
        assert!((fired.quantile_ms(0.5) - 51.0).abs() < 1e-9);
        assert!((fired.quantile_ms(0.99) - 100.0).abs() < 1e-9);
    }
}
