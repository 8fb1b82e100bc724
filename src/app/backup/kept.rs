//! Backups on the disk: how a new one gets its name, and how one is found again.
//!
//! A backup is written under a name that no backup has, synced, and renamed last. Whatever a killed command left behind
//! goes with the next one.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::manifest::{Manifest, SealedFile};
use super::sealed::{Extent, Opening, Sealing};
use super::{BackupError, file, key_named};
use crate::app::audit_key;
use crate::app::config::Config;
use crate::domain::keys::Secret;
use crate::domain::stream::Half;
use crate::flow::Entropy;

/// What the names of unfinished backups begin with.
const UNFINISHED: &str = ".unfinished-";
const LOCK: &str = ".lock";
const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "manifest.sig";
const PRUNED: &str = "keys.pruned";

/// The file that holds a half.
pub fn name_of(half: Half) -> &'static str {
    match half {
        Half::Data => "data.sealed",
        Half::Keys => "keys.sealed",
    }
}

/// A folder of backups, to be changed by nobody else meanwhile.
pub struct Shelf {
    path: PathBuf,
    /// Let go of when it is closed, however this ends.
    _lock: File,
}

impl Shelf {
    /// Opens the folder, which is made where it is not there, and clears away what was not finished.
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(file(path))?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK))
            .map_err(file(path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackupError::Busy(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(file(path)(error)),
        }
        let shelf = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        for (name, path) in shelf.entries()? {
            if name.starts_with(UNFINISHED) {
                fs::remove_dir_all(&path).map_err(file(&path))?;
            }
        }
        Ok(shelf)
    }

    /// The backups in it, the oldest first.
    pub fn backups(&self) -> Result<Vec<PathBuf>, BackupError> {
        let entries = self.entries()?.into_iter();
        let backups = entries.filter(|(_, path)| path.join(MANIFEST).is_file());
        Ok(backups.map(|(_, path)| path).collect())
    }

    /// A place for a new backup of this name.
    pub fn begin(&self, name: &str) -> Result<Draft<'_>, BackupError> {
        let path = self.path.join(format!("{UNFINISHED}{name}"));
        DirBuilder::new().mode(0o700).create(&path).map_err(file(&path))?;
        Ok(Draft {
            shelf: self,
            to: self.path.join(name),
            path,
        })
    }

    /// Removes a whole backup. What a crash leaves of it is no backup.
    pub fn remove(&self, backup: &Path) -> Result<(), BackupError> {
        let name = backup.file_name().unwrap_or_default().to_string_lossy();
        let beside = self.path.join(format!("{UNFINISHED}{name}"));
        fs::rename(backup, &beside).map_err(file(backup))?;
        sync_folder(&self.path).map_err(file(&self.path))?;
        fs::remove_dir_all(&beside).map_err(file(&beside))
    }

    fn entries(&self) -> Result<Vec<(String, PathBuf)>, BackupError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(file(&self.path))? {
            let entry = entry.map_err(file(&self.path))?;
            found.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
        found.sort();
        Ok(found)
    }
}

/// A backup that is being written; gone when it is dropped before it has its name.
pub struct Draft<'a> {
    shelf: &'a Shelf,
    path: PathBuf,
    to: PathBuf,
}

