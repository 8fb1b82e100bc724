//! `einklang erase`: erases a person from the command line, with or without a server beside it.
//!
//! What names the person is better given on standard input (`-`): arguments of a program can be seen by others on the
//! machine, and stay in a shell's history.

use std::io::Read;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use super::config::Config;
use super::erasure_journal::{FileJournal, JournalError};
use super::system::{SystemClock, SystemEntropy};
use super::wire::{self, StartError};
use crate::domain::campaign::Shop;
use crate::domain::erasure::{Door, Ground};
use crate::domain::event::Actor;
use crate::domain::ids::ErasureId;
use crate::domain::routing::Routing;
use crate::domain::scope::TenantScope;
use crate::flow::FlowError;
use crate::flow::consent::About;
use crate::flow::erasure::{ErasureBy, ErasureFlow, ErasureOutcome};
use crate::flow::journal::Journal;
use crate::flow::ledger::Ledger;

/// Whom, and why.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("whom").required(true).args(["token", "order", "customer"]))]
pub struct EraseOptions {
    /// The tenant's slug.
    #[arg(long, value_name = "SLUG")]
    tenant: String,
    /// The tracking token; `-` reads it from standard input.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// A shop's order id; `-` reads it from standard input.
    #[arg(long, value_name = "ORDER", requires = "shop")]
    order: Option<String>,
    /// The order's goal [default: order].
    #[arg(long, value_name = "GOAL", requires = "order")]
    goal: Option<String>,
    /// A shop's reference for the person; `-` reads it from standard input.
    #[arg(long, value_name = "REFERENCE")]
    customer: Option<String>,
    /// The shop's slug [default: any of the tenant's].
    #[arg(long, value_name = "SLUG")]
    shop: Option<String>,
    /// Why: `erasure_requested`, `consent_withdrawn`, `objection`, `no_longer_needed`, `unlawful_processing` or `legal_obligation`.
    #[arg(long, value_name = "CODE", default_value = "erasure_requested")]
    reason: String,
}

/// Why nobody was erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The database did not open.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// No such tenant.
    #[error("There is no tenant of this name.")]
    Tenant,
    /// No such shop.
    #[error("The tenant has no shop of this name.")]
    Shop,
    /// No such code.
    #[error("--reason is not one of the codes.")]
    Reason,
    /// Standard input.
    #[error("Standard input cannot be read: {0}")]
    Input(#[source] std::io::Error),
    /// Nothing was given.
    #[error("What names the person is empty, or longer than 255 characters.")]
    Empty,
    /// The ledger.
    #[error("Nobody was erased: {0}")]
    Flow(#[from] FlowError),
    /// The database, after the erasure.
    #[error(
        "The person is erased, but old pages of the database file could not be emptied yet; a server does it at its start: {0}"
    )]
    Scrub(#[source] crate::store::StoreError),
}

/// Erases, and says what there is to print.
pub async fn erase(config: &Config, options: EraseOptions, as_json: bool) -> Result<String, EraseError> {
    let ground = Ground::from_code(&options.reason).filter(|ground| *ground != Ground::ConsentDenied);
    let ground = Some(ground.ok_or(EraseError::Reason)?);
    let whom = options
        .token
        .as_deref()
        .or(options.order.as_deref())
        .or(options.customer.as_deref());
    let whom = given(whom.unwrap_or_default())?;
    let (store, live) = wire::open(config, Arc::new(SystemClock), Arc::new(SystemEntropy)).await?;
    let (tenant, shop) = named(&live.routing(), &options, &store).await?;
    let journal: Arc<dyn Journal> = Arc::new(FileJournal::open(config, live.entropy())?);
    let (ledger, runs) = Ledger::open(&live, config.queue_capacity.get(), config.node, &journal);
    let mut writers = Vec::new();
    for run in runs {
        writers.push(wire::start_thread("ledger", run)?);
    }
    let by = ErasureBy {
        tenant,
        shop,
        actor: Actor::CommandLine,
        request: None,
        ground,
    };
    let about = match (&options.token, &options.order) {
        (Some(_), _) => About::Token(&whom),
        (None, Some(_)) => About::Order {
            order_id: &whom,
            goal: options.goal.as_deref(),
        },
        (None, None) => About::Customer(&whom),
    };
    let flow = ErasureFlow::new(Arc::clone(&live), ledger);
    let done = flow.erase(&by, about, Door::CommandLine).await;
    drop((flow, live));
    for writer in writers {
        wire::join(writer).await;
    }
    let scrubbed = store.scrub().await;
    store.close().await;
    let done = done?;
    scrubbed.map_err(EraseError::Scrub)?;
    Ok(told(done, as_json))
}

/// The numbers of what is named.
async fn named(
    routing: &Routing,
    options: &EraseOptions,
    store: &crate::store::Store,
) -> Result<(i64, Option<i64>), EraseError> {
    let mut tenants = routing.tenants.values();
    let tenant = tenants.find(|route| route.tenant.slug == options.tenant);
    let tenant = tenant.ok_or(EraseError::Tenant)?.number();
    let Some(slug) = &options.shop else {
        return Ok((tenant, None));
    };
    let shop: Option<Shop> = store
        .reader(TenantScope::Server)
        .find_named(tenant, slug)
        .await
        .map_err(StartError::from)?;
    Ok((tenant, Some(shop.ok_or(EraseError::Shop)?.object.number)))
}

/// What was given, or stands on standard input.
fn given(argument: &str) -> Result<Zeroizing<String>, EraseError> {
    let mut text = Zeroizing::new(argument.to_owned());
    if argument == "-" {
        text.clear();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(EraseError::Input)?;
        let end = text.trim_end_matches(['\r', '\n']).len();
        text.truncate(end);
    }
    if (1..=255).contains(&text.chars().count()) {
        Ok(text)
    } else {
        Err(EraseError::Empty)
    }
}

fn told(done: ErasureOutcome, as_json: bool) -> String {
    let id = ErasureId(done.erasure.unwrap_or_default());
    let clicks = done.clicks;
    if as_json {
        return format!("{}\n", json!({"erasure": id, "clicks": clicks}));
    }
    format!(
        "{id}: {clicks} clicks erased, with everything that hung on them. GET /v1/erasures/{id}/certificate attests it.\n"
    )
}
