//! The keys of an outside issuer, kept for a while and fetched seldom.
//!
//! They are asked for at most once a minute, however many tokens name keys that nobody knows. While they are being fetched,
//! tokens with known keys are judged by what is there, and only those with unknown ones wait. What cannot be fetched leaves
//! the last keys in force, for a day.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Mutex as Turn;

use crate::identity::keys::{KeySet, KeySetError};
use crate::identity::outside::Issuer;

/// After this long keys are looked at again, in milliseconds: ten minutes.
const FRESH_MS: i64 = 600_000;
/// Between two attempts, in milliseconds: a minute.
const ASK_AGAIN_MS: i64 = 60_000;
/// After this long without a success keys are no longer trusted, in milliseconds: a day.
const STALE_MAX_MS: i64 = 86_400_000;

/// Why keys could not be fetched. The text names what was attempted, never what came.
#[derive(Debug, thiserror::Error)]
pub enum SourceFailed {
    /// The address is not one that is asked.
    #[error("the address is not one that is asked: https, and no private network unless that is allowed")]
    Address,
    /// No answer in time, or none at all.
    #[error("there is no answer: {0}")]
    Unreachable(String),
    /// Not a 200.
    #[error("the answer has status {0}")]
    Status(u16),
    /// Longer than is read.
    #[error("the answer is too large")]
    TooLarge,
    /// The discovery document is another issuer's, or none.
    #[error("the discovery document is not this issuer's")]
    Discovery,
    /// What came is no key set.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
}

/// A key set's bytes, on their way.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, SourceFailed>> + Send + 'a>>;

/// Where key sets come from. `app` has one that asks over the network.
pub trait KeySource: Send + Sync {
    /// Fetches an issuer's key set. Ends in bounded time, with a bounded answer.
    fn fetch<'a>(&'a self, issuer: &'a Issuer) -> Fetching<'a>;
}

#[derive(Default)]
struct Kept {
    keys: Option<(Arc<KeySet>, i64)>,
    asked_at_ms: Option<i64>,
}

/// What to do about a key.
enum Look {
    Use(Arc<KeySet>),
    /// As [`Look::Use`], and ask in the background.
    Renew(Arc<KeySet>),
    /// Ask first.
    Ask,
    Unavailable,
}

struct Inner {
    issuer: Issuer,
    source: Arc<dyn KeySource>,
    kept: Mutex<Kept>,
    turn: Turn<()>,
}

/// One issuer's keys.
#[derive(Clone)]
pub(super) struct KeyCache(Arc<Inner>);

impl KeyCache {
    /// Nothing is fetched before the first token comes.
    pub fn new(issuer: Issuer, source: Arc<dyn KeySource>) -> Self {
        Self(Arc::new(Inner {
            issuer,
            source,
            kept: Mutex::default(),
            turn: Turn::default(),
        }))
    }

    /// The keys to judge a token by that names this one. None if there are no keys to judge it by.
    pub async fn keys_for(&self, kid: &str, now_ms: i64) -> Option<Arc<KeySet>> {
        match self.0.look(kid, now_ms) {
            Look::Use(keys) if keys.get(kid).is_some() => return Some(keys),
            Look::Renew(keys) => {
                let inner = Arc::clone(&self.0);
                tokio::spawn(async move { inner.renew(now_ms).await });
                return Some(keys);
            }
            Look::Use(_) | Look::Ask | Look::Unavailable => {}
        }
        // Somebody may be asking already: what comes may have the key.
        let _turn = self.0.turn.lock().await;
        if matches!(self.0.look(kid, now_ms), Look::Ask) {
            self.0.ask(now_ms).await;
        }
        match self.0.look(kid, now_ms) {
            Look::Use(keys) | Look::Renew(keys) => Some(keys),
            Look::Ask | Look::Unavailable => None,
        }
    }
}

impl Inner {
    fn look(&self, kid: &str, now_ms: i64) -> Look {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let may_ask = kept
            .asked_at_ms
            .is_none_or(|at_ms| now_ms - at_ms >= ASK_AGAIN_MS);
        let usable = kept
            .keys
            .as_ref()
            .filter(|(_, at_ms)| now_ms - at_ms < STALE_MAX_MS);
        match usable {
            Some((keys, at_ms)) if keys.get(kid).is_some() => {
                if may_ask && now_ms - at_ms >= FRESH_MS {
                    Look::Renew(Arc::clone(keys))
                } else {
                    Look::Use(Arc::clone(keys))
                }
            }
            _ if may_ask => Look::Ask,
            Some((keys, _)) => Look::Use(Arc::clone(keys)),
            None => Look::Unavailable,
        }
    }

    /// Asks, unless somebody does already.
    async fn renew(&self, now_ms: i64) {
        let Ok(_turn) = self.turn.try_lock() else { return };
        let asked_at_ms = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .asked_at_ms;
        if asked_at_ms.is_none_or(|at_ms| now_ms - at_ms >= ASK_AGAIN_MS) {
            self.ask(now_ms).await;
        }
    }

    async fn ask(&self, now_ms: i64) {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .asked_at_ms = Some(now_ms);
        metrics::counter!("einklang_jwks_fetches_total").increment(1);
        let fetched = self.source.fetch(&self.issuer).await;
        match fetched.and_then(|bytes| Ok(KeySet::read(&bytes)?)) {
            Ok(keys) => {
                let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.keys = Some((Arc::new(keys), now_ms));
            }
            Err(error) => {
                metrics::counter!("einklang_jwks_fetches_failed_total").increment(1);
                tracing::warn!(issuer = self.issuer.issuer, %error, "an issuer's keys cannot be fetched; the last ones stay in force");
            }
        }
    }
}
