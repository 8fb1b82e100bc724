//! The command line.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use super::audit::AuditStep;
use super::backup::restore::RestoreOptions;
use super::backup::{self, BackupOptions, BackupStep};
use super::bench::{self, BenchOptions, ServeOptions};
use super::config::{Config, Options};
use super::demo::{self, DemoOptions};
use super::erase::{self, EraseOptions};
use super::migrate::{self, Step};
use super::system::SystemClock;
use super::{apply, audit, consent, doctor, first_run, keys, purge, serve, signal, telemetry, token_key};
use crate::edge::openapi;
use crate::flow::Clock;

/// Server-to-server conversion tracking that enforces consent.
#[derive(Debug, Parser)]
#[command(name = "einklang", version, about)]
pub struct Cli {
    #[command(flatten)]
    options: Options,
    /// Print results as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve clicks, postbacks and the API (the default).
    Serve,
    /// Serve with a seeded tenant, weeks of traffic and a small shop beside it, in a data folder of its own [default: ./demo-data].
    Demo {
        #[command(flatten)]
        demo: DemoOptions,
    },
    /// Create and change tenants and what they configure, as a TOML file says.
    Apply {
        /// The file; `-` is standard input.
        file: PathBuf,
    },
    /// Erase a person, with everything that hangs on their clicks; what names them is read from standard input where it is `-`.
    Erase(EraseOptions),
    /// Look at the database's schema, or bring it up to date.
    Migrate {
        #[command(subcommand)]
        step: Step,
    },
    /// Measure durable clicks and postbacks per second beside a bare axum 302, on databases made for it.
    Bench(BenchOptions),
    /// One of the benchmark's servers.
    #[command(hide = true)]
    BenchServe(ServeOptions),
    /// Look into consent signals.
    Signal {
        #[command(subcommand)]
        step: SignalStep,
    },
    /// Look into consent records.
    Consent {
        #[command(subcommand)]
        step: ConsentStep,
    },
    /// Look into the audit logs, or verify what one gave away, offline and with its public key.
    Audit {
        #[command(subcommand)]
        step: AuditStep,
    },
    /// List, make and replace keys.
    Keys {
        #[command(subcommand)]
        step: KeysStep,
    },
    /// Copy the database, sealed, while the server runs: into a new backup in this folder.
    Backup(BackupOptions),
    /// Restore a backup into an empty place, and erase again whoever was erased since.
    Restore(RestoreOptions),
    /// Remove what has had its time, class by class; a server that runs does so by itself once a day.
    Purge {
        /// Say what would be removed, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Run every check of this installation, one by one; fails if any does.
    Doctor,
    /// Print the OpenAPI document.
    Openapi,
    /// Print a shell's completion script.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
enum SignalStep {
    /// Say of each JSON line on standard input what its signal holds, as a JSON line on standard output.
    Decode,
}

#[derive(Debug, Subcommand)]
enum KeysStep {
    #[command(flatten)]
    Data(keys::KeysStep),
    /// Make another key that signs tokens; the one before goes on verifying. Takes effect at the next start.
    RotateSigning,
}

#[derive(Debug, Subcommand)]
enum ConsentStep {
    /// Make every recorded decision again and report where it comes out differently; fails if it does anywhere.
    Replay {
        /// Count besides what this policy would have decided: a TOML file with the fields of a policy.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
}

/// Runs a command line; errors are one sentence on standard error and exit code 1.
pub fn run(cli: Cli) -> ExitCode {
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("einklang: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// An error with what caused it, each text once.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn dispatch(
    Cli {
        options,
        json,
        command,
    }: Cli,
) -> Outcome {
    match command.unwrap_or(Command::Serve) {
        Command::Signal {
            step: SignalStep::Decode,
        } => {
            let now_s = SystemClock.now_ms().div_euclid(1_000);
            signal::decode(std::io::stdin().lock(), std::io::stdout().lock(), now_s)?;
        }
        Command::Consent {
            step: ConsentStep::Replay { policy },
        } => {
            let config = Config::load(options)?;
            let (text, outcome) =
                start(&config)?.block_on(consent::replay(&config, policy.as_deref(), json))?;
            print(&text)?;
            outcome?;
        }
        Command::Audit { step } => {
            if let AuditStep::Offline(step) = step {
                let (text, verdict) = audit::run(&step, json)?;
                print(&text)?;
                return Ok(verdict?);
            }
            let config = Config::load(options)?;
            audit_step(&config, step, json)?;
        }
        Command::Purge { dry_run } => purge_step(&Config::load(options)?, dry_run, json)?,
        Command::Doctor => doctor_step(&Config::load(options)?, json)?,
        Command::Keys { step } => keys_step(&Config::load(options)?, &step, json)?,
        Command::Backup(backup) => backup_step(&Config::load(options)?, backup, json)?,
        Command::Restore(restore) => restore_step(options, &restore, json)?,
        Command::Openapi => print(&openapi::text())?,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "einklang", &mut std::io::stdout());
        }
        Command::Bench(bench) => {
            // Its result is the report; what the databases say while they are made is not.
            let log = options.log.clone().unwrap_or_else(|| "warn".to_owned());
            let config = Config::load(Options {
                log: Some(log),
                ..options
            })?;
            print(&start(&config)?.block_on(bench::run(config, bench, json))?)?;
        }
        Command::BenchServe(bench) => {
            let config = Config::load(options)?;
            start(&config)?.block_on(bench::serve_child(config, bench))?;
        }
        Command::Serve => {
            let config = Config::load(options)?;
            let runtime = start(&config)?;
            let shown = config.clone();
            let prepare = async |app: &_, at| first_run::prepare(app, &shown, at, json).await;
            runtime.block_on(serve::serve(config, prepare))?;
        }
        Command::Demo { demo } => {
            let config = Config::load_with(options, "./demo-data")?;
            start(&config)?.block_on(demo::run(config, demo, json))?;
        }
        Command::Apply { file } => {
            let config = Config::load(options)?;
            print(&start(&config)?.block_on(apply::apply(&config, &file, json))?)?;
        }
        Command::Erase(whom) => erase_person(&Config::load(options)?, whom, json)?,
        Command::Migrate { step } => {
            let config = Config::load(options)?;
            print(&start(&config)?.block_on(migrate::migrate(&config, step, &SystemClock, json))?)?;
        }
    }
    Ok(())
}

fn doctor_step(config: &Config, json: bool) -> Outcome {
    let (text, outcome) = start(config)?.block_on(doctor::doctor(config, &SystemClock, json));
    print(&text)?;
    Ok(outcome?)
}

fn erase_person(config: &Config, whom: EraseOptions, json: bool) -> Outcome {
    print(&start(config)?.block_on(erase::erase(config, whom, json))?)?;
    Ok(())
}

fn keys_step(config: &Config, step: &KeysStep, json: bool) -> Outcome {
    match step {
        KeysStep::Data(keys::KeysStep::List) => print(&start(config)?.block_on(keys::list(config, json))?)?,
        KeysStep::Data(keys::KeysStep::Rotate(what)) => {
            print(&start(config)?.block_on(keys::rotate(config, what, json))?)?;
        }
        KeysStep::Data(keys::KeysStep::MakeRoot { file }) => print(&keys::make_root(file, json)?)?,
        KeysStep::RotateSigning => print(&start(config)?.block_on(token_key::replace(config, json))?)?,
    }
    Ok(())
}

fn backup_step(config: &Config, BackupOptions { folder, step }: BackupOptions, json: bool) -> Outcome {
    let runtime = start(config)?;
    let text = match (step, folder) {
        (Some(BackupStep::Verify { backup }), _) => backup::verify::verify(config, &backup, json)?,
        (
            Some(BackupStep::Prune {
                folder,
                keys_older_than,
                data_older_than,
            }),
            _,
        ) => {
            let lives = (keys_older_than, data_older_than);
            runtime.block_on(backup::prune::prune(config, &folder, lives, json))?
        }
        (None, Some(folder)) => runtime.block_on(backup::take::take(config, &folder, json))?,
        // The command line asks for one of both.
        (None, None) => String::new(),
    };
    Ok(print(&text)?)
}

fn restore_step(options: Options, restore: &RestoreOptions, json: bool) -> Outcome {
    let data_dir = restore.into.clone().or(options.data_dir.clone());
    let config = Config::load(Options { data_dir, ..options })?;
    let restored = start(&config)?.block_on(backup::restore::restore(&config, restore))?;
    print(&restored.text(json))?;
    Ok(restored.verdict()?)
}

fn purge_step(config: &Config, dry_run: bool, json: bool) -> Outcome {
    print(&start(config)?.block_on(purge::purge(config, dry_run, json))?)?;
    Ok(())
}

fn audit_step(config: &Config, step: AuditStep, json: bool) -> Outcome {
    let runtime = start(config)?;
    match step {
        AuditStep::Check => {
            let (text, outcome) = runtime.block_on(audit::check::check(config, json))?;
            print(&text)?;
            outcome?;
        }
        AuditStep::Checkpoint { log, email } => {
            print(&runtime.block_on(audit::check::checkpoint(config, &log, email, json))?)?;
        }
        // Done before any configuration was read.
        AuditStep::Offline(_) => {}
    }
    Ok(())
}

fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Starts the log and the runtime.
fn start(config: &Config) -> std::io::Result<tokio::runtime::Runtime> {
    telemetry::log(&config.log, config.log_format);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = config.workers {
        builder.worker_threads(workers.get());
    }
    builder.enable_all().build()
}
