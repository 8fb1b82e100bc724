//! Requests that come to nothing for a reason that is not theirs: too many of them, a ledger that cannot write, a body
//! that does not come to its end. What they carried is as gone as what was refused.

use einklang::app::config::sqlite_url;
use sqlx::{Connection, SqliteConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::Answer;
use crate::declined::{token, token_of};
use crate::load::{click_query, loaded, postback, postback_query};
use crate::needles::canary;
use crate::place::{Place, Server};
use crate::world;

/// More than anybody needs to reach the limit that the server was started with.
const TRIES: usize = 100;

async fn order(server: &Server, token: &str) -> Answer {
    let pairs = postback(&[("token", token), ("consent", "granted")]);
    let target = format!("/postback?{}", postback_query(&pairs));
    loaded(server.holder(world::SHOP)).get(&target).await
}

/// While somebody else holds the file, a visitor is redirected untracked and a postback is told to come again.
pub async fn while_the_ledger_cannot_write(place: &Place, server: &Server) {
    let token = token(server, "Ab3xK9").await;
    let neutral = [
        ("token", token.as_str()),
        ("order_id", "A-1"),
        ("consent", "granted"),
    ];
    let shop = server.holder(world::SHOP);
    shop.postback(&neutral).await.is(200, "recorded", "accepted");
    let url = sqlite_url(&place.data());
    let mut other = SqliteConnection::connect(&url).await.expect("opened");
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .expect("begun");
    let click = format!("/c/Ab3xK9?{}&consent=granted", click_query());
    let visitor = loaded(server.anonymous());
    let (click, postback) = tokio::join!(visitor.get(&click), order(server, &token));
    assert_eq!((click.status, token_of(&click)), (302, None));
    postback.is(503, "refused", "unavailable");
    sqlx::query("ROLLBACK").execute(&mut other).await.expect("ended");
}

/// A body that is announced longer than it comes.
pub async fn until_the_body_is_given_up(server: &Server) {
    let address = server.url.strip_prefix("http://").expect("a plain URL");
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let request = format!(
        "POST /postback HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 9000\r\nConnection: close\r\nX-Custom: {}\r\n\r\n{{\"order_id\": \"{}\"",
        world::SHOP,
        canary("x_custom"),
        canary("order_id"),
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

/// Postbacks beyond the limit of a server that allows few.
pub async fn beyond_the_limit(server: &Server) {
    let token = canary("token");
    for _ in 0..TRIES {
        let answer = order(server, &token).await;
        if answer.status == 429 {
            answer.is(429, "refused", "rate_limited");
            return;
        }
    }
    panic!("nobody was turned away");
}
