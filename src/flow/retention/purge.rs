//! The purge: chunk by chunk, each with its count and its entry in one transaction.
//!
//! Promise: at no moment is more gone than the log says. A chunk is small, so that clicks go on between two of them; it
//! asks again, inside its transaction, whether its rows are still due, held or frozen, and whether this is still the one
//! purge of all nodes. The journal has the class and its cut-off before the first row goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::{rule_of, sought};
use crate::domain::event::{Actor, AuditEvent, Change, Count};
use crate::domain::ids::{ClickKey, TenantId};
use crate::domain::journal::{Act, JournalLine};
use crate::domain::keys::epoch_of;
use crate::domain::record::RecordKey;
use crate::domain::refusal::Reason;
use crate::domain::retention::{Class, DAY_MS, Rule, click_days, days_of};
use crate::domain::routing::TenantRoute;
use crate::domain::scope::TenantScope;
use crate::flow::journal::Journal;
use crate::flow::{FlowError, Live};
use crate::store::purge::{Candidate, Of, Proof, Sought};
use crate::store::retention::Run;
use crate::store::tx::Tx;

/// Rows of a chunk: what is written for them keeps the writer for a few milliseconds.
const CHUNK_ROWS: u64 = 500;
/// How long the right to purge lasts without being renewed: many times as long as a chunk takes.
const LEASE_MS: i64 = 10_000;

/// Every row, as databases count them.
const ALL: u64 = i64::MAX.unsigned_abs();

/// What a purge did, or would do, with one class of one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purged {
    /// The tenant.
    pub tenant: TenantId,
    /// The class.
    pub class: Class,
    /// Rows from before this had their time.
    pub cut_off_ms: i64,
    /// How many went, or would go.
    pub removed: u64,
    /// How many a hold keeps.
    pub left_held: u64,
    /// How many are frozen.
    pub left_restricted: u64,
}

/// What a purge did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurgeReport {
    /// Class by class.
    pub classes: Vec<Purged>,
    /// Months whose keys were destroyed, by tenant.
    pub months: Vec<(TenantId, u16)>,
}

/// How a purge ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PurgeEnd {
    /// It did everything that was due.
    Done(PurgeReport),
    /// Another process purges.
    Elsewhere,
}

/// What became of a chunk.
enum Chunk {
    Removed,
    /// Nothing of it was due any more.
    Nothing,
    Elsewhere,
}

/// Purges.
#[derive(Clone)]
pub struct Purger {
    live: Arc<Live>,
    journal: Arc<dyn Journal>,
    actor: Actor,
    /// Its name among those that want to purge.
    holder: Uuid,
    /// What was purged before and came back with a backup: up to when, by tenant and class.
    again: BTreeMap<(i64, String), i64>,
}

impl Purger {
    /// Over the shared parts and the journal, for whoever the trail is to name.
    pub fn new(live: Arc<Live>, journal: Arc<dyn Journal>, actor: Actor) -> Self {
        let holder = live.new_id();
        Self {
            live,
            journal,
            actor,
            holder,
            again: BTreeMap::new(),
        }
    }

    /// Purges at least what had been purged before, whatever the rules say now.
    #[must_use]
    pub fn again(mut self, cut_offs_ms: BTreeMap<(i64, String), i64>) -> Self {
        self.again = cut_offs_ms;
        self
    }

    /// What a purge of now would do. Changes nothing.
    pub async fn plan(&self) -> Result<PurgeReport, FlowError> {
        let mut report = PurgeReport::default();
        for tenant in self.tenants() {
            let rules = self
                .live
                .store()
                .reader(tenant.scope())
                .retention_rules(tenant.number())
                .await?;
            for class in Class::PURGED {
                let sought = self.sought(&tenant, class, &rules);
                let reader = self.live.store().reader(tenant.scope());
                report.classes.push(Purged {
                    tenant: TenantId(tenant.tenant.object.id),
                    class,
                    cut_off_ms: sought.cut_off_ms,
                    removed: reader.count_due(&sought, Of::Free, ALL).await?,
                    left_held: reader.count_due(&sought, Of::Held, ALL).await?,
                    left_restricted: reader.count_due(&sought, Of::Restricted, ALL).await?,
                });
            }
        }
        Ok(report)
    }

