//! Configuration of root keys: where the primary one comes from, which others open besides, and tenants' own.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::{ConfigError, FileKeys, Options};

/// A secret that came by the environment: wiped when dropped, never printed.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl FromStr for SecretText {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.to_owned().into())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// What is configured about root keys besides the primary one's file.
#[derive(Debug, Clone, Default)]
pub struct RootConfig {
    /// The primary one itself, from the environment.
    pub text: Option<SecretText>,
    /// The command that prints the primary one.
    pub command: Option<String>,
    /// Files of others, which only open.
    pub other_files: Vec<PathBuf>,
    /// Files of tenants' own, by slug.
    pub tenant_files: BTreeMap<String, PathBuf>,
}

impl RootConfig {
    pub(super) fn of(options: &mut Options, file: &mut FileKeys) -> Result<Self, ConfigError> {
        let command = options.root_key_command.take().or(file.root_key_command.take());
        let others = options
            .root_other_key_files
            .take()
            .or(file.root_other_key_files.take());
        let mut tenant_files = std::mem::take(&mut file.tenant_root_keys);
        for pair in options.tenant_root_keys.take().unwrap_or_default() {
            let (slug, path) = pair
                .split_once('=')
                .filter(|(slug, path)| !slug.is_empty() && !path.is_empty())
                .ok_or(ConfigError::TenantRootKeys)?;
            tenant_files.insert(slug.to_owned(), PathBuf::from(path));
        }
        let config = Self {
            text: options.root_key.take(),
            command,
            other_files: others.unwrap_or_default(),
            tenant_files,
        };
        let named = [
            options.root_key_file.is_some() || file.root_key_file.is_some(),
            config.text.is_some(),
            config.command.is_some(),
        ];
        if named.into_iter().filter(|named| *named).count() > 1 {
            return Err(ConfigError::RootSources);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn the_primary_one_has_one_source() {
        let options = || Options {
            root_key_command: Some("true".to_owned()),
            ..Options::default()
        };
        assert!(Config::load(options()).is_ok());
        let both = Options {
            root_key_file: Some(PathBuf::from("root.key")),
            ..options()
        };
        assert!(matches!(Config::load(both), Err(ConfigError::RootSources)));
        let both = Options {
            root_key: Some("x".to_owned().into()),
            ..options()
        };
        assert!(matches!(Config::load(both), Err(ConfigError::RootSources)));
    }

    #[test]
    fn tenants_are_named_by_slug_and_file() {
        let with = |pair: &str| Options {
            tenant_root_keys: Some(vec![pair.to_owned()]),
            ..Options::default()
        };
        let config = Config::load(with("acme=/keys/acme.key")).expect("loads");
        assert_eq!(config.roots.tenant_files["acme"], PathBuf::from("/keys/acme.key"));
        for wrong in ["acme", "=file", "acme="] {
            assert!(matches!(
                Config::load(with(wrong)),
                Err(ConfigError::TenantRootKeys)
            ));
        }
    }

    #[test]
    fn a_key_from_the_environment_is_not_shown() {
        let options = Options {
            root_key: Some("canary".to_owned().into()),
            ..Options::default()
        };
        assert!(!format!("{options:?}").contains("canary"));
        let config = Config::load(options).expect("loads");
        assert!(!format!("{:?}", config.roots).contains("canary"));
    }
}
