//! A backup's files: sealed chunk by chunk on the way out, opened on the way in, and hashed as they lie on the disk.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::domain::keys::Secret;
use crate::domain::stream::{CHUNK_BYTES, Chunks, HEAD_BYTES, Half, SALT_BYTES, TAG_BYTES, head};

/// A file as it lies on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Its length.
    pub bytes: u64,
    /// SHA-256 over all of it.
    pub sha256: [u8; 32],
}

/// Does not open: another key's, cut short, or changed.
fn does_not_open() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "does not open under the backup key")
}

/// Counts and hashes what goes through.
struct Counted<T> {
    inner: T,
    bytes: u64,
    digest: Sha256,
}

impl<T> Counted<T> {
    fn new(inner: T) -> Self {
        Self {
            inner,
            bytes: 0,
            digest: Sha256::new(),
        }
    }

    fn count(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.digest.update(bytes);
    }

    fn extent(self) -> (T, Extent) {
        let sha256 = self.digest.finalize().into();
        let bytes = self.bytes;
        (self.inner, Extent { bytes, sha256 })
    }
}

impl<W: Write> Counted<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.count(bytes);
        self.inner.write_all(bytes)
    }
}

/// Seals what is written to it.
pub struct Sealing<W> {
    to: Counted<W>,
    chunks: Chunks,
    plain: Zeroizing<Vec<u8>>,
}

impl<W: Write> Sealing<W> {
    /// Begins a file.
    pub fn new(to: W, key: &Secret, half: Half, salt: &[u8; SALT_BYTES]) -> io::Result<Self> {
        let head = head(half, salt);
        let chunks = Chunks::new(key, half, head).map_err(io::Error::other)?;
        let mut to = Counted::new(to);
        to.put(&head)?;
        Ok(Self {
            to,
            chunks,
            plain: Zeroizing::new(Vec::with_capacity(CHUNK_BYTES)),
        })
    }

    /// Seals the last chunk. A file without it does not open.
    pub fn end(mut self) -> io::Result<(W, Extent)> {
        self.chunk(true)?;
        Ok(self.to.extent())
    }

    fn chunk(&mut self, is_last: bool) -> io::Result<()> {
        let sealed = self.chunks.seal(&self.plain, is_last).map_err(io::Error::other)?;
        self.plain.clear();
        self.to.put(&sealed)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits: it may turn out to be the last.
        if self.plain.len() == CHUNK_BYTES {
            self.chunk(false)?;
        }
        let fits = bytes.len().min(CHUNK_BYTES - self.plain.len());
        self.plain.extend_from_slice(&bytes[..fits]);
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens what is read from it.
pub struct Opening<R> {
    from: Counted<R>,
    chunks: Chunks,
    /// Read ahead, sealed: whether a chunk is the last is known by what comes behind it.
    sealed: Vec<u8>,
    plain: Zeroizing<Vec<u8>>,
    at: usize,
    ended: bool,
}

impl<R: Read> Opening<R> {
    /// Begins a file.
    pub fn new(from: R, key: &Secret, half: Half) -> io::Result<Self> {
        let mut from = Counted::new(from);
        let mut head = [0; HEAD_BYTES];
        from.inner
            .read_exact(&mut head)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => does_not_open(),
                _ => error,
            })?;
        from.count(&head);
        Ok(Self {
            from,
            chunks: Chunks::new(key, half, head).map_err(|_| does_not_open())?,
            sealed: Vec::new(),
            plain: Zeroizing::new(Vec::new()),
            at: 0,
            ended: false,
        })
    }

    /// Reads to the end, whatever is left, and says what the file was.
    pub fn end(mut self) -> io::Result<Extent> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.from.extent().1)
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let full = CHUNK_BYTES + TAG_BYTES;
        let ahead = self.sealed.len();
        let wanted = (full + 1 - ahead) as u64;
        self.from
            .inner
            .by_ref()
            .take(wanted)
            .read_to_end(&mut self.sealed)?;
        let read = self.sealed.split_off(ahead);
        self.from.count(&read);
        self.sealed.extend_from_slice(&read);
        let is_last = self.sealed.len() <= full;
        let behind = self.sealed.split_off(self.sealed.len().min(full));
        let opened = self.chunks.open(&self.sealed, is_last);
        self.plain = opened.map_err(|_| does_not_open())?;
        self.sealed = behind;
        (self.at, self.ended) = (0, is_last);
        Ok(())
    }
}

impl<R: Read> Read for Opening<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.plain.len() && !self.ended {
            self.next_chunk()?;
        }
        let left = self.plain.get(self.at..).unwrap_or_default();
        let count = left.len().min(into.len());
        into[..count].copy_from_slice(&left[..count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(plain: &[u8]) -> (Vec<u8>, Extent) {
        let key = Secret::new([1; 32]);
        let mut sealing = Sealing::new(Vec::new(), &key, Half::Data, &[2; 32]).expect("begins");
        sealing.write_all(plain).expect("written");
        sealing.end().expect("ends")
    }

    fn opened(sealed: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Opening::new(sealed, &Secret::new([1; 32]), Half::Data)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn files_of_every_length_open_to_what_they_were() {
        for length in [
            0,
            1,
            CHUNK_BYTES - 1,
            CHUNK_BYTES,
            CHUNK_BYTES + 1,
            3 * CHUNK_BYTES,
        ] {
            let plain: Vec<u8> = (0..length)
                .map(|place| u8::try_from(place % 251).expect("small"))
                .collect();
            let (sealed, extent) = sealed(&plain);
            assert_eq!(opened(&sealed).expect("opens"), plain, "{length}");
            let opening = Opening::new(sealed.as_slice(), &Secret::new([1; 32]), Half::Data);
            assert_eq!(opening.expect("begins").end().expect("ends"), extent, "{length}");
            assert_eq!(extent.bytes, sealed.len() as u64);
            assert_eq!(extent.sha256, <[u8; 32]>::from(Sha256::digest(&sealed)));
        }
    }

    #[test]
    fn a_file_that_is_cut_or_changed_anywhere_does_not_open() {
        let (sealed, _) = sealed(&vec![7; CHUNK_BYTES + 100]);
        let near = |border: usize| border.saturating_sub(3)..(border + 3).min(sealed.len());
        let borders = [0, HEAD_BYTES, HEAD_BYTES + CHUNK_BYTES + TAG_BYTES, sealed.len()];
        for place in borders.into_iter().flat_map(near) {
            assert!(opened(&sealed[..place]).is_err(), "cut at {place}");
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(opened(&changed).is_err(), "changed at {place}");
        }
        let longer = [sealed, vec![0]].concat();
        assert!(opened(&longer).is_err());
    }
}
