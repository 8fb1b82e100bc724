//! Tenants and what they configure: shops, publishers, campaigns, goals, tracking links, users, keys.
//!
//! These are the values that routing decisions are made on and that the management API shows. Names are checked here,
//! once, for every door through which they come (API, file).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::access::Role;
use super::credential::PasswordHash;
use super::refusal::RefusalMode;

/// Sub-ids of a link or a click.
pub const SUB_IDS: usize = 10;
/// The longest sub-id, in characters.
pub const SUB_ID_CHARS: usize = 255;
/// The longest attribution window that a campaign may have, in days.
pub const MAX_WINDOW_DAYS: i64 = 90;

/// What every object has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The tenant's number.
    pub tenant: i64,
    /// The object's number within the tenant; never reused.
    pub number: i64,
    /// The id that is shown outside.
    pub id: Uuid,
    /// When it was made.
    pub created_at_ms: i64,
    /// When it was last changed.
    pub updated_at_ms: i64,
    /// When it was archived: it stays readable and does nothing more.
    pub archived_at_ms: Option<i64>,
}

/// One object named by another of the same tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// The number that stands in rows.
    pub number: i64,
    /// The id that is shown outside.
    pub id: Uuid,
}

/// Who decides over the data (GDPR Art. 4(7)): stands in receipts and records of processing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controller {
    /// The company.
    pub name: String,
    /// The data protection contact.
    pub contact: String,
    /// ISO 3166-1 alpha-2 of the country whose law applies.
    pub jurisdiction: String,
    /// Where people read what is done with their data.
    pub notice_url: String,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Common parts; `tenant` and `number` are the same.
    pub object: Object,
    /// Its name in URLs and files.
    pub slug: String,
    /// IANA name; days in reports and counts begin at its midnight.
    pub time_zone: String,
    /// The controller.
    pub controller: Option<Controller>,
    /// Whether what decides about people's data takes effect only after another user approved it.
    pub four_eyes: bool,
}

/// How a shop's server proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum ShopAuth {
    /// An API key as bearer token.
    #[default]
    Bearer,
    /// An HMAC signature with a timestamp; API keys are taken too.
    Hmac,
    /// The token alone, for migrations; API keys are taken too.
    TokenOnly,
}

impl ShopAuth {
    /// The word in configuration and rows.
    pub fn code(self) -> &'static str {
        match self {
            ShopAuth::Bearer => "bearer",
            ShopAuth::Hmac => "hmac",
            ShopAuth::TokenOnly => "token_only",
        }
    }
}

/// An advertiser's shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shop {
    /// Common parts.
    pub object: Object,
    /// Its name in URLs and files.
    pub slug: String,
    /// The public random reference for `/postback/{shop}`.
    pub reference: String,
    /// Hosts that landing pages and deep links may be on.
    pub landing_hosts: Vec<String>,
    /// The parameter that carries the token to the landing page.
    pub token_parameter: String,
    /// The default currency.
    pub currency: String,
    /// Every currency the shop takes, the default one included.
    pub currencies: Vec<String>,
    /// Overrides the tenant's.
    pub refusal: Option<RefusalMode>,
    /// How it authenticates.
    pub auth: ShopAuth,
    /// Address ranges (CIDR) that its postbacks may come from; empty: any.
    pub ip_allow: Vec<String>,
}

/// A publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    /// Common parts.
    pub object: Object,
    /// Its name in URLs and files.
    pub slug: String,
    /// The contract and notice on which its own `consent` word may grant.
    pub explicit_consent: Option<String>,
}

/// A campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// Common parts.
    pub object: Object,
    /// Its name in URLs and files.
    pub slug: String,
    /// The shop whose pages it leads to.
    pub shop: Reference,
    /// The landing URL template.
    pub landing_url: String,
    /// The attribution window.
    pub window_days: i64,
    /// Whether links may name another page of the shop.
    pub deep_links: bool,
    /// Where visitors go while it is paused or after its end.
    pub fallback_url: Option<String>,
    /// When it begins.
    pub starts_at_ms: Option<i64>,
    /// When it ends.
    pub ends_at_ms: Option<i64>,
    /// Whether it is paused.
    pub paused: bool,
}

/// What counts as a conversion in a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// Common parts.
    pub object: Object,
    /// The campaign.
    pub campaign: Reference,
    /// Its name in postbacks.
    pub slug: String,
}

