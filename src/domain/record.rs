//! Consent records: what stands in the rows of clicks, conversions and later signals, named, opened and decided again.
//!
//! Promise: an id says nothing to whoever has no key, and names the same row always. A decision that is made again here
//! goes through the very functions that the live one went through.

mod redo;

use serde::Deserialize;
use uuid::Uuid;
use zeroize::Zeroizing;

pub use redo::{ACCEPTED, Redone, redo};

use super::consent::ConsentState;
use super::event::order_digest;
use super::ids::{ClickId, ClickKey, RecordId};
use super::keyring::KeyRing;
use super::keys::{ClickSecrets, Place, epoch_of};
use super::signal::record::Inputs;

/// What a record is about, in the order in which lists show them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    /// A tracked click.
    Click,
    /// An accepted postback.
    Postback,
    /// A signal that a shop forwarded later, without an order.
    Signal,
}

impl RecordKind {
    /// Every kind.
    pub const ALL: [RecordKind; 3] = [RecordKind::Click, RecordKind::Postback, RecordKind::Signal];

    /// The word in answers.
    pub fn code(self) -> &'static str {
        match self {
            RecordKind::Click => "click",
            RecordKind::Postback => "postback",
            RecordKind::Signal => "signal",
        }
    }
}

/// Where a record's row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKey {
    /// In the click's row.
    Click(ClickKey),
    /// In the conversion's row.
    Conversion(Uuid),
    /// In a row of its own, beside the click.
    Signal(ClickKey, Uuid),
}

/// A record as it stands in its row, the inputs still sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub key: RecordKey,
    /// The click.
    pub click: ClickKey,
    /// When it was decided.
    pub decided_at_ms: i64,
    /// When the goal happened; for the others the same.
    pub occurred_at_ms: i64,
    /// The policy version that decided.
    pub policy_version: u16,
    /// State and answers.
    pub consent_bits: i64,
    /// The kinds of signal that arrived.
    pub signal_kinds: i64,
    /// The click's salt, while it is there.
    pub salt: Option<[u8; 16]>,
    /// The sealed part.
    pub payload: Option<Vec<u8>>,
}

/// The sealed part of a record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opened {
    /// What it was decided on; rows of before this was kept have none.
    pub inputs: Option<Inputs>,
    /// The reference to the notice that the person saw.
    pub notice: Option<String>,
}

/// The members of a click's or a conversion's document that belong to its record.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    consent: Option<String>,
    #[serde(default)]
    notice: Option<String>,
}

impl RecordKey {
    /// What it is about.
    pub fn kind(&self) -> RecordKind {
        match self {
            RecordKey::Click(_) => RecordKind::Click,
            RecordKey::Conversion(_) => RecordKind::Postback,
            RecordKey::Signal(..) => RecordKind::Signal,
        }
    }

    fn plain(&self) -> Vec<u8> {
        let mut plain = Vec::with_capacity(41);
        match self {
            RecordKey::Click(click) => {
                plain.push(0);
                write_click(click, &mut plain);
            }
            RecordKey::Conversion(id) => {
                plain.push(1);
                plain.extend_from_slice(id.as_bytes());
            }
            RecordKey::Signal(click, id) => {
                plain.push(2);
                write_click(click, &mut plain);
                plain.extend_from_slice(id.as_bytes());
            }
        }
        plain
    }

    /// The name of what remains of it once it had its time. Whoever has the record's id finds it; it leads nowhere itself.
    pub fn proof_name(&self, keys: &KeyRing) -> [u8; 32] {
        keys.record_key().hash("proof", &[&self.plain()])
    }

    /// The id that names it outside.
    pub fn seal(&self, keys: &KeyRing) -> RecordId {
        let plain = self.plain();
        let key = keys.record_key();
        // The nonce is a keyed hash of what is sealed: one row has one id, and two rows never share a nonce by design.
        let hash = key.index("nonce", &[&plain]);
        let mut nonce = [0; 12];
        for (byte, source) in nonce.iter_mut().zip(hash) {
            *byte = source;
        }
        RecordId(key.seal(nonce, &place(keys), &plain))
    }

    /// The row that an id names, if it is one of this tenant's.
    pub fn open(keys: &KeyRing, id: &RecordId) -> Option<Self> {
        let plain = keys.record_key().open(&place(keys), &id.0).ok()?;
        let (kind, rest) = plain.split_first()?;
        match kind {
            0 => Some(RecordKey::Click(read_click(keys.tenant(), rest)?)),
            1 => Some(RecordKey::Conversion(Uuid::from_slice(rest).ok()?)),
            2 => {
                let (click, id) = rest.split_at_checked(24)?;
                let click = read_click(keys.tenant(), click)?;
                Some(RecordKey::Signal(click, Uuid::from_slice(id).ok()?))
            }
            _ => None,
        }
    }
}

fn place(keys: &KeyRing) -> Place<'static> {
    Place {
        tenant: keys.tenant(),
        table: "consent_record",
        column: "id",
        row: &[],
        key_version: 1,
    }
}

