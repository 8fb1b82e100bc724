//! Clients that are slow, that send too much, that are too many; and a server without file descriptors.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::account::{Exact, settle};
use crate::load::{LATER, Load, PLAIN, Phase, RECORDED, TOKEN};
use crate::site::Site;
use crate::{is_full, turn};

/// Far beyond every limit of the listener.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two bytes of a slow client.
const PACE: Duration = Duration::from_millis(250);
const GET: &[u8] = b"GET /c/Ab3xK9?consent=granted HTTP/1.1\r\nHost: a\r\n";
const POST: &[u8] = b"POST /postback HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";

/// A connection from an address of its own in 127.0.0.0/8, as a number spreads them.
async fn connect(to: SocketAddr, number: u32) -> TcpStream {
    let [_, a, b, c] = (number.wrapping_mul(2_654_435_761) >> 8).to_be_bytes();
    let socket = TcpSocket::new_v4().expect("a socket");
    let from = Ipv4Addr::new(127, a, b, c.clamp(1, 254));
    socket.bind((from, 0).into()).expect("bound");
    socket.connect(to).await.expect("connected")
}

/// The status that a connection was answered with before it was closed, or that it was closed without a word.
fn ending(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    status.unwrap_or("closed").to_owned()
}

/// Sends the beginning, then a byte now and then, until the server closes.
async fn be_slow(mut client: TcpStream, beginning: Vec<u8>) -> String {
    client.write_all(&beginning).await.expect("sent");
    let (mut read, mut write) = client.split();
    let (mut said, mut pace) = (Vec::new(), interval(PACE));
    let dripping = async {
        loop {
            pace.tick().await;
            // One that was closed meanwhile shows at the reading end.
            let _ = write.write_all(b"x").await;
        }
    };
    let ended = async {
        // A reset is an end, too.
        let _ = read.read_to_end(&mut said).await;
    };
    let closed = timeout(PATIENCE, async {
        tokio::select! {
            () = dripping => {}
            () = ended => {}
        }
    });
    closed.await.expect("a slow connection is still open");
    ending(&said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads_and_bodies() {
    let _turn = turn().await;
    let site = Site::sqlite();
    let server = site.serve(&[]);
    let load = Load::start(&server).await;
    let (before, _) = server.memory();
    load.fault_begins();
    let mut slow = JoinSet::new();
    let count = if is_full() { 5_000 } else { 1_200 };
    for number in 0..count {
        let client = connect(server.address(), number).await;
        let beginning = if number % 2 == 0 {
            [GET, b"X-Slow: "].concat()
        } else {
            [POST, b"Content-Length: 1000\r\n\r\n{"].concat()
        };
        slow.spawn(be_slow(client, beginning));
    }
    let mut endings: BTreeMap<String, u32> = BTreeMap::new();
    while let Some(ending) = slow.join_next().await {
        *endings.entry(ending.expect("a client")).or_default() += 1;
    }
    goes_on_beside(&load).await;
    load.fault_ends();
    let known = load.finish(&server).await;
    let (after, _) = server.memory();
    println!("{count} slow connections ended {endings:?}; memory {before} KiB before and {after} KiB after");
    assert_eq!(
        endings,
        [("408".to_owned(), count / 2), ("closed".to_owned(), count / 2)].into()
    );
    goes_on(&known);
    settle("slow heads and bodies", &site, server, &known, Exact::Yes).await;
}

/// Waits until the load has gone on beside the fault for a while.
async fn goes_on_beside(load: &Load) {
    load.until("clicks and orders beside the fault", |known| {
        known.count("click", Phase::During, TOKEN) >= 20
            && known.count("postback", Phase::During, RECORDED) >= 20
    })
    .await;
}

/// Nobody else felt it.
fn goes_on(known: &crate::load::Known) {
    let during = |kind, outcome| known.count(kind, Phase::During, outcome);
    assert_eq!(
        during("click", PLAIN) + during("postback", LATER),
        0,
        "{}",
        known.figures()
    );
}

/// Sends a beginning and then as much as the server takes, up to so many bytes; returns how that ended and what was said.
async fn be_huge(mut client: TcpStream, beginning: Vec<u8>, chunk: Vec<u8>, bytes: usize) -> Vec<u8> {
    let (mut read, mut write) = client.split();
    let mut said = Vec::new();
    let pouring = async {
        let _ = write.write_all(&beginning).await;
        let mut sent = 0;
        while sent < bytes && write.write_all(&chunk).await.is_ok() {
            sent += chunk.len();
        }
        std::future::pending::<()>().await;
    };
    let ended = async {
        let _ = read.read_to_end(&mut said).await;
    };
    let closed = timeout(PATIENCE, async {
        tokio::select! {
            () = pouring => {}
            () = ended => {}
        }
    });
    closed
        .await
        .expect("a connection that sends too much is still open");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn huge_heads_and_bodies() {
    let _turn = turn().await;
    let site = Site::sqlite();
    let server = site.serve(&[]);
    let load = Load::start(&server).await;
    load.fault_begins();
    let mut huge = JoinSet::new();
    let each: u32 = if is_full() { 500 } else { 60 };
    let megabytes = 8 << 20;
    for number in 0..each * 3 {
        let client = connect(server.address(), number).await;
        let (kind, beginning, chunk) = match number % 3 {
            0 => (
                "one long header",
                [GET, b"X-Long: "].concat(),
                vec![b'x'; 64 << 10],
            ),
            1 => ("many headers", GET.to_vec(), b"X-Many: some\r\n".repeat(4_096)),
            _ => {
                let chunk = [&b"10000\r\n"[..], &vec![b' '; 64 << 10], b"\r\n"].concat();
                (
                    "long body",
                    [POST, b"Transfer-Encoding: chunked\r\n\r\n"].concat(),
                    chunk,
                )
            }
        };
        huge.spawn(async move { (kind, be_huge(client, beginning, chunk, megabytes).await) });
    }
    let mut endings: BTreeMap<(&str, String), u32> = BTreeMap::new();
    while let Some(ended) = huge.join_next().await {
        let (kind, said) = ended.expect("a client");
        *endings.entry((kind, ending(&said))).or_default() += 1;
        if kind == "long body" && !said.is_empty() {
            let text = String::from_utf8_lossy(&said);
            assert!(
                text.contains("application/problem+json") && text.contains("too_large"),
                "{text}"
            );
        }
    }
    goes_on_beside(&load).await;
    load.fault_ends();
    let known = load.finish(&server).await;
    println!("huge: {endings:?}");
    for (kind, ending) in endings.keys() {
        let right = if *kind == "long body" { "413" } else { "431" };
        // An answer may be lost to the reset of a connection that still sends.
        assert!([right, "closed"].contains(&ending.as_str()), "{kind}: {ending}");
    }
    goes_on(&known);
    settle("huge heads and bodies", &site, server, &known, Exact::Yes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_descriptor_is_left() {
    let _turn = turn().await;
    let site = Site::sqlite();
    let server = site.serve(&[]);
    let load = Load::start(&server).await;
    load.fault_begins();
    server.limit(&format!("--nofile={}:", server.descriptors() + 8));
    let mut held = Vec::new();
    for number in 0..64 {
        held.push(connect(server.address(), number).await);
    }
    // The guard file cannot be opened, so nothing is signed; what needs no new descriptor goes on.
    server.logs("nothing is signed", 2).await;
    load.until("answers without descriptors", |known| {
        known.count("click", Phase::During, TOKEN) >= 60
            && known.count("postback", Phase::During, RECORDED) >= 40
    })
    .await;
    // Whoever comes now waits in the system's queue until a connection ends.
    let mut late = connect(server.address(), 1_000).await;
    let request = [GET, b"User-Agent: Firefox/140.0\r\nConnection: close\r\n\r\n"].concat();
    late.write_all(&request).await.expect("sent");
    drop(held);
    let mut said = Vec::new();
    let answered = timeout(PATIENCE, late.read_to_end(&mut said)).await;
    answered.expect("an answer").expect("read");
    assert_eq!(ending(&said), "302");
    server.limit("--nofile=1024:");
    load.fault_ends();
    let mut known = load.finish(&server).await;
    if String::from_utf8_lossy(&said).contains("s2s=") {
        known.tokens += 1;
    } else {
        known.plain += 1;
    }
    settle("no file descriptor left", &site, server, &known, Exact::Yes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_the_queue_holds() {
    let _turn = turn().await;
    let site = Site::sqlite();
    let server = site.serve(&["--queue-capacity=8"]);
    let mut load = Load::start(&server).await;
    load.fault_begins();
    load.add(&server, if is_full() { 450 } else { 150 }, None);
    load.until("a full queue", |known| {
        known.count("click", Phase::During, PLAIN) >= 500
            && known.count("postback", Phase::During, LATER) >= 100
    })
    .await;
    load.fault_ends();
    let known = load.finish(&server).await;
    let tracked = known.count("click", Phase::During, TOKEN);
    assert!(tracked > 0, "a full queue is worked off all the same");
    settle("more than the queue holds", &site, server, &known, Exact::Yes).await;
}
