//! The built server in a folder that holds the usual tenants, and the callers of that world.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use einklang::app::config::sqlite_url;
use tempfile::TempDir;

use crate::binary::{Running, command, einklang, text};
use crate::client::Caller;
use crate::ledger::Reader;
use crate::world::{self, WORLD};

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

const APPLY: [&str; 4] = ["apply", "world.toml", "--operator-key", world::OPERATOR];

fn apply(mut command: Command, url: &str) {
    let output = command.args(["--database-url", url]).output();
    let output = output.expect("the binary runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A folder that was provisioned with the usual tenants.
pub struct Place {
    folder: TempDir,
    url: String,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = sqlite_url(&folder.path().join("data"));
        Self::in_folder(folder, url)
    }

    /// The same in the database at a URL.
    pub fn on(url: &str) -> Self {
        Self::in_folder(tempfile::tempdir().expect("a folder"), url.to_owned())
    }

    /// The same with another build.
    pub fn on_with(url: &str, program: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("world.toml"), WORLD).expect("written");
        apply(command(program, folder.path(), APPLY), url);
        let url = url.to_owned();
        Self { folder, url }
    }

    fn in_folder(folder: TempDir, url: String) -> Self {
        fs::write(folder.path().join("world.toml"), WORLD).expect("written");
        let place = Self { folder, url };
        place.provision(&place.url);
        place
    }

    /// Makes the usual tenants in a database.
    pub fn provision(&self, url: &str) {
        apply(einklang(self.folder.path(), APPLY), url);
    }

    /// Starts the server on it.
    pub fn serve(&self, more: &[&str]) -> Server {
        let words = [&self.words()[..], more].concat();
        server(Running::start(self.folder.path(), &words))
    }

    /// The same with another build.
    pub fn serve_with(&self, program: &Path, more: &[&str]) -> Server {
        let words = [&self.words()[..], more].concat();
        let folder = self.folder.path();
        server(Running::of(command(program, folder, words), folder))
    }

    /// In its own folder the server finds the database by itself, and a test may name another one.
    fn words(&self) -> Vec<&str> {
        let mut words = vec!["serve", "--json"];
        if !self.url.starts_with("sqlite:") {
            words.extend(["--database-url", &self.url]);
        }
        words
    }

    /// Runs a command beside the server, or after it; returns whether it went well, and what it said.
    pub fn run(&self, words: &[&str]) -> (bool, String) {
        let mut command = einklang(self.folder.path(), words);
        let output = command.args(["--database-url", &self.url]).output();
        let output = output.expect("the binary runs");
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    /// The database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server's data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What every server here logged.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("stderr.log")
    }

    /// A look into the database.
    pub async fn reader(&self) -> Reader {
        Reader::open(&self.url).await
    }
}

/// A server that was started.
fn server(mut running: Running) -> Server {
    let welcome = running.welcome();
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build();
    Server {
        url: text(&welcome, "url"),
        metrics: text(&welcome, "metrics"),
        http: http.expect("a client"),
        running,
    }
}

/// A running server.
pub struct Server {
    pub url: String,
    pub metrics: String,
    http: reqwest::Client,
    running: Running,
}

impl Server {
    /// Somebody without a key.
    pub fn anonymous(&self) -> Caller {
        Caller::new(&self.url, &self.http)
    }

    /// Whoever has this key.
    pub fn holder(&self, key: &str) -> Caller {
        self.anonymous().key(key)
    }

    /// A visitor's browser.
    pub fn visitor(&self) -> Caller {
        self.anonymous().with("user-agent", BROWSER)
    }

    /// Ends it in good order.
    pub fn stop(self) {
        assert!(self.running.stop().success());
    }

    /// Ends it at once: `kill -9`.
    pub fn kill(self) {
        drop(self.running);
    }
}

/// The token in the address of a landing page.
pub fn token_in(location: &str) -> Option<String> {
    let page = url::Url::parse(location).expect("a URL");
    let mut pairs = page.query_pairs();
    let token = pairs.find(|(name, _)| name == "s2s" || name == "click");
    token.map(|(_, value)| value.into_owned())
}
