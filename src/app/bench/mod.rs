//! `einklang bench`: how many clicks and postbacks this machine makes durable in a second, beside a bare axum 302.
//!
//! Promises that a figure is about acknowledged and stored requests: every answer is checked as it comes, and after each
//! round the rows in the database are counted. Einklang runs as it ships (listener, gate, consent decision, encryption,
//! consent record, audit entry, counters, full synchronisation); the bare 302 runs in the same process layout, under the
//! same load, in the round just before. Databases are made for the run and removed after it.

mod answer;
mod baseline;
mod cluster;
mod growth;
mod load;
mod log;
mod merge;
mod nodes;
mod options;
mod process;
mod report;
mod rounds;
mod tc_string;
mod tenant;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use super::config::roots::RootConfig;
use super::config::{Config, sqlite_url};
use super::system::{SystemClock, SystemEntropy};
use super::wire::{self, StartError};
use crate::domain::provision::{self, ProvisionError};
use crate::flow::Entropy;
use crate::flow::provision::{ApplyError, ProvisionFlow};
use crate::store::StoreError;
use baseline::Behind;
pub use baseline::{Served, serve_child};
use cluster::Cluster;
use load::LoadError;
use options::Said;
pub use options::{BenchOptions, Database, ServeOptions};
use report::{Machine, Report};
use rounds::Bench;
use tenant::{links, tenant};

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The machine.
    #[error("The benchmark could not work with the system: {0}")]
    System(#[from] std::io::Error),
    /// Opening a database.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Counting.
    #[error("Rows could not be counted: {0}")]
    Store(#[from] StoreError),
    /// Making the objects.
    #[error("The tenant of the benchmark could not be made: {0}")]
    Apply(#[from] ApplyError),
    /// Our own file.
    #[error("The tenant of the benchmark could not be made: {0}")]
    Provision(#[from] ProvisionError),
    /// The load.
    #[error("A round does not count: {0}")]
    Load(#[from] LoadError),
    /// A child.
    #[error("The server under test ({0}) did not start; what it said stands above.")]
    DidNotStart(&'static str),
    /// A child.
    #[error("The server under test ended badly; what it said stands above.")]
    EndedBadly,
    /// Promised and not kept.
    #[error("{acknowledged} {what} were acknowledged and only {stored} are in the database")]
    Missing {
        /// What was sent.
        what: &'static str,
        /// How many the server promised.
        acknowledged: u64,
        /// How many it kept.
        stored: u64,
    },
    /// Proved and not right.
    #[error("the proof of entry {0} does not verify")]
    WrongProof(u64),
    /// No PostgreSQL.
    #[error(
        "PostgreSQL's programs are not installed under /usr/lib/postgresql. Name them with --postgres-bin, name a database \
         with --postgres, or measure only SQLite with --only sqlite."
    )]
    NoPostgres,
    /// PostgreSQL of our own.
    #[error("The PostgreSQL cluster could not be used: {0}")]
    Cluster(String),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// Measures and cleans up, also when interrupted; returns the report, as text or as JSON.
pub async fn run(config: Config, options: BenchOptions, json: bool) -> Result<String, BenchError> {
    let measured = async {
        if let Some(entries) = options.log_only {
            let report = measure_log(&config, &options, entries.get()).await?;
            return shown(&report, json, log::Report::text);
        }
        if let Some(clicks) = options.growth {
            let report = each(&config, &options, async |bench| {
                growth::measure(bench, clicks.get()).await
            })
            .await?;
            return shown(&Machine::with(report), json, |report| {
                report.text(growth::Growth::text)
            });
        }
        if !options.nodes.is_empty() {
            let report = each(&config, &options, async |bench| nodes::measure(bench).await).await?;
            return shown(&Machine::with(report), json, |report| {
                report.text(nodes::Nodes::text)
            });
        }
        shown(&measure(&config, &options).await?, json, Report::text)
    };
    tokio::select! {
        report = measured => report,
        _ = tokio::signal::ctrl_c() => Err(BenchError::Interrupted),
    }
}

fn shown<R: serde::Serialize>(
    report: &R,
    json: bool,
    text: impl FnOnce(&R) -> String,
) -> Result<String, BenchError> {
    if json {
        Ok(serde_json::to_string_pretty(report).map_err(std::io::Error::from)? + "\n")
    } else {
        Ok(text(report))
    }
}

/// The audit log alone, on each database.
async fn measure_log(
    config: &Config,
    options: &BenchOptions,
    entries: usize,
) -> Result<log::Report, BenchError> {
    let scratch = Scratch::make(config, options.folder.as_deref())?;
    let mut runs = Vec::new();
    for place in Place::all(options, &scratch).await? {
        furnish(config, &place.folder, &place.url, 0).await?;
        runs.push(log::measure(name(place.database), &place.url, entries).await?);
    }
    Ok(log::Report {
        version: env!("CARGO_PKG_VERSION"),
        optimised: !cfg!(debug_assertions),
        cores: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        processor: process::processor(),
        runs,
    })
}

/// Where a database is.
struct Place {
    database: Database,
    folder: PathBuf,
    url: String,
    cluster: Option<Cluster>,
}

impl Place {
    /// The databases that were asked for; PostgreSQL is started where none was named.
    async fn all(options: &BenchOptions, scratch: &Scratch) -> Result<Vec<Self>, BenchError> {
        let mut databases = vec![Database::Sqlite, Database::Postgres];
        databases.retain(|database| options.only.is_none_or(|only| only == *database));
        let mut programs = options.postgres_bin.clone();
        if databases.contains(&Database::Postgres) && options.postgres.is_none() && programs.is_none() {
            // Looked for before anything is measured, not minutes later.
            programs = Some(cluster::find_programs().ok_or(BenchError::NoPostgres)?);
        }
        let mut places = Vec::new();
        for database in databases {
            let mut cluster = None;
            let folder = scratch.0.join(name(database));
            if let (Database::Postgres, Some(programs)) = (database, &programs) {
                cluster = Some(Cluster::start(programs, &scratch.0.join("cluster")).await?);
            }
            let url = match (database, &cluster, &options.postgres) {
                (Database::Sqlite, ..) => sqlite_url(&folder),
                (Database::Postgres, Some(cluster), _) => cluster.url.clone(),
                (Database::Postgres, None, url) => url.clone().ok_or(BenchError::NoPostgres)?,
            };
            places.push(Place {
                database,
                folder,
                url,
                cluster,
            });
        }
        Ok(places)
    }
}

/// Measures something on each database that was asked for.
async fn each<T>(
    config: &Config,
    options: &BenchOptions,
    measure: impl AsyncFn(&Bench<'_>) -> Result<T, BenchError>,
) -> Result<Vec<T>, BenchError> {
    let scratch = Scratch::make(config, options.folder.as_deref())?;
    let places = Place::all(options, &scratch).await?;
    let progress = progress();
    let mut measured = Vec::new();
    for Place {
        database,
        folder,
        url,
        cluster,
    } in places
    {
        let days_behind = if options.growth.is_some() { growth::DAYS } else { 0 };
        let key = furnish(config, &folder, &url, days_behind).await?;
        let bench = Bench {
            config,
            options,
            database,
            folder,
            url,
            key,
            cluster,
            progress: progress.clone(),
        };
        measured.push(measure(&bench).await?);
    }
    progress.finish_and_clear();
    Ok(measured)
}

async fn measure(config: &Config, options: &BenchOptions) -> Result<Report, BenchError> {
    let runs = each(config, options, async |bench| {
        let mut runs = Vec::new();
        for said in &options.signals {
            for connections in &options.connections {
                runs.push(bench.run(connections.get(), *said).await?);
            }
        }
        Ok(runs)
    })
    .await?;
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        optimised: !cfg!(debug_assertions),
        cores: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        processor: process::processor(),
        seconds: options.seconds.get(),
        rounds: options.rounds.get(),
        runs: runs.into_iter().flatten().collect(),
    })
}

fn name(database: Database) -> &'static str {
    match database {
        Database::Sqlite => "sqlite",
        Database::Postgres => "postgres",
    }
}

/// Silent where standard error is no terminal.
fn progress() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg:<40} {elapsed}");
    let progress = ProgressBar::new_spinner();
    progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    progress.enable_steady_tick(std::time::Duration::from_millis(200));
    progress
}

