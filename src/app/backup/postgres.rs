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
use crate::store::scoped::EVERY_TENANT;

/// Tables whose rows the data must not hold: what stands in the half with salts and keys.
const WITHOUT_ROWS: [&str; 2] = ["vault.*", "public.wrapped_key"];

/// Copies the database as it stands at one moment.
pub(super) async fn copy(config: &Config, target: &Target<'_>) -> Result<Copied, BackupError> {
    let mut snapshot = Snapshot::of(&config.database_url).await?;
    let facts = snapshot.facts().await?;
    let mut data = target.begin(Half::Data)?;
    dump(config, &snapshot, &mut data)?;
    let data = target.end(data, Half::Data)?;
    let mut keys = target.begin(Half::Keys)?;
    snapshot.write_keys(&mut keys).await?;
    let keys = target.end(keys, Half::Keys)?;
    snapshot.close().await?;
    Ok(Copied { facts, data, keys })
}

fn dump(config: &Config, snapshot: &Snapshot, to: &mut impl io::Write) -> Result<(), BackupError> {
    let (mut command, program) = tool(config, snapshot.url(), "pg_dump");
    command.args([
        "--format=custom",
        "--no-owner",
        "--no-privileges",
        "--no-password",
        // Otherwise it refuses to read what the second wall stands before, for the owner too.
        "--enable-row-security",
    ]);
    command.arg(format!("--snapshot={}", snapshot.id()));
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

/// Brings the data back into an empty database, by a URL that names one host.
pub(super) fn bring_back(config: &Config, url: &str, from: &mut impl Read) -> Result<(), BackupError> {
    let (mut command, program) = tool(config, url, "pg_restore");
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

/// A tool that speaks to the database at a URL.
fn tool(config: &Config, url: &str, name: &str) -> (Command, PathBuf) {
    let folder = config.backup.pg_bin_dir.as_ref();
    let program = folder.map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
    let mut command = Command::new(&program);
    let mut address = url.to_owned();
    if let Ok(mut url) = Url::parse(url) {
        if let Some(password) = url.password() {
            let password = percent_encoding::percent_decode_str(password).decode_utf8_lossy();
            command.env("PGPASSWORD", password.as_ref());
        }
        // Fails only for addresses that have no place for one.
        let _ = url.set_password(None);
        address = for_every_tenant(url).into();
    }
    command.arg(format!("--dbname={address}"));
    let given = std::env::var("PGOPTIONS").unwrap_or_default();
    command.env("PGOPTIONS", with_every_tenant(&given));
    (command, program)
}

/// Options of a connection, and that it is for every tenant: behind the second wall a copy of nobody's rows would look like
/// one of an empty database.
fn with_every_tenant(given: &str) -> String {
    let (setting, every) = EVERY_TENANT;
    format!("{given} -c {setting}={every}").trim_start().to_owned()
}

/// An address that names options itself makes the tools forget those of the environment.
fn for_every_tenant(mut url: Url) -> Url {
    if !url.query_pairs().any(|(name, _)| name == "options") {
        return url;
    }
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let texts = pairs.iter().map(|(name, value)| {
        let value = if name == "options" {
            with_every_tenant(value)
        } else {
            value.clone()
        };
        // A plus sign is no blank to these tools.
        let encoded = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
        };
        format!("{}={}", encoded(name), encoded(&value))
    });
    let query = texts.collect::<Vec<_>>().join("&");
    url.set_query(Some(&query));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_in_the_address_do_not_hide_that_it_is_for_every_tenant() {
        let plain: Url = "postgres://a@db/e?sslmode=require".parse().unwrap();
        assert_eq!(for_every_tenant(plain.clone()), plain);
        let own: Url = "postgres://a@db/e?options=-c%20geqo%3Doff&connect_timeout=3"
            .parse()
            .unwrap();
        let pairs: Vec<_> = for_every_tenant(own).query_pairs().into_owned().collect();
        assert_eq!(pairs[0].1, "-c geqo=off -c einklang.tenant=all");
        assert_eq!(pairs[1], ("connect_timeout".to_owned(), "3".to_owned()));
        assert_eq!(with_every_tenant(""), "-c einklang.tenant=all");
    }
}
