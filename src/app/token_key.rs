//! The key that signs our own tokens: a file like the audit key's, with an overlap when it is replaced.
//!
//! All nodes of a server have the same file. Unlike the audit key it may be replaced at any time: what it signed ends within
//! the hour.

use std::fs;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::config::Config;
use super::config::tokens::previous_of;
use super::key_file::{KeyFileError, Kind};
use super::wire::{StartError, make_folder};
use crate::flow::Entropy;
use crate::identity::own::{TokenSigner, public_of, thumbprint};

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
    /// The data folder.
    #[error(transparent)]
    Folder(#[from] Box<StartError>),
}

/// The token keys, the signing one made if it is not there.
pub fn obtain(config: &Config, entropy: &dyn Entropy) -> Result<TokenKeys, TokenKeyError> {
    let tokens = &config.tokens;
    let secret = match KIND.read(&tokens.key_file)? {
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
    })
}

/// Puts the signing key aside and makes another. Returns what to tell the operator.
pub fn rotate(config: &Config, entropy: &dyn Entropy, json: bool) -> Result<String, TokenKeyError> {
    make_folder(&config.data_dir).map_err(Box::new)?;
    let path: &Path = &config.tokens.key_file;
    let aside = |error| TokenKeyError::Aside(path.to_owned(), error);
    if KIND.read(path)?.is_some() {
        fs::rename(path, previous_of(path)).map_err(aside)?;
    }
    let kid = thumbprint(&public_of(&*KIND.make(path, entropy)?));
    if json {
        return Ok(format!("{}\n", serde_json::json!({"kid": kid})));
    }
    Ok(format!(
        "A new token key signs from the next start on; its kid is {kid}.\n\
         The one before verifies until its file {} is removed: leave it for an hour.\n",
        previous_of(path).display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::config::Options;
    use crate::app::system::SystemEntropy;

    #[test]
    fn the_key_before_a_rotation_still_verifies() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config::load(Options {
            data_dir: Some(folder.path().to_owned()),
            ..Options::default()
        })
        .expect("a configuration");
        let before = obtain(&config, &SystemEntropy).expect("keys");
        assert!(before.others.is_empty());
        let text = rotate(&config, &SystemEntropy, false).expect("rotated");
        let after = obtain(&config, &SystemEntropy).expect("keys");
        assert_ne!(after.signer.public(), before.signer.public());
        assert_eq!(after.others, [*before.signer.public()]);
        assert!(text.contains(&thumbprint(after.signer.public())), "{text}");
    }
}
