//! Sealing what is too long for one ciphertext: a backup's files.
//!
//! The text is cut into chunks, and each is sealed with AES-256-GCM under a key that this file alone has (HKDF over the
//! backup key and 32 random bytes in the file's head). A chunk's nonce is its number and whether it is the last (the
//! STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015), and the head is associated data: so chunks
//! cannot be swapped, left out or taken from another file, and a file that was cut short does not open. Since the key is
//! used for one file only, nonces may count.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::keys::{KeyError, Secret};

/// Bytes of plain text in every chunk but the last, which has at most as many.
pub const CHUNK_BYTES: usize = 64 * 1_024;
/// Bytes that sealing adds to a chunk.
pub const TAG_BYTES: usize = 16;
/// Bytes of a file's head.
pub const HEAD_BYTES: usize = 40;
/// Random bytes in a head.
pub const SALT_BYTES: usize = 32;

const MAGIC: &[u8; 6] = b"EINKBK";
const VERSION: u8 = 1;

/// Which half of a backup a file holds. It goes into the key, so that neither passes for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// Everything but salts and keys.
    Data,
    /// Salts and wrapped keys.
    Keys,
}

impl Half {
    fn code(self) -> u8 {
        match self {
            Half::Data => b'd',
            Half::Keys => b'k',
        }
    }
}

/// The head of a sealed file.
pub fn head(half: Half, salt: &[u8; SALT_BYTES]) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let (front, back) = head.split_at_mut(HEAD_BYTES - SALT_BYTES);
    front[..MAGIC.len()].copy_from_slice(MAGIC);
    front[MAGIC.len()..].copy_from_slice(&[VERSION, half.code()]);
    back.copy_from_slice(salt);
    head
}

/// Seals or opens the chunks of one file, one after the other.
pub struct Chunks {
    cipher: Aes256Gcm,
    head: [u8; HEAD_BYTES],
    next: u32,
    ended: bool,
}

impl Chunks {
    /// Of a file with this head, which has to be one of ours and of this half.
    pub fn new(key: &Secret, half: Half, head: [u8; HEAD_BYTES]) -> Result<Self, KeyError> {
        let (front, salt) = head.split_at(HEAD_BYTES - SALT_BYTES);
        let ours = front.strip_prefix(MAGIC) == Some(&[VERSION, half.code()]);
        if !ours {
            return Err(KeyError::DoesNotOpen);
        }
        let mut own = Zeroizing::new([0_u8; 32]);
        Hkdf::<Sha256>::new(Some(salt), key.expose())
            .expand_multi_info(&[b"einklang backup", front], &mut *own)
            .map_err(|_| KeyError::Length)?;
        Ok(Self {
            cipher: Aes256Gcm::new((&*own).into()),
            head,
            next: 0,
            ended: false,
        })
    }

    /// Seals the next chunk. After the last there is none.
    pub fn seal(&mut self, plain: &[u8], is_last: bool) -> Result<Vec<u8>, KeyError> {
        let nonce = self.nonce(is_last)?;
        let payload = Payload {
            msg: plain,
            aad: &self.head,
        };
        self.cipher.encrypt(&nonce, payload).map_err(|_| KeyError::Length)
    }

    /// Opens the next chunk.
    pub fn open(&mut self, sealed: &[u8], is_last: bool) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let nonce = self.nonce(is_last)?;
        let payload = Payload {
            msg: sealed,
            aad: &self.head,
        };
        let opened = self.cipher.decrypt(&nonce, payload);
        opened.map(Zeroizing::new).map_err(|_| KeyError::DoesNotOpen)
    }

    fn nonce(&mut self, is_last: bool) -> Result<Nonce<aes_gcm::aead::consts::U12>, KeyError> {
        if self.ended {
            return Err(KeyError::DoesNotOpen);
        }
        let number = self.next;
        self.ended = is_last;
        if !is_last {
            self.next = number.checked_add(1).ok_or(KeyError::Length)?;
        }
        let mut nonce = [0; 12];
        nonce[7..11].copy_from_slice(&number.to_be_bytes());
        nonce[11] = u8::from(is_last);
        Ok(Nonce::from(nonce))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(key: u8, half: Half, salt: u8) -> Chunks {
        Chunks::new(&Secret::new([key; 32]), half, head(half, &[salt; 32])).expect("a head of ours")
    }

    #[test]
    fn chunks_open_in_their_order_and_in_no_other() {
        let mut sealing = chunks(1, Half::Data, 2);
        let sealed: Vec<_> = [("a", false), ("b", false), ("c", true)]
            .map(|(text, is_last)| sealing.seal(text.as_bytes(), is_last).expect("sealed"))
            .into();
        assert!(sealing.seal(b"d", true).is_err(), "after the last");
        let mut opening = chunks(1, Half::Data, 2);
        for (place, (text, is_last)) in [("a", false), ("b", false), ("c", true)].into_iter().enumerate() {
            let opened = opening.open(&sealed[place], is_last).expect("opens");
            assert_eq!(opened.as_slice(), text.as_bytes());
        }
        let refused = |mut opening: Chunks, order: &[(usize, bool)]| {
            let opened: Vec<_> = order
                .iter()
                .map(|(place, is_last)| opening.open(&sealed[*place], *is_last))
                .collect();
            assert!(opened.iter().any(Result::is_err), "{order:?}");
        };
        // Swapped, cut short, one left out, read on, of another key, another file, another half.
        refused(chunks(1, Half::Data, 2), &[(1, false)]);
        refused(chunks(1, Half::Data, 2), &[(0, false), (1, true)]);
        refused(chunks(1, Half::Data, 2), &[(0, false), (2, true)]);
        refused(chunks(1, Half::Data, 2), &[(0, false), (1, false), (2, false)]);
        refused(chunks(9, Half::Data, 2), &[(0, false)]);
        refused(chunks(1, Half::Data, 9), &[(0, false)]);
        refused(chunks(1, Half::Keys, 2), &[(0, false)]);
    }

    #[test]
    fn a_head_of_the_other_half_or_of_anything_else_is_refused() {
        let key = Secret::new([1; 32]);
        assert!(Chunks::new(&key, Half::Data, head(Half::Keys, &[2; 32])).is_err());
        assert!(Chunks::new(&key, Half::Data, [0; HEAD_BYTES]).is_err());
        let mut later = head(Half::Data, &[2; 32]);
        later[6] = 2;
        assert!(Chunks::new(&key, Half::Data, later).is_err());
    }
}
