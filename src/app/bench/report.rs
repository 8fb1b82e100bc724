//! What the rounds come to: medians, ratios within a round, and their two forms, text and JSON.
//!
//! A ratio compares a round with the bare 302 measured just before it, and the median is over ratios, not over rates:
//! what the machine does beside the benchmark then falls on both sides.

use std::fmt::Write as _;

use serde::Serialize;

/// One round of one kind of request, beside the bare round before it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Round {
    /// The bare 302s per second of the round before.
    pub bare_per_second: f64,
    /// Their median time in milliseconds.
    pub bare_p50_ms: f64,
    /// The time that 99 of 100 of them were within.
    pub bare_p99_ms: f64,
    /// Acknowledged requests.
    pub acknowledged: u64,
    /// Acknowledged requests per second.
    pub per_second: f64,
    /// Their median time in milliseconds.
    pub p50_ms: f64,
    /// The time that 99 of 100 of them were within.
    pub p99_ms: f64,
    /// Rows found in the table that each request adds one to.
    pub stored: u64,
    /// Rows added to all tables.
    pub rows: u64,
    /// Bytes that the database grew by.
    pub bytes: u64,
    /// The server's processor time in microseconds.
    pub server_us: Option<u64>,
    /// The database's processor time in microseconds.
    pub database_us: Option<u64>,
}

/// What a kind of request came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Requests per second.
    pub per_second: f64,
    /// Median of the rounds' ratios to the bare 302 before each.
    pub ratio_to_bare: f64,
    /// Median time in milliseconds.
    pub p50_ms: f64,
    /// The time in milliseconds that 99 of 100 were within.
    pub p99_ms: f64,
    /// The bare 302s per second.
    pub bare_per_second: f64,
    /// Their median time in milliseconds.
    pub bare_p50_ms: f64,
    /// The time in milliseconds that 99 of 100 of them were within.
    pub bare_p99_ms: f64,
    /// Acknowledged requests of all rounds.
    pub acknowledged: u64,
    /// Rows found for them.
    pub stored: u64,
    /// Rows in all tables for each.
    pub rows_each: f64,
    /// Bytes on disk for each.
    pub bytes_each: f64,
    /// The server's processor time for each, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_us_each: Option<f64>,
    /// The database's, where it is a process of its own that this benchmark started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_cpu_us_each: Option<f64>,
}

impl Figures {
    /// The medians and sums of some rounds.
    pub fn of(rounds: &[Round]) -> Self {
        let middle = |value: fn(&Round) -> f64| median(rounds.iter().map(value).collect());
        let sum = |value: fn(&Round) -> u64| rounds.iter().map(value).sum::<u64>();
        let acknowledged = sum(|round| round.acknowledged);
        let each = |total: u64| {
            if acknowledged == 0 {
                0.0
            } else {
                real(total) / real(acknowledged)
            }
        };
        let all = |value: fn(&Round) -> Option<u64>| rounds.iter().map(value).sum::<Option<u64>>().map(each);
        Self {
            per_second: middle(|round| round.per_second),
            ratio_to_bare: middle(|round| round.per_second / round.bare_per_second.max(f64::MIN_POSITIVE)),
            p50_ms: middle(|round| round.p50_ms),
            p99_ms: middle(|round| round.p99_ms),
            bare_per_second: middle(|round| round.bare_per_second),
            bare_p50_ms: middle(|round| round.bare_p50_ms),
            bare_p99_ms: middle(|round| round.bare_p99_ms),
            acknowledged,
            stored: sum(|round| round.stored),
            rows_each: each(sum(|round| round.rows)),
            bytes_each: each(sum(|round| round.bytes)),
            server_cpu_us_each: all(|round| round.server_us),
            database_cpu_us_each: all(|round| round.database_us),
        }
    }
}

/// A count as a number to divide.
#[expect(
    clippy::cast_precision_loss,
    reason = "exact up to 2^53, which nothing counted here comes near"
)]
pub fn real(count: u64) -> f64 {
    count as f64
}

/// The middle one, or the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    match (
        values.len() % 2,
        half.checked_sub(1).and_then(|before| values.get(before)),
        values.get(half),
    ) {
        (1, _, Some(middle)) => *middle,
        (_, Some(below), Some(above)) => f64::midpoint(*below, *above),
        _ => 0.0,
    }
}

