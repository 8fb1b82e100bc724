//! Proof that the browser blocks third-party cookies: a frame of another site sets one and does not get it back.

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::response::Html;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::browser::Browser;

async fn set() -> ([(header::HeaderName, &'static str); 1], Html<&'static str>) {
    let cookie = [(header::SET_COOKIE, "probe=1; SameSite=None; Secure; Path=/")];
    (cookie, Html("<!doctype html><a id=\"on\" href=\"/seen\">on</a>"))
}

async fn seen(headers: HeaderMap) -> Html<String> {
    let cookie = headers
        .get(header::COOKIE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("none");
    Html(format!("<!doctype html><p id=\"seen\">{cookie}</p>"))
}

/// Panics unless a cookie that works in the first party is lost in a third one.
pub async fn assert_blocked(browser: &Browser) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let frame = format!("<!doctype html><iframe id=\"frame\" src=\"http://127.0.0.1:{port}/set\"></iframe>");
    let site = Router::new()
        .route("/set", get(set))
        .route("/seen", get(seen))
        .route("/frame", get(move || async move { Html(frame) }));
    let server = tokio::spawn(async move { axum::serve(listener, site).await });

    browser.open(&format!("http://localhost:{port}/frame")).await;
    browser.client.enter_frame(0).await.expect("the frame");
    browser.press("on").await;
    assert_eq!(
        browser.read("seen").await,
        "none",
        "a third-party cookie came back"
    );
    browser
        .client
        .clone()
        .enter_parent_frame()
        .await
        .expect("the page");

    // The same cookie is a good one where the site is the first party.
    browser.open(&format!("http://127.0.0.1:{port}/set")).await;
    browser.press("on").await;
    assert_eq!(browser.read("seen").await, "probe=1");
    browser.client.delete_all_cookies().await.expect("forgotten");
    server.abort();
}
