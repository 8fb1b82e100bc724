//! Entries, proofs, checkpoints and keys as they are answered. Hashes are hexadecimal, bytes are base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::event::AuditEvent;
use crate::audit::merkle::{Hash, leaf_hash};
use crate::domain::ids::AuditEntryId;
use crate::edge::objects::fields::Moment;
use crate::flow::audit::list::EntryPage;
use crate::flow::audit::read::{Consistency, Inclusion, Leaf, LogVerifier, Shown, Signed};

const EXAMPLE_ID: &str = "aud_01a0b1c2d3e47f00a1b2c3d4e5f60718";
const EXAMPLE_ORIGIN: &str = "ads.example/audit/tnt_01a0b1c2d3e47f00a1b2c3d4e5f60718/0";
const EXAMPLE_NOTE: &str = "ads.example/audit/tnt_01a0b1c2d3e47f00a1b2c3d4e5f60718/0\n3\n\
    p6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6c=\n\n\u{2014} ads.example/audit/tnt_01a0b1c2d3e47f00a1b2c3d4e5f60718/0 \
    m0Rt2GmJ0k3Vd1rXv2v0pV0b5bq8f3o9Vw0y8k5w5bq8f3o9Vw0y8k5w5bq8f3o9Vw0y8k5w5bq8f3o9Vw0y8k5w5bq8f3o9Vw0y8g==\n";

/// A hash, in hexadecimal.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(max_length = 64, pattern = "^[0-9a-f]{64}$")]
pub struct HexHash(String);

pub(super) fn hex_all(hashes: &[Hash]) -> Vec<HexHash> {
    hashes.iter().map(|hash| HexHash(hex::encode(hash))).collect()
}

fn note(signed: Option<&Signed>) -> Option<String> {
    signed.map(|signed| signed.note.clone())
}

/// An entry of the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    /// Its id.
    #[schema(max_length = 36, pattern = "^aud_[0-9a-f]{32}$")]
    id: String,
    /// Its index in the epoch, from 0.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    index: u64,
    /// The epoch, from 0.
    #[schema(minimum = 0, maximum = 2_147_483_647)]
    epoch: i64,
    /// SHA-256(0x00 ‖ bytes).
    #[schema(max_length = 64, pattern = "^[0-9a-f]{64}$")]
    leaf_hash: String,
    /// The event, read from `bytes`.
    #[schema(value_type = AuditEvent)]
    entry: Value,
    /// The stored bytes, in base64: what was hashed.
    #[schema(max_length = 87_384, pattern = "^[A-Za-z0-9+/]+={0,2}$")]
    bytes: String,
}

impl AuditEntry {
    /// The entry as it is answered.
    pub fn of(leaf: &Leaf) -> Self {
        Self {
            id: AuditEntryId(leaf.id).to_string(),
            index: leaf.index,
            epoch: leaf.log.epoch,
            leaf_hash: hex::encode(leaf_hash(&leaf.body)),
            entry: serde_json::from_slice(&leaf.body).unwrap_or_default(),
            bytes: STANDARD.encode(&leaf.body),
        }
    }

    /// The answer in the document.
    pub fn example() -> Self {
        Self::with(&AuditEvent::example())
    }

    pub(super) fn with(event: &AuditEvent) -> Self {
        let bytes = serde_json::to_vec(event).unwrap_or_default();
        Self {
            id: EXAMPLE_ID.to_owned(),
            index: 2,
            epoch: 0,
            leaf_hash: hex::encode(leaf_hash(&bytes)),
            entry: json!(event),
            bytes: STANDARD.encode(bytes),
        }
    }
}

/// A page of entries.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntryPage {
    /// The entries.
    #[schema(max_items = 100)]
    items: Vec<AuditEntry>,
    /// Names the next page; absent on the last. A page may be short or empty and have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 36, pattern = "^aud_[0-9a-f]{32}$", nullable = false)]
    next_cursor: Option<String>,
}

