//! Proving a click: from its own event through its batch to a checkpoint.
//!
//! A click's event is not stored; it is made again from the click's row and its salt, and its hash has to be one of those
//! that its batch kept. Promise: whoever erases the click takes away what the event is made of, and with it the proof.

use uuid::Uuid;

use super::read::{AuditFlow, Inclusion};
use crate::audit::leaf::{ClickLeaf, click_bytes};
use crate::audit::merkle::{Hash, inclusion, leaf_hash};
use crate::domain::access::Principal;
use crate::domain::event::{LOG_EPOCH, commitment};
use crate::domain::ids::RecordId;
use crate::domain::record::RecordKey;
use crate::domain::refusal::Reason;
use crate::domain::scope::TenantScope;
use crate::flow::FlowError;
use crate::flow::records::RecordsFlow;
use crate::store::audit::read::{BatchLeaf, Span};

/// How far the batch's moment, which is its first click's, may lie from the click's, in milliseconds: first near, then as
/// far as a click can wait for the ledger and clocks of nodes differ.
const REACH_MS: [i64; 3] = [50, 1_000, 10_000];
/// How many batches are read at once.
const CHUNK: u64 = 100;
/// How long after a click its batch may still be on its way, in milliseconds.
const ON_ITS_WAY_MS: i64 = 60_000;

/// That a click is in its batch, and the batch in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClickProof {
    /// The click's event, as its hash was made of it.
    pub event: String,
    /// Its hash.
    pub leaf_hash: Hash,
    /// Its place in the batch, from 0.
    pub position: usize,
    /// How many clicks the batch has.
    pub count: usize,
    /// The proof within the batch.
    pub hashes: Vec<Hash>,
    /// The batch's entry in the log.
    pub batch: Inclusion,
}

impl AuditFlow {
    /// Proves the click of a consent record.
    pub async fn prove_click(&self, principal: &Principal, id: &RecordId) -> Result<ClickProof, FlowError> {
        let tenant = self.tenant(principal)?;
        let key = RecordKey::open(&tenant.keys, id).ok_or(FlowError::Refused(Reason::NotFound))?;
        let RecordKey::Click(click) = key else {
            return Err(FlowError::Invalid(
                "record",
                "must be the consent record of a click",
            ));
        };
        let shown = RecordsFlow::new(self.live.clone()).find(&tenant, id).await?;
        let record = &shown.record;
        let reader = self.live.store().reader(principal.scope());
        let way = reader.way_of_click(&click).await?;
        let gone = FlowError::Refused(Reason::ConsentWithdrawn);
        let secrets = record.secrets(&tenant.keys).zip(record.salt).zip(way);
        let ((secrets, salt), [campaign, publisher, link]) = secrets.ok_or(gone)?;
        let event = click_bytes(&ClickLeaf {
            tenant: tenant.number(),
            at_ms: record.decided_at_ms,
            campaign,
            publisher,
            link,
            policy_version: record.policy_version,
            state: record.state().code(),
            commitment: &commitment(&secrets.subject, LOG_EPOCH, &salt, &click.click.0, &[]),
        });
        let hash = leaf_hash(event.as_bytes());
        let (batch, position) = self
            .batch_of(tenant.number(), record.decided_at_ms, &hash)
            .await?;
        let hashes = inclusion(position, &batch.hashes).ok_or(super::GAP)?;
        let state = self.state_of(principal, batch.leaf.log).await?;
        Ok(ClickProof {
            event,
            leaf_hash: hash,
            position,
            count: batch.hashes.len(),
            hashes,
            batch: self.prove_leaf(principal, state, batch.leaf, None).await?,
        })
    }

    /// The batch that holds a hash, and the hash's place in it.
    async fn batch_of(&self, tenant: i64, at_ms: i64, hash: &Hash) -> Result<(BatchLeaf, usize), FlowError> {
        let reader = self.live.store().reader(TenantScope::Only(tenant));
        for reach in REACH_MS {
            let span = Span {
                from_ms: at_ms - reach,
                until_ms: at_ms + reach,
            };
            let mut last: Option<Uuid> = None;
            loop {
                let batches = reader.click_batches(tenant, span, last, CHUNK).await?;
                let is_end = (batches.len() as u64) < CHUNK;
                last = batches.last().map(|batch| batch.leaf.id);
                for batch in batches {
                    if let Some(place) = batch.hashes.iter().position(|other| other == hash) {
                        return Ok((batch, place));
                    }
                }
                if is_end {
                    break;
                }
            }
        }
        Err(if self.live.now_ms() - at_ms < ON_ITS_WAY_MS {
            self.not_yet()
        } else {
            FlowError::Refused(Reason::NotFound)
        })
    }
}
