//! Certificates of erasure: what went, what remains and why, signed, with the entry in the log that says the same.

use super::read::{AuditFlow, EntryRef};
use crate::audit::certificate::{Certificate, Class, Document, KIND, LogPlace, Remains};
use crate::audit::note::public_pem;
use crate::domain::access::Principal;
use crate::domain::ids::{AuditEntryId, ErasureId, TenantId};
use crate::domain::refusal::Reason;
use crate::flow::FlowError;
use crate::flow::erasure::SUPPRESSION_SECONDS;

/// What of a person stays after an erasure: class, ground, what it is. Those with a time of their own come first.
const SUPPRESSION: [&str; 3] = [
    "suppression_entries",
    "GDPR Art. 17(3)(b) with Art. 6(1)(c), Art. 21(3): the refusal has to be honoured",
    "keyed hashes of clicks and orders, with an end and nothing else; they keep late postbacks out",
];
const PAGES: [&str; 3] = [
    "storage_remnants",
    "technically unavoidable until storage is written anew (GDPR Art. 32)",
    "pages and log segments of PostgreSQL; ciphertexts in them have no key any more once the salts' pages are rewritten",
];
const LASTING: [[&str; 3]; 3] = [
    [
        "totals",
        "no personal data (GDPR recital 26)",
        "counts and sums by campaign and time; amounts of conversions without any reference to a person",
    ],
    [
        "audit_entries",
        "GDPR Art. 5(2), Art. 17(3)(b) and (e): accountability, legal claims",
        "what was done, without a name; commitments in them have lost the secret that opened them",
    ],
    [
        "erasure_journal",
        "GDPR Art. 17(1), Art. 32(1)(c): a restored backup must not bring the person back",
        "keyed hashes outside the database, whose key no backup holds; removed when no backup is old enough to need them",
    ],
];

impl AuditFlow {
    /// The certificate of an act of erasing. The entry has to be under a signed checkpoint first.
    pub async fn certificate(
        &self,
        principal: &Principal,
        erasure: ErasureId,
        remains_hours: u32,
    ) -> Result<Certificate, FlowError> {
        let tenant = self.tenant(principal)?;
        let store = self.live.store();
        let found = store
            .reader(principal.scope())
            .erasure(principal.tenant, erasure.0)
            .await?;
        let act = found.ok_or(FlowError::Refused(Reason::NotFound))?;
        let proof = self.prove(principal, EntryRef::Id(act.entry), None, None).await?;
        let postgres = store.is_postgres();
        let counts = act.counts;
        let classes = [
            ("clicks", counts.clicks),
            // Each click has one, and every key that belongs to the click hangs on it.
            ("click_keys", counts.clicks),
            ("conversion_details", counts.conversions),
            ("consent_records", counts.consent_records),
            ("customer_references", counts.customer_refs),
        ];
        let ends_at_ms = act.erased_at_ms + SUPPRESSION_SECONDS * 1_000;
        let mut remains = vec![remains_of(SUPPRESSION, Some(ends_at_ms))];
        if postgres {
            let horizon_ms = act.erased_at_ms + i64::from(remains_hours) * 3_600_000;
            remains.push(remains_of(PAGES, Some(horizon_ms)));
        }
        remains.extend(LASTING.map(|words| remains_of(words, None)));
        let document = Document {
            database: if postgres { "postgresql" } else { "sqlite" }.to_owned(),
            door: act.door.code().to_owned(),
            erased: classes
                .map(|(class, count)| Class {
                    class: class.to_owned(),
                    count,
                })
                .to_vec(),
            erased_at: rfc3339(act.erased_at_ms),
            erasure: erasure.to_string(),
            issued_at: rfc3339(self.live.now_ms()),
            kind: KIND.to_owned(),
            log: LogPlace {
                entry: AuditEntryId(act.entry).to_string(),
                index: proof.leaf.index,
                leaf_hash: hex::encode(proof.leaf_hash),
                origin: proof.origin,
                size: proof.size,
            },
            reason: act.ground.code().to_owned(),
            remains,
            tenant: TenantId(tenant.tenant.object.id).to_string(),
            v: 1,
        };
        let text = document.text();
        let signature = self.signer.sign(text.as_bytes());
        let signature = signature.map_err(|_| FlowError::Refused(Reason::Unavailable))?;
        Ok(Certificate::of(
            text,
            &signature,
            public_pem(&self.signer.public()),
        ))
    }
}

fn remains_of([class, ground, note]: [&str; 3], until_ms: Option<i64>) -> Remains {
    Remains {
        class: class.to_owned(),
        ground: ground.to_owned(),
        note: note.to_owned(),
        until: until_ms.map(rfc3339),
    }
}

fn rfc3339(at_ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(at_ms)
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