impl Draft<'_> {
    /// Where it will stand.
    pub fn to(&self) -> &Path {
        &self.to
    }

    /// Begins a sealed file.
    pub fn sealing(
        &self,
        half: Half,
        key: &Secret,
        entropy: &dyn Entropy,
    ) -> Result<Sealing<BufWriter<File>>, BackupError> {
        let path = self.path.join(name_of(half));
        let mut salt = [0; 32];
        entropy.fill(&mut salt);
        let made = new_file(&path).map_err(file(&path))?;
        Sealing::new(BufWriter::new(made), key, half, &salt).map_err(file(&path))
    }

    /// Ends it, on the disk.
    pub fn end(&self, sealing: Sealing<BufWriter<File>>, half: Half) -> Result<Extent, BackupError> {
        let path = self.path.join(name_of(half));
        let ended = || {
            let (out, extent) = sealing.end()?;
            out.into_inner().map_err(io::Error::from)?.sync_all()?;
            Ok(extent)
        };
        ended().map_err(file(&path))
    }

    /// Adds the signed manifest.
    pub fn describe(&self, manifest: &str, signature: &str) -> Result<(), BackupError> {
        for (name, text) in [(MANIFEST, manifest), (SIGNATURE, signature)] {
            let path = self.path.join(name);
            write_synced(&path, text).map_err(file(&path))?;
        }
        sync_folder(&self.path).map_err(file(&self.path))
    }

    /// Gives it its name.
    pub fn finish(self) -> Result<PathBuf, BackupError> {
        fs::rename(&self.path, &self.to).map_err(file(&self.to))?;
        sync_folder(&self.shelf.path).map_err(file(&self.shelf.path))?;
        Ok(self.to.clone())
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        // Gone already where it was finished; else the next command clears it away.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A finished backup.
pub struct Backup {
    /// Where it is.
    pub path: PathBuf,
    /// What it says of itself; verified.
    pub manifest: Manifest,
    key: Secret,
}

impl Backup {
    /// Opens a backup of this installation's: signed with its audit key, sealed with its backup key.
    pub fn open(config: &Config, path: &Path) -> Result<Self, BackupError> {
        let manifest = read_manifest(config, path)?;
        Ok(Self {
            path: path.to_owned(),
            key: key_named(&config.backup.key_file, &manifest.backup_key)?,
            manifest,
        })
    }

    /// Whether its salts and keys were removed on purpose.
    pub fn is_pruned(&self) -> bool {
        !self.path.join(name_of(Half::Keys)).exists() && self.path.join(PRUNED).exists()
    }

    /// Begins to read a half. Its length is held against the manifest, so that what was cut is known before it is used.
    pub fn opening(&self, half: Half) -> Result<Opening<BufReader<File>>, BackupError> {
        let path = self.path.join(name_of(half));
        let opened = match File::open(&path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound && half == Half::Keys => {
                return Err(BackupError::NoKeys(path));
            }
            Err(error) => return Err(file(&path)(error)),
        };
        if opened.metadata().map_err(file(&path))?.len() != self.described(half).bytes {
            return Err(BackupError::Changed(path));
        }
        Opening::new(BufReader::new(opened), &self.key, half).map_err(|error| self.unusable(half, error))
    }

    /// Reads a half to its end, and holds it against the manifest.
    pub fn end(&self, opening: Opening<impl Read>, half: Half) -> Result<(), BackupError> {
        let extent = opening.end().map_err(|error| self.unusable(half, error))?;
        if SealedFile::from(extent) == *self.described(half) {
            Ok(())
        } else {
            Err(BackupError::Changed(self.path.join(name_of(half))))
        }
    }

    /// What an error in reading a half means.
    pub fn unusable(&self, half: Half, error: io::Error) -> BackupError {
        let path = self.path.join(name_of(half));
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => BackupError::Changed(path),
            _ => BackupError::File(path, error),
        }
    }

    fn described(&self, half: Half) -> &SealedFile {
        match half {
            Half::Data => &self.manifest.data,
            Half::Keys => &self.manifest.keys,
        }
    }
}

/// A backup's manifest, if this installation signed it.
pub fn read_manifest(config: &Config, backup: &Path) -> Result<Manifest, BackupError> {
    let read = |name| match fs::read_to_string(backup.join(name)) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(BackupError::NoBackup(backup.to_owned()))
        }
        Err(error) => Err(file(&backup.join(name))(error)),
    };
    let (text, signature) = (read(MANIFEST)?, read(SIGNATURE)?);
    let public = audit_key::public_of(&config.audit_key_file)?;
    let public = public.ok_or_else(|| BackupError::NoAuditKey(config.audit_key_file.clone()))?;
    Manifest::open(&text, &signature, &public)
        .map_err(|error| BackupError::Manifest(backup.to_owned(), error))
}

/// Removes a backup's salts and keys, and says there that this was on purpose; whether they were there.
pub fn remove_keys(backup: &Path, note: &str) -> Result<bool, BackupError> {
    let keys = backup.join(name_of(Half::Keys));
    if !keys.exists() {
        return Ok(false);
    }
    let removed = || {
        write_synced(&backup.join(PRUNED), note)?;
        fs::remove_file(&keys)?;
        sync_folder(backup)
    };
    removed().map_err(file(&keys))?;
    Ok(true)
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut made = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    made.write_all(text.as_bytes())?;
    made.sync_all()
}

/// A name is durable once its folder is.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
