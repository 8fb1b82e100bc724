//! Audit events: what happened, without personal data, and the trail that every commit needs.
//!
//! A person's click and order are named only by a commitment whose secret dies with the click's salt (DESIGN 7). What
//! was refused or dropped carries the day and never a commitment: a finer trace would be a record of the refusal.

use serde::Serialize;

use super::keys::{Secret, sha256};

/// Who acted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Actor {
    /// An API key of the tenant, by its number.
    Key(i64),
    /// A key of the server's operator, by its number.
    Operator(i64),
    /// A user who signed in with a password, by its number.
    User(i64),
    /// Somebody whom an outside issuer vouched for, by a digest of issuer and subject under a key of the tenant's.
    Outside([u8; 16]),
    /// A shop that signed with an HMAC secret.
    Hmac(i64),
    /// A shop's reference in the URL and nothing else.
    TokenOnly(i64),
    /// A tracking link's visitor.
    Link,
    /// The command line on the server.
    CommandLine,
    /// The server itself.
    Server,
}

impl Actor {
    /// The text in the canonical encoding.
    pub fn text(&self) -> String {
        match self {
            Actor::Key(number) => format!("key:{number}"),
            Actor::Operator(number) => format!("operator:{number}"),
            Actor::User(number) => format!("user:{number}"),
            Actor::Outside(name) => format!("oidc:{}", hex::encode(name)),
            Actor::Hmac(shop) => format!("hmac:{shop}"),
            Actor::TokenOnly(shop) => format!("token_only:{shop}"),
            Actor::Link => "link".to_owned(),
            Actor::CommandLine => "command_line".to_owned(),
            Actor::Server => "server".to_owned(),
        }
    }
}

/// One changed field of an object; texts are configuration, never personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The field's name.
    pub field: &'static str,
    /// Its value after; absent where it is secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
    /// Its value before; absent on creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
}

/// How many of one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// How many.
    pub count: i64,
    /// The reason's code.
    pub reason: String,
}

/// One fact for the audit log. The fields stand in the order of their names: that is the canonical order of the
/// encoding (RFC 8785), and the encoder relies on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEvent {
    /// What was done, for example `postback.verdict`.
    pub action: &'static str,
    /// Who did it.
    pub actor: String,
    /// When, in milliseconds since 1970; absent where only the day may be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<i64>,
    /// The campaign's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<i64>,
    /// The fields that were changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// The commitment to the click and the order, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commitment: Option<String>,
    /// How many items the event speaks of: clicks of a batch, rows of an erasure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// How many by reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<Count>,
    /// The day in the tenant's time zone, for refused and dropped ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// 16 random bytes in hexadecimal: makes equal events different and seeds the commitment.
    pub nonce: String,
    /// The object that was created or changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// What came of it.
    pub outcome: &'static str,
    /// The policy version that was in force for the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<u16>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The Merkle root over a batch's click events, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The shop's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shop: Option<i64>,
    /// The tenant's number; 0 is the server.
    pub tenant: i64,
    /// Whether it was a test.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
    /// The version of the encoding.
    pub v: u8,
}

impl AuditEvent {
    /// An event with nothing but the required fields; callers set the others.
    pub fn new(
        tenant: i64,
        action: &'static str,
        actor: &Actor,
        outcome: &'static str,
        nonce: &[u8; 16],
    ) -> Self {
        Self {
            action,
            actor: actor.text(),
            at_ms: None,
            campaign: None,
            changes: Vec::new(),
            commitment: None,
            count: None,
            counts: Vec::new(),
            day: None,
            nonce: hex::encode(nonce),
            object: None,
            outcome,
            policy_version: None,
            reason: None,
            request_id: None,
            root: None,
            shop: None,
            tenant,
            test: false,
            v: 1,
        }
    }
}

/// The epoch in the keys of entries. It is the log's first one, always: an entry is committed to before it is known which
/// epoch it will stand in, and its random nonce sets it apart anyway.
pub const LOG_EPOCH: u32 = 0;

/// The key of one entry: HMAC-SHA256(subject secret, `aud1` ‖ log epoch ‖ entry nonce). Revealing it opens that entry's
/// commitment and no other's.
pub fn entry_key(subject: &Secret, log_epoch: u32, nonce: &[u8; 16]) -> [u8; 32] {
    super::keys::hmac_sha256(subject.expose(), &[b"aud1", &log_epoch.to_be_bytes(), nonce])
}

/// What a commitment opens to: SHA-256(entry key ‖ click id ‖ what), where `what` is the digest of the order for a
/// postback, the conversion's id for a correction, and empty for a click or an order without an id.
pub fn committed(entry_key: &[u8; 32], click: &[u8; 16], what: &[u8]) -> [u8; 32] {
    let mut opened = Vec::with_capacity(80);
    opened.extend_from_slice(entry_key);
    opened.extend_from_slice(click);
    opened.extend_from_slice(what);
    sha256(&opened)
}

/// The commitment to a click and an order under the person's secret. A different value in every entry.
pub fn commitment(
    subject: &Secret,
    log_epoch: u32,
    nonce: &[u8; 16],
    click: &[u8; 16],
    what: &[u8],
) -> [u8; 32] {
    committed(&entry_key(subject, log_epoch, nonce), click, what)
}

/// What a commitment says of an order: SHA-256 of its id, so that whoever knows the order and was given the entry's key
/// needs nobody's word. Without the key it tells nothing, however short the id is.
pub fn order_digest(order_id: &str) -> [u8; 32] {
    sha256(order_id.as_bytes())
}

/// An event with the hashes that it stands for (a click batch keeps its leaves' hashes beside it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The event.
    pub event: AuditEvent,
    /// The leaves of a batch, 32 bytes each, in order.
    pub hashes: Option<Vec<u8>>,
}

impl From<AuditEvent> for Entry {
    fn from(event: AuditEvent) -> Self {
        Self { event, hashes: None }
    }
}

/// The facts of one transaction. Never empty: there is no commit without a trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail(Vec<Entry>);

impl From<AuditEvent> for Trail {
    fn from(event: AuditEvent) -> Self {
        Self::of(event)
    }
}

impl Trail {
    /// A trail that begins with this.
    pub fn of(first: impl Into<Entry>) -> Self {
        Self(vec![first.into()])
    }

    /// A trail from many entries, unless there are none.
    pub fn from_entries(entries: Vec<Entry>) -> Option<Self> {
        (!entries.is_empty()).then_some(Self(entries))
    }

    /// Adds another fact of the same transaction.
    pub fn push(&mut self, entry: impl Into<Entry>) {
        self.0.push(entry.into());
    }

    /// The facts, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commitments_of_one_person_differ_in_every_entry() {
        let subject = Secret::new([3; 32]);
        let one = commitment(&subject, 0, &[1; 16], &[9; 16], &[8; 16]);
        assert_ne!(one, commitment(&subject, 0, &[2; 16], &[9; 16], &[8; 16]));
        assert_ne!(
            one,
            commitment(&Secret::new([4; 32]), 0, &[1; 16], &[9; 16], &[8; 16])
        );
        assert_eq!(one, commitment(&subject, 0, &[1; 16], &[9; 16], &[8; 16]));
    }

    #[test]
    fn an_empty_trail_cannot_be_made() {
        assert_eq!(Trail::from_entries(Vec::new()), None);
    }
}
