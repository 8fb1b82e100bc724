//! What remains of a consent record: its time, its state, its policy version. While the record is there, it is made of it.

use super::RecordsFlow;
use crate::domain::access::Principal;
use crate::domain::ids::{RecordId, TICKS_PER_SECOND, millis_of};
use crate::domain::record::{RecordKey, RecordKind};
use crate::domain::refusal::Reason;
use crate::flow::FlowError;
use crate::store::purge::Remains;

/// What remains of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordProof {
    /// The record's id.
    pub id: RecordId,
    /// What it was about.
    pub kind: RecordKind,
    /// Time, state, policy version.
    pub remains: Remains,
    /// Whether the record itself is still there.
    pub full_record: bool,
}

impl RecordsFlow {
    /// What remains of a record once its click or its conversion's details had their time. Nothing remains of an erased
    /// person's.
    pub async fn proof(&self, principal: &Principal, id: &RecordId) -> Result<RecordProof, FlowError> {
        let tenant = self.tenant(principal)?;
        let key = RecordKey::open(&tenant.keys, id).ok_or(FlowError::Refused(Reason::NotFound))?;
        let proof = |remains, full_record| RecordProof {
            id: id.clone(),
            kind: key.kind(),
            remains,
            full_record,
        };
        let gone = match self.find(&tenant, id).await {
            Ok(shown) => {
                let record = shown.record;
                let remains = Remains {
                    recorded_at_ms: record.decided_at_ms,
                    consent_bits: record.consent_bits,
                    policy_version: i64::from(record.policy_version),
                };
                return Ok(proof(remains, true));
            }
            Err(FlowError::Refused(Reason::NotFound)) => FlowError::Refused(Reason::NotFound),
            Err(other) => return Err(other),
        };
        let span = match &key {
            // A tick is not longer than four milliseconds.
            RecordKey::Click(click) => {
                let from_ms = click.issued_at_ticks * 1_000 / TICKS_PER_SECOND;
                (from_ms - 4, from_ms + 8)
            }
            RecordKey::Conversion(id) | RecordKey::Signal(_, id) => (millis_of(*id), millis_of(*id) + 1),
        };
        let name = key.proof_name(&tenant.keys);
        let reader = self.live.store().reader(tenant.scope());
        let found = reader.remains(tenant.number(), name, span).await?;
        found.map(|remains| proof(remains, false)).ok_or(gone)
    }
}
