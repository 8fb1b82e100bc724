//! Lists of entries: by place, by time, by what they say.
//!
//! The members of an event are in its bytes, not in columns: an index over them would be a second log. So a filter goes
//! through rows, so many for a page and no more, and a page may be short or empty and still have a next one.

use serde::Deserialize;
use uuid::Uuid;

use super::read::{AuditFlow, Leaf};
use crate::domain::access::Principal;
use crate::flow::FlowError;
use crate::store::audit::read::Span;

/// How many rows a page of a filtered list goes through at most.
pub const SCANNED_MAX: usize = 5_000;
/// How many are read at once.
const CHUNK: u64 = 500;

/// What the members of an event have to be; whatever is left out may be anything.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct EntryFilter {
    /// Who acted.
    pub actor: Option<String>,
    /// What was done.
    pub action: Option<String>,
    /// What came of it.
    pub outcome: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The object.
    pub object: Option<String>,
}

/// Which entries are asked for.
#[derive(Debug, Default, Clone)]
pub struct EntryQuery {
    /// Of this time or later, in milliseconds since 1970.
    pub from_ms: Option<i64>,
    /// Before this time.
    pub until_ms: Option<i64>,
    /// Of this epoch.
    pub epoch: Option<i64>,
    /// What they say.
    pub filter: EntryFilter,
    /// Behind the entry with this id.
    pub cursor: Option<Uuid>,
    /// At most so many.
    pub limit: usize,
}

/// A page of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPage {
    /// The entries.
    pub items: Vec<Leaf>,
    /// The last one that was looked at, unless the list ends here.
    pub next: Option<Uuid>,
}

/// The members of an event that something looks at.
#[derive(Debug, Deserialize)]
pub(super) struct Seen {
    pub action: String,
    pub actor: String,
    pub outcome: String,
    pub nonce: String,
    pub reason: Option<String>,
    pub object: Option<String>,
    pub at_ms: Option<i64>,
    pub commitment: Option<String>,
    pub shop: Option<i64>,
}

impl Seen {
    pub fn of(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

impl EntryFilter {
    fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an entry's bytes say what is asked for.
    pub fn fits(&self, body: &[u8]) -> bool {
        if self.is_open() {
            return true;
        }
        let Some(seen) = Seen::of(body) else { return false };
        let is =
            |wanted: &Option<String>, found: Option<&String>| wanted.is_none() || wanted.as_ref() == found;
        is(&self.action, Some(&seen.action))
            && is(&self.actor, Some(&seen.actor))
            && is(&self.outcome, Some(&seen.outcome))
            && is(&self.reason, seen.reason.as_ref())
            && is(&self.object, seen.object.as_ref())
    }
}

impl EntryQuery {
    /// The span of time, if times are named.
    pub(super) fn span(&self) -> Result<Option<Span>, FlowError> {
        if self.from_ms.is_none() && self.until_ms.is_none() {
            return Ok(None);
        }
        let from_ms = self.from_ms.unwrap_or(0);
        let until_ms = self.until_ms.unwrap_or(i64::MAX);
        if from_ms >= until_ms {
            return Err(FlowError::Invalid("to", "must be later than from"));
        }
        Ok(Some(Span { from_ms, until_ms }))
    }
}

impl AuditFlow {
    /// A page of entries: by epoch and index, or by time where times are named.
    pub async fn list(&self, principal: &Principal, query: &EntryQuery) -> Result<EntryPage, FlowError> {
        let span = query.span()?;
        let mut last = self.begin(principal, query).await?;
        let mut items: Vec<Leaf> = Vec::new();
        let mut scanned = 0;
        loop {
            // Without a filter every row is shown: one more than fits tells whether the list goes on.
            let wanted = if query.filter.is_open() {
                u64::try_from(query.limit + 1 - items.len()).unwrap_or(CHUNK)
            } else {
                CHUNK
            };
            let rows = self.rows(principal, query, span, last.as_ref(), wanted).await?;
            let is_end = (rows.len() as u64) < wanted;
            for leaf in rows {
                if items.len() == query.limit || scanned == SCANNED_MAX {
                    return Ok(EntryPage {
                        items,
                        next: last.map(|last| last.id),
                    });
                }
                scanned += 1;
                if query.filter.fits(&leaf.body) && query.epoch.is_none_or(|epoch| epoch == leaf.log.epoch) {
                    items.push(leaf.clone());
                }
                last = Some(leaf);
            }
            if is_end {
                return Ok(EntryPage { items, next: None });
            }
        }
    }

    /// The entry that the page begins behind.
    async fn begin(&self, principal: &Principal, query: &EntryQuery) -> Result<Option<Leaf>, FlowError> {
        let Some(id) = query.cursor else { return Ok(None) };
        let reader = self.live.store().reader(principal.scope());
        let found = reader.log_entry_named(principal.tenant, id).await?;
        let unknown = FlowError::Invalid("cursor", "must be a next_cursor of this list");
        Ok(Some(found.ok_or(unknown)?))
    }

    async fn rows(
        &self,
        principal: &Principal,
        query: &EntryQuery,
        span: Option<Span>,
        after: Option<&Leaf>,
        limit: u64,
    ) -> Result<Vec<Leaf>, FlowError> {
        let (reader, tenant) = (self.live.store().reader(principal.scope()), principal.tenant);
        Ok(match span {
            None => {
                let place = after.map(|leaf| (leaf.log.epoch, leaf.index));
                reader.log_entries(tenant, query.epoch, place, limit).await?
            }
            Some(span) => {
                let id = after.map(|leaf| leaf.id);
                reader.log_entries_between(tenant, span, id, limit).await?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"action":"a","actor":"key:1","nonce":"00","outcome":"refused","reason":"forbidden","tenant":1,"v":1}"#;

    #[test]
    fn a_filter_asks_for_whole_members() {
        let with = |change: fn(&mut EntryFilter)| {
            let mut filter = EntryFilter::default();
            change(&mut filter);
            filter.fits(BODY)
        };
        assert!(with(|_| {}));
        assert!(with(|filter| filter.action = Some("a".into())));
        assert!(with(|filter| filter.reason = Some("forbidden".into())));
        assert!(!with(|filter| filter.reason = Some("forbid".into())));
        assert!(!with(|filter| filter.object = Some("a".into())));
        assert!(!with(|filter| {
            filter.action = Some("a".into());
            filter.actor = Some("key:2".into());
        }));
        assert!(
            !EntryFilter {
                action: Some("a".into()),
                ..EntryFilter::default()
            }
            .fits(b"not JSON")
        );
    }

    #[test]
    fn times_run_forwards() {
        let span = |from_ms, until_ms| {
            let query = EntryQuery {
                from_ms,
                until_ms,
                ..EntryQuery::default()
            };
            query.span()
        };
        assert!(matches!(span(None, None), Ok(None)));
        assert!(matches!(span(Some(1), Some(2)), Ok(Some(_))));
        assert!(matches!(span(Some(2), Some(2)), Err(FlowError::Invalid("to", _))));
        assert!(matches!(
            span(Some(i64::MAX), None),
            Err(FlowError::Invalid("to", _))
        ));
    }
}
