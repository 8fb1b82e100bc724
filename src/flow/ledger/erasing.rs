//! Erasing people, inside their batch: one function for every door, and for many people as well as for one.
//!
//! What is erased is written to the journal before the batch commits, and kept act by act with its audit entry. Rows that
//! name a person go; what tells how much was counted stays.

use std::collections::{BTreeSet, HashMap};

use super::command::{EraseCommand, Reference, Reply};
use super::writer::{Work, day_of};
use crate::domain::erasure::{Door, Ground};
use crate::domain::event::{Actor, AuditEvent, Entry};
use crate::domain::ids::{ClickKey, ErasureId, RequestId, time_ordered};
use crate::domain::journal::{Act as JournalAct, JournalLine, Suppressed};
use crate::domain::routing::TenantRoute;
use crate::store::StoreError;
use crate::store::batch::erase::{ErasureCounts, ErasureRow, month_of};
use crate::store::batch::facts::{OrderFacts, OrderRef};
use crate::store::tx::entry_id;

/// One act of erasing.
pub(super) struct Act<'a> {
    /// Whom it is about.
    pub clicks: Vec<ClickKey>,
    /// Where it was asked for.
    pub door: Door,
    /// Why.
    pub ground: Ground,
    /// Who asked.
    pub actor: &'a Actor,
    /// The shop, where one of its own asked.
    pub shop: Option<i64>,
    /// When it came.
    pub now_ms: i64,
    /// The request, where there was one.
    pub request: Option<RequestId>,
    /// For the audit event and the act's id.
    pub nonce: [u8; 16],
}

impl Act<'_> {
    /// The act's id. The entry's own is made of the nonce's first ten bytes, this one of the last.
    fn id(&self) -> ErasureId {
        let mut random = [0; 10];
        random.copy_from_slice(&self.nonce[6..]);
        ErasureId(time_ordered(self.door.kept_at_ms(self.now_ms), random))
    }

    /// What the log says of it, but for the numbers. A "no" stands under its day.
    pub(super) fn event(&self, tenant: &TenantRoute) -> AuditEvent {
        let mut event = AuditEvent::new(tenant.number(), "click.erased", self.actor, "erased", &self.nonce);
        match self.door {
            Door::Withdrawal | Door::Postback => event.day = Some(day_of(tenant, self.now_ms).1),
            _ => event.at_ms = Some(self.now_ms),
        }
        event.reason = Some(self.ground.code());
        event.request_id = self.request.map(|request| request.to_string());
        event.shop = self.shop;
        event
    }
}

impl Work {
    /// Erases people, all of a batch together: each with every click of theirs that what was given leads to.
    pub(super) async fn erase_people(
        &mut self,
        commands: &[&EraseCommand],
    ) -> Result<Vec<Reply>, StoreError> {
        let mut replies = Vec::with_capacity(commands.len());
        // What this batch has recorded so far may be what they are about.
        self.flush()?;
        for of_one in commands.chunk_by(|one, other| one.tenant == other.tenant) {
            let Some(first) = of_one.first() else { continue };
            let tenant = self.tenant(first.tenant)?;
            let clicks = self.people(of_one).await?;
            let acts: Vec<Act<'_>> = of_one
                .iter()
                .zip(clicks)
                .map(|(command, clicks)| Act {
                    clicks,
                    door: command.door,
                    ground: command.ground,
                    actor: &command.actor,
                    shop: command.shop,
                    now_ms: command.now_ms,
                    request: command.request,
                    nonce: command.nonce,
                })
                .collect();
            let erased = self.erase(&tenant, &acts, true).await?;
            replies.extend(erased.into_iter().map(|(erasure, clicks)| Reply::Erased {
                erasure: erasure.0,
                clicks,
            }));
        }
        Ok(replies)
    }

