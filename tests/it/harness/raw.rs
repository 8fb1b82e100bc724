//! Requests byte by byte: what no well-behaved client sends.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::Answer;
use super::contract;

/// Far beyond every limit of the listener that a test sets.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends these bytes and reads until the server closes: the request says `Connection: close`, or never ends.
pub async fn send(base: &str, request: &[u8]) -> Answer {
    let address = base.strip_prefix("http://").expect("a plain URL");
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(request).await.expect("sent");
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("the connection is still open")
        .expect("an answer");
    let answer = read(&bytes);
    let line = String::from_utf8_lossy(request);
    let mut words = line.split(' ');
    let method = words.next().expect("a method");
    let path = words.next().expect("a target").split('?').next().expect("a path");
    // The listener turns away by itself what is no HTTP: there is no body then, and no operation either.
    if !answer.body.is_empty() {
        contract::check(method, path, &answer);
    }
    answer
}

fn read(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(bytes)));
    let head = std::str::from_utf8(&bytes[..end]).expect("text");
    let mut lines = head.split("\r\n");
    let status = lines.next().expect("a status line").split(' ').nth(1);
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header");
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).expect("a name"),
            HeaderValue::from_str(value).expect("a value"),
        );
    }
    let status = status.expect("a status").parse().expect("a number");
    Answer::new(status, headers, bytes[end + 4..].to_vec())
}