    /// Purges what is due, each class whose last run began less than a day ago left out where only `daily` ones are asked
    /// for. `done` hears of every class.
    pub async fn run(
        &self,
        daily: bool,
        done: &(dyn Fn(&Purged) + Send + Sync),
    ) -> Result<PurgeEnd, FlowError> {
        let ended = self.classes(daily, done).await;
        // Whatever went, old pages of the file may still hold it.
        self.live.store().scrub().await?;
        match self.live.store().drop_empty_months(self.live.now_s()).await {
            Ok(0) => {}
            Ok(dropped) => tracing::info!(
                dropped,
                "partitions of months that are over and empty were dropped"
            ),
            // The purge stands; the next one tries again.
            Err(error) => tracing::warn!(%error, "partitions that are empty could not be dropped yet"),
        }
        ended
    }

    async fn classes(
        &self,
        daily: bool,
        done: &(dyn Fn(&Purged) + Send + Sync),
    ) -> Result<PurgeEnd, FlowError> {
        let mut report = PurgeReport::default();
        for tenant in self.tenants() {
            let reader = self.live.store().reader(tenant.scope());
            let rules = reader.retention_rules(tenant.number()).await?;
            let runs = reader.last_runs(tenant.number()).await?;
            // A run that lies ahead was dated by a clock that was wrong.
            let now_ms = self.live.now_ms();
            let lately = now_ms - DAY_MS + 1..=now_ms;
            let mut any = false;
            for class in Class::PURGED {
                let last = runs.iter().find(|run| run.class == class);
                if daily && last.is_some_and(|run| lately.contains(&run.started_at_ms)) {
                    continue;
                }
                any = true;
                let sought = self.sought(&tenant, class, &rules);
                let Some(purged) = self.class(&tenant, &sought).await? else {
                    return Ok(PurgeEnd::Elsewhere);
                };
                metrics::counter!("einklang_retention_purged_total", "class" => class.code())
                    .increment(purged.removed);
                done(&purged);
                report.classes.push(purged);
            }
            if any {
                self.months(&tenant, &rules, &mut report).await?;
            }
        }
        Ok(PurgeEnd::Done(report))
    }

    /// Every tenant, archived ones included: what they left has its time as well.
    fn tenants(&self) -> Vec<Arc<TenantRoute>> {
        let routing = self.live.routing();
        let mut tenants: Vec<Arc<TenantRoute>> = routing.tenants.values().cloned().collect();
        tenants.sort_by_key(|tenant| tenant.number());
        tenants
    }

    fn sought(&self, tenant: &TenantRoute, class: Class, rules: &[Rule]) -> Sought {
        let now_ms = self.live.now_ms();
        let mut sought = sought(tenant.number(), class, rules, now_ms, now_ms, self.live.new_id());
        if let Some(before_ms) = self.again.get(&(tenant.number(), class.code().to_owned())) {
            sought.cut_off_ms = sought.cut_off_ms.max(*before_ms);
        }
        sought
    }

    /// One class of one tenant; nothing if another process purges.
    async fn class(&self, tenant: &TenantRoute, sought: &Sought) -> Result<Option<Purged>, FlowError> {
        let mut run = Run {
            tenant: sought.tenant,
            number: None,
            class: sought.class,
            cut_off_ms: sought.cut_off_ms,
            started_at_ms: sought.now_ms,
            ended_at_ms: None,
            removed: 0,
            left_held: 0,
            left_restricted: 0,
        };
        let mut after: Option<Candidate> = None;
        loop {
            let reader = self.live.store().reader(tenant.scope());
            let candidates = reader.due_rows(sought, after.as_ref(), CHUNK_ROWS).await?;
            if candidates.is_empty() {
                break;
            }
            if after.is_none() {
                self.note_in_journal(sought)?;
            }
            if matches!(
                self.chunk(tenant, sought, &mut run, &candidates).await?,
                Chunk::Elsewhere
            ) {
                return Ok(None);
            }
            after = candidates.into_iter().next_back();
        }
        self.end(tenant, sought, run).await
    }

