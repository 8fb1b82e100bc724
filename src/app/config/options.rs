//! The options of the command line and the environment, as they are given; what is in force is put together from them.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;

use super::LogFormat;
use super::requests::RequestOptions;
use super::roots::SecretText;

/// Options of the commands that open the database, as flags and environment variables.
#[derive(Debug, Clone, Default, Args)]
pub struct Options {
    /// A TOML file with the same keys.
    #[arg(long, env = "EINKLANG_CONFIG", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Where clicks, postbacks and the API are served [default: 127.0.0.1:8080].
    #[arg(long, env = "EINKLANG_LISTEN", value_name = "ADDRESS", global = true)]
    pub listen: Option<SocketAddr>,
    /// Where health and metrics are served [default: 127.0.0.1:9090].
    #[arg(
        long,
        env = "EINKLANG_MANAGEMENT_LISTEN",
        value_name = "ADDRESS",
        global = true
    )]
    pub management_listen: Option<SocketAddr>,
    /// Where the embedded database and the keys lie [default: ./data].
    #[arg(long, env = "EINKLANG_DATA_DIR", value_name = "FOLDER", global = true)]
    pub data_dir: Option<PathBuf>,
    /// `sqlite:PATH` or `postgres://…`, which may name several hosts [default: SQLite in the data folder].
    #[arg(
        long,
        env = "EINKLANG_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true,
        global = true
    )]
    pub database_url: Option<String>,
    /// The root key's file [default: root.key in the data folder].
    #[arg(long, env = "EINKLANG_ROOT_KEY_FILE", value_name = "FILE", global = true)]
    pub root_key_file: Option<PathBuf>,
    /// The root key itself, instead of a file; by the environment only, and not in production.
    #[arg(
        long,
        env = "EINKLANG_ROOT_KEY",
        value_name = "KEY",
        hide_env_values = true,
        hide = true,
        global = true
    )]
    pub root_key: Option<SecretText>,
    /// A command that prints the root key's line, instead of a file; run by `sh -c` once at start.
    #[arg(
        long,
        env = "EINKLANG_ROOT_KEY_COMMAND",
        value_name = "COMMAND",
        global = true
    )]
    pub root_key_command: Option<String>,
    /// Files of other root keys, which only open what they wrapped; may be repeated [default: none].
    #[arg(
        long,
        env = "EINKLANG_ROOT_OTHER_KEY_FILES",
        value_name = "FILE",
        value_delimiter = ',',
        global = true
    )]
    pub root_other_key_files: Option<Vec<PathBuf>>,
    /// Files of root keys that tenants have of their own, as `SLUG=FILE`; may be repeated [default: none].
    #[arg(
        long,
        env = "EINKLANG_TENANT_ROOT_KEYS",
        value_name = "SLUG=FILE",
        value_delimiter = ',',
        global = true
    )]
    pub tenant_root_keys: Option<Vec<String>>,
    /// The file of the key that signs the audit log's checkpoints [default: audit.key in the data folder].
    #[arg(long, env = "EINKLANG_AUDIT_KEY_FILE", value_name = "FILE", global = true)]
    pub audit_key_file: Option<PathBuf>,
    /// The file that remembers what was signed last, kept apart from the database [default: audit-guard.json in the data folder].
    #[arg(long, env = "EINKLANG_AUDIT_GUARD_FILE", value_name = "FILE", global = true)]
    pub audit_guard_file: Option<PathBuf>,
    /// The host name that the audit logs' origins begin with; fixed for a log once it is signed [default: einklang.invalid].
    #[arg(long, env = "EINKLANG_AUDIT_NAME", value_name = "NAME", global = true)]
    pub audit_name: Option<String>,
    /// The file of the key that backups are sealed with, made by the first one; never part of a backup [default: backup.key in the data folder].
    #[arg(long, env = "EINKLANG_BACKUP_KEY_FILE", value_name = "FILE", global = true)]
    pub backup_key_file: Option<PathBuf>,
    /// The folder of PostgreSQL's `pg_dump` and `pg_restore` [default: found by PATH].
    #[arg(long, env = "EINKLANG_PG_BIN_DIR", value_name = "FOLDER", global = true)]
    pub pg_bin_dir: Option<PathBuf>,
    /// The folder of the erasure journal, kept apart from the database and out of its backups [default: journal in the data folder].
    #[arg(
        long,
        env = "EINKLANG_ERASURE_JOURNAL_DIR",
        value_name = "FOLDER",
        global = true
    )]
    pub erasure_journal_dir: Option<PathBuf>,
    /// The file of the erasure journal's key, kept out of every backup of the database [default: journal.key in the data folder].
    #[arg(long, env = "EINKLANG_JOURNAL_KEY_FILE", value_name = "FILE", global = true)]
    pub journal_key_file: Option<PathBuf>,
    /// Days for which the erasure journal is kept, at least 36 and more than any backup: an older one is not restored [default: 400].
    #[arg(long, env = "EINKLANG_JOURNAL_DAYS", value_name = "DAYS", global = true)]
    pub journal_days: Option<u32>,
    /// Hours after which PostgreSQL keeps nothing of an erasure in its pages any more; `doctor` and a metric watch it [default: 24].
    #[arg(long, env = "EINKLANG_REMAINS_HOURS", value_name = "HOURS", global = true)]
    pub remains_hours: Option<u32>,
    /// The file of the key that signs our own tokens [default: token.key in the data folder].
    #[arg(long, env = "EINKLANG_TOKEN_KEY_FILE", value_name = "FILE", global = true)]
    pub token_key_file: Option<PathBuf>,
    /// Files of other token keys whose tokens are taken; may be repeated [default: none].
    #[arg(
        long,
        env = "EINKLANG_TOKEN_OTHER_KEY_FILES",
        value_name = "FILE",
        value_delimiter = ',',
        global = true
    )]
    pub token_other_key_files: Option<Vec<PathBuf>>,
    /// The issuer and audience of our own tokens [default: https:// and the audit name].
    #[arg(long, env = "EINKLANG_TOKEN_ISSUER", value_name = "URL", global = true)]
    pub token_issuer: Option<String>,
    /// By how many seconds clocks may differ when tokens are judged, at most 60 [default: 30].
    #[arg(
        long,
        env = "EINKLANG_TOKEN_LEEWAY_SECONDS",
        value_name = "SECONDS",
        global = true
    )]
    pub token_leeway_seconds: Option<u32>,
    /// For how many seconds our own tokens are valid, 60 to 3600 [default: 900].
    #[arg(
        long,
        env = "EINKLANG_TOKEN_LIFETIME_SECONDS",
        value_name = "SECONDS",
        global = true
    )]
    pub token_lifetime_seconds: Option<u32>,
    /// Lets keys of outside issuers come from private networks, and from this machine without TLS.
    #[arg(long, env = "EINKLANG_OIDC_PRIVATE_SOURCES", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", global = true)]
    pub oidc_private_sources: Option<bool>,
    /// Hours between two comparisons of the audit logs with the database; 0 for none [default: 24].
    #[arg(long, env = "EINKLANG_AUDIT_CHECK_HOURS", value_name = "HOURS", global = true)]
    pub audit_check_hours: Option<u32>,
    /// Where checkpoints are pushed to: `file:/FOLDER` or an https URL; may be repeated [default: nowhere].
    #[arg(
        long,
        env = "EINKLANG_AUDIT_PUSH",
        value_name = "TARGET",
        value_delimiter = ',',
        hide_env_values = true,
        global = true
    )]
    pub audit_push: Option<Vec<String>>,
    /// Seconds between two pushes to a target [default: 3600].
    #[arg(
        long,
        env = "EINKLANG_AUDIT_PUSH_SECONDS",
        value_name = "SECONDS",
        global = true
    )]
    pub audit_push_seconds: Option<NonZeroU32>,
    /// Let pushes go to private and loopback addresses, and over plain http.
    #[arg(long, env = "EINKLANG_AUDIT_PUSH_ALLOW_PRIVATE", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", global = true)]
    pub audit_push_allow_private: Option<bool>,
    /// A list of consent platforms (`cmp-list.json`); strings of others then count for nothing [default: none].
    #[arg(long, env = "EINKLANG_CMP_LIST_FILE", value_name = "FILE", global = true)]
    pub cmp_list_file: Option<PathBuf>,
    /// A Global Vendor List (`vendor-list.json`): what each vendor has registered [default: none].
    #[arg(long, env = "EINKLANG_VENDOR_LIST_FILE", value_name = "FILE", global = true)]
    pub vendor_list_file: Option<PathBuf>,
    /// The history of the tenants' own vendor registrations (TOML) [default: none].
    #[arg(
        long,
        env = "EINKLANG_VENDOR_REGISTRATIONS_FILE",
        value_name = "FILE",
        global = true
    )]
    pub vendor_registrations_file: Option<PathBuf>,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter by module [default: info].
    #[arg(long, env = "EINKLANG_LOG", value_name = "FILTER", global = true)]
    pub log: Option<String>,
    /// How it is logged: `pretty` or `json` [default: pretty].
    #[arg(long, env = "EINKLANG_LOG_FORMAT", value_name = "FORMAT", global = true)]
    pub log_format: Option<LogFormat>,
    /// Refuse unsafe defaults.
    #[arg(long, env = "EINKLANG_PRODUCTION", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", global = true)]
    pub production: Option<bool>,
    /// Networks (CIDR) of proxies whose X-Forwarded-For counts; may be repeated [default: none].
    #[arg(
        long,
        env = "EINKLANG_TRUSTED_PROXIES",
        value_name = "CIDR",
        value_delimiter = ',',
        global = true
    )]
    pub trusted_proxies: Option<Vec<IpNet>>,
    /// Requests that one caller of the API may send in a minute [default: 60000].
    #[arg(
        long,
        env = "EINKLANG_REQUESTS_PER_MINUTE",
        value_name = "COUNT",
        global = true
    )]
    pub requests_per_minute: Option<NonZeroU32>,
    /// Clicks and postbacks that may wait for the database [default: 8192].
    #[arg(long, env = "EINKLANG_QUEUE_CAPACITY", value_name = "COUNT", global = true)]
    pub queue_capacity: Option<NonZeroUsize>,
    /// This node's number, part of the counters' keys; nodes that share a database have different ones [default: 0].
    #[arg(long, env = "EINKLANG_NODE", value_name = "NUMBER", global = true)]
    pub node: Option<u16>,
    /// Worker threads [default: one per core].
    #[arg(long, env = "EINKLANG_WORKERS", value_name = "COUNT", global = true)]
    pub workers: Option<NonZeroUsize>,
    /// Requests of people.
    #[command(flatten)]
    pub requests: RequestOptions,
    /// The server operator's API key; left out, one is made and printed on the first run.
    #[arg(
        long,
        env = "EINKLANG_OPERATOR_KEY",
        value_name = "KEY",
        hide_env_values = true,
        hide = true,
        global = true
    )]
    pub operator_key: Option<String>,
}
