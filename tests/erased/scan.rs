//! A search for many thousands of patterns at once in every byte of many files.

use std::collections::{BTreeMap, HashMap};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use einklang::domain::keys::sha256;

use crate::digests::{md5, sha1};

/// What is looked for, by what it is.
#[derive(Default)]
pub struct Scanner {
    patterns: Vec<(&'static str, Vec<u8>)>,
    by_head: HashMap<[u8; 4], Vec<usize>>,
    /// The first three bytes of every pattern, as bits: most of what is searched begins nothing.
    begins: Vec<u64>,
}

impl Scanner {
    /// A text: as it is, in lower and upper case, in hexadecimal, in base64 at each of its three offsets, and hashed.
    pub fn text(&mut self, what: &'static str, text: &str) {
        self.add(what, text.as_bytes());
        self.add(what, text.to_lowercase().as_bytes());
        self.add(what, text.to_uppercase().as_bytes());
        self.encoded(what, text.as_bytes());
        for digest in [
            &md5(text.as_bytes())[..],
            &sha1(text.as_bytes()),
            &sha256(text.as_bytes()),
        ] {
            self.bytes(what, digest);
        }
    }

    /// Bytes: as they are, in hexadecimal and in base64.
    pub fn bytes(&mut self, what: &'static str, bytes: &[u8]) {
        self.add(what, bytes);
        self.encoded(what, bytes);
    }

    fn encoded(&mut self, what: &'static str, bytes: &[u8]) {
        self.add(what, hex::encode(bytes).as_bytes());
        self.add(what, hex::encode_upper(bytes).as_bytes());
        for offset in 0..3 {
            let shifted = [&vec![0; offset][..], bytes].concat();
            // Characters that also hold bits of what stands before or behind are left out.
            let whole = (offset * 4).div_ceil(3)..shifted.len() * 4 / 3;
            for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
                self.add(what, &encoded.as_bytes()[whole.clone()]);
            }
        }
    }

    /// These bytes and nothing made of them.
    pub fn add(&mut self, what: &'static str, bytes: &[u8]) {
        if self.begins.is_empty() {
            self.begins = vec![0; 1 << 18];
        }
        let head: [u8; 4] = bytes[..4].try_into().expect("at least four bytes");
        let known = self.by_head.entry(head).or_default();
        if known.iter().any(|place| self.patterns[*place].1 == bytes) {
            return;
        }
        known.push(self.patterns.len());
        self.patterns.push((what, bytes.to_vec()));
        let bit = beginning(head);
        self.begins[bit / 64] |= 1 << (bit % 64);
    }

    /// How many patterns there are.
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// How many different patterns of each kind occur anywhere, with one place of each kind.
    pub fn search(&self, contents: &BTreeMap<String, Vec<u8>>) -> BTreeMap<&'static str, (usize, String)> {
        let mut seen = vec![false; self.patterns.len()];
        let mut found: BTreeMap<&'static str, (usize, String)> = BTreeMap::new();
        for (name, bytes) in contents {
            for at in 0..bytes.len().saturating_sub(3) {
                let head = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
                let bit = beginning(head);
                if self.begins[bit / 64] & (1 << (bit % 64)) == 0 {
                    continue;
                }
                for place in self.by_head.get(&head).into_iter().flatten() {
                    let (what, pattern) = &self.patterns[*place];
                    if !seen[*place] && bytes[at..].starts_with(pattern) {
                        seen[*place] = true;
                        found
                            .entry(what)
                            .or_insert_with(|| (0, format!("{name} at {at}")))
                            .0 += 1;
                    }
                }
            }
        }
        found
    }
}

fn beginning(head: [u8; 4]) -> usize {
    usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])
}

#[test]
fn whatever_is_planted_is_found() {
    let mut scanner = Scanner::default();
    scanner.text("text", "Knr0123456789abcdefVgl");
    scanner.bytes("salt", &[7, 200, 3, 255, 254, 65, 66, 1, 9, 9, 9, 9, 9, 9, 9, 9]);
    let plant =
        |bytes: Vec<u8>| BTreeMap::from([("file".to_owned(), [vec![0; 99], bytes, vec![0; 99]].concat())]);
    for bytes in [
        b"Knr0123456789abcdefVgl".to_vec(),
        hex::encode("Knr0123456789abcdefVgl").into_bytes(),
        STANDARD_NO_PAD.encode("..Knr0123456789abcdefVgl.").into_bytes(),
        hex::encode(md5(b"Knr0123456789abcdefVgl")).into_bytes(),
        sha1(b"Knr0123456789abcdefVgl").to_vec(),
        sha256(b"Knr0123456789abcdefVgl").to_vec(),
    ] {
        assert_eq!(
            scanner.search(&plant(bytes.clone()))["text"].0,
            1,
            "{}",
            bytes.escape_ascii()
        );
    }
    let salt = vec![7, 200, 3, 255, 254, 65, 66, 1, 9, 9, 9, 9, 9, 9, 9, 9];
    assert_eq!(scanner.search(&plant(salt))["salt"].0, 1);
    assert!(
        scanner
            .search(&plant(b"Knr0123456789abcdefVgx".to_vec()))
            .is_empty()
    );
}
