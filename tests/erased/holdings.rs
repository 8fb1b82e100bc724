//! What a database holds of people: salts, clicks and ciphertexts; and which ciphertexts which keys open.

use einklang::domain::keyring::KeyRing;
use einklang::domain::keys::Place as Sealed;

use crate::ledger::Reader;

/// A ciphertext with what it is bound to.
pub struct Sealing {
    table: &'static str,
    row: Vec<u8>,
    pub sealed: Vec<u8>,
}

/// What the database holds of people.
pub struct Holdings {
    pub salts: Vec<Vec<u8>>,
    pub clicks: Vec<Vec<u8>>,
    pub sealings: Vec<Sealing>,
}

impl Holdings {
    pub async fn of(reader: &Reader) -> Self {
        let id = |column: &str| match reader {
            Reader::Sqlite(_) => column.to_owned(),
            Reader::Postgres(_) => format!("uuid_send({column})"),
        };
        let mut sealings = Vec::new();
        for (table, row) in [
            ("click", "click_id"),
            ("conversion", "conversion_id"),
            ("consent_record", "record_id"),
        ] {
            let condition = "FROM {table} WHERE payload IS NOT NULL".replace("{table}", table);
            let rows = reader
                .blobs(&format!("SELECT {} {condition} ORDER BY {row}", id(row)))
                .await;
            let sealed = reader
                .blobs(&format!("SELECT payload {condition} ORDER BY {row}"))
                .await;
            sealings.extend(
                rows.into_iter()
                    .zip(sealed)
                    .map(|(row, sealed)| Sealing { table, row, sealed }),
            );
        }
        Self {
            salts: reader.blobs("SELECT salt FROM click_salt").await,
            clicks: reader
                .blobs(&format!("SELECT {} FROM click", id("click_id")))
                .await,
            sealings,
        }
    }

    /// What is here and not there.
    pub fn without(self, other: &Self) -> Self {
        let kept = |lists: &[Vec<u8>], one: &Vec<u8>| lists.contains(one);
        Self {
            salts: self
                .salts
                .into_iter()
                .filter(|salt| !kept(&other.salts, salt))
                .collect(),
            clicks: self
                .clicks
                .into_iter()
                .filter(|click| !kept(&other.clicks, click))
                .collect(),
            sealings: self
                .sealings
                .into_iter()
                .filter(|one| !other.sealings.iter().any(|left| left.sealed == one.sealed))
                .collect(),
        }
    }
}

/// How many of these ciphertexts any of these salts opens under any month's key.
pub fn opened(keys: &KeyRing, salts: &[Vec<u8>], sealings: &[Sealing]) -> usize {
    let epochs: Vec<u16> = (600..900).filter(|epoch| keys.has_epoch(*epoch)).collect();
    let mut opened = 0;
    for epoch in &epochs {
        for salt in salts {
            let salt: [u8; 16] = salt.as_slice().try_into().expect("a salt");
            let secrets = keys.click(*epoch, &salt).expect("derived");
            for one in sealings {
                let place = Sealed {
                    tenant: keys.tenant(),
                    table: one.table,
                    column: "payload",
                    row: &one.row,
                    key_version: u32::from(*epoch),
                };
                opened += usize::from(secrets.key.open(&place, &one.sealed).is_ok());
            }
        }
    }
    opened
}
