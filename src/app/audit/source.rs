//! Where an export's members are read from: a folder, or a tar whose members are found without unpacking it.
//!
//! Only plain files with plain names count; a member that is asked for is read whole, and only up to a limit that no
//! member of an export reaches.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::verify::VerifyError;

/// The largest member that is read, in bytes: a file of entries ends soon after 4 MiB.
const MEMBER_BYTES_MAX: u64 = 64 << 20;
/// The most members that an export may have: room for 5 · 10^8 entries.
const MEMBERS_MAX: usize = 100_000;
/// The largest of the small files that are named on the command line, in bytes.
const SMALL_BYTES_MAX: u64 = 1 << 20;

/// The members of an export.
pub trait Source {
    /// All names.
    fn names(&self) -> Vec<String>;
    /// A member's bytes; none if it is not there.
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>>;
}

/// Opens a folder or a tar.
pub fn open(path: &Path) -> Result<Box<dyn Source>, VerifyError> {
    let opened = if path.is_dir() {
        Folder::open(path).map(|folder| -> Box<dyn Source> { Box::new(folder) })
    } else {
        Tar::open(path).map(|tar| -> Box<dyn Source> { Box::new(tar) })
    };
    opened.map_err(|error| VerifyError::Read("the export", error))
}

/// Reads a file that was named on the command line, as what it was named: `the key` ...
pub fn read_small(path: &Path, what: &'static str) -> Result<Vec<u8>, VerifyError> {
    let read = File::open(path).and_then(|file| whole(file, SMALL_BYTES_MAX));
    read.map_err(|error| VerifyError::Read(what, error))
}

/// Reads to the end, unless that is too far.
fn whole(from: impl Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::new(
            ErrorKind::FileTooLarge,
            "larger than any export makes it",
        ));
    }
    Ok(bytes)
}

struct Folder {
    path: PathBuf,
    names: Vec<String>,
}

impl Folder {
    fn open(path: &Path) -> io::Result<Self> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
            check_count(names.len())?;
        }
        let path = path.to_owned();
        Ok(Self { path, names })
    }
}

impl Source for Folder {
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        // Names come from the manifest; only those that the folder itself listed lead to a file.
        if !self.names.iter().any(|listed| listed == name) {
            return Ok(None);
        }
        whole(File::open(self.path.join(name))?, MEMBER_BYTES_MAX).map(Some)
    }
}

struct Tar {
    file: File,
    /// Where each member's bytes begin, and how many they are.
    members: BTreeMap<String, (u64, u64)>,
}

impl Tar {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let end = file.metadata()?.len();
        let mut archive = tar::Archive::new(BufReader::new(file.try_clone()?));
        let mut members = BTreeMap::new();
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            if entry.header().entry_type().is_dir() {
                continue;
            }
            let path = entry.path()?.to_string_lossy().into_owned();
            let name = path.strip_prefix("./").unwrap_or(&path).to_owned();
            let (start, length) = (entry.raw_file_position(), entry.size());
            if !entry.header().entry_type().is_file() {
                return Err(invalid("the tar holds something else than files"));
            }
            if start.checked_add(length).is_none_or(|stop| stop > end) {
                return Err(invalid("the tar is cut off"));
            }
            if members.insert(name, (start, length)).is_some() {
                return Err(invalid("the tar holds a member twice"));
            }
            check_count(members.len())?;
        }
        Ok(Self { file, members })
    }
}

impl Source for Tar {
    fn names(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let Some((start, length)) = self.members.get(name).copied() else {
            return Ok(None);
        };
        self.file.seek(SeekFrom::Start(start))?;
        whole((&self.file).take(length), MEMBER_BYTES_MAX).map(Some)
    }
}

fn check_count(count: usize) -> io::Result<()> {
    if count > MEMBERS_MAX {
        return Err(invalid("more members than any export has"));
    }
    Ok(())
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