/// A folder of the benchmark's own, removed with everything in it.
struct Scratch(PathBuf);

impl Scratch {
    fn make(config: &Config, folder: Option<&Path>) -> Result<Self, BenchError> {
        let parent = folder.unwrap_or(&config.data_dir);
        let folder = parent.join(format!("bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(std::path::absolute(folder)?))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Makes the schema, the keys and a tenant; returns the shop's API key.
async fn furnish(config: &Config, folder: &Path, url: &str, days_behind: u16) -> Result<String, BenchError> {
    let mut random = [0; 24];
    SystemEntropy.fill(&mut random);
    let key = format!("ek_test_{}", hex::encode(random));
    let config = Config {
        data_dir: folder.to_owned(),
        root_key_file: folder.join("root.key"),
        roots: RootConfig::default(),
        database_url: url.to_owned(),
        ..config.clone()
    };
    let (store, live) = wire::open(
        &config,
        Arc::new(Behind::by_days(days_behind)),
        Arc::new(SystemEntropy),
    )
    .await?;
    ProvisionFlow::new(Arc::clone(&live))
        .apply(&provision::parse(&tenant(&key))?)
        .await?;
    live.prepare_epochs().await.map_err(StartError::from)?;
    drop(live);
    store.close().await;
    Ok(key)
}
