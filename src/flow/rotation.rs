//! Rotations: root keys and tenant keys are replaced while servers run.
//!
//! The new key is there first and wraps whatever is made from then on. Then the rest is wrapped anew, some rows in each
//! transaction, and when nothing is left under the old key that one is destroyed. What was wrapped stays the same, so that no
//! data is encrypted again and no server has to read anything. A rotation that was killed goes on with the same command, and
//! of two at once each does some of the work.

use std::sync::Arc;

use super::keys::{Made, key_event, make_token_key};
use super::{FlowError, Live};
use crate::domain::event::{Actor, Trail};
use crate::domain::key_life::has_taken_over;
use crate::domain::keyring::KeyPurpose;
use crate::domain::refusal::Reason;
use crate::domain::scope::TenantScope;
use crate::store::key_use::RotationRow;
use crate::store::rotation::RotationKind;

/// How many keys one transaction wraps anew: others wait for it.
const ROWS_AT_ONCE: usize = 8;

/// Is told how far a rotation is, after each transaction.
pub type Tell<'a> = &'a (dyn Fn(&RotationRow) + Send + Sync);

/// What came of asking for a new token key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewToken {
    /// A key of this id.
    Made(u16),
    /// The newest is so new that it is not in use yet: it is the one.
    Waiting,
}

/// Rotates keys for whoever runs the server.
#[derive(Clone)]
pub struct RotationFlow {
    live: Arc<Live>,
}

impl RotationFlow {
    /// Over the shared parts.
    pub fn new(live: Arc<Live>) -> Self {
        Self { live }
    }

    /// The tenants in the order of their numbers, with their slugs.
    pub fn tenants(&self) -> Vec<(i64, String)> {
        let routing = self.live.routing();
        let tenants = routing.tenants.iter();
        let mut tenants: Vec<_> = tenants
            .map(|(number, route)| (*number, route.tenant.slug.clone()))
            .collect();
        tenants.sort();
        tenants
    }

    /// The number of the tenant with this slug.
    pub fn tenant_named(&self, slug: &str) -> Result<i64, FlowError> {
        let found = self.tenants().into_iter().find(|(_, other)| other == slug);
        found
            .map(|(number, _)| number)
            .ok_or(FlowError::Missing("tenant"))
    }

    /// Puts the database under the primary root key; none if it is under it.
    pub async fn root(&self, tell: Tell<'_>) -> Result<Option<RotationRow>, FlowError> {
        let mut last = None;
        // One that was killed may have been to another key than the one that is wanted now.
        while self.begin_root().await? {
            last = Some(self.finish_root(tell).await?);
        }
        Ok(last)
    }

    /// Begins, unless one is under way; returns whether there is something to do.
    async fn begin_root(&self) -> Result<bool, FlowError> {
        let live = &self.live;
        let tx = live.store().begin(TenantScope::Server).await?;
        let latest = tx.latest_rotation(0, RotationKind::Root).await?;
        if latest.is_some_and(|latest| latest.ended_at_ms.is_none()) {
            return Ok(true);
        }
        let Some(rotation) = tx.begin_root_rotation(live.roots(), live.now_ms()).await? else {
            return Ok(false);
        };
        let event = key_event(
            live,
            0,
            &Actor::CommandLine,
            Made::Adopted,
            &root_object(&rotation.to),
        );
        // Whoever lacks the new key says so now.
        tx.touch_routing().await?;
        tx.commit_with(&event.into()).await?;
        Ok(true)
    }

    async fn finish_root(&self, tell: Tell<'_>) -> Result<RotationRow, FlowError> {
        let live = &self.live;
        let limit = u64::try_from(ROWS_AT_ONCE).unwrap_or(u64::MAX);
        loop {
            let fill = live.fill();
            let tx = live.store().begin(TenantScope::Server).await?;
            // Another one may work on the same rotation.
            let latest = tx.latest_rotation(0, RotationKind::Root).await?;
            let mut rotation = latest.ok_or(FlowError::Refused(Reason::Internal))?;
            if rotation.ended_at_ms.is_some() {
                drop(tx);
                // What the old key wraps goes from old pages, too.
                live.store().scrub().await?;
                return Ok(rotation);
            }
            let done = tx
                .rewrap_tenant_keys(&rotation, live.roots(), limit, &fill)
                .await?;
            rotation.done += i64::try_from(done.len()).unwrap_or(0);
            let mut trail: Vec<_> = done
                .iter()
                .map(|one| {
                    let object = format!("tenant_key:{}", one.number);
                    key_event(live, one.tenant, &Actor::CommandLine, Made::Rewrapped, &object).into()
                })
                .collect();
            if done.is_empty() {
                rotation.ended_at_ms = Some(live.now_ms());
                let object = root_object(&rotation.to);
                let mut event = key_event(live, 0, &Actor::CommandLine, Made::Rotated, &object);
                event.count = Some(rotation.done);
                trail.push(event.into());
                // Whoever has the old root key and old pages would have the tenants' keys.
                tx.owe_keys_and_cases(live.new_id(), live.now_ms()).await?;
            }
            tx.note_rotation(&rotation).await?;
            if let Some(trail) = Trail::from_entries(trail) {
                tx.commit_with(&trail).await?;
            }
            tell(&rotation);
        }
    }

