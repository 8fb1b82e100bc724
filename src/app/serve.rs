//! `einklang serve`: listeners, timers, signals, and an orderly end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::first_run::PrepareError;
use super::production::{self, Unsafe};
use super::system::{SystemClock, SystemEntropy};
use super::telemetry;
use super::wire::{self, App, StartError};
use crate::edge::listener::{self, Application, Limits};
use crate::flow::access::AccessFlow;
use crate::flow::audit::LogKeeper;
use crate::flow::audit::check::Checks;
use crate::flow::audit::days::ClosedDays;
use crate::flow::audit::packs::PackFlow;
use crate::flow::audit::push::Pusher;
use crate::flow::erasure::Remains;
use crate::flow::keys::KeysFlow;
use crate::flow::requests::RequestsFlow;
use crate::flow::retention::{PurgeEnd, Purger, RetentionFlow};

/// How often other nodes' changes are looked for.
const RELOAD_EVERY: Duration = Duration::from_millis(500);
/// How often entries of the audit log that wait are placed.
const PLACE_EVERY: Duration = Duration::from_millis(150);
/// How long after the start the first tamper search begins: a start has more urgent things to do.
const SEARCH_FIRST: Duration = Duration::from_mins(5);
/// How long after the start it is looked for the first time for what has had its time.
const PURGE_FIRST: Duration = Duration::from_mins(2);
/// How often it is looked whether a class's daily purge is due.
const PURGE_LOOK_EVERY: Duration = Duration::from_mins(10);
/// How often it is entered who was turned away.
const REFUSALS_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked for evidence packs that were ordered.
const PACKS_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether a checkpoint is to be pushed.
const PUSH_LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often uses of keys are written down, and token keys succeeded or destroyed.
const KEYS_EVERY: Duration = Duration::from_mins(1);
/// How often it is looked whether something is to be done about people's requests.
const REQUESTS_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether what erasures left behind is to be written anew.
const REMAINS_EVERY: Duration = Duration::from_mins(5);
/// How often keys and partitions of coming months are made, and quiet callers forgotten.
const HOUSEKEEPING_EVERY: Duration = Duration::from_hours(1);

/// Why the server does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// An address cannot be listened on.
    #[error("Cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// Signals cannot be received.
    #[error("Signals cannot be received: {0}")]
    Signal(#[source] std::io::Error),
    /// A build for measuring.
    #[error(
        "This build keeps no audit log, does not encrypt, or does not tell tenants apart. It is for measuring and does not \
         serve."
    )]
    ForMeasuring,
    /// An unsafe default that production does not take.
    #[error(transparent)]
    Unsafe(#[from] Unsafe),
    /// What is done before the first request.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
}

/// Where it listens: a port that was given as 0 has its number here.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Clicks, postbacks and the API.
    pub public: SocketAddr,
    /// Health and metrics.
    pub management: SocketAddr,
}

impl Addresses {
    /// The server as a client on this machine names it.
    pub fn base_url(self) -> String {
        format!("http://{}", reachable(self.public))
    }

    /// Where a client on this machine reads the metrics.
    pub fn metrics_url(self) -> String {
        format!("http://{}/metrics", reachable(self.management))
    }
}

