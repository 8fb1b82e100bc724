//! The tamper search: the logs against themselves and what was signed, and the tables against the logs.
//!
//! Promise: nothing is changed, memory is flat however long the logs are, and what is found is described without anything
//! personal. Exact, one by one: every entry against its tile, every tile against what lies below it, every kept
//! checkpoint and the guard file's last root against the entries; every click's and every accepted conversion's row
//! against its leaf, by recomputing it; every object, policy version and month's key against an entry that names it, both
//! ways. By count: rows of clicks (tracked less erased and purged), rows of conversions (recorded less purged tests), rows
//! whose details were purged, what remains of consent records, refused and
//! dropped postbacks by day, outcome and reason, untracked clicks of closed days, counted clicks; later signals by
//! moment, day and policy version, of which erasures leave at most as many as there are entries.

mod last;
mod tables;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub use self::last::{Checks, Shown};
use self::tally::Tally;
use super::{Guard, log_name};
use crate::audit::check::{Finding, Findings, Kind, Seen, Signed, TreeCheck, Witness};
use crate::audit::guard::Remembered;
use crate::audit::merkle::{Hash, leaf_hash};
use crate::audit::note::{Checkpoint, open_note};
use crate::audit::tiles::{TILE_WIDTH, TileId};
use crate::domain::ids::{TenantId, time_ordered};
use crate::domain::scope::TenantScope;
use crate::flow::{FlowError, Live};
use crate::store::audit::LogKey;
use crate::store::audit::check::{CheckState, KeptCheckpoint, LogState, StoredEntry, WAITING_MAX};

/// Tiles of entries that are read at once: a batch's entry can have some tens of kilobytes of hashes beside it.
const PAGE_TILES: u64 = 4;

/// What is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extent {
    /// Only this tenant's part; 0 is the server's.
    pub tenant: Option<i64>,
    /// The logs alone, without the tables.
    pub logs_only: bool,
    /// How long to rest after every page, so that others come first.
    pub pause: Duration,
}

/// One tenant, or all.
#[derive(Debug, Clone, Copy)]
struct Tenants(Option<i64>);

impl Tenants {
    fn hold(self, tenant: i64) -> bool {
        self.0.is_none_or(|only| only == tenant)
    }
}

impl Extent {
    fn tenants(self) -> Tenants {
        Tenants(self.tenant)
    }
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "counts of what they are named after")]
pub struct LookedAt {
    pub logs: u64,
    pub entries: u64,
    pub waiting: u64,
    pub tiles: u64,
    pub checkpoints: u64,
    pub clicks: u64,
    pub conversions: u64,
    pub consent_records: u64,
    pub objects: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// When it began, in milliseconds since 1970.
    pub began_at_ms: i64,
    /// When it ended.
    pub ended_at_ms: i64,
    /// How much was looked at.
    pub looked_at: LookedAt,
    /// What does not fit, by log and kind.
    pub findings: Vec<Finding>,
}

/// Compares.
#[derive(Clone)]
pub struct CheckFlow {
    live: Arc<Live>,
    name: String,
    public: Option<[u8; 32]>,
    guard: Arc<dyn Guard>,
}

/// A comparison in progress.
struct Run {
    found: Findings,
    seen: LookedAt,
    tally: Tally,
    began_at_ms: i64,
    pause: Duration,
}

impl Run {
    async fn rest(&self) {
        if self.pause.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(self.pause).await;
        }
    }
}

impl CheckFlow {
    /// Over the shared parts. `name` is the first part of every origin; without a public key nothing can have been signed.
    pub fn new(live: Arc<Live>, name: String, public: Option<[u8; 32]>, guard: Arc<dyn Guard>) -> Self {
        Self {
            live,
            name,
            public,
            guard,
        }
    }

    /// Looks at everything in this extent.
    pub async fn run(&self, extent: Extent) -> Result<CheckReport, FlowError> {
        let began_at_ms = self.live.now_ms();
        let mut run = Run {
            found: Findings::default(),
            seen: LookedAt::default(),
            tally: Tally::default(),
            began_at_ms,
            pause: extent.pause,
        };
        let wanted = extent.tenants();
        // Before the heads: what is remembered is durable, so that no sound head is behind it.
        let remembered = self.remembered(wanted);
        let mut state = self.live.store().check_state().await?;
        state.keep_only(wanted);
        self.trees(&state, remembered, &mut run).await?;
        for entry in &state.waiting {
            run.seen.waiting += 1;
            read_entry(entry, None, &mut run);
        }
        if !extent.logs_only {
            if state.waiting.len() < WAITING_MAX {
                run.tally.hold_against(&state, &mut run.found);
            }
            self.tables(wanted, &mut run).await?;
        }
        Ok(CheckReport {
            began_at_ms,
            ended_at_ms: self.live.now_ms(),
            looked_at: run.seen,
            findings: run.found.into_vec(),
        })
    }

