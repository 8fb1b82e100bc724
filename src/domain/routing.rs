//! Routing data: everything a request needs to know before the ledger is asked, as one immutable value.
//!
//! A snapshot is replaced whole when something changes. What is archived, ended or paused stays in it as far as late
//! postbacks need it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono_tz::Tz;
use ipnet::IpNet;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::access::Principal;
use super::campaign::{ShopAuth, Tenant};
use super::credential::PasswordHash;
use super::keyring::KeyRing;
use super::landing::Template;
use super::money::Currency;
use super::policy::{Policy, PolicyVersion, Shadow, Timeline};
use super::refusal::RefusalMode;
use super::scope::TenantScope;

/// One version of the routing data.
#[derive(Debug, Default)]
pub struct Routing {
    /// The version that the database had when this was read.
    pub version: i64,
    /// Tenants by number.
    pub tenants: HashMap<i64, Arc<TenantRoute>>,
    /// Links by the slug in the URL.
    pub links: HashMap<String, LinkRoute>,
    /// Shops by their public reference: (tenant, shop).
    pub shop_references: HashMap<String, (i64, i64)>,
    /// Live API keys by the SHA-256 of the whole key.
    pub api_keys: HashMap<[u8; 32], Principal>,
    /// Live API keys and users by their ids: whom tokens of ours stand for.
    pub subjects: HashMap<Uuid, Subject>,
    /// Live users by tenant and name: (tenant's slug, name).
    pub users: HashMap<(String, String), Uuid>,
    /// Tokens of ours that were revoked and have not ended yet.
    pub revoked_tokens: HashSet<Uuid>,
}

/// A user or an API key, as far as tokens need it.
#[derive(Debug, Clone)]
pub struct Subject {
    /// What its tokens open.
    pub principal: Principal,
    /// When it was last changed, in milliseconds since 1970: tokens from before that have ended.
    pub changed_at_ms: i64,
    /// A user's password, if one is set.
    pub password: Option<PasswordHash>,
}

/// A tenant as routing sees it.
#[derive(Debug)]
pub struct TenantRoute {
    /// The tenant.
    pub tenant: Tenant,
    /// Its time zone.
    pub zone: Tz,
    /// Its policy versions, those to come included.
    pub policies: Timeline,
    /// The draft that runs in the shadow of the policy in force, if there is one.
    pub shadow: Option<Shadow>,
    /// Its keys.
    pub keys: KeyRing,
    /// Whether its keys could not be opened: they are those of before, or locked.
    pub rootless: bool,
    /// Its shops by number.
    pub shops: HashMap<i64, Arc<ShopRoute>>,
    /// Its campaigns by number.
    pub campaigns: HashMap<i64, Arc<CampaignRoute>>,
}

impl TenantRoute {
    /// The tenant's number.
    pub fn number(&self) -> i64 {
        self.tenant.object.number
    }

    /// For whom requests about the tenant read and write.
    pub fn scope(&self) -> TenantScope {
        TenantScope::Only(self.number())
    }

    /// The policy version in force at a time.
    pub fn policy_at(&self, at_ms: i64) -> &PolicyVersion {
        self.policies.at(at_ms)
    }

    /// How a shop's postbacks are answered that cannot be recorded, under a policy.
    pub fn refusal_mode(&self, shop: i64, policy: &Policy) -> RefusalMode {
        let own = self.shops.get(&shop).and_then(|shop| shop.refusal);
        own.unwrap_or(policy.refusal)
    }
}

/// A shop as routing sees it.
#[derive(Debug)]
pub struct ShopRoute {
    /// Its number.
    pub number: i64,
    /// Hosts for deep links.
    pub landing_hosts: Vec<String>,
    /// The parameter that carries the token.
    pub token_parameter: String,
    /// The default currency.
    pub currency: Currency,
    /// Every currency it takes.
    pub currencies: Vec<Currency>,
    /// Overrides the tenant's.
    pub refusal: Option<RefusalMode>,
    /// How it authenticates.
    pub auth: ShopAuth,
    /// Where its postbacks may come from; empty: anywhere.
    pub ip_allow: Vec<IpNet>,
    /// Live HMAC secrets.
    pub secrets: Vec<Zeroizing<Vec<u8>>>,
    /// Whether it is archived.
    pub archived: bool,
}

/// A campaign as routing sees it.
#[derive(Debug)]
pub struct CampaignRoute {
    /// Its number.
    pub number: i64,
    /// Its slug.
    pub slug: String,
    /// The shop's number.
    pub shop: i64,
    /// Where its clicks land.
    pub template: Template,
    /// Whether links may name another page.
    pub deep_links: bool,
    /// The attribution window.
    pub window_seconds: i64,
    /// Where visitors go while it does not run.
    pub fallback_url: Option<String>,
    /// When it begins.
    pub starts_at_ms: Option<i64>,
    /// When it ends.
    pub ends_at_ms: Option<i64>,
    /// Whether it is paused or archived.
    pub stopped: bool,
    /// Its goals: (slug, number).
    pub goals: Vec<(String, i64)>,
}

impl CampaignRoute {
    /// Whether clicks are taken at this moment.
    pub fn runs(&self, now_ms: i64) -> bool {
        !self.stopped
            && self.starts_at_ms.is_none_or(|start| now_ms >= start)
            && self.ends_at_ms.is_none_or(|end| now_ms < end)
    }

    /// The number of a goal.
    pub fn goal(&self, slug: &str) -> Option<i64> {
        self.goals
            .iter()
            .find(|(name, _)| name == slug)
            .map(|(_, number)| *number)
    }
}

/// A tracking link as routing sees it.
#[derive(Debug, Clone)]
pub struct LinkRoute {
    /// Its number.
    pub number: i64,
    /// Its slug.
    pub slug: String,
    /// The tenant.
    pub tenant: Arc<TenantRoute>,
    /// The campaign.
    pub campaign: Arc<CampaignRoute>,
    /// The shop.
    pub shop: Arc<ShopRoute>,
    /// The publisher's number.
    pub publisher: i64,
    /// The publisher's slug.
    pub publisher_slug: String,
    /// Whether the publisher's own word may grant.
    pub contract: bool,
    /// Whether the link, its publisher, its shop or its tenant is archived.
    pub stopped: bool,
    /// Default sub-ids.
    pub subs: Vec<(u8, String)>,
}
