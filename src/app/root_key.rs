//! The root key's file: made on the first run, read-only for its owner, and never guessed at.
//!
//! A database that was made under a root key opens only with that key. A file that is missing, broken or another key's
//! is a refusal to start that says what to do; a new key is made only for a database that knows none.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::domain::event::{Actor, AuditEvent};
use crate::domain::keys::Secret;
use crate::flow::{Clock, Entropy};
use crate::store::keys::RootCheck;
use crate::store::{Store, StoreError};

const HEAD: &str = "einklang-root-key-1:";

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
    /// The file is not a root key's.
    #[error("The root key file {path} does not hold a root key: one line, {HEAD} and 64 hexadecimal digits.")]
    Broken {
        /// Where it is.
        path: PathBuf,
    },
    /// The file can be read by others.
    #[error("The root key file {path} can be read by others (mode {mode:o}). Run: chmod 0400 {path}")]
    Open {
        /// Where it is.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file cannot be read or made.
    #[error("The root key file {path} cannot be read or made: {source}")]
    File {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
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
    let found = read(path)?;
    match (store.check_root(found.as_ref()).await?, found) {
        (RootCheck::Right, Some(key)) => Ok(key),
        (RootCheck::Fresh, found) => {
            let key = match found {
                Some(key) => key,
                None => make(path, entropy)?,
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
        (RootCheck::Right, None) => Err(RootKeyError::Broken {
            path: path.to_owned(),
        }),
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

fn read(path: &Path) -> Result<Option<Secret>, RootKeyError> {
    let file = |source| RootKeyError::File {
        path: path.to_owned(),
        source,
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file(error)),
    };
    let mode = fs::metadata(path).map_err(file)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(RootKeyError::Open {
            path: path.to_owned(),
            mode,
        });
    }
    let broken = || RootKeyError::Broken {
        path: path.to_owned(),
    };
    let digits = text.trim_end().strip_prefix(HEAD).ok_or_else(broken)?;
    let bytes = Zeroizing::new(hex::decode(digits).map_err(|_| broken())?);
    Secret::from_slice(&bytes).map(Some).map_err(|_| broken())
}

fn make(path: &Path, entropy: &dyn Entropy) -> Result<Secret, RootKeyError> {
    let file = |source| RootKeyError::File {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Zeroizing::new([0_u8; 32]);
    entropy.fill(&mut *bytes);
    let text = Zeroizing::new(format!("{HEAD}{}\n", hex::encode(*bytes)));
    let mut new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(path)
        .map_err(file)?;
    new.write_all(text.as_bytes()).map_err(file)?;
    new.sync_all().map_err(file)?;
    Ok(Secret::new(*bytes))
}
