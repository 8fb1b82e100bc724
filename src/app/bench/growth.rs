//! What ten million clicks change: the rate, a postback's look-up, the report, the start, memory, and bytes on disk.
//!
//! The clicks fall on ten days that are over, on twenty campaigns: for each day the server is started with a clock that is so
//! many days behind, and takes its share at the last number of connections. A rate is compared with the bare 302 just before.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::baseline::{Differs, Served, Server};
use super::load::{Fired, Kind, Plan, Tokens, fire};
use super::report::{median, real};
use super::rounds::{Bench, fresh_name, plan};
use super::{BenchError, links, name, process};
use crate::domain::campaign::day_text;

/// Days that are filled.
pub const DAYS: u16 = 10;
const BARE: Duration = Duration::from_secs(3);
const WARM_UP: Duration = Duration::from_secs(1);
const LOOK_UPS: Duration = Duration::from_secs(5);
/// A day is over long before.
const HANGS: Duration = Duration::from_hours(1);
/// Tokens of each connection and day for the look-ups.
const KEPT: usize = 40;
const REPORTS: usize = 21;
const MEBIBYTE: f64 = 1_048_576.0;

/// One day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Day {
    /// Clicks that were there before it.
    pub clicks_before: u64,
    /// Until the server took requests, in milliseconds.
    pub start_ms: f64,
    /// Clicks per second.
    pub per_second: f64,
    /// The bare 302s per second just before.
    pub bare_per_second: f64,
    /// The time in milliseconds that 99 of 100 clicks were within.
    pub p99_ms: f64,
    /// The server's processor time for each click, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_us_each: Option<f64>,
    /// Memory after the day's first tenth, at its end, and at most, in mebibytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<[f64; 3]>,
}

/// One database.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Growth {
    /// `sqlite` or `postgres`.
    pub database: &'static str,
    /// Connections.
    pub connections: usize,
    /// The days, in their order.
    pub days: Vec<Day>,
    /// The rate of the last day by that of the first.
    pub last_by_first: f64,
    /// The same, each by the bare 302 just before it.
    pub last_by_first_to_bare: f64,
    /// Median time in milliseconds of a postback that is tried on one connection, after the first day and after the last.
    pub look_up_p50_ms: [f64; 2],
    /// The time that 99 of 100 of them were within.
    pub look_up_p99_ms: [f64; 2],
    /// The report by day and campaign over all of it, in milliseconds: median and worst.
    pub report_ms: [f64; 2],
    /// Rows of that report.
    pub report_rows: usize,
    /// Until a server took requests with all of it there, in milliseconds.
    pub start_ms: f64,
    /// Clicks in the database.
    pub clicks: u64,
    /// Bytes on disk for each.
    pub bytes_each: f64,
}

/// Fills a database and measures.
pub async fn measure(bench: &Bench<'_>, clicks: u64) -> Result<Growth, BenchError> {
    let connections = bench.options.connections.last().map_or(64, |count| count.get());
    let per_day = clicks.div_ceil(u64::from(DAYS)).div_ceil(connections as u64);
    let empty = bench.volume().await?;
    let mut growing = Growing {
        bench,
        connections,
        per_connection: usize::try_from(per_day).unwrap_or(usize::MAX),
        days: Vec::new(),
        tokens: Tokens::default(),
        look_ups: Vec::new(),
    };
    for behind in (0..DAYS).rev() {
        growing.day(behind).await?;
    }
    let (server, start) = started(bench, 0)?;
    let look_ups = [growing.look_ups.first(), growing.look_ups.last()];
    let (report_ms, report_rows) = report(bench, &server).await?;
    server.stop()?;
    let full = bench.volume().await?;
    let acknowledged = growing.days.len() as u64 * per_day * connections as u64;
    if full.clicks < acknowledged {
        return Err(BenchError::Missing {
            what: "clicks",
            acknowledged,
            stored: full.clicks,
        });
    }
    let by = |value: fn(&Day) -> f64| match (growing.days.first(), growing.days.last()) {
        (Some(first), Some(last)) => value(last) / value(first).max(f64::MIN_POSITIVE),
        _ => 0.0,
    };
    Ok(Growth {
        database: name(bench.database),
        connections,
        last_by_first: by(|day| day.per_second),
        last_by_first_to_bare: by(|day| day.per_second / day.bare_per_second.max(f64::MIN_POSITIVE)),
        look_up_p50_ms: look_ups.map(|times| times.map_or(0.0, |times| times.0)),
        look_up_p99_ms: look_ups.map(|times| times.map_or(0.0, |times| times.1)),
        report_ms,
        report_rows,
        start_ms: start.as_secs_f64() * 1_000.0,
        clicks: full.clicks,
        bytes_each: real(full.bytes.saturating_sub(empty.bytes)) / real(full.clicks.max(1)),
        days: growing.days,
    })
}

