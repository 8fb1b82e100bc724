//! What every flow shares: the store, the keys, the routing snapshot, the clock, randomness.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use uuid::Uuid;

use super::FlowError;
use super::keys::Uses;
use crate::domain::event::{Actor, AuditEvent};
use crate::domain::ids::time_ordered;
use crate::domain::keys::epoch_of;
use crate::domain::policy::Policy;
use crate::domain::refusal::Reason;
use crate::domain::registry::Registries;
use crate::domain::routing::Routing;
use crate::domain::scope::TenantScope;
use crate::domain::signal::{Collector, Reading};
use crate::store::Store;
use crate::store::keys::RootCheck;
use crate::store::roots::Roots;
use crate::store::tx::Tx;

/// The time. Only `app` has one that ticks by itself.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970, UTC.
    fn now_ms(&self) -> i64;
}

/// Random bytes that nobody can guess. Only `app` has a supply.
pub trait Entropy: Send + Sync {
    /// Fills the bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// The shared part of all flows.
pub struct Live {
    store: Store,
    roots: Roots,
    uses: Uses,
    routing: RwLock<Arc<Routing>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    registries: Registries,
}

impl Live {
    /// Reads the routing data and is ready.
    pub async fn start(
        store: Store,
        roots: impl Into<Roots>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        registries: Registries,
    ) -> Result<Arc<Self>, FlowError> {
        let roots = roots.into();
        let routing = store.load_routing(&roots, clock.now_ms(), None).await?;
        Ok(Arc::new(Self {
            store,
            roots,
            uses: Uses::default(),
            routing: RwLock::new(Arc::new(routing)),
            clock,
            entropy,
            registries,
        }))
    }

    /// The store.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// The supply of random bytes.
    pub fn entropy(&self) -> &dyn Entropy {
        self.entropy.as_ref()
    }

    /// The root keys.
    pub(super) fn roots(&self) -> &Roots {
        &self.roots
    }

    /// How often keys were used since that was last written down.
    pub(super) fn uses(&self) -> &Uses {
        &self.uses
    }

    /// On what signals of this moment are read under a policy.
    pub(super) fn reading(&self, collector: Collector, policy: &Policy, now_ms: i64) -> Reading<'_> {
        Reading {
            collector,
            terms: policy.terms(),
            registries: &self.registries,
            now_s: now_ms.div_euclid(1_000),
        }
    }

    /// Vendor ids of tenants that stand in no registry though one is kept: their TC strings grant nothing.
    pub fn unregistered_vendors(&self) -> BTreeSet<u16> {
        if !self.registries.knows_vendors() {
            return BTreeSet::new();
        }
        let routing = self.routing();
        let tenants = routing.tenants.values();
        tenants
            .filter_map(|tenant| tenant.policy_at(self.now_ms()).policy.tcf_vendor_id)
            .filter(|vendor| !self.registries.names(*vendor))
            .collect()
    }

    /// Now, in milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Now, in seconds.
    pub fn now_s(&self) -> i64 {
        self.clock.now_ms().div_euclid(1_000)
    }

    /// Random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }

    /// A supply of random bytes for key making.
    pub(super) fn fill(&self) -> impl Fn(&mut [u8]) + Send + Sync + '_ {
        |bytes: &mut [u8]| self.entropy.fill(bytes)
    }

    /// A new time-ordered id.
    pub fn new_id(&self) -> Uuid {
        time_ordered(self.now_ms(), self.random())
    }

    /// The present routing data.
    pub fn routing(&self) -> Arc<Routing> {
        Arc::clone(&self.routing.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the routing data anew.
    pub async fn reload(&self) -> Result<(), FlowError> {
        let before = self.routing();
        let fresh = self.store.load_routing(&self.roots, self.now_ms(), Some(&before));
        let fresh = Arc::new(fresh.await?);
        self.look_after_roots(&fresh).await?;
        let mut current = self.routing.write().unwrap_or_else(PoisonError::into_inner);
        if fresh.version >= current.version {
            *current = fresh;
        }
        Ok(())
    }

    /// Says at once if a root key is missing: what was open stays open, but nothing that is made from now on will be.
    async fn look_after_roots(&self, routing: &Routing) -> Result<(), FlowError> {
        if let RootCheck::Other(name) = self.store.check_root(Some(&self.roots)).await? {
            tracing::error!(
                root_key = name,
                "the database was put under a root key that this server does not have: give it that key's file and start it anew"
            );
        }
        let rootless = rootless(routing);
        // A gauge is shown as a float; there are not that many tenants.
        metrics::gauge!("einklang_tenants_without_root_key")
            .set(u32::try_from(rootless.len()).map_or(f64::MAX, f64::from));
        for slug in rootless {
            tracing::error!(
                tenant = slug,
                "a tenant's keys cannot be opened: those of before stay in use, or it is locked"
            );
        }
        Ok(())
    }

    /// Tenants whose keys could not be opened, by their slugs.
    pub fn rootless_tenants(&self) -> Vec<String> {
        let routing = self.routing();
        rootless(&routing).into_iter().map(str::to_owned).collect()
    }

    /// Reads the routing data anew if another node or process changed it.
    pub async fn reload_if_changed(&self) -> Result<bool, FlowError> {
        if self.store.routing_version().await? == self.routing().version {
            return Ok(false);
        }
        self.reload().await?;
        Ok(true)
    }

    /// Removes what old pages still hold of erased rows, where that was not possible at once.
    pub async fn scrub_if_owed(&self) -> Result<(), FlowError> {
        Ok(self.store.scrub_if_owed().await?)
    }

    /// Makes sure that every tenant has its epoch keys for this month and the next.
    pub async fn prepare_epochs(&self) -> Result<(), FlowError> {
        let month = epoch_of(self.now_s());
        let routing = self.routing();
        for (number, tenant) in &routing.tenants {
            for epoch in [month, month.saturating_add(1)] {
                if !tenant.keys.has_epoch(epoch) {
                    match self.make_epoch(*number, epoch).await {
                        // Its own trouble, and no other tenant's.
                        Err(FlowError::Refused(Reason::TenantLocked)) => {
                            tracing::warn!(
                                tenant = number,
                                "a month has no key: the tenant's root key is not here"
                            );
                        }
                        other => other?,
                    }
                }
            }
        }
        self.store.prepare_months(self.now_s()).await?;
        Ok(())
    }

    /// Makes one month's epoch key for a tenant and reads the routing data anew.
    pub async fn make_epoch(&self, tenant: i64, epoch: u16) -> Result<(), FlowError> {
        let tx: Tx = self.store.begin(TenantScope::Only(tenant)).await?;
        let fill = self.fill();
        if tx
            .make_epoch(tenant, &self.roots, epoch, self.now_ms(), &fill)
            .await?
        {
            let mut event = self.event(tenant, "key.created", &Actor::Server, "created");
            event.object = Some(format!("epoch:{epoch}"));
            tx.touch_routing().await?;
            tx.commit_with(&event.into()).await?;
        }
        self.reload().await
    }

    /// An audit event of now.
    pub fn event(
        &self,
        tenant: i64,
        action: &'static str,
        actor: &Actor,
        outcome: &'static str,
    ) -> AuditEvent {
        let mut event = AuditEvent::new(tenant, action, actor, outcome, &self.random());
        event.at_ms = Some(self.now_ms());
        event
    }
}

fn rootless(routing: &Routing) -> BTreeSet<&str> {
    let tenants = routing.tenants.values().filter(|route| route.rootless);
    tenants.map(|route| route.tenant.slug.as_str()).collect()
}
