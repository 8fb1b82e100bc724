//! Configuration of bearer tokens: our own, and those of outside issuers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{ConfigError, FileKeys, Options};
use crate::identity::outside::Issuer;
use crate::identity::own::LIFETIME_MAX_S;

const LEEWAY_DEFAULT_S: u32 = 30;
const LEEWAY_MAX_S: u32 = 60;
const LIFETIME_DEFAULT_S: u32 = 900;
const LIFETIME_MIN_S: u32 = 60;

/// What is configured about tokens.
#[derive(Debug, Clone)]
pub struct TokenConfig {
    /// The file of the key that signs our own.
    pub key_file: PathBuf,
    /// Files of keys whose tokens are taken besides: the one before, or the next one on other nodes.
    pub other_key_files: Vec<PathBuf>,
    /// The issuer and audience of our own.
    pub issuer: String,
    /// By how many seconds clocks may differ.
    pub leeway_s: i64,
    /// For how many seconds our own are valid.
    pub lifetime_s: i64,
    /// Outside issuers.
    pub outside: Vec<Issuer>,
    /// Whether their keys may come from private networks, and from this machine without TLS.
    pub private_sources: bool,
}

/// Where a rotation puts the key that signed before.
pub fn previous_of(key_file: &Path) -> PathBuf {
    key_file.with_extension("previous.key")
}

impl TokenConfig {
    pub(super) fn of(
        options: &Options,
        file: &mut FileKeys,
        data_dir: &Path,
        audit_name: &str,
    ) -> Result<Self, ConfigError> {
        let key_file = options.token_key_file.clone().or(file.token_key_file.take());
        let key_file = key_file.unwrap_or_else(|| data_dir.join("token.key"));
        let others = options
            .token_other_key_files
            .clone()
            .or(file.token_other_key_files.take());
        let issuer = options.token_issuer.clone().or(file.token_issuer.take());
        let leeway = options.token_leeway_seconds.or(file.token_leeway_seconds);
        let leeway = leeway.unwrap_or(LEEWAY_DEFAULT_S);
        let lifetime = options.token_lifetime_seconds.or(file.token_lifetime_seconds);
        let lifetime_s = i64::from(lifetime.unwrap_or(LIFETIME_DEFAULT_S));
        let private_sources = options.oidc_private_sources.or(file.oidc_private_sources);
        if leeway > LEEWAY_MAX_S || !(i64::from(LIFETIME_MIN_S)..=LIFETIME_MAX_S).contains(&lifetime_s) {
            return Err(ConfigError::TokenTimes);
        }
        let config = Self {
            other_key_files: others.unwrap_or_default(),
            key_file,
            issuer: issuer.unwrap_or_else(|| format!("https://{audit_name}")),
            leeway_s: i64::from(leeway),
            lifetime_s,
            outside: std::mem::take(&mut file.oidc_issuer),
            private_sources: private_sources.unwrap_or(false),
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let mut names = BTreeSet::from([self.issuer.as_str()]);
        for issuer in &self.outside {
            if let Some(words) = issuer.fault() {
                return Err(ConfigError::Issuer(issuer.issuer.clone(), words));
            }
            if !names.insert(&issuer.issuer) {
                return Err(ConfigError::Issuer(
                    issuer.issuer.clone(),
                    "stands twice, or is this server itself",
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    const ISSUER: &str = "[[oidc_issuer]]\nissuer = \"https://id.example\"\naudience = \"einklang\"\n\
        role_claim = [\"realm_access\", \"roles\"]\nroles = { boss = \"manager\" }\n";

    fn load(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("einklang.toml");
        std::fs::write(&path, text).expect("written");
        Config::load(Options {
            config: Some(path),
            ..Options::default()
        })
    }

    #[test]
    fn an_issuer_is_read_from_the_file() {
        let config = load(&format!("{ISSUER}tenant = \"acme\"\n")).expect("loads");
        let [issuer] = &config.tokens.outside[..] else {
            panic!("one issuer")
        };
        assert!(issuer.nbf_required && issuer.jwks_url.is_none());
        assert_eq!(config.tokens.issuer, "https://einklang.invalid");
    }

    #[test]
    fn an_issuer_that_says_too_little_or_too_much_is_refused() {
        for more in [
            "",
            "tenant = \"a\"\ntenant_claim = \"b\"\n",
            "tenant = \"a\"\nalgorithms = []\n",
            "tenant = \"a\"\nalgorithms = [\"HS256\"]\n",
            "tenant = \"a\"\nalgorithms = [\"none\"]\n",
            "tenant = \"a\"\nsecret = \"x\"\n",
        ] {
            assert!(load(&format!("{ISSUER}{more}")).is_err(), "{more}");
        }
        let operator = ISSUER.replace("\"manager\"", "\"operator\"");
        assert!(load(&format!("{operator}tenant = \"a\"\n")).is_err());
        let twice = format!("{ISSUER}tenant = \"a\"\n");
        assert!(load(&format!("{twice}{twice}")).is_err());
    }

    #[test]
    fn times_have_their_bounds() {
        for bad in [
            "token_leeway_seconds = 61",
            "token_lifetime_seconds = 3601",
            "token_lifetime_seconds = 59",
        ] {
            assert!(matches!(load(bad), Err(ConfigError::TokenTimes)), "{bad}");
        }
        assert!(load("token_leeway_seconds = 60\ntoken_lifetime_seconds = 3600").is_ok());
    }
}
