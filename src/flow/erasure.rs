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
use crate::domain::campaign::Shop;
use crate::domain::erasure::{Door, Ground};
use crate::domain::event::Actor;
use crate::domain::ids::RequestId;
use crate::domain::refusal::Reason;
use crate::domain::routing::ShopRoute;
use crate::domain::scope::TenantScope;
pub use crate::store::batch::erase::SUPPRESSION_SECONDS;
pub use crate::store::erasures::Erasure;
use crate::store::remains::Rewritten;

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
    /// The number of a tenant's shop.
    pub async fn shop(&self, tenant: i64, id: Uuid) -> Result<i64, FlowError> {
        let shop: Option<Shop> = self
            .live
            .store()
            .reader(TenantScope::Only(tenant))
            .find(tenant, id)
            .await?;
        Ok(shop.ok_or(FlowError::Missing("shop"))?.object.number)
    }

    /// A tenant's acts of erasing behind one of them, oldest first.
    pub async fn list(
        &self,
        tenant: i64,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<Erasure>, FlowError> {
        Ok(self
            .live
            .store()
            .reader(TenantScope::Only(tenant))
            .erasures(tenant, after, limit)
            .await?)
    }

    /// One act.
    pub async fn read(&self, tenant: i64, id: Uuid) -> Result<Erasure, FlowError> {
        let found = self
            .live
            .store()
            .reader(TenantScope::Only(tenant))
            .erasure(tenant, id)
            .await?;
        found.ok_or(FlowError::Refused(Reason::NotFound))
    }
}

/// Has PostgreSQL write anew what erasures left behind, in time.
#[derive(Clone)]
pub struct Remains {
    live: Arc<Live>,
    /// By when nothing may be left, in milliseconds from the erasure.
    horizon_ms: i64,
}

impl Remains {
    /// Over the shared parts. Nothing is left after so many hours.
    pub fn new(live: Arc<Live>, hours: u32) -> Self {
        Self {
            live,
            horizon_ms: i64::from(hours) * 3_600_000,
        }
    }

    /// Rewrites the months whose oldest debt has had half its time: later ones share it, since clicks wait meanwhile. Returns
    /// how many months were done.
    pub async fn sweep(&self) -> Result<u32, FlowError> {
        let (store, now_ms) = (self.live.store(), self.live.now_ms());
        let mut done = 0;
        let mut oldest_ms = now_ms;
        for owed in store.owed().await? {
            let is_due = owed.since_ms + self.horizon_ms / 2 <= now_ms;
            let rewritten = if is_due {
                store.rewrite_month(owed.month, now_ms).await?
            } else {
                Rewritten::Later
            };
            if rewritten == Rewritten::Done {
                done += 1;
            } else {
                oldest_ms = oldest_ms.min(owed.since_ms);
            }
        }
        let owed_s = (now_ms - oldest_ms).div_euclid(1_000);
        metrics::gauge!("einklang_remains_owed_seconds")
            .set(u32::try_from(owed_s).map_or(f64::MAX, f64::from));
        Ok(done)
    }
}