    /// What the guard file has for every log that there should be.
    fn remembered(&self, wanted: Tenants) -> BTreeMap<i64, Remembered> {
        let routing = self.live.routing();
        let tenants: BTreeSet<i64> = routing.tenants.keys().copied().chain([0]).collect();
        let known = tenants.into_iter().filter(|tenant| wanted.hold(*tenant));
        known
            .filter_map(|tenant| Some((tenant, self.guard.last(&self.log_name(tenant))?)))
            .collect()
    }

    /// How a log's tenant is named outside: its id, or `server`.
    pub fn tenant_text(&self, tenant: i64) -> String {
        if tenant == 0 {
            return "server".to_owned();
        }
        let routing = self.live.routing();
        let found = routing.tenants.get(&tenant);
        found.map_or_else(
            || "unknown".to_owned(),
            |found| TenantId(found.tenant.object.id).to_string(),
        )
    }

    /// The name of a tenant's log.
    fn log_name(&self, tenant: i64) -> String {
        log_name(&self.name, &self.tenant_text(tenant))
    }

    async fn trees(
        &self,
        state: &CheckState,
        mut remembered: BTreeMap<i64, Remembered>,
        run: &mut Run,
    ) -> Result<(), FlowError> {
        for (place, log) in state.logs.iter().enumerate() {
            let LogKey { tenant, epoch } = log.log;
            let next = state.logs.get(place + 1);
            let is_latest = next.is_none_or(|next| next.log.tenant != tenant);
            let guarded = remembered
                .get(&tenant)
                .copied()
                .filter(|last| last.epoch == epoch);
            // Where a later epoch is open, that this one lost its end is known and told.
            if is_latest && let Some(last) = remembered.remove(&tenant) {
                let ahead = last.epoch > epoch || (last.epoch == epoch && last.size > log.size);
                if ahead {
                    guard_ahead(log.log, log.size, last, &mut run.found);
                }
            }
            self.tree(log, guarded, run).await?;
        }
        for (tenant, last) in remembered {
            guard_ahead(LogKey { tenant, epoch: 0 }, 0, last, &mut run.found);
        }
        Ok(())
    }

    async fn tree(
        &self,
        state: &LogState,
        guarded: Option<Remembered>,
        run: &mut Run,
    ) -> Result<(), FlowError> {
        let LogKey { tenant, epoch } = state.log;
        run.seen.logs += 1;
        if state.end > state.size {
            let place = format!("entry {}", state.size);
            run.found
                .add(Kind::EntrySurplus, tenant, Some(epoch), Some(state.size), place);
        }
        let origin = state.origin.clone();
        let origin = origin.unwrap_or_else(|| format!("{}/{epoch}", self.log_name(tenant)));
        let mut check = TreeCheck::new(tenant, epoch, state.size);
        let mut signed: Vec<Signed> = guarded
            .filter(|last| last.size <= state.size)
            .map(|last| Signed {
                size: last.size,
                root: last.root,
                witness: Witness::Guard,
            })
            .into_iter()
            .collect();
        let mut begin = 0;
        while begin < state.size {
            let end = state.size.min(begin + PAGE_TILES * TILE_WIDTH);
            self.signed_roots(state.log, &origin, (begin, end), &mut signed, run)
                .await?;
            self.page(state, (begin, end), &signed, &mut check, run).await?;
            signed.retain(|one| one.size > end);
            begin = end;
            run.rest().await;
        }
        for (id, below) in check.edge() {
            self.upper_tile(state.log, id, &below, &mut check, run).await?;
        }
        check.finish(&mut run.found);
        Ok(())
    }

    /// Reads the checkpoints of these sizes, and opens them.
    async fn signed_roots(
        &self,
        log: LogKey,
        origin: &str,
        (begin, end): (u64, u64),
        signed: &mut Vec<Signed>,
        run: &mut Run,
    ) -> Result<(), FlowError> {
        let mut behind = begin;
        loop {
            let reader = self.live.store().reader(TenantScope::Server);
            let kept = reader.kept_checkpoints(log, behind, end).await?;
            let Some(last) = kept.last() else { return Ok(()) };
            behind = u64::try_from(last.size).unwrap_or(end);
            for one in kept {
                run.seen.checkpoints += 1;
                if let Some(root) = self.open(&one, origin) {
                    let size = u64::try_from(one.size).unwrap_or(0);
                    let witness = Witness::Checkpoint;
                    signed.push(Signed { size, root, witness });
                } else {
                    let place = format!("the checkpoint of size {}", one.size);
                    run.found
                        .add(Kind::CheckpointUnsigned, log.tenant, Some(log.epoch), None, place);
                }
            }
        }
    }

