//! The writer: gathers the facts of a batch, decides each command in order, writes everything in one transaction.
//!
//! Within a batch the commands take effect one after another: what one decides is a fact for the next. A batch that the
//! database rejects is tried again one command at a time, so that one bad row cannot refuse its neighbours. A batch whose
//! commit has an unknown outcome is never tried again.

mod days;
mod leaves;
mod settled;
mod shadow;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError};

pub(super) use days::day_of;
pub(in crate::flow) use days::untracked_key;
use leaves::{Leaves, click_batch};
use settled::{Failed, Settled, answer, count_replies, scrub_and_answer};
use tokio::runtime::Handle;

use super::command::{ClickCommand, Command, EraseCommand, Reply, Token, UntrackedCommand};
use super::{Job, Missed, Unavailable};
use crate::domain::consent::{ConsentState, decide_click};
use crate::domain::event::{Entry, Trail};
use crate::domain::ids::ClickKey;
use crate::domain::journal::JournalLine;
use crate::domain::refusal::Untracked;
use crate::domain::routing::{Routing, TenantRoute};
use crate::flow::journal::Journal;
use crate::flow::{FlowError, Live};
use crate::store::StoreError;
use crate::store::batch::counters::{Counters, UntrackedKey};
use crate::store::batch::facts::{ClickFacts, OrderFacts, OrderRef};
use crate::store::batch::rows::{ClickRow, ConsentRow, ConversionRow};
use crate::store::tx::Batch;

/// How often a batch that lost a race is decided anew.
const RACES: usize = 3;

pub(super) struct Writer {
    live: Arc<Live>,
    /// Which of the store's lanes this is.
    place: usize,
    /// Its number in the counters' keys.
    lane: i64,
    missed: Missed,
    journal: Arc<dyn Journal>,
    /// Where those who wait for answers run.
    handlers: Handle,
}

/// What a batch knows and what it is about to write.
pub(super) struct Work {
    pub(super) routing: Arc<Routing>,
    pub(super) batch: Batch,
    pub(super) clicks: HashMap<ClickKey, ClickFacts>,
    pub(super) orders: HashMap<OrderRef, OrderFacts>,
    pub(super) suppressed: HashSet<(i64, [u8; 32])>,
    pub(super) records: Vec<ConsentRow>,
    pub(super) conversions: Vec<ConversionRow>,
    pub(super) counters: Counters,
    pub(super) entries: Vec<Entry>,
    pub(super) erased: bool,
    pub(super) journal: Arc<dyn Journal>,
    /// What has to be in the journal before this commits.
    pub(super) lines: Vec<JournalLine>,
    click_rows: Vec<ClickRow>,
    /// Clicks of each tenant and policy version, for one leaf each: hashes, the first one's nonce and time.
    leaves: BTreeMap<(i64, u16), Leaves>,
}

impl Writer {
    pub(super) fn new(
        live: Arc<Live>,
        place: usize,
        lane: i64,
        missed: Missed,
        journal: Arc<dyn Journal>,
        handlers: Handle,
    ) -> Self {
        Self {
            live,
            place,
            lane,
            missed,
            journal,
            handlers,
        }
    }

    /// Processes what has queued up and answers every waiter.
    pub(super) async fn process(&self, jobs: Vec<Job>) {
        metrics::histogram!("einklang_batch_commands")
            .record(u32::try_from(jobs.len()).map_or(f64::MAX, f64::from));
        let Settled { replies, erasing } = self.settle(&jobs).await;
        count_replies(&replies);
        let erasing: HashSet<usize> = erasing.into_iter().collect();
        let mut after_scrub = Vec::with_capacity(erasing.len());
        let mut at_once = Vec::with_capacity(jobs.len().saturating_sub(erasing.len()));
        for (place, (job, reply)) in jobs.into_iter().zip(replies).enumerate() {
            let waiting = if erasing.contains(&place) {
                &mut after_scrub
            } else {
                &mut at_once
            };
            waiting.push((job.answer, reply));
        }
        // Handed over in one piece: from here, each would wake the handlers' threads by itself.
        self.handlers.spawn(async { answer(at_once) });
        if !after_scrub.is_empty() {
            tokio::spawn(scrub_and_answer(self.live.store().clone(), after_scrub));
        }
    }

