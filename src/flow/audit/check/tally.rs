//! What the entries say in sum, and the comparison with rows and counters.

use std::collections::{BTreeMap, HashSet};

mod purges;

use self::purges::Purges;
use super::Tenants;
use crate::audit::check::{Findings, Kind, Seen};
use crate::domain::campaign::day_text;
use crate::domain::ids::ErasureId;
use crate::domain::retention::Class;
use crate::store::audit::check::{CheckState, TenantSum};
use crate::store::audit::check_rows::{NamedRow, object_kinds};

/// A tenant, a day, and two words or a number: what refusals and later signals are counted by.
type Refusal = (i64, String, String, String);

/// Sums over the entries of logs.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Clicks in batches, by tenant.
    tracked: BTreeMap<i64, i64>,
    /// Clicks that were erased.
    erased: BTreeMap<i64, i64>,
    /// Those of them that were erased by an act with a row of its own.
    acts: BTreeMap<i64, i64>,
    /// Erasures that found anything.
    erasures: BTreeMap<i64, i64>,
    /// Accepted postbacks, tests included.
    recorded: BTreeMap<i64, i64>,
    /// What had its time.
    purges: Purges,
    /// Refused and dropped postbacks that are no tests.
    refused: BTreeMap<Refusal, i64>,
    /// Untracked clicks of closed days.
    untracked: BTreeMap<(i64, String), i64>,
    /// Confirmations by later signals, by day and policy version.
    confirmed: BTreeMap<(i64, String, i64), i64>,
    /// Objects that an entry tells of.
    objects: HashSet<(i64, String)>,
    /// Keys that an entry says were destroyed.
    destroyed: HashSet<(i64, String)>,
}

impl Tally {
    /// Counts an entry.
    pub(super) fn count(&mut self, seen: &Seen<'_>) {
        let tenant = seen.tenant;
        let day = || seen.day.unwrap_or_default().to_owned();
        let count = seen.count.unwrap_or(0);
        match (seen.action, seen.outcome) {
            ("click.batch", _) => *self.tracked.entry(tenant).or_default() += count,
            ("click.erased", outcome) => {
                *self.erased.entry(tenant).or_default() += count;
                *self.erasures.entry(tenant).or_default() += i64::from(outcome == "erased");
                if seen
                    .object
                    .is_some_and(|object| object.starts_with(ErasureId::PREFIX))
                {
                    *self.acts.entry(tenant).or_default() += count;
                }
            }
            ("clicks.untracked", _) => *self.untracked.entry((tenant, day())).or_default() += count,
            ("consent.changed", "granted") => {
                let key = (tenant, day(), seen.policy_version.unwrap_or(0));
                *self.confirmed.entry(key).or_default() += 1;
            }
            ("postback.verdict", "recorded") => *self.recorded.entry(tenant).or_default() += 1,
            ("postback.verdict", "refused" | "dropped") if !seen.test => {
                let reason = seen.reason.unwrap_or_default().to_owned();
                let key = (tenant, day(), seen.outcome.to_owned(), reason);
                *self.refused.entry(key).or_default() += 1;
            }
            _ => {}
        }
        self.purges.count(seen);
        if let Some(object) = seen.object {
            let object = (tenant, object.to_owned());
            match seen.action {
                // What is destroyed has no row any more; if it has one again, no entry tells of that.
                "key.destroyed" => drop(self.destroyed.insert(object)),
                // These speak of keys whose making another entry tells of.
                "key.rewrapped" | "key.rotated" => {}
                _ => drop(self.objects.insert(object)),
            }
        }
    }

    /// Whether an entry tells of this row. Each may be asked for once.
    pub(super) fn takes(&mut self, row: &NamedRow) -> bool {
        let object = (row.tenant, format!("{}:{}", row.kind, row.number));
        // A key that the log says was destroyed is told of by nothing: somebody put it back.
        self.objects.remove(&object) && !self.destroyed.contains(&object)
    }

    /// Objects that entries tell of and that were not asked for.
    pub(super) fn objects_left(&self) -> Vec<(i64, String)> {
        let is_row = |object: &str| {
            let kind = object.split_once(':').map(|(kind, _)| kind);
            kind.is_some_and(|kind| object_kinds().any(|known| known == kind))
        };
        let left = self.objects.difference(&self.destroyed);
        let left = left.filter(|(_, object)| is_row(object));
        let mut left: Vec<_> = left.cloned().collect();
        left.sort();
        left
    }