    /// Erases clicks of one tenant and makes that a fact for the rest of the batch; returns each act's id and how many
    /// clicks were there. An act that found none is kept only where that was asked for (`always`).
    pub(super) async fn erase(
        &mut self,
        tenant: &TenantRoute,
        acts: &[Act<'_>],
        always: bool,
    ) -> Result<Vec<(ErasureId, u64)>, StoreError> {
        self.flush()?;
        let mut clicks: Vec<ClickKey> = acts.iter().flat_map(|act| &act.clicks).copied().collect();
        clicks.sort_unstable();
        clicks.dedup();
        // The rows are locked first: a postback that another node is recording either stands before this erasure, with
        // its order, or waits and finds the click gone.
        self.batch.click_facts(&mut clicks, true).await?;
        let mut erased = self.batch.erase_clicks(&tenant.keys, &clicks).await?;
        for click in &clicks {
            self.clicks.remove(click);
        }
        let gone = |click: &ClickKey| clicks.binary_search(click).is_ok();
        self.orders.retain(|_, facts| !gone(&facts.click));
        let number = tenant.number();
        let entries: Vec<Suppressed> = erased.values().flat_map(|gone| &gone.entries).copied().collect();
        self.suppressed
            .extend(entries.iter().map(|(entry, _)| (number, *entry)));
        if let Some(act) = acts.iter().max_by_key(|act| act.door.journaled_at_ms(act.now_ms)) {
            let line = |clicks, entries| JournalAct::Erase { clicks, entries };
            self.journal(act, number, line, &clicks, entries);
        }
        let mut done = Vec::with_capacity(acts.len());
        let mut rows = Vec::with_capacity(acts.len());
        for act in acts {
            let mut counts = ErasureCounts::default();
            let mut months = BTreeSet::new();
            for click in &act.clicks {
                // What two acts of a batch name goes with the first.
                if let Some(gone) = erased.remove(click) {
                    counts.add(&gone);
                    months.extend(gone.had_salt.then(|| month_of(click)));
                }
            }
            let id = act.id();
            // A click that had its time and left a conversion's details behind was there as well.
            done.push((id, counts.clicks.max(u64::from(counts.is_something()))));
            self.erased |= counts.is_something();
            if counts.is_something() || always {
                let entry = entry_of(act, tenant, id, &counts);
                rows.push(ErasureRow {
                    tenant: number,
                    erasure_id: id.0,
                    erased_at_ms: act.door.kept_at_ms(act.now_ms),
                    door: act.door.code(),
                    reason: act.ground.code(),
                    counts,
                    entry_id: entry_id(&entry),
                    months,
                });
                self.entries.push(entry);
            }
        }
        self.batch.insert_erasures(&rows)?;
        Ok(done)
    }

    /// Notes a line that has to be in the journal before this batch commits.
    pub(super) fn journal(
        &mut self,
        act: &Act<'_>,
        tenant: i64,
        line: impl FnOnce(Vec<[u8; 32]>, Vec<Suppressed>) -> JournalAct,
        clicks: &[ClickKey],
        entries: Vec<Suppressed>,
    ) {
        if clicks.is_empty() && entries.is_empty() {
            return;
        }
        let references = clicks
            .iter()
            .map(|click| self.journal.click_reference(tenant, &click.click))
            .collect();
        self.lines.push(JournalLine {
            at_ms: act.door.journaled_at_ms(act.now_ms),
            tenant,
            act: line(references, entries),
        });
    }

    /// The clicks that a reference leads to.
    pub(super) async fn clicks_of(
        &mut self,
        tenant: i64,
        reference: &Reference,
    ) -> Result<Vec<ClickKey>, StoreError> {
        match reference {
            Reference::Click(click) => Ok(vec![*click]),
            Reference::Customer(hash) => self.batch.clicks_of_customer(tenant, *hash).await,
            Reference::Orders(orders) => {
                let found = self.batch.order_facts(&mut orders.clone()).await?;
                let mut clicks: Vec<ClickKey> = found.values().filter_map(OrderFacts::living_click).collect();
                clicks.sort_unstable();
                clicks.dedup();
                Ok(clicks)
            }
            Reference::Nothing => Ok(Vec::new()),
        }
    }

    /// The clicks of each command's person: those that were named, and those that name the same person as they do.
    async fn people(&mut self, commands: &[&EraseCommand]) -> Result<Vec<Vec<ClickKey>>, StoreError> {
        let mut found = self.named(commands).await?;
        let all: Vec<ClickKey> = found.iter().flatten().copied().collect();
        let customers = self.batch.customers_of(&all).await?;
        let mut named: HashMap<ClickKey, Vec<Customer>> = HashMap::new();
        for (click, hash) in &customers {
            named.entry(*click).or_default().push((click.tenant, *hash));
        }
        let mut of_same: HashMap<Customer, Vec<ClickKey>> = HashMap::new();
        let asked: BTreeSet<Customer> = customers
            .iter()
            .map(|(click, hash)| (click.tenant, *hash))
            .collect();
        let asked: Vec<Customer> = asked.into_iter().collect();
        for (customer, click) in self.batch.clicks_of_customers(&asked).await? {
            of_same.entry(customer).or_default().push(click);
        }
        for clicks in &mut found {
            let customers: BTreeSet<Customer> = clicks
                .iter()
                .filter_map(|click| named.get(click))
                .flatten()
                .copied()
                .collect();
            for customer in &customers {
                clicks.extend(of_same.get(customer).into_iter().flatten());
            }
            clicks.sort_unstable();
            clicks.dedup();
        }
        Ok(found)
    }

    /// The clicks that each command names, looked up together.
    async fn named(&mut self, commands: &[&EraseCommand]) -> Result<Vec<Vec<ClickKey>>, StoreError> {
        let (mut orders, mut customers): (Vec<OrderRef>, Vec<Customer>) = (Vec::new(), Vec::new());
        for command in commands {
            for reference in &command.references {
                match reference {
                    Reference::Orders(named) => orders.extend(named.iter().cloned()),
                    Reference::Customer(hash) => customers.push((command.tenant, *hash)),
                    Reference::Click(_) | Reference::Nothing => {}
                }
            }
        }
        let orders = self.batch.order_facts(&mut orders).await?;
        customers.sort_unstable();
        customers.dedup();
        let mut of_customer: HashMap<Customer, Vec<ClickKey>> = HashMap::new();
        for (customer, click) in self.batch.clicks_of_customers(&customers).await? {
            of_customer.entry(customer).or_default().push(click);
        }
        let of = |command: &EraseCommand, reference: &Reference| match reference {
            Reference::Click(click) => vec![*click],
            Reference::Customer(hash) => {
                let found = of_customer.get(&(command.tenant, *hash));
                found.cloned().unwrap_or_default()
            }
            Reference::Orders(named) => {
                let found = named.iter().filter_map(|order| orders.get(order));
                found.filter_map(OrderFacts::living_click).collect()
            }
            Reference::Nothing => Vec::new(),
        };
        let all = |command: &&EraseCommand| {
            let references = command.references.iter();
            references.flat_map(|reference| of(command, reference)).collect()
        };
        Ok(commands.iter().map(all).collect())
    }
}

fn entry_of(act: &Act<'_>, tenant: &TenantRoute, id: ErasureId, counts: &ErasureCounts) -> Entry {
    let mut event = act.event(tenant);
    event.count = i64::try_from(counts.clicks).ok();
    event.object = Some(id.to_string());
    if !counts.is_something() {
        event.outcome = "no_effect";
    }
    event.into()
}

/// A tenant and the hash of one of its customers' references.
type Customer = (i64, [u8; 16]);
