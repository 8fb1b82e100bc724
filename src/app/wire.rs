//! Putting the parts together: from a configuration, a clock and a generator to something that serves.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;

use super::audit_guard::{FileGuard, GuardError};
use super::audit_key::{self, AuditKeyError};
use super::config::Config;
use super::erasure_journal::{FileJournal, JournalError};
use super::opendsr_key::{OpenDsrKeyError, RsaSigner};
use super::registries::{self, RegistryError};
use super::root_key::{self, RootKeyError};
use super::token_key::{self, TokenKeyError, TokenKeys};
use crate::delivery::callback::CallbackPost;
use crate::delivery::checkpoint::TIMEOUT;
use crate::delivery::issuer_keys::HttpKeySource;
use crate::domain::event::Actor;
use crate::edge::auth::Gate;
use crate::edge::front::Front;
use crate::edge::health::{self, Render};
use crate::edge::router::{Flows, Settings, router};
use crate::flow::access::AccessFlow;
use crate::flow::audit::check::{CheckFlow, Checks};
use crate::flow::audit::packs::PackFlow;
use crate::flow::audit::push::Pusher;
use crate::flow::audit::{AuditFlow, CheckpointSigner, Guard, LogKeeper};
use crate::flow::click::ClickFlow;
use crate::flow::consent::ConsentFlow;
use crate::flow::conversion::ConversionFlow;
use crate::flow::erasure::ErasureFlow;
use crate::flow::explain::ExplainFlow;
use crate::flow::health::HealthFlow;
use crate::flow::identity::{Identity, IdentityFlow, KeySource, TokenSettings};
use crate::flow::journal::Journal;
use crate::flow::keys::KeysFlow;
use crate::flow::ledger::Ledger;
use crate::flow::objects::ObjectsFlow;
use crate::flow::records::RecordsFlow;
use crate::flow::refusals::Refusals;
use crate::flow::report::ReportFlow;
use crate::flow::requests::{Processor, RequestSettings, RequestsFlow};
use crate::flow::retention::{Purger, RetentionFlow};
use crate::flow::signal::SignalFlow;
use crate::flow::{Clock, Entropy, FlowError, Live};
use crate::store::{Store, StoreError};

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be made.
    #[error("The data folder {0} cannot be made: {1}")]
    Folder(std::path::PathBuf, #[source] std::io::Error),
    /// The root key.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// The audit key.
    #[error(transparent)]
    AuditKey(#[from] AuditKeyError),
    /// The token key.
    #[error(transparent)]
    TokenKey(#[from] TokenKeyError),
    /// The client that fetches key sets.
    #[error("The client that fetches the keys of outside issuers cannot be made: {0}")]
    KeySource(#[source] reqwest::Error),
    /// The OpenDSR key.
    #[error(transparent)]
    OpenDsrKey(#[from] OpenDsrKeyError),
    /// The audit log's guard file.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The erasure journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A registry file.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The database.
    #[error("The database cannot be opened: {0}")]
    Store(#[from] StoreError),
    /// A restore into this database has not ended.
    #[error(
        "A restore into this database has not ended, so people who were erased may be in it. Run the restore again."
    )]
    HalfRestored,
    /// The routing data.
    #[error("The configuration in the database cannot be read: {0}")]
    Flow(#[from] FlowError),
    /// The writer's thread.
    #[error("The writer's thread cannot be started: {0}")]
    Thread(#[source] std::io::Error),
}

/// Everything that runs, before it listens.
pub struct App {
    /// The shared parts.
    pub live: Arc<Live>,
    /// The public application.
    pub router: Front,
    /// Health, for the management listener.
    pub health: HealthFlow,
    /// The keeper of the audit logs, driven by a timer.
    pub keeper: Arc<LogKeeper>,
    /// Who was turned away, entered by a timer.
    pub access: AccessFlow,
    /// The tamper search, driven by a timer.
    pub checks: Checks,
    /// Evidence packs, made by a timer.
    pub packs: PackFlow,
    /// The purge, driven by a timer.
    pub purger: Purger,
    /// What is overdue, measured by a timer.
    pub retention: RetentionFlow,
    /// The gate, whose quotas are tidied up by a timer.
    pub gate: Arc<Gate>,
    /// Requests of people, driven by a timer.
    pub requests: RequestsFlow,
    store: Store,
    writers: Vec<JoinHandle<()>>,
    checkpoints: JoinHandle<()>,
}

/// Opens the database, brings it up to date, and obtains the root keys.
pub async fn open(
    config: &Config,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<(Store, Arc<Live>), StartError> {
    make_folder(&config.data_dir)?;
    let store = Store::connect(&config.database_url).await?;
    if store.is_half_restored().await? {
        return Err(StartError::HalfRestored);
    }
    bring_up(store, config, clock, entropy).await
}

/// The same for a database that is being restored.
pub(super) async fn open_unserved(
    config: &Config,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<(Store, Arc<Live>), StartError> {
    let store = Store::connect(&config.database_url).await?;
    bring_up(store, config, clock, entropy).await
}

async fn bring_up(
    store: Store,
    config: &Config,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<(Store, Arc<Live>), StartError> {
    let registries = registries::load(config)?;
    store.migrate(clock.now_ms().div_euclid(1_000)).await?;
    // A server that was killed between an erasure and its tidying up left old pages behind.
    store.scrub().await?;
    let roots = root_key::obtain(config, &store, clock.as_ref(), entropy.as_ref()).await?;
    let live = Live::start(store.clone(), roots, clock, entropy, registries).await?;
    live.prepare_epochs().await?;
    Ok((store, live))
}

pub(super) fn make_folder(folder: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder);
    made.map_err(|error| StartError::Folder(folder.to_owned(), error))
}

/// Builds everything that serves.
pub async fn build(
    config: &Config,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<App, StartError> {
    let (store, live) = open(config, clock, entropy).await?;
    warn_of_vendors(&live);
    let guard: Arc<dyn Guard> = Arc::new(FileGuard::open(&config.audit_guard_file)?);
    let (clock, entropy) = (live.clock(), live.entropy());
    let signer = audit_key::obtain(&config.audit_key_file, &store, clock, entropy).await?;
    let signer: Arc<dyn CheckpointSigner> = Arc::new(signer);
    let audit = AuditFlow::new(Arc::clone(&live), &config.audit_name, Arc::clone(&signer));
    let name = config.audit_name.clone();
    let checked = CheckFlow::new(
        Arc::clone(&live),
        name.clone(),
        Some(signer.public()),
        Arc::clone(&guard),
    );
    let checks = Checks::new(checked);
    let packs = PackFlow::new(Arc::clone(&live), audit.clone());
    let keeper = LogKeeper::new(Arc::clone(&live), name, signer, guard);
    let capacity = config.queue_capacity.get();
    let journal: Arc<dyn Journal> = Arc::new(FileJournal::open(config, live.entropy())?);
    let (ledger, runs) = Ledger::open(&live, capacity, config.node, &journal);
    let writers = runs
        .into_iter()
        .map(|run| start_thread("ledger", run))
        .collect::<Result<_, _>>()?;
    let checkpoints = start_thread("checkpoints", store.checkpoints())?;
    let health = HealthFlow::new(Arc::clone(&live), ledger.clone(), capacity);
    let conversion = ConversionFlow::new(Arc::clone(&live), ledger.clone());
    let identity = identity(config, token_key::obtain_entered(config, &store, &live).await?)?;
    let settings = request_settings(config)?;
    let requests = RequestsFlow::new(Arc::clone(&live), ledger.clone(), conversion.clone(), settings);
    let refusals = Refusals::default();
    let access = AccessFlow::new(Arc::clone(&live), Arc::clone(&identity), refusals.clone());
    let purger = Purger::new(Arc::clone(&live), journal, Actor::Server);
    let retention = RetentionFlow::new(Arc::clone(&live));
    let flows = Flows {
        access: access.clone(),
        audit,
        identity: IdentityFlow::new(Arc::clone(&live), identity, refusals),
        click: ClickFlow::new(Arc::clone(&live), ledger.clone()),
        explain: ExplainFlow::new(Arc::clone(&live), ledger.clone(), conversion.clone()),
        conversion,
        consent: ConsentFlow::new(Arc::clone(&live), ledger.clone()),
        erasure: ErasureFlow::new(Arc::clone(&live), ledger),
        records: RecordsFlow::new(Arc::clone(&live)),
        report: ReportFlow::new(Arc::clone(&live)),
        retention: retention.clone(),
        signal: SignalFlow::new(Arc::clone(&live)),
        checks: checks.clone(),
        packs: packs.clone(),
        keys: KeysFlow::new(Arc::clone(&live)),
        health: health.clone(),
        objects: ObjectsFlow::new(Arc::clone(&live)),
        requests: requests.clone(),
    };
    let (router, gate) = router(flows, router_settings(config));
    Ok(App {
        live,
        router,
        health,
        keeper: Arc::new(keeper),
        access,
        checks,
        packs,
        purger,
        retention,
        gate,
        requests,
        store,
        writers,
        checkpoints,
    })
}

fn router_settings(config: &Config) -> Settings {
    Settings {
        requests_per_minute: config.requests_per_minute,
        proxies: config.trusted_proxies.clone(),
        remains_hours: config.remains_hours,
    }
}

/// A tenant's vendor may have left its registry.
fn warn_of_vendors(live: &Live) {
    for vendor in live.unregistered_vendors() {
        tracing::warn!(
            vendor,
            "a tenant's vendor stands in no registry: its TC strings grant nothing"
        );
    }
}

/// Public holidays, and OpenDSR where it is set up.
fn request_settings(config: &Config) -> Result<RequestSettings, StartError> {
    let processor = match &config.requests.opendsr {
        None => None,
        Some(opendsr) => Some(Processor {
            domain: opendsr.domain.clone(),
            certificate_url: opendsr.certificate_url.clone(),
            wait_ms: i64::from(opendsr.wait_s) * 1_000,
            signer: Arc::new(RsaSigner::read(&opendsr.key_file)?),
            carrier: Arc::new(CallbackPost::new(opendsr.allow_private, TIMEOUT)),
        }),
    };
    Ok(RequestSettings {
        holidays: config.requests.holidays.clone(),
        processor,
    })
}

/// Everything that tells callers apart.
fn identity(config: &Config, keys: TokenKeys) -> Result<Arc<Identity>, StartError> {
    let tokens = &config.tokens;
    let source = HttpKeySource::new(tokens.private_sources).map_err(StartError::KeySource)?;
    let source: Arc<dyn KeySource> = Arc::new(source);
    let settings = TokenSettings {
        issuer: tokens.issuer.clone(),
        leeway_s: tokens.leeway_s,
        lifetime_s: tokens.lifetime_s,
    };
    let outside = tokens.outside.clone();
    Ok(Arc::new(Identity::new(
        settings,
        keys.signer,
        &keys.others,
        outside,
        &source,
    )))
}

/// What carries checkpoints out, one for each configured target.
pub fn pushers(config: &Config, live: &Arc<Live>) -> Vec<Pusher> {
    let every = std::time::Duration::from_secs(config.audit_push_seconds.get().into());
    let carriers = config.audit_push.iter().cloned();
    carriers
        .map(|target| target.carrier(config.audit_push_allow_private, TIMEOUT))
        .map(|carrier| Pusher::new(Arc::clone(live), carrier, every))
        .collect()
}

/// The writer has a thread of its own: the commit does not wait for a busy handler, nor a handler for the commit. So
/// have checkpoints, which neither should wait for.
pub(super) fn start_thread(
    name: &str,
    run: impl Future<Output = ()> + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Thread)?;
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || runtime.block_on(run))
        .map_err(StartError::Thread)
}

impl App {
    /// The management router.
    pub fn management(&self, render: Render) -> Router {
        health::management(self.health.clone(), render)
    }

    /// Lets go of every handle, waits until whatever was queued is written, and closes the database. To be called when
    /// nothing serves any more.
    pub async fn stop(self) {
        let Self {
            live,
            router,
            health,
            keeper,
            access,
            checks,
            packs,
            purger,
            retention,
            gate,
            requests,
            store,
            writers,
            checkpoints,
        } = self;
        if let Err(error) = KeysFlow::new(Arc::clone(&live)).enter_uses().await {
            tracing::warn!(%error, "how often keys were used since the last minute is not written down");
        }
        drop((
            router, health, checks, packs, purger, retention, gate, requests, live,
        ));
        if let Err(error) = access.enter_refusals().await {
            tracing::warn!(%error, "who was turned away last cannot be entered in the audit log");
        }
        drop(access);
        for writer in writers {
            join(writer).await;
        }
        // Whatever the writers entered last finds its place and is signed before the database closes.
        if let Err(error) = keeper.finish().await {
            tracing::warn!(%error, "the last entries of the audit logs are placed and signed at the next start");
        }
        drop(keeper);
        store.close().await;
        join(checkpoints).await;
    }
}

pub(super) async fn join(thread: JoinHandle<()>) {
    let name = thread.thread().name().unwrap_or_default().to_owned();
    let joined = tokio::task::spawn_blocking(move || thread.join()).await;
    if !matches!(joined, Ok(Ok(()))) {
        tracing::error!(thread = name, "a thread ended badly");
    }
}
