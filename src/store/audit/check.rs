//! What the comparison of the logs with the tables reads: heads, entries and rows in pages, and small sums at one moment.
//!
//! Promise: nothing is written, and nothing long is held open. Sums, heads and what waits are read in one short
//! transaction, so that they fit together; entries and rows are read in pages afterwards, since an entry never changes.

use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::{LogKey, signed, split, unsigned};
use crate::audit::merkle::Hash;
use crate::audit::tiles::{TILE_WIDTH, TileId};
use crate::domain::scope::TenantScope;
use crate::store::connect::{Store, StoreError};
use crate::store::tx::Reader;

/// The most waiting entries that are looked at; where there are more, sums cannot be compared.
pub const WAITING_MAX: usize = 50_000;

/// One epoch of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogState {
    /// Which log.
    pub log: LogKey,
    /// How many entries its head says.
    pub size: u64,
    /// One more than the greatest index.
    pub end: u64,
    /// Its origin, once it has signed anything.
    pub origin: Option<String>,
    /// The hashes that no full tile held when the log was last signed, with the number of their tile.
    pub edge: Option<(u64, Vec<Hash>)>,
}

/// An entry as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its tenant's number; 0 is the server.
    pub tenant: i64,
    /// Its index; 0 for one that waits or was not found by its index.
    pub index: u64,
    /// Its id.
    pub id: Uuid,
    /// Its bytes.
    pub body: Vec<u8>,
    /// The hashes beside it.
    pub hashes: Option<Vec<u8>>,
}

/// A counter of refused and dropped postbacks.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
#[expect(missing_docs, reason = "the columns of stat_refused")]
pub struct RefusedSum {
    pub tenant: i64,
    pub day: i64,
    pub outcome: String,
    pub reason: String,
    pub events: i64,
}

/// A number of one tenant's.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
#[expect(missing_docs, reason = "the columns say it")]
pub struct TenantSum {
    pub tenant: i64,
    pub events: i64,
}

/// A closed day and how many untracked clicks the counters have for it.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
#[expect(missing_docs, reason = "the columns say it")]
pub struct DaySum {
    pub tenant: i64,
    pub day: i64,
    pub events: i64,
}

/// What fits together because it was read at one moment.
#[derive(Debug, Default)]
pub struct CheckState {
    /// Every epoch of every log.
    pub logs: Vec<LogState>,
    /// Entries that wait for their places.
    pub waiting: Vec<StoredEntry>,
    /// Refused and dropped postbacks.
    pub refused: Vec<RefusedSum>,
    /// Clicks that were counted as tracked.
    pub counted_clicks: Vec<TenantSum>,
    /// Rows of clicks.
    pub click_rows: Vec<TenantSum>,
    /// Rows of conversions, tests included.
    pub conversion_rows: Vec<TenantSum>,
    /// Rows of conversions whose person was erased.
    pub erased_conversions: Vec<TenantSum>,
    /// Clicks that the acts of erasing speak of.
    pub erasures: Vec<TenantSum>,
    /// Rows of conversions whose details had their time.
    pub purged_conversions: Vec<TenantSum>,
    /// Rows of what remains of consent records.
    pub proof_rows: Vec<TenantSum>,
    /// What runs of the purge say they removed.
    pub removed_by_runs: Vec<TenantSum>,
    /// Closed days of untracked clicks.
    pub untracked_days: Vec<DaySum>,
}

const REFUSED: &str = "SELECT tenant, day, outcome, reason, CAST(SUM(events) AS BIGINT) AS events FROM stat_refused \
     GROUP BY tenant, day, outcome, reason";
const COUNTED: &str = "SELECT tenant, CAST(SUM(events) AS BIGINT) AS events FROM stat_hour WHERE outcome = 'click' \
     GROUP BY tenant";
const CLICKS: &str = "SELECT tenant, COUNT(*) AS events FROM click GROUP BY tenant";
const CONVERSIONS: &str = "SELECT tenant, COUNT(*) AS events FROM conversion GROUP BY tenant";
const ERASED: &str =
    "SELECT tenant, COUNT(*) AS events FROM conversion WHERE click_id IS NULL AND NOT purged GROUP BY tenant";
