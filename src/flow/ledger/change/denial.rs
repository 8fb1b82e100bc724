//! What a "no" ends, inside its batch: one click, the person's clicks, or nothing but their counting.
//!
//! Whatever the policy erases, the click never counts again: a suppression entry keeps late postbacks out in every case,
//! and a later grant revives nothing.

use super::super::erasing::Act;
use super::super::writer::Work;
use crate::domain::event::AuditEvent;
use crate::domain::journal::Act as JournalAct;
use crate::domain::policy::DenialErases;
use crate::domain::routing::TenantRoute;
use crate::store::StoreError;

impl Work {
    /// Ends clicks of one tenant as far as a denial goes; returns whether that had an effect.
    pub(in crate::flow::ledger) async fn end_clicks(
        &mut self,
        tenant: &TenantRoute,
        mut act: Act<'_>,
        erases: DenialErases,
    ) -> Result<bool, StoreError> {
        match erases {
            DenialErases::Click => {}
            DenialErases::Nothing => return self.block(tenant, act).await,
            DenialErases::Person => {
                // What this batch has recorded so far may name the person, too.
                self.flush()?;
                act.clicks
                    .extend(self.batch.clicks_of_same_person(&act.clicks).await?);
            }
        }
        let erased = self.erase(tenant, &[act], false).await?;
        Ok(erased.iter().any(|(_, clicks)| *clicks > 0))
    }

    /// Makes clicks count no more and leaves the rest of them as it is.
    async fn block(&mut self, tenant: &TenantRoute, act: Act<'_>) -> Result<bool, StoreError> {
        let mut clicks = act.clicks.clone();
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
            .extend(blocked.iter().map(|(entry, _)| (number, *entry)));
        self.journal(
            &act,
            number,
            |clicks, entries| JournalAct::Block { clicks, entries },
            &clicks,
            blocked,
        );
        let event = AuditEvent {
            action: "click.blocked",
            outcome: "blocked",
            count: i64::try_from(clicks.len()).ok(),
            ..act.event(tenant)
        };
        self.entries.push(event.into());
        Ok(true)
    }
}
