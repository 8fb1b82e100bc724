//! An installation on either database, its backups, and how its database gets lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use einklang::app::config::sqlite_url;
use serde_json::Value;

use crate::binary::einklang;
use crate::database::as_superuser;
use crate::holdings::Holdings;
use crate::ledger::{Reader, execute};
use crate::needles::files;
use crate::place::{Place, Server};
use crate::scan::Scanner;
use crate::{postgres, world};

/// A place with a database.
pub struct Setting {
    place: Place,
    url: String,
}

impl Setting {
    pub fn sqlite() -> Self {
        let place = Place::new();
        let url = sqlite_url(&place.data());
        Self { place, url }
    }

    pub async fn postgres() -> Self {
        let place = Place::new();
        let url = postgres::create_database().await;
        let setting = Self { place, url };
        let applied = setting.run(&["apply", "world.toml", "--operator-key", world::OPERATOR]);
        assert!(applied.status.success());
        setting
    }

    pub fn is_embedded(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    pub fn data(&self) -> PathBuf {
        self.place.data()
    }

    /// The folder that everything lies in.
    pub fn folder(&self) -> PathBuf {
        self.data().parent().expect("a folder").to_owned()
    }

    fn options(&self) -> Vec<String> {
        if self.is_embedded() {
            return Vec::new();
        }
        let tools = postgres::binaries();
        vec![
            format!("--database-url={}", self.url),
            format!("--pg-bin-dir={}", tools.display()),
        ]
    }

    pub fn serve(&self) -> Server {
        let options = self.options();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        self.place.serve(&options)
    }

    /// A command on this installation.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = einklang(&self.folder(), args);
        command.args(self.options());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary runs")
    }

    /// The JSON that a command that has to succeed prints.
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// What a command that has to fail says.
    pub fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(!output.status.success(), "{args:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Whether `doctor` finds the second wall where there has to be one.
    pub fn is_walled(&self) -> bool {
        let output = self.run(&["doctor", "--json"]);
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let checks = report["checks"].as_array().expect("checks");
        let wall = checks.iter().find(|check| check["check"] == "second_wall");
        match wall {
            Some(wall) => wall["state"] == "ok",
            None => self.url.starts_with("sqlite:"),
        }
    }

    /// Makes a backup, and verifies it.
    pub fn backup(&self) -> PathBuf {
        let made = self.json(&["backup", "backups", "--json"]);
        let path = self.folder().join(made["backup"].as_str().expect("a path"));
        self.json(&["backup", "verify", path.to_str().expect("text"), "--json"]);
        path
    }

    /// Restores a backup, and returns what that said.
    pub fn restored(&self, backup: &Path, more: &[&str]) -> Value {
        let backup = backup.to_str().expect("text");
        self.json(&[&["restore", backup, "--json"], more].concat())
    }

    pub async fn reader(&self) -> Reader {
        Reader::open(&self.url).await
    }

    pub async fn salts(&self) -> Vec<Vec<u8>> {
        self.reader().await.blobs("SELECT salt FROM click_salt").await
    }

    /// Conversions and what they are worth, as counted.
    pub async fn totals(&self) -> (i64, i64) {
        let reader = self.reader().await;
        let amount = "SELECT CAST(SUM(amount_minor) AS BIGINT) FROM stat_hour WHERE outcome = 'confirmed'";
        (
            reader.events("stat_hour", "outcome = 'confirmed'").await,
            reader.number(amount).await,
        )
    }

    /// What the database holds of people.
    pub async fn holdings(&self) -> Holdings {
        Holdings::of(&self.reader().await).await
    }

    /// How many of these are anywhere in any byte: of the folder, and on PostgreSQL of the server's files.
    pub async fn found(&self, these: &[Vec<u8>]) -> usize {
        let mut scanner = Scanner::default();
        for one in these {
            scanner.add("found", one);
        }
        let mut contents = files(&self.folder());
        if !self.is_embedded() {
            let reader = self.reader().await;
            let folder = reader.texts("SHOW data_directory").await.pop().expect("a folder");
            for (name, bytes) in files(Path::new(&folder)) {
                contents.insert(format!("postgresql/{name}"), bytes);
            }
        }
        scanner.search(&contents).get("found").map_or(0, |found| found.0)
    }

    /// What was in the lost database is in no log segment of the server's either, which has lost nothing but it.
    pub async fn forget_segments(&self) {
        if self.is_embedded() {
            return;
        }
        // What a server's own role may not do.
        let administrator = as_superuser(&self.url);
        for sql in [
            "ALTER SYSTEM SET wal_recycle = off",
            "SELECT pg_reload_conf()",
            "CHECKPOINT",
            "SELECT pg_switch_wal()",
            "CHECKPOINT",
            "CHECKPOINT",
        ] {
            execute(&administrator, sql).await;
        }
    }

    /// The database is gone, as if its disk had died.
    pub async fn lose_database(&self) {
        if self.is_embedded() {
            for ending in ["", "-wal", "-shm"] {
                let path = self.data().join(format!("einklang.db{ending}"));
                if path.exists() {
                    fs::remove_file(path).expect("removed");
                }
            }
            return;
        }
        // A restore that was killed may have left anything, in this database: other tests restore into theirs.
        for sql in [
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name IN ('pg_restore', 'einklang restore') AND datname = current_database()",
            "DROP SCHEMA IF EXISTS einklang_restoring CASCADE",
            "DROP SCHEMA IF EXISTS vault CASCADE",
            "DROP SCHEMA IF EXISTS public CASCADE",
            "CREATE SCHEMA public",
        ] {
            execute(&self.url, sql).await;
        }
    }
}
