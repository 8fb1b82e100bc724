//! Configuration: every option is a flag, an environment variable `EINKLANG_…` and a key of a TOML file.
//!
//! A flag wins over the environment, that over the file, that over the default. Unknown keys are errors with their line.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::Deserialize;

pub mod backup;
pub mod options;
pub mod requests;
pub mod roots;
pub mod tokens;

use self::backup::BackupConfig;
pub use self::options::Options;
use self::requests::RequestConfig;
use self::roots::RootConfig;
use self::tokens::TokenConfig;
use crate::delivery::checkpoint::{NoTarget, Target};
use crate::domain::campaign::valid_api_key;
use crate::identity::outside::Issuer;

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

/// The same keys in a file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FileKeys {
    listen: Option<SocketAddr>,
    management_listen: Option<SocketAddr>,
    data_dir: Option<PathBuf>,
    database_url: Option<String>,
    root_key_file: Option<PathBuf>,
    root_key_command: Option<String>,
    root_other_key_files: Option<Vec<PathBuf>>,
    tenant_root_keys: BTreeMap<String, PathBuf>,
    audit_key_file: Option<PathBuf>,
    audit_guard_file: Option<PathBuf>,
    audit_name: Option<String>,
    backup_key_file: Option<PathBuf>,
    pg_bin_dir: Option<PathBuf>,
    erasure_journal_dir: Option<PathBuf>,
    journal_key_file: Option<PathBuf>,
    journal_days: Option<u32>,
    remains_hours: Option<u32>,
    token_key_file: Option<PathBuf>,
    token_other_key_files: Option<Vec<PathBuf>>,
    token_issuer: Option<String>,
    token_leeway_seconds: Option<u32>,
    token_lifetime_seconds: Option<u32>,
    oidc_private_sources: Option<bool>,
    oidc_issuer: Vec<Issuer>,
    audit_check_hours: Option<u32>,
    audit_push: Option<Vec<String>>,
    audit_push_seconds: Option<NonZeroU32>,
    audit_push_allow_private: Option<bool>,
    cmp_list_file: Option<PathBuf>,
    vendor_list_file: Option<PathBuf>,
    vendor_registrations_file: Option<PathBuf>,
    log: Option<String>,
    log_format: Option<LogFormat>,
    production: Option<bool>,
    trusted_proxies: Option<Vec<IpNet>>,
    requests_per_minute: Option<NonZeroU32>,
    queue_capacity: Option<NonZeroUsize>,
    node: Option<u16>,
    workers: Option<NonZeroUsize>,
    operator_key: Option<String>,
    opendsr_domain: Option<String>,
    opendsr_key_file: Option<PathBuf>,
    opendsr_certificate_url: Option<String>,
    opendsr_wait_seconds: Option<u32>,
    opendsr_allow_private: Option<bool>,
    holidays: BTreeMap<String, Vec<String>>,
}