    /// Replaces a tenant's key.
    pub async fn tenant(&self, tenant: i64, tell: Tell<'_>) -> Result<RotationRow, FlowError> {
        let slug = self.slug(tenant)?;
        self.begin_tenant(tenant, &slug).await?;
        loop {
            let rotation = self.tenant_step(tenant).await?;
            tell(&rotation);
            if rotation.ended_at_ms.is_some() {
                // The row of the destroyed key is gone; this removes what old pages still hold of it.
                self.live.store().scrub().await?;
                return Ok(rotation);
            }
        }
    }

    async fn begin_tenant(&self, tenant: i64, slug: &str) -> Result<(), FlowError> {
        let live = &self.live;
        let tx = live.store().begin(TenantScope::Only(tenant)).await?;
        let latest = tx.latest_rotation(tenant, RotationKind::Tenant).await?;
        if latest.is_some_and(|latest| latest.ended_at_ms.is_none()) {
            return Ok(());
        }
        let fill = live.fill();
        let rotation = tx
            .begin_tenant_rotation(tenant, slug, live.roots(), live.now_ms(), &fill)
            .await?;
        let object = tenant_object(&rotation.to);
        let event = key_event(live, tenant, &Actor::CommandLine, Made::Created, &object);
        tx.commit_with(&event.into()).await?;
        Ok(())
    }

    /// One transaction: some keys are wrapped anew, or the old version is destroyed.
    async fn tenant_step(&self, tenant: i64) -> Result<RotationRow, FlowError> {
        let live = &self.live;
        let fill = live.fill();
        let tx = live.store().begin(TenantScope::Only(tenant)).await?;
        let latest = tx.latest_rotation(tenant, RotationKind::Tenant).await?;
        let mut rotation = latest.ok_or(FlowError::Refused(Reason::Internal))?;
        if rotation.ended_at_ms.is_some() {
            return Ok(rotation);
        }
        let done = tx.rewrap_keys(tenant, live.roots(), ROWS_AT_ONCE, &fill).await?;
        let entry = |made, object: &str| key_event(live, tenant, &Actor::CommandLine, made, object);
        rotation.done += i64::try_from(done).unwrap_or(0);
        let object = tenant_object(&rotation.to);
        let mut trail = Vec::new();
        if done > 0 {
            let mut event = entry(Made::Rewrapped, &object);
            event.count = i64::try_from(done).ok();
            trail.push(event.into());
        } else {
            for number in tx.destroy_tenant_keys(tenant).await? {
                trail.push(entry(Made::Destroyed, &format!("tenant_key:{number}")).into());
            }
            rotation.ended_at_ms = Some(live.now_ms());
            let mut event = entry(Made::Rotated, &object);
            event.count = Some(rotation.done);
            trail.push(event.into());
            tx.owe_keys_and_cases(live.new_id(), live.now_ms()).await?;
        }
        tx.note_rotation(&rotation).await?;
        if let Some(trail) = Trail::from_entries(trail) {
            tx.commit_with(&trail).await?;
        }
        Ok(rotation)
    }

    /// Makes a tenant another token key. The one before seals for a minute more, and opens until its last token has expired.
    pub async fn token(&self, tenant: i64) -> Result<NewToken, FlowError> {
        let live = &self.live;
        let tx = live.store().begin(TenantScope::Only(tenant)).await?;
        let rows = tx.key_list(tenant).await?;
        let tokens = rows.iter().filter(|row| row.purpose == KeyPurpose::Token.code());
        let newest = tokens.max_by_key(|row| row.number);
        let waits = newest
            .is_some_and(|newest| newest.number > 1 && !has_taken_over(newest.created_at_ms, live.now_ms()));
        if waits {
            return Ok(NewToken::Waiting);
        }
        let id = make_token_key(live, &tx, tenant).await?;
        let object = format!("token_key:{id}");
        let event = key_event(live, tenant, &Actor::CommandLine, Made::Created, &object);
        tx.touch_routing().await?;
        tx.commit_with(&event.into()).await?;
        Ok(NewToken::Made(id))
    }

    fn slug(&self, tenant: i64) -> Result<String, FlowError> {
        let found = self.tenants().into_iter().find(|(number, _)| *number == tenant);
        found
            .map(|(_, slug)| slug)
            .ok_or(FlowError::Refused(Reason::NotFound))
    }
}

fn root_object(name: &str) -> String {
    format!("root:{name}")
}

fn tenant_object(number: &str) -> String {
    format!("tenant_key:{number}")
}
