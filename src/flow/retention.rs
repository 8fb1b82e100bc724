//! Retention: a tenant's rules, what is planned against what was done, and the purge.
//!
//! What is due is told by the same text that purges (`store::purge`), so that what is shown and what is done cannot differ.

mod purge;

use std::sync::Arc;

use uuid::Uuid;

pub use purge::{PurgeEnd, PurgeReport, Purged, Purger};

use super::objects::Caller;
use super::{FlowError, Live};
use crate::domain::draft::differences;
use crate::domain::ids::TenantId;
use crate::domain::retention::{Class, LongerReason, OVERDUE_MS, Rule, Term, cut_off_ms, days_of};
use crate::domain::scope::TenantScope;
use crate::store::purge::{Of, Sought};
use crate::store::retention::Run;

/// Due rows that are counted at most: a page has to answer at once, however much there is.
pub const COUNTED_MAX: u64 = 10_000;

/// How a class of data stands in one tenant.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// The class.
    pub class: Class,
    /// How its time is told.
    pub term: Term,
    /// How many days it is kept.
    pub days: Option<i64>,
    /// The tenant's own rule, if it has one.
    pub rule: Option<Rule>,
    /// Rows from before this have had their time, in milliseconds since 1970; nothing where nothing is purged.
    pub cut_off_ms: Option<i64>,
    /// Rows that the next purge removes.
    pub due: u64,
    /// Rows beyond their time that a hold keeps.
    pub held: u64,
    /// Rows beyond their time of people whose data is frozen.
    pub restricted: u64,
    /// The moment that the oldest row's age counts from.
    pub oldest_ms: Option<i64>,
    /// The last purge.
    pub last: Option<Run>,
    /// Whether rows are there that should have gone long ago.
    pub overdue: bool,
}

/// A class of one tenant that is overdue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overdue {
    /// The tenant.
    pub tenant: TenantId,
    /// The class.
    pub class: Class,
}

/// Rows of a class whose time is over at a moment, with the holds of now.
fn sought(tenant: i64, class: Class, rules: &[Rule], at_ms: i64, now_ms: i64, mark: Uuid) -> Sought {
    Sought {
        tenant,
        class,
        cut_off_ms: cut_off_ms(class, rule_of(rules, class), at_ms),
        at_ms,
        now_ms,
        mark,
    }
}

fn rule_of(rules: &[Rule], class: Class) -> Option<&Rule> {
    rules.iter().find(|rule| rule.class == class)
}

/// Shows and sets how long data is kept.
#[derive(Clone)]
pub struct RetentionFlow {
    live: Arc<Live>,
}

impl RetentionFlow {
    /// Over the shared parts.
    pub fn new(live: Arc<Live>) -> Self {
        Self { live }
    }

    /// How every class stands in a tenant, overdue ones first.
    pub async fn standings(&self, tenant: i64) -> Result<Vec<Standing>, FlowError> {
        let reader = self.live.store().reader(TenantScope::Only(tenant));
        let rules = reader.retention_rules(tenant).await?;
        let runs = reader.last_runs(tenant).await?;
        let mut standings = Vec::with_capacity(Class::ALL.len());
        for class in Class::ALL {
            standings.push(self.standing(tenant, class, &rules, &runs).await?);
        }
        standings.sort_by_key(|standing| (!standing.overdue, standing.class));
        Ok(standings)
    }

    async fn standing(
        &self,
        tenant: i64,
        class: Class,
        rules: &[Rule],
        runs: &[Run],
    ) -> Result<Standing, FlowError> {
        let reader = self.live.store().reader(TenantScope::Only(tenant));
        let now_ms = self.live.now_ms();
        let due = sought(tenant, class, rules, now_ms, now_ms, Uuid::nil());
        let count = async |of| reader.count_due(&due, of, COUNTED_MAX).await;
        let rule = rule_of(rules, class);
        let is_purged = Class::PURGED.contains(&class);
        Ok(Standing {
            class,
            term: class.term(),
            days: days_of(class, rule),
            rule: rule.copied(),
            cut_off_ms: is_purged.then_some(due.cut_off_ms),
            due: count(Of::Free).await?,
            held: count(Of::Held).await?,
            restricted: count(Of::Restricted).await?,
            oldest_ms: reader.oldest_ms(tenant, class).await?,
            last: runs.iter().find(|run| run.class == class).copied(),
            overdue: self.is_overdue(tenant, class, rules).await?,
        })
    }

    async fn is_overdue(&self, tenant: i64, class: Class, rules: &[Rule]) -> Result<bool, FlowError> {
        let now_ms = self.live.now_ms();
        let late = sought(tenant, class, rules, now_ms - OVERDUE_MS, now_ms, Uuid::nil());
        let reader = self.live.store().reader(TenantScope::Only(tenant));
        Ok(reader.count_due(&late, Of::Free, 1).await? > 0)
    }

    /// Every class of every tenant that is overdue.
    pub async fn overdue(&self) -> Result<Vec<Overdue>, FlowError> {
        let routing = self.live.routing();
        let reader = self.live.store().reader(TenantScope::Server);
        let mut found = Vec::new();
        for (number, tenant) in &routing.tenants {
            let rules = reader.retention_rules(*number).await?;
            for class in Class::PURGED {
                if self.is_overdue(*number, class, &rules).await? {
                    let tenant = TenantId(tenant.tenant.object.id);
                    found.push(Overdue { tenant, class });
                }
            }
        }
        found.sort_by_key(|one| (one.tenant, one.class));
        Ok(found)
    }

    /// How many holds wait for their review.
    pub async fn overdue_reviews(&self) -> Result<i64, FlowError> {
        Ok(self
            .live
            .store()
            .reader(TenantScope::Server)
            .overdue_reviews(self.live.now_ms())
            .await?)
    }

    /// Sets how long a class is kept, or goes back to the default; returns how it then stands.
    pub async fn set(
        &self,
        caller: &Caller,
        class: Class,
        days: Option<i64>,
        reason: Option<LongerReason>,
    ) -> Result<Standing, FlowError> {
        let Term::Days { default, .. } = class.term() else {
            return Err(FlowError::Clash("class", "has a time that cannot be set"));
        };
        let wanted = Rule {
            class,
            days: days.unwrap_or(default),
            reason: if days.is_some() { reason } else { None },
        };
        wanted.check()?;
        let tenant = caller.scope;
        let now_ms = self.live.now_ms();
        let tx = self.live.store().begin(TenantScope::Only(tenant)).await?;
        let rules = tx.retention_rules(tenant).await?;
        let unset = Rule {
            class,
            days: default,
            reason: None,
        };
        let old = rule_of(&rules, class).copied();
        let changes = differences(Some(&old.unwrap_or(unset).fields()), &wanted.fields());
        if !changes.is_empty() || old.is_some() != days.is_some() {
            match days {
                Some(_) => tx.set_rule(tenant, &wanted, caller.actor.text(), now_ms).await?,
                None => tx.clear_rule(tenant, class).await?,
            }
            let mut event = self
                .live
                .event(tenant, "retention.changed", &caller.actor, "changed");
            event.object = Some(format!("retention:{}", class.code()));
            event.request_id = caller.request.map(|request| request.to_string());
            event.changes = changes;
            tx.commit_with(&event.into()).await?;
        }
        let reader = self.live.store().reader(TenantScope::Only(tenant));
        let rules = reader.retention_rules(tenant).await?;
        let runs = reader.last_runs(tenant).await?;
        self.standing(tenant, class, &rules, &runs).await
    }
}
