//! Rows against entries, one by one: each click's leaf and each conversion's verdict is made again and looked for.
//!
//! A row is read first and its entry afterwards, in one statement that sees placed and waiting entries alike. What a row
//! needs was committed with it, so that nothing that happens meanwhile looks like a fault.

use std::collections::HashMap;

use serde::Deserialize;

use super::{CheckFlow, Run, Tenants};
use crate::audit::check::{Kind, Seen};
use crate::audit::leaf::{ClickLeaf, click_hash};
use crate::audit::merkle::Hash;
use crate::domain::campaign::{day_text, local_day};
use crate::domain::event::{LOG_EPOCH, commitment, order_digest};
use crate::domain::ids::ClickKey;
use crate::domain::keys::{Place, epoch_of};
use crate::domain::record::{Record, RecordKey, RecordKind};
use crate::domain::routing::TenantRoute;
use crate::domain::scope::TenantScope;
use crate::flow::FlowError;
use crate::store::audit::check_rows::ClickToCheck;
use crate::store::records::RecordFilter;

/// Rows that are read at once.
const PAGE_ROWS: u64 = 2_000;
/// Verdicts that are read at once.
const PAGE_VERDICTS: i64 = 1_000;
/// Batches that are read at once; each can have some tens of kilobytes of hashes.
const PAGE_BATCHES: i64 = 100;
/// A batch is as old as its first click; the others may be this much older or younger, in milliseconds, unless the server
/// was very busy: those that are not found are looked for once more within the second span.
const NEAR_MS: i64 = 2_000;
const FAR_MS: i64 = 120_000;

/// Later signals are looked at once they are so old, in milliseconds: longer than any waits in a queue.
const SETTLED_MS: i64 = 10_000;

/// A conversion's document, as far as its commitment is made of it.
#[derive(Deserialize)]
struct Document {
    order_id: Option<String>,
}

impl CheckFlow {
    pub(super) async fn tables(&self, wanted: Tenants, run: &mut Run) -> Result<(), FlowError> {
        let routing = self.live.routing();
        let mut numbers: Vec<i64> = routing
            .tenants
            .keys()
            .copied()
            .filter(|one| wanted.hold(*one))
            .collect();
        numbers.sort_unstable();
        for tenant in numbers.iter().filter_map(|number| routing.tenants.get(number)) {
            if tenant.keys.is_locked() {
                // Nothing of it can be made again here.
                continue;
            }
            self.clicks(tenant, run).await?;
            self.conversions(tenant, run).await?;
            self.later_signals(tenant, run).await?;
        }
        for row in self.live.store().reader(TenantScope::Server).named_rows().await? {
            if !wanted.hold(row.tenant) {
                continue;
            }
            run.seen.objects += 1;
            let action = match row.kind.as_str() {
                "epoch" | "tenant_key" | "token_key" => "key.created".to_owned(),
                kind => format!("{kind}.created"),
            };
            let object = format!("{}:{}", row.kind, row.number);
            if !run.tally.takes(&row) && !self.is_told_meanwhile(&action, row.tenant, &object).await? {
                run.found
                    .add(Kind::ObjectWithoutEntry, row.tenant, None, None, object);
            }
        }
        for (tenant, object) in run.tally.objects_left() {
            if self.is_told_meanwhile("key.destroyed", tenant, &object).await? {
                continue;
            }
            run.found
                .add(Kind::EntryWithoutObject, tenant, None, None, object);
        }
        Ok(())
    }

    /// Whether an object that was made or destroyed since the logs were read has its entry.
    async fn is_told_meanwhile(&self, action: &str, tenant: i64, object: &str) -> Result<bool, FlowError> {
        let now_ms = self.live.now_ms();
        let span = (now_ms - 86_400_000, now_ms + 60_000);
        let mut after = None;
        loop {
            let reader = self.live.store().reader(TenantScope::Server);
            let entries = reader
                .entries_of_span(tenant, action, span, after, PAGE_VERDICTS)
                .await?;
            let Some(last) = entries.last() else {
                return Ok(false);
            };
            after = Some(last.id);
            let told = |body: &[u8]| Seen::read(body).is_some_and(|seen| seen.object == Some(object));
            if entries.iter().any(|entry| told(&entry.body)) {
                return Ok(true);
            }
        }
    }

