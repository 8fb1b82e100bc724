//! The draft policy in the shadow of the one in force: what it says is counted beside what was done, and nothing more.
//!
//! Every click and postback that the policy in force decides is counted once, in the transaction of its decision, by
//! what came of it and what would have come of it. Tests and dry runs are in no report and so not in this one.

use super::super::command::{DraftSays, PostbackCommand};
use super::Work;
use crate::domain::attribution::{self, Facts};
use crate::domain::campaign::local_day;
use crate::domain::policy::UntrackedCounts;
use crate::domain::refusal::{Outcome, Reason, Untracked};
use crate::domain::routing::TenantRoute;
use crate::store::batch::counters::ShadowKey;

/// An outcome and its reason, as they are counted.
type Said = (&'static str, &'static str);

impl Work {
    /// Notes what the draft said of a click. A draft that has been replaced since says nothing any more.
    pub(in crate::flow::ledger) fn compare_click(
        &mut self,
        tenant: &TenantRoute,
        campaign: i64,
        now_ms: i64,
        click: Result<(), Untracked>,
        draft: DraftSays,
    ) {
        let is_running = tenant
            .shadow
            .as_ref()
            .is_some_and(|shadow| shadow.draft == draft.draft);
        if is_running {
            let (in_force, draft_says) = (of_click(click), of_click(draft.click));
            let key = key(tenant, draft.draft, campaign, now_ms, "click");
            self.count_shadow(ShadowKey {
                in_force,
                draft_says,
                ..key
            });
        }
    }

    /// Asks the draft about a postback on the same facts, and notes what it said.
    pub(in crate::flow::ledger) fn compare_postback(
        &mut self,
        tenant: &TenantRoute,
        postback: &PostbackCommand,
        campaign: i64,
        facts: &Facts<'_>,
        in_force: (Outcome, Reason),
    ) {
        let (Some(shadow), Some((draft, consent))) = (&tenant.shadow, &postback.draft) else {
            return;
        };
        if shadow.draft != *draft || postback.test || postback.dry_run {
            return;
        }
        let verdict = attribution::decide(&Facts {
            consent,
            policy: &shadow.policy,
            ..*facts
        });
        let mode = tenant.refusal_mode(postback.shop, &shadow.policy);
        let (outcome, reason) = in_force;
        let key = key(tenant, *draft, campaign, postback.now_ms, "postback");
        self.count_shadow(ShadowKey {
            in_force: (outcome.code(), reason.code()),
            draft_says: (mode.outcome(verdict.reason).code(), verdict.reason.code()),
            ..key
        });
    }

    fn count_shadow(&mut self, key: ShadowKey) {
        *self.counters.shadow.entry(key).or_default() += 1;
    }
}

fn of_click(click: Result<(), Untracked>) -> Said {
    match click {
        Ok(()) => ("tracked", Reason::Accepted.code()),
        Err(reason) => ("untracked", reason.code()),
    }
}

/// The part of the key that does not depend on what was said. Where campaigns are too small to be counted by
/// themselves, that holds here, too.
fn key(tenant: &TenantRoute, draft: i64, campaign: i64, now_ms: i64, kind: &'static str) -> ShadowKey {
    let campaign = match tenant.policy_at(now_ms).policy.untracked_counts {
        UntrackedCounts::Campaign => campaign,
        UntrackedCounts::Tenant => 0,
    };
    ShadowKey {
        tenant: tenant.number(),
        draft,
        day: local_day(now_ms, tenant.zone),
        campaign,
        kind,
        in_force: ("", ""),
        draft_says: ("", ""),
    }
}
