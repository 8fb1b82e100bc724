//! Evidence packs: orders, their progress, and the finished files in pieces.
//!
//! Any node may make a pack; one takes it at a time, and one that no longer says that it is alive is taken over.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Statement,
};
use uuid::Uuid;

use super::{LogKey, signed, unsigned};
use crate::domain::scope::TenantScope;
use crate::store::connect::{Store, StoreError};
use crate::store::tx::{Reader, Tx};
use entity::{evidence_pack, evidence_pack_part};

/// Bytes of a piece.
const PART_BYTES: usize = 256 * 1_024;

/// How far a pack is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackState {
    /// Nobody has begun.
    Queued,
    /// A node is at it.
    Running,
    /// The file is there.
    Done,
    /// It could not be made.
    Failed,
}

impl PackState {
    const ALL: [Self; 4] = [Self::Queued, Self::Running, Self::Done, Self::Failed];

    /// The word in rows and answers.
    pub fn code(self) -> &'static str {
        match self {
            PackState::Queued => "queued",
            PackState::Running => "running",
            PackState::Done => "done",
            PackState::Failed => "failed",
        }
    }
}

/// A pack that was ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackOrder {
    /// Its id.
    pub id: Uuid,
    /// The log it goes by.
    pub log: LogKey,
    /// The size that it goes by.
    pub size: u64,
    /// The signed checkpoint of that size.
    pub note: String,
    /// From this moment, in milliseconds since 1970.
    pub from_ms: i64,
    /// Up to before this one.
    pub to_ms: i64,
    /// The seed that draws the sample.
    pub seed: [u8; 32],
    /// How many decisions are drawn.
    pub sample: u32,
    /// The credential whose doings are asked for, as entries name it.
    pub credential: Option<String>,
    /// How far it is.
    pub state: PackState,
    /// How many entries were looked at.
    pub seen: u64,
    /// When it was ordered.
    pub ordered_at_ms: i64,
    /// When it ended.
    pub ended_at_ms: Option<i64>,
    /// The finished file's bytes and SHA-256.
    pub file: Option<(u64, [u8; 32])>,
}

fn read(row: evidence_pack::Model) -> Result<PackOrder, StoreError> {
    let wrong = |column| StoreError::Inconsistent {
        table: "evidence_pack",
        column,
    };
    let state = PackState::ALL.into_iter().find(|state| state.code() == row.state);
    let file = match (row.bytes, row.sha256) {
        (Some(bytes), Some(digest)) => {
            let digest = digest.try_into().map_err(|_| wrong("sha256"))?;
            Some((unsigned(bytes), digest))
        }
        _ => None,
    };
    Ok(PackOrder {
        id: row.pack_id,
        log: LogKey {
            tenant: row.tenant,
            epoch: row.epoch,
        },
        size: unsigned(row.size),
        note: row.note,
        from_ms: row.from_ms,
        to_ms: row.to_ms,
        seed: row.seed.try_into().map_err(|_| wrong("seed"))?,
        sample: u32::try_from(row.sample).map_err(|_| wrong("sample"))?,
        credential: row.credential,
        state: state.ok_or(wrong("state"))?,
        seen: unsigned(row.seen),
        ordered_at_ms: row.ordered_at_ms,
        ended_at_ms: row.ended_at_ms,
        file,
    })
}

impl Tx {
    /// Enters an order, and forgets packs of this tenant that were ordered before a moment.
    pub async fn order_pack(&self, order: &PackOrder, forget_before_ms: i64) -> Result<(), StoreError> {
        let connection = self.connection();
        let tenant = order.log.tenant;
        for text in [
            "DELETE FROM evidence_pack_part WHERE tenant = $1 AND pack_id IN \
             (SELECT pack_id FROM evidence_pack WHERE tenant = $1 AND ordered_at_ms < $2)",
            "DELETE FROM evidence_pack WHERE tenant = $1 AND ordered_at_ms < $2",
        ] {
            let values = [tenant.into(), forget_before_ms.into()];
            let forget = Statement::from_sql_and_values(connection.get_database_backend(), text, values);
            connection.execute_raw(forget).await?;
        }
        let row = evidence_pack::ActiveModel {
            tenant: Set(tenant),
            pack_id: Set(order.id),
            from_ms: Set(order.from_ms),
            to_ms: Set(order.to_ms),
            epoch: Set(order.log.epoch),
            size: Set(signed(order.size)),
            note: Set(order.note.clone()),
            seed: Set(order.seed.to_vec()),
            sample: Set(i64::from(order.sample)),
            credential: Set(order.credential.clone()),
            state: Set(order.state.code().to_owned()),
            seen: Set(0),
            ordered_at_ms: Set(order.ordered_at_ms),
            beat_at_ms: Set(order.ordered_at_ms),
            ended_at_ms: Set(None),
            bytes: Set(None),
            sha256: Set(None),
        };
        evidence_pack::Entity::insert(row)
            .exec_without_returning(connection)
            .await?;
        Ok(())
    }