impl AuditEntryPage {
    /// The answer.
    pub fn of(page: &EntryPage) -> Self {
        Self {
            items: page.items.iter().map(AuditEntry::of).collect(),
            next_cursor: page.next.map(|id| AuditEntryId(id).to_string()),
        }
    }

    /// The answer in the document.
    pub fn example() -> Self {
        Self {
            items: vec![AuditEntry::example()],
            next_cursor: Some(EXAMPLE_ID.to_owned()),
        }
    }
}

/// That an entry is in the tree of a size (RFC 6962, section 2.1.1).
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditProof {
    /// The origin of the log.
    #[schema(max_length = 512, pattern = "^[^\\s+]+$")]
    origin: String,
    /// The epoch.
    #[schema(minimum = 0, maximum = 2_147_483_647)]
    epoch: i64,
    /// The entry's id.
    #[schema(max_length = 36, pattern = "^aud_[0-9a-f]{32}$")]
    id: String,
    /// The entry's index.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    index: u64,
    /// The size of the tree.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    size: u64,
    /// The entry's hash.
    #[schema(max_length = 64, pattern = "^[0-9a-f]{64}$")]
    leaf_hash: String,
    /// The proof, from the leaf's sibling up.
    #[schema(max_items = 63)]
    hashes: Vec<HexHash>,
    /// The checkpoint of that size (C2SP signed note), if one was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 8_192, pattern = "^[\\s\\S]+$", nullable = false)]
    checkpoint: Option<String>,
}

impl AuditProof {
    /// The answer.
    pub fn of(proof: &Inclusion) -> Self {
        Self {
            origin: proof.origin.clone(),
            epoch: proof.leaf.log.epoch,
            id: AuditEntryId(proof.leaf.id).to_string(),
            index: proof.leaf.index,
            size: proof.size,
            leaf_hash: hex::encode(proof.leaf_hash),
            hashes: hex_all(&proof.hashes),
            checkpoint: note(proof.checkpoint.as_ref()),
        }
    }

    /// The answer in the document.
    pub fn example() -> Self {
        Self {
            origin: EXAMPLE_ORIGIN.to_owned(),
            epoch: 0,
            id: EXAMPLE_ID.to_owned(),
            index: 2,
            size: 3,
            leaf_hash: "b1".repeat(32),
            hashes: hex_all(&[[0xc2; 32]]),
            checkpoint: Some(EXAMPLE_NOTE.to_owned()),
        }
    }
}

/// That the tree of one size extends the one of a smaller size (RFC 6962, section 2.1.2).
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditConsistency {
    /// The origin of the log.
    #[schema(max_length = 512, pattern = "^[^\\s+]+$")]
    origin: String,
    /// The epoch.
    #[schema(minimum = 0, maximum = 2_147_483_647)]
    epoch: i64,
    /// The smaller size.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    from: u64,
    /// The greater size.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    to: u64,
    /// The proof.
    #[schema(max_items = 64)]
    hashes: Vec<HexHash>,
    /// The checkpoint of the smaller size, if one was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 8_192, pattern = "^[\\s\\S]+$", nullable = false)]
    from_checkpoint: Option<String>,
    /// The checkpoint of the greater size, if one was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 8_192, pattern = "^[\\s\\S]+$", nullable = false)]
    to_checkpoint: Option<String>,
}

impl AuditConsistency {
    /// The answer.
    pub fn of(proof: &Consistency) -> Self {
        let [from, to] = proof.sizes;
        let [from_checkpoint, to_checkpoint] = &proof.checkpoints;
        Self {
            origin: proof.origin.clone(),
            epoch: proof.epoch,
            from,
            to,
            hashes: hex_all(&proof.hashes),
            from_checkpoint: note(from_checkpoint.as_ref()),
            to_checkpoint: note(to_checkpoint.as_ref()),
        }
    }