const ERASURES: &str = "SELECT tenant, CAST(SUM(clicks) AS BIGINT) AS events FROM erasure GROUP BY tenant";
const PURGED: &str = "SELECT tenant, COUNT(*) AS events FROM conversion WHERE purged GROUP BY tenant";
const PROOFS: &str = "SELECT tenant, COUNT(*) AS events FROM consent_proof GROUP BY tenant";
const RUNS: &str = "SELECT tenant, CAST(SUM(removed) AS BIGINT) AS events FROM retention_run GROUP BY tenant";
const DAYS: &str = "SELECT d.tenant, d.day, CAST(COALESCE(SUM(s.events), 0) AS BIGINT) AS events FROM audit_day d \
     LEFT JOIN stat_untracked s ON s.tenant = d.tenant AND s.day = d.day GROUP BY d.tenant, d.day";
const LOGS: &str = "SELECT log.tenant, log.epoch, log.size, log.origin, edge.size AS edge_size, edge.hashes AS edge_hashes, \
     (SELECT MAX(idx) FROM audit_leaf AS leaf WHERE leaf.tenant = log.tenant AND leaf.epoch = log.epoch) AS last \
     FROM audit_log AS log LEFT JOIN audit_edge AS edge ON edge.tenant = log.tenant AND edge.epoch = log.epoch \
     ORDER BY log.tenant, log.epoch";
const WAITING_SQLITE: &str = "SELECT one.tenant, one.entry_id, one.body, b.hashes FROM audit_pending AS one \
     LEFT JOIN audit_batch AS b ON b.tenant = one.tenant AND b.entry_id = one.entry_id LIMIT 50000";
const WAITING_POSTGRES: &str = "SELECT one.tenant, one.entry_id, one.body, b.hashes \
     FROM audit_pending CROSS JOIN LATERAL unnest(tenants, entry_ids, bodies) AS one (tenant, entry_id, body) \
     LEFT JOIN audit_batch AS b ON b.tenant = one.tenant AND b.entry_id = one.entry_id LIMIT 50000";
const LEAVES: &str = "SELECT leaf.tenant, leaf.idx, leaf.entry_id, leaf.body, b.hashes FROM audit_leaf AS leaf \
     LEFT JOIN audit_batch AS b ON b.tenant = leaf.tenant AND b.entry_id = leaf.entry_id \
     WHERE leaf.tenant = $1 AND leaf.epoch = $2 AND leaf.idx >= $3 AND leaf.idx < $4 ORDER BY leaf.idx";
const TILES: &str = "SELECT tile, hashes FROM audit_tile \
     WHERE tenant = $1 AND epoch = $2 AND level = $3 AND tile >= $4 AND tile < $5 ORDER BY tile";
const CHECKPOINTS: &str = "SELECT size, at_ms, note FROM audit_checkpoint \
     WHERE tenant = $1 AND epoch = $2 AND size > $3 AND size <= $4 ORDER BY size LIMIT 1000";

#[derive(Debug, FromQueryResult)]
struct LogRow {
    tenant: i64,
    epoch: i64,
    size: i64,
    origin: Option<String>,
    last: Option<i64>,
    edge_size: Option<i64>,
    edge_hashes: Option<Vec<u8>>,
}

#[derive(Debug, FromQueryResult)]
struct WaitingRow {
    tenant: i64,
    entry_id: Uuid,
    body: Vec<u8>,
    hashes: Option<Vec<u8>>,
}

#[derive(Debug, FromQueryResult)]
struct LeafRow {
    tenant: i64,
    idx: i64,
    entry_id: Uuid,
    body: Vec<u8>,
    hashes: Option<Vec<u8>>,
}

#[derive(Debug, FromQueryResult)]
struct TileRow {
    tile: i64,
    hashes: Vec<u8>,
}

/// A checkpoint as it is kept.
#[derive(Debug, Clone, FromQueryResult)]
#[expect(missing_docs, reason = "the columns of audit_checkpoint")]
pub struct KeptCheckpoint {
    pub size: i64,
    pub at_ms: i64,
    pub note: String,
}

impl From<WaitingRow> for StoredEntry {
    fn from(row: WaitingRow) -> Self {
        Self {
            tenant: row.tenant,
            index: 0,
            id: row.entry_id,
            body: row.body,
            hashes: row.hashes,
        }
    }
}

