//! Canonical bytes of an audit event.
//!
//! Encoding version 1 is canonical JSON (RFC 8785): members in the order of their names, no white space, integers
//! below 2^53, texts in ASCII. The bytes are stored, and what is stored is hashed; nothing is ever serialised again.

use crate::domain::event::AuditEvent;
use crate::domain::keys::sha256;

use super::merkle::{Hash, leaf_hash};

/// The longest entry, in bytes: what a bundle's two bytes of length can say (C2SP tlog-tiles, "Log entries").
pub const ENTRY_BYTES_MAX: usize = 65_535;
/// The longest old or new value that stands in an entry as it is, in bytes of UTF-8.
const VALUE_BYTES_MAX: usize = 1_024;
/// The same where an entry would still be too long: shorter than a digest in hexadecimal.
const VALUE_BYTES_MAX_IF_LONG: usize = 64;

/// The bytes of an event: at most 65,535. A changed value of more than 1,024 bytes stands as `sha256:` and the digest of
/// the value in hexadecimal, so that whoever has the value can tell that it is the one.
pub fn encode(event: &AuditEvent) -> Vec<u8> {
    let is_short = |text: &Option<String>| text.as_ref().is_none_or(|text| text.len() <= VALUE_BYTES_MAX);
    let mut changes = event.changes.iter();
    let bytes = if changes.all(|change| is_short(&change.old) && is_short(&change.new)) {
        serialised(event)
    } else {
        serialised(&shortened(event, VALUE_BYTES_MAX))
    };
    if bytes.len() <= ENTRY_BYTES_MAX {
        return bytes;
    }
    serialised(&shortened(event, VALUE_BYTES_MAX_IF_LONG))
}

fn serialised(event: &AuditEvent) -> Vec<u8> {
    // Serialising a struct of texts and integers into memory cannot fail.
    serde_json::to_vec(event).unwrap_or_default()
}

fn shortened(event: &AuditEvent, longest: usize) -> AuditEvent {
    let mut event = event.clone();
    let values = event
        .changes
        .iter_mut()
        .flat_map(|change| [&mut change.old, &mut change.new]);
    for value in values.flatten().filter(|value| value.len() > longest) {
        *value = format!("sha256:{}", hex::encode(sha256(value.as_bytes())));
    }
    event
}

/// The event of one click inside a batch: its bytes are hashed into the batch's root, and can be made again from the
/// click's row and keys as long as those exist.
#[derive(Debug, Clone, Copy)]
pub struct ClickLeaf<'a> {
    /// The tenant's number.
    pub tenant: i64,
    /// When the click happened.
    pub at_ms: i64,
    /// The campaign's number.
    pub campaign: i64,
    /// The publisher's number.
    pub publisher: i64,
    /// The link's number.
    pub link: i64,
    /// The policy version of the decision.
    pub policy_version: u16,
    /// The consent state.
    pub state: &'static str,
    /// The commitment to the click.
    pub commitment: &'a [u8; 32],
}

/// The leaf hash of a click inside its batch.
pub fn click_hash(leaf: &ClickLeaf<'_>) -> Hash {
    leaf_hash(click_bytes(leaf).as_bytes())
}

/// The bytes of a click's event, in the same encoding as a whole entry.
pub fn click_bytes(leaf: &ClickLeaf<'_>) -> String {
    format!(
        r#"{{"action":"click","at_ms":{},"campaign":{},"commitment":"{}","link":{},"policy_version":{},"publisher":{},"state":"{}","tenant":{},"v":1}}"#,
        leaf.at_ms,
        leaf.campaign,
        hex::encode(leaf.commitment),
        leaf.link,
        leaf.policy_version,
        leaf.publisher,
        leaf.state,
        leaf.tenant,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{Actor, Change, Count};

    fn full() -> AuditEvent {
        let mut event = AuditEvent::new(7, "campaign.changed", &Actor::Key(3), "changed", &[0xab; 16]);
        event.at_ms = Some(1_795_000_000_000);
        event.campaign = Some(1);
        event.changes = vec![Change {
            field: "window_days",
            old: Some("30".into()),
            new: Some("14".into()),
        }];
        event.commitment = Some("00".repeat(32));
        event.count = Some(2);
        event.counts = vec![Count {
            count: 2,
            reason: "robot".into(),
        }];
        event.day = Some("2026-11-24".into());
        event.object = Some("cmp_1".into());
        event.policy_version = Some(1);
        event.reason = Some("accepted");
        event.request_id = Some("req_1".into());
        event.root = Some("ff".repeat(32));
        event.shop = Some(1);
        event.test = true;
        event
    }

    /// Members in the order of their names, at every depth.
    fn sorted(value: &serde_json::Value) -> String {
        match value {
            serde_json::Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_by_key(|(name, _)| name.as_str());
                let texts = members
                    .into_iter()
                    .map(|(name, value)| format!("\"{name}\":{}", sorted(value)));
                format!("{{{}}}", texts.collect::<Vec<_>>().join(","))
            }
            serde_json::Value::Array(items) => {
                format!("[{}]", items.iter().map(sorted).collect::<Vec<_>>().join(","))
            }
            other => other.to_string(),
        }
    }

    #[test]
    fn members_stand_in_the_order_of_their_names() {
        let bytes = encode(&full());
        let value: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(
            value.as_object().map(serde_json::Map::len),
            Some(20),
            "every member is there"
        );
        assert_eq!(String::from_utf8(bytes).expect("text"), sorted(&value));
    }

    #[test]
    fn a_long_value_stands_as_its_digest() {
        let of = |new: String| {
            let mut event = AuditEvent::new(7, "shop.changed", &Actor::Server, "changed", &[1; 16]);
            event.changes.push(Change {
                field: "landing_hosts",
                old: None,
                new: Some(new),
            });
            String::from_utf8(encode(&event)).expect("text")
        };
        let (kept, long) = ("a".repeat(1_024), "a".repeat(1_025));
        assert!(of(kept.clone()).contains(&kept));
        let digest = hex::encode(sha256(long.as_bytes()));
        assert!(of(long).contains(&format!("\"new\":\"sha256:{digest}\"")));
    }

    #[test]
    fn no_entry_is_longer_than_a_bundle_takes() {
        // The widest there can be: every field of a policy or a shop, with values that JSON has to escape throughout.
        for value in ["\u{1}".repeat(1_024), "\u{1}".repeat(100_000), "b".repeat(1_024)] {
            let mut event = full();
            event.changes = vec![
                Change {
                    field: "landing_hosts",
                    old: Some(value.clone()),
                    new: Some(value),
                };
                64
            ];
            let bytes = encode(&event);
            assert!(bytes.len() <= ENTRY_BYTES_MAX, "{}", bytes.len());
            assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
        }
    }

    #[test]
    fn the_encoding_of_version_1_does_not_change() {
        let event = AuditEvent::new(7, "postback.verdict", &Actor::Hmac(2), "refused", &[1; 16]);
        let expected = r#"{"action":"postback.verdict","actor":"hmac:2","nonce":"01010101010101010101010101010101","outcome":"refused","tenant":7,"v":1}"#;
        assert_eq!(String::from_utf8(encode(&event)).expect("text"), expected);
    }
}
