//! The key that signs our own tokens: a file like the audit key's, with an overlap when it is replaced.
//!
//! All nodes of a server have the same file. Unlike the audit key it may be replaced at any time: what it signed ends within
//! the hour.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::config::Config;
use super::config::tokens::previous_of;
use super::key_file::{KeyFileError, Kind};
use super::system::{SystemClock, SystemEntropy};
use super::wire::{self, StartError, make_folder};
use crate::domain::event::Actor;
use crate::domain::scope::TenantScope;
use crate::flow::{Entropy, Live};
use crate::identity::own::{TokenSigner, public_of, thumbprint};
use crate::store::{Store, StoreError};

const KIND: Kind = Kind {
    name: "token key",
    head: "einklang-token-key-1:",
};

/// The key that signs, and the public halves of others whose tokens are taken.
pub struct TokenKeys {
    /// Signs.
    pub signer: TokenSigner,
    /// Verify besides.
    pub others: Vec<[u8; 32]>,
    /// Whether the signing one was made just now.
    pub is_new: bool,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// A file that the configuration names is not there.
    #[error("The token key file {0} is not there, though token_other_key_files names it.")]
    Missing(PathBuf),
    /// The key before cannot be put aside.
    #[error("The token key file {0} cannot be put aside: {1}")]
    Aside(PathBuf, #[source] std::io::Error),
    /// The file itself.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The data folder or the database cannot be opened.
    #[error(transparent)]
    Open(#[from] Box<StartError>),
    /// The database failed after the key was replaced.
    #[error("The key was replaced, but the database failed while that was entered in the audit log: {0}")]
    Store(#[from] StoreError),
    /// The database failed after the key was made.
    #[error("The token key could not be entered in the audit log, and was not kept: {0}")]
    NotEntered(#[source] StoreError),
}

/// The token keys, the signing one made if it is not there.
pub fn obtain(config: &Config, entropy: &dyn Entropy) -> Result<TokenKeys, TokenKeyError> {
    let tokens = &config.tokens;
    let found = KIND.read(&tokens.key_file)?;
    let is_new = found.is_none();
    let secret = match found {
        Some(secret) => secret,
        None => KIND.make(&tokens.key_file, entropy)?,
    };
    let mut others = Vec::new();
    for path in &tokens.other_key_files {
        let secret: Zeroizing<_> = KIND
            .read(path)?
            .ok_or_else(|| TokenKeyError::Missing(path.clone()))?;
        others.push(public_of(&secret));
    }
    if let Some(secret) = KIND.read(&previous_of(&tokens.key_file))? {
        others.push(public_of(&secret));
    }
    Ok(TokenKeys {
        signer: TokenSigner::new(&secret),
        others,
        is_new,
    })
}

/// The same, and the key that it made in the server's audit log. One that could not be entered is not kept.
pub async fn obtain_entered(config: &Config, store: &Store, live: &Live) -> Result<TokenKeys, TokenKeyError> {
    let keys = obtain(config, live.entropy())?;
    if keys.is_new {
        let kid = thumbprint(keys.signer.public());
        if let Err(error) = enter(store, live, &kid, &Actor::Server).await {
            let path = &config.tokens.key_file;
            fs::remove_file(path).map_err(|error| TokenKeyError::Aside(path.clone(), error))?;
            return Err(TokenKeyError::NotEntered(error));
        }
    }
    Ok(keys)
}

async fn enter(store: &Store, live: &Live, kid: &str, actor: &Actor) -> Result<(), StoreError> {
    let mut event = live.event(0, "key.created", actor, "created");
    event.object = Some(format!("token:{kid}"));
    let tx = store.begin(TenantScope::Server).await?;
    tx.commit_with(&event.into()).await
}

/// Puts the signing key aside and makes another; returns its kid.
pub fn rotate(config: &Config, entropy: &dyn Entropy) -> Result<String, TokenKeyError> {
    make_folder(&config.data_dir).map_err(Box::new)?;
    let path: &Path = &config.tokens.key_file;
    let aside = |error| TokenKeyError::Aside(path.to_owned(), error);
    if KIND.read(path)?.is_some() {
        fs::rename(path, previous_of(path)).map_err(aside)?;
    }
    Ok(thumbprint(&public_of(&*KIND.make(path, entropy)?)))
}

/// Rotates and enters it in the server's audit log. Returns what to tell the operator.
pub async fn replace(config: &Config, json: bool) -> Result<String, TokenKeyError> {
    // Opened first: a key is not replaced where that could not be entered.
    let opened = wire::open(config, Arc::new(SystemClock), Arc::new(SystemEntropy)).await;
    let (store, live) = opened.map_err(Box::new)?;
    let kid = rotate(config, &SystemEntropy)?;
    enter(&store, &live, &kid, &Actor::CommandLine).await?;
    drop(live);
    store.close().await;
    if json {
        return Ok(format!("{}\n", serde_json::json!({"kid": kid})));
    }
    Ok(format!(
        "A new token key signs from the next start on; its kid is {kid}.\n\
         The one before verifies until its file {} is removed: leave it for an hour.\n",
        previous_of(&config.tokens.key_file).display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::config::Options;

    fn config(folder: &Path) -> Config {
        Config::load(Options {
            data_dir: Some(folder.to_owned()),
            ..Options::default()
        })
        .expect("a configuration")
    }

    #[test]
    fn the_key_before_a_rotation_still_verifies() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path());
        let before = obtain(&config, &SystemEntropy).expect("keys");
        assert!(before.others.is_empty());
        let kid = rotate(&config, &SystemEntropy).expect("rotated");
        let after = obtain(&config, &SystemEntropy).expect("keys");
        assert_ne!(after.signer.public(), before.signer.public());
        assert_eq!(after.others, [*before.signer.public()]);
        assert_eq!(kid, thumbprint(after.signer.public()));
    }

    /// Who made a key, as the server's log says; once.
    async fn maker(store: &Store, kid: &str) -> String {
        let object = format!("token:{kid}");
        let span = (0, 253_402_300_800_000);
        let entries = store
            .reader(TenantScope::Server)
            .entries_of_span(0, "key.created", span, None, 9)
            .await;
        let bodies: Vec<_> = entries
            .expect("read")
            .into_iter()
            .map(|entry| serde_json::from_slice::<serde_json::Value>(&entry.body).expect("JSON"))
            .filter(|body| body["object"] == object.as_str())
            .collect();
        assert_eq!(bodies.len(), 1, "{kid}");
        bodies[0]["actor"].as_str().expect("an actor").to_owned()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_rotation_stands_in_the_servers_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path());
        let text = replace(&config, true).await.expect("replaced");
        let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let store = Store::connect(&config.database_url).await.expect("opened");
        assert_eq!(
            maker(&store, told["kid"].as_str().expect("a kid")).await,
            "command_line"
        );
        store.close().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn the_first_key_stands_in_the_servers_log_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path());
        let opened = wire::open(&config, Arc::new(SystemClock), Arc::new(SystemEntropy)).await;
        let (store, live) = opened.expect("opened");
        let first = obtain_entered(&config, &store, &live).await.expect("made");
        let again = obtain_entered(&config, &store, &live).await.expect("read");
        assert!(first.is_new && !again.is_new);
        assert_eq!(maker(&store, &thumbprint(first.signer.public())).await, "server");
        store.close().await;
    }
}
