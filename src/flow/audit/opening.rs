//! Opening an entry: which order or conversion it commits to, shown so that nobody has to be believed.
//!
//! Promise: an opening is in the log before it is shown, and there is none once the click's salt is gone. A wrong order is
//! told to be wrong and nothing else.

use uuid::Uuid;

use super::list::{EntryPage, EntryQuery, Seen};
use super::read::{AuditFlow, EntryRef, Leaf};
use crate::domain::access::Principal;
use crate::domain::event::{LOG_EPOCH, committed, entry_key, order_digest};
use crate::domain::ids::{AuditEntryId, ClickKey, RequestId, millis_of};
use crate::domain::keys::{ClickSecrets, epoch_of};
use crate::domain::record::{Record, RecordKey};
use crate::domain::refusal::Reason;
use crate::domain::routing::TenantRoute;
use crate::flow::FlowError;
use crate::store::audit::read::Span;

/// The most entries of one millisecond that are looked at.
const OF_A_MOMENT: u64 = 10_000;
/// How long after a conversion its entry may still be on its way, in milliseconds.
const ON_ITS_WAY_MS: i64 = 60_000;

/// What the caller knows of an entry.
#[derive(Debug, Default, Clone)]
pub struct Known {
    /// The order's id.
    pub order_id: Option<String>,
    /// The conversion.
    pub conversion: Option<Uuid>,
}

/// What an entry commits to beside the click.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// SHA-256 of the order's id.
    Order([u8; 32]),
    /// The conversion's id.
    Conversion(Uuid),
    /// The click alone: the shop named no order.
    Click,
}

impl What {
    /// The bytes that are hashed.
    pub fn bytes(&self) -> &[u8] {
        match self {
            What::Order(digest) => digest,
            What::Conversion(id) => id.as_bytes(),
            What::Click => &[],
        }
    }
}

/// An opened entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The entry.
    pub leaf: Leaf,
    /// Its commitment, in hexadecimal.
    pub commitment: String,
    /// Its key.
    pub entry_key: [u8; 32],
    /// The click.
    pub click: [u8; 16],
    /// What else.
    pub what: What,
    /// The conversion, where the entry is its own.
    pub conversion: Option<Uuid>,
}

/// A conversion or an order that an entry may be about.
struct Candidate {
    click: ClickKey,
    secrets: ClickSecrets,
    conversion: Option<Uuid>,
    whats: Vec<What>,
}

/// What came of looking for candidates.
#[derive(Default)]
struct Candidates {
    found: Vec<Candidate>,
    erased: bool,
    /// A conversion that was named had its time.
    purged: bool,
}

/// The members of an entry that an opening needs.
struct Committed {
    seen: Seen,
    commitment: String,
    nonce: [u8; 16],
}

impl Committed {
    /// Nothing for an entry that commits to no order.
    fn of(body: &[u8]) -> Option<Self> {
        let mut seen = Seen::of(body)?;
        if !["postback.verdict", "conversion.changed"].contains(&seen.action.as_str()) {
            return None;
        }
        let mut nonce = [0; 16];
        hex::decode_to_slice(&seen.nonce, &mut nonce).ok()?;
        let commitment = seen.commitment.take()?;
        Some(Self {
            seen,
            commitment,
            nonce,
        })
    }

    fn matches(&self, candidate: &Candidate) -> Option<What> {
        let key = entry_key(&candidate.secrets.subject, LOG_EPOCH, &self.nonce);
        let click = &candidate.click.click.0;
        let is = |what: &&What| hex::encode(committed(&key, click, what.bytes())) == self.commitment;
        candidate.whats.iter().find(is).copied()
    }
}

