//! The rounds on one database: the bare 302 and one kind of request in turns, with the rows counted before and after.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;

use super::super::config::Config;
use super::super::system::SystemEntropy;
use super::baseline::{Differs, Served, Server};
use super::cluster::Cluster;
use super::load::{Fired, Kind, Plan, Tokens, fire};
use super::merge::Merging;
use super::report::{Figures, LogCost, Round, Run, real, share_lost};
use super::{BenchError, BenchOptions, Database, Said, links, name, process};
use crate::flow::Entropy;
use crate::store::Store;
use crate::store::volume::Volume;

/// Before the first round: connections, statements, caches.
const WARM_UP: Duration = Duration::from_secs(1);
const MEBIBYTE: f64 = 1_048_576.0;

/// The rounds of one build.
#[derive(Default)]
struct Rounds {
    clicks: Vec<Round>,
    postbacks: Vec<Round>,
    duplicates: Vec<Round>,
}

/// One database under test.
pub struct Bench<'a> {
    /// The configuration of this process.
    pub config: &'a Config,
    /// What was asked for.
    pub options: &'a BenchOptions,
    /// Which one.
    pub database: Database,
    /// Where the servers' files lie.
    pub folder: PathBuf,
    /// How to connect.
    pub url: String,
    /// The shop's API key.
    pub key: String,
    /// PostgreSQL, where it is of our own making.
    pub cluster: Option<Cluster>,
    /// For whoever waits.
    pub progress: ProgressBar,
}

