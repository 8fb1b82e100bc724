//! `einklang audit …`: the logs from the command line.

pub mod check;

/// What to do about the audit logs.
#[derive(Debug, clap::Subcommand)]
pub enum AuditStep {
    /// Compare the logs with themselves, with what was signed and with the tables; fails if anything does not fit.
    Check,
    /// Print a log's latest checkpoint.
    Checkpoint {
        /// The log: a tenant's id (`tnt_…`), or `server`.
        #[arg(long, value_name = "LOG", default_value = "server")]
        log: String,
        /// As a text that can be sent by mail, with how to verify it.
        #[arg(long)]
        email: bool,
    },
}
