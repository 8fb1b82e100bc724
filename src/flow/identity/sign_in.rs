//! Signing in: credentials become a token of ours, and a token is given up before its end.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Identity, tenant_name};
use crate::domain::access::Bearer;
use crate::domain::credential::PasswordHash;
use crate::domain::ids::{ApiKeyId, RequestId, UserId};
use crate::domain::keys::sha256;
use crate::domain::refusal::Reason;
use crate::domain::routing::{Routing, Subject};
use crate::flow::refusals::{Claimant, Refusals};
use crate::flow::{FlowError, Live};
use crate::identity::own::{OwnClaims, OwnKeys};
use crate::identity::token::Presented;

/// A hash that no password has: checked for users that are not there, so that they take as long as those that are.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What somebody signs in with.
pub enum Credentials {
    /// An API key with its id.
    Client {
        /// The key's id, `key_…`.
        id: String,
        /// The key.
        secret: Zeroizing<String>,
    },
    /// A user's name and password.
    Password {
        /// The tenant's slug, a slash, the user's name.
        username: String,
        /// The password.
        password: Zeroizing<String>,
    },
}

/// A new token.
pub struct Issued {
    /// The token, for the one answer that shows it.
    pub token: Zeroizing<String>,
    /// For how many seconds it is valid.
    pub expires_in_s: i64,
}

/// Why there is no token.
#[derive(Debug)]
pub enum NotSignedIn {
    /// The credentials are wrong. Which part of them is not said.
    Wrong,
    /// Too many failures from this address: wait this many seconds.
    Wait(u32),
    /// It could not be done.
    Failed(FlowError),
}

impl From<FlowError> for NotSignedIn {
    fn from(error: FlowError) -> Self {
        NotSignedIn::Failed(error)
    }
}

/// Gives out tokens and takes them back.
#[derive(Clone)]
pub struct IdentityFlow {
    live: Arc<Live>,
    identity: Arc<Identity>,
    refusals: Refusals,
}

impl IdentityFlow {
    /// Over the shared parts.
    pub fn new(live: Arc<Live>, identity: Arc<Identity>, refusals: Refusals) -> Self {
        Self {
            live,
            identity,
            refusals,
        }
    }

    /// The public halves of our signing keys.
    pub fn keys(&self) -> &OwnKeys {
        self.identity.own_keys()
    }

    /// Gives out a token for credentials that come from an address. A failure is counted for the audit log.
    pub async fn sign_in(
        &self,
        credentials: Credentials,
        address: IpAddr,
        request: RequestId,
    ) -> Result<Issued, NotSignedIn> {
        let outcome = self.attempt(credentials, address, request).await;
        let reason = match &outcome {
            Err(NotSignedIn::Wrong) => Some(Reason::Unauthenticated),
            Err(NotSignedIn::Wait(_)) => Some(Reason::RateLimited),
            Ok(_) | Err(NotSignedIn::Failed(_)) => None,
        };
        if let Some(reason) = reason {
            // Whose account it was is not told: a name that is only claimed may be anybody's, and none may exist.
            self.refusals.count(Claimant::Unknown, "issue_token", reason);
        }
        outcome
    }

    async fn attempt(
        &self,
        credentials: Credentials,
        address: IpAddr,
        request: RequestId,
    ) -> Result<Issued, NotSignedIn> {
        let account = match &credentials {
            Credentials::Client { id, .. } => sha256(format!("key\n{id}").as_bytes()),
            Credentials::Password { username, .. } => sha256(format!("user\n{username}").as_bytes()),
        };
        let throttle = &self.identity.throttle;
        let begun = throttle.lock().unwrap_or_else(PoisonError::into_inner).begin(
            address,
            account,
            self.live.now_ms(),
        );
        if let Err(left_ms) = begun {
            let seconds = u32::try_from((left_ms + 999) / 1_000).unwrap_or(u32::MAX);
            return Err(NotSignedIn::Wait(seconds));
        }
        let routing = self.live.routing();
        let found = match credentials {
            Credentials::Client { id, secret } => client(&routing, &id, &secret),
            Credentials::Password { username, password } => self.user(&routing, &username, password).await?,
        };
        let (name, subject) = found.ok_or(NotSignedIn::Wrong)?;
        throttle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .succeed(address, account);
        Ok(self.issue(&routing, name, &subject, request).await?)
    }