impl Bench<'_> {
    /// All rounds at one number of connections, on fresh servers.
    pub async fn run(&self, connections: usize, said: Said) -> Result<Run, BenchError> {
        let clicks = Kind::Click {
            signals: said.query(),
        };
        let bare = self.start(Served::Bare, Differs::default())?;
        let einklang = self.start(Served::Einklang, Differs::default())?;
        let without_log = self.options.without_log.as_deref();
        let program = without_log.or(self.options.without_encryption.as_deref());
        let lesser = program
            .map(|program| {
                let differs = Differs {
                    program: Some(program),
                    ..Differs::default()
                };
                self.start(Served::Einklang, differs)
            })
            .transpose()?;
        self.fire(&bare, connections, Kind::Bare, WARM_UP).await?;
        for server in [Some(&einklang), lesser.as_ref()].into_iter().flatten() {
            let tokens = self
                .fire(server, connections, clicks.clone(), WARM_UP)
                .await?
                .tokens;
            if self.takes_postbacks(server, &einklang) {
                self.fire(server, connections, self.postbacks(&tokens), WARM_UP)
                    .await?;
            }
        }
        let merging = Merging::watch(&self.url, self.database).await?;
        let (mut with, mut without) = (Rounds::default(), Rounds::default());
        for round in 0..self.options.rounds.get() {
            let mut turns = vec![(&einklang, &mut with)];
            turns.extend(lesser.as_ref().map(|lesser| (lesser, &mut without)));
            if round % 2 == 1 {
                // Whoever comes first has the smaller tables.
                turns.reverse();
            }
            for (server, rounds) in turns {
                let takes_postbacks = self.takes_postbacks(server, &einklang);
                self.turn(&bare, server, &clicks, connections, takes_postbacks, rounds)
                    .await?;
            }
        }
        let merge_delay = merging.end().await;
        let peak = process::peak_memory_bytes(einklang.process());
        einklang.stop()?;
        let clicks_lost = share_lost(&with.clicks, &without.clicks);
        let log_cost = without_log.map(|_| LogCost {
            clicks: clicks_lost,
            postbacks: share_lost(&with.postbacks, &without.postbacks),
        });
        let encryption_cost = (lesser.is_some() && without_log.is_none()).then_some(clicks_lost);
        if let Some(lesser) = lesser {
            lesser.stop()?;
        }
        bare.stop()?;
        Ok(Run {
            database: name(self.database),
            connections,
            signals: said.word(),
            clicks: Figures::of(&with.clicks),
            postbacks: Figures::of(&with.postbacks),
            duplicates: Figures::of(&with.duplicates),
            peak_memory_mib: peak.map(|bytes| real(bytes) / MEBIBYTE),
            merge_delay,
            log_cost,
            encryption_cost,
        })
    }

    /// One server's turn: clicks, their postbacks, and those again.
    async fn turn(
        &self,
        bare: &Server,
        server: &Server,
        clicks: &Kind,
        connections: usize,
        takes_postbacks: bool,
        rounds: &mut Rounds,
    ) -> Result<(), BenchError> {
        let (round, fired) = self.pair(bare, server, connections, clicks.clone()).await?;
        rounds.clicks.push(round);
        if !takes_postbacks {
            return Ok(());
        }
        let postbacks = self.postbacks(&fired.tokens);
        let (round, sent) = self.pair(bare, server, connections, postbacks).await?;
        rounds.postbacks.push(round);
        let again = Kind::Duplicate {
            key: self.key.clone(),
            tokens: fired.tokens,
            turns: Arc::new(sent.turns),
        };
        let again = plan(server, connections, again, self.duration(), sent.name);
        rounds.duplicates.push(self.pair_of(bare, server, again).await?.0);
        Ok(())
    }

    /// Tokens that were not encrypted open nowhere.
    fn takes_postbacks(&self, server: &Server, einklang: &Server) -> bool {
        std::ptr::eq(server, einklang) || self.options.without_encryption.is_none()
    }

    pub(super) fn postbacks(&self, tokens: &Tokens) -> Kind {
        Kind::Postback {
            key: self.key.clone(),
            tokens: tokens.clone(),
        }
    }

    /// Starts a child on this database.
    pub(super) fn start(&self, served: Served, differs: Differs<'_>) -> Result<Server, BenchError> {
        Server::start(served, differs, self.config, &self.folder, &self.url)
    }

    pub(super) fn duration(&self) -> Duration {
        Duration::from_secs(self.options.seconds.get())
    }

    /// A round of the bare 302 and one of this kind, with the rows counted before and after.
    async fn pair(
        &self,
        bare: &Server,
        einklang: &Server,
        connections: usize,
        kind: Kind,
    ) -> Result<(Round, Fired), BenchError> {
        let one = plan(einklang, connections, kind, self.duration(), fresh_name());
        self.pair_of(bare, einklang, one).await
    }

    async fn pair_of(
        &self,
        bare: &Server,
        einklang: &Server,
        plan: Plan,
    ) -> Result<(Round, Fired), BenchError> {
        let connections = plan.connections;
        let (what, adds) = match plan.kind {
            Kind::Click { .. } => ("clicks", 1),
            Kind::Duplicate { .. } => ("duplicates", 0),
            _ => ("postbacks", 1),
        };
        self.say(connections, "bare 302s");
        let reference = self.fire(bare, connections, Kind::Bare, plan.duration).await?;
        self.say(connections, what);
        let before = self.volume().await?;
        let (server, database) = (process::processor_time(einklang.process()), self.database_time());
        let fired = fire(plan).await?;
        let used = |before: Option<Duration>, after: Option<Duration>| {
            u64::try_from(after?.saturating_sub(before?).as_micros()).ok()
        };
        let server_us = used(server, process::processor_time(einklang.process()));
        let database_us = used(database, self.database_time());
        let after = self.volume().await?;
        let stored = match what {
            "clicks" => after.clicks.saturating_sub(before.clicks),
            _ => after.conversions.saturating_sub(before.conversions),
        };
        // A duplicate has its verdict in the log and in the counters, and no row of its own.
        if stored < fired.acknowledged * adds || (adds == 0 && stored > 0) {
            return Err(BenchError::Missing {
                what,
                acknowledged: fired.acknowledged * adds,
                stored,
            });
        }
        let round = Round {
            bare_per_second: reference.per_second(),
            bare_p50_ms: reference.quantile_ms(0.5),
            bare_p99_ms: reference.quantile_ms(0.99),
            acknowledged: fired.acknowledged,
            per_second: fired.per_second(),
            p50_ms: fired.quantile_ms(0.5),
            p99_ms: fired.quantile_ms(0.99),
            stored,
            rows: after.rows().saturating_sub(before.rows()),
            bytes: after.bytes.saturating_sub(before.bytes),
            server_us,
            database_us,
        };
        Ok((round, fired))
    }

    pub(super) fn say(&self, connections: usize, what: &str) {
        self.progress.set_message(format!(
            "{}, {connections} connections: {what}",
            name(self.database)
        ));
    }

    /// Fires a round of so many seconds.
    pub(super) async fn fire(
        &self,
        server: &Server,
        connections: usize,
        kind: Kind,
        duration: Duration,
    ) -> Result<Fired, BenchError> {
        Ok(fire(plan(server, connections, kind, duration, fresh_name())).await?)
    }

    pub(super) async fn volume(&self) -> Result<Volume, BenchError> {
        let store = Store::connect(&self.url).await?;
        let volume = store.volume().await;
        store.close().await;
        Ok(volume?)
    }

    fn database_time(&self) -> Option<Duration> {
        process::processor_time_of_family(self.cluster.as_ref()?.process())
    }
}

/// A name that no other round has.
pub(super) fn fresh_name() -> String {
    let mut random = [0; 4];
    SystemEntropy.fill(&mut random);
    hex::encode(random)
}

/// A round on the first link.
pub(super) fn plan(
    server: &Server,
    connections: usize,
    kind: Kind,
    duration: Duration,
    name: String,
) -> Plan {
    Plan {
        address: server.address,
        connections,
        duration,
        kind,
        turns: usize::MAX,
        keep_tokens: usize::MAX,
        links: Arc::new(links().into_iter().take(1).collect()),
        name,
    }
}
