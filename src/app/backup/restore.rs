//! `einklang restore BACKUP`: into an empty place, with the erasure journal replayed before anybody is served.
//!
//! Promise: a restore that does not end leaves nothing that a server would serve. On SQLite the database is built beside
//! its place and gets its name last; on PostgreSQL a mark says that it is not whole, which every server heeds.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::journal::{Gap, Journalled};
use super::kept::{Backup, sync_folder};
use super::manifest::Log;
use super::told::Restored;
use super::verify::copy_error;
use super::{BackupError, file, postgres};
use crate::app::audit::check::flow as check_flow;
use crate::app::audit_guard::FileGuard;
use crate::app::config::Config;
use crate::app::erasure_journal::FileJournal;
use crate::app::system::{SystemClock, SystemEntropy};
use crate::app::wire;
use crate::domain::event::Actor;
use crate::domain::ids::ClickId;
use crate::domain::stream::Half;
use crate::flow::Live;
use crate::flow::audit::check::Extent;
use crate::flow::restore::{Done, RestoreFlow, Told};
use crate::flow::retention::{PurgeEnd, Purger};
use crate::store::backup::{Facts, embedded, known_migrations, postgres as pg};

/// The folder in which SQLite's file is built, beside its place.
const BESIDE: &str = ".restoring";

/// What `einklang restore` was asked for.
#[derive(Debug, Args)]
pub struct RestoreOptions {
    /// The backup.
    pub backup: PathBuf,
    /// The data folder to restore into, where the keys and the erasure journal lie already [default: the configured one].
    #[arg(long, value_name = "DATA_DIR")]
    pub into: Option<PathBuf>,
    /// Take salts and keys from this later backup: who was erased in between is gone with them.
    #[arg(long, value_name = "BACKUP")]
    pub keys_from: Option<PathBuf>,
    /// Restore although the erasure journal does not reach back to the backup: people who were erased may come back.
    #[arg(long)]
    pub accept_missing_journal: bool,
}

/// Restores; returns what came of it.
pub async fn restore(config: &Config, options: &RestoreOptions) -> Result<Restored, BackupError> {
    let backup = Backup::open(config, &options.backup)?;
    check_version(&backup)?;
    let other = options.keys_from.as_ref();
    let other = other.map(|path| Backup::open(config, path)).transpose()?;
    let keys = match &other {
        Some(other) if other.manifest.database != backup.manifest.database => {
            return Err(BackupError::OtherKind(other.path.clone()));
        }
        Some(other) if other.manifest.taken_at_ms < backup.manifest.taken_at_ms => {
            return Err(BackupError::EarlierKeys(other.path.clone()));
        }
        other => other.as_ref().unwrap_or(&backup),
    };
    let manifest = &backup.manifest;
    let (journal, gap) = Journalled::read(config, manifest.taken_at_ms, manifest.journal_key.as_deref())?;
    if let Some(gap) = gap.as_ref().filter(|_| !options.accept_missing_journal) {
        return Err(BackupError::Journal(gap.clone()));
    }
    let source = Source {
        config,
        backup: &backup,
        keys,
        journal: &journal,
        gap: gap.as_ref(),
    };
    if config.database_url.starts_with("sqlite:") {
        source.fill_embedded().await
    } else {
        source.fill_postgres().await
    }
}

fn check_version(backup: &Backup) -> Result<(), BackupError> {
    let known = known_migrations();
    let mut applied = backup.manifest.migrations.iter();
    match applied.find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(_) => Err(BackupError::Newer(backup.manifest.program.clone())),
    }
}

/// What is restored.
struct Source<'a> {
    config: &'a Config,
    backup: &'a Backup,
    keys: &'a Backup,
    journal: &'a Journalled,
    gap: Option<&'a Gap>,
}

