//! A server on a free port and clients that speak HTTP/1.1 byte by byte, so that they can speak it badly.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use einklang::edge::listener::{Limits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Far beyond every limit under test, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Two clients with addresses of their own.
pub const ALICE: Ipv4Addr = Ipv4Addr::new(127, 1, 2, 3);
pub const BOB: Ipv4Addr = Ipv4Addr::new(127, 4, 5, 6);
/// A whole request.
pub const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n";

/// The limit under test.
pub const fn short() -> Duration {
    Duration::from_millis(300)
}

/// A running server. Dropped, it closes every connection.
pub struct Server {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub async fn start(app: Router, limits: Limits) -> Self {
        // Any loopback address reaches it, so that clients can come from all of 127.0.0.0/8.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            // A dropped sender means that the test is over.
            let _ = stopped.await;
        };
        let task = tokio::spawn(serve(listener, app, limits, shutdown));
        Self {
            address,
            stop: Some(stop),
            task,
        }
    }

    pub fn begin_shutdown(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until `serve` has returned.
    pub async fn ended(mut self) {
        timeout(PATIENCE, &mut self.task)
            .await
            .expect("serve did not return")
            .unwrap()
            .unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub async fn connect(server: &Server, from: Ipv4Addr) -> TcpStream {
    try_connect(server.address, from).await.unwrap()
}

pub async fn try_connect(to: SocketAddr, from: Ipv4Addr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

/// Waits for the server to close the connection; returns what it said before.
pub async fn closes(client: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // A reset is a close too.
    let _ = timeout(PATIENCE, client.read_to_end(&mut said))
        .await
        .expect("the connection is still open");
    said
}

pub async fn read_to_end(client: &mut TcpStream) -> String {
    String::from_utf8(closes(client).await).unwrap()
}

/// Reads one answer and leaves the connection open; empty or cut short if the server closed it.
pub async fn read_answer(client: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = async {
        loop {
            let text = String::from_utf8_lossy(&answer).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && body.len() >= content_length(head)
            {
                return text;
            }
            match client.read_u8().await {
                Ok(byte) => answer.push(byte),
                Err(_) => return text,
            }
        }
    };
    timeout(PATIENCE, reading).await.expect("no answer")
}

fn content_length(head: &str) -> usize {
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    length.map_or(0, |length| length.parse().unwrap())
}

/// A body without an end, and a message that comes when the server lets go of it.
pub fn endless_body() -> (Body, oneshot::Receiver<()>) {
    let (sender, receiver) = oneshot::channel();
    (Body::new(Endless(Some(sender))), receiver)
}

struct Endless(Option<oneshot::Sender<()>>);

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(
            &[b'x'; 16 * 1024],
        )))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            let _ = sender.send(());
        }
    }
}

/// Sends a request and checks that the answer is whole.
pub async fn get_hello(client: &mut TcpStream) -> bool {
    client.write_all(GET).await.is_ok() && read_answer(client).await.ends_with("hello")
}
