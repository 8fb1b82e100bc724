//! What a "no" ends, inside its batch: one click, the person's clicks, or nothing but their counting.
//!
//! Whatever the policy erases, the click never counts again: a suppression entry keeps late postbacks out in every case,
//! and a later grant revives nothing.

use super::super::writer::Work;
use crate::domain::event::AuditEvent;
use crate::domain::ids::ClickKey;
use crate::domain::policy::DenialErases;
use crate::domain::routing::TenantRoute;
use crate::store::StoreError;

impl Work {
    /// Ends clicks of one tenant as far as a denial goes; returns whether that had an effect.
    pub(in crate::flow::ledger) async fn end_clicks(
        &mut self,
        tenant: &TenantRoute,
        mut clicks: Vec<ClickKey>,
        erases: DenialErases,
        event: AuditEvent,
    ) -> Result<bool, StoreError> {
        match erases {
            DenialErases::Click => {}
            DenialErases::Nothing => return self.block(tenant, clicks, event).await,
            DenialErases::Person => {
                // What this batch has recorded so far may name the person, too.
                self.flush()?;
                clicks.extend(self.batch.clicks_of_same_person(&clicks).await?);
            }
        }
        clicks.sort_unstable();
        clicks.dedup();
        self.erase(tenant, &clicks, event).await
    }

    /// Makes clicks count no more and leaves the rest of them as it is.
    async fn block(
        &mut self,
        tenant: &TenantRoute,
        mut clicks: Vec<ClickKey>,
        event: AuditEvent,
    ) -> Result<bool, StoreError> {
        self.flush()?;
        // Locked like an erasure: a postback on another node either stands before this or finds the entry.
        let living = self.batch.click_facts(&mut clicks, true).await?;
        let number = tenant.number();
        let mut entries: Vec<(i64, [u8; 32])> = living
            .keys()
            .map(|click| (number, tenant.keys.suppressed_click(&click.click)))
            .collect();
        let known = self.batch.suppressed(&mut entries).await?;
        clicks.retain(|click| {
            let entry = tenant.keys.suppressed_click(&click.click);
            living.contains_key(click) && !known.contains(&(number, entry))
        });
        if clicks.is_empty() {
            return Ok(false);
        }
        let blocked = self.batch.block_clicks(&tenant.keys, &clicks).await?;
        self.suppressed
            .extend(blocked.into_iter().map(|entry| (number, entry)));
        let event = AuditEvent {
            action: "click.blocked",
            outcome: "blocked",
            count: i64::try_from(clicks.len()).ok(),
            ..event
        };
        self.entries.push(event.into());
        Ok(true)
    }
}
