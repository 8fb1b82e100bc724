//! The root key's file: made on the first run, read-only for its owner, and never guessed at.
//!
//! A database that was made under a root key opens only with that key. A file that is missing, broken or another key's
//! is a refusal to start that says what to do; a new key is made only for a database that knows none.

use std::path::{Path, PathBuf};

use super::key_file::{KeyFileError, Kind};
use crate::domain::event::{Actor, AuditEvent};
use crate::domain::keys::Secret;
use crate::flow::{Clock, Entropy};
use crate::store::keys::RootCheck;
use crate::store::{Store, StoreError};

const KIND: Kind = Kind {
    name: "root key",
    head: "einklang-root-key-1:",
};

/// Why the server does not start. Each text is one or two sentences for the person who starts it.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// The file is gone.
    #[error(
        "The root key file {path} is missing, but the database was made under root key {name}. Put the file back: \
         without it nothing in the database can be decrypted."
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// The public name of the key.
        name: String,
    },
    /// The file holds another key.
    #[error(
        "The root key file {path} holds key {found}, but the database was made under root key {wanted}. Start with that \
         key's file, or with an empty database."
    )]
    Other {
        /// Where it is.
        path: PathBuf,
        /// The public name of the key in the file.
        found: String,
        /// The public name of the key that the database needs.
        wanted: String,
    },
    /// The file itself.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The database failed.
    #[error("The database failed while the root key was checked: {0}")]
    Store(#[from] StoreError),
}

/// The root key of this database, made if the database knows none yet.
pub async fn obtain(
    path: &Path,
    store: &Store,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Secret, RootKeyError> {
    let found = KIND.read(path)?.map(|bytes| Secret::new(*bytes));
    match (store.check_root(found.as_ref()).await?, found) {
        (RootCheck::Right, Some(key)) => Ok(key),
        (RootCheck::Fresh, found) => {
            let key = match found {
                Some(key) => key,
                None => Secret::new(*KIND.make(path, entropy)?),
            };
            adopt(store, &key, clock, entropy).await?;
            Ok(key)
        }
        (RootCheck::Other(wanted), Some(key)) => Err(RootKeyError::Other {
            path: path.to_owned(),
            found: key.fingerprint(),
            wanted,
        }),
        (RootCheck::Other(name), None) => Err(RootKeyError::Missing {
            path: path.to_owned(),
            name,
        }),
        (RootCheck::Right, None) => Err(KeyFileError::Broken {
            kind: KIND,
            path: path.to_owned(),
        }
        .into()),
    }
}

async fn adopt(
    store: &Store,
    key: &Secret,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<(), RootKeyError> {
    let mut nonce = [0; 16];
    entropy.fill(&mut nonce);
    let mut event = AuditEvent::new(0, "key.created", &Actor::Server, "created", &nonce);
    event.at_ms = Some(clock.now_ms());
    event.object = Some(format!("root:{}", key.fingerprint()));
    let tx = store.begin().await?;
    tx.adopt_root(key).await?;
    tx.commit_with(&event.into()).await?;
    Ok(())
}

/// The root key of a database that knows one. Makes nothing; nothing where the database knows none.
pub async fn look(path: &Path, store: &Store) -> Result<Option<Secret>, RootKeyError> {
    let path = || path.to_owned();
    let found = KIND.read(&path())?.map(|bytes| Secret::new(*bytes));
    match (store.check_root(found.as_ref()).await?, found) {
        (RootCheck::Right, found) => Ok(found),
        (RootCheck::Fresh, _) => Ok(None),
        (RootCheck::Other(wanted), Some(key)) => Err(RootKeyError::Other {
            path: path(),
            found: key.fingerprint(),
            wanted,
        }),
        (RootCheck::Other(name), None) => Err(RootKeyError::Missing { path: path(), name }),
    }
}
