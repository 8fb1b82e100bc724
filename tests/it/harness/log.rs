//! A stranger's look at an audit log: over HTTP with one key, and with nothing of the server's but its public key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use einklang::audit::merkle::{Hash, leaf_hash, root, verify_consistency, verify_inclusion};
use einklang::audit::note::{Checkpoint, open_note, parse_vkey};
use serde_json::Value;

use super::client::Caller;

/// Whoever reads a log, with the key that verifies it.
pub struct Auditor {
    pub caller: Caller,
    pub name: String,
    pub public: [u8; 32],
}

pub fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member]
        .as_str()
        .unwrap_or_else(|| panic!("no {member} in {value}"))
}

pub fn number(value: &Value, member: &str) -> u64 {
    value[member]
        .as_u64()
        .unwrap_or_else(|| panic!("no {member} in {value}"))
}

pub fn hash(text: &str) -> Hash {
    hex::decode(text)
        .expect("hexadecimal")
        .try_into()
        .expect("32 bytes")
}

pub fn hashes(value: &Value) -> Vec<Hash> {
    let items = value["hashes"].as_array().expect("hashes").iter();
    items.map(|item| hash(item.as_str().expect("a hash"))).collect()
}

pub fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(text(value, "bytes")).expect("base64")
}

impl Auditor {
    /// Learns the key of the first epoch.
    pub async fn meet(caller: Caller) -> Self {
        let keys = caller.get("/v1/audit/keys").await.json();
        let (name, public) = parse_vkey(text(&keys["items"][0], "vkey")).expect("a verifier key");
        Self { caller, name, public }
    }

    pub async fn get(&self, target: &str) -> Value {
        let answer = self.caller.get(target).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer.json()
    }

    /// The checkpoint that a note signs.
    #[track_caller]
    pub fn open(&self, note: &str) -> Checkpoint {
        let signed = open_note(note, &self.name, &self.public).expect("signed by the log's key");
        let checkpoint = Checkpoint::parse(&signed).expect("a checkpoint");
        assert_eq!(checkpoint.origin, self.name);
        checkpoint
    }

    /// The latest checkpoint.
    pub async fn latest(&self) -> Checkpoint {
        let shown = self.get("/v1/audit/checkpoint").await;
        let checkpoint = self.open(text(&shown, "note"));
        assert_eq!(number(&shown, "size"), checkpoint.size);
        assert_eq!(hash(text(&shown, "root")), checkpoint.root);
        checkpoint
    }

    /// Every entry that a list shows, page by page.
    pub async fn entries(&self, filter: &str) -> Vec<Value> {
        let mut entries = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self
                .get(&format!("/v1/audit/entries?limit=100{filter}{cursor}"))
                .await;
            entries.extend(page["items"].as_array().expect("items").clone());
            let Some(next) = page["next_cursor"].as_str() else {
                return entries;
            };
            cursor = format!("&cursor={next}");
        }
    }

    /// Panics unless the entry is in the tree that its proof's checkpoint signs.
    #[track_caller]
    pub fn check_proof(&self, proof: &Value, leaf: &Hash) {
        let checkpoint = self.open(text(proof, "checkpoint"));
        assert_eq!(checkpoint.size, number(proof, "size"));
        assert_eq!(&hash(text(proof, "leaf_hash")), leaf);
        let (index, size) = (number(proof, "index"), checkpoint.size);
        verify_inclusion(index, size, leaf, &hashes(proof), &checkpoint.root).expect("in the tree");
    }

    /// Panics unless the server proves that the later tree extends the earlier one.
    pub async fn check_growth(&self, old: &Checkpoint, new: &Checkpoint) {
        let target = format!("/v1/audit/consistency?from={}&to={}", old.size, new.size);
        let proof = hashes(&self.get(&target).await);
        verify_consistency(old.size, new.size, &old.root, &new.root, &proof).expect("it only grew");
    }
}

/// Panics unless these entries are all that the checkpoint's tree holds.
#[track_caller]
pub fn check_complete(entries: &[Value], checkpoint: &Checkpoint) {
    let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(&bytes(entry))).collect();
    let covered = usize::try_from(checkpoint.size).expect("a size");
    assert_eq!(root(&leaves[..covered]), checkpoint.root);
}
