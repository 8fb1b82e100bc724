//! Many slow clients against the default limits, while one normal client goes on working.
//!
//! `EINKLANG_SLOW_CONNECTIONS` sets how many half-sent and how many silent connections there are (default 200 of
//! each). From 1,000 on it is the full run, which also holds the normal client's p99 to twice its baseline; below, the
//! ratio is only printed, because a test on a shared machine proves nothing about microseconds.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use einklang::edge::listener::Limits;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use super::harness::{GET, Server, closes, connect, get_hello, try_connect};

const FULL_RUN: u32 = 1_000;
const ALL_CLOSED: Duration = Duration::from_secs(15);
const BASELINE_REQUESTS: usize = 60_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_connections_are_closed_and_a_normal_client_does_not_feel_them() {
    let each = std::env::var("EINKLANG_SLOW_CONNECTIONS").map_or(200, |count| count.parse::<u32>().unwrap());
    let app = Router::new().route("/", get(|| async { "hello" }));
    let server = Server::start(app, Limits::default()).await;
    let address = server.address;
    // The same client alone, for as many requests as take a few seconds.
    let alone =
        tokio::task::spawn_blocking(move || normal_client(address, |served| served < BASELINE_REQUESTS));
    let alone = alone.await.unwrap();

    let all_closed = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&all_closed);
    let beside =
        tokio::task::spawn_blocking(move || normal_client(address, |_| !stop.load(Ordering::Relaxed)));
    let began = Instant::now();
    let mut slow = JoinSet::new();
    for n in 0..each * 2 {
        let client = try_connect(server.address, spread(n)).await.unwrap();
        slow.spawn(be_slow(client, n % 2 == 0));
    }
    let opened = began.elapsed();
    let mut lives = Vec::new();
    while let Some(life) = slow.join_next().await {
        lives.push(life.unwrap());
    }
    all_closed.store(true, Ordering::Relaxed);
    let beside = beside.await.unwrap();

    let longest = lives.iter().max().copied().unwrap_or_default();
    assert_eq!(lives.len(), each as usize * 2);
    assert!(longest < ALL_CLOSED, "a slow connection lived {longest:?}");
    let (before, with) = (p99(alone), p99(beside));
    let ratio = with.as_secs_f64() / before.as_secs_f64();
    eprintln!(
        "{each} half-sent and {each} silent connections, opened in {opened:?}, all closed after {longest:?} at most; \
         p99 of a normal client {before:?} alone, {with:?} beside them: ratio {ratio:.2}"
    );
    if each >= FULL_RUN {
        assert!(ratio <= 2.0, "p99 rose {ratio:.2}-fold");
    }
    // The door is as open as before.
    assert!(get_hello(&mut connect(&server, spread(0)).await).await);
}

/// An address of its own for each, over all of 127.0.0.0/8.
fn spread(n: u32) -> Ipv4Addr {
    let [_, a, b, c] = (n.wrapping_mul(2_654_435_761) >> 8).to_be_bytes();
    Ipv4Addr::new(127, a, b, c.clamp(1, 254))
}

/// Sends half a head or nothing, and waits to be closed. How long that took.
async fn be_slow(mut client: tokio::net::TcpStream, half_sent: bool) -> Duration {
    let began = Instant::now();
    if half_sent {
        client.write_all(&GET[..GET.len() - 2]).await.unwrap();
    }
    assert_eq!(closes(&mut client).await, b"");
    began.elapsed()
}

/// One request after the other on one connection, as long as `goes_on` says so. How long each took.
fn normal_client(server: SocketAddr, goes_on: impl Fn(usize) -> bool) -> Vec<Duration> {
    let mut client = TcpStream::connect(server).unwrap();
    client.set_nodelay(true).unwrap();
    let mut waits = Vec::new();
    let mut answer = [0; 512];
    while goes_on(waits.len()) {
        let asked = Instant::now();
        client.write_all(GET).unwrap();
        // The answer is far smaller than a segment, so it comes whole.
        let length = client.read(&mut answer).unwrap();
        waits.push(asked.elapsed());
        assert!(answer[..length].ends_with(b"hello"));
    }
    waits
}

fn p99(mut waits: Vec<Duration>) -> Duration {
    assert!(
        waits.len() >= 1_000,
        "too few requests for a p99: {}",
        waits.len()
    );
    waits.sort_unstable();
    waits[waits.len() * 99 / 100]
}
