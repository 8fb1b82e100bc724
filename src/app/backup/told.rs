//! What a restore says of itself, and of what it cannot know.

use std::fmt::Write as _;

use serde_json::json;

use super::manifest::time_text;
use crate::flow::restore::{Reopened, Replayed};

/// What was there and is not in any backup.
const UNKNOWN: &str = "\
A restore cannot know what was changed after the backup and stands in no journal. Look before you serve:
  keys and tokens that were revoked, users and roles that were changed or archived;
  policies, campaigns and shops as they were changed; restrictions and holds that were set;
  clicks, conversions and corrections since then, which are lost;
  erasures of the minutes in which the journal was written last and not copied, if this one is a copy.
";

/// What came of a restore.
#[derive(Debug)]
pub struct Restored {
    pub(super) into: String,
    pub(super) taken_at_ms: i64,
    pub(super) journal_lines: u64,
    pub(super) journal_clicks: usize,
    pub(super) journal_last_at_ms: Option<i64>,
    /// Rows that were purged again, of all tenants and classes together.
    pub(super) purged: u64,
    pub(super) gap: Option<String>,
    pub(super) logs: Vec<Reopened>,
    pub(super) replayed: Replayed,
    pub(super) findings: Vec<(&'static str, String, String)>,
}

/// The database is in its place, and something in it does not fit together.
#[derive(Debug, thiserror::Error)]
#[error(
    "the database is restored, but {0} kinds of findings say that its logs and tables do not fit together"
)]
pub struct Unsound(usize);

impl Restored {
    /// Whether everything fits together.
    pub fn verdict(&self) -> Result<(), Unsound> {
        match self.findings.len() {
            0 => Ok(()),
            kinds => Err(Unsound(kinds)),
        }
    }

    /// What there is to print.
    pub fn text(&self, as_json: bool) -> String {
        if as_json {
            self.as_object()
        } else {
            self.as_lines()
        }
    }

    fn as_object(&self) -> String {
        let log = |one: &Reopened| {
            json!({
                "log": one.log, "ended_epoch": one.ended.0, "ended_size": one.ended.1,
                "signed_epoch": one.signed.map(|signed| signed.0), "signed_size": one.signed.map(|signed| signed.1),
                "epoch": one.epoch,
            })
        };
        let finding =
            |(kind, log, place): &(&str, String, String)| json!({"kind": kind, "log": log, "place": place});
        let object = json!({
            "into": self.into,
            "taken_at_ms": self.taken_at_ms,
            "journal": {
                "whole": self.gap.is_none(), "gap": self.gap, "lines": self.journal_lines,
                "clicks": self.journal_clicks, "last_at_ms": self.journal_last_at_ms,
            },
            "erased_again": self.replayed.clicks,
            "purged_again": self.purged,
            "unreadable": self.replayed.unreadable,
            "suppressed_again": self.replayed.suppressed,
            "logs": self.logs.iter().map(log).collect::<Vec<_>>(),
            "findings": self.findings.iter().map(finding).collect::<Vec<_>>(),
        });
        format!("{object}\n")
    }

    fn as_lines(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, told: String| {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{name:<16} {told}");
        };
        line("restored", self.into.clone());
        line("as of", time_text(self.taken_at_ms));
        line(
            "journal",
            match (&self.gap, self.journal_last_at_ms) {
                (Some(gap), _) => format!("NOT WHOLE: {gap}"),
                (None, Some(last)) => format!(
                    "{} lines that name {} clicks, the last of {}",
                    self.journal_lines,
                    self.journal_clicks,
                    time_text(last)
                ),
                (None, None) => "empty".to_owned(),
            },
        );
        line("erased again", format!("{} clicks", self.replayed.clicks));
        if self.replayed.unreadable > 0 {
            let told = format!(
                "{} of them had no salt in the copy of the keys",
                self.replayed.unreadable
            );
            line("", told);
        }
        line("purged again", format!("{} rows", self.purged));
        line(
            "suppressed again",
            format!("{} entries", self.replayed.suppressed),
        );
        for log in &self.logs {
            line("log", log_line(log));
        }
        for (kind, log, place) in &self.findings {
            line("FINDING", format!("{kind} in the log of {log}: {place}"));
        }
        if self.findings.is_empty() {
            line("check", "everything fits together".to_owned());
        }
        text.push('\n');
        if self.gap.is_some() {
            text.push_str(
                "The erasure journal does not reach back to the backup: people who were erased since may be back, and \
                 nobody\ncan say who. Ask the tenants for what they were asked to erase, and erase it again.\n",
            );
        }
        text.push_str(UNKNOWN);
        text
    }
}

fn log_line(log: &Reopened) -> String {
    let (epoch, size) = log.ended;
    let lost = match log.signed {
        Some((signed_epoch, signed)) if signed_epoch == epoch && signed > size => {
            format!(", {} signed entries behind it are lost", signed - size)
        }
        Some((signed_epoch, _)) if signed_epoch > epoch => {
            format!(", and so are the epochs up to {signed_epoch}")
        }
        Some(_) => String::new(),
        None => ", and no guard file says what was signed since".to_owned(),
    };
    format!(
        "{}: epoch {epoch} ends at {size} entries{lost}; epoch {} is open",
        log.log, log.epoch
    )
}
