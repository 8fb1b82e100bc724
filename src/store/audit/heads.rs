//! Heads of logs, the right edge of their trees, and the checkpoints that were signed.

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter,
    QueryOrder, QuerySelect, Statement,
};

use super::{LogKey, edge_from, edge_rows, hash_all, signed, unsigned};
use crate::audit::growth::Edge;
use crate::audit::merkle::Hash;
use crate::audit::tiles::TILE_WIDTH;
use crate::store::connect::{Store, StoreError};
use crate::store::tx::Reader;

const DAY_MS: i64 = 86_400_000;

/// The head of a log's latest epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Which log.
    pub log: LogKey,
    /// How many entries it has.
    pub size: u64,
    /// Its origin, once it has signed anything.
    pub origin: Option<String>,
    /// The latest checkpoint of this epoch.
    pub signed: Option<Signed>,
}

/// A checkpoint of a log, to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToKeep {
    /// Which log.
    pub log: LogKey,
    /// The log's origin.
    pub origin: String,
    /// The checkpoint.
    pub signed: Signed,
    /// The hashes of the signed entries that no full tile holds yet: at most 255.
    pub edge: Vec<Hash>,
}

/// A checkpoint that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The size of the tree.
    pub size: u64,
    /// When it was signed, in milliseconds since 1970.
    pub at_ms: i64,
    /// The signed note.
    pub note: String,
}

#[derive(Debug, FromQueryResult)]
struct HeadRow {
    tenant: i64,
    epoch: i64,
    size: i64,
    origin: Option<String>,
    signed_size: Option<i64>,
    signed_at_ms: Option<i64>,
    note: Option<String>,
}

const HEADS: &str = "
SELECT log.tenant, log.epoch, log.size, log.origin, signed.size AS signed_size, signed.at_ms AS signed_at_ms, signed.note
FROM audit_log AS log
LEFT JOIN audit_checkpoint AS signed ON signed.tenant = log.tenant AND signed.epoch = log.epoch AND signed.size =
    (SELECT max(size) FROM audit_checkpoint AS c WHERE c.tenant = log.tenant AND c.epoch = log.epoch)
WHERE log.epoch = (SELECT max(epoch) FROM audit_log AS later WHERE later.tenant = log.tenant)
ORDER BY log.tenant";

/// Another node may have signed more in the meantime.
const KEEP_EDGE: &str = "
INSERT INTO audit_edge (tenant, epoch, size, hashes) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant, epoch) DO UPDATE SET size = excluded.size, hashes = excluded.hashes
WHERE excluded.size > audit_edge.size";

impl Reader<'_> {
    /// The heads of all logs, in their latest epochs.
    pub async fn log_heads(&self) -> Result<Vec<Head>, StoreError> {
        let connection = self.connection();
        let select = Statement::from_string(connection.get_database_backend(), HEADS);
        let rows = HeadRow::find_by_statement(select).all(connection).await?;
        Ok(rows.into_iter().map(Head::from).collect())
    }

    /// The right edge of a log's tree at a size that it has or had.
    pub async fn log_edge(&self, log: LogKey, size: u64) -> Result<Edge, StoreError> {
        edge(self.connection(), log, size).await
    }
}

impl From<HeadRow> for Head {
    fn from(row: HeadRow) -> Self {
        let signed = row.signed_size.zip(row.signed_at_ms).zip(row.note);
        Self {
            log: LogKey {
                tenant: row.tenant,
                epoch: row.epoch,
            },
            size: unsigned(row.size),
            origin: row.origin,
            signed: signed.map(|((size, at_ms), note)| Signed {
                size: unsigned(size),
                at_ms,
                note,
            }),
        }
    }
}

