//! `einklang demo`: the server with a tenant that has a past, and a small shop beside it to click through.
//!
//! Promise: everything in it came about through the real server, so what the reports show is what they would show of
//! real traffic. It lives in a folder of its own, and a second start finds its tenant, keys and figures unchanged.

mod plan;
mod seed;
mod shop;
mod tenant;

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::first_run::{PrepareError, operator_key};
use super::production::Unsafe;
use super::serve::{self, Addresses, ServeError, reachable};
use super::system::{SystemClock, SystemEntropy};
use super::wire::{self, StartError};
use crate::domain::provision::ProvisionError;
use crate::edge::listener::{self, Limits};
use crate::flow::Clock;
use crate::flow::provision::ApplyError;
use seed::{Player, Progress, StillClock};
use tenant::Keys;

/// The slug of the demo's tenant.
pub const TENANT: &str = "musterhaus";
const LINK: &str = "hausrat-wetter";

/// What the demo has beyond the server.
#[derive(Debug, Clone, Args)]
pub struct DemoOptions {
    /// Where the demo shop is served.
    #[arg(
        long,
        env = "EINKLANG_SHOP_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8081"
    )]
    shop_listen: SocketAddr,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// It is not for production.
    #[error(transparent)]
    Unsafe(#[from] Unsafe),
    /// The server did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The server does not serve.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A file in the demo's folder.
    #[error("The demo's file {path} cannot be used: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The demo's provisioning file was changed by hand and does not parse.
    #[error("The demo's provisioning file is at fault, {0}")]
    Provision(#[from] ProvisionError),
    /// The demo's tenant could not be made.
    #[error("The demo's tenant could not be made: {0}")]
    Apply(#[from] ApplyError),
    /// The server answered with an error while traffic was played.
    #[error("The server answered {0} while the demo's traffic was played; start it with an empty folder.")]
    Seed(http::StatusCode),
    /// A request could not be put together.
    #[error("A request of the demo's traffic could not be made: {0}")]
    Request(#[from] http::Error),
    /// An answer could not be read.
    #[error("An answer to the demo's traffic could not be read: {0}")]
    Answer(#[from] axum::Error),
}

/// Seeds what is not there yet, then serves, with the shop, until SIGINT or SIGTERM.
pub async fn run(config: Config, options: DemoOptions, as_json: bool) -> Result<(), DemoError> {
    if config.production {
        return Err(Unsafe::Demo.into());
    }
    let (shop_listener, shop_address) = serve::bind(options.shop_listen).await?;
    let shop_url = shop_url(shop_address);
    let keys = seed(&config, &shop_url).await?;
    let stop = CancellationToken::new();
    let shown = config.clone();
    let prepare = async |app: &wire::App, at: Addresses| {
        let operator = operator_key(app, &shown).await?;
        let pages = shop::router(&at.base_url(), keys.shop());
        tokio::spawn(serve_shop(shop_listener, pages, stop.clone()));
        let operator_key = operator.as_deref().map(String::as_str);
        let data_dir = std::path::absolute(&shown.data_dir).unwrap_or_else(|_| shown.data_dir.clone());
        let tour = Tour {
            url: at.base_url(),
            shop_url: &shop_url,
            data_dir,
            keys: &keys,
            operator_key,
        };
        tour.print(as_json).map_err(PrepareError::from)
    };
    let served = serve::serve(config, prepare).await;
    stop.cancel();
    Ok(served?)
}

async fn serve_shop(listener: TcpListener, pages: axum::Router, stop: CancellationToken) {
    if let Err(error) = listener::serve(listener, pages, Limits::default(), stop.cancelled_owned()).await {
        tracing::error!(%error, "the demo shop ended");
    }
}

/// The shop as browsers name it. On this machine it is `localhost` and the ad server is 127.0.0.1: two sites, as they
/// are in the field, so that a cookie of the one never reaches the other.
fn shop_url(address: SocketAddr) -> String {
    let address = reachable(address);
    match address.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => format!("http://localhost:{}", address.port()),
        _ => format!("http://{address}"),
    }
}

/// Makes the tenant and its past, each unless it is there.
async fn seed(config: &Config, shop_url: &str) -> Result<Keys, DemoError> {
    let clock = Arc::new(StillClock::at(SystemClock.now_ms()));
    let app = wire::build(config, Arc::<StillClock>::clone(&clock), Arc::new(SystemEntropy)).await?;
    let progress = if tenant::is_there(&app.live) {
        Progress::read(&config.data_dir)?
    } else {
        let progress = Progress::starting(clock.now_ms());
        clock.put(progress.moment(0, 8, 0));
        Some(progress)
    };
    let keys = tenant::provision(&config.data_dir, &app.live, shop_url).await?;
    if let Some(progress) = progress.filter(|progress| !progress.is_over()) {
        tracing::info!("playing {} days of traffic", plan::DAYS);
        Player::new(app.router.router().clone(), &clock, &keys)
            .play(&config.data_dir, progress)
            .await?;
    }
    app.stop().await;
    Ok(keys)
}

/// Replaces a file of the demo's folder whole: cut off half-way, it would take keys with it.
fn write_whole(path: &Path, text: &str) -> Result<(), DemoError> {
    let file = |source| DemoError::File {
        path: path.to_owned(),
        source,
    };
    let new = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut out = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .map_err(file)?;
    out.write_all(text.as_bytes()).map_err(file)?;
    out.sync_all().map_err(file)?;
    fs::rename(&new, path).map_err(file)
}

/// What there is to see, and how.
struct Tour<'a> {
    url: String,
    shop_url: &'a str,
    data_dir: PathBuf,
    keys: &'a Keys,
    operator_key: Option<&'a str>,
}

impl Tour<'_> {
    fn print(&self, as_json: bool) -> io::Result<()> {
        let text = if as_json {
            format!("{}\n", self.as_object())
        } else {
            self.to_string()
        };
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    fn as_object(&self) -> serde_json::Value {
        json!({
            "url": self.url,
            "docs": format!("{}/docs", self.url),
            "shop_url": self.shop_url,
            "click": format!("{}/c/{LINK}", self.url),
            "data_dir": self.data_dir.display().to_string(),
            "manager_key": self.keys.manager(),
            "shop_key": self.keys.shop(),
            "operator_key": self.operator_key,
        })
    }
}

impl fmt::Display for Tour<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (url, shop, manager) = (&self.url, self.shop_url, self.keys.manager());
        let (folder, file) = (self.data_dir.display(), tenant::FILE_NAME);
        write!(
            f,
            "The demo is running: Musterhaus Versicherung AG with {days} days of traffic, and its shop.

  Shop               {shop}/
  API and its docs   {url}/docs
  Data folder        {folder}  (its keys stand in {file}; delete the folder to start over)
",
            days = plan::DAYS
        )?;
        if let Some(key) = self.operator_key {
            writeln!(f, "  Operator key       {key}  (shown this once)")?;
        }
        write!(
            f,
            r"
Click in a browser. The shop then asks for its own consent; agree, order, and it shows the verdict:

  agreed at the publisher     {url}/c/{LINK}?consent=granted
  declined at the publisher   {url}/c/{LINK}?consent=denied
  nothing said                {url}/c/{LINK}

Having agreed in the shop, order by SMS with the code from {shop}/sms, or in the app with the account from {shop}/konto:

  curl -s '{shop}/sms' -d code=CODE -d produkt=hausrat
  curl -s -u KONTO:PIN '{shop}/app/bestellung' -d produkt=hausrat

The reports:

  curl -s '{url}/v1/reports/performance?group_by=campaign' -H 'Authorization: Bearer {manager}'
  curl -s '{url}/v1/reports/consent?group_by=reason' -H 'Authorization: Bearer {manager}'
"
        )
    }
}