struct Growing<'a> {
    bench: &'a Bench<'a>,
    connections: usize,
    per_connection: usize,
    days: Vec<Day>,
    tokens: Tokens,
    look_ups: Vec<(f64, f64)>,
}

impl Growing<'_> {
    /// Fills one day.
    async fn day(&mut self, days_behind: u16) -> Result<(), BenchError> {
        let (bench, connections) = (self.bench, self.connections);
        let bare = bench.start(Served::Bare, Differs::default())?;
        let reference = bench.fire(&bare, connections, Kind::Bare, BARE).await?;
        bare.stop()?;
        let (server, start) = started(bench, days_behind)?;
        bench.say(connections, &format!("day {} of {DAYS}", DAYS - days_behind));
        bench.fire(&server, connections, self.kind(), WARM_UP).await?;
        let clicks_before = (self.days.len() * self.per_connection * connections) as u64;
        let tenth = self.fill(&server, self.per_connection.div_ceil(10)).await?;
        let after_tenth = process::memory_bytes(server.process());
        let used = process::processor_time(server.process());
        let rest = self.per_connection - self.per_connection.div_ceil(10);
        let fired = self.fill(&server, rest).await?;
        let used = process::processor_time(server.process())
            .zip(used)
            .map(|(after, before)| after.saturating_sub(before).as_secs_f64() * 1e6);
        let memory = [
            after_tenth,
            process::memory_bytes(server.process()),
            process::peak_memory_bytes(server.process()),
        ];
        let memory_mib = memory.map(|bytes| bytes.map(|bytes| real(bytes) / MEBIBYTE));
        self.tokens = self.tokens.mixed_with(&tenth.tokens);
        self.days.push(Day {
            clicks_before,
            start_ms: start.as_secs_f64() * 1_000.0,
            per_second: fired.per_second(),
            bare_per_second: reference.per_second(),
            p99_ms: fired.quantile_ms(0.99),
            server_cpu_us_each: used.map(|us| us / real(fired.acknowledged.max(1))),
            memory_mib: match memory_mib {
                [Some(early), Some(late), Some(most)] => Some([early, late, most]),
                _ => None,
            },
        });
        if days_behind == 0 || self.days.len() == 1 {
            let trial = Kind::Trial {
                key: bench.key.clone(),
                tokens: self.tokens.clone(),
            };
            let fired = bench.fire(&server, 1, trial, LOOK_UPS).await?;
            self.look_ups
                .push((fired.quantile_ms(0.5), fired.quantile_ms(0.99)));
        }
        server.stop()
    }

    fn kind(&self) -> Kind {
        let said = self.bench.options.signals.first();
        Kind::Click {
            signals: said.map_or_else(|| "consent=granted".into(), |said| said.query()),
        }
    }

    /// Sends so many clicks on each connection.
    async fn fill(&self, server: &Server, turns: usize) -> Result<Fired, BenchError> {
        let filling = Plan {
            turns,
            keep_tokens: KEPT,
            links: std::sync::Arc::new(links()),
            ..plan(server, self.connections, self.kind(), HANGS, fresh_name())
        };
        Ok(fire(filling).await?)
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// A server, and how long it took until it was ready for requests.
fn started(bench: &Bench<'_>, days_behind: u16) -> Result<(Server, Duration), BenchError> {
    let differs = Differs {
        days_behind,
        ..Differs::default()
    };
    let before = now();
    let server = bench.start(Served::Einklang, differs)?;
    Ok((server, before.elapsed()))
}

/// Reads the report by day and campaign over all days, again and again.
async fn report(bench: &Bench<'_>, server: &Server) -> Result<([f64; 2], usize), BenchError> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .map_err(std::io::Error::other)?;
    let to = today(0);
    let from = today(i64::from(DAYS) + 1);
    let url = format!(
        "http://{}/v1/reports/performance?from={from}&to={to}&group_by=day,campaign",
        server.address
    );
    let (mut times, mut rows) = (Vec::new(), 0);
    for _ in 0..REPORTS {
        let before = now();
        let answer = client.get(&url).bearer_auth(&bench.key).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status);
        let text = answer.map_err(std::io::Error::other)?.text().await;
        let text = text.map_err(std::io::Error::other)?;
        times.push(before.elapsed().as_secs_f64() * 1_000.0);
        let read: serde_json::Value = serde_json::from_str(&text).map_err(std::io::Error::from)?;
        rows = read["rows"].as_array().map_or(0, Vec::len);
    }
    let worst = times.iter().copied().fold(0.0, f64::max);
    Ok(([median(times), worst], rows))
}

