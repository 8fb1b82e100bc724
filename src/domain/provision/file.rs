//! The provisioning file as it is written: every key that it may hold, and no other.

use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use crate::domain::access::Role;
use crate::domain::campaign::{Controller, ShopAuth};
use crate::domain::policy::{
    CONSENT_AGE_DAYS, DenialErases, GpcHandling, INHERIT_WINDOW_HOURS, Jurisdiction, Mode, Purpose,
    UntrackedCounts, required_by_default,
};
use crate::domain::refusal::RefusalMode;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub tenant: Vec<Spanned<TenantTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantTable {
    pub slug: String,
    #[serde(default)]
    pub policy: Mode,
    #[serde(default)]
    pub refusal: RefusalMode,
    pub tcf_vendor_id: Option<u16>,
    #[serde(default = "required_by_default")]
    pub require: Vec<Purpose>,
    #[serde(default)]
    pub jurisdictions: Vec<Jurisdiction>,
    #[serde(default = "consent_age_days")]
    pub max_consent_age_days: u16,
    #[serde(default)]
    pub gpc: GpcHandling,
    #[serde(default = "inherit_window_hours")]
    pub inherit_window_hours: u16,
    #[serde(default)]
    pub shop_denial_erases: DenialErases,
    pub policy_reason: Option<String>,
    pub policy_effective_from: Option<Datetime>,
    pub four_eyes: Option<bool>,
    #[serde(default = "utc")]
    pub time_zone: String,
    #[serde(default)]
    pub untracked_counts: UntrackedCounts,
    pub controller: Option<Controller>,
    #[serde(default)]
    pub shop: Vec<Spanned<ShopTable>>,
    #[serde(default)]
    pub publisher: Vec<Spanned<PublisherTable>>,
    #[serde(default)]
    pub campaign: Vec<Spanned<CampaignTable>>,
    #[serde(default)]
    pub link: Vec<Spanned<LinkTable>>,
    #[serde(default)]
    pub user: Vec<Spanned<UserTable>>,
}

fn consent_age_days() -> u16 {
    CONSENT_AGE_DAYS
}

fn inherit_window_hours() -> u16 {
    INHERIT_WINDOW_HOURS
}

fn utc() -> String {
    "UTC".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShopTable {
    pub slug: String,
    pub landing_hosts: Vec<String>,
    #[serde(default = "s2s")]
    pub token_parameter: String,
    #[serde(default = "default_currency")]
    pub currency: String,
    #[serde(default)]
    pub currencies: Vec<String>,
    pub reference: Option<String>,
    pub refusal: Option<RefusalMode>,
    pub api_key: Option<String>,
    #[serde(default)]
    pub auth: ShopAuth,
    pub hmac_secrets: Option<Vec<String>>,
    #[serde(default)]
    pub ip_allow: Vec<String>,
}

fn s2s() -> String {
    "s2s".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PublisherTable {
    pub slug: String,
    pub explicit_consent: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CampaignTable {
    pub slug: String,
    pub shop: String,
    pub landing_url: String,
    #[serde(default = "thirty")]
    pub window_days: i64,
    #[serde(default = "order")]
    pub goals: Vec<String>,
    #[serde(default)]
    pub deep_links: bool,
    pub fallback_url: Option<String>,
    pub starts_at: Option<Datetime>,
    pub ends_at: Option<Datetime>,
    #[serde(default)]
    pub paused: bool,
}

fn thirty() -> i64 {
    30
}

fn order() -> Vec<String> {
    vec!["order".to_owned()]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkTable {
    pub slug: String,
    pub campaign: String,
    pub publisher: String,
    pub sub1: Option<String>,
    pub sub2: Option<String>,
    pub sub3: Option<String>,
    pub sub4: Option<String>,
    pub sub5: Option<String>,
    pub sub6: Option<String>,
    pub sub7: Option<String>,
    pub sub8: Option<String>,
    pub sub9: Option<String>,
    pub sub10: Option<String>,
}

impl LinkTable {
    /// The sub-ids that are there, with their numbers.
    pub fn subs(&self) -> Vec<(u8, String)> {
        let all = [
            &self.sub1,
            &self.sub2,
            &self.sub3,
            &self.sub4,
            &self.sub5,
            &self.sub6,
            &self.sub7,
            &self.sub8,
            &self.sub9,
            &self.sub10,
        ];
        (1..)
            .zip(all)
            .filter_map(|(place, text)| Some((place, text.clone()?)))
            .collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserTable {
    pub name: String,
    pub role: Role,
    pub shop: Option<String>,
    pub publisher: Option<String>,
    pub api_key: Option<String>,
    pub password: Option<String>,
}

/// The currency of a shop that names none.
fn default_currency() -> String {
    "EUR".to_owned()
}
