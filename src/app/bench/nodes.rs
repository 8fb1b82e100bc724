//! Several servers on one PostgreSQL: what they take together, beside what one takes.
//!
//! All of them, the database and the generator share the machine, so on few cores this shows what sharing one database
//! costs, and not what more machines bring.

use std::fmt::Write as _;

use serde::Serialize;

use super::baseline::{Differs, Served, Server};
use super::load::{Kind, fire};
use super::report::median;
use super::rounds::{Bench, fresh_name, plan};
use super::{BenchError, Database, Said, name};

/// So many servers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Together {
    /// How many.
    pub nodes: u16,
    /// Clicks per second, median of the rounds.
    pub clicks_per_second: f64,
    /// Postbacks per second, likewise.
    pub postbacks_per_second: f64,
    /// Clicks by those of one server in the same round, median of the rounds.
    pub clicks_by_one: f64,
    /// Postbacks, likewise.
    pub postbacks_by_one: f64,
}

/// One database at one number of connections.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Nodes {
    /// `postgres`.
    pub database: &'static str,
    /// Connections of all servers together.
    pub connections: usize,
    /// The numbers of servers.
    pub together: Vec<Together>,
}

/// Measures each number of servers in turns with one.
pub async fn measure(bench: &Bench<'_>) -> Result<Nodes, BenchError> {
    if bench.database == Database::Sqlite {
        return Ok(Nodes {
            database: name(bench.database),
            connections: 0,
            together: Vec::new(),
        });
    }
    let connections = bench.options.connections.first().map_or(64, |count| count.get());
    let most = bench
        .options
        .nodes
        .iter()
        .map(|count| count.get())
        .max()
        .unwrap_or(1);
    let servers: Vec<Server> = (0..most)
        .map(|node| {
            let differs = Differs {
                node,
                ..Differs::default()
            };
            bench.start(Served::Einklang, differs)
        })
        .collect::<Result<_, _>>()?;
    // Connections, statements, caches.
    rates(bench, &servers, connections).await?;
    let mut together = Vec::new();
    for count in &bench.options.nodes {
        let (mut of_all, mut of_one) = (Vec::new(), Vec::new());
        for round in 0..bench.options.rounds.get() {
            let all = servers.get(..usize::from(count.get())).unwrap_or_default();
            let one = servers.get(..1).unwrap_or_default();
            bench.say(connections, &format!("{count} servers, round {}", round + 1));
            of_one.push(rates(bench, one, connections).await?);
            of_all.push(rates(bench, all, connections).await?);
        }
        let by = |of: fn(&(f64, f64)) -> f64| {
            let pairs = of_all.iter().zip(&of_one);
            median(
                pairs
                    .map(|(all, one)| of(all) / of(one).max(f64::MIN_POSITIVE))
                    .collect(),
            )
        };
        together.push(Together {
            nodes: count.get(),
            clicks_per_second: median(of_all.iter().map(|rates| rates.0).collect()),
            postbacks_per_second: median(of_all.iter().map(|rates| rates.1).collect()),
            clicks_by_one: by(|rates| rates.0),
            postbacks_by_one: by(|rates| rates.1),
        });
    }
    for server in servers {
        server.stop()?;
    }
    Ok(Nodes {
        database: name(bench.database),
        connections,
        together,
    })
}

/// Clicks and then their postbacks per second, over all of these servers, with the rows counted before and after.
async fn rates(bench: &Bench<'_>, servers: &[Server], connections: usize) -> Result<(f64, f64), BenchError> {
    let before = bench.volume().await?;
    let share = (connections / servers.len().max(1)).max(1);
    let said = bench.options.signals.first().copied().unwrap_or(Said::Granted);
    let clicks = servers.iter().map(|server| {
        let kind = Kind::Click {
            signals: said.query(),
        };
        fire(plan(server, share, kind, bench.duration(), fresh_name()))
    });
    let clicks = futures_util::future::try_join_all(clicks).await?;
    let postbacks = servers.iter().zip(&clicks).map(|(server, fired)| {
        let kind = bench.postbacks(&fired.tokens);
        fire(plan(server, share, kind, bench.duration(), fresh_name()))
    });
    let postbacks = futures_util::future::try_join_all(postbacks).await?;
    let after = bench.volume().await?;
    for (what, fired, stored) in [
        ("clicks", &clicks, after.clicks - before.clicks),
        ("postbacks", &postbacks, after.conversions - before.conversions),
    ] {
        let acknowledged = fired.iter().map(|fired| fired.acknowledged).sum();
        if stored < acknowledged {
            return Err(BenchError::Missing {
                what,
                acknowledged,
                stored,
            });
        }
    }
    let sum = |fired: &[super::load::Fired]| fired.iter().map(super::load::Fired::per_second).sum();
    Ok((sum(&clicks), sum(&postbacks)))
}

impl Nodes {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for one in &self.together {
            // Writing into a string cannot fail.
            let _ = writeln!(
                text,
                "{}, {} connections over {} servers: {:.0} clicks/s ({:.2} of one), {:.0} postbacks/s ({:.2} of one)",
                self.database,
                self.connections,
                one.nodes,
                one.clicks_per_second,
                one.clicks_by_one,
                one.postbacks_per_second,
                one.postbacks_by_one
            );
        }
        text
    }
}
