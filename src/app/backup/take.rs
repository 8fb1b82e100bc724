//! `einklang backup FOLDER`: a copy of one moment, made while the server runs.
//!
//! It needs the database and the audit key, not the root key: nothing is decrypted for it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use serde_json::json;

use super::kept::{Draft, Shelf, name_of};
use super::manifest::{Manifest, Names, time_text};
use super::sealed::{Extent, Sealing};
use super::{BackupError, KEY, postgres};
use crate::app::audit_key;
use crate::app::config::Config;
use crate::app::erasure_journal;
use crate::app::system::{SystemClock, SystemEntropy};
use crate::domain::event::{Actor, AuditEvent, Change};
use crate::domain::keys::Secret;
use crate::domain::scope::TenantScope;
use crate::domain::stream::Half;
use crate::flow::audit::CheckpointSigner;
use crate::flow::{Clock, Entropy};
use crate::store::backup::{Facts, embedded};
use crate::store::{Store, StoreError};

/// Both files of a backup, and the moment that they are of.
pub(super) struct Copied {
    pub facts: Facts,
    pub data: Extent,
    pub keys: Extent,
}

/// Where copies go.
pub(super) struct Target<'a> {
    draft: &'a Draft<'a>,
    key: &'a Secret,
}

impl Target<'_> {
    pub fn begin(&self, half: Half) -> Result<Sealing<BufWriter<File>>, BackupError> {
        self.draft.sealing(half, self.key, &SystemEntropy)
    }

    pub fn end(&self, sealing: Sealing<BufWriter<File>>, half: Half) -> Result<Extent, BackupError> {
        self.draft.end(sealing, half)
    }
}

/// Makes a backup in a folder of backups; returns what there is to print.
pub async fn take(config: &Config, folder: &Path, as_json: bool) -> Result<String, BackupError> {
    let store = open(config).await?;
    let signer = audit_key::obtain(&config.audit_key_file, &store, &SystemClock, &SystemEntropy).await?;
    let (key, is_new) = key(config)?;
    let shelf = Shelf::open(folder)?;
    let taken_at_ms = SystemClock.now_ms();
    let draft = shelf.begin(&time_text(taken_at_ms).replace(':', "-"))?;
    let target = Target {
        draft: &draft,
        key: &key,
    };
    let (database, copied) = if store.is_postgres() {
        ("postgresql", postgres::copy(config, &target).await?)
    } else {
        ("sqlite", copy_embedded(config, &target)?)
    };
    let files = [copied.data, copied.keys];
    let names = Names {
        audit_key: hex::encode(signer.public()),
        backup_key: key.fingerprint(),
        journal_key: erasure_journal::key(config)?.map(|key| key.fingerprint()),
    };
    let manifest = Manifest::of(database, copied.facts, taken_at_ms, files, names);
    let (text, signature) = manifest.sign(&signer)?;
    draft.describe(&text, &signature)?;
    // The log says so before the backup can be used: none is ever without its entry.
    enter(&store, &draft, &manifest).await?;
    let path = draft.finish()?;
    store.close().await;
    Ok(told(config, &path, &manifest, is_new, as_json))
}

/// The database of a server that may be running, whose schema is left alone.
pub(super) async fn open(config: &Config) -> Result<Store, BackupError> {
    if config.database_url.starts_with("sqlite:") {
        let path = embedded::file_of(&config.database_url)?;
        if !path.exists() {
            return Err(BackupError::NoDatabase(path));
        }
    }
    let store = Store::connect(&config.database_url).await?;
    if store.is_half_restored().await? {
        return Err(BackupError::HalfRestored);
    }
    if store.pending_migrations().await? > 0 {
        return Err(BackupError::Schema);
    }
    Ok(store)
}

/// The backup key, and whether it was made just now.
fn key(config: &Config) -> Result<(Secret, bool), BackupError> {
    let path = &config.backup.key_file;
    if let Some(found) = KEY.read(path)? {
        return Ok((Secret::new(*found), false));
    }
    Ok((Secret::new(*KEY.make(path, &SystemEntropy)?), true))
}

fn copy_embedded(config: &Config, target: &Target<'_>) -> Result<Copied, BackupError> {
    let snapshot = embedded::Snapshot::of(&embedded::file_of(&config.database_url)?)?;
    let mut data = target.begin(Half::Data)?;
    snapshot.write_data(&mut data)?;
    let data = target.end(data, Half::Data)?;
    let mut keys = target.begin(Half::Keys)?;
    snapshot.write_keys(&mut keys)?;
    let keys = target.end(keys, Half::Keys)?;
    let facts = snapshot.facts()?;
    Ok(Copied { facts, data, keys })
}

async fn enter(store: &Store, draft: &Draft<'_>, manifest: &Manifest) -> Result<(), StoreError> {
    let name = draft.to().file_name().unwrap_or_default().to_string_lossy();
    let mut event = event("backup.taken", "taken");
    event.object = Some(format!("backup:{name}"));
    let told = [
        ("data_sha256", &manifest.data.sha256),
        ("keys_sha256", &manifest.keys.sha256),
    ];
    event.changes = told
        .into_iter()
        .map(|(field, value)| Change {
            field,
            new: Some(value.clone()),
            old: None,
        })
        .collect();
    store
        .begin(TenantScope::Server)
        .await?
        .commit_with(&event.into())
        .await
}

/// An event of now in the server's log, by the command line.
pub(super) fn event(action: &'static str, outcome: &'static str) -> AuditEvent {
    let mut nonce = [0; 16];
    SystemEntropy.fill(&mut nonce);
    let mut event = AuditEvent::new(0, action, &Actor::CommandLine, outcome, &nonce);
    event.at_ms = Some(SystemClock.now_ms());
    event
}

fn told(config: &Config, path: &Path, manifest: &Manifest, is_new: bool, as_json: bool) -> String {
    let key_file = config.backup.key_file.display();
    if as_json {
        let object = json!({
            "backup": path.display().to_string(), "taken_at_ms": manifest.taken_at_ms,
            "data_bytes": manifest.data.bytes, "keys_bytes": manifest.keys.bytes,
            "backup_key": manifest.backup_key, "backup_key_made": is_new,
        });
        return format!("{object}\n");
    }
    let mut text = format!(
        "{:<14} {}\n{:<14} {}\n{:<14} {} bytes\n{:<14} {} bytes\n",
        "backup",
        path.display(),
        "of",
        manifest.taken_at(),
        name_of(Half::Data),
        manifest.data.bytes,
        name_of(Half::Keys),
        manifest.keys.bytes,
    );
    if is_new {
        // Writing into a string cannot fail.
        let _ = write!(
            text,
            "\nA new backup key was made: {key_file}. Without it no backup can be opened. Keep a copy of it, of the root \
             key,\nthe audit key and the journal key where neither this machine nor the backups are.\n"
        );
    }
    text
}
