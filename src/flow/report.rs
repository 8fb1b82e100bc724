//! Reports: who may see which counters, and the sums that answer a question.
//!
//! Only sums of counters are read, never clicks or conversions, so a report holds nothing about a person and takes the
//! same time however many clicks there were.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::{FlowError, Live};
use crate::domain::access::{Principal, Role};
use crate::domain::campaign::local_day;
use crate::domain::ids::RequestId;
use crate::domain::refusal::Reason;
use crate::domain::report::figures::{self, Performance};
use crate::domain::report::key::{Key, TooManyRows};
use crate::domain::report::losses::{self, Consent};
use crate::domain::report::period::{Period, spans};
use crate::domain::report::{Dimension, Names, RefusalsPlace, Report, Scope};
use crate::domain::routing::TenantRoute;

/// What a report is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// The first day, since 1970.
    pub from_day: Option<i64>,
    /// The last day, since 1970.
    pub to_day: Option<i64>,
    /// What rows are grouped by.
    pub group_by: Vec<Dimension>,
    /// Only this campaign.
    pub campaign: Option<Uuid>,
    /// Only this publisher.
    pub publisher: Option<Uuid>,
    /// Only this link.
    pub link: Option<Uuid>,
    /// Only this goal.
    pub goal: Option<Uuid>,
}

/// Answers questions about counters.
#[derive(Clone)]
pub struct ReportFlow {
    live: Arc<Live>,
}

impl ReportFlow {
    /// Over the shared parts.
    pub fn new(live: Arc<Live>) -> Self {
        Self { live }
    }

    /// Clicks, conversions and revenue.
    pub async fn performance(
        &self,
        principal: &Principal,
        question: &Question,
    ) -> Result<Report<Performance>, FlowError> {
        let tenant = self.tenant(principal)?;
        let period = self.period(&tenant, question)?;
        let scope = self.scope(principal, &tenant, question).await?;
        let store = self.live.store();
        let group_by = &question.group_by;
        let traffic = store
            .traffic_sums(&scope, &spans(period, tenant.zone), group_by)
            .await?;
        let place = RefusalsPlace::of(principal.role == Role::Publisher, &scope, group_by);
        let refusals = if place == RefusalsPlace::Hidden {
            Vec::new()
        } else {
            let known = [Dimension::Day, Dimension::Campaign];
            let known: Vec<Dimension> = group_by
                .iter()
                .copied()
                .filter(|one| known.contains(one))
                .collect();
            store.refusal_sums(&scope, period, &known).await?
        };
        TooManyRows::check_sums(traffic.len())?;
        TooManyRows::check_sums(refusals.len())?;
        let answer = figures::performance(&traffic, &refusals, place, group_by)?;
        let apart = answer.unattributed.iter().flatten().map(|row| &row.key);
        let keys = answer.rows.iter().map(|row| &row.key).chain(apart);
        let names = self.names(&tenant, group_by, keys).await?;
        Ok(report(&tenant, period, question, names, answer))
    }

    /// What was not tracked and not recorded, and why.
    pub async fn consent(
        &self,
        principal: &Principal,
        question: &Question,
    ) -> Result<Report<Consent>, FlowError> {
        let tenant = self.tenant(principal)?;
        let period = self.period(&tenant, question)?;
        let scope = self.scope(principal, &tenant, question).await?;
        if scope.shop.is_some() || scope.publisher.is_some() {
            // Untracked clicks are counted by campaign only: no shop's or publisher's part can be told from the rest.
            return Err(Reason::Forbidden.into());
        }
        let store = self.live.store();
        let group_by = &question.group_by;
        let untracked = store.untracked_sums(&scope, period, group_by).await?;
        let refusals = store.refusal_sums(&scope, period, group_by).await?;
        TooManyRows::check_sums(untracked.len())?;
        TooManyRows::check_sums(refusals.len())?;
        let answer = losses::consent(&untracked, &refusals)?;
        let keys = answer.rows.iter().map(|row| &row.key);
        let names = self.names(&tenant, group_by, keys).await?;
        Ok(report(&tenant, period, question, names, answer))
    }

    /// Enters in the trail that a report leaves as a file; to be called before it does.
    pub async fn exported(
        &self,
        principal: &Principal,
        report: &'static str,
        request: RequestId,
    ) -> Result<(), FlowError> {
        let actor = principal.actor();
        let mut event = self
            .live
            .event(principal.tenant, "report.exported", &actor, "exported");
        event.object = Some(format!("report:{report}"));
        event.request_id = Some(request.to_string());
        let tx = self.live.store().begin(principal.scope()).await?;
        Ok(tx.commit_with(&event.into()).await?)
    }

