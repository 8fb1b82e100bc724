//! The command line's group `audit`: what the operator can look at, and what anyone can check with a log's public key.
//!
//! The `verify` commands need no server, no database and no configuration: they read files and nothing else.

pub mod certificate;
pub mod check;
pub mod source;
pub mod verify;

use std::path::PathBuf;

use clap::Subcommand;

/// The group's commands.
#[derive(Debug, Subcommand)]
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
    /// What needs nothing but files.
    #[command(flatten)]
    Offline(OfflineStep),
}

/// Commands that need nothing but files.
#[derive(Debug, Subcommand)]
pub enum OfflineStep {
    /// Verify an export offline: a folder or a .tar. Fails with the first entry that does not fit.
    Verify {
        /// The export.
        export: PathBuf,
        /// The log's public key: a verifier key (`origin+id+key`), or a file with one or with PEM.
        #[arg(long, value_name = "PUBLIC_KEY")]
        key: String,
        /// A signed checkpoint that you kept: fails unless the log continues it.
        #[arg(long, value_name = "CHECKPOINT")]
        since: Option<PathBuf>,
    },
    /// Verify an evidence pack offline.
    VerifyPack {
        /// The pack.
        pack: PathBuf,
        /// The log's public key: a verifier key (`origin+id+key`), or a file with one or with PEM.
        #[arg(long, value_name = "PUBLIC_KEY")]
        key: String,
    },
    /// Verify offline that one entry is in a log: a C2SP tlog-proof.
    VerifyProof {
        /// The proof.
        proof: PathBuf,
        /// The log's public key: a verifier key (`origin+id+key`), or a file with one or with PEM.
        #[arg(long, value_name = "PUBLIC_KEY")]
        key: String,
        /// The entry: its bytes as the log has them; a line break at the end does not count.
        #[arg(long, value_name = "FILE")]
        entry: PathBuf,
    },
    /// Verify offline that a certificate of erasure is the log's word, and print what it says.
    VerifyCertificate {
        /// The certificate, as `GET /v1/erasures/{id}/certificate` answered it.
        certificate: PathBuf,
        /// The log's public key: a verifier key (`origin+id+key`), or a file with one or with PEM.
        #[arg(long, value_name = "PUBLIC_KEY")]
        key: String,
    },
}

/// Runs an offline command: what is to be printed, and whether all was well.
pub fn run(step: &OfflineStep, json: bool) -> Result<(String, verify::Verdict), verify::VerifyError> {
    match step {
        OfflineStep::Verify { export, key, since } => {
            let key = verify::read_key(key)?;
            let mut source = source::open(export)?;
            let kept = |path: &PathBuf| source::read_small(path, "the earlier checkpoint");
            let since = since.as_ref().map(kept).transpose()?;
            Ok(verify::told(
                verify::judge(&mut *source, &key, since.as_deref())?,
                json,
            ))
        }
        OfflineStep::VerifyPack { pack, key } => {
            let key = verify::read_key(key)?;
            let bytes = std::fs::read(pack).map_err(|error| verify::VerifyError::Read("the pack", error))?;
            Ok(verify::pack_told(&bytes, &key, json))
        }
        OfflineStep::VerifyProof { proof, key, entry } => {
            let key = verify::read_key(key)?;
            let proof = source::read_small(proof, "the proof")?;
            let entry = source::read_small(entry, "the entry")?;
            Ok(verify::proof_told(&proof, &key, &entry, json))
        }
        OfflineStep::VerifyCertificate { certificate, key } => {
            let key = verify::read_key(key)?;
            let certificate = source::read_small(certificate, "the certificate")?;
            Ok(certificate::told(&certificate, &key, json))
        }
    }
}