    /// A restored backup is purged by this before it serves.
    fn note_in_journal(&self, sought: &Sought) -> Result<(), FlowError> {
        let line = JournalLine {
            at_ms: sought.now_ms,
            tenant: sought.tenant,
            act: Act::Purge {
                class: sought.class.code().to_owned(),
                cut_off_ms: sought.cut_off_ms,
            },
        };
        self.journal
            .append(&[line])
            .map_err(|_| FlowError::Refused(Reason::Unavailable))
    }

    async fn chunk(
        &self,
        tenant: &TenantRoute,
        sought: &Sought,
        run: &mut Run,
        candidates: &[Candidate],
    ) -> Result<Chunk, FlowError> {
        let tx = self.live.store().begin(tenant.scope()).await?;
        if !self.is_ours(&tx).await? {
            return Ok(Chunk::Elsewhere);
        }
        tx.look_up_by_key().await?;
        let (removed, proofs) = remove(&tx, tenant, sought, candidates).await?;
        if removed == 0 {
            return Ok(Chunk::Nothing);
        }
        run.removed += signed(removed);
        let number = tx.note_run(run).await?;
        let mut event = self.event(sought, "retention.removed", "removed", number);
        event.count = Some(signed(removed));
        event.counts = counts([("minimal_proof", signed(proofs))]);
        tx.commit_with(&event.into()).await?;
        Ok(Chunk::Removed)
    }

    async fn is_ours(&self, tx: &Tx) -> Result<bool, FlowError> {
        let now_ms = self.live.now_ms();
        Ok(tx.may_purge(self.holder, now_ms + LEASE_MS, now_ms).await?)
    }

    /// Enters what the run came to, also where it found nothing: that is what proves that nothing is left.
    async fn end(
        &self,
        tenant: &TenantRoute,
        sought: &Sought,
        mut run: Run,
    ) -> Result<Option<Purged>, FlowError> {
        let reader = self.live.store().reader(TenantScope::Only(sought.tenant));
        let left_held = reader.count_due(sought, Of::Held, ALL).await?;
        let left_restricted = reader.count_due(sought, Of::Restricted, ALL).await?;
        run.left_held = signed(left_held);
        run.left_restricted = signed(left_restricted);
        run.ended_at_ms = Some(self.live.now_ms());
        let tx = self.live.store().begin(TenantScope::Only(sought.tenant)).await?;
        if !self.is_ours(&tx).await? {
            return Ok(None);
        }
        let number = tx.note_run(&mut run).await?;
        let mut event = self.event(sought, "retention.purged", "purged", number);
        event.count = Some(run.removed);
        event.counts = counts([("held", run.left_held), ("restricted", run.left_restricted)]);
        event.changes = vec![Change {
            field: "cut_off",
            old: None,
            new: Some(rfc3339(sought.cut_off_ms)),
        }];
        tx.end_purge(self.holder).await?;
        tx.commit_with(&event.into()).await?;
        Ok(Some(Purged {
            tenant: TenantId(tenant.tenant.object.id),
            class: sought.class,
            cut_off_ms: sought.cut_off_ms,
            removed: u64::try_from(run.removed).unwrap_or(0),
            left_held,
            left_restricted,
        }))
    }

