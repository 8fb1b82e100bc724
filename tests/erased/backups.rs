//! Backups as whoever has every key that is left reads them: each file as it lies there, opened, and restored.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use einklang::app::backup::kept::{Backup, name_of};
use einklang::app::config::{Config, Options, sqlite_url};
use einklang::domain::stream::Half;
use serde_json::Value;

use crate::binary::einklang;
use crate::ledger::{Reader, execute};
use crate::needles::files;
use crate::{Run, postgres};

/// What keys and journals are called; a restore needs them beside its place.
const KEPT_APART: [&str; 6] = [
    "root.key",
    "audit.key",
    "backup.key",
    "journal.key",
    "audit-guard.json",
    "journal",
];
/// What stands in a backup and is nobody's: if it is not found, nothing was searched.
pub const PLANTED: &str = "KnrPlantedInTheDatabaseVgl";

fn json(mut command: Command) -> Value {
    let output = command.output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The options that every command about a database has.
fn options(url: &str) -> [String; 2] {
    let tools = postgres_tools(url);
    [format!("--database-url={url}"), format!("--pg-bin-dir={tools}")]
}

fn postgres_tools(url: &str) -> String {
    if url.starts_with("sqlite:") {
        return "unused".to_owned();
    }
    postgres::binaries().display().to_string()
}

/// Puts a text where a backup has to have it.
pub async fn plant(url: &str) {
    execute(url, "CREATE TABLE planted (words TEXT)").await;
    execute(url, &format!("INSERT INTO planted VALUES ('{PLANTED}')")).await;
}

/// `einklang backup`.
pub fn take(run: &Run) -> PathBuf {
    let mut command = einklang(&run.folder(), ["backup", "backups", "--json"]);
    command.args(options(&run.url));
    let made = json(command);
    run.folder().join(made["backup"].as_str().expect("a path"))
}

/// Every byte of a backup: as it lies there, and opened with the keys that are left.
pub fn opened(run: &Run, backup: &Path) -> BTreeMap<String, Vec<u8>> {
    let config = Config::load(Options {
        data_dir: Some(run.place.data()),
        ..Options::default()
    });
    let config = config.expect("a configuration");
    let opened = Backup::open(&config, backup).expect("ours");
    let mut contents = files(backup);
    for half in [Half::Data, Half::Keys] {
        let mut bytes = Vec::new();
        let mut opening = opened.opening(half).expect("there");
        opening.read_to_end(&mut bytes).expect("it opens");
        opened.end(opening, half).expect("whole");
        if half == Half::Data && !run.url.starts_with("sqlite:") {
            contents.insert("data as text".to_owned(), as_text(&run.folder(), &bytes));
        }
        contents.insert(format!("{} opened", name_of(half)), bytes);
    }
    contents
}

/// What `pg_dump` wrote is compressed; this is what its rows say.
fn as_text(folder: &Path, dump: &[u8]) -> Vec<u8> {
    let path = folder.join("opened.dump");
    fs::write(&path, dump).expect("written");
    let mut tool = Command::new(postgres::binaries().join("pg_restore"));
    let output = tool.arg("--file=-").arg(&path).output().expect("it runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    fs::remove_file(&path).expect("removed");
    output.stdout
}

/// Removes every backup.
pub fn remove_all(run: &Run) {
    let args = ["backup", "prune", "backups", "--json"];
    let mut command = einklang(&run.folder(), args);
    command.args(["--keys-older-than=0", "--data-older-than=0"]);
    command.args(options(&run.url));
    assert_eq!(json(command)["left"], 0);
}

/// An installation that a backup was restored into.
pub struct Restored {
    /// Its data folder.
    pub data: PathBuf,
    /// Its database.
    pub url: String,
}

/// `einklang restore` into another place below the same folder, with every key that is left.
pub async fn restore(run: &Run, backup: &Path) -> Restored {
    let folder = run.folder().join("restored");
    let data = folder.join("data");
    fs::create_dir_all(data.join("journal")).expect("made");
    for name in KEPT_APART {
        let from = run.place.data().join(name);
        let entries = if from.is_dir() {
            files(&from)
        } else {
            BTreeMap::new()
        };
        for (file, bytes) in entries {
            fs::write(data.join(name).join(file), bytes).expect("copied");
        }
        if from.is_file() {
            fs::copy(&from, data.join(name)).expect("copied");
        }
    }
    let url = if run.url.starts_with("sqlite:") {
        sqlite_url(&data)
    } else {
        let url = postgres::create_database().await;
        for sql in [
            "DROP SCHEMA IF EXISTS vault CASCADE",
            "DROP SCHEMA public CASCADE",
            "CREATE SCHEMA public",
        ] {
            execute(&url, sql).await;
        }
        url
    };
    let mut command = einklang(&folder, ["restore", "--json"]);
    command.arg(backup).args(options(&url));
    let told = json(command);
    assert_eq!(
        (&told["erased_again"], &told["unreadable"], &told["findings"]),
        (&0.into(), &0.into(), &serde_json::json!([])),
        "nobody who was erased stands in it: {told}"
    );
    Restored { data, url }
}

impl Restored {
    pub async fn reader(&self) -> Reader {
        Reader::open(&self.url).await
    }
}
