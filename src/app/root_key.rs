//! The root keys of this process: from files, from a command or from the environment, and never guessed at.
//!
//! A database that was made under a root key opens only with that key. A file that is missing, broken or another key's
//! is a refusal to start that says what to do; a new key is made only for a database that knows none, and only as a file. A
//! tenant's own that is missing locks that tenant and nobody else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::Config;
use super::key_file::{KeyFileError, Kind};
use super::root_command::{self, CommandError};
use crate::domain::event::{Actor, AuditEvent};
use crate::domain::keys::Secret;
use crate::domain::scope::TenantScope;
use crate::flow::{Clock, Entropy};
use crate::store::keys::RootCheck;
use crate::store::roots::Roots;
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
    /// The source holds another key.
    #[error(
        "{source_text} holds key {found}, but the database was made under root key {wanted}. Start with that \
         key's file, or with an empty database; after a rotation, with the old one among root_other_key_files."
    )]
    Other {
        /// Where it came from.
        source_text: String,
        /// The public name of the key in the file.
        found: String,
        /// The public name of the key that the database needs.
        wanted: String,
    },
    /// A file of another one is not there.
    #[error("The root key file {0} is not there, though root_other_key_files names it.")]
    OtherMissing(PathBuf),
    /// The environment holds no key.
    #[error("EINKLANG_ROOT_KEY does not hold a root key: {head} and 64 hexadecimal digits.", head = KIND.head)]
    Text,
    /// The command gave no key.
    #[error("The command of root_key_command {0}.")]
    Command(#[source] CommandError),
    /// What the command printed is no key.
    #[error(
        "The command of root_key_command did not print a root key: one line, {head} and 64 hexadecimal digits.",
        head = KIND.head
    )]
    NotPrinted,
    /// The file itself.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The database failed.
    #[error("The database failed while the root key was checked: {0}")]
    Store(#[from] StoreError),
}

/// The root keys for this database, the primary one made if the database knows none yet.
pub async fn obtain(
    config: &Config,
    store: &Store,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Roots, RootKeyError> {
    if let Some(roots) = look(config, store).await? {
        return Ok(roots);
    }
    let key = match primary(config)? {
        Some(key) => key,
        None => Secret::new(*KIND.make(&config.root_key_file, entropy)?),
    };
    adopt(store, &key, clock, entropy).await?;
    with_others(config, key)
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
    let tx = store.begin(TenantScope::Server).await?;
    tx.adopt_root(&key.fingerprint()).await?;
    tx.commit_with(&event.into()).await?;
    Ok(())
}

/// The root keys of a database that knows one. Makes nothing; nothing where the database knows none.
pub async fn look(config: &Config, store: &Store) -> Result<Option<Roots>, RootKeyError> {
    let Some(key) = primary(config)? else {
        return match store.check_root(None).await? {
            RootCheck::Fresh => Ok(None),
            RootCheck::Right => Err(broken(config).into()),
            RootCheck::Due(name) | RootCheck::Other(name) => Err(RootKeyError::Missing {
                path: config.root_key_file.clone(),
                name,
            }),
        };
    };
    let found = key.fingerprint();
    let roots = with_others(config, key)?;
    match store.check_root(Some(&roots)).await? {
        RootCheck::Fresh => Ok(None),
        RootCheck::Right => Ok(Some(roots)),
        RootCheck::Due(name) => {
            tracing::warn!(
                database = name,
                configured = found,
                "the database is still under the root key before; run `einklang keys rotate --root` once every server has both"
            );
            Ok(Some(roots))
        }
        RootCheck::Other(wanted) => Err(RootKeyError::Other {
            source_text: source(config),
            found,
            wanted,
        }),
    }
}

fn broken(config: &Config) -> KeyFileError {
    KeyFileError::Broken {
        kind: KIND,
        path: config.root_key_file.clone(),
    }
}

/// Where the primary one comes from.
fn source(config: &Config) -> String {
    if config.roots.text.is_some() {
        "EINKLANG_ROOT_KEY".to_owned()
    } else if config.roots.command.is_some() {
        "What root_key_command printed".to_owned()
    } else {
        format!("The root key file {}", config.root_key_file.display())
    }
}

/// The primary root key; none only if it is to be in a file that is not there.
fn primary(config: &Config) -> Result<Option<Secret>, RootKeyError> {
    let key = if let Some(text) = &config.roots.text {
        Some(KIND.parse(text.expose()).ok_or(RootKeyError::Text)?)
    } else if let Some(command) = &config.roots.command {
        let text = root_command::run(command, root_command::TIME_LIMIT).map_err(RootKeyError::Command)?;
        Some(KIND.parse(&text).ok_or(RootKeyError::NotPrinted)?)
    } else {
        KIND.read(&config.root_key_file)?
    };
    Ok(key.map(|bytes| Secret::new(*bytes)))
}

fn with_others(config: &Config, primary: Secret) -> Result<Roots, RootKeyError> {
    let mut roots = Roots::from(primary);
    for path in &config.roots.other_files {
        let bytes = KIND
            .read(path)?
            .ok_or_else(|| RootKeyError::OtherMissing(path.clone()))?;
        roots = roots.with_other(Arc::new(Secret::new(*bytes)));
    }
    for (slug, path) in &config.roots.tenant_files {
        if let Some(bytes) = KIND.read(path)? {
            roots = roots.with_own(slug.clone(), Arc::new(Secret::new(*bytes)));
        } else {
            let path = path.display();
            tracing::warn!(tenant = slug, %path, "the tenant's root key file is missing: what it wraps stays locked");
        }
    }
    Ok(roots)
}

/// Makes a root key in a new file; returns its public name.
pub fn make(path: &Path, entropy: &dyn Entropy) -> Result<String, KeyFileError> {
    Ok(Secret::new(*KIND.make(path, entropy)?).fingerprint())
}
