//! `einklang apply FILE`: brings the database to what a provisioning file asks for.
//!
//! A server that runs on the same database follows within a second. Secrets that were made are printed once, on
//! standard output with the rest, so that `--json` can be piped to where they are kept.

use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::config::Config;
use super::production::{self, Unsafe};
use super::system::{SystemClock, SystemEntropy};
use super::wire::{self, StartError};
use crate::domain::provision::{ProvisionError, parse};
use crate::flow::FlowError;
use crate::flow::objects::ObjectsFlow;
use crate::flow::provision::{Applied, ApplyError, ProvisionFlow};

/// Why a file was not applied. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{0} cannot be read: {1}")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// It has a fault.
    #[error("{0}, {1}")]
    Fault(PathBuf, #[source] ProvisionError),
    /// The database did not open.
    #[error(transparent)]
    Start(#[from] StartError),
    /// An unsafe default that production does not take.
    #[error(transparent)]
    Unsafe(#[from] Unsafe),
    /// The database failed.
    #[error("The database failed, and nothing was applied: {0}")]
    Flow(#[from] FlowError),
}

/// Applies a file (`-`: standard input) and returns what there is to print.
pub async fn apply(config: &Config, path: &Path, as_json: bool) -> Result<Zeroizing<String>, FileError> {
    production::check_config(config)?;
    let text = read(path).map_err(|error| FileError::Unreadable(path.to_owned(), error))?;
    let fault = |error| FileError::Fault(path.to_owned(), error);
    let provision = parse(&text).map_err(fault)?;
    let (store, live) = wire::open(config, Arc::new(SystemClock), Arc::new(SystemEntropy)).await?;
    let given = config.operator_key.clone().map(Zeroizing::new);
    let operator_key = ObjectsFlow::new(Arc::clone(&live))
        .create_operator_key(given)
        .await?;
    let applied = match ProvisionFlow::new(Arc::clone(&live)).apply(&provision).await {
        Ok(applied) => applied,
        Err(ApplyError::File(error)) => return Err(fault(error)),
        Err(ApplyError::Flow(error)) => return Err(error.into()),
    };
    drop(live);
    store.close().await;
    let operator_key = operator_key.as_deref().map(String::as_str);
    Ok(Zeroizing::new(if as_json {
        as_object(operator_key, &applied)
    } else {
        as_lines(operator_key, &applied)
    }))
}

fn read(path: &Path) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        std::fs::File::open(path)?.read_to_string(&mut text)?;
    }
    Ok(text)
}

fn as_object(operator_key: Option<&str>, applied: &[Applied]) -> String {
    let object = |one: &Applied| {
        let mut object = json!({"kind": one.kind, "name": one.name, "effect": one.effect.code()});
        if let (Some((what, text)), Some(members)) = (&one.made, object.as_object_mut()) {
            members.insert((*what).to_owned(), Value::from(text.as_str()));
        }
        object
    };
    let mut answer = json!({"objects": applied.iter().map(object).collect::<Vec<_>>()});
    if let (Some(key), Some(members)) = (operator_key, answer.as_object_mut()) {
        members.insert("operator_key".to_owned(), Value::from(key));
    }
    format!("{answer}\n")
}

fn as_lines(operator_key: Option<&str>, applied: &[Applied]) -> String {
    let mut lines = String::new();
    for one in applied {
        // Writing into a string cannot fail.
        let _ = write!(lines, "{:<10} {:<9} {}", one.effect.code(), one.kind, one.name);
        if let Some((what, text)) = &one.made {
            let _ = write!(lines, "\n           {what}: {}", **text);
        }
        lines.push('\n');
    }
    if let Some(key) = operator_key {
        let _ = writeln!(lines, "created    operator's key\n           api_key: {key}");
    }
    if operator_key.is_some() || applied.iter().any(|one| one.made.is_some()) {
        lines.push_str("\nKeys are shown this once; only their digests are kept.\n");
    }
    lines
}
