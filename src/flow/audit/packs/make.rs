//! Making a pack: one pass over the entries of the period, the sampled ones with their proofs, the documents around them.

use super::documents::{self, Facts};
use super::{PackFlow, PackOrder, PackState};
use crate::audit::pack::index::{Head, Language, index};
use crate::audit::pack::sample::{RULE, Sampler};
use crate::audit::pack::tally::{Period, Tally, moment};
use crate::audit::pack::verify::{entry_name, proof_name};
use crate::audit::pack::{self, CHECKPOINT, Draw, FORMAT, File, Manifest, PackError};
use crate::audit::proof::proof_file;
use crate::audit::tiles::tiles_for_inclusion;
use crate::domain::campaign::{day_text, local_day};
use crate::domain::event::Actor;
use crate::domain::ids::{EvidencePackId, TenantId};
use crate::domain::keys::sha256;
use crate::flow::FlowError;
use crate::flow::audit::GAP;
use crate::flow::audit::read::Epoch;

/// Entries that are read at once.
const PAGE: u64 = 1_024;
/// How long a node may be silent over a pack until another takes it over, in milliseconds.
const SILENT_MS: i64 = 60_000;
/// How often progress is said, in entries.
const BEAT: u64 = 32 * PAGE;
/// A day of a tenant's begins up to 14 hours before that of UTC and ends up to 12 after it; an entry of a day is placed
/// when the day is over.
const DAY_MARGIN_MS: i64 = 3 * 86_400_000;

impl PackFlow {
    /// Makes one pack that waits. Returns whether there was one.
    pub async fn run(&self) -> Result<bool, FlowError> {
        let store = self.live.store();
        let Some(order) = store.take_pack(self.live.now_ms(), SILENT_MS).await? else {
            return Ok(false);
        };
        match self.make(&order).await {
            Ok(file) => self.keep(&order, &file).await?,
            Err(error) => {
                tracing::error!(%error, "an evidence pack could not be made");
                let now_ms = self.live.now_ms();
                store.note_pack(&order, PackState::Failed, 0, now_ms).await?;
            }
        }
        Ok(true)
    }

    async fn keep(&self, order: &PackOrder, file: &[u8]) -> Result<(), FlowError> {
        let digest = sha256(file);
        let mut event = self
            .live
            .event(order.log.tenant, "evidence_pack.made", &Actor::Server, "created");
        event.object = Some(EvidencePackId(order.id).to_string());
        event.changes = vec![super::told("sha256", hex::encode(digest))];
        let tx = self.live.store().begin(order.log.scope()).await?;
        if tx.finish_pack(order, file, digest, self.live.now_ms()).await? {
            tx.commit_with(&event.into()).await?;
        }
        Ok(())
    }

    /// The finished file. It depends on the order, the log and the configuration, and on no clock.
    async fn make(&self, order: &PackOrder) -> Result<Vec<u8>, FlowError> {
        let routing = self.live.routing();
        let tenant = routing.tenants.get(&order.log.tenant).ok_or(GAP)?;
        let last_ms = order.to_ms - 1;
        let period = Period {
            from_ms: order.from_ms,
            to_ms: order.to_ms,
            first_day: day_text(local_day(order.from_ms, tenant.zone)),
            last_day: day_text(local_day(last_ms, tenant.zone)),
        };
        let wanted = usize::try_from(order.sample).unwrap_or(0);
        let tally = self
            .tally(order, Tally::new(period, Sampler::new(order.seed, wanted)))
            .await?;
        let origin = self.origin(order).await?;
        let facts = Facts::gather(&self.live, order, tenant).await?;
        let documents = documents::all(&facts, order, &tally).map_err(broken)?;
        let (decisions, drawn) = tally.sampler.finish();
        let (from, to) = (moment(order.from_ms), moment(order.to_ms));
        let head = Head {
            tenant: &facts.name,
            from: &from,
            to: &to,
            origin: &origin,
            size: order.size,
            decisions,
            drawn: drawn.len(),
        };
        let mut files: Vec<File> = [Language::English, Language::German]
            .map(|language| File::text(language.file_name(), index(language, &head)))
            .into();
        files.extend(documents);
        files.push(File::text(CHECKPOINT, order.note.clone()));
        for index in &drawn {
            files.extend(self.proven(order, *index).await?);
        }
        let manifest = Manifest {
            files: Vec::new(),
            format: FORMAT.to_owned(),
            from,
            origin,
            sample: Draw {
                decisions,
                drawn,
                rule: RULE.to_owned(),
                seed: hex::encode(order.seed),
            },
            size: order.size,
            software: concat!("einklang ", env!("CARGO_PKG_VERSION")).to_owned(),
            tenant: TenantId(tenant.tenant.object.id).to_string(),
            to,
        };
        pack::write(manifest, &files, |bytes| self.signer.sign(bytes).ok()).map_err(broken)
    }

    /// The origin of the order's log.
    async fn origin(&self, order: &PackOrder) -> Result<String, FlowError> {
        let epochs = self
            .live
            .store()
            .reader(order.log.scope())
            .log_epochs(order.log.tenant)
            .await?;
        let found = epochs.into_iter().find(|epoch: &Epoch| epoch.log == order.log);
        // It is signed, so it has its name.
        Ok(found.and_then(|epoch| epoch.origin).ok_or(GAP)?)
    }

    /// Goes through the entries that can be of the period.
    async fn tally(&self, order: &PackOrder, mut tally: Tally) -> Result<Tally, FlowError> {
        let store = self.live.store();
        let reader = store.reader(order.log.scope());
        // An entry is placed after it happened, so what a checkpoint of before covers is not of the period.
        let epoch = Some(order.log.epoch);
        let before = order.from_ms - DAY_MARGIN_MS;
        let before = reader.checkpoint_at(order.log.tenant, epoch, before).await?;
        let mut next = before.map_or(0, |(_, signed)| signed.size.min(order.size));
        let mut said = next;
        while next < order.size {
            let end = order.size.min(next + PAGE);
            for entry in reader.stored_entries(order.log, next, end).await? {
                tally.take(entry.index, &entry.body);
            }
            next = end;
            if next - said >= BEAT {
                said = next;
                let now_ms = self.live.now_ms();
                store.note_pack(order, PackState::Running, next, now_ms).await?;
            }
        }
        Ok(tally)
    }

    /// A sampled entry and its proof under the order's checkpoint.
    async fn proven(&self, order: &PackOrder, index: u64) -> Result<[File; 2], FlowError> {
        let reader = self.live.store().reader(order.log.scope());
        let body = reader.leaf_body(order.log, index).await?;
        let tiles = reader
            .log_tiles(order.log, &tiles_for_inclusion(index, order.size))
            .await?;
        let proof = tiles.inclusion(index, order.size).ok_or(GAP)?;
        Ok([
            File {
                name: entry_name(index),
                bytes: body,
            },
            File::text(proof_name(index), proof_file(index, &proof, &order.note)),
        ])
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` passes")]
fn broken(error: PackError) -> FlowError {
    tracing::error!(%error, "an evidence pack could not be written");
    GAP.into()
}