/// An address that a client on this machine can connect to: "every address" is not one.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Serves until SIGINT or SIGTERM. `prepare` runs once both listeners are open, before the first request is taken.
pub async fn serve(
    config: Config,
    prepare: impl AsyncFnOnce(&App, Addresses) -> Result<(), PrepareError>,
) -> Result<(), ServeError> {
    if cfg!(any(
        feature = "without-log",
        feature = "without-encryption",
        feature = "leave-out-tenant-filter"
    )) {
        return Err(ServeError::ForMeasuring);
    }
    production::check_config(&config)?;
    let handle = telemetry::metrics();
    let app = wire::build(&config, Arc::new(SystemClock), Arc::new(SystemEntropy)).await?;
    production::check_tenants(&config, &app.live.routing())?;
    let (public, public_address) = bind(config.listen).await?;
    let (management, management_address) = bind(config.management_listen).await?;
    let render: crate::edge::health::Render = Arc::new(move || handle.render());
    let management_router = app.management(render);
    let stop = CancellationToken::new();
    // Before the first word on standard output: whoever reads it may stop the server the next moment.
    watch_signals(stop.clone())?;
    let at = Addresses {
        public: public_address,
        management: management_address,
    };
    prepare(&app, at).await?;
    let limits = Limits {
        proxies: config.trusted_proxies.clone(),
        ..Limits::default()
    };
    if let Err(error) = app.keeper.note_server("server.started", "started").await {
        return Err(ServeError::Start(error.into()));
    }
    let keeping = tokio::spawn(keep_logs(Arc::clone(&app.keeper), stop.clone()));
    let mut besides = JoinSet::new();
    besides.spawn(search(app.checks.clone(), config.audit_check_hours, stop.clone()));
    besides.spawn(make_packs(app.packs.clone(), stop.clone()));
    besides.spawn(enter_refusals(app.access.clone(), stop.clone()));
    besides.spawn(requests(app.requests.clone(), stop.clone()));
    let remains = Remains::new(Arc::clone(&app.live), config.remains_hours);
    besides.spawn(rewrite(remains, stop.clone()));
    besides.spawn(purge(app.purger.clone(), app.retention.clone(), stop.clone()));
    for pusher in wire::pushers(&config, &app.live) {
        besides.spawn(push(pusher, stop.clone()));
    }
    let timers = tokio::spawn(timers(Arc::clone(&app.live), Arc::clone(&app.gate), stop.clone()));
    let inside = tokio::spawn(listen(
        management,
        management_router,
        Limits::default(),
        stop.clone(),
    ));
    listen(public, app.router.clone(), limits, stop.clone()).await;
    stop.cancel();
    // Both end by the same token; what they held of the flows is gone before the writer is waited for.
    let _ = timers.await;
    let _ = inside.await;
    let _ = keeping.await;
    besides.join_all().await;
    if let Err(error) = app.access.enter_refusals().await {
        tracing::warn!(%error, "who was turned away last cannot be entered in the audit log");
    }
    if let Err(error) = app.keeper.note_server("server.stopped", "stopped").await {
        tracing::warn!(%error, "that the server stops cannot be entered in the audit log");
    }
    app.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Opens a listener, and says where: port 0 lets the system choose.
pub async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let refused = |error| ServeError::Listen(address, error);
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let at = listener.local_addr().map_err(refused)?;
    Ok((listener, at))
}

async fn listen(listener: TcpListener, app: impl Application, limits: Limits, stop: CancellationToken) {
    if let Err(error) = listener::serve(listener, app, limits, stop.cancelled_owned()).await {
        tracing::error!(%error, "a listener ended");
    }
}

/// Cancels the token on SIGINT or SIGTERM.
fn watch_signals(stop: CancellationToken) -> Result<(), ServeError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signal)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signal)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: running requests are finished and the queue is written");
        stop.cancel();
    });
    Ok(())
}

/// Places and signs what the audit logs are given.
pub(super) async fn keep_logs(keeper: Arc<LogKeeper>, stop: CancellationToken) {
    let mut place = tokio::time::interval(PLACE_EVERY);
    let mut thin = tokio::time::interval(HOUSEKEEPING_EVERY);
    place.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = thin.tick() => {
                if let Err(error) = keeper.thin().await {
                    tracing::warn!(%error, "old checkpoints cannot be thinned out yet");
                }
            }
            _ = place.tick() => {
                if let Err(error) = keeper.round().await {
                    metrics::counter!("einklang_audit_rounds_failed_total").increment(1);
                    tracing::warn!(%error, "entries of the audit log cannot be placed or signed yet");
                }
            }
        }
    }
}

/// Searches the audit logs and the database for what does not fit, every so many hours.
async fn search(checks: Checks, hours: u32, stop: CancellationToken) {
    if hours == 0 {
        return;
    }
    let every = Duration::from_hours(hours.into());
    let mut wait = SEARCH_FIRST.min(every);
    loop {
        let run = async {
            tokio::time::sleep(wait).await;
            if let Err(error) = checks.run().await {
                tracing::warn!(%error, "the audit logs could not be compared with the database");
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = run => wait = every,
        }
    }
}

/// Makes evidence packs that were ordered, one at a time.
async fn make_packs(packs: PackFlow, stop: CancellationToken) {
    loop {
        let run = async {
            tokio::time::sleep(PACKS_EVERY).await;
            if let Err(error) = packs.run().await {
                tracing::warn!(%error, "evidence packs cannot be looked for yet");
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = run => {}
        }
    }
}

/// Enters in the audit logs who was turned away. What is counted when the server stops is entered when it has stopped.
async fn enter_refusals(access: AccessFlow, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(REFUSALS_EVERY) => {
                if let Err(error) = access.enter_refusals().await {
                    tracing::warn!(%error, "who was turned away cannot be entered in the audit log yet");
                }
            }
        }
    }
}

