//! Connections to whichever of a URL's hosts takes writes.
//!
//! Where a URL names several hosts, a watch holds a connection to the one that writes and asks it once a second, or at once
//! when somebody had trouble. While there is none, it asks all of them, four times a second; everybody else is refused
//! without waiting, and what a lane waits for is given up. What is connected to is asked whether it writes before it is used: a primary that came back as a standby
//! is never spoken to for long.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Error, Row};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Sleep, sleep, timeout};

use super::connect::StoreError;
use super::hosts::Hosts;
use super::kept::GivenUp;
use super::scoped::EVERY_TENANT;

/// How long one host may take to let us in, or to say whether it writes.
const HOST_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the start waits for one that writes, and a caller for a connection of the pool.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// After an attempt that failed, none is made for so long.
const REST: Duration = Duration::from_millis(250);
/// How often the one that writes is asked whether it still does.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The ledger's look-ups name at most 1,024 keys, each of which an index finds. Left to its guesses about arrays and about
/// tables that grew since it last looked, PostgreSQL reads whole partitions to join them by hash, and plans that anew for
/// every batch.
const LEDGER_PLANS: [(&str, &str); 5] = [
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("jit", "off"),
];

/// What a connection is for that the pool does not lend, and that stands for every tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// For whoever looks or works over all tenants; never lent.
    Server,
    /// For the ledger's batches.
    Ledger,
}

/// The hosts of a URL, and which of them writes.
#[derive(Clone)]
pub(super) struct Primary {
    shared: Arc<Shared>,
    watch: Option<Arc<Watch>>,
}

struct Shared {
    /// The options of each host.
    each: Vec<PgConnectOptions>,
    must_write: bool,
    /// The place of the one that wrote last.
    current: AtomicUsize,
    /// Whether none is known to write. Only the watch finds another one.
    lost: AtomicBool,
    troubled: Notify,
    /// Sent when the one that wrote is given up.
    gave_up: watch::Sender<()>,
    /// Whether an attempt failed a moment ago.
    resting: AtomicBool,
}

