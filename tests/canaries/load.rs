//! Requests that carry a canary in every place that a client can fill.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::client::{Caller, query};
use crate::needles::canary;

/// Every place that has a canary of its own.
pub const PLACES: [&str; 47] = [
    "user_agent",
    "referer",
    "cookie",
    "accept_language",
    "forwarded",
    "x_forwarded_for",
    "x_custom",
    "host",
    "sub1",
    "sub2",
    "sub3",
    "sub4",
    "sub5",
    "sub6",
    "sub7",
    "sub8",
    "sub9",
    "sub10",
    "url",
    "notice",
    "unknown_name",
    "unknown_value",
    "path",
    "signal",
    "authorization",
    "signature",
    "token",
    "order_id",
    "goal",
    "coupon",
    "customer",
    "customer_ref",
    "sku",
    "adv1",
    "adv2",
    "adv3",
    "adv4",
    "adv5",
    "status",
    "occurred_at",
    "amount",
    "currency",
    "body",
    "content_type",
    "reason",
    "id",
    "cursor",
];
/// An address that nobody else has, and the part of it that is left when it is truncated.
pub const ADDRESS: &str = "3fff:ca1:b1d5:77:1234:5678:9abc:def0";
pub const NETWORK: &str = "3fff:ca1:b1d5";
/// An amount that nobody else pays.
pub const AMOUNT: &str = "48151623.42";
pub const AMOUNT_MINOR: u64 = 4_815_162_342;

/// A caller with canaries in its headers, from the watched address.
pub fn loaded(caller: Caller) -> Caller {
    named(caller).with(
        "user-agent",
        &format!("Mozilla/5.0 (X11; Linux) {} Firefox/140.0", canary("user_agent")),
    )
}

/// A robot with the same headers.
pub fn robot(caller: Caller) -> Caller {
    named(caller).with("user-agent", &format!("Googlebot/2.1 ({})", canary("user_agent")))
}

fn named(caller: Caller) -> Caller {
    caller
        .with(
            "referer",
            &format!(
                "https://www.example/{}?q={}",
                canary("referer"),
                canary("referer")
            ),
        )
        .with("cookie", &format!("session={}", canary("cookie")))
        .with("accept-language", &canary("accept_language"))
        .with("forwarded", &format!("for={}", canary("forwarded")))
        .with(
            "x-forwarded-for",
            &format!("{}, {ADDRESS}", canary("x_forwarded_for")),
        )
        .with("x-custom", &canary("x_custom"))
        .with("host", &format!("{}.example", canary("host")))
}

/// The parameters of a click beside its signals.
pub fn click_query() -> String {
    let mut text = format!(
        "{}={}&notice={}",
        canary("unknown_name"),
        canary("unknown_value"),
        canary("notice")
    );
    write!(text, "&url=https://shop.example/{}", canary("url")).expect("written");
    for number in 1..=10 {
        write!(text, "&sub{number}={}", canary(&format!("sub{number}"))).expect("written");
    }
    text
}

/// The parameters of a postback, with some of them replaced, or left out where the value is empty.
pub fn postback(changes: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let mut pairs: Vec<(&str, String)> = [
        "order_id",
        "coupon",
        "customer_ref",
        "adv1",
        "adv2",
        "adv3",
        "adv4",
        "adv5",
    ]
    .map(|name| (name, canary(name)))
    .to_vec();
    pairs.push(("amount", AMOUNT.to_owned()));
    pairs.push((
        "items",
        json!([{"sku": canary("sku"), "quantity": "1", "price": "1.00"}]).to_string(),
    ));
    for (name, value) in changes {
        pairs.retain(|(other, _)| other != name);
        if !value.is_empty() {
            pairs.push((name, (*value).to_owned()));
        }
    }
    pairs
}

/// The pairs as a query, with a parameter that nobody knows.
pub fn postback_query(pairs: &[(&str, String)]) -> String {
    let pairs: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    format!(
        "{}&{}={}",
        query(&pairs),
        canary("unknown_name"),
        canary("unknown_value")
    )
}

/// The pairs as a JSON object.
pub fn object(pairs: &[(&str, String)]) -> Value {
    let value = |(name, value): &(&str, String)| {
        let value = match *name {
            "items" => serde_json::from_str(value).unwrap_or_else(|_| json!(value)),
            "test" | "dry_run" if value == "1" => json!(true),
            _ => json!(value),
        };
        ((*name).to_owned(), value)
    };
    pairs.iter().map(value).collect::<serde_json::Map<_, _>>().into()
}
