//! Failed authorisation, counted until it is entered in the audit log: a flood of it becomes a handful of entries.
//!
//! An entry names the operation, the reason, and the caller or the shop where one is known; never an address, and nothing of
//! what was presented.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{FlowError, Live};
use crate::domain::access::Bearer;
use crate::domain::event::{Actor, Entry, Trail};
use crate::domain::refusal::Reason;
use crate::domain::scope::TenantScope;

/// Different refusals that are counted apart between two rounds; what comes beyond is counted together.
const KINDS_MAX: usize = 1_024;
/// What the rest is counted under.
const OTHER: &str = "other";

/// Who was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claimant {
    /// A caller who proved to be somebody, by the tenant (0 is the server) and what was shown.
    Known(i64, Bearer),
    /// A shop that was named and did not prove to be it, by its tenant and number.
    Shop(i64, i64),
    /// Nobody that is known.
    Unknown,
}

impl Claimant {
    fn tenant(self) -> i64 {
        match self {
            Claimant::Known(tenant, _) | Claimant::Shop(tenant, _) => tenant,
            Claimant::Unknown => 0,
        }
    }
}

type Kind = (Claimant, &'static str, &'static str);

/// Counts of failed authorisation. Clones share them.
#[derive(Clone, Default)]
pub struct Refusals(Arc<Mutex<BTreeMap<Kind, i64>>>);

impl Refusals {
    /// Counts one. Only failures to be let in count: 401, 403 and 429.
    pub fn count(&self, claimant: Claimant, operation: &'static str, reason: Reason) {
        use Reason::{Forbidden, RateLimited, Unauthenticated};
        if !matches!(reason, Unauthenticated | Forbidden | RateLimited) {
            return;
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = (claimant, operation, reason.code());
        let kind = if counts.contains_key(&kind) || counts.len() < KINDS_MAX {
            kind
        } else {
            (Claimant::Unknown, OTHER, OTHER)
        };
        *counts.entry(kind).or_default() += 1;
    }

    /// Enters what was counted; returns how many entries that made. What could not be entered is counted on.
    pub async fn enter(&self, live: &Live) -> Result<usize, FlowError> {
        let taken = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let entries: Vec<Entry> = taken
            .iter()
            .map(|(kind, count)| entry(live, *kind, *count))
            .collect();
        let made = entries.len();
        let Some(trail) = Trail::from_entries(entries) else {
            return Ok(0);
        };
        let entered = async {
            let tx = live.store().begin(TenantScope::Server).await?;
            tx.commit_with(&trail).await
        };
        if let Err(error) = entered.await {
            let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for (kind, count) in taken {
                *counts.entry(kind).or_default() += count;
            }
            return Err(error.into());
        }
        Ok(made)
    }
}

fn entry(live: &Live, (claimant, operation, reason): Kind, count: i64) -> Entry {
    let actor = match claimant {
        Claimant::Known(0, Bearer::Key(key)) => Actor::Operator(key),
        Claimant::Known(_, Bearer::Key(key)) => Actor::Key(key),
        Claimant::Known(_, Bearer::User(user)) => Actor::User(user),
        Claimant::Known(_, Bearer::Outside(name)) => Actor::Outside(name),
        // Whoever it was did not prove to be anybody: the server tells of it.
        Claimant::Shop(..) | Claimant::Unknown => Actor::Server,
    };
    let mut event = live.event(claimant.tenant(), "access.refused", &actor, "refused");
    event.count = Some(count);
    event.object = Some(format!("operation:{operation}"));
    event.reason = Some(reason);
    if let Claimant::Shop(_, shop) = claimant {
        event.shop = Some(shop);
    }
    event.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_in_bounded_memory_and_nothing_is_lost() {
        let refusals = Refusals::default();
        for key in 0..5_000 {
            refusals.count(
                Claimant::Known(1, Bearer::Key(key)),
                "list_shops",
                Reason::Forbidden,
            );
            refusals.count(Claimant::Unknown, "list_shops", Reason::NotFound);
        }
        let counts = refusals.0.lock().expect("counts");
        assert_eq!(counts.len(), KINDS_MAX + 1);
        assert_eq!(counts.values().sum::<i64>(), 5_000);
        assert_eq!(
            counts[&(Claimant::Unknown, OTHER, OTHER)],
            5_000 - i64::try_from(KINDS_MAX).expect("small")
        );
    }
}
