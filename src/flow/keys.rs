//! Keys while the server runs: their uses are counted, token keys get successors, and those that are over are destroyed.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::{FlowError, Live};
use crate::domain::access::Principal;
use crate::domain::event::{Actor, AuditEvent, Trail};
use crate::domain::key_life::{is_over, needs_successor};
use crate::domain::keyring::{KeyPurpose, KeyRing};
use crate::domain::scope::TenantScope;
use crate::store::key_use::{KeyRow, RotationRow};
use crate::store::tx::Tx;

/// How often token keys sealed since that was last written down, by tenant and key id.
#[derive(Debug, Default)]
pub struct Uses(RwLock<HashMap<(i64, u16), AtomicI64>>);

impl Uses {
    /// Counts one.
    pub fn count(&self, tenant: i64, id: u16) {
        let key = (tenant, id);
        if let Some(count) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            count.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.put(key, 1);
    }

    /// Counts a token that was sealed at a time.
    pub fn count_seal(&self, keys: &KeyRing, at_ms: i64) {
        if let Some((id, _)) = keys.sealing_token_key(at_ms) {
            self.count(keys.tenant(), id);
        }
    }

    fn put(&self, key: (i64, u16), uses: i64) {
        let mut counts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(key).or_default().get_mut() += uses;
    }

    /// Takes what was counted.
    fn take(&self) -> BTreeMap<(i64, u16), i64> {
        let counts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let taken = counts
            .iter()
            .map(|(key, count)| (*key, count.swap(0, Ordering::Relaxed)));
        taken.filter(|(_, uses)| *uses > 0).collect()
    }
}

/// What became of token keys in one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// Successors that were made.
    pub made: usize,
    /// Keys that were destroyed.
    pub destroyed: usize,
}

/// A root key as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootRow {
    /// Its public name.
    pub name: String,
    /// Whether the database is under it.
    pub primary: bool,
    /// Whether this server has it.
    pub present: bool,
    /// How many tenant keys it wraps.
    pub wraps: usize,
}

/// Keys as they are shown: names, numbers and times.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeySheet {
    /// Root keys, for the server's operator.
    pub roots: Vec<RootRow>,
    /// Tenants' keys.
    pub keys: Vec<KeyRow>,
    /// The latest rotation of each kind.
    pub rotations: Vec<RotationRow>,
}

/// Looks after keys.
#[derive(Clone)]
pub struct KeysFlow {
    live: Arc<Live>,
}

impl KeysFlow {
    /// Over the shared parts.
    pub fn new(live: Arc<Live>) -> Self {
        Self { live }
    }

    /// What a caller may see: a tenant's roles their tenant's keys, the server's operator the root keys.
    pub async fn shown_to(&self, principal: &Principal) -> Result<KeySheet, FlowError> {
        let reader = self.live.store().reader(principal.scope());
        if principal.tenant == 0 {
            return Ok(KeySheet {
                roots: self.roots().await?,
                rotations: reader.key_rotations(Some(0)).await?,
                keys: Vec::new(),
            });
        }
        Ok(KeySheet {
            roots: Vec::new(),
            keys: reader.key_rows(Some(principal.tenant)).await?,
            rotations: reader.key_rotations(Some(principal.tenant)).await?,
        })
    }

    /// Everything, for the command line.
    pub async fn all(&self) -> Result<KeySheet, FlowError> {
        let reader = self.live.store().reader(TenantScope::Server);
        Ok(KeySheet {
            roots: self.roots().await?,
            keys: reader.key_rows(None).await?,
            rotations: reader.key_rotations(None).await?,
        })
    }

