//! Files that hold a secret key of 32 bytes: one line, a head that names the kind, 64 hexadecimal digits, read-only for
//! the owner. A file that others can read is refused.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::flow::Entropy;

/// A kind of key file.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// What people call it: `root key`.
    pub name: &'static str,
    /// What the line begins with.
    pub head: &'static str,
}

/// Why a key file cannot be used. Each text is one or two sentences for the person who starts the server.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file is not of its kind.
    #[error(
        "The {name} file {path} does not hold a {name}: one line, {head} and 64 hexadecimal digits.",
        name = kind.name, head = kind.head
    )]
    Broken {
        /// What it should be.
        kind: Kind,
        /// Where it is.
        path: PathBuf,
    },
    /// The file can be read by others.
    #[error("The {name} file {path} can be read by others (mode {mode:o}). Run: chmod 0400 {path}", name = kind.name)]
    Open {
        /// What it is.
        kind: Kind,
        /// Where it is.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file cannot be read or made.
    #[error("The {name} file {path} cannot be read or made: {source}", name = kind.name)]
    File {
        /// What it is.
        kind: Kind,
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Kind {
    /// The key in a file, if there is one.
    pub fn read(self, path: &Path) -> Result<Option<Zeroizing<[u8; 32]>>, KeyFileError> {
        let file = |source| KeyFileError::File {
            kind: self,
            path: path.to_owned(),
            source,
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file(error)),
        };
        let mode = fs::metadata(path).map_err(file)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Open {
                kind: self,
                path: path.to_owned(),
                mode,
            });
        }
        let broken = || KeyFileError::Broken {
            kind: self,
            path: path.to_owned(),
        };
        self.parse(&text).map(Some).ok_or_else(broken)
    }

    /// The key in a line, if it is one.
    pub fn parse(self, line: &str) -> Option<Zeroizing<[u8; 32]>> {
        let digits = line.trim_end().strip_prefix(self.head)?;
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits, &mut *key).ok()?;
        Some(key)
    }

    /// Makes a key and its file, which must not be there yet.
    pub fn make(self, path: &Path, entropy: &dyn Entropy) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
        let file = |source| KeyFileError::File {
            kind: self,
            path: path.to_owned(),
            source,
        };
        let mut bytes = Zeroizing::new([0_u8; 32]);
        entropy.fill(&mut *bytes);
        let text = Zeroizing::new(format!("{}{}\n", self.head, hex::encode(*bytes)));
        let mut new = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(path)
            .map_err(file)?;
        new.write_all(text.as_bytes()).map_err(file)?;
        new.sync_all().map_err(file)?;
        Ok(bytes)
    }
}