impl AuditFlow {
    /// Opens an entry, and enters that in the log first.
    pub async fn open(
        &self,
        principal: &Principal,
        entry: EntryRef,
        epoch: Option<i64>,
        known: &Known,
        request: RequestId,
    ) -> Result<Opening, FlowError> {
        let tenant = self.tenant(principal)?;
        let (_, leaf) = self.find(principal, entry, epoch).await?;
        let closed = FlowError::Clash("entry", "commits to no order, so there is nothing to open");
        let about = Committed::of(&leaf.body).ok_or(closed)?;
        let given = known
            .order_id
            .as_deref()
            .map(|text| What::Order(order_digest(text)));
        let candidates = self.candidates(&tenant, &about, known, given).await?;
        let matching = |candidate: &Candidate| Some((about.matches(candidate)?, candidate.click));
        let matched = candidates.found.iter().find_map(|candidate| {
            let (what, click) = matching(candidate)?;
            let key = entry_key(&candidate.secrets.subject, LOG_EPOCH, &about.nonce);
            Some((what, click, key, candidate.conversion))
        });
        let Some((what, click, key, conversion)) = matched else {
            return Err(self.unopened(&tenant, &about, known, &candidates).await?);
        };
        if given.is_some_and(|given| given != what) {
            return Err(FlowError::Clash("order_id", "is not the order of this entry"));
        }
        let object = AuditEntryId(leaf.id).to_string();
        self.note_look(principal, "audit_entry.opened", request, |event| {
            event.object = Some(object);
        })
        .await?;
        Ok(Opening {
            leaf,
            commitment: about.commitment,
            entry_key: key,
            click: click.click.0,
            what,
            conversion,
        })
    }

    /// Whatever the entry may be about: the conversions of its moment, the order or the conversion that is named.
    async fn candidates(
        &self,
        tenant: &TenantRoute,
        about: &Committed,
        known: &Known,
        given: Option<What>,
    ) -> Result<Candidates, FlowError> {
        let reader = self.live.store().reader(tenant.scope());
        let mut candidates = Candidates::default();
        let of_verdict = about.seen.action == "postback.verdict";
        if let (true, Some(at_ms)) = (of_verdict, about.seen.at_ms) {
            for (id, record) in reader.conversions_of_moment(tenant.number(), at_ms).await? {
                candidates.add(tenant, id, record, given, of_verdict);
            }
        }
        if let Some(id) = known.conversion {
            let key = RecordKey::Conversion(id);
            let record = reader.record(tenant.number(), &key).await?;
            let left = reader.is_purged_conversion(tenant.number(), id).await?;
            if left == Some(true) {
                candidates.purged = true;
            } else if left.is_some() {
                candidates.add(tenant, id, record, given, of_verdict);
            }
        }
        if let (true, Some(order_id), Some(given)) = (of_verdict, &known.order_id, given) {
            let hash = tenant.keys.order_hash(order_id);
            let (shops, goals) = places(tenant, about.seen.shop);
            let found = reader
                .conversions_of_order(tenant.number(), shops, goals, hash)
                .await?;
            for (click, _) in found {
                let salt = reader.salt(&click).await?;
                let secrets =
                    salt.and_then(|salt| tenant.keys.click(epoch_of(click.issued_at_s()), &salt).ok());
                match secrets {
                    // A repetition has no conversion of its own.
                    Some(secrets) => candidates.found.push(Candidate {
                        click,
                        secrets,
                        conversion: None,
                        whats: vec![given],
                    }),
                    None => candidates.erased = true,
                }
            }
        }
        Ok(candidates)
    }

    /// Why an entry was not opened.
    async fn unopened(
        &self,
        tenant: &TenantRoute,
        about: &Committed,
        known: &Known,
        candidates: &Candidates,
    ) -> Result<FlowError, FlowError> {
        if candidates.erased {
            return Ok(FlowError::Refused(Reason::ConsentWithdrawn));
        }
        if candidates.purged {
            return Ok(FlowError::Refused(Reason::Gone));
        }
        if let Some(order_id) = &known.order_id {
            let hash = tenant.keys.order_hash(order_id);
            if self.is_suppressed_order(tenant, about.seen.shop, &hash).await? {
                return Ok(FlowError::Refused(Reason::ConsentWithdrawn));
            }
            return Ok(FlowError::Clash("order_id", "is not the order of this entry"));
        }
        Ok(match (about.seen.action.as_str(), known.conversion) {
            (_, Some(_)) => FlowError::Clash("conversion", "is not the conversion of this entry"),
            ("conversion.changed", None) => {
                FlowError::Invalid("conversion", "is needed to open an entry of this kind")
            }
            _ if about.seen.outcome == "duplicate" => {
                FlowError::Invalid("order_id", "is needed to open an entry of this kind")
            }
            // The conversion had its time and was purged.
            _ => FlowError::Refused(Reason::Gone),
        })
    }

