//! Users: their passwords are hashed before a transaction is open, their keys follow what they may do.

use std::fmt;

use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Caller, Managed, ObjectsFlow, Session};
use crate::domain::campaign::{Object, Publisher, Shop, User};
use crate::domain::credential::{PasswordHash, valid_password};
use crate::domain::draft::UserDraft;
use crate::domain::event::Change;
use crate::domain::refusal::Reason;
use crate::flow::{FlowError, Live};
use crate::store::users::KeyOwner;

/// What a change does to a user's password.
pub enum PasswordEdit {
    /// Nothing.
    Keep,
    /// Takes it away.
    Clear,
    /// Sets another one.
    Set(Zeroizing<String>),
}

impl fmt::Debug for PasswordEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordEdit(..)")
    }
}

impl Managed for User {
    common!(UserDraft, "user");
    const NAMES_ONLY: bool = true;

    async fn build(
        session: &Session<'_>,
        object: Object,
        draft: &UserDraft,
        old: Option<&Self>,
    ) -> Result<Self, FlowError> {
        let shop = session
            .resolve_maybe::<Shop>("shop", draft.shop.as_ref(), old.and_then(|old| old.shop))
            .await?;
        let publisher = session
            .resolve_maybe::<Publisher>(
                "publisher",
                draft.publisher.as_ref(),
                old.and_then(|old| old.publisher),
            )
            .await?;
        Ok(draft.onto(object, shop, publisher))
    }

    async fn settle(
        session: &mut Session<'_>,
        old: Option<&Self>,
        new: &Self,
        draft: &UserDraft,
    ) -> Result<Vec<Change>, FlowError> {
        let rights = |user: &User| (user.role, user.shop, user.publisher);
        if old.is_none_or(|old| rights(old) == rights(new)) {
            return Ok(Vec::new());
        }
        let owner = KeyOwner::User(new.object.number);
        for key in session.tx.keys_of(session.scope(), owner).await? {
            let mut follows = key.draft();
            follows.role = draft.role;
            follows.shop.clone_from(&draft.shop);
            follows.publisher.clone_from(&draft.publisher);
            session.put(Some(key), &follows).await?;
        }
        Ok(Vec::new())
    }

    async fn release(session: &mut Session<'_>, user: &Self) -> Result<(), FlowError> {
        session.archive_keys(KeyOwner::User(user.object.number)).await
    }
}

impl Session<'_> {
    /// Archives the keys of somebody who is being archived: who is gone does not sign in.
    pub(super) async fn archive_keys(&mut self, owner: KeyOwner) -> Result<(), FlowError> {
        for key in self.tx.keys_of(self.scope(), owner).await? {
            self.archive(key).await?;
        }
        Ok(())
    }
}

/// Hashes a password on a thread that may take its time.
pub(in crate::flow) async fn hash_password(
    live: &Live,
    password: Zeroizing<String>,
) -> Result<PasswordHash, FlowError> {
    if !valid_password(&password) {
        let words = "must be 12 to 256 characters, none of them a control character";
        return Err(FlowError::Invalid("password", words));
    }
    let salt = live.random();
    let hashed = tokio::task::spawn_blocking(move || PasswordHash::of(&password, salt)).await;
    hashed.ok().flatten().ok_or(FlowError::Refused(Reason::Internal))
}

impl ObjectsFlow {
    /// Makes a user.
    pub async fn create_user(
        &self,
        caller: &Caller,
        mut draft: UserDraft,
        password: Option<Zeroizing<String>>,
    ) -> Result<User, FlowError> {
        if let Some(password) = password {
            draft.password = Some(hash_password(&self.live, password).await?);
        }
        self.create(caller, draft).await
    }

    /// Changes a user.
    pub async fn change_user(
        &self,
        caller: &Caller,
        id: Uuid,
        password: PasswordEdit,
        edit: impl FnOnce(&mut UserDraft) + Send,
    ) -> Result<User, FlowError> {
        let password = match password {
            PasswordEdit::Keep => None,
            PasswordEdit::Clear => Some(None),
            PasswordEdit::Set(password) => Some(Some(hash_password(&self.live, password).await?)),
        };
        let edit = |draft: &mut UserDraft| {
            edit(draft);
            if let Some(password) = password {
                draft.password = password;
            }
        };
        self.change(caller, id, edit).await
    }
}
