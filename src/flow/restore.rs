//! After a restore, before anybody is served: every log opens a new epoch, and what was erased since the backup goes again.
//!
//! Promise: nothing is replayed into an epoch that was signed before, so that no log has two histories; and whoever the
//! erasure journal names is gone when this is done, with every suppression entry back in its place. What is replayed is
//! in the log. All of the journal is replayed, not only what it has since the backup: doing it twice changes nothing, and
//! no clock has to be trusted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::audit::{Guard, log_name};
use super::{FlowError, Live};
use crate::audit::guard::Remembered;
use crate::domain::event::{Actor, Change};
use crate::domain::ids::{ClickId, ClickKey, TenantId};
use crate::domain::journal::Suppressed;
use crate::domain::routing::TenantRoute;
use crate::domain::scope::TenantScope;
use crate::store::StoreError;
use crate::store::audit::LogKey;
use crate::store::audit::heads::Head;
use crate::store::replay::Naming;

/// Clicks that are erased in one transaction.
const ERASED_AT_ONCE: usize = 500;
/// Suppression entries that are written in one.
const ENTRIES_AT_ONCE: usize = 2_000;

/// What the journal says was done, as a restore has to know it.
pub trait Done: Sync {
    /// Whether this click was erased.
    fn is_erased(&self, tenant: i64, click: &ClickId) -> bool;

    /// What was suppressed, by tenant.
    fn suppressed(&self) -> &BTreeMap<i64, Vec<Suppressed>>;
}

/// A log whose epoch ended with the backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reopened {
    /// The tenant's id, or `server`.
    pub log: String,
    /// The epoch that ended, and how many entries the backup has of it.
    pub ended: (i64, u64),
    /// What was signed last, as far as the guard file knows.
    pub signed: Option<(i64, u64)>,
    /// The epoch that is open now.
    pub epoch: i64,
}

/// What was done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Clicks that were erased again, with what hangs on them.
    pub clicks: u64,
    /// Clicks that nobody could read any more: their salts were not in the copy of the keys.
    pub unreadable: u64,
    /// Suppression entries that stand again.
    pub suppressed: u64,
}

/// What the server's log says of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The backup's name.
    pub backup: String,
    /// The moment that it is of, in milliseconds since 1970.
    pub taken_at_ms: i64,
    /// Whether the erasure journal reached back to it.
    pub journal_is_whole: bool,
}

/// Works on a database that was restored and that nobody serves yet.
pub struct RestoreFlow {
    live: Arc<Live>,
}

impl RestoreFlow {
    /// Over the shared parts.
    pub fn new(live: Arc<Live>) -> Self {
        Self { live }
    }

    /// Opens a new epoch of every log. A log that went on in its epoch would sign a second history of whatever came after
    /// the backup. The new epoch's number is one that nobody can have used: where the guard file cannot know, the time.
    pub async fn reopen_logs(&self, name: &str, guard: &dyn Guard) -> Result<Vec<Reopened>, FlowError> {
        let mut heads: BTreeMap<i64, Head> = BTreeMap::new();
        for head in self.live.store().reader(TenantScope::Server).log_heads().await? {
            heads.insert(head.log.tenant, head);
        }
        let routing = self.live.routing();
        let mut reopened = Vec::new();
        for number in routing.tenants.keys().copied().chain([0]) {
            let tenant = routing.tenants.get(&number);
            let log = tenant.map_or_else(
                || "server".to_owned(),
                |tenant| TenantId(tenant.tenant.object.id).to_string(),
            );
            let last = guard.last(&log_name(name, &log));
            let head = heads.get(&number);
            if head.is_none() && last.is_none() {
                continue;
            }
            let ended = head.map_or((0, 0), |head| (head.log.epoch, head.size));
            let epoch = self.open(number, head, last).await?;
            reopened.push(Reopened {
                log,
                ended,
                signed: last.map(|last| (last.epoch, last.size)),
                epoch,
            });
        }
        Ok(reopened)
    }

    async fn open(
        &self,
        tenant: i64,
        head: Option<&Head>,
        last: Option<Remembered>,
    ) -> Result<i64, FlowError> {
        let store = self.live.store();
        let known = head.map_or(0, |head| head.log.epoch);
        let next = last.map_or(known, |last| last.epoch.max(known)) + 1;
        // A guard file knows what its own node signed.
        let is_sure = last.is_some() && !store.is_postgres();
        let epoch = if is_sure {
            next
        } else {
            next.max(self.live.now_s())
        };
        let last = match (last, head) {
            (Some(last), _) => last,
            (None, Some(head)) => Remembered {
                epoch: head.log.epoch,
                size: head.size,
                root: store
                    .reader(TenantScope::Server)
                    .log_edge(head.log, head.size)
                    .await?
                    .root(),
            },
            (None, None) => return Ok(epoch),
        };
        let mut event = self
            .live
            .event(tenant, "log.opened", &Actor::CommandLine, "opened");
        event.reason = Some("restored");
        let told = [
            ("last_epoch", last.epoch.to_string()),
            ("last_size", last.size.to_string()),
            ("last_root", hex::encode(last.root)),
        ];
        event.changes = told
            .into_iter()
            .map(|(field, value)| Change {
                field,
                new: None,
                old: Some(value),
            })
            .collect();
        let log = LogKey { tenant, epoch };
        if store.open_epoch(log, &event.into(), self.live.now_ms()).await? {
            Ok(epoch)
        } else {
            // Somebody else works on a database that nobody may serve yet.
            Err(StoreError::Raced.into())
        }
    }