    /// Destroys the keys of months that are over for every class: whatever any copy still holds of them is unreadable.
    async fn months(
        &self,
        tenant: &TenantRoute,
        rules: &[Rule],
        report: &mut PurgeReport,
    ) -> Result<(), FlowError> {
        let now_ms = self.live.now_ms();
        let days = days_of(Class::Click, rule_of(rules, Class::Click)).unwrap_or(0);
        let window_days = tenant
            .campaigns
            .values()
            .map(|campaign| campaign.window_seconds / 86_400)
            .max();
        // A click of such a month can no longer be there, nor anything be recorded for one.
        let oldest_ms = now_ms - click_days(days, window_days.unwrap_or(0)) * DAY_MS;
        let before = epoch_of(oldest_ms.div_euclid(1_000));
        let reader = self.live.store().reader(tenant.scope());
        for month in reader.empty_months(tenant.number(), before).await? {
            let tx = self.live.store().begin(tenant.scope()).await?;
            let ours = self.is_ours(&tx).await?;
            if !ours || !tx.destroy_month(tenant.number(), month, now_ms).await? {
                continue;
            }
            let mut event = self
                .live
                .event(tenant.number(), "key.destroyed", &self.actor, "destroyed");
            event.object = Some(format!("epoch:{month}"));
            event.reason = Some("retention");
            tx.owe_keys_and_cases(self.live.new_id(), now_ms).await?;
            tx.end_purge(self.holder).await?;
            tx.touch_routing().await?;
            tx.commit_with(&event.into()).await?;
            report.months.push((TenantId(tenant.tenant.object.id), month));
        }
        // The keys go from memory, too.
        self.live.reload_if_changed().await?;
        Ok(())
    }

    fn event(&self, sought: &Sought, action: &'static str, outcome: &'static str, number: i64) -> AuditEvent {
        let mut event = self.live.event(sought.tenant, action, &self.actor, outcome);
        event.object = Some(format!("retention_run:{number}"));
        event.reason = Some(sought.class.code());
        event
    }
}

/// Removes those candidates that are still due; returns how many, and how many proofs remain of them.
async fn remove(
    tx: &Tx,
    tenant: &TenantRoute,
    sought: &Sought,
    candidates: &[Candidate],
) -> Result<(u64, u64), FlowError> {
    let number = sought.tenant;
    match sought.class {
        Class::Click => {
            let due = tx.due_clicks(sought, candidates).await?;
            let clicks: Vec<ClickKey> = due.iter().map(|click| click.key).collect();
            let of_click = due.iter().map(|click| Proof {
                name: RecordKey::Click(click.key).proof_name(&tenant.keys),
                recorded_at_ms: click.clicked_at_ms,
                consent_bits: click.consent_bits,
                policy_version: click.policy_version,
            });
            let signals = tx.later_signals(number, &clicks).await?;
            let of_signal = signals.iter().map(|signal| Proof {
                name: RecordKey::Signal(signal.click, signal.id).proof_name(&tenant.keys),
                recorded_at_ms: signal.recorded_at_ms,
                consent_bits: signal.consent_bits,
                policy_version: signal.policy_version,
            });
            let proofs: Vec<Proof> = of_click.chain(of_signal).collect();
            let made = tx.insert_proofs(number, &proofs).await?;
            Ok((tx.remove_clicks(sought, &clicks).await?, made))
        }
        Class::ConversionDetails => {
            let due = tx.due_conversions(sought, candidates).await?;
            let proofs: Vec<Proof> = due
                .iter()
                .map(|conversion| Proof {
                    name: RecordKey::Conversion(conversion.id).proof_name(&tenant.keys),
                    recorded_at_ms: crate::domain::ids::millis_of(conversion.id),
                    consent_bits: conversion.consent_bits,
                    policy_version: conversion.policy_version,
                })
                .collect();
            let made = tx.insert_proofs(number, &proofs).await?;
            Ok((tx.empty_conversions(sought, &due).await?, made))
        }
        Class::TestConversion => {
            let due = tx.due_conversions(sought, candidates).await?;
            Ok((tx.remove_tests(sought, &due).await?, 0))
        }
        Class::SubjectRequest => Ok((tx.remove_cases(sought, candidates).await?, 0)),
        _ => Ok((tx.remove_plain(sought, candidates).await?, 0)),
    }
}

/// The counts that are not 0.
fn counts<const N: usize>(all: [(&'static str, i64); N]) -> Vec<Count> {
    let some: BTreeSet<(&str, i64)> = all.into_iter().filter(|(_, count)| *count != 0).collect();
    some.into_iter()
        .map(|(reason, count)| Count {
            count,
            reason: reason.to_owned(),
        })
        .collect()
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn rfc3339(at_ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(at_ms).map_or_else(String::new, |at| {
        at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    })
}
