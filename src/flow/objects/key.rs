//! API keys: made here, shown once, kept as a digest. The operator's key stands outside every tenant.

use std::fmt;

use zeroize::Zeroizing;

use super::{Caller, Managed, ObjectsFlow, Session};
use crate::domain::access::Role;
use crate::domain::campaign::{ApiKey, Object, Publisher, Shop, User, valid_api_key};
use crate::domain::credential::{Environment, api_key};
use crate::domain::draft::{ApiKeyDraft, Fault};
use crate::domain::keys::sha256;
use crate::flow::{FlowError, Live};
use crate::store::users::KeyOwner;

/// A key in plain, for the one answer that shows it.
pub struct NewKey {
    text: Zeroizing<String>,
    given: bool,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewKey(..)")
    }
}

impl NewKey {
    /// A key that the caller chose: for tests and for moving from another system.
    pub fn given(text: Zeroizing<String>, field: &'static str) -> Result<Self, FlowError> {
        if valid_api_key(&text) {
            return Ok(Self { text, given: true });
        }
        let words = "must be 24 to 256 printable ASCII characters without spaces";
        Err(FlowError::Invalid(field, words))
    }

    /// A key that nobody can guess.
    pub fn made(live: &Live, environment: Environment) -> Self {
        Self {
            text: api_key(environment, &live.random()),
            given: false,
        }
    }

    /// The key itself.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The key itself, unless the caller knows it already.
    pub fn to_show(self) -> Option<Zeroizing<String>> {
        (!self.given).then_some(self.text)
    }

    /// What is kept of it.
    pub fn hash(&self) -> [u8; 32] {
        sha256(self.text.as_bytes())
    }
}

impl Managed for ApiKey {
    common!(ApiKeyDraft, "api_key");
    const NAMES_ONLY: bool = true;

    async fn build(
        session: &Session<'_>,
        object: Object,
        draft: &ApiKeyDraft,
        old: Option<&Self>,
    ) -> Result<Self, FlowError> {
        let held = |part: fn(&ApiKey) -> Option<crate::domain::campaign::Reference>| old.and_then(part);
        let shop = session
            .resolve_maybe::<Shop>("shop", draft.shop.as_ref(), held(|key| key.shop))
            .await?;
        let publisher = session
            .resolve_maybe::<Publisher>("publisher", draft.publisher.as_ref(), held(|key| key.publisher))
            .await?;
        let mut user = None;
        if let Some(name) = &draft.user {
            let found: User = session.resolve("user", name, held(|key| key.user)).await?;
            // A user's key opens what the user may open, no more and nothing else.
            if (found.role, found.shop, found.publisher) != (draft.role, shop, publisher) {
                return Err(
                    Fault::Clash("role", "must be the user's, with the user's shop or publisher").into(),
                );
            }
            user = Some(found.reference());
        }
        Ok(draft.onto(object, shop, publisher, user))
    }
}

impl ObjectsFlow {
    /// A new key, not yet anybody's.
    pub fn make_key(&self, environment: Environment) -> NewKey {
        NewKey::made(&self.live, environment)
    }

    /// Makes sure that the server's operator has a key: the given one, or else, if there is none at all, a new one,
    /// which is returned to be shown. A given one replaces whatever was there.
    pub async fn create_operator_key(
        &self,
        given: Option<Zeroizing<String>>,
    ) -> Result<Option<Zeroizing<String>>, FlowError> {
        let mut session = Session::begin(&self.live, &Caller::command_line()).await?;
        let present = session.tx.keys_of(0, KeyOwner::Operator).await?;
        let key = match given {
            Some(text) => NewKey::given(text, "operator_key")?,
            None if present.is_empty() => NewKey::made(&self.live, Environment::Live),
            None => return Ok(None),
        };
        let hash = key.hash();
        let (same, others): (Vec<_>, Vec<_>) = present.into_iter().partition(|old| old.hash == hash);
        for other in others {
            session.archive(other).await?;
        }
        if same.is_empty() {
            session.put_operator_key(hash).await?;
        }
        session.finish().await?;
        Ok(key.to_show())
    }
}

impl Session<'_> {
    /// Writes an operator's key past the check that keeps this role out of tenants.
    async fn put_operator_key(&mut self, hash: [u8; 32]) -> Result<(), FlowError> {
        if let Some(mut archived) = self.tx.key_with(0, &hash).await? {
            // The same key was in use before another one took its place.
            archived.object.archived_at_ms = None;
            self.rewrite(&mut archived).await?;
            self.note(&archived, super::Effect::Changed, Vec::new());
            return Ok(());
        }
        let draft = ApiKeyDraft {
            label: "operator".to_owned(),
            role: Role::Operator,
            shop: None,
            publisher: None,
            user: None,
            hash,
        };
        let key = draft.onto(self.fresh::<ApiKey>().await?, None, None, None);
        self.tx.insert(&key).await?;
        let changes = crate::domain::draft::differences(None, &key.fields());
        self.note(&key, super::Effect::Created, changes);
        Ok(())
    }
}