fn write_click(click: &ClickKey, out: &mut Vec<u8>) {
    out.extend_from_slice(&click.issued_at_ticks.to_be_bytes());
    out.extend_from_slice(&click.click.0);
}

fn read_click(tenant: i64, bytes: &[u8]) -> Option<ClickKey> {
    let (ticks, click) = bytes.split_first_chunk::<8>()?;
    Some(ClickKey {
        tenant,
        issued_at_ticks: i64::from_be_bytes(*ticks),
        click: ClickId(click.try_into().ok()?),
    })
}

impl Record {
    /// The state that it was decided on.
    pub fn state(&self) -> ConsentState {
        ConsentState::of_bits(self.consent_bits)
    }

    /// What hangs on the click's salt, unless it is gone.
    pub fn secrets(&self, keys: &KeyRing) -> Option<ClickSecrets> {
        keys.click(epoch_of(self.click.issued_at_s()), self.salt.as_ref()?)
            .ok()
    }

    /// Opens the sealed part; nothing where the key is gone or the text is not ours.
    pub fn open(&self, keys: &KeyRing) -> Option<Opened> {
        let secrets = self.secrets(keys)?;
        let Some(payload) = &self.payload else {
            // A later signal's row of before anything was kept with it.
            return Some(Opened::default());
        };
        let plain = self.plain(&secrets, payload)?;
        if let RecordKey::Signal(..) = self.key {
            let inputs = Inputs::decode(std::str::from_utf8(&plain).ok()?)?;
            return Some(Opened {
                inputs: Some(inputs),
                notice: None,
            });
        }
        let document: Document = serde_json::from_slice(&plain).ok()?;
        let inputs = match document.consent {
            None => None,
            Some(text) => Some(Inputs::decode(&text)?),
        };
        Some(Opened {
            inputs,
            notice: document.notice,
        })
    }

    /// The digest of the sealed order id, which is what a verdict's entry in the audit log commits to; nothing where the
    /// shop named no order. The order itself stays sealed.
    pub fn order_digest(&self, keys: &KeyRing) -> Option<[u8; 32]> {
        #[derive(Deserialize)]
        struct Named {
            order_id: Option<String>,
        }
        let secrets = self.secrets(keys)?;
        let plain = self.plain(&secrets, self.payload.as_ref()?)?;
        let named: Named = serde_json::from_slice(&plain).ok()?;
        named.order_id.map(|order_id| order_digest(&order_id))
    }

    /// What was sealed beside the decision, as it was sent; nothing where the key is gone.
    pub fn details(&self, keys: &KeyRing) -> Option<serde_json::Value> {
        let secrets = self.secrets(keys)?;
        let plain = self.plain(&secrets, self.payload.as_ref()?)?;
        let mut document: serde_json::Value = serde_json::from_slice(&plain).ok()?;
        document.as_object_mut()?.remove("consent");
        Some(document)
    }

    fn plain(&self, secrets: &ClickSecrets, payload: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (table, row) = match &self.key {
            RecordKey::Click(click) => ("click", click.click.0),
            RecordKey::Conversion(id) => ("conversion", id.into_bytes()),
            RecordKey::Signal(_, id) => ("consent_record", id.into_bytes()),
        };
        let place = Place {
            tenant: self.click.tenant,
            table,
            column: "payload",
            row: &row,
            key_version: u32::from(epoch_of(self.click.issued_at_s())),
        };
        secrets.key.open(&place, payload).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::keyring::KeyPurpose;
    use super::super::keys::Secret;
    use super::*;

    fn ring(tenant: i64) -> KeyRing {
        let key = |purpose, byte| (purpose, 1, Secret::new([byte; 32]));
        let keys = (1_u8..)
            .zip(KeyPurpose::STANDING)
            .map(|(byte, purpose)| key(purpose, byte));
        KeyRing::assemble(tenant, keys.collect()).expect("a ring")
    }

    #[test]
    fn an_id_names_its_row_always_and_only_to_its_tenant() {
        let click = ClickKey {
            tenant: 7,
            issued_at_ticks: 459_520_000_123,
            click: ClickId([0xAB; 16]),
        };
        let id = Uuid::from_u128(0x01a0_b1c2_d3e4_7f00_a1b2_c3d4_e5f6_0718);
        let keys = [
            RecordKey::Click(click),
            RecordKey::Conversion(id),
            RecordKey::Signal(click, id),
        ];
        for key in keys {
            let sealed = key.seal(&ring(7));
            assert_eq!(sealed, key.seal(&ring(7)), "one row, one id");
            let text = sealed.to_string();
            assert!((64..=96).contains(&text.len()), "{}", text.len());
            let read: RecordId = text.parse().expect("an id");
            assert_eq!(RecordKey::open(&ring(7), &read), Some(key));
            assert_eq!(RecordKey::open(&ring(8), &read), None, "another tenant");
            let mut bent = read.clone();
            if let Some(byte) = bent.0.last_mut() {
                *byte ^= 1;
            }
            assert_eq!(RecordKey::open(&ring(7), &bent), None);
            assert!(!sealed.0.windows(4).any(|bytes| bytes == [0xAB; 4]), "sealed");
        }
    }
}
