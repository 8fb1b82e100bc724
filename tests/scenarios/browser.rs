//! A real Chromium that blocks third-party cookies, driven through chromedriver.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::json;
use tempfile::TempDir;

/// A browser, its driver and its profile.
pub struct Browser {
    pub client: Client,
    driver: Child,
    /// Until it is closed. A driver that is killed leaves its browser behind.
    process: Option<u64>,
    _profile: TempDir,
}

impl Browser {
    pub async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is missing: apt-get install chromium-driver");
        let port = port_of(&mut driver);
        let profile = tempfile::tempdir().expect("a folder");
        let mut connector = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        connector.capabilities(capabilities(&profile));
        let client = connector.connect(&format!("http://127.0.0.1:{port}")).await;
        let client = client.expect("chromium does not start: apt-get install chromium");
        let process = client
            .capabilities()
            .and_then(|capabilities| capabilities.get("goog:processID"));
        let process = process.and_then(serde_json::Value::as_u64);
        assert!(process.is_some(), "the driver names its browser's process");
        Self {
            client,
            driver,
            process,
            _profile: profile,
        }
    }

    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.expect("the page opens");
    }

    pub async fn url(&self) -> url::Url {
        self.client.current_url().await.expect("a URL")
    }

    pub async fn press(&self, id: &str) {
        let element = self.client.wait().for_element(Locator::Id(id)).await;
        let element = element.unwrap_or_else(|error| panic!("nothing to press called {id}: {error}"));
        element.click().await.expect("it can be pressed");
    }

    pub async fn read(&self, id: &str) -> String {
        let element = self.client.wait().for_element(Locator::Id(id)).await;
        let element = element.unwrap_or_else(|error| panic!("nothing to read called {id}: {error}"));
        element.text().await.expect("a text")
    }

    /// The cookies of the page's site as (name, value), sorted.
    pub async fn cookies(&self) -> Vec<(String, String)> {
        let cookies = self.client.get_all_cookies().await.expect("cookies");
        let mut pairs: Vec<_> = cookies
            .iter()
            .map(|one| (one.name().to_owned(), one.value().to_owned()))
            .collect();
        pairs.sort();
        pairs
    }

    pub async fn close(mut self) {
        self.client.clone().close().await.expect("the browser closes");
        self.process = None;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(process) = self.process {
            let _ = Command::new("kill").arg(process.to_string()).status();
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn port_of(driver: &mut Child) -> u16 {
    let stdout = BufReader::new(driver.stdout.take().expect("piped"));
    let mut lines = stdout.lines().map_while(Result::ok);
    let said = lines.find(|line| line.contains("started successfully on port"));
    let said = said.expect("chromedriver says where it listens");
    said.trim_end_matches('.')
        .rsplit(' ')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port")
}

fn capabilities(profile: &TempDir) -> Capabilities {
    let options = json!({
        "goog:chromeOptions": {
            "args": [
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                format!("--user-data-dir={}", profile.path().display()),
            ],
            "prefs": {"profile.block_third_party_cookies": true, "profile.cookie_controls_mode": 1},
        },
    });
    options.as_object().cloned().expect("an object")
}