    async fn settle(&self, jobs: &[Job]) -> Settled {
        let mut left_out = HashSet::new();
        let mut races = 0;
        while races < RACES {
            match self.attempt(jobs, races == 0, &left_out).await {
                Ok(settled) => return settled,
                Err(Failed::Store(StoreError::Raced)) => races += 1,
                // Nothing was written, so nothing can be written twice; but one new connection is enough to ask for.
                Err(Failed::Store(error)) if races == 0 && error.is_about_the_connection() => {
                    tracing::warn!(%error, "a batch lost its connection before its commit; it is tried once more");
                    races += 1;
                }
                // Each time there are more of them, so this ends.
                Err(Failed::Journal(erasing)) => left_out.extend(erasing),
                Err(Failed::Store(error)) if jobs.len() > 1 && error.is_about_a_row() => {
                    tracing::warn!(%error, "a batch was rejected; its commands are tried one by one");
                    return self.one_by_one(jobs).await;
                }
                Err(Failed::Store(error)) => {
                    let cause = error.cause();
                    tracing::error!(%error, cause, "a batch failed");
                    metrics::counter!("einklang_batches_failed_total").increment(1);
                    break;
                }
            }
        }
        Settled {
            replies: jobs.iter().map(|_| Err(Unavailable)).collect(),
            erasing: Vec::new(),
        }
    }

    async fn one_by_one(&self, jobs: &[Job]) -> Settled {
        let (mut replies, mut erasing) = (Vec::with_capacity(jobs.len()), Vec::new());
        for (place, job) in jobs.iter().enumerate() {
            match self
                .attempt(std::slice::from_ref(job), false, &HashSet::new())
                .await
            {
                Ok(settled) => {
                    erasing.extend(settled.erasing.iter().map(|_| place));
                    replies.extend(settled.replies);
                }
                Err(Failed::Journal(_)) => replies.push(Err(Unavailable)),
                Err(Failed::Store(error)) => {
                    let cause = error.cause();
                    tracing::error!(%error, cause, "a command failed");
                    replies.push(Err(Unavailable));
                }
            }
        }
        Settled { replies, erasing }
    }

    /// One transaction over these commands but for those that are left out. The first time it may rely on the routing
    /// data that we have, where nothing else needs to be looked at before it writes: the database then compares the
    /// version as it commits.
    async fn attempt(&self, jobs: &[Job], first: bool, left_out: &HashSet<usize>) -> Result<Settled, Failed> {
        let plain = |job: &Job| matches!(job.command, Command::Click(_) | Command::Untracked(_));
        let relied_on = (first && jobs.iter().all(plain)).then(|| self.live.routing().version);
        let mut batch = self.live.store().begin_batch(self.place, relied_on).await?;
        let routing = self.current_routing(&mut batch).await?;
        // Looked at now and not before: the wait may have been for the database to become free.
        let wanted: Vec<Option<&Command>> = (0..)
            .zip(jobs)
            .map(|(place, job)| wanted(job, &routing).filter(|_| !left_out.contains(&place)))
            .collect();
        let mut work = Work::gather(batch, routing, &wanted, Arc::clone(&self.journal)).await?;
        let (replies, erasing) = work.decide(&wanted).await?;
        if !work.lines.is_empty() && self.journal.append(&work.lines).is_err() {
            // Dropped without a commit, it is rolled back.
            return Err(Failed::Journal(erasing));
        }
        let missed = self.take_missed();
        for (key, count) in &missed {
            *work.counters.untracked.entry(*key).or_default() += count;
        }
        let erased = work.erased;
        if let Err(error) = work.finish(self.lane).await {
            self.return_missed(missed);
            return Err(error.into());
        }
        Ok(Settled {
            replies,
            erasing: if erased { erasing } else { Vec::new() },
        })
    }

    /// The routing data that this transaction has to decide under: newer than ours where something changed.
    async fn current_routing(&self, batch: &mut Batch) -> Result<Arc<Routing>, StoreError> {
        let routing = self.live.routing();
        if batch.routing_version()? == routing.version {
            return Ok(routing);
        }
        match self.live.reload().await {
            Ok(()) => Ok(self.live.routing()),
            Err(FlowError::Store(error)) => Err(error),
            Err(_) => Err(StoreError::Inconsistent {
                table: "routing",
                column: "version",
            }),
        }
    }