    async fn clicks(&self, tenant: &TenantRoute, run: &mut Run) -> Result<(), FlowError> {
        let mut after: Option<ClickKey> = None;
        loop {
            let reader = self.live.store().reader(TenantScope::Server);
            let rows = reader.clicks_to_check(tenant.number(), after, PAGE_ROWS).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.key);
            let mut wanted: HashMap<Hash, ClickKey> = HashMap::with_capacity(rows.len());
            let (mut first_ms, mut last_ms) = (i64::MAX, i64::MIN);
            for row in &rows {
                run.seen.clicks += 1;
                first_ms = first_ms.min(row.clicked_at_ms);
                last_ms = last_ms.max(row.clicked_at_ms);
                match leaf_of(tenant, row) {
                    Some(hash) => drop(wanted.insert(hash, row.key)),
                    None => self.unreadable(tenant, &RecordKey::Click(row.key), run).await?,
                }
            }
            for margin in [NEAR_MS, FAR_MS] {
                if !wanted.is_empty() {
                    let span = (first_ms - margin, last_ms + margin);
                    self.find_clicks(tenant, span, &mut wanted).await?;
                }
            }
            let mut lost: Vec<ClickKey> = wanted.into_values().collect();
            lost.sort_unstable();
            for click in lost {
                note_row(Kind::ClickWithoutEntry, tenant, &RecordKey::Click(click), run);
            }
            run.rest().await;
        }
    }

    /// A row without its key is a fault, unless it was erased after it was read: row and key go together, so that whoever
    /// found the key gone no longer finds the row.
    async fn unreadable(
        &self,
        tenant: &TenantRoute,
        key: &RecordKey,
        run: &mut Run,
    ) -> Result<(), FlowError> {
        let reader = self.live.store().reader(TenantScope::Server);
        if reader.record(tenant.number(), key).await?.is_some() {
            note_row(Kind::RowUnreadable, tenant, key, run);
        }
        Ok(())
    }

    /// Takes away what the batches of a span hold.
    async fn find_clicks(
        &self,
        tenant: &TenantRoute,
        span: (i64, i64),
        wanted: &mut HashMap<Hash, ClickKey>,
    ) -> Result<(), FlowError> {
        let mut after = None;
        while !wanted.is_empty() {
            let reader = self.live.store().reader(TenantScope::Server);
            let batches = reader
                .entries_of_span(tenant.number(), "click.batch", span, after, PAGE_BATCHES)
                .await?;
            let Some(last) = batches.last() else { return Ok(()) };
            after = Some(last.id);
            for batch in &batches {
                let (hashes, _) = batch.hashes.as_deref().unwrap_or_default().as_chunks::<32>();
                for hash in hashes {
                    wanted.remove(hash);
                }
            }
        }
        Ok(())
    }

    async fn conversions(&self, tenant: &TenantRoute, run: &mut Run) -> Result<(), FlowError> {
        let mut after: Option<RecordKey> = None;
        loop {
            let reader = self.live.store().reader(TenantScope::Server);
            let filter = RecordFilter::default();
            let kind = RecordKind::Postback;
            let rows = reader
                .records(tenant.number(), kind, &filter, after.as_ref(), PAGE_ROWS)
                .await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.key);
            let mut wanted: HashMap<i64, Vec<(&Record, Order)>> = HashMap::new();
            for row in &rows {
                run.seen.conversions += 1;
                match Order::of(tenant, row) {
                    Some(order) => wanted.entry(row.decided_at_ms).or_default().push((row, order)),
                    None => self.unreadable(tenant, &row.key, run).await?,
                }
            }
            let span = wanted.keys().fold((i64::MAX, i64::MIN), |(from, until), at_ms| {
                (from.min(*at_ms), until.max(*at_ms + 1))
            });
            self.find_verdicts(tenant, span, &mut wanted).await?;
            let mut lost: Vec<&Record> = wanted.into_values().flatten().map(|(row, _)| row).collect();
            lost.sort_by_key(|row| row.decided_at_ms);
            for row in lost {
                note_row(Kind::ConversionWithoutEntry, tenant, &row.key, run);
            }
            run.rest().await;
        }
    }

    /// Takes away the conversions that an accepted verdict of the same moment commits to.
    async fn find_verdicts(
        &self,
        tenant: &TenantRoute,
        span: (i64, i64),
        wanted: &mut HashMap<i64, Vec<(&Record, Order)>>,
    ) -> Result<(), FlowError> {
        let mut after = None;
        while !wanted.is_empty() {
            let reader = self.live.store().reader(TenantScope::Server);
            let verdicts = reader
                .entries_of_span(tenant.number(), "postback.verdict", span, after, PAGE_VERDICTS)
                .await?;
            let Some(last) = verdicts.last() else {
                return Ok(());
            };
            after = Some(last.id);
            for verdict in &verdicts {
                let Some(seen) = Seen::read(&verdict.body).filter(|seen| seen.outcome == "recorded") else {
                    continue;
                };
                let at_ms = seen.at_ms.unwrap_or(0);
                let Some(rows) = wanted.get_mut(&at_ms) else {
                    continue;
                };
                rows.retain(|(row, order)| !order.is_committed_to(tenant, row, &seen));
                if rows.is_empty() {
                    wanted.remove(&at_ms);
                }
            }
        }
        Ok(())
    }

    /// By moment: a change gives every click that it concerns a record, all of one moment.
    async fn later_signals(&self, tenant: &TenantRoute, run: &mut Run) -> Result<(), FlowError> {
        let mut behind_ms = i64::MIN;
        loop {
            let reader = self.live.store().reader(TenantScope::Server);
            let moments = reader.record_moments(tenant.number(), behind_ms).await?;
            let Some(last) = moments.last() else { return Ok(()) };
            behind_ms = last.recorded_at_ms;
            for moment in moments {
                // What was recorded a moment ago may have been committed after the logs' heads were read.
                if moment.recorded_at_ms > run.began_at_ms - SETTLED_MS {
                    continue;
                }
                run.seen.consent_records += 1;
                let day = day_text(local_day(moment.recorded_at_ms, tenant.zone));
                if !run
                    .tally
                    .confirm(tenant.number(), day.clone(), moment.policy_version)
                {
                    let place = format!("a record of {day} under policy version {}", moment.policy_version);
                    run.found
                        .add(Kind::RecordWithoutEntry, tenant.number(), None, None, place);
                }
            }
        }
    }
}

