//! Clicks enter the audit log in batches: one leaf for the clicks of one tenant under one policy version in one commit,
//! with the Merkle root over the clicks' own leaves, so that each stays provable.

use super::super::command::ClickCommand;
use super::Work;
use crate::audit::leaf::{ClickLeaf, click_hash};
use crate::audit::merkle::{self, Hash};
use crate::domain::consent::ConsentState;
use crate::domain::event::{Actor, AuditEvent, Entry};

/// The leaves of a batch: hashes, the first one's nonce and time.
pub(super) struct Leaves {
    hashes: Vec<Hash>,
    nonce: [u8; 16],
    at_ms: i64,
}

impl Work {
    /// The click's own leaf, in the batch's.
    pub(super) fn leaf(&mut self, click: &ClickCommand, policy_version: u16, state: ConsentState) {
        if cfg!(feature = "without-log") {
            return;
        }
        let row = &click.row;
        let tenant = row.key.tenant;
        let hash = click_hash(&ClickLeaf {
            tenant,
            at_ms: click.now_ms,
            campaign: row.campaign,
            publisher: row.publisher,
            link: row.link,
            policy_version,
            state: state.code(),
            commitment: &click.commitment,
        });
        let leaves = self
            .leaves
            .entry((tenant, policy_version))
            .or_insert_with(|| Leaves {
                hashes: Vec::new(),
                nonce: click.nonce,
                at_ms: click.now_ms,
            });
        leaves.hashes.push(hash);
    }
}

/// One leaf for the clicks of one tenant in this batch under one policy version.
pub(super) fn click_batch(tenant: i64, policy_version: u16, leaves: &Leaves) -> Entry {
    let mut event = AuditEvent::new(tenant, "click.batch", &Actor::Link, "tracked", &leaves.nonce);
    event.at_ms = Some(leaves.at_ms);
    event.count = i64::try_from(leaves.hashes.len()).ok();
    event.policy_version = Some(policy_version);
    event.root = Some(hex::encode(merkle::root(&leaves.hashes)));
    Entry {
        event,
        hashes: Some(leaves.hashes.concat()),
    }
}
