//! `einklang serve`: listeners, timers, signals, and an orderly end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::system::{SystemClock, SystemEntropy};
use super::telemetry;
use super::wire::{self, App, StartError};
use crate::edge::listener::{self, Limits};

/// How often other nodes' changes are looked for.
const RELOAD_EVERY: Duration = Duration::from_millis(500);
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
    Listen(std::net::SocketAddr, #[source] std::io::Error),
    /// Signals cannot be received.
    #[error("Signals cannot be received: {0}")]
    Signal(#[source] std::io::Error),
}

/// Serves until SIGINT or SIGTERM. `ready` runs once both listeners are open.
pub async fn serve(
    config: Config,
    ready: impl AsyncFnOnce(&App) -> Result<(), StartError>,
) -> Result<(), ServeError> {
    let handle = telemetry::metrics();
    let app = wire::build(&config, Arc::new(SystemClock), Arc::new(SystemEntropy)).await?;
    let public = bind(config.listen).await?;
    let management = bind(config.management_listen).await?;
    let render: crate::edge::health::Render = Arc::new(move || handle.render());
    let management_router = app.management(render);
    let stop = CancellationToken::new();
    ready(&app).await?;
    watch_signals(stop.clone())?;
    let limits = Limits {
        proxies: config.trusted_proxies.clone(),
        ..Limits::default()
    };
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
    app.stop().await;
    tracing::info!("stopped");
    Ok(())
}

async fn bind(address: std::net::SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| ServeError::Listen(address, error))
}

async fn listen(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    if let Err(error) = listener::serve(listener, router, limits, stop.cancelled_owned()).await {
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

/// Looks for other nodes' changes, and keeps house.
async fn timers(live: Arc<crate::flow::Live>, gate: Arc<crate::edge::auth::Gate>, stop: CancellationToken) {
    let mut reload = tokio::time::interval(RELOAD_EVERY);
    let mut housekeeping = tokio::time::interval(HOUSEKEEPING_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = reload.tick() => {
                if let Err(error) = live.reload_if_changed().await {
                    tracing::warn!(%error, "the routing data cannot be read; the last ones stay in force");
                }
            }
            _ = housekeeping.tick() => {
                gate.forget_quiet_callers();
                if let Err(error) = live.prepare_epochs().await {
                    tracing::warn!(%error, "keys and partitions of the coming months cannot be made");
                }
            }
        }
    }
}
