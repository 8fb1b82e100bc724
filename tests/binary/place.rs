//! The built server in a folder that holds the usual tenants, and the callers of that world.

use std::fs;
use std::path::PathBuf;

use einklang::app::config::sqlite_url;
use tempfile::TempDir;

use crate::binary::{Running, einklang, text};
use crate::client::Caller;
use crate::ledger::Reader;
use crate::world::{self, WORLD};

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// A folder that was provisioned with the usual tenants.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("world.toml"), WORLD).expect("written");
        let place = Self { folder };
        place.provision(&sqlite_url(&place.data()));
        place
    }

    /// Makes the usual tenants in a database.
    pub fn provision(&self, url: &str) {
        let apply = ["apply", "world.toml", "--operator-key", world::OPERATOR];
        let mut command = einklang(self.folder.path(), apply);
        let output = command.args(["--database-url", url]).output();
        let output = output.expect("the binary runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Starts the server on it.
    pub fn serve(&self, more: &[&str]) -> Server {
        let mut running = Running::start(self.folder.path(), &[&["serve", "--json"], more].concat());
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
        Reader::open(&sqlite_url(&self.data())).await
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
