//! Canonical bytes of an audit event.
//!
//! Encoding version 1 is canonical JSON (RFC 8785): members in the order of their names, no white space, integers
//! below 2^53, texts in ASCII. The bytes are stored, and what is stored is hashed; nothing is ever serialised again.

use crate::domain::event::AuditEvent;

use super::merkle::{Hash, leaf_hash};

/// The bytes of an event.
pub fn encode(event: &AuditEvent) -> Vec<u8> {
    // Serialising a struct of texts and integers into memory cannot fail.
    serde_json::to_vec(event).unwrap_or_default()
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
    fn the_encoding_of_version_1_does_not_change() {
        let event = AuditEvent::new(7, "postback.verdict", &Actor::Hmac(2), "refused", &[1; 16]);
        let expected = r#"{"action":"postback.verdict","actor":"hmac:2","nonce":"01010101010101010101010101010101","outcome":"refused","tenant":7,"v":1}"#;
        assert_eq!(String::from_utf8(encode(&event)).expect("text"), expected);
    }
}
