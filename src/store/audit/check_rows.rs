//! The rows that are held against the log: clicks, later signals, objects and keys, and the entries of a span of time.

use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

use super::check::StoredEntry;
use crate::domain::ids::{ClickId, ClickKey, time_ordered};
use crate::domain::keys::epoch_of;
use crate::store::connect::StoreError;
use crate::store::tx::Reader;
use entity::click_salt;

/// A click's row, as far as its leaf is made of it.
#[derive(Debug, Clone)]
pub struct ClickToCheck {
    /// The click.
    pub key: ClickKey,
    /// When it happened, in milliseconds since 1970.
    pub clicked_at_ms: i64,
    /// The campaign's number.
    pub campaign: i64,
    /// The publisher's number.
    pub publisher: i64,
    /// The link's number.
    pub link: i64,
    /// The policy version.
    pub policy_version: i64,
    /// State and answers.
    pub consent_bits: i64,
    /// The month of its key.
    pub retention_epoch: i64,
    /// Its salt, while it is there.
    pub salt: Option<[u8; 16]>,
}

#[derive(Debug, FromQueryResult)]
struct ClickRow {
    issued_at_ticks: i64,
    click_id: Uuid,
    clicked_at_ms: i64,
    campaign: i64,
    publisher: i64,
    link: i64,
    policy_version: i64,
    consent_bits: i64,
    retention_epoch: i64,
}

/// A moment in which later signals were recorded.
#[derive(Debug, Clone, FromQueryResult)]
#[expect(missing_docs, reason = "the columns of consent_record")]
pub struct RecordMoment {
    pub recorded_at_ms: i64,
    pub policy_version: i64,
}

/// A row that management made, named as its entries name it.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct NamedRow {
    /// Its tenant's number.
    pub tenant: i64,
    /// Its kind's word.
    pub kind: String,
    /// Its number.
    pub number: i64,
}

#[derive(Debug, FromQueryResult)]
struct Key {
    tenant: i64,
    purpose: String,
    number: i64,
    created_at_ms: i64,
}

impl Key {
    /// The keys of a tenant's first month and the one after it are made with the tenant, and so is the first version of every
    /// other; the tenant's own entry tells of them.
    fn named(self) -> Option<NamedRow> {
        let first_month = i64::from(epoch_of(self.created_at_ms.div_euclid(1_000)));
        let (kind, made_with_tenant) = match self.purpose.as_str() {
            "epoch" => ("epoch", first_month + 1),
            "tenant" => ("tenant_key", 1),
            _ => ("token_key", 1),
        };
        (self.number > made_with_tenant).then(|| NamedRow {
            tenant: self.tenant,
            kind: kind.to_owned(),
            number: self.number,
        })
    }
}

#[derive(Debug, FromQueryResult)]
struct SpanRow {
    tenant: i64,
    entry_id: Uuid,
    body: Vec<u8>,
    hashes: Option<Vec<u8>>,
}

const CLICKS: &str = "SELECT issued_at_ticks, click_id, clicked_at_ms, campaign, publisher, link, policy_version, \
     consent_bits, retention_epoch FROM click WHERE tenant = $1 AND issued_at_ticks >= $2 \
     AND (issued_at_ticks > $2 OR click_id > $3) ORDER BY issued_at_ticks, click_id LIMIT $4";
/// The view shows an entry at every moment, whether it waits or has its place.
const SPAN: &str = "SELECT tenant, entry_id, body, hashes FROM audit_entry WHERE tenant = $1 AND entry_id > $2 \
     AND entry_id < $3 AND substr(body, 1, $4) = $5 ORDER BY entry_id LIMIT $6";
const MOMENTS: &str = "SELECT DISTINCT recorded_at_ms, policy_version FROM consent_record \
     WHERE tenant = $1 AND recorded_at_ms > $2 ORDER BY recorded_at_ms LIMIT 20000";
const KEYS: &str = "SELECT k.tenant, k.purpose, k.number, t.created_at_ms FROM wrapped_key k \
     JOIN tenant t ON t.tenant = k.tenant WHERE k.purpose IN ('epoch', 'tenant', 'token')";

/// The words of keys in entries that tell when one was made and when it was destroyed.
const VERSIONED_KEYS: [&str; 2] = ["tenant_key", "token_key"];

/// The tables of objects: the word in entries, the table, the column of the number.
const OBJECTS: [(&str, &str, &str); 12] = [
    ("tenant", "tenant", "tenant"),
    ("shop", "shop", "shop"),
    ("publisher", "publisher", "publisher"),
    ("campaign", "campaign", "campaign"),
    ("goal", "goal", "goal"),
    ("link", "link", "link"),
    ("user", "account", "account"),
    ("api_key", "api_key", "api_key"),
    ("policy", "policy", "policy"),
    ("approval", "approval", "approval"),
    ("hold", "hold", "hold"),
    ("operator_grant", "operator_grant", "operator_grant"),
];