/// The configuration in force.
#[derive(Clone)]
pub struct Config {
    /// The public listener.
    pub listen: SocketAddr,
    /// The management listener.
    pub management_listen: SocketAddr,
    /// The data folder.
    pub data_dir: PathBuf,
    /// The database.
    pub database_url: String,
    /// The root key's file.
    pub root_key_file: PathBuf,
    /// Other sources of root keys.
    pub roots: RootConfig,
    /// The audit key's file.
    pub audit_key_file: PathBuf,
    /// The guard file.
    pub audit_guard_file: PathBuf,
    /// What the audit logs' origins begin with.
    pub audit_name: String,
    /// Backups.
    pub backup: BackupConfig,
    /// The erasure journal's folder.
    pub erasure_journal_dir: PathBuf,
    /// The erasure journal's key's file.
    pub journal_key_file: PathBuf,
    /// Hours after which PostgreSQL keeps nothing of an erasure any more.
    pub remains_hours: u32,
    /// Bearer tokens.
    pub tokens: TokenConfig,
    /// Requests of people.
    pub requests: RequestConfig,
    /// Hours between two tamper searches; 0: none.
    pub audit_check_hours: u32,
    /// Where checkpoints are pushed to.
    pub audit_push: Vec<Target>,
    /// How often, in seconds.
    pub audit_push_seconds: NonZeroU32,
    /// Whether private addresses are taken.
    pub audit_push_allow_private: bool,
    /// The list of consent platforms.
    pub cmp_list_file: Option<PathBuf>,
    /// The Global Vendor List.
    pub vendor_list_file: Option<PathBuf>,
    /// The history of vendor registrations.
    pub vendor_registrations_file: Option<PathBuf>,
    /// The log filter.
    pub log: String,
    /// The form of log lines.
    pub log_format: LogFormat,
    /// Whether unsafe defaults are refused.
    pub production: bool,
    /// Networks of trusted proxies.
    pub trusted_proxies: Vec<IpNet>,
    /// The limit per caller.
    pub requests_per_minute: NonZeroU32,
    /// The queue's capacity.
    pub queue_capacity: NonZeroUsize,
    /// This node's number.
    pub node: u16,
    /// Worker threads; none: one per core.
    pub workers: Option<NonZeroUsize>,
    /// A given operator key.
    pub operator_key: Option<String>,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("The configuration file {0} cannot be read: {1}")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// The file is not what it should be. The faulty line is named and never shown: it may hold a secret.
    #[error("The configuration file {0} is wrong in line {1}: {2}")]
    Wrong(PathBuf, usize, String),
    /// More than one source of the root key.
    #[error("Name one source of the root key: root_key_file, root_key_command, or EINKLANG_ROOT_KEY.")]
    RootSources,
    /// A tenant's root key is not named by slug and file.
    #[error("A tenant's root key is named as SLUG=FILE.")]
    TenantRootKeys,
    /// The audit logs' name is not a host name.
    #[error("audit_name has to be a host name: letters, digits, dots and hyphens, at most 253 characters.")]
    AuditName,
    /// A time of tokens is out of bounds.
    #[error("token_leeway_seconds has to be at most 60, token_lifetime_seconds 60 to 3600.")]
    TokenTimes,
    /// The journal would not outlive the backups that need it.
    #[error("journal_days has to be at least 36, and more than any backup is kept.")]
    JournalDays,
    /// An outside issuer is described wrongly.
    #[error("The oidc_issuer {0:?} is not acceptable: {1}.")]
    Issuer(String, &'static str),
    /// A target of checkpoints cannot be used. Which one is said by its place: it may hold a secret.
    #[error("audit_push, target {0}: {1}.")]
    AuditPush(usize, #[source] NoTarget),
    /// OpenDSR is set up wrongly.
    #[error("OpenDSR is set up wrongly: {0}.")]
    OpenDsr(&'static str),
    /// A public holiday is not a day.
    #[error("holidays has to hold lists of days such as 2026-12-25, by the slugs of tenants.")]
    Holidays,
    /// The operator's key is too short to be kept from guessing, or not a text that a header can carry.
    #[error("The operator key has to be 24 to 256 printable ASCII characters without spaces.")]
    OperatorKey,
}

const DEFAULT_REQUESTS_PER_MINUTE: u32 = 60_000;
const DEFAULT_QUEUE_CAPACITY: usize = 8_192;
const DEFAULT_AUDIT_CHECK_HOURS: u32 = 24;
const DEFAULT_AUDIT_PUSH_SECONDS: u32 = 3_600;
const DEFAULT_REMAINS_HOURS: u32 = 24;
/// A name that nobody can own: production has to say what its logs are called.
pub const DEFAULT_AUDIT_NAME: &str = "einklang.invalid";

impl Config {
    /// Puts flags, environment and file together.
    pub fn load(options: Options) -> Result<Self, ConfigError> {
        Self::load_with(options, "./data")
    }

    /// The same with another default for the data folder: a demo must not land in the real one.
    pub fn load_with(mut options: Options, default_data_dir: &str) -> Result<Self, ConfigError> {
        let mut file = options.config.as_deref().map_or(Ok(FileKeys::default()), read)?;
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let data_dir = options
            .data_dir
            .take()
            .or(file.data_dir.take())
            .unwrap_or_else(|| PathBuf::from(default_data_dir));
        let operator_key = options.operator_key.take().or(file.operator_key.take());
        if !operator_key.as_deref().is_none_or(valid_api_key) {
            return Err(ConfigError::OperatorKey);
        }
        let audit_name = audit_name(options.audit_name.take().or(file.audit_name.take()))?;
        let roots = RootConfig::of(&mut options, &mut file)?;
        let [root, audit, guard, journal, journal_key] = places(&mut options, &mut file, &data_dir);
        let tokens = TokenConfig::of(&options, &mut file, &data_dir, &audit_name)?;
        let requests = RequestConfig::of(&options.requests, &mut file)?;
        let backup = BackupConfig::of(&options, &mut file, &data_dir)?;
        let (audit_push, allow_private) = pushes(&mut options, &mut file)?;
        let database_url = options.database_url.or(file.database_url);
        Ok(Self {
            listen: options.listen.or(file.listen).unwrap_or(local(8080)),
            management_listen: options
                .management_listen
                .or(file.management_listen)
                .unwrap_or(local(9090)),
            database_url: database_url.unwrap_or_else(|| sqlite_url(&data_dir)),
            root_key_file: root,
            roots,
            audit_key_file: audit,
            audit_guard_file: guard,
            audit_name,
            backup,
            erasure_journal_dir: journal,
            journal_key_file: journal_key,
            remains_hours: options
                .remains_hours
                .or(file.remains_hours)
                .unwrap_or(DEFAULT_REMAINS_HOURS),
            tokens,
            requests,
            audit_check_hours: options
                .audit_check_hours
                .or(file.audit_check_hours)
                .unwrap_or(DEFAULT_AUDIT_CHECK_HOURS),
            audit_push,
            audit_push_seconds: options
                .audit_push_seconds
                .or(file.audit_push_seconds)
                .or(NonZeroU32::new(DEFAULT_AUDIT_PUSH_SECONDS))
                .unwrap_or(NonZeroU32::MAX),
            audit_push_allow_private: allow_private,
            data_dir,
            cmp_list_file: options.cmp_list_file.or(file.cmp_list_file),
            vendor_list_file: options.vendor_list_file.or(file.vendor_list_file),
            vendor_registrations_file: options
                .vendor_registrations_file
                .or(file.vendor_registrations_file),
            log: options.log.or(file.log).unwrap_or_else(|| "info".to_owned()),
            log_format: options.log_format.or(file.log_format).unwrap_or_default(),
            production: options.production.or(file.production).unwrap_or(false),
            trusted_proxies: options
                .trusted_proxies
                .or(file.trusted_proxies)
                .unwrap_or_default(),
            requests_per_minute: options
                .requests_per_minute
                .or(file.requests_per_minute)
                .or(NonZeroU32::new(DEFAULT_REQUESTS_PER_MINUTE))
                .unwrap_or(NonZeroU32::MIN),
            queue_capacity: options
                .queue_capacity
                .or(file.queue_capacity)
                .or(NonZeroUsize::new(DEFAULT_QUEUE_CAPACITY))
                .unwrap_or(NonZeroUsize::MIN),
            node: options.node.or(file.node).unwrap_or(0),
            workers: options.workers.or(file.workers),
            operator_key,
        })
    }
}

/// Where the root key, the audit key, its guard, the erasure journal and its key are: in the data folder, unless said
/// otherwise.
fn places(options: &mut Options, file: &mut FileKeys, data_dir: &Path) -> [PathBuf; 5] {
    let place = |option: &mut Option<PathBuf>, file: &mut Option<PathBuf>, name: &str| {
        let given = option.take().or(file.take());
        given.unwrap_or_else(|| data_dir.join(name))
    };
    [
        place(&mut options.root_key_file, &mut file.root_key_file, "root.key"),
        place(&mut options.audit_key_file, &mut file.audit_key_file, "audit.key"),
        place(
            &mut options.audit_guard_file,
            &mut file.audit_guard_file,
            "audit-guard.json",
        ),
        place(
            &mut options.erasure_journal_dir,
            &mut file.erasure_journal_dir,
            "journal",
        ),
        place(
            &mut options.journal_key_file,
            &mut file.journal_key_file,
            "journal.key",
        ),
    ]
}

fn read(path: &Path) -> Result<FileKeys, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable(path.to_owned(), error))?;
    toml::from_str(&text).map_err(|error: toml::de::Error| {
        let before = error
            .span()
            .and_then(|span| text.get(..span.start))
            .unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        ConfigError::Wrong(path.to_owned(), line, error.message().to_owned())
    })
}

fn audit_name(given: Option<String>) -> Result<String, ConfigError> {
    let name = given.unwrap_or_else(|| DEFAULT_AUDIT_NAME.to_owned());
    if is_host_name(&name) {
        Ok(name)
    } else {
        Err(ConfigError::AuditName)
    }
}

/// Where checkpoints are pushed to, and whether that may be a private address.
fn pushes(options: &mut Options, file: &mut FileKeys) -> Result<(Vec<Target>, bool), ConfigError> {
    let allow_private = options
        .audit_push_allow_private
        .or(file.audit_push_allow_private)
        .unwrap_or(false);
    let texts = options.audit_push.take().or(file.audit_push.take());
    Ok((targets(&texts.unwrap_or_default(), allow_private)?, allow_private))
}

fn targets(texts: &[String], allow_private: bool) -> Result<Vec<Target>, ConfigError> {
    let read = |(number, text): (usize, &String)| {
        let target = Target::parse(text, allow_private);
        target.map_err(|error| ConfigError::AuditPush(number, error))
    };
    (1..).zip(texts).map(read).collect()
}

fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// The embedded database in a folder.
pub fn sqlite_url(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("einklang.db").display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("einklang.toml");
        std::fs::write(&path, "listen = \"127.0.0.1:1\"\nlog = \"warn\"\n").expect("written");
        let options = Options {
            config: Some(path),
            log: Some("error".to_owned()),
            ..Options::default()
        };
        let config = Config::load(options).expect("loads");
        assert_eq!((config.listen.port(), config.log.as_str()), (1, "error"));
        assert_eq!(config.management_listen.port(), 9090);
    }

    #[test]
    fn a_short_operator_key_is_refused_without_being_repeated() {
        let short = "k".repeat(23);
        let options = Options {
            operator_key: Some(short.clone()),
            ..Options::default()
        };
        let Err(error @ ConfigError::OperatorKey) = Config::load(options) else {
            panic!("an error")
        };
        assert!(!error.to_string().contains(&short));
        let options = Options {
            operator_key: Some(format!("{short}k")),
            ..Options::default()
        };
        assert!(Config::load(options).is_ok());
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("einklang.toml");
        std::fs::write(&path, "log = \"warn\"\nlisten_on = \"127.0.0.1:1\"\n").expect("written");
        let options = Options {
            config: Some(path),
            ..Options::default()
        };
        let Err(ConfigError::Wrong(_, line, _)) = Config::load(options) else {
            panic!("an error")
        };
        assert_eq!(line, 2);
    }
}
