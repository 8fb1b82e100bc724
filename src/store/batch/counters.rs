//! Counters: what a batch adds to the reports, in the same transaction.

use std::collections::BTreeMap;

use super::super::cells::{Cells, Rows};
use super::super::connect::StoreError;
use super::super::tx::{Batch, Expected};

/// A counter of clicks and conversions: (tenant, quarter-hour, shop, campaign, publisher, link, goal, currency,
/// outcome) → (events, amount).
pub type HourKey = (i64, i64, i64, i64, i64, i64, i64, &'static str, &'static str);
/// A counter of refused and dropped postbacks: (tenant, day, shop, campaign, outcome, reason).
pub type RefusedKey = (i64, i64, i64, i64, &'static str, &'static str);
/// A counter of untracked clicks: (tenant, day, campaign, reason, policy version).
pub type UntrackedKey = (i64, i64, i64, &'static str, i64);

/// A counter of what a draft policy said beside the one in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShadowKey {
    /// The tenant's number.
    pub tenant: i64,
    /// The number of the draft's record.
    pub draft: i64,
    /// The day in the tenant's time zone.
    pub day: i64,
    /// The campaign's number; 0 where it is not known or not counted.
    pub campaign: i64,
    /// `click` or `postback`.
    pub kind: &'static str,
    /// What came of it under the policy in force: outcome and reason.
    pub in_force: (&'static str, &'static str),
    /// What would have come of it under the draft.
    pub draft_says: (&'static str, &'static str),
}

/// Counters of one batch, summed up.
#[derive(Debug, Default)]
pub struct Counters {
    /// Clicks and conversions.
    pub hours: BTreeMap<HourKey, (i64, i64)>,
    /// Refused and dropped postbacks.
    pub refused: BTreeMap<RefusedKey, i64>,
    /// Untracked clicks.
    pub untracked: BTreeMap<UntrackedKey, i64>,
    /// What a draft said; empty where none runs.
    pub shadow: BTreeMap<ShadowKey, i64>,
}

impl Batch {
    /// Adds counters; the lane is part of the key, so that writers do not wait for one another.
    pub fn add_counters(&mut self, counters: &Counters, lane: i64) -> Result<(), StoreError> {
        let keys: Vec<&HourKey> = counters.hours.keys().collect();
        let int = |value: fn(&HourKey) -> i64| Cells::Int(keys.iter().map(|key| value(key)).collect());
        let text =
            |value: fn(&HourKey) -> &'static str| Cells::Word(keys.iter().map(|key| value(key)).collect());
        let hours = Rows {
            before: "INSERT INTO stat_hour (tenant, quarter, shop, campaign, publisher, link, goal, currency, outcome, \
                     lane, events, amount_minor)",
            cells: vec![
                int(|key| key.0),
                int(|key| key.1),
                int(|key| key.2),
                int(|key| key.3),
                int(|key| key.4),
                int(|key| key.5),
                int(|key| key.6),
                text(|key| key.7),
                text(|key| key.8),
                Cells::Int(vec![lane; keys.len()]),
                Cells::Int(counters.hours.values().map(|(events, _)| *events).collect()),
                Cells::Int(counters.hours.values().map(|(_, amount)| *amount).collect()),
            ],
            after: "ON CONFLICT (tenant, quarter, shop, campaign, publisher, link, goal, currency, outcome, lane) \
                    DO UPDATE SET events = stat_hour.events + excluded.events, \
                    amount_minor = stat_hour.amount_minor + excluded.amount_minor",
        };
        self.insert(hours, Expected::Any)?;
        self.add_refused(&counters.refused, lane)?;
        self.add_untracked(&counters.untracked, lane)?;
        if counters.shadow.is_empty() {
            return Ok(());
        }
        self.add_shadow(&counters.shadow, lane)
    }

    fn add_shadow(&mut self, shadow: &BTreeMap<ShadowKey, i64>, lane: i64) -> Result<(), StoreError> {
        let keys: Vec<&ShadowKey> = shadow.keys().collect();
        let int = |value: fn(&ShadowKey) -> i64| Cells::Int(keys.iter().map(|key| value(key)).collect());
        let text =
            |value: fn(&ShadowKey) -> &'static str| Cells::Word(keys.iter().map(|key| value(key)).collect());
        let rows = Rows {
            before: "INSERT INTO stat_shadow (tenant, draft, day, campaign, kind, outcome, reason, draft_outcome, \
                     draft_reason, lane, events)",
            cells: vec![
                int(|key| key.tenant),
                int(|key| key.draft),
                int(|key| key.day),
                int(|key| key.campaign),
                text(|key| key.kind),
                text(|key| key.in_force.0),
                text(|key| key.in_force.1),
                text(|key| key.draft_says.0),
                text(|key| key.draft_says.1),
                Cells::Int(vec![lane; keys.len()]),
                Cells::Int(shadow.values().copied().collect()),
            ],
            after: "ON CONFLICT (tenant, draft, day, campaign, kind, outcome, reason, draft_outcome, draft_reason, lane) \
                    DO UPDATE SET events = stat_shadow.events + excluded.events",
        };
        self.insert(rows, Expected::Any)
    }

    fn add_refused(&mut self, refused: &BTreeMap<RefusedKey, i64>, lane: i64) -> Result<(), StoreError> {
        let keys: Vec<&RefusedKey> = refused.keys().collect();
        let int = |value: fn(&RefusedKey) -> i64| Cells::Int(keys.iter().map(|key| value(key)).collect());
        let rows = Rows {
            before: "INSERT INTO stat_refused (tenant, day, shop, campaign, outcome, reason, lane, events)",
            cells: vec![
                int(|key| key.0),
                int(|key| key.1),
                int(|key| key.2),
                int(|key| key.3),
                Cells::Word(keys.iter().map(|key| key.4).collect()),
                Cells::Word(keys.iter().map(|key| key.5).collect()),
                Cells::Int(vec![lane; keys.len()]),
                Cells::Int(refused.values().copied().collect()),
            ],
            after: "ON CONFLICT (tenant, day, shop, campaign, outcome, reason, lane) \
                    DO UPDATE SET events = stat_refused.events + excluded.events",
        };
        self.insert(rows, Expected::Any)
    }

    fn add_untracked(
        &mut self,
        untracked: &BTreeMap<UntrackedKey, i64>,
        lane: i64,
    ) -> Result<(), StoreError> {
        let keys: Vec<&UntrackedKey> = untracked.keys().collect();
        let int = |value: fn(&UntrackedKey) -> i64| Cells::Int(keys.iter().map(|key| value(key)).collect());
        let rows = Rows {
            before: "INSERT INTO stat_untracked (tenant, day, campaign, reason, policy_version, lane, events)",
            cells: vec![
                int(|key| key.0),
                int(|key| key.1),
                int(|key| key.2),
                Cells::Word(keys.iter().map(|key| key.3).collect()),
                int(|key| key.4),
                Cells::Int(vec![lane; keys.len()]),
                Cells::Int(untracked.values().copied().collect()),
            ],
            after: "ON CONFLICT (tenant, day, campaign, reason, policy_version, lane) \
                    DO UPDATE SET events = stat_untracked.events + excluded.events",
        };
        self.insert(rows, Expected::Any)
    }
}