/// The words of objects whose rows are never deleted.
pub fn object_kinds() -> impl Iterator<Item = &'static str> {
    OBJECTS.iter().map(|(kind, ..)| *kind).chain(VERSIONED_KEYS)
}

impl Reader<'_> {
    /// Clicks behind one, in the order of their keys, with their salts.
    pub async fn clicks_to_check(
        &self,
        tenant: i64,
        after: Option<ClickKey>,
        limit: u64,
    ) -> Result<Vec<ClickToCheck>, StoreError> {
        let (ticks, click) = after.map_or((i64::MIN, Uuid::nil()), |key| {
            (key.issued_at_ticks, Uuid::from_bytes(key.click.0))
        });
        let values = vec![
            tenant.into(),
            ticks.into(),
            click.into(),
            i64::try_from(limit).unwrap_or(i64::MAX).into(),
        ];
        let rows: Vec<ClickRow> = self.rows(CLICKS, values).await?;
        let ticks: HashSet<i64> = rows.iter().map(|row| row.issued_at_ticks).collect();
        let mut salts: HashMap<(i64, Uuid), Vec<u8>> = HashMap::new();
        if let (Some(first), Some(last)) = (ticks.iter().min(), ticks.iter().max()) {
            let found = click_salt::Entity::find()
                .filter(click_salt::Column::Tenant.eq(tenant))
                .filter(click_salt::Column::IssuedAtTicks.between(*first, *last))
                .all(self.connection())
                .await?;
            salts.extend(
                found
                    .into_iter()
                    .map(|row| ((row.issued_at_ticks, row.click_id), row.salt)),
            );
        }
        let click = |row: ClickRow| ClickToCheck {
            key: ClickKey {
                tenant,
                issued_at_ticks: row.issued_at_ticks,
                click: ClickId(row.click_id.into_bytes()),
            },
            clicked_at_ms: row.clicked_at_ms,
            campaign: row.campaign,
            publisher: row.publisher,
            link: row.link,
            policy_version: row.policy_version,
            consent_bits: row.consent_bits,
            retention_epoch: row.retention_epoch,
            salt: salts
                .get(&(row.issued_at_ticks, row.click_id))
                .and_then(|salt| salt.as_slice().try_into().ok()),
        };
        Ok(rows.into_iter().map(click).collect())
    }

    /// Entries of one action with a time in [`from_ms`, `until_ms`), behind one of them, in the order of their ids.
    pub async fn entries_of_span(
        &self,
        tenant: i64,
        action: &str,
        (from_ms, until_ms): (i64, i64),
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        // Members stand in the order of their names, so that every entry begins with its action.
        let begin = format!("{{\"action\":\"{action}\"").into_bytes();
        let length = i32::try_from(begin.len()).unwrap_or(i32::MAX);
        // The least id of a moment has no random bits at all, and a made one always has those of its version.
        let least = |at_ms| Uuid::from_u128(time_ordered(at_ms, [0; 10]).as_u128() >> 80 << 80);
        let values = vec![
            tenant.into(),
            after.unwrap_or_else(|| least(from_ms)).into(),
            least(until_ms).into(),
            length.into(),
            begin.into(),
            limit.into(),
        ];
        let rows: Vec<SpanRow> = self.rows(SPAN, values).await?;
        let entry = |row: SpanRow| StoredEntry {
            tenant: row.tenant,
            index: 0,
            id: row.entry_id,
            body: row.body,
            hashes: row.hashes,
        };
        Ok(rows.into_iter().map(entry).collect())
    }

    /// The moments behind one in which later signals of a tenant were recorded.
    pub async fn record_moments(&self, tenant: i64, behind_ms: i64) -> Result<Vec<RecordMoment>, StoreError> {
        self.rows(MOMENTS, vec![tenant.into(), behind_ms.into()]).await
    }

    /// The rows of objects and of keys that have entries of their own.
    pub async fn named_rows(&self) -> Result<Vec<NamedRow>, StoreError> {
        let mut rows = Vec::new();
        for (kind, table, column) in OBJECTS {
            let text = format!("SELECT tenant, '{kind}' AS kind, {column} AS number FROM {table}");
            rows.extend(self.rows::<NamedRow>(&text, Vec::new()).await?);
        }
        let keys = self.rows::<Key>(KEYS, Vec::new()).await?;
        rows.extend(keys.into_iter().filter_map(Key::named));
        Ok(rows)
    }
}
