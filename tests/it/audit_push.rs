//! Checkpoints that are pushed out: a target that never answers holds nothing up, and gets the latest one later.

use std::sync::Arc;
use std::time::Duration;

use einklang::audit::note::{Checkpoint, open_note};
use einklang::delivery::checkpoint::Target;
use einklang::flow::audit::push::{LatestCheckpoints, Pusher};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::app::TestApp;

/// The interval of these tests; the clock is theirs.
const EVERY: Duration = Duration::from_hours(1);
/// How long a target may take: the only real time here.
const TIMEOUT: Duration = Duration::from_millis(300);

struct Place {
    listener: TcpListener,
    pusher: Pusher,
}

async fn place(app: &TestApp) -> Place {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    let target = Target::parse(&format!("http://{at}/canary?canary"), true).expect("a target");
    let pusher = Pusher::new(Arc::clone(&app.live), target.carrier(true, TIMEOUT), EVERY);
    Place { listener, pusher }
}

/// Reads a whole request and answers it; returns its body.
async fn answer(mut stream: TcpStream, with: &str) -> String {
    let mut bytes = Vec::new();
    let text = loop {
        let mut more = [0; 4_096];
        let count = stream.read(&mut more).await.expect("read");
        bytes.extend_from_slice(&more[..count]);
        let text = String::from_utf8(bytes.clone()).expect("text");
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if length.and_then(|text| text.parse().ok()) == Some(body.len()) {
            assert!(head.contains("content-type: text/plain"), "{head}");
            break body.to_owned();
        }
    };
    stream.write_all(with.as_bytes()).await.expect("written");
    text
}

both!(
    a_target_that_does_not_answer_gets_the_latest_checkpoint_later,
    async |app: &TestApp| {
        app.keep_logs().await;
        let Place { listener, mut pusher } = place(app).await;
        // It takes the connection and says nothing.
        assert_eq!(pusher.round().await.expect("a round"), 0);
        let silent = listener.accept().await.expect("a connection");
        // Signing goes on meanwhile, and the target has a rest.
        app.token("Ab3xK9").await;
        app.keep_logs().await;
        app.clock.advance_seconds(14);
        assert_eq!(pusher.round().await.expect("a round"), 0);
        drop(silent);

        app.clock.advance_seconds(1);
        let logs = LatestCheckpoints::new(Arc::clone(&app.live))
            .all()
            .await
            .expect("read");
        let no_content = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
        let taking = async {
            let mut taken = Vec::new();
            for _ in &logs {
                let (stream, _) = listener.accept().await.expect("a connection");
                taken.push(answer(stream, no_content).await);
            }
            taken
        };
        let (arrived, taken) = tokio::join!(pusher.round(), taking);
        assert_eq!(arrived.expect("a round"), logs.len());
        assert_eq!(taken, logs.iter().map(|log| log.note.clone()).collect::<Vec<_>>());
        let public = app.audit_public_key().await;
        for (note, log) in taken.iter().zip(&logs) {
            let text = open_note(note, &log.origin, &public).expect("signed");
            assert_eq!(Checkpoint::parse(&text).expect("a checkpoint").size, log.size);
        }

        // What has arrived is not sent again, and nothing is before the interval has passed.
        app.clock.advance_seconds(3_599);
        assert_eq!(pusher.round().await.expect("a round"), 0);
        app.clock.advance_seconds(1);
        assert_eq!(pusher.round().await.expect("a round"), 0, "nothing grew");
    }
);

both!(
    a_redirect_is_a_refusal_and_is_not_followed,
    async |app: &TestApp| {
        app.keep_logs().await;
        let Place { listener, mut pusher } = place(app).await;
        let elsewhere = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = elsewhere.local_addr().expect("an address");
        let moved =
            format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{at}/\r\ncontent-length: 0\r\n\r\n");
        let taking = async {
            let (stream, _) = listener.accept().await.expect("a connection");
            answer(stream, &moved).await
        };
        let (arrived, _) = tokio::join!(pusher.round(), taking);
        assert_eq!(arrived.expect("a round"), 0);
        assert!(
            tokio::time::timeout(Duration::from_millis(1), elsewhere.accept())
                .await
                .is_err()
        );
    }
);