/// The right edge of a tree, from its last leaves and the last row of each level.
pub(super) async fn edge(
    connection: &impl ConnectionTrait,
    log: LogKey,
    size: u64,
) -> Result<Edge, StoreError> {
    use entity::{audit_leaf, audit_tile};
    let begin = size - size % TILE_WIDTH;
    let bodies: Vec<Vec<u8>> = audit_leaf::Entity::find()
        .select_only()
        .column(audit_leaf::Column::Body)
        .filter(audit_leaf::Column::Tenant.eq(log.tenant))
        .filter(audit_leaf::Column::Epoch.eq(log.epoch))
        .filter(audit_leaf::Column::Idx.gte(signed(begin)))
        .filter(audit_leaf::Column::Idx.lt(signed(size)))
        .order_by_asc(audit_leaf::Column::Idx)
        .into_tuple()
        .all(connection)
        .await?;
    let last = hash_all(bodies.iter().map(Vec::as_slice));
    let mut wanted = Condition::any();
    for id in edge_rows(size) {
        let one = Condition::all()
            .add(audit_tile::Column::Level.eq(i64::from(id.level)))
            .add(audit_tile::Column::Tile.eq(signed(id.tile)));
        wanted = wanted.add(one);
    }
    let rows = if wanted.is_empty() {
        Vec::new()
    } else {
        audit_tile::Entity::find()
            .filter(audit_tile::Column::Tenant.eq(log.tenant))
            .filter(audit_tile::Column::Epoch.eq(log.epoch))
            .filter(wanted)
            .all(connection)
            .await?
    };
    let found = edge_from(size, last, |id| {
        let place = (i64::from(id.level), signed(id.tile));
        let row = rows.iter().find(|row| (row.level, row.tile) == place);
        row.map(|row| row.hashes.clone())
    });
    found.ok_or(StoreError::Inconsistent {
        table: "audit_tile",
        column: "hashes",
    })
}

impl Store {
    /// Keeps checkpoints. One of the same size that is there already stays: both are of the same tree.
    pub async fn keep_checkpoints(&self, kept: &[ToKeep]) -> Result<(), StoreError> {
        let books = self.begin_books().await?;
        let connection = books.connection();
        for ToKeep {
            log,
            origin,
            signed,
            edge,
        } in kept
        {
            let name = Statement::from_sql_and_values(
                connection.get_database_backend(),
                "UPDATE audit_log SET origin = $1 WHERE tenant = $2 AND epoch = $3 AND origin IS NULL",
                [origin.as_str().into(), log.tenant.into(), log.epoch.into()],
            );
            connection.execute_raw(name).await?;
            let row = entity::audit_checkpoint::ActiveModel {
                tenant: Set(log.tenant),
                epoch: Set(log.epoch),
                size: Set(super::signed(signed.size)),
                at_ms: Set(signed.at_ms),
                note: Set(signed.note.clone()),
            };
            entity::audit_checkpoint::Entity::insert(row)
                .on_conflict(OnConflict::new().do_nothing().to_owned())
                .exec_without_returning(connection)
                .await?;
            let hashes = Statement::from_sql_and_values(
                connection.get_database_backend(),
                KEEP_EDGE,
                [
                    log.tenant.into(),
                    log.epoch.into(),
                    super::signed(signed.size).into(),
                    edge.concat().into(),
                ],
            );
            connection.execute_raw(hashes).await?;
        }
        books.keep().await
    }

    /// Thins out old checkpoints: one is signed every second, and a year of them is no better a proof than the last of
    /// each minute. Whoever holds one that is gone here still gets its consistency proof, which is made of the tree.
    pub async fn thin_checkpoints(&self, now_ms: i64) -> Result<u64, StoreError> {
        let books = self.begin_books().await?;
        let connection = books.connection();
        let mut gone = 0;
        for (older_than_ms, one_each_ms) in [(2 * DAY_MS, 60_000), (60 * DAY_MS, 3_600_000)] {
            let before = now_ms - older_than_ms;
            let thin = Statement::from_sql_and_values(
                connection.get_database_backend(),
                "DELETE FROM audit_checkpoint WHERE at_ms < $1 AND at_ms / $2 = (
                    SELECT next.at_ms / $2 FROM audit_checkpoint AS next
                    WHERE next.tenant = audit_checkpoint.tenant AND next.epoch = audit_checkpoint.epoch
                        AND next.size > audit_checkpoint.size
                    ORDER BY next.size LIMIT 1)",
                [before.into(), i64::from(one_each_ms).into()],
            );
            gone += connection.execute_raw(thin).await?.rows_affected();
        }
        books.keep().await?;
        Ok(gone)
    }
}
