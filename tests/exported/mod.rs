//! A log in memory with a key of its own, and exports of it: what the tests of verification look at.

use std::collections::BTreeMap;
use std::io;

use ed25519_dalek::{Signer, SigningKey};
use einklang::app::audit::source::Source;
use einklang::app::audit::verify::judge;
use einklang::audit::export::fault::Fault;
use einklang::audit::export::row::Content;
use einklang::audit::export::verifier::{PublicKey, Report};
use einklang::audit::export::writer::{Beside, ExportWriter, Head};
use einklang::audit::export::{Kind, Member};
use einklang::audit::growth::Edge;
use einklang::audit::leaf::encode;
use einklang::audit::merkle::{Hash, leaf_hash};
use einklang::audit::note::{Checkpoint, note, vkey};
use einklang::audit::tiles::{TILE_WIDTH, TileId, Tiles};
use einklang::domain::event::{Actor, AuditEvent};

/// The log's origin.
pub const ORIGIN: &str = "ads.example/audit/tnt_0190f3a1b2c37d4e8f00112233445566/0";

/// A log.
pub struct Log {
    /// How many entries.
    pub size: u64,
    pub tiles: Tiles,
    leaves: Vec<Hash>,
    key: SigningKey,
}

/// The stored bytes of an entry, about as long as those of a verdict.
pub fn body(index: u64) -> Vec<u8> {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&index.to_be_bytes());
    let mut event = AuditEvent::new(7, "postback.verdict", &Actor::Hmac(2), "accepted", &nonce);
    event.at_ms = Some(1_795_000_000_000 + i64::try_from(index).expect("small"));
    event.campaign = Some(3);
    event.commitment = Some(hex::encode(leaf_hash(&nonce)));
    event.policy_version = Some(4);
    event.reason = Some("recorded");
    event.request_id = Some(format!("req_{index:032x}"));
    event.shop = Some(2);
    encode(&event)
}

impl Log {
    /// A log of so many entries.
    pub fn of(size: u64) -> Self {
        Self::with(size, body)
    }

    /// A log whose entries' bytes are these.
    pub fn with(size: u64, body: impl Fn(u64) -> Vec<u8>) -> Self {
        let leaves: Vec<Hash> = (0..size).map(|index| leaf_hash(&body(index))).collect();
        let mut tiles = Tiles::default();
        for changed in Edge::default().append(&leaves) {
            tiles.insert(changed.id, changed.hashes);
        }
        let tile = size / TILE_WIDTH;
        let partial = leaves.chunks(256).nth(usize::try_from(tile).expect("small"));
        tiles.insert(TileId { level: 0, tile }, partial.unwrap_or_default().to_vec());
        let key = SigningKey::from_bytes(&[9; 32]);
        Self {
            size,
            tiles,
            leaves,
            key,
        }
    }

    /// An entry's leaf hash, as the tiles have it.
    pub fn leaf(&self, index: u64) -> &Hash {
        &self.leaves[usize::try_from(index).expect("small")]
    }

    /// The raw public key.
    pub fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// The public key for this log.
    pub fn vkey(&self) -> String {
        vkey(ORIGIN, &self.public())
    }

    /// The signed checkpoint of a size.
    pub fn checkpoint(&self, size: u64) -> String {
        let root = self.tiles.root(size).expect("a size of the log");
        let origin = ORIGIN.to_owned();
        let text = Checkpoint { origin, size, root }.text();
        note(&text, ORIGIN, &self.public(), &self.sign(text.as_bytes()))
    }

