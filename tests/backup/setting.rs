//! An installation on either database, its backups, and how its database gets lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use einklang::app::config::sqlite_url;
use serde_json::Value;

use crate::binary::einklang;
use crate::ledger::{Reader, execute};
use crate::place::{Place, Server};
use crate::{contains, postgres, world};

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

    pub fn data(&self) -> PathBuf {
        self.place.data()
    }

    /// The folder that everything lies in.
    pub fn folder(&self) -> PathBuf {
        self.data().parent().expect("a folder").to_owned()
    }

    fn options(&self) -> Vec<String> {
        if self.url.starts_with("sqlite:") {
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

    /// How many of these salts are anywhere: on SQLite in any file of the data folder, free pages included.
    pub async fn found(&self, salts: &[Vec<u8>]) -> usize {
        if !self.url.starts_with("sqlite:") {
            let there = self.salts().await;
            return salts.iter().filter(|salt| there.contains(salt)).count();
        }
        let mut files = Vec::new();
        let mut folders = vec![self.data()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push(fs::read(path).expect("read"));
                }
            }
        }
        let is_found = |salt: &&Vec<u8>| files.iter().any(|file| contains(file, salt));
        salts.iter().filter(is_found).count()
    }

    /// The database is gone, as if its disk had died.
    pub async fn lose_database(&self) {
        if self.url.starts_with("sqlite:") {
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