    /// The verdicts' entries of one order: of each shop and goal that has it, as long as it may still be repeated.
    pub async fn entries_of_order(
        &self,
        principal: &Principal,
        order_id: &str,
        query: &EntryQuery,
    ) -> Result<EntryPage, FlowError> {
        let tenant = self.tenant(principal)?;
        let (shops, goals) = places(&tenant, None);
        let hash = tenant.keys.order_hash(order_id);
        let reader = self.live.store().reader(principal.scope());
        let found = reader
            .conversions_of_order(tenant.number(), shops, goals, hash)
            .await?;
        let mut items = Vec::new();
        for (_, conversion) in found {
            let page = self.entry_of_conversion(principal, conversion, query).await?;
            items.extend(page.items);
        }
        if items.is_empty() && self.is_suppressed_order(&tenant, None, &hash).await? {
            return Err(FlowError::Refused(Reason::ConsentWithdrawn));
        }
        Ok(EntryPage { items, next: None })
    }

    /// Whether an order belonged to an erased person.
    async fn is_suppressed_order(
        &self,
        tenant: &TenantRoute,
        shop: Option<i64>,
        hash: &[u8; 16],
    ) -> Result<bool, FlowError> {
        let (shops, goals) = places(tenant, shop);
        let reader = self.live.store().reader(tenant.scope());
        for shop in shops {
            for goal in &goals {
                let entry = tenant.keys.suppressed_order(shop, *goal, hash);
                if reader.is_suppressed(tenant.number(), entry).await? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The verdict's entry of one conversion.
    pub async fn entry_of_conversion(
        &self,
        principal: &Principal,
        conversion: Uuid,
        query: &EntryQuery,
    ) -> Result<EntryPage, FlowError> {
        let tenant = self.tenant(principal)?;
        let reader = self.live.store().reader(principal.scope());
        let key = RecordKey::Conversion(conversion);
        let record = reader.record(tenant.number(), &key).await?;
        let Some(record) = record.filter(|record| record.salt.is_some()) else {
            let purged = reader.is_purged_conversion(tenant.number(), conversion).await?;
            return Err(match purged {
                Some(true) => FlowError::Refused(Reason::Gone),
                Some(false) => FlowError::Refused(Reason::ConsentWithdrawn),
                None => FlowError::Missing("conversion"),
            });
        };
        let mut candidates = Candidates::default();
        candidates.add(&tenant, conversion, Some(record), None, true);
        let at_ms = millis_of(conversion);
        let span = Span {
            from_ms: at_ms,
            until_ms: at_ms + 1,
        };
        let rows = reader
            .log_entries_between(tenant.number(), span, None, OF_A_MOMENT)
            .await?;
        let is_it = |leaf: &Leaf| {
            let about = Committed::of(&leaf.body);
            about.is_some_and(|about| candidates.found.iter().any(|one| about.matches(one).is_some()))
        };
        let found: Vec<Leaf> = rows.into_iter().filter(is_it).collect();
        if found.is_empty() && self.live.now_ms() - at_ms < ON_ITS_WAY_MS {
            return Err(self.not_yet());
        }
        Ok(EntryPage {
            items: found
                .into_iter()
                .filter(|leaf| query.filter.fits(&leaf.body))
                .collect(),
            next: None,
        })
    }
}

impl Candidates {
    /// A conversion; one whose click or salt is gone was erased.
    fn add(
        &mut self,
        tenant: &TenantRoute,
        id: Uuid,
        record: Option<Record>,
        given: Option<What>,
        of_verdict: bool,
    ) {
        let opened = record.and_then(|record| Some((record.secrets(&tenant.keys)?, record)));
        let Some((secrets, record)) = opened else {
            self.erased = true;
            return;
        };
        let whats = if of_verdict {
            let sealed = record.order_digest(&tenant.keys).map(What::Order);
            given.into_iter().chain(sealed).chain([What::Click]).collect()
        } else {
            vec![What::Conversion(id)]
        };
        self.found.push(Candidate {
            click: record.click,
            secrets,
            conversion: Some(id),
            whats,
        });
    }
}

/// The shops and goals under which an order may stand.
fn places(tenant: &TenantRoute, shop: Option<i64>) -> (Vec<i64>, Vec<i64>) {
    let is_one = |number: i64| shop.is_none_or(|shop| shop == number);
    let shops = tenant
        .shops
        .keys()
        .copied()
        .filter(|number| is_one(*number))
        .collect();
    let campaigns = tenant.campaigns.values().filter(|campaign| is_one(campaign.shop));
    let goals = campaigns.flat_map(|campaign| campaign.goals.iter().map(|(_, number)| *number));
    (shops, goals.collect())
}