impl Source<'_> {
    async fn fill_embedded(&self) -> Result<Restored, BackupError> {
        self.is_of("sqlite")?;
        let place = embedded::file_of(&self.config.database_url)?;
        let site = Site::open(&place)?;
        let built = site.folder.join("einklang.db");
        let filling = embedded::Filling::new(&built)?;
        let mut data = self.backup.opening(Half::Data)?;
        filling
            .read_data(&mut data)
            .map_err(|error| copy_error(self.backup, Half::Data, error))?;
        self.backup.end(data, Half::Data)?;
        let mut keys = self.keys.opening(Half::Keys)?;
        let keeps = |tenant, click: &[u8; 16]| !self.journal.is_erased(tenant, &ClickId(*click));
        filling
            .read_keys(&mut keys, &keeps)
            .map_err(|error| copy_error(self.keys, Half::Keys, error))?;
        self.keys.end(keys, Half::Keys)?;
        filling.finish()?;
        self.compare(&embedded::Snapshot::of(&built)?.facts()?)?;
        let config = Config {
            database_url: format!("sqlite:{}", built.display()),
            ..self.config.clone()
        };
        let restored = self.replay(&config, place.display().to_string()).await?;
        site.finish(&built)?;
        Ok(restored)
    }

    async fn fill_postgres(&self) -> Result<Restored, BackupError> {
        self.is_of("postgresql")?;
        let (mut filling, standing) = pg::Filling::open(&self.config.database_url).await?;
        if standing == pg::Standing::Taken {
            return Err(BackupError::DatabaseTaken);
        }
        filling.begin().await?;
        let mut data = self.backup.opening(Half::Data)?;
        postgres::bring_back(self.config, filling.url(), &mut data).map_err(|error| match error {
            BackupError::Copy(error) => copy_error(self.backup, Half::Data, error),
            other => other,
        })?;
        self.backup.end(data, Half::Data)?;
        let mut keys = self.keys.opening(Half::Keys)?;
        let keeps = |tenant, click: &[u8; 16]| !self.journal.is_erased(tenant, &ClickId(*click));
        filling
            .read_keys(&mut keys, &keeps)
            .await
            .map_err(|error| copy_error(self.keys, Half::Keys, error))?;
        self.keys.end(keys, Half::Keys)?;
        let mut snapshot = pg::Snapshot::of(&self.config.database_url).await?;
        self.compare(&snapshot.facts().await?)?;
        snapshot.close().await?;
        let restored = self
            .replay(self.config, "the configured database".to_owned())
            .await?;
        filling.finish().await?;
        Ok(restored)
    }

    fn is_of(&self, database: &str) -> Result<(), BackupError> {
        if self.backup.manifest.database == database {
            Ok(())
        } else {
            Err(BackupError::OtherKind(self.backup.path.clone()))
        }
    }

    /// What was restored has to be what was signed for.
    fn compare(&self, facts: &Facts) -> Result<(), BackupError> {
        let logs = facts.heads.iter().cloned().map(Log::from);
        let manifest = &self.backup.manifest;
        if logs.eq(manifest.logs.iter().cloned()) && facts.migrations == manifest.migrations {
            Ok(())
        } else {
            Err(BackupError::Changed(self.backup.path.clone()))
        }
    }

    /// What was purged since goes again, up to where it had gone; returns how many rows. A backup from before the first
    /// purge leaves this to the next one.
    async fn purge_again(&self, config: &Config, live: &Arc<Live>) -> Result<u64, BackupError> {
        if self.journal.purged.is_empty() {
            return Ok(0);
        }
        let journal = Arc::new(FileJournal::open(config, live.entropy())?);
        let purger = Purger::new(Arc::clone(live), journal, Actor::CommandLine);
        let purger = purger.again(self.journal.purged.clone());
        match purger.run(false, &|_| {}).await? {
            PurgeEnd::Done(report) => Ok(report.classes.iter().map(|class| class.removed).sum()),
            PurgeEnd::Elsewhere => Err(BackupError::Busy(config.data_dir.clone())),
        }
    }

    /// Everything between the copy and the first request.
    async fn replay(&self, config: &Config, into: String) -> Result<Restored, BackupError> {
        let (store, live) =
            wire::open_unserved(config, Arc::new(SystemClock), Arc::new(SystemEntropy)).await?;
        let guard = FileGuard::open(&config.audit_guard_file).map_err(wire::StartError::from)?;
        let flow = RestoreFlow::new(Arc::clone(&live));
        let logs = flow.reopen_logs(&config.audit_name, &guard).await?;
        let replayed = flow.replay(self.journal).await?;
        let purged = self.purge_again(config, &live).await?;
        let name = self.backup.path.file_name().unwrap_or_default();
        let told = Told {
            backup: name.to_string_lossy().into_owned(),
            taken_at_ms: self.backup.manifest.taken_at_ms,
            journal_is_whole: self.gap.is_none(),
        };
        flow.note(&told, &replayed).await?;
        flow.scrub().await?;
        let check = check_flow(config, &store, live).await?;
        let report = check.run(Extent::default()).await?;
        let restored = Restored {
            into,
            taken_at_ms: told.taken_at_ms,
            journal_lines: self.journal.lines,
            journal_clicks: self.journal.erased(),
            journal_last_at_ms: self.journal.last_at_ms,
            purged,
            gap: self.gap.map(ToString::to_string),
            findings: report
                .findings
                .iter()
                .map(|one| (one.kind.code(), check.tenant_text(one.tenant), one.place.clone()))
                .collect(),
            logs,
            replayed,
        };
        drop((check, flow));
        store.close().await;
        Ok(restored)
    }
}

/// Where SQLite's file is built: a folder beside its place, which one restore at a time has for itself.
struct Site {
    place: PathBuf,
    folder: PathBuf,
    _lock: File,
}

impl Site {
    /// Takes it, and clears away what a restore left behind that did not end.
    fn open(place: &Path) -> Result<Self, BackupError> {
        let parent = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = parent.join(BESIDE);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(file(&folder))?;
        let lock_file = folder.join("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_file)
            .map_err(file(&lock_file))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackupError::Busy(parent.to_owned())),
            Err(TryLockError::Error(error)) => return Err(file(&lock_file)(error)),
        }
        let site = Self {
            place: place.to_owned(),
            folder,
            _lock: lock,
        };
        for entry in fs::read_dir(&site.folder).map_err(file(&site.folder))? {
            let path = entry.map_err(file(&site.folder))?.path();
            if path != lock_file {
                fs::remove_file(&path).map_err(file(&path))?;
            }
        }
        for ending in ["", "-wal", "-journal"] {
            let there = with_ending(place, ending);
            if there.exists() {
                return Err(BackupError::Taken(there));
            }
        }
        Ok(site)
    }

    /// Gives the file its name, on the disk. Never over one that is there: a link to a name that is taken fails.
    fn finish(self, built: &Path) -> Result<(), BackupError> {
        let wal = with_ending(built, "-wal");
        if wal.exists() {
            let error = io::Error::other("it was not moved into the database");
            return Err(BackupError::File(wal, error));
        }
        let named = || {
            File::open(built)?.sync_all()?;
            fs::hard_link(built, &self.place)?;
            sync_folder(self.folder.parent().unwrap_or(Path::new(".")))
        };
        match named() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(BackupError::Taken(self.place.clone()))
            }
            named => named.map_err(file(&self.place)),
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // What stays is cleared away by the next one.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
