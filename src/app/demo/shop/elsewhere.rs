//! Orders from elsewhere: by SMS, where a short code stands for the kept token, and from an app, where the account does.
//!
//! Neither client has the browser's cookies, and neither needs any: the shop's records carry the token.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use super::memory::Kept;
use super::page::{Page, spoken};
use super::visitor::Visitor;
use super::{Order, Shared, letters, product};

/// An SMS as the gateway forwards it.
#[derive(Deserialize)]
pub struct Message {
    code: String,
    produkt: String,
}

/// An order from the app.
#[derive(Deserialize)]
pub struct AppOrder {
    produkt: String,
}

/// Shows a short code for this visitor. Someone without a token gets one too: orders do not depend on tracking.
pub async fn sms_page(State(shop): State<Shared>, visitor: Visitor) -> Response {
    let code = letters(6);
    shop.memory
        .add_code(code.clone(), visitor.token().map(str::to_owned));
    Page::new("Per SMS bestellen")
        .consent(&visitor, None, "")
        .text(
            "Senden Sie diesen Code mit dem Namen des Produkts (hausrat oder fahrrad) an unsere SMS-Nummer.",
        )
        .fact("code", "Ihr Code", &code)
        .into_response()
}

/// An order by SMS.
pub async fn sms_order(State(shop): State<Shared>, Form(message): Form<Message>) -> Response {
    let Some(product) = product(&message.produkt) else {
        return failed(StatusCode::BAD_REQUEST, "Produkt unbekannt");
    };
    let Some(Kept(token)) = shop.memory.use_code(&message.code) else {
        return failed(StatusCode::NOT_FOUND, "Code unbekannt oder verbraucht");
    };
    done(&shop.order(product, token.as_deref(), None).await)
}

/// An order in the app, signed in with the account (HTTP Basic: number and PIN).
pub async fn app_order(
    State(shop): State<Shared>,
    headers: HeaderMap,
    Form(order): Form<AppOrder>,
) -> Response {
    let Some(product) = product(&order.produkt) else {
        return failed(StatusCode::BAD_REQUEST, "Produkt unbekannt");
    };
    let account = credentials(&headers).and_then(|(number, pin)| shop.memory.sign_in(&number, &pin));
    let Some(account) = account else {
        return failed(StatusCode::UNAUTHORIZED, "Konto oder PIN falsch");
    };
    done(
        &shop
            .order(product, account.token.as_deref(), Some(&account.number))
            .await,
    )
}

fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let encoded = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (number, pin) = text.split_once(':')?;
    Some((number.to_owned(), pin.to_owned()))
}

fn done(order: &Order) -> Response {
    let (report, reason) = spoken(&order.report);
    let answer =
        json!({"bestellung": order.id, "produkt": order.product.name, "meldung": report, "grund": reason});
    Json(answer).into_response()
}

fn failed(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({"fehler": why}))).into_response()
}
