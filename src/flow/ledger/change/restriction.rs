//! Restriction of processing (GDPR Art. 18), inside its batch: clicks that are kept and used no more.
//!
//! A postback for a restricted click is refused and nothing of it is kept: to put it off would be to store an order of
//! somebody whose data may be stored, and nothing else. Retention leaves these clicks alone until the restriction is
//! lifted; an erasure or a withdrawal still ends them.

use super::super::command::{Reference, Reply};
use super::super::writer::{Work, day_of};
use crate::domain::event::{Actor, AuditEvent};
use crate::domain::ids::{ClickKey, RequestId};
use crate::store::StoreError;

/// A restriction of processing, or its end.
pub struct RestrictCommand {
    /// The tenant's number.
    pub tenant: i64,
    /// Who asks.
    pub actor: Actor,
    /// Whom it is about; all of them one person.
    pub references: Vec<Reference>,
    /// Whether processing is restricted from now on.
    pub restricted: bool,
    /// The case that it rests on, as the trail names it.
    pub object: String,
    /// When it came.
    pub now_ms: i64,
    /// The request, if it is one.
    pub request: Option<RequestId>,
    /// For the audit event.
    pub nonce: [u8; 16],
}

impl Work {
    /// Sets or lifts the restriction of a person's clicks.
    pub(in crate::flow::ledger) async fn restrict(
        &mut self,
        restrict: &RestrictCommand,
    ) -> Result<Reply, StoreError> {
        let tenant = self.tenant(restrict.tenant)?;
        // What this batch has recorded so far may be what this is about.
        self.flush()?;
        let mut clicks = Vec::new();
        for reference in &restrict.references {
            clicks.extend(self.clicks_named(restrict.tenant, reference).await?);
        }
        clicks.extend(self.batch.clicks_of_same_person(&clicks).await?);
        clicks.sort_unstable();
        clicks.dedup();
        // Locked like an erasure: a postback on another node either stands before this or finds the restriction.
        let living = self.batch.click_facts(&mut clicks, true).await?;
        // A click may have had its time while an order's details have not: then those are frozen themselves.
        let over: Vec<ClickKey> = clicks
            .iter()
            .filter(|click| !living.contains_key(*click))
            .copied()
            .collect();
        let (orders, orders_changed) = self
            .batch
            .restrict_conversions(&over, restrict.restricted)
            .await?;
        clicks.retain(|click| {
            living
                .get(click)
                .is_some_and(|facts| facts.restricted != restrict.restricted)
        });
        let changed = self.batch.restrict_clicks(&clicks, restrict.restricted).await? + orders_changed;
        for click in &clicks {
            if let Some(facts) = self.clicks.get_mut(click) {
                facts.restricted = restrict.restricted;
            }
        }
        if changed > 0 {
            let (action, outcome) = if restrict.restricted {
                ("click.restricted", "restricted")
            } else {
                ("click.unrestricted", "unrestricted")
            };
            let mut event =
                AuditEvent::new(restrict.tenant, action, &restrict.actor, outcome, &restrict.nonce);
            event.count = i64::try_from(changed).ok();
            event.day = Some(day_of(&tenant, restrict.now_ms).1);
            event.object = Some(restrict.object.clone());
            event.request_id = restrict.request.map(|request| request.to_string());
            self.entries.push(event.into());
        }
        let clicks = u64::try_from(living.len()).unwrap_or(u64::MAX);
        Ok(Reply::Restricted {
            clicks: clicks.saturating_add(orders),
        })
    }

    async fn clicks_named(
        &mut self,
        tenant: i64,
        reference: &Reference,
    ) -> Result<Vec<ClickKey>, StoreError> {
        match reference {
            Reference::Click(click) => Ok(vec![*click]),
            Reference::Customer(hash) => self.batch.clicks_of_customer(tenant, *hash).await,
            Reference::Orders(orders) => {
                let found = self.batch.order_facts(&mut orders.clone()).await?;
                Ok(found.into_values().map(|facts| facts.click).collect())
            }
            Reference::Nothing => Ok(Vec::new()),
        }
    }
}
