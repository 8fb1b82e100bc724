//! Carrying a request out. What has effects goes to the ledger, and every effect can be repeated: a case that was begun and
//! not finished, for whatever reason, is carried out again.

use uuid::Uuid;

use super::change::Step;
use super::{By, RequestsFlow, ShownWhole, decided, field, object};
use crate::domain::draft::Fault;
use crate::domain::erasure::Door;
use crate::domain::ids::{ClickId, ClickKey, ErasureId, RequestId};
use crate::domain::postback::Status;
use crate::domain::refusal::Reason;
use crate::domain::subject_request::{
    Case, Name, RESULTS_MS, RequestKind, RequestSource, RequestStatus, Subject, Wish,
};
use crate::flow::FlowError;
use crate::flow::conversion::{Caller, Correction, DEFAULT_GOAL, goals_named};
use crate::flow::ledger::command::{Command, EraseCommand, Reference, Reply, RestrictCommand};
use crate::store::StoreError;
use crate::store::batch::facts::OrderRef;

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
        let (count, act) = self.effect(by, &case, &subject.unwrap_or_default()).await?;
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
                    // Under this name the act's certificate is found.
                    code: act.map(|act| ErasureId(act).to_string()),
                    changes: vec![field("kind", case.kind.code())],
                    ..Step::plain("completed", "subject_request.executed", "completed")
                }])
            })
            .await?;
        self.whole(case).await
    }

    /// Does what is asked for; returns how many things of the person's it found, and the act of erasing, if it is one.
    async fn effect(
        &self,
        by: &By,
        case: &Case,
        subject: &Subject,
    ) -> Result<(i64, Option<Uuid>), FlowError> {
        let count = match case.kind {
            RequestKind::Access | RequestKind::Portability => self.count_held(by.tenant, subject).await?,
            RequestKind::Rectification => self.rectify(by, subject).await?,
            RequestKind::Restriction => self.restrict(by, case, subject).await?,
            RequestKind::Objection => return self.erase(by, subject, Door::Objection).await,
            RequestKind::Erasure => {
                let door = match case.source {
                    RequestSource::Api => Door::SubjectRequest,
                    RequestSource::OpenDsr | RequestSource::OpenGdpr => Door::OpenDsr,
                };
                return self.erase(by, subject, door).await;
            }
        };
        Ok((count, None))
    }

    /// One act for all of the person's names; somebody who is not known gets one, too.
    async fn erase(&self, by: &By, subject: &Subject, door: Door) -> Result<(i64, Option<Uuid>), FlowError> {
        let command = EraseCommand {
            tenant: by.tenant,
            shop: None,
            actor: by.actor.clone(),
            references: self.references(by.tenant, subject)?,
            door,
            ground: door.ground(),
            now_ms: self.live.now_ms(),
            request: by.request,
            nonce: self.live.random(),
        };
        match self.ledger.submit(Command::Erase(Box::new(command))).await {
            Ok(Reply::Erased { clicks, erasure }) => {
                Ok((i64::try_from(clicks).unwrap_or(i64::MAX), Some(erasure)))
            }
            Ok(_) => Err(FlowError::Refused(Reason::Internal)),
            Err(_) => Err(FlowError::Refused(Reason::Unavailable)),
        }
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

    /// What the ledger looks a person's names up by.
    fn references(&self, tenant: i64, subject: &Subject) -> Result<Vec<Reference>, FlowError> {
        let tenant = self.tenant(tenant)?;
        let mut references = Vec::new();
        for name in &subject.names {
            match name {
                Name::Nothing => {}
                Name::Click {
                    issued_at_ticks,
                    click,
                } => references.push(Reference::Click(ClickKey {
                    tenant: tenant.number(),
                    issued_at_ticks: *issued_at_ticks,
                    click: ClickId(*click),
                })),
                Name::Customer(hashes) => references.extend(hashes.iter().copied().map(Reference::Customer)),
                Name::Order { hash, goal, shop } => {
                    let goal = goal.as_deref().unwrap_or(DEFAULT_GOAL);
                    let shops = tenant.shops.keys().copied();
                    let shops = shops.filter(|other| shop.is_none_or(|only| only == *other));
                    let orders = |shop| {
                        let order = |goal| OrderRef {
                            tenant: tenant.number(),
                            shop,
                            goal,
                            test: false,
                            order_hash: *hash,
                        };
                        Reference::Orders(goals_named(&tenant, shop, goal).map(order).collect())
                    };
                    references.extend(shops.map(orders));
                }
            }
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
        let request = by.request.unwrap_or_else(|| RequestId(self.live.new_id()));
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
