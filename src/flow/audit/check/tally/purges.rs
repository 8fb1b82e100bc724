//! What the entries say of purges, and its comparison with what is left.
//!
//! Each chunk of a purge is an entry with its count, so that at no moment rows are fewer than the log says; the entry at the
//! end of a run says the sum of its chunks.

use std::collections::{BTreeMap, BTreeSet};

use super::{by_tenant, compare};
use crate::audit::check::{Findings, Seen};
use crate::domain::retention::Class;
use crate::store::audit::check::CheckState;

/// A run as its entries tell of it.
#[derive(Debug, Default)]
struct Run {
    /// In its chunks.
    removed: i64,
    /// In its last entry, once it has ended.
    total: Option<i64>,
}

/// Sums over the entries of purges.
#[derive(Debug, Default)]
pub(super) struct Purges {
    /// Rows that went, by tenant and class.
    removed: BTreeMap<(i64, Class), i64>,
    /// Proofs that were made of consent records.
    proofs: BTreeMap<i64, i64>,
    /// Runs by tenant and name.
    runs: BTreeMap<(i64, String), Run>,
}

impl Purges {
    /// Counts an entry.
    pub(super) fn count(&mut self, seen: &Seen<'_>) {
        let (tenant, count) = (seen.tenant, seen.count.unwrap_or(0));
        let run = || (tenant, seen.object.unwrap_or_default().to_owned());
        match seen.action {
            // Test conversions, as earlier versions removed them.
            "conversions.purged" => {
                *self.removed.entry((tenant, Class::TestConversion)).or_default() += count;
            }
            "retention.removed" => {
                if let Some(class) = seen.reason.and_then(Class::from_code) {
                    *self.removed.entry((tenant, class)).or_default() += count;
                }
                for made in &seen.counts {
                    if made.reason == "minimal_proof" {
                        *self.proofs.entry(tenant).or_default() += made.count;
                    }
                }
                self.runs.entry(run()).or_default().removed += count;
            }
            "retention.purged" => self.runs.entry(run()).or_default().total = Some(count),
            _ => {}
        }
    }

    /// How many rows of a class went.
    pub(super) fn of(&self, tenant: i64, class: Class) -> i64 {
        self.removed.get(&(tenant, class)).copied().unwrap_or(0)
    }

    /// Compares with rows of the same moment, and the runs' last entries with their chunks.
    pub(super) fn hold_against(&self, state: &CheckState, found: &mut Findings) {
        let emptied = by_tenant(&state.purged_conversions);
        let proofs = by_tenant(&state.proof_rows);
        let by_runs = by_tenant(&state.removed_by_runs);
        let removed = self.runs.iter().map(|((tenant, _), run)| (*tenant, run.removed));
        let mut in_chunks: BTreeMap<i64, i64> = BTreeMap::new();
        for (tenant, count) in removed {
            *in_chunks.entry(tenant).or_default() += count;
        }
        let tenants: BTreeSet<i64> = in_chunks
            .keys()
            .chain(emptied.keys())
            .chain(proofs.keys())
            .chain(by_runs.keys())
            .copied()
            .collect();
        for tenant in tenants {
            let of = |sums: &BTreeMap<i64, i64>| sums.get(&tenant).copied().unwrap_or(0);
            let details = self.of(tenant, Class::ConversionDetails);
            let words = "rows of conversions whose details had their time";
            compare(found, tenant, words, details, of(&emptied));
            let kept = of(&self.proofs) - self.of(tenant, Class::MinimalProof);
            compare(found, tenant, "rows of minimal proofs", kept, of(&proofs));
            compare(
                found,
                tenant,
                "rows removed by purges",
                of(&in_chunks),
                of(&by_runs),
            );
        }
        for ((tenant, name), run) in &self.runs {
            if let Some(total) = run.total {
                compare(
                    found,
                    *tenant,
                    &format!("rows removed by {name}"),
                    run.removed,
                    total,
                );
            }
        }
    }
}
