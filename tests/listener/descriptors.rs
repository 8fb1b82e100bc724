//! A server that has run out of file descriptors neither spins nor gives up.
//!
//! The limit holds for a whole process, so the server runs in one of its own: this test program, started again by a
//! shell that lowered the limit.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use einklang::edge::listener::{Limits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::harness::{ALICE, BOB, GET, PATIENCE, get_hello, try_connect};

const CHILD: &str = "EINKLANG_TEST_LISTENER_CHILD";
const DESCRIPTORS: usize = 40;
const WATCHED: Duration = Duration::from_secs(1);

#[tokio::test]
async fn no_descriptor_left_is_waited_out() {
    let (mut child, address) = OwnProcess::start();
    let mut greedy = Vec::new();
    for _ in 0..DESCRIPTORS * 2 {
        greedy.push(try_connect(address, ALICE).await.unwrap());
    }
    let mut patient = try_connect(address, BOB).await.unwrap();
    patient.write_all(GET).await.unwrap();

    let before = child.cpu_ticks();
    let early = timeout(WATCHED, patient.read_u8()).await;
    let spent = child.cpu_ticks() - before;
    assert!(
        early.is_err(),
        "the server still had descriptors, so this shows nothing"
    );
    // A tick is 10 ms, so a loop that spins spends about 100 of them on a free processor.
    assert!(spent < 20, "accepting spins: {spent} ticks in {WATCHED:?}");

    drop(greedy);
    let first = timeout(PATIENCE, patient.read_u8())
        .await
        .expect("accepting did not go on")
        .unwrap();
    assert_eq!(first, b'H');
    assert!(get_hello(&mut try_connect(address, BOB).await.unwrap()).await);
    assert!(child.ends_well(), "the server did not shut down cleanly");
}

/// The other process: does nothing unless it was started by the test above. Serves until its input ends.
#[tokio::test]
async fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    eprintln!("listens on {}", listener.local_addr().unwrap());
    let (input_ended, ended) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        drop(input_ended);
    });
    let shutdown = async {
        let _ = ended.await;
    };
    let app = Router::new().route("/", get(|| async { "hello" }));
    serve(
        listener,
        app,
        Limits {
            first_byte: PATIENCE * 2,
            ..Limits::default()
        },
        shutdown,
    )
    .await
    .unwrap();
}

/// A server in a process of its own, which does not outlive its test.
struct OwnProcess(Child);

impl OwnProcess {
    fn start() -> (Self, SocketAddr) {
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!(
                "ulimit -n {DESCRIPTORS} && exec \"$0\" --exact descriptors::child --nocapture"
            ))
            .arg(std::env::current_exe().unwrap())
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Ends when the process does, so it needs no deadline.
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            line.unwrap()
                .split_once("listens on ")
                .map(|(_, address)| address.parse().unwrap())
        });
        (Self(child), address.expect("the server said no address"))
    }

    /// User and system time so far, from the fields after the program's name, which may hold spaces.
    fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields
            .split(' ')
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum()
    }

    fn ends_well(&mut self) -> bool {
        drop(self.0.stdin.take());
        self.0.wait().unwrap().success()
    }
}

impl Drop for OwnProcess {
    fn drop(&mut self) {
        // Fails where the process has ended, as it should have.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
