//! `einklang audit check` and `einklang audit checkpoint`: they need the database, and no running server.
//!
//! Promise: of the logs and tables they only read (opening the database brings its schema up to date, as for every
//! command), and nothing that they print is about a person.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::app::audit_guard::{FileGuard, GuardError};
use crate::app::audit_key::{self, AuditKeyError};
use crate::app::config::Config;
use crate::app::system::{SystemClock, SystemEntropy};
use crate::app::wire::{self, StartError};
use crate::audit::check::Finding;
use crate::audit::note::{public_pem, vkey};
use crate::domain::ids::TenantId;
use crate::flow::audit::check::{CheckFlow, CheckReport, Extent, LookedAt};
use crate::flow::audit::push::LatestCheckpoints;
use crate::flow::{FlowError, Live};
use crate::store::{Store, StoreError};

/// Why nothing was compared or printed.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The database did not open.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The database failed.
    #[error("The database failed: {0}")]
    Flow(#[from] FlowError),
    /// The same.
    #[error("The database failed: {0}")]
    Store(#[from] StoreError),
    /// The key that signs.
    #[error(transparent)]
    Key(#[from] AuditKeyError),
    /// The guard file.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// No such log, or nothing of it is signed.
    #[error("There is no signed checkpoint of the log {0}. `server` or a tenant's id (tnt_…) names a log.")]
    NoCheckpoint(String),
}

/// Something does not fit.
#[derive(Debug, thiserror::Error)]
#[error("{0} kinds of findings: the audit logs and the database do not fit together")]
pub struct Found(usize);

/// The search over an opened database.
pub async fn flow(config: &Config, store: &Store, live: Arc<Live>) -> Result<CheckFlow, AuditError> {
    let guard = FileGuard::open(&config.audit_guard_file)?;
    let public = audit_key::public(&config.audit_key_file, store).await?;
    let name = config.audit_name.clone();
    Ok(CheckFlow::new(live, name, public, Arc::new(guard)))
}

/// Compares everything; returns what there is to print, and whether all fitted.
pub async fn check(config: &Config, as_json: bool) -> Result<(String, Result<(), Found>), AuditError> {
    let (store, live) = wire::open(config, Arc::new(SystemClock), Arc::new(SystemEntropy)).await?;
    let flow = flow(config, &store, live).await?;
    let report = flow.run(Extent::default()).await?;
    let text = if as_json {
        format!("{}\n", as_object(&flow, &report))
    } else {
        as_lines(&flow, &report)
    };
    drop(flow);
    store.close().await;
    let kinds = report.findings.len();
    Ok((text, if kinds == 0 { Ok(()) } else { Err(Found(kinds)) }))
}

fn as_object(flow: &CheckFlow, report: &CheckReport) -> Value {
    let finding = |one: &Finding| {
        json!({
            "kind": one.kind.code(), "log": flow.tenant_text(one.tenant), "epoch": one.epoch, "index": one.index,
            "place": one.place, "count": one.count,
        })
    };
    json!({
        "outcome": if report.findings.is_empty() { "clean" } else { "findings" },
        "milliseconds": report.ended_at_ms - report.began_at_ms,
        "looked_at": counts(&report.looked_at).into_iter().map(|(name, count)| (name.to_owned(), json!(count)))
            .collect::<serde_json::Map<_, _>>(),
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn counts(at: &LookedAt) -> [(&'static str, u64); 9] {
    [
        ("logs", at.logs),
        ("entries", at.entries),
        ("waiting", at.waiting),
        ("tiles", at.tiles),
        ("checkpoints", at.checkpoints),
        ("clicks", at.clicks),
        ("conversions", at.conversions),
        ("consent_records", at.consent_records),
        ("objects", at.objects),
    ]
}

fn as_lines(flow: &CheckFlow, report: &CheckReport) -> String {
    let mut lines = String::new();
    // Writing into a string cannot fail.
    for (name, count) in counts(&report.looked_at) {
        let _ = writeln!(lines, "{name:<16} {count}");
    }
    let milliseconds = report.ended_at_ms - report.began_at_ms;
    let _ = writeln!(lines, "{:<16} {milliseconds}", "milliseconds");
    for one in &report.findings {
        let log = flow.tenant_text(one.tenant);
        let epoch = one
            .epoch
            .map(|epoch| format!(", epoch {epoch}"))
            .unwrap_or_default();
        let _ = writeln!(
            lines,
            "{} in the log of {log}{epoch}: {} ({} in all)",
            one.kind.code(),
            one.place,
            one.count
        );
    }
    if report.findings.is_empty() {
        lines.push_str("Everything fits together.\n");
    }
    lines
}

/// A log's latest checkpoint as it is to be printed.
pub async fn checkpoint(
    config: &Config,
    log: &str,
    email: bool,
    as_json: bool,
) -> Result<String, AuditError> {
    let (store, live) = wire::open(config, Arc::new(SystemClock), Arc::new(SystemEntropy)).await?;
    let public = audit_key::public(&config.audit_key_file, &store).await?;
    let missing = || AuditError::NoCheckpoint(log.to_owned());
    let number = if log == "server" {
        Some(0)
    } else {
        let id: TenantId = log.parse().map_err(|_| missing())?;
        let routing = live.routing();
        let mut tenants = routing.tenants.iter();
        tenants
            .find(|(_, one)| one.tenant.object.id == id.0)
            .map(|(number, _)| *number)
    };
    let latest = LatestCheckpoints::new(Arc::clone(&live)).all().await?;
    let found = latest.into_iter().find(|one| Some(one.tenant) == number);
    drop(live);
    store.close().await;
    let (found, public) = found.zip(public).ok_or_else(missing)?;
    if as_json {
        let object = json!({
            "origin": found.origin, "size": found.size, "note": found.note,
            "vkey": vkey(&found.origin, &public), "public_key": public_pem(&public),
        });
        return Ok(format!("{object}\n"));
    }
    if !email {
        return Ok(found.note);
    }
    let (origin, size) = (&found.origin, found.size);
    Ok(format!(
        "Subject: Audit checkpoint of {origin}: {size} entries\n\n\
         This is a signed state of the audit log {origin}. It says that the log has {size} entries and which root\n\
         stands for them. Please keep it: with it you, or anybody you trust, can show later that no entry before it\n\
         was changed or taken away, without having to trust the server that keeps the log.\n\n\
         To verify the signature, save the block below as it is and give it, with the verifier key, to any program\n\
         for signed notes (C2SP signed-note). `einklang audit verify` holds an export of the log against it.\n\n\
         Verifier key:\n\n{}\n\nPublic key:\n\n{}\n\
         Compare both with what you were given before: a key that arrives with its own signature proves nothing.\n\n\
         Checkpoint:\n\n{}",
        vkey(origin, &public),
        public_pem(&public),
        found.note
    ))
}