    fn tenant(&self, principal: &Principal) -> Result<Arc<TenantRoute>, FlowError> {
        let routing = self.live.routing();
        let tenant = routing.tenants.get(&principal.tenant);
        tenant.cloned().ok_or(FlowError::Refused(Reason::NotFound))
    }

    fn period(&self, tenant: &TenantRoute, question: &Question) -> Result<Period, FlowError> {
        let today = local_day(self.live.now_ms(), tenant.zone);
        Period::of(question.from_day, question.to_day, today)
            .map_err(|error| FlowError::Invalid("from", error.sentence()))
    }

    /// What the caller may see, narrowed to what it asked for. An object outside of that does not exist for it.
    async fn scope(
        &self,
        principal: &Principal,
        tenant: &TenantRoute,
        question: &Question,
    ) -> Result<Scope, FlowError> {
        let mut scope = Scope {
            tenant: tenant.number(),
            ..Scope::default()
        };
        // A shop's or publisher's key that names none would see everything.
        match principal.role {
            Role::Shop => scope.shop = Some(principal.shop.ok_or(Reason::Forbidden)?),
            Role::Publisher => scope.publisher = Some(principal.publisher.ok_or(Reason::Forbidden)?),
            Role::Operator | Role::Manager | Role::Auditor | Role::Privacy => {}
        }
        let filters = [
            (Dimension::Campaign, "campaign", question.campaign),
            (Dimension::Publisher, "publisher", question.publisher),
            (Dimension::Link, "link", question.link),
            (Dimension::Goal, "goal", question.goal),
        ];
        for (kind, parameter, id) in filters {
            let Some(id) = id else { continue };
            let missing = || FlowError::Refused(Reason::NotFound);
            let found = self
                .live
                .store()
                .reported_object(scope.tenant, kind, id)
                .await?
                .ok_or_else(missing)?;
            let is_own_shops = found.campaign.is_none_or(|number| {
                let campaign = tenant.campaigns.get(&number);
                scope
                    .shop
                    .is_none_or(|shop| campaign.is_some_and(|campaign| campaign.shop == shop))
            });
            let is_own_publishers = principal.role != Role::Publisher
                || found
                    .publisher
                    .is_none_or(|number| principal.publisher == Some(number));
            if !is_own_shops || !is_own_publishers {
                return Err(missing());
            }
            narrow(&mut scope.campaign, found.campaign, parameter)?;
            narrow(&mut scope.publisher, found.publisher, parameter)?;
            match kind {
                Dimension::Link => scope.link = Some(found.number),
                Dimension::Goal => scope.goal = Some(found.number),
                Dimension::Campaign | Dimension::Publisher | Dimension::Day | Dimension::Reason => {}
            }
        }
        Ok(scope)
    }

    /// Names for the objects in these keys.
    async fn names<'a>(
        &self,
        tenant: &TenantRoute,
        group_by: &[Dimension],
        keys: impl Iterator<Item = &'a Key> + Clone,
    ) -> Result<Names, FlowError> {
        let mut names = Names::new();
        for kind in group_by.iter().copied().filter(|one| one.is_object()) {
            let numbers: BTreeSet<i64> = keys.clone().filter_map(|key| key.number(kind)).collect();
            let numbers: Vec<i64> = numbers.into_iter().collect();
            let store = self.live.store();
            let found = store.reported_names(tenant.number(), kind, &numbers).await?;
            names.extend(found.into_iter().map(|(number, name)| ((kind, number), name)));
        }
        Ok(names)
    }
}

/// Limits a report to one object; two limits that exclude one another are a mistake, not an empty report.
fn narrow(held: &mut Option<i64>, to: Option<i64>, parameter: &'static str) -> Result<(), FlowError> {
    match (*held, to) {
        (Some(one), Some(other)) if one != other => Err(FlowError::Invalid(
            parameter,
            "does not go together with the other filters",
        )),
        (_, None) => Ok(()),
        (_, Some(_)) => {
            *held = to;
            Ok(())
        }
    }
}

impl From<TooManyRows> for FlowError {
    fn from(error: TooManyRows) -> Self {
        FlowError::Invalid("group_by", error.sentence())
    }
}

fn report<A>(
    tenant: &TenantRoute,
    period: Period,
    question: &Question,
    names: Names,
    answer: A,
) -> Report<A> {
    Report {
        period,
        time_zone: tenant.tenant.time_zone.clone(),
        group_by: question.group_by.clone(),
        names,
        answer,
    }
}