/// What the log takes from the rate: the median, over the rounds, of one less the rate with it over the rate without it,
/// each against the bare 302 just before.
pub fn share_lost(with: &[Round], without: &[Round]) -> f64 {
    let ratio = |round: &Round| round.per_second / round.bare_per_second.max(f64::MIN_POSITIVE);
    let pairs = with.iter().zip(without);
    median(
        pairs
            .map(|(with, without)| 1.0 - ratio(with) / ratio(without).max(f64::MIN_POSITIVE))
            .collect(),
    )
}

/// What the audit log costs, as a share of the rate without it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LogCost {
    /// Of clicks.
    pub clicks: f64,
    /// Of postbacks.
    pub postbacks: f64,
}

/// How old the oldest entry was that waited for its place, looked at every 20 ms while the load ran.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MergeDelay {
    /// How often it was looked at.
    pub looks: usize,
    /// Median in milliseconds.
    pub p50_ms: f64,
    /// The age in milliseconds that 99 of 100 were within.
    pub p99_ms: f64,
    /// The greatest in milliseconds.
    pub most_ms: f64,
}

impl MergeDelay {
    /// Of ages in milliseconds.
    pub fn of(mut ages_ms: Vec<f64>) -> Option<Self> {
        ages_ms.sort_unstable_by(f64::total_cmp);
        let at = |hundredths: usize| {
            ages_ms
                .get((ages_ms.len().saturating_sub(1) * hundredths) / 100)
                .copied()
        };
        Some(Self {
            looks: ages_ms.len(),
            p50_ms: at(50)?,
            p99_ms: at(99)?,
            most_ms: at(100)?,
        })
    }
}

/// One database at one number of connections.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// `sqlite` or `postgres`.
    pub database: &'static str,
    /// Connections.
    pub connections: usize,
    /// What clicks said about consent: `granted` or `tcf`.
    pub signals: &'static str,
    /// Durable clicks.
    pub clicks: Figures,
    /// Durable postbacks.
    pub postbacks: Figures,
    /// The same postbacks again.
    pub duplicates: Figures,
    /// The most memory that the server ever had, in mebibytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory_mib: Option<f64>,
    /// How long entries of the audit log waited for their places, where they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge_delay: Option<MergeDelay>,
    /// What the audit log costs, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_cost: Option<LogCost>,
    /// What encryption costs clicks, as a share of the rate without it, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_cost: Option<f64>,
}

/// Results with the machine that they are of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine<T> {
    /// Einklang's version.
    pub version: &'static str,
    /// Whether the compiler optimised; figures of a debug build mean nothing.
    pub optimised: bool,
    /// Cores that this process may use. Server, generator and database share them.
    pub cores: usize,
    /// The processor's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// The results.
    pub runs: Vec<T>,
}

impl<T> Machine<T> {
    /// Of this machine.
    pub fn with(runs: Vec<T>) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            optimised: !cfg!(debug_assertions),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
            processor: super::process::processor(),
            runs,
        }
    }

    /// For people.
    pub fn text(&self, of_one: impl Fn(&T) -> String) -> String {
        let processor = self.processor.as_deref().unwrap_or("unknown processor");
        let mut text = format!("einklang {}, {} cores ({processor})\n", self.version, self.cores);
        if !self.optimised {
            text.push_str("This is a debug build: its figures say nothing about a release build.\n");
        }
        for run in &self.runs {
            text.push('\n');
            text.push_str(&of_one(run));
        }
        text
    }
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Einklang's version.
    pub version: &'static str,
    /// Whether the compiler optimised; figures of a debug build mean nothing.
    pub optimised: bool,
    /// Cores that this process may use. Server, generator and database share them.
    pub cores: usize,
    /// The processor's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// Seconds in a round.
    pub seconds: u64,
    /// Rounds of each kind.
    pub rounds: usize,
    /// The runs.
    pub runs: Vec<Run>,
}

