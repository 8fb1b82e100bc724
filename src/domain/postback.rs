//! Reading a postback: from parameter pairs to checked values.
//!
//! One reader serves every door (query, form, JSON). Names of other systems are understood as aliases (peers.md 2.1).
//! Parameters that nobody knows are ignored: shops append their own. A known parameter that is repeated, too long or
//! not of its form is an error that names it and never shows what it held. An empty value counts as absent, except in
//! the consent family, where it is malformed.

use serde::{Deserialize, Serialize};

use super::attribution::CLOCK_TOLERANCE_SECONDS;
use super::object::Object;
use super::signal::{Signals, is_signal};

/// The longest token that is looked at, in characters.
pub const MAX_TOKEN_CHARS: usize = 120;
/// The longest order id, reference or free value, in characters.
pub const MAX_VALUE_CHARS: usize = 255;
/// The most items of one order.
pub const MAX_ITEMS: usize = 100;

/// A parameter that is not acceptable, and why, in our words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadParameter {
    /// Its name as the documentation spells it.
    pub name: &'static str,
    /// What is wrong.
    pub why: &'static str,
}

/// One item of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The shop's article number.
    pub sku: String,
    /// How many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    /// The price of one, as a decimal string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
}

/// The state of a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// Not certain yet.
    Pending,
    /// Counts.
    #[default]
    Confirmed,
    /// Does not count any more.
    Cancelled,
}

impl Status {
    /// The word in parameters, rows and counters.
    pub fn code(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Confirmed => "confirmed",
            Status::Cancelled => "cancelled",
        }
    }

    /// The status with this word.
    pub fn from_code(code: &str) -> Option<Status> {
        [Status::Pending, Status::Confirmed, Status::Cancelled]
            .into_iter()
            .find(|status| status.code() == code)
    }
}

/// A postback's parameters, checked as far as they can be without knowing the shop.
#[derive(Debug, Clone, Default)]
pub struct Form<'a> {
    /// The tracking token.
    pub token: Option<&'a str>,
    /// The shop's order id.
    pub order_id: Option<&'a str>,
    /// The goal; `order` if none is named.
    pub goal: Option<&'a str>,
    /// A decimal string.
    pub amount: Option<&'a str>,
    /// ISO 4217.
    pub currency: Option<&'a str>,
    /// The state.
    pub status: Status,
    /// A voucher code.
    pub coupon: Option<&'a str>,
    /// `new` or `returning`.
    pub customer: Option<&'a str>,
    /// The shop's pseudonym for the person.
    pub customer_ref: Option<&'a str>,
    /// The order's items.
    pub items: Vec<Item>,
    /// The shop's own values.
    pub adv: [Option<&'a str>; 5],
    /// When the goal happened.
    pub occurred_at_ms: Option<i64>,
    /// Whether it is a test.
    pub test: bool,
    /// Whether nothing may be kept.
    pub dry_run: bool,
    /// The consent family.
    pub signals: Signals<'a>,
}

/// The parameters that this reader knows, by the names that stand in errors.
const NAMES: [&str; 18] = [
    "token",
    "order_id",
    "goal",
    "amount",
    "currency",
    "status",
    "coupon",
    "customer",
    "customer_ref",
    "items",
    "adv1",
    "adv2",
    "adv3",
    "adv4",
    "adv5",
    "occurred_at",
    "test",
    "dry_run",
];

/// The documented name that a parameter is an alias of.
fn canonical(name: &str, aliases: bool) -> Option<&'static str> {
    if let Some(known) = NAMES.iter().find(|known| **known == name) {
        return Some(known);
    }
    if name == "items[]" {
        return Some("items");
    }
    if !aliases {
        return None;
    }
    Some(match name {
        "clickid" | "click_id" | "cid" | "subid" | "transaction_id" | "trkinfo" => "token",
        "txid" | "tid" | "oid" | "saleid" | "transaction" => "order_id",
        "sum" | "price" | "payout" | "revenue" => "amount",
        _ => return None,
    })
}

