//! `einklang consent replay`: every recorded decision made again, and what another policy would have decided.
//!
//! Promise: of the records it only reads (opening the database brings its schema up to date, as for every command); that
//! it was done stands in each tenant's audit log, since what was sealed is opened for it. What it prints holds counts,
//! reasons and record ids, nothing about a person. A difference fails the command, so that a script notices.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::config::Config;
use super::system::{SystemClock, SystemEntropy};
use super::wire::{self, StartError};
use crate::domain::policy::Policy;
use crate::domain::record::{ACCEPTED, RecordKind};
use crate::flow::FlowError;
use crate::flow::records::replay::{ReplayFlow, ReplayReport, Simulation, Tally, outcome};

/// What the report says of what it cannot say.
const REFUSALS: &str = "Refused and dropped requests, and untracked clicks, leave nothing to replay.";

/// Why nothing was replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The policy file cannot be read.
    #[error("{0} cannot be read: {1}")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// It is no policy.
    #[error("{0} is not a policy: {1}")]
    NoPolicy(PathBuf, String),
    /// The database did not open.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The database failed.
    #[error("The database failed: {0}")]
    Flow(#[from] FlowError),
}

/// Some decisions come to something else.
#[derive(Debug, thiserror::Error)]
#[error("{0} of the recorded decisions come out differently with this version")]
pub struct Differs(u64);

/// Replays everything; returns what there is to print, and whether all was equal.
pub async fn replay(
    config: &Config,
    policy: Option<&Path>,
    as_json: bool,
) -> Result<(String, Result<(), Differs>), ReplayError> {
    let simulated = policy.map(read_policy).transpose()?;
    let (store, live) = wire::open(config, Arc::new(SystemClock), Arc::new(SystemEntropy)).await?;
    let bar = progress();
    let reports = ReplayFlow::new(live)
        .run(simulated.as_ref(), &|records| bar.inc(records))
        .await;
    bar.finish_and_clear();
    store.close().await;
    let reports = reports?;
    let text = if as_json {
        as_object(&reports)
    } else {
        as_lines(&reports)
    };
    let different = reports.iter().map(ReplayReport::different).sum();
    Ok((
        text,
        if different == 0 {
            Ok(())
        } else {
            Err(Differs(different))
        },
    ))
}

fn read_policy(path: &Path) -> Result<Policy, ReplayError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| ReplayError::Unreadable(path.to_owned(), error))?;
    let faulty = |words: String| ReplayError::NoPolicy(path.to_owned(), words);
    let policy: Policy = toml::from_str(&text).map_err(|error| faulty(error.message().to_owned()))?;
    policy.check().map_err(|fault| {
        let (field, words) = fault.parts();
        faulty(format!("{field} {words}"))
    })?;
    Ok(policy.normal())
}

/// Silent where standard error is no terminal.
fn progress() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {human_pos} records, {per_sec}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

fn as_object(reports: &[ReplayReport]) -> String {
    let tally = |tally: &Tally| {
        json!({
            "equal": tally.equal, "different": tally.different,
            "without_inputs": tally.without_inputs, "unreadable": tally.unreadable,
        })
    };
    let report = |report: &ReplayReport| {
        let kinds = report
            .tallies
            .iter()
            .map(|(kind, one)| (kind.code().to_owned(), tally(one)));
        let differences = report.differences.iter().map(|one| {
            json!({
                "id": one.id.to_string(), "kind": one.kind.code(), "policy_version": one.policy_version,
                "recorded": {"decision": outcome(one.kind, ACCEPTED), "reason": ACCEPTED, "bits": one.recorded_bits},
                "again": {"decision": outcome(one.kind, one.redone.reason), "reason": one.redone.reason,
                    "bits": one.redone.consent_bits},
            })
        });
        let mut object = json!({
            "tenant": report.tenant,
            "kinds": kinds.collect::<serde_json::Map<String, Value>>(),
            "differences": differences.collect::<Vec<_>>(),
        });
        if let (Some(simulation), Some(members)) = (&report.simulation, object.as_object_mut()) {
            members.insert("under_policy".to_owned(), simulated(simulation));
        }
        object
    };
    let tenants: Vec<Value> = reports.iter().map(report).collect();
    let different: u64 = reports.iter().map(ReplayReport::different).sum();
    format!(
        "{}\n",
        json!({"tenants": tenants, "different": different, "note": REFUSALS})
    )
}

fn simulated(simulation: &Simulation) -> Value {
    let row = |((kind, reason), count): (&(RecordKind, &str), &u64)| {
        json!({
            "kind": kind.code(), "before": outcome(*kind, ACCEPTED),
            "after": outcome(*kind, reason), "reason": reason, "records": count,
        })
    };
    json!({
        "rows": simulation.reasons.iter().map(row).collect::<Vec<_>>(),
        "read_for_another_vendor": simulation.other_vendor,
    })
}

fn as_lines(reports: &[ReplayReport]) -> String {
    let mut lines = String::new();
    for report in reports {
        // Writing into a string cannot fail.
        let _ = writeln!(lines, "{}", report.tenant);
        for (kind, tally) in &report.tallies {
            let Tally {
                equal,
                different,
                without_inputs,
                unreadable,
            } = tally;
            let _ = writeln!(
                lines,
                "  {:<9} {equal:>9} equal {different:>9} different {without_inputs:>9} without inputs \
                 {unreadable:>9} unreadable",
                kind.code()
            );
        }
        for one in &report.differences {
            let (before, after) = (outcome(one.kind, ACCEPTED), outcome(one.kind, one.redone.reason));
            let _ = writeln!(
                lines,
                "  {} (policy version {}): {before}, now {after} ({}); bits {}, now {}",
                one.id, one.policy_version, one.redone.reason, one.recorded_bits, one.redone.consent_bits
            );
        }
        if let Some(simulation) = &report.simulation {
            let _ = writeln!(lines, "  under the policy of the file:");
            for ((kind, reason), count) in &simulation.reasons {
                let (before, after) = (outcome(*kind, ACCEPTED), outcome(*kind, reason));
                let _ = writeln!(
                    lines,
                    "  {count:>9} {}: {before}, then {after} ({reason})",
                    kind.code()
                );
            }
            if simulation.other_vendor > 0 {
                let _ = writeln!(
                    lines,
                    "  {} of them with a TC string that was read for another vendor: it grants nothing to this one",
                    simulation.other_vendor
                );
            }
        }
    }
    lines.push_str(REFUSALS);
    lines.push('\n');
    lines
}
