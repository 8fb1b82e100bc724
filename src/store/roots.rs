//! Root keys: what wraps tenant keys. [`RootKey`] is the one place for a KMS.
//!
//! A root key wraps and opens, and is never asked for itself, so that one that a KMS keeps stays there. Every wrapped tenant
//! key names its root key, and no other is tried.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use crate::domain::keys::{KeyError, NONCE_BYTES, Place, Secret};

/// What a root key answers, at once or over the network.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, KeyError>> + Send + 'a>>;

/// Wraps tenant keys. One that cannot be reached answers [`KeyError::Unreachable`], which locks what hangs on it and
/// nothing else.
pub trait RootKey: Send + Sync {
    /// Its public name, which stands beside what it wrapped: of a kept key its fingerprint, of another its id.
    fn name(&self) -> String;
    /// Wraps a tenant key for a place. A KMS may draw its own nonce and leave this one alone.
    fn wrap<'a>(
        &'a self,
        place: Place<'static>,
        nonce: [u8; NONCE_BYTES],
        key: &'a Secret,
    ) -> Answer<'a, Vec<u8>>;
    /// Opens what it wrapped for the same place.
    fn open<'a>(&'a self, place: Place<'static>, wrapped: &'a [u8]) -> Answer<'a, Secret>;
}

/// A root key that is in memory.
impl RootKey for Secret {
    fn name(&self) -> String {
        self.fingerprint()
    }

    fn wrap<'a>(
        &'a self,
        place: Place<'static>,
        nonce: [u8; NONCE_BYTES],
        key: &'a Secret,
    ) -> Answer<'a, Vec<u8>> {
        Box::pin(std::future::ready(Ok(self.seal(nonce, &place, key.expose()))))
    }

    fn open<'a>(&'a self, place: Place<'static>, wrapped: &'a [u8]) -> Answer<'a, Secret> {
        let opened = Secret::open(self, &place, wrapped).and_then(|bytes| Secret::from_slice(&bytes));
        Box::pin(std::future::ready(opened))
    }
}

/// The root keys that this process has.
#[derive(Clone)]
pub struct Roots {
    primary: Arc<dyn RootKey>,
    others: Vec<Arc<dyn RootKey>>,
    /// Root keys of their own, by the tenant's slug.
    own: BTreeMap<String, Arc<dyn RootKey>>,
}

impl std::fmt::Debug for Roots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Roots")
            .field("names", &self.names())
            .finish_non_exhaustive()
    }
}

impl From<Secret> for Roots {
    fn from(root: Secret) -> Self {
        Self::new(Arc::new(root))
    }
}

impl Roots {
    /// With the one that is to wrap from now on.
    pub fn new(primary: Arc<dyn RootKey>) -> Self {
        Self {
            primary,
            others: Vec::new(),
            own: BTreeMap::new(),
        }
    }

    /// Adds one that only opens: the one before, or the one to come on other nodes.
    #[must_use]
    pub fn with_other(mut self, other: Arc<dyn RootKey>) -> Self {
        self.others.push(other);
        self
    }

    /// Adds a tenant's own.
    #[must_use]
    pub fn with_own(mut self, slug: String, own: Arc<dyn RootKey>) -> Self {
        self.own.insert(slug, own);
        self
    }

    /// The one that is to wrap from now on. Until a rotation has made it the database's, it only opens.
    pub fn primary(&self) -> &Arc<dyn RootKey> {
        &self.primary
    }

    /// A tenant's own.
    pub fn own(&self, slug: &str) -> Option<&Arc<dyn RootKey>> {
        self.own.get(slug)
    }

    /// The root key of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<dyn RootKey>> {
        self.all().find(|root| root.name() == name)
    }

    /// The public names of all.
    pub fn names(&self) -> Vec<String> {
        self.all().map(|root| root.name()).collect()
    }

    fn all(&self) -> impl Iterator<Item = &Arc<dyn RootKey>> {
        std::iter::once(&self.primary)
            .chain(&self.others)
            .chain(self.own.values())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_key_is_found_by_its_name_and_shown_by_nothing_else() {
        let secret = |byte| Arc::new(Secret::new([byte; 32]));
        let roots = Roots::new(secret(1))
            .with_other(secret(2))
            .with_own("acme".to_owned(), secret(3));
        for byte in 1..=3 {
            let name = secret(byte).fingerprint();
            assert_eq!(roots.named(&name).map(|root| root.name()), Some(name));
        }
        assert!(roots.named(&secret(4).fingerprint()).is_none());
        assert!(roots.own("acme").is_some() && roots.own("globex").is_none());
        let shown = format!("{roots:?}");
        assert!(!shown.contains(&hex::encode([1; 32])) && shown.contains(&secret(1).fingerprint()));
    }

    #[tokio::test]
    async fn what_one_wrapped_no_other_opens() {
        let place = crate::domain::keyring::KeyPurpose::Tenant.place(1, 1);
        let root: &dyn RootKey = &Secret::new([1; 32]);
        let key = Secret::new([9; 32]);
        let wrapped = root.wrap(place, [0; 12], &key).await.expect("wrapped");
        let opened = root.open(place, &wrapped).await.expect("opened");
        assert_eq!(opened.fingerprint(), key.fingerprint());
        let other: &dyn RootKey = &Secret::new([2; 32]);
        assert_eq!(
            other.open(place, &wrapped).await.err(),
            Some(KeyError::DoesNotOpen)
        );
    }
}