    async fn user(
        &self,
        routing: &Routing,
        username: &str,
        password: Zeroizing<String>,
    ) -> Result<Option<(String, Subject)>, FlowError> {
        let parts = username.split_once('/');
        let id = parts.and_then(|(tenant, name)| routing.users.get(&(tenant.to_owned(), name.to_owned())));
        let subject = id.and_then(|id| Some((*id, routing.subjects.get(id)?.clone())));
        let hash = subject.as_ref().and_then(|(_, subject)| subject.password.clone());
        let known = hash.is_some();
        let internal = || FlowError::Refused(Reason::Internal);
        let hash = hash
            .or_else(|| PasswordHash::parse(NOBODYS))
            .ok_or_else(internal)?;
        let _permit = self.identity.checks.acquire().await.map_err(|_| internal())?;
        let fits = tokio::task::spawn_blocking(move || hash.verify(&password)).await;
        let fits = fits.map_err(|_| internal())?;
        Ok(subject
            .filter(|_| known && fits)
            .map(|(id, subject)| (UserId(id).to_string(), subject)))
    }

    async fn issue(
        &self,
        routing: &Routing,
        name: String,
        subject: &Subject,
        request: RequestId,
    ) -> Result<Issued, FlowError> {
        let (settings, principal) = (&self.identity.settings, &subject.principal);
        let (now_s, id) = (self.live.now_s(), Uuid::from_bytes(self.live.random()));
        let claims = OwnClaims {
            iss: settings.issuer.clone(),
            aud: settings.issuer.clone(),
            sub: name,
            tenant: tenant_name(routing, principal.tenant),
            role: principal.role.code(),
            ver: subject.changed_at_ms,
            iat: now_s,
            nbf: now_s,
            exp: now_s + settings.lifetime_s,
            jti: id,
        };
        let token = self.identity.signer.sign(&claims);
        let token = Zeroizing::new(token.ok_or(FlowError::Refused(Reason::Internal))?);
        let mut event = self
            .live
            .event(principal.tenant, "token.issued", &principal.actor(), "issued");
        event.object = Some(format!("token:{id}"));
        event.request_id = Some(request.to_string());
        let tx = self.live.store().begin(principal.scope()).await?;
        tx.commit_with(&event.into()).await?;
        Ok(Issued {
            token,
            expires_in_s: settings.lifetime_s,
        })
    }

    /// Revokes a token of ours. Whoever has it may: it is no use to anybody else. What is none of ours, or has ended, is
    /// revoked already (RFC 7009, section 2.2).
    pub async fn revoke(&self, text: &str, request: RequestId) -> Result<(), FlowError> {
        let routing = self.live.routing();
        let now_ms = self.live.now_ms();
        let token = Presented::read(text);
        let judged = token.and_then(|token| self.identity.own_subject(token, &routing, now_ms));
        let Ok((token, subject)) = judged else {
            return Ok(());
        };
        let principal = &subject.principal;
        let mut event = self
            .live
            .event(principal.tenant, "token.revoked", &principal.actor(), "revoked");
        event.object = Some(format!("token:{}", token.id));
        event.request_id = Some(request.to_string());
        let tx = self.live.store().begin(principal.scope()).await?;
        tx.revoke_token(
            principal.tenant,
            token.id,
            token.expires_at_s,
            now_ms.div_euclid(1_000),
        )
        .await?;
        tx.touch_routing().await?;
        tx.commit_with(&event.into()).await?;
        self.live.reload().await
    }
}

/// The API key with this id, if this is its secret.
fn client(routing: &Routing, id: &str, secret: &str) -> Option<(String, Subject)> {
    let principal = routing.api_keys.get(&sha256(secret.as_bytes()))?;
    let name: ApiKeyId = id.parse().ok()?;
    let subject = routing.subjects.get(&name.0)?;
    let same = subject.principal == *principal && matches!(principal.bearer, Bearer::Key(_));
    same.then(|| (name.to_string(), subject.clone()))
}
