//! The servers under test: Einklang as it ships and a bare axum 302, each in a process of its own.
//!
//! Both are this very binary, started with a hidden subcommand, so that what is compared differs in what it does and in
//! nothing else: same build, same threads, same loopback. A child names its address on standard output and ends when its
//! standard input closes, so none outlives the benchmark.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{StatusCode, header};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::super::config::Config;
use super::super::system::{SystemClock, SystemEntropy};
use super::super::{serve, telemetry, wire};
use super::{BenchError, ServeOptions};
use crate::edge::listener::{self, Limits};
use crate::flow::Clock;

/// What a child serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Served {
    /// A constant 302 by axum alone.
    Bare,
    /// Einklang, everything switched on.
    Einklang,
}

/// The child's side: serves until standard input closes.
pub async fn serve_child(config: Config, options: ServeOptions) -> Result<(), BenchError> {
    let listener = TcpListener::bind(config.listen).await?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    stop_with_input(stop.clone());
    match options.kind {
        Served::Bare => {
            announce(address)?;
            let shutdown = stop.cancelled_owned();
            axum::serve(listener, bare())
                .with_graceful_shutdown(shutdown)
                .await?;
        }
        Served::Einklang => {
            // As in `serve`, without the management listener and with an input instead of signals.
            let _recording = telemetry::metrics();
            let clock = Behind::by_days(options.days_behind);
            let app = wire::build(&config, Arc::new(clock), Arc::new(SystemEntropy)).await?;
            let timers = serve::timers(Arc::clone(&app.live), Arc::clone(&app.gate), stop.clone());
            let keeping = serve::keep_logs(Arc::clone(&app.keeper), stop.clone());
            let (timers, keeping) = (tokio::spawn(timers), tokio::spawn(keeping));
            announce(address)?;
            listener::serve(
                listener,
                app.router.clone(),
                Limits::default(),
                stop.clone().cancelled_owned(),
            )
            .await?;
            stop.cancel();
            let _ = timers.await;
            let _ = keeping.await;
            app.stop().await;
        }
    }
    Ok(())
}

/// The measure of all things: no state, no layer, one constant answer.
fn bare() -> Router {
    const LANDING: [(header::HeaderName, &str); 1] =
        [(header::LOCATION, "https://shop.example/landing?utm_source=news")];
    Router::new().route(
        "/c/{link}",
        get(|| async { (StatusCode::FOUND, LANDING).into_response() }),
    )
}

fn announce(address: SocketAddr) -> std::io::Result<()> {
    let mut output = std::io::stdout();
    writeln!(output, "{address}")?;
    output.flush()
}

fn stop_with_input(stop: CancellationToken) {
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        // Closed or broken, either way nobody is there any more.
        let _ = std::io::stdin().read_to_end(&mut rest);
        stop.cancel();
    });
}

/// A clock that is some days behind: a benchmark fills days that are over.
pub struct Behind(i64);

impl Behind {
    /// So many days.
    pub fn by_days(days: u16) -> Self {
        Self(i64::from(days) * 86_400_000)
    }
}

impl Clock for Behind {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms() - self.0
    }
}

/// What is different about a child.
#[derive(Debug, Clone, Copy, Default)]
pub struct Differs<'a> {
    /// Another build of this program.
    pub program: Option<&'a Path>,
    /// Its node's number.
    pub node: u16,
    /// How many days its clock is behind.
    pub days_behind: u16,
}

/// A running child.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts a child.
    pub fn start(
        served: Served,
        differs: Differs<'_>,
        config: &Config,
        folder: &Path,
        database_url: &str,
    ) -> Result<Self, BenchError> {
        let mut command = match differs.program {
            Some(program) => Command::new(program),
            None => Command::new(std::env::current_exe()?),
        };
        // What is set for this process is not meant for the servers under test.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("EINKLANG_"))
        {
            command.env_remove(name);
        }
        let kind = match served {
            Served::Bare => "bare",
            Served::Einklang => "einklang",
        };
        command.args([
            "bench-serve",
            "--kind",
            kind,
            "--listen",
            "127.0.0.1:0",
            "--log",
            "warn",
        ]);
        command.arg("--data-dir").arg(folder);
        if differs.days_behind > 0 {
            command.arg("--days-behind").arg(differs.days_behind.to_string());
        }
        if differs.node > 0 {
            let guard = folder.join(format!("audit-guard-{}.json", differs.node));
            command.arg("--node").arg(differs.node.to_string());
            command.arg("--audit-guard-file").arg(guard);
        }
        // The generator is one caller; nobody would be in its place.
        command.arg("--requests-per-minute").arg(u32::MAX.to_string());
        // A password may stand in it, and command lines are for everybody to see.
        command.env("EINKLANG_DATABASE_URL", database_url);
        if let Some(workers) = config.workers {
            command.arg("--workers").arg(workers.to_string());
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        if let Ok(address) = line.trim().parse() {
            return Ok(Self { child, address });
        }
        let _ = child.kill();
        let _ = child.wait();
        Err(BenchError::DidNotStart(kind))
    }

    /// The child's process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Ends the child and waits until everything it had is written.
    pub fn stop(mut self) -> Result<(), BenchError> {
        drop(self.child.stdin.take());
        let ended = self.child.wait()?;
        if ended.success() {
            Ok(())
        } else {
            Err(BenchError::EndedBadly)
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `stop` it has ended and both do nothing.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