/// A publisher's link to a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Common parts.
    pub object: Object,
    /// The path segment of `/c/{link}`; unique on the server.
    pub slug: String,
    /// The campaign.
    pub campaign: Reference,
    /// The publisher.
    pub publisher: Reference,
    /// Default sub-ids: (1 to 10, text).
    pub subs: Vec<(u8, String)>,
}

/// A person or program that signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Common parts.
    pub object: Object,
    /// Its name, unique in the tenant.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// The shop, for the role `shop`.
    pub shop: Option<Reference>,
    /// The publisher, for the role `publisher`.
    pub publisher: Option<Reference>,
    /// The password, if one is set.
    pub password: Option<PasswordHash>,
}

/// An API key: what it opens and its digest, never the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Common parts.
    pub object: Object,
    /// What it is for, in the manager's words.
    pub label: String,
    /// Its role.
    pub role: Role,
    /// The shop, for the role `shop`.
    pub shop: Option<Reference>,
    /// The publisher, for the role `publisher`.
    pub publisher: Option<Reference>,
    /// The user, if it is a user's.
    pub user: Option<Reference>,
    /// The SHA-256 of the key.
    pub hash: [u8; 32],
}

/// Whether a text may be a slug: 1 to 64 of `a-z A-Z 0-9 - _`, beginning with a letter or digit.
pub fn valid_slug(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&text.len())
        && text.bytes().all(plain)
        && text
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
}

/// Whether a text may be a free name or label: 1 to 128 characters, none of them a control character.
pub fn valid_name(text: &str) -> bool {
    valid_text(text, 128)
}

/// Whether a text has 1 to this many characters, none of them a control character.
pub fn valid_text(text: &str, chars_max: usize) -> bool {
    let count = text.chars().count();
    (1..=chars_max).contains(&count) && !text.chars().any(char::is_control)
}

/// Whether a text may be a query parameter's name in a landing URL.
pub fn valid_parameter(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a text may be a given API key: 24 to 256 printable ASCII characters without spaces.
pub fn valid_api_key(text: &str) -> bool {
    (24..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The IANA names of all time zones.
pub fn time_zones() -> impl Iterator<Item = &'static str> {
    chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())
}

/// Whether a name is an IANA time zone.
pub fn valid_time_zone(text: &str) -> bool {
    text.parse::<chrono_tz::Tz>().is_ok()
}

/// Whether a text is an ISO 3166-1 alpha-2 shape: two capital letters.
pub fn valid_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// The day of a moment in a time zone, in days since 1970.
pub fn local_day(at_ms: i64, zone: chrono_tz::Tz) -> i64 {
    use chrono::{Offset, TimeZone};
    let Some(utc) = chrono::DateTime::from_timestamp_millis(at_ms) else {
        return 0;
    };
    let offset = zone
        .offset_from_utc_datetime(&utc.naive_utc())
        .fix()
        .local_minus_utc();
    (at_ms.div_euclid(1_000) + i64::from(offset)).div_euclid(86_400)
}

/// A day since 1970 as `2026-11-24`.
pub fn day_text(day: i64) -> String {
    chrono::DateTime::from_timestamp(day.saturating_mul(86_400), 0).map_or_else(
        || "1970-01-01".to_owned(),
        |date| date.format("%Y-%m-%d").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_follow_the_tenants_midnight() {
        let berlin: chrono_tz::Tz = "Europe/Berlin".parse().expect("known");
        // 2026-10-25: the clocks go back, the day has 25 hours and still begins once.
        let before = 1_792_879_199_000; // 2026-10-24T21:59:59Z = 23:59:59 local
        assert_eq!(day_text(local_day(before, berlin)), "2026-10-24");
        assert_eq!(day_text(local_day(before + 1_000, berlin)), "2026-10-25");
        assert_eq!(
            day_text(local_day(before + 1_000 + 25 * 3_600_000 - 1, berlin)),
            "2026-10-25"
        );
        assert_eq!(
            day_text(local_day(before + 1_000 + 25 * 3_600_000, berlin)),
            "2026-10-26"
        );
    }

    #[test]
    fn names_are_checked() {
        assert!(valid_slug("Ab3xK9") && valid_slug("a-b_c"));
        for bad in ["", "-a", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(!valid_slug(bad), "{bad:?}");
        }
        assert!(!valid_name("a\nb") && valid_name("Acme Versicherung AG"));
        assert!(valid_time_zone("Europe/Berlin") && !valid_time_zone("Europe/Atlantis"));
    }
}
