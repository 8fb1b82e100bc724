//! Carrying a request out. What has effects goes to the ledger, and every effect can be repeated: a case that was begun and
//! not finished, for whatever reason, is carried out again.

use std::sync::Arc;

use uuid::Uuid;

use super::change::Step;
use super::{By, RequestsFlow, ShownWhole, decided, field, object};
use crate::domain::draft::Fault;
use crate::domain::erasure::Door;
use crate::domain::postback::Status;
use crate::domain::refusal::Reason;
use crate::domain::subject_request::{
    Case, Handle, RESULTS_MS, RequestKind, RequestSource, RequestStatus, Subject, Wish,
};
use crate::flow::FlowError;
use crate::flow::consent::{About, reference};
use crate::flow::conversion::{Caller, Correction};
use crate::flow::erasure::{ErasureBy, ErasureFlow};
use crate::flow::ledger::command::{Command, Reference, Reply, RestrictCommand};
use crate::store::StoreError;

impl RequestsFlow {
    /// Carries a request out, and says what has become of the case. Whether anything was held is in its count alone.
    pub async fn execute(&self, by: &By, id: Uuid) -> Result<ShownWhole, FlowError> {
        let tenant = self.tenant(by.tenant)?;
        let case = self
            .step(by, id, |case| match case.status {
                RequestStatus::Pending => {
                    case.status = RequestStatus::InProgress;
                    let begun = Step::plain("started", "subject_request.changed", "changed");
                    Ok(vec![begun])
                }
                RequestStatus::InProgress => Ok(Vec::new()),
                _ => Err(decided()),
            })
            .await?;
        let subject = Subject::open(&tenant.keys, &case).map_err(StoreError::from)?;
        let count = self.effect(by, &case, &subject.unwrap_or_default()).await?;
        let now_ms = self.live.now_ms();
        let case = self
            .step(by, id, |case| {
                if !case.status.is_open() {
                    return Err(decided());
                }
                case.status = RequestStatus::Completed;
                case.results_count = Some(count);
                case.done_at_ms = Some(now_ms);
                if case.kind.asks_for_a_copy() {
                    case.closed_at_ms = Some(now_ms.saturating_add(RESULTS_MS));
                } else {
                    case.closed_at_ms = Some(now_ms);
                    case.forget();
                }
                Ok(vec![Step {
                    changes: vec![field("kind", case.kind.code())],
                    ..Step::plain("completed", "subject_request.executed", "completed")
                }])
            })
            .await?;
        self.whole(case).await
    }

    /// Does what is asked for; returns how many things of the person's it found.
    async fn effect(&self, by: &By, case: &Case, subject: &Subject) -> Result<i64, FlowError> {
        match case.kind {
            RequestKind::Access | RequestKind::Portability => self.count_held(by.tenant, subject).await,
            RequestKind::Rectification => self.rectify(by, subject).await,
            RequestKind::Restriction => self.restrict(by, case, subject).await,
            RequestKind::Objection => self.erase(by, subject, Door::Objection).await,
            RequestKind::Erasure => {
                let door = match case.source {
                    RequestSource::Api => Door::SubjectRequest,
                    RequestSource::OpenDsr | RequestSource::OpenGdpr => Door::OpenDsr,
                };
                self.erase(by, subject, door).await
            }
        }
    }

    async fn erase(&self, by: &By, subject: &Subject, door: Door) -> Result<i64, FlowError> {
        let flow = ErasureFlow::new(Arc::clone(&self.live), self.ledger.clone());
        let mut clicks = 0_u64;
        for handle in &subject.handles {
            let Some((about, shop)) = about(handle) else {
                continue;
            };
            let by = ErasureBy {
                tenant: by.tenant,
                shop,
                actor: by.actor.clone(),
                request: by.request,
                ground: None,
            };
            clicks = clicks.saturating_add(flow.erase(&by, about, door).await?.clicks);
        }
        Ok(i64::try_from(clicks).unwrap_or(i64::MAX))
    }

    async fn restrict(&self, by: &By, case: &Case, subject: &Subject) -> Result<i64, FlowError> {
        let command = RestrictCommand {
            tenant: by.tenant,
            actor: by.actor.clone(),
            references: self.references(by.tenant, subject)?,
            restricted: !case.lift,
            object: object(case),
            now_ms: self.live.now_ms(),
            request: by.request,
            nonce: self.live.random(),
        };
        match self.ledger.submit(Command::Restrict(Box::new(command))).await {
            Ok(Reply::Restricted { clicks }) => Ok(i64::try_from(clicks).unwrap_or(i64::MAX)),
            Ok(_) => Err(FlowError::Refused(Reason::Internal)),
            Err(_) => Err(FlowError::Refused(Reason::Unavailable)),
        }
    }

    /// The references that a person's names stand for at each shop.
    fn references(&self, tenant: i64, subject: &Subject) -> Result<Vec<Reference>, FlowError> {
        let tenant = self.tenant(tenant)?;
        let mut references = Vec::new();
        for handle in &subject.handles {
            let Some((about, only)) = about(handle) else {
                continue;
            };
            let shops = tenant
                .shops
                .values()
                .filter(|shop| only.is_none_or(|only| only == shop.number));
            references.extend(shops.map(|shop| reference(&tenant, shop, about)));
        }
        Ok(references)
    }

    /// Corrects a conversion, if it is the person's.
    async fn rectify(&self, by: &By, subject: &Subject) -> Result<i64, FlowError> {
        let Some(wish) = &subject.wish else {
            return Err(FlowError::Refused(Reason::Internal));
        };
        if !self.is_of(by.tenant, subject, wish).await? {
            return Ok(0);
        }
        let caller = Caller {
            tenant: by.tenant,
            shop: None,
            actor: by.actor.clone(),
        };
        let correction = Correction {
            status: wish.status.as_deref().and_then(Status::from_code),
            amount: wish.amount.as_deref(),
            reason: Some("rectification"),
        };
        let request = by
            .request
            .unwrap_or_else(|| crate::domain::ids::RequestId(self.live.new_id()));
        match self
            .conversion
            .correct(&caller, wish.conversion, &correction, request)
            .await
        {
            Ok(_) => Ok(1),
            Err(FlowError::Refused(Reason::Conflict)) => {
                let words = "cannot be made: a status goes one way, and an amount is only lowered";
                Err(Fault::Clash("correction", words).into())
            }
            Err(FlowError::Refused(Reason::NotFound | Reason::ConsentWithdrawn)) => Ok(0),
            Err(error) => Err(error),
        }
    }

    async fn is_of(&self, tenant: i64, subject: &Subject, wish: &Wish) -> Result<bool, FlowError> {
        let clicks = self.clicks_of(tenant, subject).await?;
        let found = self.conversions_of(tenant, &clicks).await?;
        Ok(found.iter().any(|held| held.id == wish.conversion))
    }
}

/// A name as the engines take it, and the shop that it is narrowed to.
fn about(handle: &Handle) -> Option<(About<'_>, Option<i64>)> {
    match handle {
        Handle::Token(token) => Some((About::Token(token), None)),
        Handle::Order { order_id, goal, shop } => {
            let about = About::Order {
                order_id,
                goal: goal.as_deref(),
            };
            Some((about, *shop))
        }
        Handle::Customer(reference) => Some((About::Customer(reference), None)),
        Handle::Nothing => None,
    }
}
