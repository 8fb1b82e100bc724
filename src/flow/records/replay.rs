//! Deciding everything again: every tracked click, accepted postback and later signal, a chunk at a time.
//!
//! Under the recorded policy versions the code in force has to come to the same: any difference is a fault, here or
//! there. Under another policy the same records answer what it would have done, as counts. What was refused left
//! nothing, and cannot be replayed.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::domain::event::Actor;
use crate::domain::ids::RecordId;
use crate::domain::policy::Policy;
use crate::domain::record::{ACCEPTED, Record, RecordKind, Redone, redo};
use crate::domain::routing::TenantRoute;
use crate::domain::scope::TenantScope;
use crate::flow::{FlowError, Live};
use crate::store::records::RecordFilter;

/// Records that are read at once.
const CHUNK: u64 = 500;
/// The most differences that are named; all are counted.
const NAMED_MAX: usize = 100;

/// What became of the records of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Decided as recorded.
    pub equal: u64,
    /// Decided otherwise.
    pub different: u64,
    /// Of before inputs were kept.
    pub without_inputs: u64,
    /// Sealed under a key that is gone, or damaged.
    pub unreadable: u64,
}

/// A decision that comes to something else now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The record.
    pub id: RecordId,
    /// What it is about.
    pub kind: RecordKind,
    /// The policy version that decided.
    pub policy_version: u16,
    /// State and answers as recorded.
    pub recorded_bits: i64,
    /// What it comes to now.
    pub redone: Redone,
}

/// What a policy would have done with the records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulation {
    /// By kind and reason under the policy.
    pub reasons: BTreeMap<(RecordKind, &'static str), u64>,
    /// Records whose TC string was read for another vendor than the policy's: what it says for that one is not kept.
    pub other_vendor: u64,
}

/// What came of replaying one tenant's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayReport {
    /// The tenant's slug.
    pub tenant: String,
    /// By kind.
    pub tallies: BTreeMap<RecordKind, Tally>,
    /// The first differences.
    pub differences: Vec<Difference>,
    /// What the other policy would have done, if one was given.
    pub simulation: Option<Simulation>,
}

impl ReplayReport {
    /// How many records were looked at.
    pub fn looked_at(&self) -> u64 {
        let of_one = |tally: &Tally| tally.equal + tally.different + tally.without_inputs + tally.unreadable;
        self.tallies.values().map(of_one).sum()
    }

    /// How many decisions come to something else.
    pub fn different(&self) -> u64 {
        self.tallies.values().map(|tally| tally.different).sum()
    }
}

/// Replays records.
#[derive(Clone)]
pub struct ReplayFlow {
    live: Arc<Live>,
}

impl ReplayFlow {
    /// Over the shared parts.
    pub fn new(live: Arc<Live>) -> Self {
        Self { live }
    }

    /// Replays every tenant's records, in the order of their numbers; `progress` is told how many were looked at.
    pub async fn run(
        &self,
        simulated: Option<&Policy>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Vec<ReplayReport>, FlowError> {
        let routing = self.live.routing();
        let mut numbers: Vec<i64> = routing.tenants.keys().copied().collect();
        numbers.sort_unstable();
        let mut reports = Vec::with_capacity(numbers.len());
        let tenants = numbers.iter().filter_map(|number| routing.tenants.get(number));
        for tenant in tenants.filter(|tenant| !tenant.keys.is_locked()) {
            reports.push(self.tenant(tenant, simulated, progress).await?);
        }
        Ok(reports)
    }

    async fn tenant(
        &self,
        tenant: &TenantRoute,
        simulated: Option<&Policy>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<ReplayReport, FlowError> {
        let mut run = Run {
            tenant,
            simulated,
            report: ReplayReport {
                tenant: tenant.tenant.slug.clone(),
                tallies: RecordKind::ALL.map(|kind| (kind, Tally::default())).into(),
                differences: Vec::new(),
                simulation: simulated.map(|_| Simulation::default()),
            },
            policies: HashMap::new(),
        };
        for kind in RecordKind::ALL {
            let mut last = None;
            loop {
                let reader = self.live.store().reader(tenant.scope());
                let filter = RecordFilter::default();
                let chunk = reader
                    .records(tenant.number(), kind, &filter, last.as_ref(), CHUNK)
                    .await?;
                let Some(end) = chunk.last() else { break };
                last = Some(end.key);
                for record in &chunk {
                    if let Entry::Vacant(slot) = run.policies.entry(record.policy_version) {
                        let found = reader.policy_document(tenant.number(), record.policy_version);
                        slot.insert(found.await?);
                    }
                    run.look_at(record);
                }
                progress(u64::try_from(chunk.len()).unwrap_or(0));
            }
        }
        let report = run.report;
        self.note(tenant.number(), report.looked_at()).await?;
        Ok(report)
    }

    /// What was sealed was opened for it, so it stands in the tenant's trail.
    async fn note(&self, tenant: i64, records: u64) -> Result<(), FlowError> {
        if records == 0 {
            return Ok(());
        }
        let action = "consent_records.replayed";
        let mut event = self.live.event(tenant, action, &Actor::CommandLine, "replayed");
        event.count = i64::try_from(records).ok();
        let tx = self.live.store().begin(TenantScope::Only(tenant)).await?;
        Ok(tx.commit_with(&event.into()).await?)
    }
}

struct Run<'a> {
    tenant: &'a TenantRoute,
    simulated: Option<&'a Policy>,
    report: ReplayReport,
    policies: HashMap<u16, Option<Policy>>,
}

impl Run<'_> {
    fn look_at(&mut self, record: &Record) {
        let kind = record.key.kind();
        let tally = self.report.tallies.entry(kind).or_default();
        let policy = self.policies.get(&record.policy_version).and_then(Option::as_ref);
        let (Some(opened), Some(policy)) = (record.open(&self.tenant.keys), policy) else {
            tally.unreadable += 1;
            return;
        };
        let Some(inputs) = opened.inputs else {
            tally.without_inputs += 1;
            return;
        };
        let redone = redo(record, &inputs, policy);
        if redone.agrees(record, &inputs) {
            tally.equal += 1;
        } else {
            tally.different += 1;
            if self.report.differences.len() < NAMED_MAX {
                self.report.differences.push(Difference {
                    id: record.key.seal(&self.tenant.keys),
                    kind,
                    policy_version: record.policy_version,
                    recorded_bits: record.consent_bits,
                    redone,
                });
            }
        }
        if let (Some(policy), Some(simulation)) = (self.simulated, &mut self.report.simulation) {
            let reason = redo(record, &inputs, policy).reason;
            *simulation.reasons.entry((kind, reason)).or_default() += 1;
            let read_for =
                |facts: &crate::domain::tcf::TcFacts| facts.standing.map(|standing| standing.vendor);
            let asked = policy.tcf_vendor_id;
            if asked.is_some() && inputs.evidence.tc().is_some_and(|facts| read_for(facts) != asked) {
                simulation.other_vendor += 1;
            }
        }
    }
}

/// The word for a kind's verdict: what is recorded, or what the policy would have made of it.
pub fn outcome(kind: RecordKind, reason: &str) -> &'static str {
    match (kind, reason == ACCEPTED) {
        (RecordKind::Click, true) => "tracked",
        (RecordKind::Click, false) => "untracked",
        (RecordKind::Postback, true) => "recorded",
        (RecordKind::Postback, false) => "refused",
        (RecordKind::Signal, true) => "applied",
        (RecordKind::Signal, false) => "no_effect",
    }
}