    /// A signature by the log's key.
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.key.sign(bytes).to_bytes()
    }

    /// What an export of a range begins with, under the checkpoint of the whole log.
    pub fn head(&self, kind: Kind, content: Content, from: u64, to: u64) -> Head {
        let is_full = kind == Kind::Full;
        let frontier = self.tiles.frontier(from).filter(|_| is_full);
        let to_checkpoint = self.tiles.consistency(to, self.size).filter(|_| is_full);
        Head {
            software: "einklang 0.0.0".into(),
            created_at: "2026-11-28T00:00:00Z".into(),
            epoch: 0,
            kind,
            content,
            filters: BTreeMap::new(),
            from,
            to,
            frontier: frontier.unwrap_or_default(),
            to_checkpoint: to_checkpoint.unwrap_or_default(),
            checkpoint: self.checkpoint(self.size),
            earlier: None,
        }
    }

    /// All entries of a range.
    pub fn full(&self, content: Content, from: u64, to: u64) -> Vec<Member> {
        self.written(self.head(Kind::Full, content, from, to), from..to)
    }

    /// Some entries.
    pub fn filtered(&self, content: Content, indices: &[u64]) -> Vec<Member> {
        let mut head = self.head(Kind::Filtered, content, 0, self.size);
        head.filters.insert("action".into(), "postback.verdict".into());
        self.written(head, indices.iter().copied())
    }

    /// An export with this head and these entries.
    pub fn written(&self, head: Head, indices: impl IntoIterator<Item = u64>) -> Vec<Member> {
        self.written_of(head, indices, body)
    }

    /// The same with other stored bytes than those that were logged.
    pub fn written_of(
        &self,
        head: Head,
        indices: impl IntoIterator<Item = u64>,
        body: impl Fn(u64) -> Vec<u8>,
    ) -> Vec<Member> {
        let is_full = head.kind == Kind::Full;
        let mut writer = ExportWriter::new(head).expect("a head");
        let mut members = Vec::new();
        for index in indices {
            let leaf = self.leaf(index);
            let whole = if is_full {
                writer.push(index, &body(index), Beside::Leaf(leaf))
            } else {
                let proof = self.tiles.inclusion(index, self.size).expect("a proof");
                writer.push(index, &body(index), Beside::Proof(&proof))
            };
            members.extend(whole.expect("an entry in order"));
        }
        members.extend(writer.finish(|bytes| self.sign(bytes)).expect("a whole export"));
        members
    }

    /// The verdict on an export, by what the command itself uses.
    pub fn judge(&self, export: &mut Memory, since: Option<&str>) -> Result<Report, Fault> {
        let key = PublicKey::parse(&self.vkey()).expect("a key");
        judge(export, &key, since.map(str::as_bytes)).expect("memory reads")
    }
}

/// An export in memory, of which single members can be replaced for a while.
pub struct Memory {
    members: BTreeMap<String, Vec<u8>>,
    pub patched: BTreeMap<String, Option<Vec<u8>>>,
}

impl Memory {
    /// The export with these members.
    pub fn of(members: Vec<Member>) -> Self {
        let members = members.into_iter().map(|member| (member.name, member.bytes));
        Self {
            members: members.collect(),
            patched: BTreeMap::new(),
        }
    }

    /// A member as it was written.
    pub fn original(&self, name: &str) -> &[u8] {
        &self.members[name]
    }

    /// Replaces a member, or takes it away.
    pub fn patch(&mut self, name: &str, bytes: Option<Vec<u8>>) {
        self.patched.insert(name.to_owned(), bytes);
    }

    /// A text member with some of its text replaced.
    pub fn patch_text(&mut self, name: &str, old: &str, new: &str) {
        let text = String::from_utf8(self.original(name).to_vec()).expect("text");
        assert!(text.contains(old), "{name} has no {old}");
        self.patch(name, Some(text.replacen(old, new, 1).into_bytes()));
    }
}

impl Source for Memory {
    fn names(&self) -> Vec<String> {
        let patched = self.patched.iter().filter(|(_, bytes)| bytes.is_some());
        let left = self
            .members
            .keys()
            .filter(|name| !self.patched.contains_key(*name));
        left.chain(patched.map(|(name, _)| name)).cloned().collect()
    }

    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(match self.patched.get(name) {
            Some(bytes) => bytes.clone(),
            None => self.members.get(name).cloned(),
        })
    }
}
