//! Erasing people: the one engine behind every door.
//!
//! Whom a reference leads to is found in the ledger, in the transaction that erases. A reference that is not known here
//! gets the same answer as one that is: an act with its id and its entry, which found nothing.

use std::sync::Arc;

use uuid::Uuid;

use super::consent::{About, reference};
use super::ledger::Ledger;
use super::ledger::command::{Command, EraseCommand, Reply};
use super::{FlowError, Live};
use crate::domain::erasure::{Door, Ground};
use crate::domain::event::Actor;
use crate::domain::ids::RequestId;
use crate::domain::refusal::Reason;
use crate::domain::routing::ShopRoute;

/// Who has somebody erased.
#[derive(Debug, Clone)]
pub struct ErasureBy {
    /// The tenant's number.
    pub tenant: i64,
    /// The shop that the reference is one of; none: any of the tenant's.
    pub shop: Option<i64>,
    /// The name in the trail.
    pub actor: Actor,
    /// The request, where there was one.
    pub request: Option<RequestId>,
    /// Why; none: what the door stands for.
    pub ground: Option<Ground>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErasureOutcome {
    /// The act, under which its row, its entry and its certificate are found.
    pub erasure: Option<Uuid>,
    /// Clicks that were there. Not for whoever may not know whether somebody is known.
    pub clicks: u64,
}

/// Erases people.
#[derive(Clone)]
pub struct ErasureFlow {
    live: Arc<Live>,
    ledger: Ledger,
}

impl ErasureFlow {
    /// Over the shared parts and the ledger.
    pub fn new(live: Arc<Live>, ledger: Ledger) -> Self {
        Self { live, ledger }
    }

    /// Erases whom this is about: the clicks that it leads to, and every click whose orders name the same person as
    /// theirs do. Durable when it returns.
    pub async fn erase(
        &self,
        by: &ErasureBy,
        about: About<'_>,
        door: Door,
    ) -> Result<ErasureOutcome, FlowError> {
        let routing = self.live.routing();
        let tenant = routing
            .tenants
            .get(&by.tenant)
            .ok_or(FlowError::Refused(Reason::NotFound))?;
        let shops: Vec<&Arc<ShopRoute>> = match by.shop {
            Some(shop) => tenant.shops.get(&shop).into_iter().collect(),
            None => tenant.shops.values().collect(),
        };
        let command = EraseCommand {
            tenant: by.tenant,
            shop: by.shop,
            actor: by.actor.clone(),
            references: shops
                .into_iter()
                .map(|shop| reference(tenant, shop, about))
                .collect(),
            door,
            ground: by.ground.unwrap_or(door.ground()),
            now_ms: self.live.now_ms(),
            request: by.request,
            nonce: self.live.random(),
        };
        match self.ledger.submit(Command::Erase(Box::new(command))).await {
            Ok(Reply::Erased { erasure, clicks }) => Ok(ErasureOutcome {
                erasure: Some(erasure),
                clicks,
            }),
            Ok(_) => Err(FlowError::Refused(Reason::Internal)),
            Err(_) => Err(FlowError::Refused(Reason::Unavailable)),
        }
    }
}
