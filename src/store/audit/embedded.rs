//! Placing entries on SQLite, inside the transaction that holds the only writer's turn: the merge delay is nothing.

use rusqlite::{OptionalExtension, params};
use uuid::Uuid;

use super::{LogKey, Placeable, edge_from, hash_all, signed, unsigned};
use crate::audit::growth::Edge;
use crate::audit::merkle::leaf_hash;
use crate::audit::tiles::TILE_WIDTH;
use crate::store::connect::StoreError;
use crate::store::tx::SqliteBatch;

const HEAD: &str = "SELECT epoch, size FROM audit_log WHERE tenant = ? ORDER BY epoch DESC LIMIT 1";
const OPEN: &str = "INSERT INTO audit_log (tenant, epoch, size, opened_at_ms) VALUES (?, ?, 0, ?)";
const LEAF: &str = "INSERT INTO audit_leaf (tenant, epoch, idx, entry_id, body) VALUES (?, ?, ?, ?, ?)";
const MOVE: &str = "UPDATE audit_log SET size = ? WHERE tenant = ? AND epoch = ? AND size = ?";
const BODIES: &str =
    "SELECT body FROM audit_leaf WHERE tenant = ? AND epoch = ? AND idx >= ? AND idx < ? ORDER BY idx";
const TILE: &str = "SELECT hashes FROM audit_tile WHERE tenant = ? AND epoch = ? AND level = ? AND tile = ?";
const PUT_TILE: &str = "INSERT INTO audit_tile (tenant, epoch, level, tile, hashes) VALUES (?, ?, ?, ?, ?) \
     ON CONFLICT (tenant, epoch, level, tile) DO UPDATE SET hashes = excluded.hashes";
const TAKE: &str = "DELETE FROM audit_pending WHERE (tenant, entry_id) IN \
     (SELECT tenant, entry_id FROM audit_pending ORDER BY entry_id LIMIT ?) RETURNING tenant, entry_id, body";

impl SqliteBatch {
    /// Gives every entry its index, log by log, and lets the trees grow.
    pub(super) fn place(&mut self, mut entries: Vec<Placeable>) -> Result<(), StoreError> {
        entries.sort_by_key(|entry| entry.tenant);
        for of_one in entries.chunk_by(|one, other| one.tenant == other.tenant) {
            let Some(first) = of_one.first() else { continue };
            let (epoch, size) = self.head(first)?;
            let log = LogKey {
                tenant: first.tenant,
                epoch,
            };
            let mut index = size;
            {
                let mut insert = self.connection.prepare_cached(LEAF)?;
                for entry in of_one {
                    insert.execute(params![log.tenant, log.epoch, index, entry.id, entry.body])?;
                    index += 1;
                }
            }
            let moved = self
                .connection
                .prepare_cached(MOVE)?
                .execute(params![index, log.tenant, log.epoch, size])?;
            if moved != 1 {
                return Err(StoreError::Raced);
            }
            if unsigned(size) / TILE_WIDTH != unsigned(index) / TILE_WIDTH {
                self.grow(log, unsigned(size), of_one)?;
            }
        }
        Ok(())
    }

    /// The epoch and size of a log; it is opened with its first entry.
    fn head(&mut self, first: &Placeable) -> Result<(i64, i64), StoreError> {
        let found = self
            .connection
            .prepare_cached(HEAD)?
            .query_row([first.tenant], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some(head) = found {
            return Ok(head);
        }
        self.open_log(first.tenant, 0, first.at_ms())?;
        Ok((0, 0))
    }

    /// Opens an epoch of a log.
    pub(super) fn open_log(&mut self, tenant: i64, epoch: i64, at_ms: i64) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(OPEN)?
            .execute(params![tenant, epoch, at_ms])?;
        Ok(())
    }

    /// Writes the tiles that these leaves have filled.
    fn grow(&mut self, log: LogKey, size: u64, entries: &[Placeable]) -> Result<(), StoreError> {
        let mut edge = self.edge(log, size)?;
        let leaves: Vec<_> = entries.iter().map(|entry| leaf_hash(&entry.body)).collect();
        let mut put = self.connection.prepare_cached(PUT_TILE)?;
        for changed in edge.append(&leaves) {
            put.execute(params![
                log.tenant,
                log.epoch,
                i64::from(changed.id.level),
                signed(changed.id.tile),
                changed.hashes.concat(),
            ])?;
        }
        Ok(())
    }

    fn edge(&mut self, log: LogKey, size: u64) -> Result<Edge, StoreError> {
        let begin = size - size % TILE_WIDTH;
        let mut select = self.connection.prepare_cached(BODIES)?;
        let bodies = select
            .query_map(
                params![log.tenant, log.epoch, signed(begin), signed(size)],
                |row| row.get::<_, Vec<u8>>(0),
            )?
            .collect::<Result<Vec<_>, _>>()?;
        let last = hash_all(bodies.iter().map(Vec::as_slice));
        let mut tile = self.connection.prepare_cached(TILE)?;
        let mut failed = None;
        let edge = edge_from(size, last, |id| {
            let (level, number) = (i64::from(id.level), signed(id.tile));
            let found = tile.query_row(params![log.tenant, log.epoch, level, number], |row| row.get(0));
            match found.optional() {
                Ok(hashes) => hashes,
                Err(error) => {
                    failed = Some(error);
                    None
                }
            }
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        edge.ok_or(StoreError::Inconsistent {
            table: "audit_tile",
            column: "hashes",
        })
    }

    /// Takes entries of management that wait.
    pub(super) fn take_pending(&mut self, limit: usize) -> Result<Vec<Placeable>, StoreError> {
        let mut take = self.connection.prepare_cached(TAKE)?;
        let mut taken = take
            .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                Ok(Placeable {
                    tenant: row.get(0)?,
                    id: row.get(1)?,
                    body: row.get(2)?,
                })
            })?
            .collect::<Result<Vec<_>, _>>()?;
        // What a deletion returns has no order of its own.
        taken.sort_by_key(|entry| entry.id);
        Ok(taken)
    }

    /// Whether an epoch, or a later one, is open already.
    pub(super) fn has_epoch(&mut self, log: LogKey) -> Result<bool, StoreError> {
        let mut head = self.connection.prepare_cached(HEAD)?;
        let found: Option<i64> = head.query_row([log.tenant], |row| row.get(0)).optional()?;
        Ok(found.is_some_and(|epoch| epoch >= log.epoch))
    }
}

impl Placeable {
    /// The time in its id, in milliseconds since 1970: of the entry, or of its day's beginning.
    pub(super) fn at_ms(&self) -> i64 {
        at_ms_of(self.id)
    }
}

fn at_ms_of(id: Uuid) -> i64 {
    i64::try_from(id.as_u128() >> 80).unwrap_or(0)
}