/// The day that was so many days ago, in UTC.
fn today(days_ago: i64) -> String {
    use crate::flow::Clock as _;
    let now_ms = super::SystemClock.now_ms();
    day_text(now_ms.div_euclid(86_400_000) - days_ago)
}

impl Growth {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(
            text,
            "{}, {} connections: {} clicks, {:.0} bytes on disk for each",
            self.database, self.connections, self.clicks, self.bytes_each
        )?;
        writeln!(
            text,
            "{:>13} {:>9} {:>9} {:>9} {:>6} {:>8} {:>8} {:>20}",
            "clicks before",
            "start ms",
            "clicks/s",
            "bare/s",
            "ratio",
            "p99 ms",
            "cpu us",
            "MiB early/late/most"
        )?;
        for day in &self.days {
            let memory = day.memory_mib.map_or("-".to_owned(), |[early, late, most]| {
                format!("{early:.0} / {late:.0} / {most:.0}")
            });
            writeln!(
                text,
                "{:>13} {:>9.0} {:>9.0} {:>9.0} {:>6.2} {:>8.2} {:>8} {:>20}",
                day.clicks_before,
                day.start_ms,
                day.per_second,
                day.bare_per_second,
                day.per_second / day.bare_per_second.max(f64::MIN_POSITIVE),
                day.p99_ms,
                day.server_cpu_us_each
                    .map_or("-".to_owned(), |us| format!("{us:.0}")),
                memory
            )?;
        }
        let ([first, last], [first_p99, last_p99]) = (self.look_up_p50_ms, self.look_up_p99_ms);
        let [report, worst] = self.report_ms;
        writeln!(
            text,
            "last day by first: {:.2} (to the bare 302: {:.2})",
            self.last_by_first, self.last_by_first_to_bare
        )?;
        writeln!(
            text,
            "look-up of a postback after the first day and the last: p50 {first:.2} and {last:.2} ms, p99 {first_p99:.2} and {last_p99:.2} ms"
        )?;
        writeln!(
            text,
            "report by day and campaign, {} rows: median {report:.1} ms, worst {worst:.1} ms; start {:.0} ms",
            self.report_rows, self.start_ms
        )
    }
}
