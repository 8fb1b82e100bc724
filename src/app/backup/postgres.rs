//! PostgreSQL's own tools: `pg_dump` writes the data under our snapshot, `pg_restore` brings it back.
//!
//! The password goes to them through the environment, never as an argument that every user of the machine could read.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use url::Url;

use super::BackupError;
use super::take::{Copied, Target};
use crate::app::config::Config;
use crate::domain::stream::Half;
use crate::store::backup::postgres::Snapshot;

/// Tables whose rows the data must not hold: what stands in the half with salts and keys.
const WITHOUT_ROWS: [&str; 2] = ["vault.*", "public.wrapped_key"];

/// Copies the database as it stands at one moment.
pub(super) async fn copy(config: &Config, target: &Target<'_>) -> Result<Copied, BackupError> {
    let mut snapshot = Snapshot::of(&config.database_url).await?;
    let facts = snapshot.facts().await?;
    let mut data = target.begin(Half::Data)?;
    dump(config, snapshot.id(), &mut data)?;
    let data = target.end(data, Half::Data)?;
    let mut keys = target.begin(Half::Keys)?;
    snapshot.write_keys(&mut keys).await?;
    let keys = target.end(keys, Half::Keys)?;
    snapshot.close().await?;
    Ok(Copied { facts, data, keys })
}

fn dump(config: &Config, snapshot: &str, to: &mut impl io::Write) -> Result<(), BackupError> {
    let (mut command, program) = tool(config, "pg_dump");
    command.args([
        "--format=custom",
        "--no-owner",
        "--no-privileges",
        "--no-password",
    ]);
    command.arg(format!("--snapshot={snapshot}"));
    for table in WITHOUT_ROWS {
        command.arg(format!("--exclude-table-data={table}"));
    }
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| BackupError::Tool(program.clone(), error))?;
    let copied = match child.stdout.take() {
        Some(mut out) => io::copy(&mut out, to).map(|_| ()),
        None => Ok(()),
    };
    if copied.is_err() {
        // It would wait for ever for somebody to read on.
        let _ = child.kill();
    }
    let status = child
        .wait()
        .map_err(|error| BackupError::Tool(program.clone(), error))?;
    copied.map_err(crate::store::backup::CopyError::from)?;
    if status.success() {
        Ok(())
    } else {
        Err(BackupError::ToolFailed(program))
    }
}

/// Brings the data back into an empty database.
pub(super) fn bring_back(config: &Config, from: &mut impl Read) -> Result<(), BackupError> {
    let (mut command, program) = tool(config, "pg_restore");
    command.args([
        "--no-owner",
        "--no-privileges",
        "--no-password",
        "--exit-on-error",
    ]);
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let mut child = spawned.map_err(|error| BackupError::Tool(program.clone(), error))?;
    let copied = match child.stdin.take() {
        Some(mut to) => io::copy(from, &mut to).map(|_| ()),
        None => Ok(()),
    };
    let status = child
        .wait()
        .map_err(|error| BackupError::Tool(program.clone(), error))?;
    match copied {
        // What was read does not open: that is told first, whatever the tool made of it.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(crate::store::backup::CopyError::from(error).into())
        }
        Ok(()) if status.success() => Ok(()),
        _ => Err(BackupError::ToolFailed(program)),
    }
}

/// A tool that speaks to the configured database.
fn tool(config: &Config, name: &str) -> (Command, PathBuf) {
    let folder = config.backup.pg_bin_dir.as_ref();
    let program = folder.map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
    let mut command = Command::new(&program);
    let mut address = config.database_url.clone();
    if let Ok(mut url) = Url::parse(&address) {
        if let Some(password) = url.password() {
            let password = percent_encoding::percent_decode_str(password).decode_utf8_lossy();
            command.env("PGPASSWORD", password.as_ref());
        }
        // Fails only for addresses that have no place for one.
        let _ = url.set_password(None);
        address = url.into();
    }
    command.arg(format!("--dbname={address}"));
    (command, program)
}
