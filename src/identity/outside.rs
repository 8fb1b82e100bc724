//! Tokens of outside issuers (OpenID Connect): what is configured of an issuer, and what its tokens give here.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::claims::{Claims, Terms};
use super::fault::TokenFault;
use super::keys::{Algorithm, KeySet};
use super::token::Presented;
use crate::domain::access::Role;

/// For how long a token of an outside issuer may be valid unless its configuration says otherwise, in minutes: a day.
const LIFETIME_DEFAULT_MINUTES: u32 = 1_440;

/// Where a claim is found: a name at the top, or the names on the way to it. A name with dots is one name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ClaimPath {
    /// At the top.
    Top(String),
    /// Below other claims.
    Path(Vec<String>),
}

impl ClaimPath {
    fn names(&self) -> Vec<String> {
        match self {
            ClaimPath::Top(name) => vec![name.clone()],
            ClaimPath::Path(names) => names.clone(),
        }
    }
}

/// An outside issuer as it is configured: a table `[[oidc_issuer]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Its name, exactly as its tokens have it in `iss`.
    pub issuer: String,
    /// What its tokens for this server have in `aud`.
    pub audience: String,
    /// Where its keys are published; left out, it is looked up in its discovery document.
    #[serde(default)]
    pub jwks_url: Option<Url>,
    /// The algorithms that are taken.
    #[serde(default = "every_algorithm")]
    pub algorithms: Vec<Algorithm>,
    /// The claim with the caller's role or roles there.
    pub role_claim: ClaimPath,
    /// What a role there is here: `manager`, `auditor` or `privacy`.
    pub roles: BTreeMap<String, Role>,
    /// The tenant's slug, if all its tokens are for one.
    #[serde(default)]
    pub tenant: Option<String>,
    /// The claim with the tenant's slug, if they are not.
    #[serde(default)]
    pub tenant_claim: Option<ClaimPath>,
    /// Whether tokens have to carry `nbf`.
    #[serde(default = "yes")]
    pub nbf_required: bool,
    /// For how many minutes a token may be valid.
    #[serde(default = "lifetime_default")]
    pub lifetime_max_minutes: u32,
}

fn every_algorithm() -> Vec<Algorithm> {
    Algorithm::ALL.to_vec()
}

fn yes() -> bool {
    true
}

fn lifetime_default() -> u32 {
    LIFETIME_DEFAULT_MINUTES
}

/// Whom a token stands for here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The tenant's slug.
    pub tenant: String,
    /// The role.
    pub role: Role,
    /// Who it is, in the issuer's words. Not to be kept.
    pub subject: String,
}

impl Issuer {
    /// What is wrong with the configuration, in words.
    pub fn fault(&self) -> Option<&'static str> {
        let inside_tenants = [Role::Manager, Role::Auditor, Role::Privacy];
        if self.issuer.is_empty() || self.audience.is_empty() {
            Some("issuer and audience must not be empty")
        } else if self.tenant.is_some() == self.tenant_claim.is_some() {
            Some("one of tenant and tenant_claim has to be given, and only one")
        } else if self.roles.is_empty() || self.roles.values().any(|role| !inside_tenants.contains(role)) {
            Some("roles has to map at least one role, and only to manager, auditor or privacy")
        } else if self.algorithms.is_empty() {
            Some("algorithms must not be empty")
        } else if self.lifetime_max_minutes == 0 {
            Some("lifetime_max_minutes must not be 0")
        } else {
            None
        }
    }

    /// Verifies one of its tokens with its keys.
    pub fn verify(
        &self,
        token: Presented<'_>,
        keys: &KeySet,
        leeway_s: i64,
        now_s: i64,
    ) -> Result<Grant, TokenFault> {
        self.judge_header(&token)?;
        let key = keys.get(token.kid()).ok_or(TokenFault::Key)?;
        let terms = Terms {
            issuer: &self.issuer,
            audience: &self.audience,
            leeway_s,
            lifetime_max_s: i64::from(self.lifetime_max_minutes) * 60,
            nbf_required: self.nbf_required,
        };
        self.grant(&terms.judge(token.verify(key)?, now_s)?)
    }

    /// Whether its algorithm is one of this issuer's: to be asked before its keys are looked for.
    pub fn judge_header(&self, token: &Presented<'_>) -> Result<(), TokenFault> {
        let taken = self.algorithms.contains(&token.algorithm());
        taken.then_some(()).ok_or(TokenFault::Header)
    }

    fn grant(&self, claims: &Claims) -> Result<Grant, TokenFault> {
        let named = match claims.all.at(&self.role_claim.names()) {
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => return Err(TokenFault::Role),
        };
        let roles: BTreeSet<Role> = named
            .into_iter()
            .filter_map(|name| self.roles.get(name).copied())
            .collect();
        // Whoever has two roles here would have the rights of neither by accident and of both by intent: nobody said so.
        let [role] = roles.into_iter().collect::<Vec<_>>()[..] else {
            return Err(TokenFault::Role);
        };
        let tenant = match (&self.tenant, &self.tenant_claim) {
            (Some(slug), _) => slug.clone(),
            (None, Some(path)) => {
                let value = claims.all.at(&path.names()).and_then(Value::as_str);
                value.ok_or(TokenFault::Role)?.to_owned()
            }
            (None, None) => return Err(TokenFault::Role),
        };
        Ok(Grant {
            tenant,
            role,
            subject: claims.subject.clone(),
        })
    }
}