/// Ends the watch with the last of the store's handles.
struct Watch(AbortHandle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Something that is over after a while, for whoever asks now and then.
pub(super) struct Timer(Pin<Box<Sleep>>);

impl Timer {
    /// Over after so long.
    pub(super) fn of(span: Duration) -> Self {
        Self(Box::pin(sleep(span)))
    }

    /// Whether it is over.
    pub(super) fn is_over(&mut self) -> bool {
        self.0.as_mut().now_or_never().is_some()
    }
}

/// As every connection of ours is made.
pub(super) fn ours(options: PgConnectOptions, name: &str) -> PgConnectOptions {
    options
        // Salts stand in a schema of their own; one search path keeps the statements alike on both databases.
        .options([
            ("search_path", "public,vault"),
            ("client_min_messages", "warning"),
        ])
        .application_name(name)
        .disable_statement_logging()
}

/// Connects to the first of the hosts that will do; returns its place as well.
pub(super) async fn connect_to_any(hosts: &Hosts, name: &str) -> Result<(usize, PgConnection), Error> {
    let options = hosts.each.iter().map(|host| ours(host.options.clone(), name));
    let each: Vec<_> = options.map(|options| options.options([EVERY_TENANT])).collect();
    first(&each, hosts.must_write).await
}

/// Asks all at once, since one that is gone may take long to say so. Of several that write, which no cluster has, the
/// first to answer is taken.
async fn first(each: &[PgConnectOptions], must_write: bool) -> Result<(usize, PgConnection), Error> {
    let ask = |(place, options)| async move { (place, open(options, must_write).await) };
    let mut asked: FuturesUnordered<_> = each.iter().enumerate().map(ask).collect();
    let mut last = nobody_writes();
    while let Some((place, answer)) = asked.next().await {
        match answer {
            Ok(connection) => return Ok((place, connection)),
            // That somebody is a standby says less than why the others do not answer.
            Err(error) if matches!(last, Error::Io(_)) => last = error,
            Err(_) => {}
        }
    }
    Err(last)
}

async fn open(options: &PgConnectOptions, must_write: bool) -> Result<PgConnection, Error> {
    let opened = async {
        let mut connection = options.connect().await?;
        if !must_write || writes(&mut connection).await? {
            return Ok(connection);
        }
        let _ = connection.close().await;
        Err(nobody_writes())
    };
    let patience = if must_write { HOST_TIMEOUT } else { ACQUIRE_TIMEOUT };
    timeout(patience, opened)
        .await
        .unwrap_or_else(|_| Err(too_late()))
}

/// A standby says no, and so does a primary that was told to take no writes.
async fn writes(connection: &mut PgConnection) -> Result<bool, Error> {
    let row = sqlx::raw_sql("SHOW transaction_read_only")
        .fetch_one(connection)
        .await?;
    Ok(row.try_get::<&str, _>(0)? == "off")
}

fn nobody_writes() -> Error {
    let text = "no host of the database URL takes writes";
    Error::Io(std::io::Error::new(std::io::ErrorKind::NotConnected, text))
}

pub(super) fn too_late() -> Error {
    Error::Io(std::io::ErrorKind::TimedOut.into())
}

impl Primary {
    /// Finds the host that writes, and opens a pool to it which goes where this goes.
    pub(super) async fn open(hosts: &Hosts, connections: u32) -> Result<(Self, PgPool), StoreError> {
        let options = hosts
            .each
            .iter()
            .map(|host| ours(host.options.clone(), "einklang"));
        let shared = Arc::new(Shared {
            each: options.collect(),
            must_write: hosts.must_write,
            current: AtomicUsize::new(0),
            lost: AtomicBool::new(false),
            troubled: Notify::new(),
            gave_up: watch::Sender::new(()),
            resting: AtomicBool::new(false),
        });
        let mut found = None;
        if shared.must_write {
            let (place, connection) = shared.first_to_come().await?;
            shared.current.store(place, Ordering::Release);
            found = Some(connection);
        }
        let pool = shared.pool(connections).await?;
        let watch = found.map(|held| {
            let task = tokio::spawn(follow(Arc::clone(&shared), pool.clone(), held));
            Arc::new(Watch(task.abort_handle()))
        });
        Ok((Self { shared, watch }, pool))
    }

    /// The options of a connection to the one that wrote last.
    pub(super) fn options(&self, of: Use) -> PgConnectOptions {
        let options = self.shared.options().options([EVERY_TENANT]);
        match of {
            Use::Server => options,
            Use::Ledger => options.options(LEDGER_PLANS),
        }
    }

    /// A connection to the one that writes; refused at once while none is known, and for a moment after an attempt that
    /// failed.
    pub(super) async fn connect(&self, of: Use) -> Result<PgConnection, Error> {
        let shared = &self.shared;
        self.known()?;
        if shared.resting.load(Ordering::Acquire) {
            return Err(nobody_writes());
        }
        let opened = open(&self.options(of), shared.must_write).await;
        if opened.is_err() {
            shared.trouble();
        }
        opened
    }

    /// An error at once where no host is known to write.
    pub(super) fn known(&self) -> Result<(), Error> {
        if self.shared.lost.load(Ordering::Acquire) {
            return Err(nobody_writes());
        }
        Ok(())
    }

    /// For a connection that is about to be made: tells when its host is given up.
    pub(super) fn given_up(&self) -> GivenUp {
        GivenUp(self.watch.as_ref().map(|_| self.shared.gave_up.subscribe()))
    }

    /// Ends the watch.
    pub(super) fn close(&self) {
        if let Some(watch) = &self.watch {
            watch.0.abort();
        }
    }
}

impl Shared {
    fn options(&self) -> PgConnectOptions {
        let current = self.each.get(self.current.load(Ordering::Acquire));
        // The place is one of theirs; without one there is nothing to connect to.
        current.cloned().unwrap_or_default()
    }

    async fn first_to_come(&self) -> Result<(usize, PgConnection), Error> {
        let mut last = nobody_writes();
        let attempts = async {
            loop {
                match first(&self.each, true).await {
                    Ok(found) => return found,
                    Err(error) => last = error,
                }
                sleep(REST).await;
            }
        };
        match timeout(ACQUIRE_TIMEOUT, attempts).await {
            Ok(found) => Ok(found),
            Err(_) => Err(last),
        }
    }

    async fn pool(self: &Arc<Self>, connections: u32) -> Result<PgPool, Error> {
        let mut pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT);
        if self.must_write {
            // Instead of the question whether it lives, which costs as much.
            pool = pool.test_before_acquire(false);
            let shared = Arc::clone(self);
            pool = pool.before_acquire(move |connection, _| {
                let shared = Arc::clone(&shared);
                async move {
                    let good = matches!(timeout(HOST_TIMEOUT, writes(connection)).await, Ok(Ok(true)));
                    if !good {
                        shared.troubled.notify_one();
                    }
                    Ok(good)
                }
                .boxed()
            });
            let shared = Arc::clone(self);
            pool = pool.after_connect(move |connection, _| {
                let shared = Arc::clone(&shared);
                async move {
                    if writes(connection).await? {
                        return Ok(());
                    }
                    shared.troubled.notify_one();
                    Err(nobody_writes())
                }
                .boxed()
            });
        }
        pool.connect_with(self.options()).await
    }

    fn trouble(self: &Arc<Self>) {
        self.resting.store(true, Ordering::Release);
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            sleep(REST).await;
            shared.resting.store(false, Ordering::Release);
        });
        if self.must_write {
            self.lost.store(true, Ordering::Release);
            self.troubled.notify_one();
        }
    }
}

/// Follows the host that writes.
async fn follow(shared: Arc<Shared>, pool: PgPool, mut held: PgConnection) {
    loop {
        tokio::select! {
            () = shared.troubled.notified() => {}
            () = sleep(LOOK_EVERY) => {}
        }
        if !matches!(timeout(HOST_TIMEOUT, writes(&mut held)).await, Ok(Ok(true))) {
            shared.lost.store(true, Ordering::Release);
            // Whoever waits for it need not wait any longer.
            shared.gave_up.send_replace(());
            tracing::warn!("the database that took writes is gone; its hosts are asked for another one");
            held = seek(&shared, &pool).await;
            tracing::info!("a database that takes writes is found");
        }
        shared.lost.store(false, Ordering::Release);
    }
}

async fn seek(shared: &Shared, pool: &PgPool) -> PgConnection {
    loop {
        if let Ok((place, connection)) = first(&shared.each, true).await {
            shared.current.store(place, Ordering::Release);
            pool.set_connect_options(shared.options());
            return connection;
        }
        sleep(REST).await;
    }
}
