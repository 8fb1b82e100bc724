//! Reading tiles, and the proofs that are made of them.

use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{LogKey, hash_all, signed, split, unsigned};
use crate::audit::merkle::Hash;
use crate::audit::tiles::{TILE_WIDTH, TileId, Tiles, tiles_for_consistency, tiles_for_inclusion};
use crate::store::connect::StoreError;
use crate::store::tx::Reader;

/// A tile that should be there is not.
const GAP: StoreError = StoreError::Inconsistent {
    table: "audit_tile",
    column: "hashes",
};

impl Reader<'_> {
    /// The content of these tiles. A level-0 tile that is not full is made from the leaves that are there. Tiles that are
    /// not there are left out.
    pub async fn log_tiles(&self, log: LogKey, wanted: &[TileId]) -> Result<Tiles, StoreError> {
        use entity::audit_tile::{Column, Entity};
        let mut tiles = Tiles::default();
        let mut any = Condition::any();
        for id in wanted {
            let one = Condition::all()
                .add(Column::Level.eq(i64::from(id.level)))
                .add(Column::Tile.eq(signed(id.tile)));
            any = any.add(one);
        }
        if any.is_empty() {
            return Ok(tiles);
        }
        let rows = Entity::find()
            .filter(Column::Tenant.eq(log.tenant))
            .filter(Column::Epoch.eq(log.epoch))
            .filter(any)
            .all(self.connection())
            .await?;
        let mut partial: Vec<TileId> = wanted.iter().copied().filter(|id| id.level == 0).collect();
        for row in rows {
            let id = TileId {
                level: u8::try_from(row.level).map_err(|_| GAP)?,
                tile: unsigned(row.tile),
            };
            partial.retain(|other| *other != id);
            tiles.insert(id, split(&row.hashes).ok_or(GAP)?);
        }
        for id in partial {
            tiles.insert(id, self.leaf_hashes(log, id.tile * TILE_WIDTH).await?);
        }
        Ok(tiles)
    }

    /// The hashes of the leaves of one level-0 tile that are there.
    async fn leaf_hashes(&self, log: LogKey, begin: u64) -> Result<Vec<Hash>, StoreError> {
        use entity::audit_leaf::{Column, Entity};
        let bodies: Vec<Vec<u8>> = Entity::find()
            .select_only()
            .column(Column::Body)
            .filter(Column::Tenant.eq(log.tenant))
            .filter(Column::Epoch.eq(log.epoch))
            .filter(Column::Idx.gte(signed(begin)))
            .filter(Column::Idx.lt(signed(begin + TILE_WIDTH)))
            .order_by_asc(Column::Idx)
            .into_tuple()
            .all(self.connection())
            .await?;
        Ok(hash_all(bodies.iter().map(Vec::as_slice)))
    }

    /// The bytes of one leaf.
    pub async fn leaf_body(&self, log: LogKey, index: u64) -> Result<Vec<u8>, StoreError> {
        let row = entity::audit_leaf::Entity::find_by_id((log.tenant, log.epoch, signed(index)))
            .one(self.connection())
            .await?;
        row.map(|row| row.body).ok_or(GAP)
    }

    /// The proof that a tree of one size extends the one of a smaller size.
    pub async fn log_consistency(&self, log: LogKey, old: u64, new: u64) -> Result<Vec<Hash>, StoreError> {
        let tiles = self.log_tiles(log, &tiles_for_consistency(old, new)).await?;
        tiles.consistency(old, new).ok_or(GAP)
    }

    /// The proof that an entry stands in a tree of this size.
    pub async fn log_inclusion(&self, log: LogKey, index: u64, size: u64) -> Result<Vec<Hash>, StoreError> {
        let tiles = self.log_tiles(log, &tiles_for_inclusion(index, size)).await?;
        tiles.inclusion(index, size).ok_or(GAP)
    }
}
