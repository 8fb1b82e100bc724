//! The listener against clients that are slow, greedy or gone, over real sockets on the loopback network.
//!
//! Nothing here waits for time to pass: a test waits for the event itself, and fails if it is not there by a deadline
//! far beyond the limit under test. `flood` runs many slow clients against the default limits, `descriptors` takes the
//! server's file descriptors away.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "how long the server waits is what is measured"
)]

#[path = "listener/descriptors.rs"]
mod descriptors;
#[path = "listener/flood.rs"]
mod flood;
#[path = "listener/harness.rs"]
mod harness;
#[path = "listener/shutdown.rs"]
mod shutdown;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Bytes;
use axum::routing::{get, post};
use axum::{Router, extract::Request, http::StatusCode};
use einklang::edge::listener::{Limits, PeerAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use harness::{
    ALICE, BOB, GET, PATIENCE, Server, closes, connect, get_hello, read_answer, read_to_end, short,
};

/// Limits that are far apart, so that a test sees which of them closed the connection.
fn only(set: impl FnOnce(&mut Limits)) -> Limits {
    let far = Duration::from_mins(10);
    let mut limits = Limits {
        first_byte: far,
        header: far,
        idle: far,
        body: far,
        write: far,
        ..Limits::default()
    };
    set(&mut limits);
    limits
}

fn app() -> Router {
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route(
            "/peer",
            get(|Extension(PeerAddr(peer)): Extension<PeerAddr>| async move { peer.to_string() }),
        )
        .route("/body", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/ignore", post(|| async { StatusCode::NO_CONTENT }))
        .route(
            "/elsewhere",
            post(|request: Request| async move {
                let read = tokio::spawn(axum::body::to_bytes(request.into_body(), 1 << 20));
                if matches!(read.await, Ok(Ok(_))) {
                    StatusCode::OK
                } else {
                    StatusCode::BAD_REQUEST
                }
            }),
        )
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let server = Server::start(app(), only(|l| l.first_byte = short())).await;
    let mut client = connect(&server, ALICE).await;
    let started = Instant::now();
    assert_eq!(closes(&mut client).await, b"");
    assert!(started.elapsed() >= short() / 2, "closed before its time");
}

#[tokio::test]
async fn a_half_sent_head_is_closed() {
    let server = Server::start(app(), only(|l| l.header = short())).await;
    let mut client = connect(&server, ALICE).await;
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: shop.example\r\nX-Half: ")
        .await
        .unwrap();
    assert_eq!(closes(&mut client).await, b"");
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_closed() {
    let server = Server::start(app(), only(|l| l.header = short())).await;
    let mut client = connect(&server, ALICE).await;
    let started = Instant::now();
    client.write_all(b"GET / HTTP/1.1\r\nX-Long: ").await.unwrap();
    let mut sent = 0;
    // The pace between two bytes is the wait for the end itself, a tenth of the limit.
    while timeout(short() / 10, client.read_u8()).await.is_err() {
        sent += 1;
        // A connection that was closed meanwhile shows at the next read.
        let _ = client.write_all(b"x").await;
        assert!(started.elapsed() < PATIENCE, "still open after {sent} bytes");
    }
    assert!(
        sent >= 3,
        "closed after {sent} bytes: that was not the limit of the whole head"
    );
}

#[tokio::test]
async fn a_head_over_the_limit_is_431() {
    let server = Server::start(app(), Limits::default()).await;
    let head = |bytes: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n",
            "x".repeat(bytes)
        )
    };

    let mut client = connect(&server, ALICE).await;
    client.write_all(head(31 * 1024).as_bytes()).await.unwrap();
    assert!(read_answer(&mut client).await.starts_with("HTTP/1.1 200 "));

    for bytes in [33 * 1024, 200 * 1024] {
        let mut client = connect(&server, ALICE).await;
        client.write_all(head(bytes).as_bytes()).await.unwrap();
        let answer = read_answer(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{bytes} bytes: {answer}");
        // Not reset, though not all of the head was used: a reset could have taken the answer with it.
        client.write_all(b"more").await.expect("the connection was reset");
        client.shutdown().await.unwrap();
        assert_eq!(closes(&mut client).await, b"");
    }
}

#[tokio::test]
async fn a_stalled_body_is_408_and_closed() {
    let server = Server::start(app(), only(|l| l.body = short())).await;
    for framing in [
        "Content-Length: 10\r\n\r\n12345",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ] {
        let mut client = connect(&server, ALICE).await;
        client
            .write_all(format!("POST /body HTTP/1.1\r\nHost: a\r\n{framing}").as_bytes())
            .await
            .unwrap();
        let answer = read_to_end(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_stalled_body_that_another_task_reads_is_closed() {
    let server = Server::start(app(), only(|l| l.body = short())).await;
    let mut client = connect(&server, ALICE).await;
    client
        .write_all(b"POST /elsewhere HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
        .await
        .unwrap();
    closes(&mut client).await;
}

#[tokio::test]
async fn an_answer_that_needs_no_body_stands() {
    let server = Server::start(app(), only(|l| l.body = short())).await;
    let mut client = connect(&server, ALICE).await;
    client
        .write_all(b"POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
        .await
        .unwrap();
    let answer = read_answer(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
}

#[tokio::test]
async fn an_answer_that_is_not_read_is_closed() {
    let (body, dropped) = harness::endless_body();
    let body = std::sync::Arc::new(std::sync::Mutex::new(Some(body)));
    let app = Router::new().route("/", get(|| async move { body.lock().unwrap().take().unwrap() }));
    let server = Server::start(app, only(|l| l.write = short())).await;
    let mut client = connect(&server, ALICE).await;
    client.write_all(GET).await.unwrap();
    timeout(PATIENCE, dropped)
        .await
        .expect("the answer is still held")
        .unwrap();
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = Server::start(
        app(),
        Limits {
            header: short(),
            body: short(),
            ..Limits::default()
        },
    )
    .await;
    let mut client = connect(&server, ALICE).await;
    for _ in 0..50 {
        client.write_all(GET).await.unwrap();
        assert!(read_answer(&mut client).await.ends_with("hello"));
        client
            .write_all(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345")
            .await
            .unwrap();
        assert!(read_answer(&mut client).await.ends_with("\r\n\r\n5"));
    }
    // In one write: the pipeline is answered in order, and the connection is idle afterwards, not half-sent.
    client.write_all(&GET.repeat(3)).await.unwrap();
    for _ in 0..3 {
        assert!(read_answer(&mut client).await.ends_with("hello"));
    }
    assert!(
        timeout(short() * 3, client.read_u8()).await.is_err(),
        "an idle connection fell to a request's limit"
    );
    client.write_all(GET).await.unwrap();
    assert!(read_answer(&mut client).await.ends_with("hello"));
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = Server::start(app(), only(|l| l.idle = short())).await;
    let mut client = connect(&server, ALICE).await;
    client.write_all(GET).await.unwrap();
    assert!(read_answer(&mut client).await.ends_with("hello"));
    assert_eq!(closes(&mut client).await, b"");
}

#[tokio::test]
async fn a_half_sent_head_after_a_served_request_is_closed() {
    let server = Server::start(app(), only(|l| l.header = short())).await;
    // Sent after the answer, and glued to the request before it.
    for glued in [false, true] {
        let mut client = connect(&server, ALICE).await;
        let mut first = GET.to_vec();
        if glued {
            first.extend_from_slice(b"GET / HTTP/1.1\r\nHost:");
        }
        client.write_all(&first).await.unwrap();
        assert!(read_answer(&mut client).await.ends_with("hello"));
        if !glued {
            client.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        }
        assert_eq!(closes(&mut client).await, b"");
    }
}

#[tokio::test]
async fn one_address_has_its_cap_and_others_are_served() {
    let server = Server::start(
        app(),
        Limits {
            max_per_address: 2,
            ..Limits::default()
        },
    )
    .await;
    let mut held = [connect(&server, ALICE).await, connect(&server, ALICE).await];
    for client in &mut held {
        assert!(get_hello(client).await);
    }
    assert_eq!(closes(&mut connect(&server, ALICE).await).await, b"");
    assert!(get_hello(&mut connect(&server, BOB).await).await);

    drop(held);
    comes_back(&server, ALICE).await;
}

#[tokio::test]
async fn all_together_have_their_cap() {
    let server = Server::start(
        app(),
        Limits {
            max_connections: 2,
            ..Limits::default()
        },
    )
    .await;
    let mut held = [connect(&server, ALICE).await, connect(&server, BOB).await];
    for client in &mut held {
        assert!(get_hello(client).await);
    }
    assert_eq!(
        closes(&mut connect(&server, Ipv4Addr::new(127, 9, 9, 9)).await).await,
        b""
    );
    drop(held);
    comes_back(&server, BOB).await;
}

#[tokio::test]
async fn a_request_knows_its_peer() {
    let server = Server::start(app(), Limits::default()).await;
    let mut client = connect(&server, BOB).await;
    let own: SocketAddr = client.local_addr().unwrap();
    client
        .write_all(b"GET /peer HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    assert!(read_answer(&mut client).await.ends_with(&own.to_string()));
}

/// The server learns of a closed connection a little after the client; until then the cap still holds.
async fn comes_back(server: &Server, from: Ipv4Addr) {
    let retried = async {
        loop {
            let mut client = connect(server, from).await;
            if client.write_all(GET).await.is_ok() && client.read_u8().await.is_ok() {
                return;
            }
        }
    };
    timeout(PATIENCE, retried)
        .await
        .expect("the places of closed connections were not given back");
}
