//! Evidence packs: ordered by whoever reads the log, made in the background by any node, fetched when they are done.
//!
//! Promise: a pack goes by one signed checkpoint, and what it says of the log is read from the entries under it. The order
//! is in the log before anything is made, and each fetching before the first byte leaves.

mod documents;
mod make;

use std::sync::Arc;

use uuid::Uuid;

use super::CheckpointSigner;
use super::read::AuditFlow;
use crate::domain::access::Principal;
use crate::domain::event::Change;
use crate::domain::ids::{EvidencePackId, RequestId};
use crate::domain::refusal::Reason;
use crate::flow::{FlowError, Live};
pub use crate::store::audit::packs::{PackOrder, PackState};

/// The longest period, in milliseconds: a year and a day.
const PERIOD_MAX_MS: i64 = 366 * 86_400_000;
/// For how long a pack is kept, in milliseconds: 90 days. It can be made again at any time.
const KEPT_MS: i64 = 90 * 86_400_000;
/// How many decisions are drawn where the order does not say.
const SAMPLE_DEFAULT: u32 = 100;
/// The most decisions that are drawn.
pub const SAMPLE_MAX: u32 = 1_000;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct PackQuery {
    /// From this moment, in milliseconds since 1970.
    pub from_ms: i64,
    /// Up to before this one.
    pub to_ms: i64,
    /// By the checkpoint of this size; the latest if left out.
    pub size: Option<u64>,
    /// The seed; a random one if left out.
    pub seed: Option<[u8; 32]>,
    /// How many decisions are drawn.
    pub sample: Option<u32>,
    /// The credential whose doings are wanted.
    pub credential: Option<String>,
}

/// Orders and makes packs.
#[derive(Clone)]
pub struct PackFlow {
    live: Arc<Live>,
    audit: AuditFlow,
    signer: Arc<dyn CheckpointSigner>,
}

impl PackFlow {
    /// Over the shared parts and the log's reader.
    pub fn new(live: Arc<Live>, audit: AuditFlow) -> Self {
        Self {
            signer: Arc::clone(&audit.signer),
            live,
            audit,
        }
    }

    /// Enters an order.
    pub async fn order(
        &self,
        principal: &Principal,
        query: &PackQuery,
        request: RequestId,
    ) -> Result<PackOrder, FlowError> {
        let now_ms = self.live.now_ms();
        if query.from_ms >= query.to_ms {
            return Err(FlowError::Invalid("to", "must be after from"));
        }
        if query.to_ms - query.from_ms > PERIOD_MAX_MS {
            return Err(FlowError::Invalid("to", "must be within 366 days of from"));
        }
        if query.to_ms > now_ms {
            return Err(FlowError::Invalid("to", "must not lie in the future"));
        }
        self.audit.tenant(principal)?;
        let state = self.audit.state(principal, None).await?;
        let reader = self.live.store().reader(principal.scope());
        let checkpoint = match query.size {
            None => reader
                .latest_checkpoint(state.log)
                .await?
                .ok_or(self.audit.not_yet())?,
            Some(size) => {
                let found = reader.checkpoint_of(state.log, size).await?;
                found.ok_or(FlowError::Missing("checkpoint_size"))?
            }
        };
        let order = PackOrder {
            id: self.live.new_id(),
            log: state.log,
            size: checkpoint.size,
            note: checkpoint.note,
            from_ms: query.from_ms,
            to_ms: query.to_ms,
            seed: query.seed.unwrap_or_else(|| self.live.random()),
            sample: query.sample.unwrap_or(SAMPLE_DEFAULT).min(SAMPLE_MAX),
            credential: query.credential.clone(),
            state: PackState::Queued,
            seen: 0,
            ordered_at_ms: now_ms,
            ended_at_ms: None,
            file: None,
        };
        let mut event = self.live.event(
            principal.tenant,
            "evidence_pack.ordered",
            &principal.actor(),
            "created",
        );
        event.object = Some(EvidencePackId(order.id).to_string());
        event.request_id = Some(request.to_string());
        event.changes = vec![
            told("from", crate::audit::pack::tally::moment(order.from_ms)),
            told("size", order.size.to_string()),
            told("to", crate::audit::pack::tally::moment(order.to_ms)),
        ];
        let tx = self.live.store().begin(principal.scope()).await?;
        tx.order_pack(&order, now_ms - KEPT_MS).await?;
        tx.commit_with(&event.into()).await?;
        Ok(order)
    }

    /// A pack of the caller's tenant.
    pub async fn read(&self, principal: &Principal, id: Uuid) -> Result<PackOrder, FlowError> {
        let found = self
            .live
            .store()
            .reader(principal.scope())
            .pack(principal.tenant, id)
            .await?;
        found.ok_or(FlowError::Refused(Reason::NotFound))
    }

    /// The packs of the caller's tenant, the latest first.
    pub async fn list(
        &self,
        principal: &Principal,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<PackOrder>, FlowError> {
        Ok(self
            .live
            .store()
            .reader(principal.scope())
            .packs(principal.tenant, after, limit)
            .await?)
    }

    /// Enters that a pack is fetched, and says how it is read: piece by piece until there is none.
    pub async fn fetch(
        &self,
        principal: &Principal,
        id: Uuid,
        request: RequestId,
    ) -> Result<PackOrder, FlowError> {
        let order = self.read(principal, id).await?;
        if order.state != PackState::Done {
            return Err(FlowError::Clash("id", "names a pack that is not done"));
        }
        let object = EvidencePackId(id).to_string();
        let fill = |event: &mut crate::domain::event::AuditEvent| event.object = Some(object);
        self.audit
            .note_look(principal, "evidence_pack.fetched", request, fill)
            .await?;
        Ok(order)
    }

    /// A piece of a finished pack.
    pub async fn part(&self, order: &PackOrder, part: i64) -> Result<Option<Vec<u8>>, FlowError> {
        let reader = self.live.store().reader(order.log.scope());
        Ok(reader.pack_part(order.log.tenant, order.id, part).await?)
    }
}

fn told(field: &'static str, value: String) -> Change {
    Change {
        field,
        new: Some(value),
        old: None,
    }
}