/// Carries out what people's requests ask for by themselves, and sends callbacks. What is interrupted is done again.
async fn requests(flow: RequestsFlow, stop: CancellationToken) {
    let mut look = tokio::time::interval(REQUESTS_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let round = async {
            look.tick().await;
            if let Err(error) = flow.round().await {
                tracing::warn!(%error, "requests of people cannot be worked on yet");
            }
            if let Err(error) = flow.send_callbacks().await {
                tracing::warn!(%error, "callbacks about requests cannot be sent yet");
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = round => {}
        }
    }
}

/// Purges what has had its time, each class once a day, and measures what is overdue.
async fn purge(purger: Purger, retention: RetentionFlow, stop: CancellationToken) {
    let mut wait = PURGE_FIRST;
    loop {
        let round = async {
            tokio::time::sleep(wait).await;
            match purger.run(true, &|_| {}).await {
                Ok(PurgeEnd::Done(_)) => {}
                Ok(PurgeEnd::Elsewhere) => tracing::debug!("another node purges"),
                Err(error) => {
                    metrics::counter!("einklang_retention_runs_failed_total").increment(1);
                    tracing::warn!(%error, "what has had its time cannot be purged yet");
                }
            }
            match retention.overdue().await {
                Ok(overdue) => {
                    let count = u32::try_from(overdue.len()).unwrap_or(u32::MAX);
                    metrics::gauge!("einklang_retention_overdue_classes").set(count);
                }
                Err(error) => tracing::warn!(%error, "what is overdue cannot be counted"),
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = round => wait = PURGE_LOOK_EVERY,
        }
    }
}

/// Has PostgreSQL write anew what erasures left behind.
async fn rewrite(remains: Remains, stop: CancellationToken) {
    let mut look = tokio::time::interval(REMAINS_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => {
                if let Err(error) = remains.sweep().await {
                    tracing::warn!(%error, "what erasures left behind cannot be written anew yet");
                }
            }
        }
    }
}

/// Pushes checkpoints to one target.
async fn push(mut pusher: Pusher, stop: CancellationToken) {
    let mut look = tokio::time::interval(PUSH_LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let round = async {
            look.tick().await;
            if let Err(error) = pusher.round().await {
                tracing::warn!(%error, "checkpoints to push cannot be read yet");
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = round => {}
        }
    }
}

/// Looks for other nodes' changes, and keeps house.
pub(super) async fn timers(
    live: Arc<crate::flow::Live>,
    gate: Arc<crate::edge::auth::Gate>,
    stop: CancellationToken,
) {
    let mut reload = tokio::time::interval(RELOAD_EVERY);
    let mut housekeeping = tokio::time::interval(HOUSEKEEPING_EVERY);
    let mut keys = tokio::time::interval(KEYS_EVERY);
    keys.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = keys.tick() => {
                if let Err(error) = KeysFlow::new(Arc::clone(&live)).keep().await {
                    tracing::warn!(%error, "token keys cannot be looked after yet");
                }
            }
            _ = reload.tick() => {
                if let Err(error) = live.scrub_if_owed().await {
                    tracing::warn!(%error, "old pages of erased rows could not be removed yet");
                }
                if let Err(error) = live.reload_if_changed().await {
                    tracing::warn!(%error, "the routing data cannot be read; the last ones stay in force");
                }
            }
            _ = housekeeping.tick() => {
                gate.forget_quiet_callers();
                if let Err(error) = live.prepare_epochs().await {
                    tracing::warn!(%error, "keys and partitions of the coming months cannot be made");
                }
                if let Err(error) = ClosedDays::new(Arc::clone(&live)).enter().await {
                    tracing::warn!(%error, "closed days cannot be entered in the audit log yet");
                }
            }
        }
    }
}