/// A row is named by its consent record's id, which says nothing to whoever has no key.
fn note_row(kind: Kind, tenant: &TenantRoute, key: &RecordKey, run: &mut Run) {
    let place = key.seal(&tenant.keys).to_string();
    run.found.add(kind, tenant.number(), None, None, place);
}

/// The leaf of a click inside its batch; nothing where its key is gone.
fn leaf_of(tenant: &TenantRoute, row: &ClickToCheck) -> Option<Hash> {
    let salt = row.salt?;
    let epoch = u16::try_from(row.retention_epoch).ok()?;
    let secrets = tenant.keys.click(epoch, &salt).ok()?;
    let state = match row.consent_bits & 3 {
        1 => "granted",
        2 => "denied",
        3 => "malformed",
        _ => "unknown",
    };
    Some(click_hash(&ClickLeaf {
        tenant: tenant.number(),
        at_ms: row.clicked_at_ms,
        campaign: row.campaign,
        publisher: row.publisher,
        link: row.link,
        policy_version: u16::try_from(row.policy_version).ok()?,
        state,
        commitment: &commitment(&secrets.subject, LOG_EPOCH, &salt, &row.key.click.0, &[]),
    }))
}

/// What a conversion's verdict commits to.
struct Order(Option<[u8; 32]>);

impl Order {
    /// From the sealed document; nothing where it does not open.
    fn of(tenant: &TenantRoute, row: &Record) -> Option<Self> {
        let RecordKey::Conversion(id) = row.key else {
            return None;
        };
        let secrets = row.secrets(&tenant.keys)?;
        let place = Place {
            tenant: tenant.number(),
            table: "conversion",
            column: "payload",
            row: id.as_bytes(),
            key_version: u32::from(epoch_of(row.click.issued_at_s())),
        };
        let plain = secrets.key.open(&place, row.payload.as_deref()?).ok()?;
        let document: Document = serde_json::from_slice(&plain).ok()?;
        let order_id = document.order_id.map(zeroize::Zeroizing::new);
        Some(Self(order_id.as_ref().map(|text| order_digest(text))))
    }

    fn is_committed_to(&self, tenant: &TenantRoute, row: &Record, seen: &Seen<'_>) -> bool {
        let mut nonce = [0; 16];
        if hex::decode_to_slice(seen.nonce, &mut nonce).is_err() {
            return false;
        }
        let Some(secrets) = row.secrets(&tenant.keys) else {
            return false;
        };
        let what = self.0.as_ref().map_or(&[][..], |digest| digest);
        let made = commitment(&secrets.subject, LOG_EPOCH, &nonce, &row.click.click.0, what);
        seen.commitment == Some(hex::encode(made).as_str())
    }
}