/// Whether a parameter of this name is read, under its own name.
pub fn is_known(name: &str) -> bool {
    canonical(name, false).is_some()
}

/// Reads pairs. `aliases`: whether names of other systems are understood (the GET form).
pub fn read<'a, I>(pairs: I, aliases: bool, now_ms: i64) -> Result<Form<'a>, BadParameter>
where
    I: IntoIterator<Item = (&'a str, &'a str)>,
{
    let mut form = Form::default();
    let mut seen = [false; NAMES.len()];
    for (name, value) in pairs {
        if is_signal(name) {
            form.signals.note(name, value);
            continue;
        }
        let Some(known) = canonical(name, aliases) else {
            continue;
        };
        let place = NAMES.iter().position(|other| *other == known).unwrap_or(0);
        if let Some(before) = seen.get_mut(place)
            && std::mem::replace(before, true)
        {
            return Err(BadParameter {
                name: known,
                why: "was sent more than once",
            });
        }
        if !value.is_empty() {
            take(&mut form, known, value, now_ms)?;
        }
    }
    Ok(form)
}

fn take<'a>(
    form: &mut Form<'a>,
    name: &'static str,
    value: &'a str,
    now_ms: i64,
) -> Result<(), BadParameter> {
    let bad = |why| Err(BadParameter { name, why });
    let limit = match name {
        "token" => MAX_TOKEN_CHARS,
        "items" => usize::MAX,
        _ => MAX_VALUE_CHARS,
    };
    if value.chars().count() > limit {
        return bad("is too long");
    }
    if value.chars().any(char::is_control) {
        return bad("holds a control character");
    }
    match name {
        "token" => form.token = Some(value),
        "order_id" => form.order_id = Some(value),
        "goal" => form.goal = Some(value),
        "amount" => form.amount = Some(value),
        "currency" => form.currency = Some(value),
        "coupon" => form.coupon = Some(value),
        "customer_ref" => form.customer_ref = Some(value),
        "customer" if matches!(value, "new" | "returning") => form.customer = Some(value),
        "customer" => return bad("is neither new nor returning"),
        "status" => match Status::from_code(value) {
            Some(status) => form.status = status,
            None => return bad("is not pending, confirmed or cancelled"),
        },
        "items" => form.items = items(value).map_err(|why| BadParameter { name, why })?,
        "occurred_at" => form.occurred_at_ms = Some(moment(name, value, now_ms)?),
        "test" => form.test = flag(name, value)?,
        "dry_run" => form.dry_run = flag(name, value)?,
        _ => {
            let place = name
                .strip_prefix("adv")
                .and_then(|digit| digit.parse::<usize>().ok());
            if let Some(slot) = place.and_then(|place| form.adv.get_mut(place.wrapping_sub(1))) {
                *slot = Some(value);
            }
        }
    }
    Ok(())
}

fn flag(name: &'static str, value: &str) -> Result<bool, BadParameter> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(BadParameter {
            name,
            why: "is neither 1 nor 0",
        }),
    }
}

/// A time in RFC 3339, not ahead of our clock by more than the tolerance and not before 2000.
pub fn moment(name: &'static str, value: &str, now_ms: i64) -> Result<i64, BadParameter> {
    let parsed = chrono::DateTime::parse_from_rfc3339(value).map_err(|_| BadParameter {
        name,
        why: "is not a time in RFC 3339",
    })?;
    let at_ms = parsed.timestamp_millis();
    if at_ms > now_ms.saturating_add(CLOCK_TOLERANCE_SECONDS * 1_000) {
        return Err(BadParameter {
            name,
            why: "lies in the future",
        });
    }
    if at_ms < 946_684_800_000 {
        return Err(BadParameter {
            name,
            why: "lies before the year 2000",
        });
    }
    Ok(at_ms)
}