    fn take_missed(&self) -> BTreeMap<UntrackedKey, i64> {
        std::mem::take(&mut *self.missed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn return_missed(&self, missed: BTreeMap<UntrackedKey, i64>) {
        let mut kept = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, count) in missed {
            *kept.entry(key).or_default() += count;
        }
    }
}

/// The command of a job, unless nobody waits for it any more: a visitor who was redirected without a token has not been
/// tracked, and a shop that heard nothing or was told to come again does so. What ends processing is done all the same.
fn wanted<'j>(job: &'j Job, routing: &Routing) -> Option<&'j Command> {
    let ends = match &job.command {
        Command::Click(_) | Command::Untracked(_) => false,
        Command::Postback(postback) => routing.tenants.get(&postback.tenant).is_some_and(|tenant| {
            let policy = &tenant.policy_at(postback.now_ms).policy;
            postback.assessment.state(policy) == ConsentState::Denied
        }),
        Command::Consent(_) | Command::Amend(_) | Command::Erase(_) | Command::Restrict(_) => true,
    };
    (ends || !job.answer.is_closed()).then_some(&job.command)
}

impl Work {
    async fn gather(
        mut batch: Batch,
        routing: Arc<Routing>,
        commands: &[Option<&Command>],
        journal: Arc<dyn Journal>,
    ) -> Result<Self, StoreError> {
        let mut keys = Vec::new();
        let mut orders = Vec::new();
        let mut entries = Vec::new();
        let mut erasing = false;
        for command in commands.iter().flatten() {
            let Command::Postback(postback) = command else {
                erasing |= matches!(
                    command,
                    Command::Consent(_) | Command::Erase(_) | Command::Restrict(_)
                );
                continue;
            };
            let Some(tenant) = routing.tenants.get(&postback.tenant) else {
                continue;
            };
            let policy = &tenant.policy_at(postback.now_ms).policy;
            erasing |= postback.assessment.state(policy) == ConsentState::Denied;
            if let Token::Opened { click, .. } = postback.token {
                keys.push(click);
            }
            let named = [postback.click_entry, postback.order_entry].into_iter().flatten();
            entries.extend(named.map(|entry| (postback.tenant, entry)));
            if let Some(order) = &postback.order {
                orders.push(order.clone());
            }
        }
        let clicks = batch.click_facts(&mut keys, erasing).await?;
        let orders = batch.order_facts(&mut orders).await?;
        let suppressed = batch.suppressed(&mut entries).await?;
        Ok(Self {
            routing,
            batch,
            clicks,
            orders,
            suppressed,
            records: Vec::new(),
            conversions: Vec::new(),
            counters: Counters::default(),
            entries: Vec::new(),
            erased: false,
            journal,
            lines: Vec::new(),
            click_rows: Vec::new(),
            leaves: BTreeMap::new(),
        })
    }

    /// Decides the commands in turn; returns the answers, and the places of those that ended a person's data. Erasures
    /// come last and all together: none of the others has been answered before, so each may as well have come first.
    async fn decide(
        &mut self,
        commands: &[Option<&Command>],
    ) -> Result<(Vec<Result<Reply, Unavailable>>, Vec<usize>), StoreError> {
        let mut replies = Vec::with_capacity(commands.len());
        let (mut erasing, mut erasures): (Vec<usize>, Vec<(usize, &EraseCommand)>) = Default::default();
        for (place, command) in commands.iter().enumerate() {
            let lines = self.lines.len();
            replies.push(match command {
                None => Err(Unavailable),
                Some(Command::Click(click)) => Ok(self.track(click)),
                Some(Command::Untracked(untracked)) => Ok(self.count(untracked)),
                Some(Command::Postback(postback)) => Ok(self.judge(postback).await?),
                Some(Command::Consent(consent)) => Ok(self.change_consent(consent).await?),
                Some(Command::Amend(amend)) => Ok(self.amend(amend).await?),
                Some(Command::Restrict(restrict)) => Ok(self.restrict(restrict).await?),
                Some(Command::Erase(erase)) => {
                    erasing.push(place);
                    erasures.push((place, erase));
                    Err(Unavailable)
                }
            });
            if self.lines.len() > lines {
                erasing.push(place);
            }
        }
        erasures.sort_by_key(|(_, erase)| erase.tenant);
        let acts: Vec<&EraseCommand> = erasures.iter().map(|(_, erase)| *erase).collect();
        let erased = self.erase_people(&acts).await?;
        for ((place, _), reply) in erasures.iter().zip(erased) {
            if let Some(waiting) = replies.get_mut(*place) {
                *waiting = Ok(reply);
            }
        }
        Ok((replies, erasing))
    }