    /// The answer in the document.
    pub fn example() -> Self {
        Self {
            origin: EXAMPLE_ORIGIN.to_owned(),
            epoch: 0,
            from: 2,
            to: 3,
            hashes: hex_all(&[[0xb1; 32]]),
            from_checkpoint: None,
            to_checkpoint: Some(EXAMPLE_NOTE.to_owned()),
        }
    }
}

/// A checkpoint: the log's state, signed.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditCheckpoint {
    /// The origin of the log.
    #[schema(max_length = 512, pattern = "^[^\\s+]+$")]
    origin: String,
    /// The epoch.
    #[schema(minimum = 0, maximum = 2_147_483_647)]
    epoch: i64,
    /// How many entries.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    size: u64,
    /// The root over them.
    #[schema(max_length = 64, pattern = "^[0-9a-f]{64}$")]
    root: String,
    /// When it was signed.
    signed_at: Moment,
    /// The signed note (C2SP tlog-checkpoint), byte for byte.
    #[schema(max_length = 8_192, pattern = "^[\\s\\S]+$")]
    note: String,
}

impl AuditCheckpoint {
    /// The answer.
    pub fn of(shown: &Shown) -> Self {
        Self {
            origin: shown.origin.clone(),
            epoch: shown.epoch,
            size: shown.signed.size,
            root: hex::encode(shown.root),
            signed_at: Moment(shown.signed.at_ms),
            note: shown.signed.note.clone(),
        }
    }

    /// The answer in the document.
    pub fn example() -> Self {
        Self {
            origin: EXAMPLE_ORIGIN.to_owned(),
            epoch: 0,
            size: 3,
            root: "a7".repeat(32),
            signed_at: Moment(1_795_000_000_900),
            note: EXAMPLE_NOTE.to_owned(),
        }
    }
}

/// What verifies one epoch of the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditKey {
    /// The epoch.
    #[schema(minimum = 0, maximum = 2_147_483_647)]
    epoch: i64,
    /// The origin, which is also the key's name.
    #[schema(max_length = 512, pattern = "^[^\\s+]+$")]
    origin: String,
    /// The verifier key (C2SP signed-note).
    #[schema(max_length = 640, pattern = "^[^\\s]+$")]
    vkey: String,
    /// The key's id, four bytes.
    #[schema(max_length = 8, pattern = "^[0-9a-f]{8}$")]
    key_id: String,
    /// The public key (Ed25519), 32 bytes.
    #[schema(max_length = 64, pattern = "^[0-9a-f]{64}$")]
    public_key: String,
    /// The public key as PEM (RFC 8410), for openssl.
    #[schema(max_length = 256, pattern = "^[\\s\\S]+$")]
    pem: String,
    /// When the epoch was opened.
    since: Moment,
}

/// What verifies the log, epoch by epoch.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditKeys {
    /// The epochs, oldest first.
    #[schema(max_items = 10_000)]
    items: Vec<AuditKey>,
}

impl AuditKeys {
    /// The answer.
    pub fn of(verifiers: Vec<LogVerifier>) -> Self {
        let key = |verifier: LogVerifier| AuditKey {
            epoch: verifier.epoch,
            origin: verifier.origin,
            vkey: verifier.vkey,
            key_id: hex::encode(verifier.key_id),
            public_key: hex::encode(verifier.public),
            pem: verifier.pem,
            since: Moment(verifier.since_ms),
        };
        Self {
            items: verifiers.into_iter().map(key).collect(),
        }
    }

    /// The answer in the document.
    pub fn example() -> Self {
        let public = [0x7a; 32];
        Self::of(vec![LogVerifier {
            epoch: 0,
            origin: EXAMPLE_ORIGIN.to_owned(),
            vkey: crate::audit::note::vkey(EXAMPLE_ORIGIN, &public),
            key_id: crate::audit::note::key_id(EXAMPLE_ORIGIN, &public),
            public,
            pem: crate::audit::note::public_pem(&public),
            since_ms: 1_795_000_000_000,
        }])
    }
}
