//! A shutdown finishes what runs, closes what waits, and does not wait for ever.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use einklang::edge::listener::Limits;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::harness::{
    ALICE, BOB, GET, PATIENCE, Server, closes, connect, get_hello, read_to_end, short, try_connect,
};

/// A handler that says when it was reached and answers when it may.
struct Held {
    reached: Notify,
    release: Notify,
}

fn held_app() -> (Router, Arc<Held>) {
    let held = Arc::new(Held {
        reached: Notify::new(),
        release: Notify::new(),
    });
    let in_handler = Arc::clone(&held);
    let handler = || async move {
        in_handler.reached.notify_one();
        in_handler.release.notified().await;
        "finished"
    };
    (
        Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/held", get(handler)),
        held,
    )
}

const GET_HELD: &[u8] = b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn a_running_request_finishes_and_nothing_new_begins() {
    let (app, held) = held_app();
    let mut server = Server::start(app, Limits::default()).await;
    let address = server.address;
    let mut silent = connect(&server, BOB).await;
    let mut idle = connect(&server, BOB).await;
    assert!(get_hello(&mut idle).await);
    let mut running = connect(&server, ALICE).await;
    running.write_all(GET_HELD).await.unwrap();
    timeout(PATIENCE, held.reached.notified())
        .await
        .expect("the handler was not reached");

    server.begin_shutdown();
    assert_eq!(closes(&mut idle).await, b"", "an idle connection stayed open");
    assert_eq!(closes(&mut silent).await, b"", "a silent connection stayed open");
    let refused = try_connect(address, BOB).await;
    assert!(
        refused.is_err(),
        "a connection was accepted after the shutdown began"
    );

    held.release.notify_one();
    let answer = read_to_end(&mut running).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("finished"),
        "{answer}"
    );
    assert!(answer.contains("connection: close"), "{answer}");
    server.ended().await;
}

#[tokio::test]
async fn what_does_not_finish_is_closed_at_the_deadline() {
    let (app, held) = held_app();
    let mut server = Server::start(
        app,
        Limits {
            drain: short(),
            ..Limits::default()
        },
    )
    .await;
    let mut running = connect(&server, ALICE).await;
    running.write_all(GET_HELD).await.unwrap();
    let mut half_sent = connect(&server, BOB).await;
    half_sent.write_all(&GET[..20]).await.unwrap();
    timeout(PATIENCE, held.reached.notified())
        .await
        .expect("the handler was not reached");

    let began = Instant::now();
    server.begin_shutdown();
    assert_eq!(closes(&mut running).await, b"");
    assert_eq!(closes(&mut half_sent).await, b"");
    server.ended().await;
    assert!(began.elapsed() >= short(), "closed before the deadline");
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "the deadline did not hold"
    );
}

#[tokio::test]
async fn a_dropped_server_closes_its_connections() {
    let (app, _held) = held_app();
    let server = Server::start(app, Limits::default()).await;
    let mut client = connect(&server, ALICE).await;
    assert!(get_hello(&mut client).await);
    drop(server);
    assert_eq!(closes(&mut client).await, b"");
}