impl Report {
    /// For people; also what the documentation shows.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let processor = self.processor.as_deref().unwrap_or("unknown processor");
        writeln!(
            text,
            "einklang {}, {} cores ({processor})",
            self.version, self.cores
        )?;
        writeln!(
            text,
            "{} rounds of {} s each, medians; generator and server share the cores",
            self.rounds, self.seconds
        )?;
        if !self.optimised {
            writeln!(
                text,
                "This is a debug build: its figures say nothing about a release build."
            )?;
        }
        writeln!(text)?;
        writeln!(
            text,
            "{:<9} {:<8} {:>5} {:<10} {:>8} {:>8} {:>6} {:>7} {:>7} {:>9} {:>6} {:>6} {:>8} {:>8} {:>7}",
            "database",
            "consent",
            "conn.",
            "what",
            "per s",
            "bare/s",
            "ratio",
            "p50 ms",
            "p99 ms",
            "bare p99",
            "rows",
            "bytes",
            "cpu us",
            "db cpu us",
            "MiB"
        )?;
        for run in &self.runs {
            run.write(text, "clicks", &run.clicks)?;
            run.write(text, "postbacks", &run.postbacks)?;
            run.write(text, "duplicates", &run.duplicates)?;
        }
        for run in &self.runs {
            run.write_log(text)?;
        }
        writeln!(text)?;
        let sum = |value: fn(&Figures) -> u64| {
            self.runs
                .iter()
                .map(|run| value(&run.clicks) + value(&run.postbacks))
                .sum::<u64>()
        };
        writeln!(
            text,
            "{} acknowledged, {} found in the databases",
            sum(|f| f.acknowledged),
            sum(|f| f.stored)
        )
    }
}

impl Run {
    fn write_log(&self, text: &mut String) -> std::fmt::Result {
        let (database, connections) = (self.database, self.connections);
        if let Some(MergeDelay {
            p50_ms,
            p99_ms,
            most_ms,
            ..
        }) = self.merge_delay
        {
            writeln!(
                text,
                "{database:<9} {connections:>5} audit entries waited: p50 {p50_ms:.0} ms, p99 {p99_ms:.0} ms, most {most_ms:.0} ms"
            )?;
        }
        if let Some(LogCost { clicks, postbacks }) = self.log_cost {
            let (clicks, postbacks) = (clicks * 100.0, postbacks * 100.0);
            writeln!(
                text,
                "{database:<9} {connections:>5} the audit log costs: clicks {clicks:.1} %, postbacks {postbacks:.1} %"
            )?;
        }
        if let Some(clicks) = self.encryption_cost {
            let clicks = clicks * 100.0;
            writeln!(
                text,
                "{database:<9} {connections:>5} encryption costs: clicks {clicks:.1} %"
            )?;
        }
        Ok(())
    }

    fn write(&self, text: &mut String, what: &str, figures: &Figures) -> std::fmt::Result {
        let or_dash = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.0}"));
        writeln!(
            text,
            "{:<9} {:<8} {:>5} {what:<10} {:>8.0} {:>8.0} {:>6.2} {:>7.2} {:>7.2} {:>9.2} {:>6.2} {:>6.0} {:>8} {:>9} {:>7}",
            self.database,
            self.signals,
            self.connections,
            figures.per_second,
            figures.bare_per_second,
            figures.ratio_to_bare,
            figures.p50_ms,
            figures.p99_ms,
            figures.bare_p99_ms,
            figures.rows_each,
            figures.bytes_each,
            or_dash(figures.server_cpu_us_each),
            or_dash(figures.database_cpu_us_each),
            or_dash(self.peak_memory_mib),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_the_median_of_ratios_and_not_the_ratio_of_medians() {
        let round = |per_second, bare_per_second| Round {
            bare_per_second,
            per_second,
            ..Round::default()
        };
        let figures = Figures::of(&[round(10.0, 100.0), round(30.0, 60.0), round(20.0, 80.0)]);
        assert!((figures.ratio_to_bare - 0.25).abs() < 1e-9);
        assert!((figures.per_second - 20.0).abs() < 1e-9);
    }

    #[test]
    fn shares_are_over_all_rounds_and_left_out_where_one_is_not_known() {
        let round = |acknowledged, bytes, server_us| Round {
            acknowledged,
            bytes,
            server_us,
            ..Round::default()
        };
        let figures = Figures::of(&[round(10, 1_000, Some(50)), round(30, 3_000, Some(150))]);
        assert!((figures.bytes_each - 100.0).abs() < 1e-9);
        assert_eq!(figures.server_cpu_us_each, Some(5.0));
        assert_eq!(
            Figures::of(&[round(1, 1, Some(1)), round(1, 1, None)]).server_cpu_us_each,
            None
        );
    }

    #[test]
    fn medians_of_even_counts_are_means() {
        assert!((median(vec![4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
        assert!(median(Vec::new()).abs() < 1e-9);
    }
}
