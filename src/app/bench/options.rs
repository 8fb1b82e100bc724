//! What `einklang bench` may be asked.

use std::num::{NonZeroU16, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::super::system::SystemClock;
use super::baseline::Served;
use super::tc_string;
use crate::flow::Clock as _;

/// The databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Database {
    /// The embedded one.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// What a click says about consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Said {
    /// `consent=granted`, by a publisher with a contract.
    Granted,
    /// A TC string of 579 characters.
    Tcf,
}

impl Said {
    pub(super) fn word(self) -> &'static str {
        match self {
            Said::Granted => "granted",
            Said::Tcf => "tcf",
        }
    }

    /// As the beginning of a query.
    pub(super) fn query(self) -> Arc<str> {
        match self {
            Said::Granted => "consent=granted".into(),
            Said::Tcf => {
                let now_s = SystemClock.now_ms().div_euclid(1_000);
                format!("gdpr=1&gdpr_consent={}", tc_string::granted(now_s)).into()
            }
        }
    }
}

/// Options of `einklang bench`.
#[derive(Debug, Args)]
pub struct BenchOptions {
    /// Numbers of connections, one run each.
    #[arg(long, value_delimiter = ',', default_value = "64,256", value_name = "COUNTS")]
    pub(super) connections: Vec<NonZeroUsize>,
    /// Seconds in a round.
    #[arg(long, default_value = "5", value_name = "SECONDS")]
    pub(super) seconds: NonZeroU64,
    /// Rounds of each kind; figures are medians.
    #[arg(long, default_value = "3", value_name = "COUNT")]
    pub(super) rounds: NonZeroUsize,
    /// Measure one database only.
    #[arg(long, value_name = "DATABASE")]
    pub(super) only: Option<Database>,
    /// An empty PostgreSQL database to measure; it is filled and not cleared.
    #[arg(long, value_name = "URL", conflicts_with = "postgres_bin")]
    pub(super) postgres: Option<String>,
    /// The folder of PostgreSQL's programs, to make a cluster just for this [default: the newest one installed].
    #[arg(long, value_name = "FOLDER")]
    pub(super) postgres_bin: Option<PathBuf>,
    /// A build of this program with `--features without-log`, to measure in turns with this one what the log costs.
    #[arg(long, value_name = "PROGRAM")]
    pub(super) without_log: Option<PathBuf>,
    /// A build of this program with `--features without-encryption`, to measure in turns with this one what encryption
    /// costs clicks.
    #[arg(long, value_name = "PROGRAM", conflicts_with = "without_log")]
    pub(super) without_encryption: Option<PathBuf>,
    /// Measure the audit log alone: how fast entries find their places, and how long proofs take, at so many entries.
    #[arg(long, value_name = "ENTRIES", num_args = 0..=1, default_missing_value = "1000000", conflicts_with_all = ["without_log", "without_encryption"])]
    pub(super) log_only: Option<NonZeroUsize>,
    /// What clicks say about consent, one run each.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "granted,tcf",
        value_name = "SIGNALS"
    )]
    pub(super) signals: Vec<Said>,
    /// Fill each database with so many clicks on ten days, and measure what that changes: rate, look-ups, report, start,
    /// memory, bytes.
    #[arg(long, value_name = "CLICKS", num_args = 0..=1, default_missing_value = "10000000", conflicts_with_all = ["without_log", "without_encryption", "log_only"])]
    pub(super) growth: Option<NonZeroU64>,
    /// Measure so many servers on one PostgreSQL beside one server.
    #[arg(long, value_delimiter = ',', value_name = "COUNTS", conflicts_with_all = ["without_log", "without_encryption", "log_only", "growth"])]
    pub(super) nodes: Vec<NonZeroU16>,
    /// Where the databases are made; it must be on the disk that matters [default: a new folder in the data folder].
    #[arg(long, value_name = "FOLDER")]
    pub(super) folder: Option<PathBuf>,
}

/// Options of the children.
#[derive(Debug, Args)]
pub struct ServeOptions {
    /// What to serve.
    #[arg(long)]
    pub kind: Served,
    /// How many days the clock is behind.
    #[arg(long, default_value = "0")]
    pub days_behind: u16,
}
