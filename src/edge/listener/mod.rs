//! The door: accepts connections and hands their requests to the application.
//!
//! Promises that no client can hold the server by being slow. A connection that says nothing, half a head, half a
//! body, or that does not read its answer is closed when its time is over; connections are capped in total and per
//! peer; an accept that fails neither ends the loop nor makes it spin; a shutdown lets running requests finish, up to
//! a deadline. `axum::serve` promises none of this. HTTP/1.1 only: a proxy in front ends TLS and HTTP/2.
//!
//! Nothing about a peer is logged or counted by name: no address, no path, no header.

mod activity;
mod connection;
mod limits;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::server::conn::http1;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

pub use self::activity::BodyTimedOut;
pub use self::limits::Limits;
use self::limits::{Gate, REFUSED};

/// How long accepting pauses when the system has no descriptor or memory left: short enough that a client waiting in
/// the backlog hardly notices, long enough that trying again costs nothing.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long `serve` waits, after it has closed what was left, for the tasks to notice.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// hyper asks for at least this much room for a connection's buffers; answers above it are sent in parts.
const MIN_BUFFER_BYTES: usize = 64 * 1024;

/// The address at the other end of the connection, as an extension of every request that a router gets. Behind a proxy this is the
/// proxy. An IPv4 address that came mapped into IPv6 is given as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// What answers requests.
pub trait Application: Clone + Send + Sync + 'static {
    /// Answers one request from the peer at the other end; never fails.
    fn answer(&self, request: Request<Body>, peer: PeerAddr) -> impl Future<Output = Response<Body>> + Send;
}

impl Application for Router {
    async fn answer(&self, mut request: Request<Body>, peer: PeerAddr) -> Response<Body> {
        request.extensions_mut().insert(peer);
        match self.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// What all connections share.
struct Server<A> {
    http: http1::Builder,
    app: A,
    limits: Limits,
    stop: Stop,
}

/// Serves `app` on `listener` until `shutdown` completes; then stops accepting, lets running requests finish for
/// `limits.drain`, and closes what is left.
///
/// Dropping the returned future closes every connection at once.
pub async fn serve<A: Application>(
    listener: TcpListener,
    app: A,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    // The address is only asked for so that a listener that cannot work is an error here, not a silent loop.
    listener.local_addr()?;
    let gate = Gate::new(&limits);
    let drain = limits.drain;
    let server = Arc::new(Server {
        http: http_builder(&limits),
        app,
        limits,
        stop: Stop::default(),
    });
    let _close_on_drop = CloseOnDrop(&server.stop);
    let tasks = TaskTracker::new();

    accept_until(shutdown, &listener, &gate, &server, &tasks).await;
    drop(listener);

    server.stop.begin_drain();
    tasks.close();
    tracing::debug!(connections = tasks.len(), "draining connections");
    if timeout(drain, tasks.wait()).await.is_err() {
        tracing::debug!(
            connections = tasks.len(),
            "closing connections that did not finish"
        );
        server.stop.close_all();
        // A handler that blocks its thread cannot be made to notice; it must not hold up the shutdown either.
        let _ = timeout(CLOSE_WAIT, tasks.wait()).await;
    }
    Ok(())
}

fn http_builder(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    // hyper's own header timer cannot tell an idle connection from a half-sent head and costs an allocation and a
    // lock per request; `connection` keeps time instead.
    http.header_read_timeout(None)
        .max_header_size(limits.max_header_bytes)
        .max_buf_size(limits.max_header_bytes.saturating_mul(2).max(MIN_BUFFER_BYTES));
    http
}

async fn accept_until<A: Application>(
    shutdown: impl Future<Output = ()>,
    listener: &TcpListener,
    gate: &Arc<Gate>,
    server: &Arc<Server<A>>,
    tasks: &TaskTracker,
) {
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.as_mut() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => open(stream, peer, gate, server, tasks),
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                metrics::counter!(REFUSED, "reason" => "accept_failed").increment(1);
                tracing::debug!(kind = ?error.kind(), connections = tasks.len(), "accepting pauses");
                tokio::select! {
                    biased;
                    () = shutdown.as_mut() => return,
                    () = sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
}

/// Starts a connection's task, or closes it at once if a cap is reached.
fn open<A: Application>(
    stream: TcpStream,
    peer: SocketAddr,
    gate: &Arc<Gate>,
    server: &Arc<Server<A>>,
    tasks: &TaskTracker,
) {
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    match gate.admit(peer.ip()) {
        Ok(permit) => {
            // Fails only on a socket that is already dead, which the first read will tell.
            let _ = stream.set_nodelay(true);
            tasks.spawn(connection::run(
                Arc::clone(server),
                stream,
                PeerAddr(peer),
                permit,
            ));
        }
        Err(reason) => metrics::counter!(REFUSED, "reason" => reason.as_str()).increment(1),
    }
}

/// Some errors of accept tell that this one connection died in the queue. Any other means that the system cannot give
/// us a connection now, and would say so again at once.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

/// How far the shutdown has come. Asking a token takes a lock that all connections share, so a connection registers
/// with both tokens once and then only reads `stage`.
#[derive(Default)]
struct Stop {
    stage: AtomicU8,
    drain: CancellationToken,
    close: CancellationToken,
}

impl Stop {
    fn stage(&self) -> u8 {
        self.stage.load(Ordering::Acquire)
    }

    fn begin_drain(&self) {
        self.stage.store(1, Ordering::Release);
        self.drain.cancel();
    }

    fn close_all(&self) {
        self.stage.store(2, Ordering::Release);
        self.close.cancel();
    }
}

/// Connections run in tasks of their own, which must not outlive `serve`.
struct CloseOnDrop<'a>(&'a Stop);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close_all();
    }
}
