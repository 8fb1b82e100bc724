//! Who a bearer value stands for: an API key, a token of ours, or a token of an outside issuer that is configured.
//!
//! Tokens are verified in `identity`; here are the things that change while the server runs: whether a subject is still
//! there, which tokens were revoked, which keys an outside issuer publishes, and who guesses at passwords.

mod key_cache;
mod sign_in;

use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

pub use key_cache::{Fetching, KeySource, SourceFailed};
pub use sign_in::{Credentials, IdentityFlow, Issued, NotSignedIn};

use self::key_cache::KeyCache;
use crate::domain::access::{Bearer, Principal};
use crate::domain::ids::{ApiKeyId, TenantId, UserId};
use crate::domain::routing::{Routing, Subject};
use crate::identity::fault::TokenFault;
use crate::identity::outside::Issuer;
use crate::identity::own::{OwnKeys, OwnToken, TokenSigner};
use crate::identity::throttle::Throttle;
use crate::identity::token::Presented;

/// How many passwords are checked at once: each check takes a core and 19 MiB.
const CHECKS_AT_ONCE: usize = 4;

/// What an operator may set about tokens.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// The issuer and audience of our own tokens.
    pub issuer: String,
    /// By how many seconds clocks may differ; at most 60.
    pub leeway_s: i64,
    /// For how many seconds our own tokens are valid; at most an hour.
    pub lifetime_s: i64,
}

/// Everything that tells callers apart.
pub struct Identity {
    settings: TokenSettings,
    signer: TokenSigner,
    own: OwnKeys,
    outside: Vec<(Issuer, KeyCache)>,
    throttle: Mutex<Throttle>,
    checks: Semaphore,
}

/// Why a bearer value opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotKnown {
    /// No API key, and no token either.
    Key,
    /// A token that is refused.
    Token(TokenFault),
    /// The issuer's keys could not be fetched: the token cannot be judged.
    Unavailable,
    /// The caller's tenant cannot be opened: its root key is not here.
    Locked,
}

impl From<TokenFault> for NotKnown {
    fn from(fault: TokenFault) -> Self {
        NotKnown::Token(fault)
    }
}

impl Identity {
    /// With the key that signs, the public halves of keys that signed before, and the outside issuers with where their
    /// keys come from.
    pub fn new(
        settings: TokenSettings,
        signer: TokenSigner,
        others: &[[u8; 32]],
        outside: Vec<Issuer>,
        source: &Arc<dyn KeySource>,
    ) -> Self {
        let publics =
            std::iter::once(signer.public()).chain(others.iter().filter(|other| *other != signer.public()));
        let cached = |issuer: Issuer| {
            let cache = KeyCache::new(issuer.clone(), Arc::clone(source));
            (issuer, cache)
        };
        Self {
            settings,
            own: OwnKeys::new(publics.copied().collect()),
            signer,
            outside: outside.into_iter().map(cached).collect(),
            throttle: Mutex::default(),
            checks: Semaphore::new(CHECKS_AT_ONCE),
        }
    }

    /// The public halves of our signing keys, for whoever verifies our tokens.
    pub fn own_keys(&self) -> &OwnKeys {
        &self.own
    }

    /// Who a token stands for.
    pub(super) async fn judge(
        &self,
        text: &str,
        routing: &Routing,
        now_ms: i64,
    ) -> Result<Principal, NotKnown> {
        let token = Presented::read(text)?;
        if token.issuer()? == self.settings.issuer {
            let (_, subject) = self.own_subject(token, routing, now_ms)?;
            return Ok(subject.principal.clone());
        }
        self.outside(token, routing, now_ms).await
    }

    /// Verifies a token of ours and finds whom it stands for.
    fn own_subject<'a>(
        &self,
        token: Presented<'_>,
        routing: &'a Routing,
        now_ms: i64,
    ) -> Result<(OwnToken, &'a Subject), TokenFault> {
        let TokenSettings { issuer, leeway_s, .. } = &self.settings;
        let token = self
            .own
            .verify(token, issuer, *leeway_s, now_ms.div_euclid(1_000))?;
        let subject = subject_of(routing, &token).ok_or(TokenFault::Ended)?;
        Ok((token, subject))
    }

    async fn outside(
        &self,
        token: Presented<'_>,
        routing: &Routing,
        now_ms: i64,
    ) -> Result<Principal, NotKnown> {
        let name = token.issuer()?;
        let found = self.outside.iter().find(|(issuer, _)| issuer.issuer == name);
        let (issuer, cache) = found.ok_or(TokenFault::Issuer)?;
        issuer.judge_header(&token)?;
        let keys = cache.keys_for(token.kid(), now_ms).await;
        let keys = keys.ok_or(NotKnown::Unavailable)?;
        let grant = issuer.verify(token, &keys, self.settings.leeway_s, now_ms.div_euclid(1_000))?;
        let tenant = routing
            .tenants
            .values()
            .find(|route| route.tenant.slug == grant.tenant && route.tenant.object.archived_at_ms.is_none());
        let tenant = tenant.ok_or(TokenFault::Role)?;
        if tenant.keys.is_locked() {
            return Err(NotKnown::Locked);
        }
        Ok(Principal {
            tenant: tenant.number(),
            role: grant.role,
            bearer: Bearer::Outside(tenant.keys.outside_name(&issuer.issuer, &grant.subject)),
            shop: None,
            publisher: None,
        })
    }
}

/// Whom a token of ours stands for, if that has not ended: the token is not revoked, the subject is there, unchanged since
/// the token was issued, and is what the token says.
fn subject_of<'a>(routing: &'a Routing, token: &OwnToken) -> Option<&'a Subject> {
    if routing.revoked_tokens.contains(&token.id) {
        return None;
    }
    let (id, is_key) = match (token.subject.parse::<ApiKeyId>(), token.subject.parse::<UserId>()) {
        (Ok(ApiKeyId(id)), _) => (id, true),
        (_, Ok(UserId(id))) => (id, false),
        _ => return None,
    };
    let subject = routing.subjects.get(&id)?;
    let principal = &subject.principal;
    let same_kind = matches!(principal.bearer, Bearer::Key(_)) == is_key;
    let same_role = principal.role.code() == token.role;
    let same_tenant = tenant_name(routing, principal.tenant) == token.tenant;
    let unchanged = subject.changed_at_ms == token.version;
    (same_kind && same_role && same_tenant && unchanged).then_some(subject)
}

/// A tenant's public name; none for the server's operator.
fn tenant_name(routing: &Routing, tenant: i64) -> Option<String> {
    let route = routing.tenants.get(&tenant)?;
    Some(TenantId(route.tenant.object.id).to_string())
}