    /// Erases again whom the journal names, and suppresses again what it suppressed.
    pub async fn replay(&self, done: &dyn Done) -> Result<Replayed, FlowError> {
        let mut replayed = Replayed::default();
        let routing = self.live.routing();
        for tenant in routing.tenants.values() {
            // First, so that what is about to go cannot be counted again by anybody.
            let entries = done.suppressed().get(&tenant.number());
            for some in entries.map_or(&[][..], Vec::as_slice).chunks(ENTRIES_AT_ONCE) {
                self.suppress(tenant, some).await?;
                replayed.suppressed += some.len() as u64;
            }
            for naming in Naming::ALL {
                self.erase_named(tenant, naming, done, &mut replayed).await?;
            }
        }
        Ok(replayed)
    }

    async fn erase_named(
        &self,
        tenant: &TenantRoute,
        naming: Naming,
        done: &dyn Done,
        replayed: &mut Replayed,
    ) -> Result<(), FlowError> {
        let number = tenant.number();
        let mut behind = None;
        loop {
            let store = self.live.store();
            let page = store
                .reader(TenantScope::Server)
                .named_clicks(naming, number, behind)
                .await?;
            let Some(last) = page.last() else { return Ok(()) };
            behind = Some(last.key);
            let mut going: Vec<ClickKey> = Vec::new();
            for one in page {
                let is_erased = done.is_erased(number, &one.key.click);
                if is_erased || one.is_unreadable {
                    going.push(one.key);
                    replayed.unreadable += u64::from(!is_erased);
                }
            }
            for some in going.chunks(ERASED_AT_ONCE) {
                replayed.clicks += self.erase(tenant, some).await?;
            }
        }
    }

    async fn erase(&self, tenant: &TenantRoute, clicks: &[ClickKey]) -> Result<u64, FlowError> {
        let store = self.live.store();
        let lane = store.lanes().end.saturating_sub(1);
        let mut batch = store.begin_batch(lane, None).await?;
        let erased = batch.erase_clicks(&tenant.keys, clicks).await?;
        let clicks = erased.values().filter(|click| click.was_there).count();
        let mut event = self
            .live
            .event(tenant.number(), "click.erased", &Actor::CommandLine, "erased");
        event.count = i64::try_from(clicks).ok();
        event.reason = Some("restored");
        batch.commit_with(&event.into()).await?;
        Ok(clicks as u64)
    }

    async fn suppress(&self, tenant: &TenantRoute, entries: &[Suppressed]) -> Result<(), FlowError> {
        let store = self.live.store();
        let lane = store.lanes().end.saturating_sub(1);
        let mut batch = store.begin_batch(lane, None).await?;
        batch.suppress_again(tenant.number(), entries).await?;
        let mut event = self.live.event(
            tenant.number(),
            "suppression.restored",
            &Actor::CommandLine,
            "restored",
        );
        event.count = i64::try_from(entries.len()).ok();
        batch.commit_with(&event.into()).await?;
        Ok(())
    }

    /// Enters the restore in the server's log.
    pub async fn note(&self, told: &Told, replayed: &Replayed) -> Result<(), FlowError> {
        let mut event = self
            .live
            .event(0, "backup.restored", &Actor::CommandLine, "restored");
        event.object = Some(format!("backup:{}", told.backup));
        event.count = i64::try_from(replayed.clicks).ok();
        let journal = if told.journal_is_whole { "whole" } else { "missing" };
        let fields = [
            ("journal", journal.to_owned()),
            ("taken_at_ms", told.taken_at_ms.to_string()),
        ];
        event.changes = fields
            .into_iter()
            .map(|(field, value)| Change {
                field,
                new: Some(value),
                old: None,
            })
            .collect();
        let tx = self.live.store().begin(TenantScope::Server).await?;
        Ok(tx.commit_with(&event.into()).await?)
    }

    /// Leaves no old page that still has what was erased.
    pub async fn scrub(&self) -> Result<(), FlowError> {
        Ok(self.live.store().scrub().await?)
    }
}