    /// The tenant of a command. It was there when the command was made, and tenants are never removed.
    pub(super) fn tenant(&self, number: i64) -> Result<Arc<TenantRoute>, StoreError> {
        let missing = StoreError::Inconsistent {
            table: "tenant",
            column: "tenant",
        };
        self.routing.tenants.get(&number).map(Arc::clone).ok_or(missing)
    }

    fn track(&mut self, click: &ClickCommand) -> Reply {
        let number = click.row.key.tenant;
        let Some(tenant) = self.routing.tenants.get(&number).map(Arc::clone) else {
            return Reply::Counted;
        };
        let policy = tenant.policy_at(click.now_ms);
        let state = match decide_click(&click.assessment, &policy.policy) {
            Ok(state) => state,
            Err(reason) => return self.count_click(click, reason),
        };
        let quarter = click.now_ms.div_euclid(900_000);
        let row = &click.row;
        let key = (
            number,
            quarter,
            row.shop,
            row.campaign,
            row.publisher,
            row.link,
            0,
            "",
            "click",
        );
        self.counters.hours.entry(key).or_default().0 += 1;
        self.leaf(click, policy.version, state);
        let version = i64::from(policy.version);
        let bits = i64::from(click.assessment.bits(state));
        self.click_rows.push(ClickRow {
            policy_version: version,
            consent_bits: bits,
            ..row.clone()
        });
        if let Some(draft) = click.draft {
            self.compare_click(&tenant, click.row.campaign, click.now_ms, Ok(()), draft);
        }
        Reply::Tracked
    }

    /// The policy changed between the handler's look and this transaction: the click may no longer be tracked.
    fn count_click(&mut self, click: &ClickCommand, reason: Untracked) -> Reply {
        let untracked = UntrackedCommand {
            tenant: click.row.key.tenant,
            campaign: click.row.campaign,
            reason,
            now_ms: click.now_ms,
            draft: click.draft,
        };
        self.count(&untracked)
    }

    fn count(&mut self, untracked: &UntrackedCommand) -> Reply {
        if let Some(tenant) = self.routing.tenants.get(&untracked.tenant).map(Arc::clone) {
            let key = untracked_key(&tenant, untracked);
            *self.counters.untracked.entry(key).or_default() += 1;
            if let Some(draft) = untracked.draft {
                let said = Err(untracked.reason);
                self.compare_click(&tenant, untracked.campaign, untracked.now_ms, said, draft);
            }
        }
        Reply::Counted
    }

    /// Writes the rows that are waiting, so that what follows in this transaction sees them.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        self.batch.insert_clicks(std::mem::take(&mut self.click_rows))?;
        self.batch
            .insert_consent_records(&std::mem::take(&mut self.records))?;
        self.batch
            .insert_conversions(std::mem::take(&mut self.conversions))
    }

    async fn finish(mut self, lane: i64) -> Result<(), StoreError> {
        self.flush()?;
        for ((tenant, policy_version), leaves) in std::mem::take(&mut self.leaves) {
            self.entries.push(click_batch(tenant, policy_version, &leaves));
        }
        self.batch.add_counters(&self.counters, lane)?;
        match Trail::from_entries(self.entries) {
            Some(trail) => self.batch.commit_with(&trail).await,
            None if self.counters.untracked.is_empty() && cfg!(not(feature = "without-log")) => {
                self.batch.leave_unchanged().await
            }
            None => self.batch.commit_untracked_counts().await,
        }
    }
}
