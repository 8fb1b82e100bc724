//! The command line.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use super::bench::{self, BenchOptions, ServeOptions};
use super::config::{Config, Options};
use super::serve;
use super::telemetry;
use crate::edge::openapi;

/// Server-to-server conversion tracking that enforces consent.
#[derive(Debug, Parser)]
#[command(name = "einklang", version, about)]
pub struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve clicks, postbacks and the API (the default).
    Serve,
    /// Measure durable clicks and postbacks per second beside a bare axum 302, on databases made for it.
    Bench(BenchOptions),
    /// One of the benchmark's servers.
    #[command(hide = true)]
    BenchServe(ServeOptions),
    /// Print the OpenAPI document.
    Openapi,
    /// Print a shell's completion script.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Runs a command line; errors are one sentence on standard error and exit code 1.
pub fn run(cli: Cli) -> ExitCode {
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("einklang: {error}");
            ExitCode::FAILURE
        }
    }
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[expect(clippy::print_stdout, reason = "what these commands print is their result")]
fn dispatch(cli: Cli) -> Outcome {
    match cli.command.unwrap_or(Command::Serve) {
        Command::Openapi => print!("{}", openapi::text()),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "einklang", &mut std::io::stdout());
        }
        Command::Bench(options) => {
            // Its result is the report; what the databases say while they are made is not.
            let quiet = Some(cli.options.log.clone().unwrap_or_else(|| "warn".to_owned()));
            let config = Config::load(Options { log: quiet, ..cli.options })?;
            telemetry::log(&config.log, config.log_format);
            runtime(&config)?.block_on(bench::run(config, options))?;
        }
        Command::BenchServe(options) => {
            let config = Config::load(cli.options)?;
            telemetry::log(&config.log, config.log_format);
            runtime(&config)?.block_on(bench::serve_child(config, options.kind))?;
        }
        Command::Serve => {
            let config = Config::load(cli.options)?;
            telemetry::log(&config.log, config.log_format);
            runtime(&config)?.block_on(serve::serve(config, async |_| Ok(())))?;
        }
    }
    Ok(())
}

fn runtime(config: &Config) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = config.workers {
        builder.worker_threads(workers.get());
    }
    builder.enable_all().build()
}
