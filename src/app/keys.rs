//! `einklang keys`: which keys there are, and their rotation while servers run.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::config::Config;
use super::key_file::KeyFileError;
use super::production::{self, Unsafe};
use super::root_key;
use super::system::{SystemClock, SystemEntropy};
use super::wire::{self, StartError};
use crate::domain::keys::epoch_name;
use crate::flow::FlowError;
use crate::flow::keys::{KeySheet, KeysFlow};
use crate::flow::rotation::{NewToken, RotationFlow};
use crate::store::StoreError;
use crate::store::key_use::RotationRow;

/// How often a rotation that the database turns away is tried.
const ATTEMPTS: usize = 4;

/// What is to be rotated.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Rotate {
    /// Put the database under the configured root key; the one before has to be among `root_other_key_files`.
    #[arg(long)]
    root: bool,
    /// Replace this tenant's key, and wrap it by the root key that the tenant has now; may be repeated.
    #[arg(long, value_name = "SLUG")]
    tenant: Vec<String>,
    /// Make every tenant, or with `--tenant` these, another key for tracking tokens.
    #[arg(long)]
    token: bool,
    /// All of it, for every tenant.
    #[arg(long, conflicts_with_all = ["root", "tenant", "token"])]
    all: bool,
}

/// Why nothing was listed or rotated.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// It is not said what.
    #[error("Say what to rotate: --root, --tenant SLUG, --token or --all.")]
    Nothing,
    /// No such tenant.
    #[error("There is no tenant {0}.")]
    NoTenant(String),
    /// A root key is not here.
    #[error(
        "A root key that is needed is not here: {0}. Name its file in root_other_key_files, or in tenant_root_keys if it \
         is a tenant's own."
    )]
    Locked(String),
    /// The new root key's file.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The database did not open.
    #[error(transparent)]
    Start(#[from] StartError),
    /// An unsafe default that production does not take.
    #[error(transparent)]
    Unsafe(#[from] Unsafe),
    /// The database failed.
    #[error("The database failed; what was done stays done, and the same command goes on from there: {0}")]
    Flow(#[source] FlowError),
    /// The output is closed.
    #[error("Standard output cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

/// Makes a root key in a new file.
pub fn make_root(path: &Path, as_json: bool) -> Result<String, KeysError> {
    let name = root_key::make(path, &SystemEntropy)?;
    if as_json {
        return Ok(format!("{}\n", json!({"root_key": name})));
    }
    Ok(format!(
        "Made root key {name} in {}. Keep a copy where the database's backups are not: without it they cannot be read.\n",
        path.display()
    ))
}

/// Lists all keys: names, numbers, times.
pub async fn list(config: &Config, as_json: bool) -> Result<String, KeysError> {
    let (store, live) = wire::open(config, Arc::new(SystemClock), Arc::new(SystemEntropy)).await?;
    let tenants = RotationFlow::new(Arc::clone(&live)).tenants();
    let sheet = KeysFlow::new(live).all().await.map_err(KeysError::Flow)?;
    store.close().await;
    let slug = |tenant: i64| {
        let found = tenants.iter().find(|(number, _)| *number == tenant);
        found.map_or("", |(_, slug)| slug.as_str())
    };
    Ok(if as_json {
        format!("{}\n", as_object(&sheet, &slug))
    } else {
        as_lines(&sheet, &slug)
    })
}

fn as_object<'a>(sheet: &KeySheet, slug: &dyn Fn(i64) -> &'a str) -> Value {
    json!({
        "roots": sheet.roots.iter().map(|root| json!({
            "name": root.name, "primary": root.primary, "present": root.present, "wraps": root.wraps,
        })).collect::<Vec<_>>(),
        "keys": sheet.keys.iter().map(|key| json!({
            "tenant": slug(key.tenant), "purpose": key.purpose, "number": key.number, "state": key.state,
            "wrapped_by": key.wrapped_by, "created_at_ms": key.created_at_ms, "uses": key.uses,
        })).collect::<Vec<_>>(),
        "rotations": sheet.rotations.iter().map(|one| rotation_object(one, slug(one.tenant))).collect::<Vec<_>>(),
    })
}

fn rotation_object(one: &RotationRow, slug: &str) -> Value {
    json!({
        "kind": one.kind, "tenant": slug, "from": one.from, "to": one.to, "done": one.done, "total": one.total,
        "started_at_ms": one.started_at_ms, "ended_at_ms": one.ended_at_ms,
    })
}

fn as_lines<'a>(sheet: &KeySheet, slug: &dyn Fn(i64) -> &'a str) -> String {
    let mut lines = String::new();
    // Writing into a string cannot fail.
    for root in &sheet.roots {
        let state = if root.primary { "primary" } else { "other" };
        let missing = if root.present { "" } else { ", not here" };
        let _ = writeln!(
            lines,
            "{:<20} {:<12} {:<18} {state}, wraps {} tenant keys{missing}",
            "(server)", "root", root.name, root.wraps
        );
    }
    for key in &sheet.keys {
        let number = match key.purpose.as_str() {
            "epoch" => epoch_name(key.number),
            _ => key.number.to_string(),
        };
        let uses = key
            .uses
            .map(|uses| format!(", used {uses} times"))
            .unwrap_or_default();
        let _ = writeln!(
            lines,
            "{:<20} {:<12} {number:<18} {}, wrapped by {}{uses}",
            slug(key.tenant),
            key.purpose,
            key.state,
            key.wrapped_by
        );
    }
    for one in sheet.rotations.iter().filter(|one| one.ended_at_ms.is_none()) {
        let whose = if one.tenant == 0 {
            "(server)"
        } else {
            slug(one.tenant)
        };
        let _ = writeln!(
            lines,
            "{whose:<20} {:<12} {} -> {}: {} of {} wrapped anew, not ended; run it again",
            one.kind, one.from, one.to, one.done, one.total
        );
    }
    lines
}

/// What was done, for the end.
#[derive(Default)]
struct Done {
    lines: String,
    objects: Vec<Value>,
}

/// Rotates. With JSON each transaction is a line on standard output; else a terminal sees how far it is.
pub async fn rotate(config: &Config, what: &Rotate, as_json: bool) -> Result<String, KeysError> {
    if !(what.root || what.token || what.all) && what.tenant.is_empty() {
        return Err(KeysError::Nothing);
    }
    production::check_config(config)?;
    let (store, live) = wire::open(config, Arc::new(SystemClock), Arc::new(SystemEntropy)).await?;
    let flow = RotationFlow::new(Arc::clone(&live));
    let done = run(&flow, what, as_json).await;
    drop((flow, live));
    store.close().await;
    let done = done?;
    Ok(if as_json {
        format!("{}\n", json!({"rotated": done.objects}))
    } else {
        done.lines
    })
}

async fn run(flow: &RotationFlow, what: &Rotate, as_json: bool) -> Result<Done, KeysError> {
    let mut done = Done::default();
    let tell = |one: &RotationRow| tell(one, as_json);
    let all = flow.tenants();
    let mut named = Vec::new();
    for slug in &what.tenant {
        let found = all.iter().find(|(_, other)| other == slug);
        named.push(found.cloned().ok_or_else(|| KeysError::NoTenant(slug.clone()))?);
    }
    if what.root || what.all {
        match again(|| flow.root(&tell))
            .await
            .map_err(|error| locked(error, "the root key before"))?
        {
            Some(rotation) => done.rotation(&rotation, "(server)"),
            None => done
                .lines
                .push_str("The database is under the configured root key already.\n"),
        }
    }
    // With --token, a tenant is named to make token keys for it alone.
    let wraps = if what.all {
        &all
    } else if what.token {
        &Vec::new()
    } else {
        &named
    };
    for (number, slug) in wraps {
        let rotated = again(|| flow.tenant(*number, &tell)).await;
        done.rotation(&rotated.map_err(|error| locked(error, slug))?, slug);
    }
    if what.token || what.all {
        let whose = if named.is_empty() { &all } else { &named };
        for (number, slug) in whose {
            let made = again(|| flow.token(*number)).await;
            done.token(made.map_err(|error| locked(error, slug))?, slug);
        }
    }
    Ok(done)
}

/// Tries again what goes on from where it was. A busy SQLite file lets other processes wait in no order, so that one may be
/// turned away though there is nothing wrong.
async fn again<T, F: Future<Output = Result<T, FlowError>>>(attempt: impl Fn() -> F) -> Result<T, FlowError> {
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(FlowError::Store(
                error @ (StoreError::Database(_) | StoreError::Driver(_) | StoreError::Raced),
            )) => {
                tracing::warn!(%error, "a rotation is tried again");
            }
            other => return other,
        }
    }
    attempt().await
}