    async fn roots(&self) -> Result<Vec<RootRow>, FlowError> {
        let reader = self.live.store().reader(TenantScope::Server);
        let current = reader.root_name().await?;
        let present = self.live.roots().names();
        let mut wraps: BTreeMap<String, usize> = present.iter().map(|name| (name.clone(), 0)).collect();
        for row in reader.key_rows(None).await? {
            if row.purpose == KeyPurpose::Tenant.code() {
                *wraps.entry(row.wrapped_by).or_default() += 1;
            }
        }
        let row = |(name, wraps): (String, usize)| RootRow {
            primary: current.as_ref() == Some(&name),
            present: present.contains(&name),
            name,
            wraps,
        };
        Ok(wraps.into_iter().map(row).collect())
    }

    /// What a timer does every minute: counts are written down, then token keys are succeeded and destroyed as they are due.
    pub async fn keep(&self) -> Result<Kept, FlowError> {
        self.enter_uses().await?;
        if !self.live.rootless_tenants().is_empty() {
            // Whoever keeps their root keys may answer again.
            self.live.reload().await?;
        }
        let mut kept = Kept::default();
        let mut by_tenant: BTreeMap<i64, Vec<KeyRow>> = BTreeMap::new();
        for row in self
            .live
            .store()
            .reader(TenantScope::Server)
            .key_rows(None)
            .await?
        {
            by_tenant.entry(row.tenant).or_default().push(row);
        }
        let routing = self.live.routing();
        for (tenant, rows) in by_tenant {
            let open = routing.tenants.get(&tenant).is_some_and(|route| !route.rootless);
            let plan = Plan::of(&rows, self.live.now_ms());
            if plan.is_due() && open {
                match self.follow(tenant).await {
                    Ok(done) => {
                        kept.made += done.made;
                        kept.destroyed += done.destroyed;
                    }
                    // Its own trouble, and no other tenant's.
                    Err(FlowError::Refused(_)) => {
                        tracing::warn!(
                            tenant,
                            "token keys cannot be looked after: the tenant's root key is not here"
                        );
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        if kept != Kept::default() {
            self.live.reload().await?;
        }
        if kept.destroyed > 0 {
            self.live.store().scrub().await?;
        }
        Ok(kept)
    }

    /// Writes down how often keys were used. What cannot be written is counted again the next time.
    pub async fn enter_uses(&self) -> Result<(), FlowError> {
        let taken = self.live.uses().take();
        if taken.is_empty() {
            return Ok(());
        }
        let write = async {
            let tx = self.live.store().begin(TenantScope::Server).await?;
            for ((tenant, id), uses) in &taken {
                tx.add_uses(*tenant, KeyPurpose::Token, (*id).into(), *uses)
                    .await?;
            }
            tx.commit_key_uses().await
        };
        let written = write.await;
        if written.is_err() {
            for (key, uses) in taken {
                self.live.uses().put(key, uses);
            }
        }
        Ok(written?)
    }

    /// Does for a tenant what is due, as the transaction sees it: another node may have been first.
    async fn follow(&self, tenant: i64) -> Result<Kept, FlowError> {
        let live = &self.live;
        let tx = live.store().begin(TenantScope::Only(tenant)).await?;
        let plan = Plan::of(&tx.key_list(tenant).await?, live.now_ms());
        if !plan.is_due() {
            return Ok(Kept::default());
        }
        let mut events = Vec::new();
        if plan.succeed {
            let id = make_token_key(live, &tx, tenant).await?;
            events.push(key_event(
                live,
                tenant,
                &Actor::Server,
                Made::Created,
                &format!("token_key:{id}"),
            ));
        }
        for number in &plan.over {
            tx.destroy_key(tenant, KeyPurpose::Token, *number).await?;
            let object = format!("token_key:{number}");
            events.push(key_event(live, tenant, &Actor::Server, Made::Destroyed, &object));
        }
        if !plan.over.is_empty() {
            tx.owe_keys_and_cases(live.new_id(), live.now_ms()).await?;
        }
        tx.touch_routing().await?;
        let entries = events.into_iter().map(Into::into).collect();
        if let Some(trail) = Trail::from_entries(entries) {
            tx.commit_with(&trail).await?;
        }
        Ok(Kept {
            made: plan.succeed.into(),
            destroyed: plan.over.len(),
        })
    }
}

/// What is due with a tenant's token keys.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    succeed: bool,
    over: Vec<i64>,
}

impl Plan {
    fn of(rows: &[KeyRow], now_ms: i64) -> Self {
        let mut tokens: Vec<&KeyRow> = rows
            .iter()
            .filter(|row| row.purpose == KeyPurpose::Token.code())
            .collect();
        tokens.sort_by_key(|row| row.number);
        let succeed = tokens
            .last()
            .is_some_and(|newest| needs_successor(newest.created_at_ms, newest.uses.unwrap_or(0), now_ms));
        let over = tokens
            .windows(2)
            .filter(|pair| is_over(pair[1].created_at_ms, now_ms))
            .map(|pair| pair[0].number)
            .collect();
        Self { succeed, over }
    }

    fn is_due(&self) -> bool {
        self.succeed || !self.over.is_empty()
    }
}

/// What happened to a key, as the trail calls it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Made {
    Created,
    Destroyed,
    Rewrapped,
    Rotated,
    Adopted,
}

/// An entry about a key.
pub(super) fn key_event(live: &Live, tenant: i64, actor: &Actor, made: Made, object: &str) -> AuditEvent {
    let (action, outcome) = match made {
        Made::Created => ("key.created", "created"),
        Made::Destroyed => ("key.destroyed", "destroyed"),
        Made::Rewrapped => ("key.rewrapped", "rewrapped"),
        Made::Rotated => ("key.rotated", "rotated"),
        Made::Adopted => ("key.adopted", "adopted"),
    };
    let mut event = live.event(tenant, action, actor, outcome);
    event.object = Some(object.to_owned());
    event
}

/// Makes a tenant's next token key.
pub(super) async fn make_token_key(live: &Live, tx: &Tx, tenant: i64) -> Result<u16, FlowError> {
    let fill = live.fill();
    Ok(tx
        .make_token_key(tenant, live.roots(), live.now_ms(), &fill)
        .await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::key_life::{TOKEN_KEY_SEALS, TOKEN_KEY_SECONDS};

    fn row(number: i64, created_day: i64, uses: i64) -> KeyRow {
        KeyRow {
            tenant: 1,
            purpose: "token".to_owned(),
            number,
            wrapped_by: "1".to_owned(),
            state: "primary".to_owned(),
            created_at_ms: created_day * 86_400_000,
            uses: Some(uses),
        }
    }

    #[test]
    fn uses_are_taken_once_and_put_back_if_they_could_not_be_written() {
        let uses = Uses::default();
        uses.count(1, 1);
        uses.count(1, 1);
        uses.count(2, 7);
        let taken = uses.take();
        assert_eq!(taken, BTreeMap::from([((1, 1), 2), ((2, 7), 1)]));
        assert!(uses.take().is_empty());
        uses.put((1, 1), 2);
        uses.count(1, 1);
        assert_eq!(uses.take(), BTreeMap::from([((1, 1), 3)]));
    }

    #[test]
    fn only_the_newest_is_succeeded_and_only_what_is_over_is_destroyed() {
        let day = 86_400_000;
        let month = TOKEN_KEY_SECONDS / 86_400;
        let rows = [row(2, month, 0), row(1, 0, TOKEN_KEY_SEALS)];
        let at = |days: i64| Plan::of(&rows, days * day);
        assert!(!at(month).is_due(), "the older one's uses count no more");
        assert_eq!(at(2 * month).over, Vec::<i64>::new());
        assert!(at(2 * month).succeed);
        assert_eq!(at(month + 99).over, [1], "the newest stays, however old");
        assert!(Plan::of(&[row(1, 0, TOKEN_KEY_SEALS)], 0).succeed);
    }
}