    /// Takes one confirmation of this day and policy version, if there is one left.
    pub(super) fn confirm(&mut self, tenant: i64, day: String, policy_version: i64) -> bool {
        let left = self.confirmed.get_mut(&(tenant, day, policy_version));
        left.is_some_and(|left| {
            *left -= 1;
            *left >= 0
        })
    }

    /// Compares with rows and counters of the same moment.
    pub(super) fn hold_against(&self, state: &CheckState, found: &mut Findings) {
        let counted = by_tenant(&state.counted_clicks);
        let clicks = by_tenant(&state.click_rows);
        let conversions = by_tenant(&state.conversion_rows);
        let acts = by_tenant(&state.erasures);
        let tenants: std::collections::BTreeSet<i64> = self
            .tracked
            .keys()
            .chain(self.recorded.keys())
            .chain(counted.keys())
            .chain(clicks.keys())
            .chain(conversions.keys())
            .chain(acts.keys())
            .copied()
            .collect();
        for tenant in tenants {
            let of = |sums: &BTreeMap<i64, i64>| sums.get(&tenant).copied().unwrap_or(0);
            let tracked = of(&self.tracked);
            compare(found, tenant, "clicks in counters", tracked, of(&counted));
            let kept = tracked - of(&self.erased) - self.purges.of(tenant, Class::Click);
            compare(found, tenant, "rows of clicks", kept, of(&clicks));
            let kept = of(&self.recorded) - self.purges.of(tenant, Class::TestConversion);
            compare(found, tenant, "rows of conversions", kept, of(&conversions));
            compare(found, tenant, "clicks of erasures", of(&self.acts), of(&acts));
        }
        self.purges.hold_against(state, found);
        for sum in &state.erased_conversions {
            if sum.events > 0 && self.erasures.get(&sum.tenant).copied().unwrap_or(0) == 0 {
                compare(found, sum.tenant, "rows of erased conversions", 0, sum.events);
            }
        }
        self.hold_days_against(state, found);
    }

    fn hold_days_against(&self, state: &CheckState, found: &mut Findings) {
        let mut refused: BTreeMap<Refusal, i64> = BTreeMap::new();
        for sum in state.refused.iter().filter(|sum| sum.events != 0) {
            let key = (
                sum.tenant,
                day_text(sum.day),
                sum.outcome.clone(),
                sum.reason.clone(),
            );
            *refused.entry(key).or_default() += sum.events;
        }
        for key in self
            .refused
            .keys()
            .chain(refused.keys().filter(|key| !self.refused.contains_key(*key)))
        {
            let (tenant, day, outcome, reason) = key;
            let what = format!("{outcome} postbacks of {day} for {reason}");
            let of = |sums: &BTreeMap<Refusal, i64>| sums.get(key).copied().unwrap_or(0);
            compare(found, *tenant, &what, of(&self.refused), of(&refused));
        }
        let mut days: BTreeMap<(i64, String), i64> = BTreeMap::new();
        for sum in &state.untracked_days {
            *days.entry((sum.tenant, day_text(sum.day))).or_default() += sum.events;
        }
        for key in self
            .untracked
            .keys()
            .chain(days.keys().filter(|key| !self.untracked.contains_key(*key)))
        {
            let what = format!("untracked clicks of {}", key.1);
            let of = |sums: &BTreeMap<(i64, String), i64>| sums.get(key).copied().unwrap_or(0);
            compare(found, key.0, &what, of(&self.untracked), of(&days));
        }
    }
}

pub(super) fn by_tenant(sums: &[TenantSum]) -> BTreeMap<i64, i64> {
    sums.iter().map(|sum| (sum.tenant, sum.events)).collect()
}

pub(super) fn compare(found: &mut Findings, tenant: i64, what: &str, logged: i64, stored: i64) {
    if logged != stored {
        let place = format!("{what}: {stored} are stored, the log says {logged}");
        found.add(Kind::CountDiffers, tenant, None, None, place);
    }
}

impl CheckState {
    /// Leaves only some tenants.
    pub(super) fn keep_only(&mut self, wanted: Tenants) {
        self.logs.retain(|one| wanted.hold(one.log.tenant));
        self.waiting.retain(|one| wanted.hold(one.tenant));
        self.refused.retain(|one| wanted.hold(one.tenant));
        self.untracked_days.retain(|one| wanted.hold(one.tenant));
        for sums in [
            &mut self.counted_clicks,
            &mut self.click_rows,
            &mut self.conversion_rows,
            &mut self.erased_conversions,
            &mut self.erasures,
            &mut self.purged_conversions,
            &mut self.proof_rows,
            &mut self.removed_by_runs,
        ] {
            sums.retain(|one| wanted.hold(one.tenant));
        }
    }
}