    /// The root of a checkpoint that is signed for this log and size.
    fn open(&self, kept: &KeptCheckpoint, origin: &str) -> Option<Hash> {
        let text = open_note(&kept.note, origin, self.public.as_ref()?).ok()?;
        let checkpoint = Checkpoint::parse(&text).ok()?;
        let is_this = checkpoint.origin == origin && i64::try_from(checkpoint.size) == Ok(kept.size);
        is_this.then_some(checkpoint.root)
    }

    async fn page(
        &self,
        state: &LogState,
        (begin, end): (u64, u64),
        signed: &[Signed],
        check: &mut TreeCheck,
        run: &mut Run,
    ) -> Result<(), FlowError> {
        let reader = self.live.store().reader(TenantScope::Server);
        let log = state.log;
        let entries = reader.stored_entries(log, begin, end).await?;
        let from = TileId {
            level: 0,
            tile: begin / TILE_WIDTH,
        };
        let mut tiles: BTreeMap<u64, Vec<Hash>> = reader
            .stored_tiles(log, from, PAGE_TILES)
            .await?
            .into_iter()
            .collect();
        run.seen.tiles += tiles.len() as u64;
        if let Some((number, edge)) = &state.edge
            && (begin..end).contains(&(number * TILE_WIDTH))
        {
            signed_last(tiles.entry(*number).or_default(), edge);
        }
        let mut leaves = Vec::with_capacity(entries.len());
        for entry in &entries {
            run.seen.entries += 1;
            leaves.push((entry.index, leaf_hash(&entry.body)));
            read_entry(entry, Some(log), run);
        }
        for number in begin / TILE_WIDTH..end.div_ceil(TILE_WIDTH) {
            let of_tile = |index: u64| index / TILE_WIDTH == number;
            let first = leaves.partition_point(|(index, _)| index / TILE_WIDTH < number);
            let count = leaves[first..].partition_point(|(index, _)| of_tile(*index));
            let stored = tiles.get(&number).map(Vec::as_slice);
            let of_one = &leaves[first..first + count];
            check.block(number, of_one, stored, signed, &mut run.found);
        }
        while let Some((id, below)) = check.next_tile() {
            self.upper_tile(log, id, &below, check, run).await?;
        }
        Ok(())
    }

    async fn upper_tile(
        &self,
        log: LogKey,
        id: TileId,
        below: &[Hash],
        check: &mut TreeCheck,
        run: &mut Run,
    ) -> Result<(), FlowError> {
        let stored = self
            .live
            .store()
            .reader(TenantScope::Server)
            .stored_tiles(log, id, 1)
            .await?;
        let stored = stored.first().map(|(_, hashes)| hashes.as_slice());
        run.seen.tiles += u64::from(stored.is_some());
        check.tile(id, below, stored, &mut run.found);
        Ok(())
    }
}

/// What was signed last goes before a tile that may have become full of other entries since.
fn signed_last(tile: &mut Vec<Hash>, edge: &[Hash]) {
    let behind = tile.get(edge.len()..).unwrap_or_default();
    *tile = [edge, behind].concat();
}

fn guard_ahead(log: LogKey, size: u64, last: Remembered, found: &mut Findings) {
    let place = format!(
        "{} entries of epoch {} were signed, and epoch {} has {size}",
        last.size, last.epoch, log.epoch
    );
    let index = (last.epoch == log.epoch).then_some(size);
    found.add(Kind::GuardAhead, log.tenant, Some(log.epoch), index, place);
}

/// What an entry says counts; what it is stored under has to be made of it.
fn read_entry(entry: &StoredEntry, log: Option<LogKey>, run: &mut Run) {
    let (epoch, index) = (log.map(|log| log.epoch), log.map(|_| entry.index));
    let place = || match index {
        Some(index) => format!("entry {index}"),
        None => "an entry that waits for its place".to_owned(),
    };
    let Some(seen) = Seen::read(&entry.body) else {
        run.found
            .add(Kind::EntryUnreadable, entry.tenant, epoch, index, place());
        return;
    };
    if seen.tenant != entry.tenant || id_of(&seen) != Some(entry.id) {
        run.found
            .add(Kind::EntryMisplaced, entry.tenant, epoch, index, place());
    }
    if seen.action == "click.batch" && !seen.stands_for(entry.hashes.as_deref().unwrap_or_default()) {
        run.found
            .add(Kind::BatchAltered, entry.tenant, epoch, index, place());
    }
    run.tally.count(&seen);
}

/// The id that an entry is stored under: its time, or the beginning of its day, and ten bytes of its nonce.
fn id_of(seen: &Seen<'_>) -> Option<uuid::Uuid> {
    let mut random = [0; 10];
    hex::decode_to_slice(seen.nonce.get(..20)?, &mut random).ok()?;
    let day_start = || {
        let day = chrono::NaiveDate::parse_from_str(seen.day?, "%Y-%m-%d").ok()?;
        Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis())
    };
    Some(time_ordered(seen.at_ms.or_else(day_start).unwrap_or(0), random))
}