    /// Keeps a finished file, unless another node was first. Returns whether it did.
    pub async fn finish_pack(
        &self,
        order: &PackOrder,
        file: &[u8],
        digest: [u8; 32],
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let connection = self.connection();
        let done = Statement::from_sql_and_values(
            connection.get_database_backend(),
            "UPDATE evidence_pack SET state = 'done', seen = size, ended_at_ms = $1, bytes = $2, sha256 = $3 \
             WHERE tenant = $4 AND pack_id = $5 AND state = 'running'",
            [
                now_ms.into(),
                signed(file.len() as u64).into(),
                digest.to_vec().into(),
                order.log.tenant.into(),
                order.id.into(),
            ],
        );
        if connection.execute_raw(done).await?.rows_affected() == 0 {
            return Ok(false);
        }
        for (part, content) in (0..).zip(file.chunks(PART_BYTES)) {
            let row = evidence_pack_part::ActiveModel {
                tenant: Set(order.log.tenant),
                pack_id: Set(order.id),
                part: Set(part),
                content: Set(content.to_vec()),
            };
            evidence_pack_part::Entity::insert(row)
                .exec_without_returning(connection)
                .await?;
        }
        Ok(true)
    }
}

impl Store {
    /// Takes a pack that waits, or whose node has not said for so long that it is alive. None where there is none, or
    /// another node was faster.
    pub async fn take_pack(&self, now_ms: i64, silent_ms: i64) -> Result<Option<PackOrder>, StoreError> {
        use evidence_pack::Column;
        let dead = now_ms - silent_ms;
        let silent = Condition::all()
            .add(Column::State.eq("running"))
            .add(Column::BeatAtMs.lt(dead));
        let free = Condition::any().add(Column::State.eq("queued")).add(silent);
        let found = evidence_pack::Entity::find()
            .filter(free)
            .order_by_asc(Column::OrderedAtMs)
            .one(self.reader(TenantScope::Server).connection())
            .await?;
        let Some(row) = found else { return Ok(None) };
        let books = self.begin_books().await?;
        let connection = books.connection();
        let take = Statement::from_sql_and_values(
            connection.get_database_backend(),
            "UPDATE evidence_pack SET state = 'running', beat_at_ms = $1 WHERE tenant = $2 AND pack_id = $3 \
             AND state = $4 AND beat_at_ms = $5",
            [
                now_ms.into(),
                row.tenant.into(),
                row.pack_id.into(),
                row.state.as_str().into(),
                row.beat_at_ms.into(),
            ],
        );
        let taken = connection.execute_raw(take).await?.rows_affected() == 1;
        books.keep().await?;
        let order = read(row)?;
        Ok(taken.then_some(PackOrder {
            state: PackState::Running,
            ..order
        }))
    }

    /// Says that a pack is being made, and how far it is; or that it could not be made.
    pub async fn note_pack(
        &self,
        order: &PackOrder,
        state: PackState,
        seen: u64,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let ended = (state == PackState::Failed).then_some(now_ms);
        let books = self.begin_books().await?;
        let connection = books.connection();
        let beat = Statement::from_sql_and_values(
            connection.get_database_backend(),
            "UPDATE evidence_pack SET state = $1, seen = $2, beat_at_ms = $3, ended_at_ms = $4 \
             WHERE tenant = $5 AND pack_id = $6 AND state = 'running'",
            [
                state.code().into(),
                signed(seen).into(),
                now_ms.into(),
                ended.into(),
                order.log.tenant.into(),
                order.id.into(),
            ],
        );
        connection.execute_raw(beat).await?;
        books.keep().await
    }
}

impl Reader<'_> {
    /// A pack of a tenant's.
    pub async fn pack(&self, tenant: i64, id: Uuid) -> Result<Option<PackOrder>, StoreError> {
        let row = evidence_pack::Entity::find_by_id((tenant, id))
            .one(self.connection())
            .await?;
        row.map(read).transpose()
    }

    /// A tenant's packs, the latest first, behind one of them.
    pub async fn packs(
        &self,
        tenant: i64,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<PackOrder>, StoreError> {
        use evidence_pack::Column;
        let mut rows = evidence_pack::Entity::find().filter(Column::Tenant.eq(tenant));
        if let Some(after) = after {
            rows = rows.filter(Column::PackId.lt(after));
        }
        let rows = rows
            .order_by_desc(Column::PackId)
            .limit(limit)
            .all(self.connection())
            .await?;
        rows.into_iter().map(read).collect()
    }

    /// A piece of a finished file; none behind the last.
    pub async fn pack_part(&self, tenant: i64, id: Uuid, part: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let row = evidence_pack_part::Entity::find_by_id((tenant, id, part))
            .one(self.connection())
            .await?;
        Ok(row.map(|row| row.content))
    }
}
