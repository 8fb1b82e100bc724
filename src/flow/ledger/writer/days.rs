//! The day, and the key, under which something is counted.

use super::UntrackedCommand;
use crate::domain::campaign::{day_text, local_day};
use crate::domain::policy::UntrackedCounts;
use crate::domain::routing::TenantRoute;
use crate::store::batch::counters::UntrackedKey;

/// Where an untracked click is counted under the policy in force at its time.
pub(in crate::flow) fn untracked_key(tenant: &TenantRoute, untracked: &UntrackedCommand) -> UntrackedKey {
    let policy = tenant.policy_at(untracked.now_ms);
    let campaign = match policy.policy.untracked_counts {
        UntrackedCounts::Campaign => untracked.campaign,
        UntrackedCounts::Tenant => 0,
    };
    let day = local_day(untracked.now_ms, tenant.zone);
    (
        tenant.number(),
        day,
        campaign,
        untracked.reason.code(),
        i64::from(policy.version),
    )
}

/// The day that a refusal is kept under.
pub(in crate::flow::ledger) fn day_of(tenant: &TenantRoute, now_ms: i64) -> (i64, String) {
    let day = local_day(now_ms, tenant.zone);
    (day, day_text(day))
}
