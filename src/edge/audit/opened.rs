//! Openings and proofs of clicks as they are answered: what an entry's hash or commitment was made of.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{AuditEntry, AuditProof, HexHash, hex_all};
use super::event::AuditEvent;
use crate::audit::merkle::leaf_hash;
use crate::domain::ids::ConversionId;
use crate::flow::audit::clicks::ClickProof;
use crate::flow::audit::opening::{Opening, What};

/// An opened entry: everything that its commitment is the hash of.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditOpening {
    /// The entry.
    entry: AuditEntry,
    /// The commitment that stands in the entry.
    #[schema(max_length = 64, pattern = "^[0-9a-f]{64}$")]
    commitment: String,
    /// The entry's key, 32 bytes; it opens no other entry.
    #[schema(max_length = 64, pattern = "^[0-9a-f]{64}$")]
    entry_key: String,
    /// The click, 16 bytes.
    #[schema(max_length = 32, pattern = "^[0-9a-f]{32}$")]
    click: String,
    /// What the entry commits to: `order` (SHA-256 of the order's id), `conversion` (its 16 bytes) or `click` (nothing
    /// more).
    #[schema(max_length = 10, pattern = "^(order|conversion|click)$")]
    kind: &'static str,
    /// The bytes that say so; empty for `click`.
    #[schema(max_length = 64, pattern = "^([0-9a-f]{2})*$")]
    what: String,
    /// The conversion, where the entry is that of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 36, pattern = "^cnv_[0-9a-f]{32}$", nullable = false)]
    conversion_id: Option<String>,
    /// How to check it.
    #[schema(max_length = 128, pattern = "^[\\s\\S]+$")]
    formula: &'static str,
}

const FORMULA: &str = "commitment = SHA-256(entry_key || click || what)";

impl AuditOpening {
    /// The answer.
    pub fn of(opening: &Opening) -> Self {
        Self {
            entry: AuditEntry::of(&opening.leaf),
            commitment: opening.commitment.clone(),
            entry_key: hex::encode(opening.entry_key),
            click: hex::encode(opening.click),
            kind: match opening.what {
                What::Order(_) => "order",
                What::Conversion(_) => "conversion",
                What::Click => "click",
            },
            what: hex::encode(opening.what.bytes()),
            conversion_id: opening.conversion.map(|id| ConversionId(id).to_string()),
            formula: FORMULA,
        }
    }

    /// The answer in the document.
    pub fn example() -> Self {
        Self {
            entry: AuditEntry::example(),
            commitment: "a7".repeat(32),
            entry_key: "d4".repeat(32),
            click: "e5".repeat(16),
            kind: "order",
            what: "f6".repeat(32),
            conversion_id: Some("cnv_01a0b1c2d3e47f00a1b2c3d4e5f60718".to_owned()),
            formula: FORMULA,
        }
    }
}

/// That a click is in its batch, and its batch in the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditClickProof {
    /// The click's event in base64: what was hashed.
    #[schema(max_length = 4_096, pattern = "^[A-Za-z0-9+/]+={0,2}$")]
    bytes: String,
    /// SHA-256(0x00 ‖ bytes).
    #[schema(max_length = 64, pattern = "^[0-9a-f]{64}$")]
    leaf_hash: String,
    /// The click's place in the batch, from 0.
    #[schema(minimum = 0, maximum = 1_000_000)]
    position: usize,
    /// How many clicks the batch has.
    #[schema(minimum = 1, maximum = 1_000_000)]
    count: usize,
    /// The proof that leads to `root` in the batch's event.
    #[schema(max_items = 20)]
    hashes: Vec<HexHash>,
    /// The batch's entry.
    batch: AuditEntry,
    /// The proof of the batch's entry.
    proof: AuditProof,
}

impl AuditClickProof {
    /// The answer.
    pub fn of(proof: &ClickProof) -> Self {
        Self {
            bytes: STANDARD.encode(&proof.event),
            leaf_hash: hex::encode(proof.leaf_hash),
            position: proof.position,
            count: proof.count,
            hashes: hex_all(&proof.hashes),
            batch: AuditEntry::of(&proof.batch.leaf),
            proof: AuditProof::of(&proof.batch),
        }
    }

    /// The answer in the document.
    pub fn example() -> Self {
        let event = br#"{"action":"click","at_ms":1795000000000,"campaign":1}"#;
        Self {
            bytes: STANDARD.encode(event),
            leaf_hash: hex::encode(leaf_hash(event)),
            position: 0,
            count: 2,
            hashes: hex_all(&[[0x18; 32]]),
            batch: AuditEntry::with(&AuditEvent::batch()),
            proof: AuditProof::example(),
        }
    }
}