fn locked(error: FlowError, what: &str) -> KeysError {
    match error {
        FlowError::Refused(_) => KeysError::Locked(what.to_owned()),
        other => KeysError::Flow(other),
    }
}

fn tell(one: &RotationRow, as_json: bool) {
    // Progress that nobody reads any more is no reason to stop.
    if as_json {
        let mut out = std::io::stdout().lock();
        let line = json!({"kind": one.kind, "to": one.to, "done": one.done, "total": one.total, "ended": one.ended_at_ms.is_some()});
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    } else if std::io::stderr().is_terminal() {
        let end = if one.ended_at_ms.is_some() { "\n" } else { "" };
        let _ = write!(
            std::io::stderr(),
            "\r{} key {}: {} of {}{end}",
            one.kind,
            one.to,
            one.done,
            one.total
        );
    }
}

impl Done {
    fn rotation(&mut self, one: &RotationRow, slug: &str) {
        let milliseconds = one.ended_at_ms.unwrap_or(one.started_at_ms) - one.started_at_ms;
        let _ = writeln!(
            self.lines,
            "{slug}: {} key {} in place of {}, {} keys wrapped anew in {milliseconds} ms",
            one.kind, one.to, one.from, one.done
        );
        self.objects.push(rotation_object(one, slug));
    }

    fn token(&mut self, made: NewToken, slug: &str) {
        let (id, words) = match made {
            NewToken::Made(id) => (Some(id), format!("token key {id}, which seals in a minute")),
            NewToken::Waiting => (
                None,
                "a new token key is there and seals within a minute".to_owned(),
            ),
        };
        let _ = writeln!(self.lines, "{slug}: {words}");
        self.objects
            .push(json!({"kind": "token", "tenant": slug, "number": id}));
    }
}

/// `einklang keys …`, as far as it is about the database's keys.
#[derive(Debug, clap::Subcommand)]
pub enum KeysStep {
    /// List root keys, tenants' keys and rotations that have not ended.
    List,
    /// Replace keys while servers run; one that was killed goes on with the same command.
    Rotate(Rotate),
    /// Make a root key in a new file.
    MakeRoot {
        /// The file.
        file: PathBuf,
    },
}
