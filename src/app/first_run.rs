//! The first run: `einklang serve` in an empty folder ends with a server that answers, and with lines to try it.
//!
//! Promise: what is printed works as it stands. Secrets are made here and shown once; a later run shows none, because
//! only their digests were kept. In production nothing is made but the operator's key.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use zeroize::Zeroizing;

use super::config::Config;
use super::serve::Addresses;
use super::wire::App;
use crate::domain::provision::{ProvisionError, parse};
use crate::domain::routing::Routing;
use crate::flow::FlowError;
use crate::flow::objects::ObjectsFlow;
use crate::flow::provision::{Applied, ApplyError, ProvisionFlow};

/// The slug of the tenant that the first run makes.
pub const TENANT: &str = "start";
const LINK: &str = "hello";
const FILE: &str = include_str!("start.toml");

/// Why the server was not made ready for its first request.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The starter file, which is ours, is at fault.
    #[error("The provisioning file is at fault, {0}")]
    File(#[from] ProvisionError),
    /// Nothing could be provisioned.
    #[error("The tenant could not be made: {0}")]
    Apply(#[from] ApplyError),
    /// The operator's key could not be made.
    #[error("The operator's key could not be made: {0}")]
    Operator(#[from] FlowError),
    /// Nobody would see what was made.
    #[error("Standard output cannot be written, and it is the only place where new keys are shown: {0}")]
    Output(#[from] io::Error),
}

/// What a start has to say.
struct Welcome {
    url: String,
    docs: String,
    metrics: String,
    data_dir: PathBuf,
    operator_key: Option<Zeroizing<String>>,
    starter: Option<Starter>,
    click: Option<String>,
}

/// The keys of the tenant that was made just now.
struct Starter {
    manager_key: Zeroizing<String>,
    shop_key: Zeroizing<String>,
}

/// Makes what an empty database needs, and prints how to go on.
pub async fn prepare(app: &App, config: &Config, at: Addresses, as_json: bool) -> Result<(), PrepareError> {
    let operator_key = operator_key(app, config).await?;
    let is_empty = app.live.routing().tenants.is_empty();
    let starter = if is_empty && !config.production {
        Some(make_starter(app).await?)
    } else {
        None
    };
    let url = at.base_url();
    let welcome = Welcome {
        docs: format!("{url}/docs"),
        metrics: at.metrics_url(),
        click: has_starter_link(&app.live.routing()).then(|| format!("{url}/c/{LINK}")),
        data_dir: std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone()),
        url,
        operator_key,
        starter,
    };
    let text = if as_json {
        format!("{}\n", welcome.as_object())
    } else {
        welcome.to_string()
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Puts the configured operator's key in force, or makes one if there is none; only a new one is returned.
pub async fn operator_key(app: &App, config: &Config) -> Result<Option<Zeroizing<String>>, FlowError> {
    let given = config.operator_key.clone().map(Zeroizing::new);
    ObjectsFlow::new(Arc::clone(&app.live))
        .create_operator_key(given)
        .await
}

async fn make_starter(app: &App) -> Result<Starter, PrepareError> {
    let applied = ProvisionFlow::new(Arc::clone(&app.live))
        .apply(&parse(FILE)?)
        .await?;
    Ok(Starter {
        manager_key: made_key(&applied, "user"),
        shop_key: made_key(&applied, "shop"),
    })
}

/// The API key that was made for the one object of this kind.
fn made_key(applied: &[Applied], owner: &str) -> Zeroizing<String> {
    let of_owner = |name: &str| {
        name.rsplit(", ")
            .next()
            .is_some_and(|last| last.starts_with(owner))
    };
    let keys = applied
        .iter()
        .filter(|one| one.kind == "api_key" && of_owner(&one.name));
    let mut made = keys.filter_map(|one| one.made.as_ref().map(|(_, text)| text.clone()));
    made.next().unwrap_or_default()
}

fn has_starter_link(routing: &Routing) -> bool {
    routing
        .links
        .get(LINK)
        .is_some_and(|link| !link.stopped && link.tenant.tenant.slug == TENANT)
}

impl fmt::Display for Welcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Einklang is running.\n")?;
        writeln!(f, "  API and its docs   {}", self.docs)?;
        writeln!(
            f,
            "  Data folder        {}  (database and keys: keep it private, back it up)",
            self.data_dir.display()
        )?;
        if let Some(key) = &self.operator_key {
            writeln!(f, "  Operator key       {}", **key)?;
        }
        if let Some(starter) = &self.starter {
            writeln!(f, "  Manager key        {}", *starter.manager_key)?;
            writeln!(f, "  Shop key           {}", *starter.shop_key)?;
        }
        if self.operator_key.is_some() || self.starter.is_some() {
            writeln!(f, "\nKeys are shown this once; only their digests are kept.")?;
        }
        match (&self.click, &self.starter) {
            (Some(click), Some(starter)) => self.tour(f, click, starter),
            (Some(click), None) => {
                writeln!(f, "\nTry a click:\n\n  curl -si '{click}?consent=granted'")
            }
            (None, _) => Ok(()),
        }
    }
}

impl Welcome {
    /// The same for a program; what there is not to say is null.
    fn as_object(&self) -> serde_json::Value {
        let starter = self.starter.as_ref();
        json!({
            "url": self.url,
            "docs": self.docs,
            "metrics": self.metrics,
            "data_dir": self.data_dir.display().to_string(),
            "click": self.click,
            "operator_key": self.operator_key.as_deref(),
            "manager_key": starter.map(|keys| &*keys.manager_key),
            "shop_key": starter.map(|keys| &*keys.shop_key),
        })
    }

    /// The whole way in five lines for a shell: click, token, postback, report, and a click that was declined.
    fn tour(&self, f: &mut fmt::Formatter<'_>, click: &str, starter: &Starter) -> fmt::Result {
        let (url, manager, shop) = (&self.url, &*starter.manager_key, &*starter.shop_key);
        write!(
            f,
            r#"
A click with consent. The token stands in Location, behind s2s=:

  curl -si '{click}?consent=granted'

The shop's postback for another such click, and its verdict:

  TOKEN=$(curl -si '{click}?consent=granted' | sed -n 's/^[Ll]ocation:.*[?&]s2s=\([A-Za-z0-9_-]*\).*/\1/p')
  curl -s '{url}/postback' -H 'Authorization: Bearer {shop}' -d "token=$TOKEN" -d order_id=A-1001 -d amount=49.90 -d currency=EUR -d consent=granted

The report:

  curl -s '{url}/v1/reports/performance' -H 'Authorization: Bearer {manager}'

A click that was declined: the same page, no token, nothing kept but a count:

  curl -si '{click}?consent=denied'
"#
        )
    }
}
