//! Configuration of requests of people: public holidays, and how we stand as an OpenDSR processor.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::NaiveDate;
use clap::Args;
use url::Url;

use super::{ConfigError, FileKeys, is_host_name};
use crate::domain::deadline::day;

const WAIT_DEFAULT_S: u32 = 3_600;
/// Live data is to be erased within a day.
const WAIT_MAX_S: u32 = 86_400;

/// The options, as flags and environment variables.
#[derive(Debug, Clone, Default, Args)]
pub struct RequestOptions {
    /// The domain that OpenDSR requests come to and that replies are signed for [default: none, OpenDSR is off].
    #[arg(long, env = "EINKLANG_OPENDSR_DOMAIN", value_name = "DOMAIN", global = true)]
    pub opendsr_domain: Option<String>,
    /// The file of the RSA key (PEM) that signs OpenDSR replies and callbacks; only its owner may read it.
    #[arg(long, env = "EINKLANG_OPENDSR_KEY_FILE", value_name = "FILE", global = true)]
    pub opendsr_key_file: Option<PathBuf>,
    /// Where the certificate of that key can be fetched, an https URL on the domain.
    #[arg(
        long,
        env = "EINKLANG_OPENDSR_CERTIFICATE_URL",
        value_name = "URL",
        global = true
    )]
    pub opendsr_certificate_url: Option<String>,
    /// For how many seconds an OpenDSR request can be taken back before it is carried out, at most 86400 [default: 3600].
    #[arg(
        long,
        env = "EINKLANG_OPENDSR_WAIT_SECONDS",
        value_name = "SECONDS",
        global = true
    )]
    pub opendsr_wait_seconds: Option<u32>,
    /// Let callbacks go to private and loopback addresses, and over plain http.
    #[arg(long, env = "EINKLANG_OPENDSR_ALLOW_PRIVATE", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", global = true)]
    pub opendsr_allow_private: Option<bool>,
}

/// What is configured about requests.
#[derive(Debug, Clone, Default)]
pub struct RequestConfig {
    /// OpenDSR, where it is set up.
    pub opendsr: Option<OpenDsrConfig>,
    /// Public holidays by the tenant's slug.
    pub holidays: BTreeMap<String, Vec<NaiveDate>>,
}

/// How we stand as an OpenDSR processor.
#[derive(Debug, Clone)]
pub struct OpenDsrConfig {
    /// The domain.
    pub domain: String,
    /// The key's file.
    pub key_file: PathBuf,
    /// Where the certificate is.
    pub certificate_url: String,
    /// How long requests can be taken back.
    pub wait_s: u32,
    /// Whether callbacks go to private addresses.
    pub allow_private: bool,
}

impl RequestConfig {
    pub(super) fn of(options: &RequestOptions, file: &mut FileKeys) -> Result<Self, ConfigError> {
        let mut holidays = BTreeMap::new();
        for (tenant, days) in std::mem::take(&mut file.holidays) {
            let days: Option<Vec<NaiveDate>> = days.iter().map(|text| day(text)).collect();
            holidays.insert(tenant, days.ok_or(ConfigError::Holidays)?);
        }
        let wait_s = options.opendsr_wait_seconds.or(file.opendsr_wait_seconds);
        let wait_s = wait_s.unwrap_or(WAIT_DEFAULT_S);
        if wait_s > WAIT_MAX_S {
            return Err(ConfigError::OpenDsr(
                "opendsr_wait_seconds has to be at most 86400",
            ));
        }
        let parts = (
            options.opendsr_domain.clone().or(file.opendsr_domain.take()),
            options.opendsr_key_file.clone().or(file.opendsr_key_file.take()),
            options
                .opendsr_certificate_url
                .clone()
                .or(file.opendsr_certificate_url.take()),
        );
        let allow_private = options.opendsr_allow_private.or(file.opendsr_allow_private);
        let opendsr = match parts {
            (None, None, None) => None,
            (Some(domain), Some(key_file), Some(certificate_url)) => Some(OpenDsrConfig {
                certificate_url: checked(&domain, certificate_url)?,
                domain,
                key_file,
                wait_s,
                allow_private: allow_private.unwrap_or(false),
            }),
            _ => {
                let words = "opendsr_domain, opendsr_key_file and opendsr_certificate_url go together";
                return Err(ConfigError::OpenDsr(words));
            }
        };
        Ok(Self { opendsr, holidays })
    }
}

/// The certificate has to be on the domain that it is for.
fn checked(domain: &str, certificate_url: String) -> Result<String, ConfigError> {
    if !is_host_name(domain) {
        return Err(ConfigError::OpenDsr("opendsr_domain has to be a host name"));
    }
    let is_there = Url::parse(&certificate_url)
        .is_ok_and(|url| url.scheme() == "https" && url.host_str() == Some(&*domain.to_lowercase()));
    if is_there {
        Ok(certificate_url)
    } else {
        let words = "opendsr_certificate_url has to be an https URL on opendsr_domain";
        Err(ConfigError::OpenDsr(words))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Options};
    use super::*;

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
    fn opendsr_is_set_up_whole_or_not_at_all() {
        assert!(load("").expect("loads").requests.opendsr.is_none());
        let whole = "opendsr_domain = \"dsr.example\"\nopendsr_key_file = \"/k.pem\"\n\
            opendsr_certificate_url = \"https://dsr.example/cert.pem\"\n";
        let config = load(whole).expect("loads").requests.opendsr.expect("set up");
        assert_eq!((config.wait_s, config.allow_private), (3_600, false));
        for bad in [
            "opendsr_domain = \"dsr.example\"\n".to_owned(),
            whole.replace("https://dsr.example/", "https://other.example/"),
            whole.replace("https://dsr", "http://dsr"),
            whole.replace("\"dsr.example\"", "\"dsr example\""),
            format!("{whole}opendsr_wait_seconds = 86401\n"),
        ] {
            assert!(matches!(load(&bad), Err(ConfigError::OpenDsr(_))), "{bad}");
        }
    }

    #[test]
    fn holidays_are_days() {
        let config = load("[holidays]\nacme = [\"2026-12-25\", \"2026-12-26\"]\n").expect("loads");
        assert_eq!(config.requests.holidays["acme"].len(), 2);
        let bad = load("[holidays]\nacme = [\"25.12.2026\"]\n");
        assert!(matches!(bad, Err(ConfigError::Holidays)));
    }
}