impl Store {
    /// What has to fit together.
    pub async fn check_state(&self) -> Result<CheckState, StoreError> {
        let snapshot = self.reader(TenantScope::Server).connection().moment().await?;
        let waiting = if self.is_postgres() {
            WAITING_POSTGRES
        } else {
            WAITING_SQLITE
        };
        let logs: Vec<LogRow> = all(&snapshot, LOGS, Vec::new()).await?;
        let waiting: Vec<WaitingRow> = all(&snapshot, waiting, Vec::new()).await?;
        let state = CheckState {
            logs: logs.into_iter().map(LogState::from).collect(),
            waiting: waiting.into_iter().map(StoredEntry::from).collect(),
            refused: all(&snapshot, REFUSED, Vec::new()).await?,
            counted_clicks: all(&snapshot, COUNTED, Vec::new()).await?,
            click_rows: all(&snapshot, CLICKS, Vec::new()).await?,
            conversion_rows: all(&snapshot, CONVERSIONS, Vec::new()).await?,
            erased_conversions: all(&snapshot, ERASED, Vec::new()).await?,
            erasures: all(&snapshot, ERASURES, Vec::new()).await?,
            purged_conversions: all(&snapshot, PURGED, Vec::new()).await?,
            proof_rows: all(&snapshot, PROOFS, Vec::new()).await?,
            removed_by_runs: all(&snapshot, RUNS, Vec::new()).await?,
            untracked_days: all(&snapshot, DAYS, Vec::new()).await?,
        };
        snapshot.rollback().await?;
        Ok(state)
    }
}

impl From<LogRow> for LogState {
    fn from(row: LogRow) -> Self {
        Self {
            log: LogKey {
                tenant: row.tenant,
                epoch: row.epoch,
            },
            size: unsigned(row.size),
            end: row.last.map_or(0, |last| unsigned(last) + 1),
            origin: row.origin,
            edge: row.edge_size.zip(row.edge_hashes).and_then(|(size, hashes)| {
                let hashes = split(&hashes)?;
                Some((unsigned(size) / TILE_WIDTH, hashes))
            }),
        }
    }
}

async fn all<T: FromQueryResult>(
    connection: &DatabaseTransaction,
    text: &str,
    values: Vec<Value>,
) -> Result<Vec<T>, StoreError> {
    let select = Statement::from_sql_and_values(connection.get_database_backend(), text, values);
    Ok(T::find_by_statement(select).all(connection).await?)
}

impl Reader<'_> {
    pub(super) async fn rows<T: FromQueryResult>(
        &self,
        text: &str,
        values: Vec<Value>,
    ) -> Result<Vec<T>, StoreError> {
        let connection = self.connection();
        let select = Statement::from_sql_and_values(connection.get_database_backend(), text, values);
        Ok(T::find_by_statement(select).all(connection).await?)
    }

    /// The entries of a log from one index up to, but without, another.
    pub async fn stored_entries(
        &self,
        log: LogKey,
        begin: u64,
        end: u64,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        let values = vec![
            log.tenant.into(),
            log.epoch.into(),
            signed(begin).into(),
            signed(end).into(),
        ];
        let rows: Vec<LeafRow> = self.rows(LEAVES, values).await?;
        let entry = |row: LeafRow| StoredEntry {
            tenant: row.tenant,
            index: unsigned(row.idx),
            id: row.entry_id,
            body: row.body,
            hashes: row.hashes,
        };
        Ok(rows.into_iter().map(entry).collect())
    }

    /// The stored tiles of one level by number, as they are; one whose bytes are no hashes is empty.
    pub async fn stored_tiles(
        &self,
        log: LogKey,
        from: TileId,
        count: u64,
    ) -> Result<Vec<(u64, Vec<Hash>)>, StoreError> {
        let values = vec![
            log.tenant.into(),
            log.epoch.into(),
            i64::from(from.level).into(),
            signed(from.tile).into(),
            signed(from.tile + count).into(),
        ];
        let rows: Vec<TileRow> = self.rows(TILES, values).await?;
        let tile = |row: TileRow| (unsigned(row.tile), split(&row.hashes).unwrap_or_default());
        Ok(rows.into_iter().map(tile).collect())
    }

    /// The first kept checkpoints of a log behind one size, at most 1,000, up to another.
    pub async fn kept_checkpoints(
        &self,
        log: LogKey,
        behind: u64,
        until: u64,
    ) -> Result<Vec<KeptCheckpoint>, StoreError> {
        let values = vec![
            log.tenant.into(),
            log.epoch.into(),
            signed(behind).into(),
            signed(until).into(),
        ];
        self.rows(CHECKPOINTS, values).await
    }
}