fn items(value: &str) -> Result<Vec<Item>, &'static str> {
    let items: Vec<Object<Item>> = serde_json::from_str(value).map_err(|_| "is not a JSON array of items")?;
    let items = items.into_iter().map(|Object(item)| item).collect::<Vec<_>>();
    check_items(&items)?;
    Ok(items)
}

/// Whether items keep their limits.
pub fn check_items(items: &[Item]) -> Result<(), &'static str> {
    if items.len() > MAX_ITEMS {
        return Err("has too many items");
    }
    for item in items {
        let texts = [Some(&item.sku), item.quantity.as_ref(), item.price.as_ref()];
        for text in texts.into_iter().flatten() {
            if text.is_empty() || text.chars().count() > MAX_VALUE_CHARS || text.chars().any(char::is_control)
            {
                return Err("has an item with an empty, overlong or unprintable value");
            }
        }
    }
    Ok(())
}

/// What is kept of a conversion beside the totals; sealed under the click's key.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Details {
    /// The order id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// The voucher code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
    /// `new` or `returning`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
    /// The shop's own values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adv: Vec<(u8, String)>,
}

impl Details {
    /// The details of a form.
    pub fn of(form: &Form<'_>) -> Self {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let adv = (1_u8..)
            .zip(form.adv)
            .filter_map(|(place, text)| text.map(|text| (place, text.to_owned())));
        Self {
            order_id: own(form.order_id),
            coupon: own(form.coupon),
            customer: own(form.customer),
            items: form.items.clone(),
            adv: adv.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_795_000_000_000;

    fn fails(pairs: &[(&'static str, &'static str)]) -> Option<&'static str> {
        read(pairs.iter().copied(), true, NOW_MS)
            .err()
            .map(|bad| bad.name)
    }

    #[test]
    fn aliases_are_the_same_parameter() {
        let form = read([("clickid", "t"), ("txid", "o"), ("payout", "1")], true, NOW_MS).expect("read");
        assert_eq!(
            (form.token, form.order_id, form.amount),
            (Some("t"), Some("o"), Some("1"))
        );
        assert_eq!(fails(&[("token", "a"), ("cid", "b")]), Some("token"));
        let strict = read([("clickid", "t")], false, NOW_MS).expect("ignored");
        assert_eq!(strict.token, None);
    }

    #[test]
    fn known_parameters_are_strict_and_others_are_ignored() {
        assert_eq!(fails(&[("utm_source", "x"), ("utm_source", "y")]), None);
        for (pairs, name) in [
            (vec![("status", "paid")], "status"),
            (vec![("customer", "old")], "customer"),
            (vec![("test", "yes")], "test"),
            (vec![("occurred_at", "yesterday")], "occurred_at"),
            (vec![("occurred_at", "2099-01-01T00:00:00Z")], "occurred_at"),
            (vec![("order_id", "a\r\nb")], "order_id"),
            (vec![("items", "{}")], "items"),
            (vec![("adv3", "x"), ("adv3", "x")], "adv3"),
        ] {
            assert_eq!(fails(&pairs), Some(name));
        }
        let long = "x".repeat(MAX_VALUE_CHARS + 1);
        assert_eq!(
            read([("order_id", long.as_str())], true, NOW_MS)
                .err()
                .map(|bad| bad.name),
            Some("order_id")
        );
    }

    #[test]
    fn an_empty_value_is_absent_except_as_a_signal() {
        let form = read([("token", ""), ("consent", "")], true, NOW_MS).expect("read");
        assert_eq!(form.token, None);
        let assessed = form
            .signals
            .assess(super::super::signal::Reading::without_registries(
                super::super::signal::Collector::Shop,
                super::super::policy::Terms::default(),
                0,
            ));
        let policy = super::super::policy::Policy::default();
        assert_eq!(
            assessed.state(&policy),
            super::super::consent::ConsentState::Malformed
        );
    }
}
