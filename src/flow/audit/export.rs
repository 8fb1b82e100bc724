//! Exporting a log: a piece of it in files that prove themselves, made while they are sent.
//!
//! Promise: memory stays flat whatever the export's size, and an export is in the log before its first byte leaves. An
//! export that cannot be finished ends without its manifest, which no verifier accepts.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::list::EntryFilter;
use super::read::{AuditFlow, Epoch, Signed};
use super::{CheckpointSigner, GAP};
use crate::audit::export::archive::{tar_end, tar_member};
pub use crate::audit::export::row::Content;
use crate::audit::export::writer::{Beside, ExportError, ExportWriter, Head};
use crate::audit::export::{FILTERED_ROWS_MAX, Kind, Member};
use crate::audit::tiles::{TILE_WIDTH, TileId, tiles_for_root};
use crate::domain::access::Principal;
use crate::domain::event::Change;
use crate::domain::ids::{RequestId, millis_of};
use crate::flow::{FlowError, Live};
use crate::store::audit::LogKey;

/// How many rows a search reads at once.
const CHUNK: u64 = 500;

/// Which entries are to be exported.
#[derive(Debug, Clone)]
pub struct ExportQuery {
    /// Of this epoch; the latest if left out.
    pub epoch: Option<i64>,
    /// From this index; 0 if left out.
    pub from: Option<u64>,
    /// Up to before this index; the latest checkpoint's size if left out.
    pub to: Option<u64>,
    /// With the proof that the log continues the checkpoint of this size.
    pub since: Option<u64>,
    /// Of this time or later, in milliseconds since 1970.
    pub from_ms: Option<i64>,
    /// Before this time.
    pub until_ms: Option<i64>,
    /// What they say.
    pub filter: EntryFilter,
    /// The filters by the names that the caller used, for the manifest.
    pub filters: BTreeMap<String, String>,
    /// The form of the entries' files.
    pub content: Content,
}

/// An export in the making.
pub struct Export {
    live: Arc<Live>,
    signer: Arc<dyn CheckpointSigner>,
    log: LogKey,
    size: u64,
    made_at_s: u64,
    /// What its file should be called.
    pub file_name: String,
    writer: Option<ExportWriter>,
    ready: VecDeque<Member>,
    left: Left,
    is_ended: bool,
}

/// What is still to be written.
enum Left {
    /// All from one index to another.
    Range(u64, u64),
    /// These.
    Chosen(VecDeque<u64>),
}

impl Left {
    fn count(&self) -> u64 {
        match self {
            Left::Range(from, to) => to - from,
            Left::Chosen(indices) => indices.len() as u64,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Left::Range(..) => Kind::Full,
            Left::Chosen(_) => Kind::Filtered,
        }
    }
}

/// An entry of ours that no export can hold means that the database is not what we wrote.
fn broken(error: ExportError) -> FlowError {
    tracing::error!(%error, "an export could not be finished");
    GAP.into()
}

impl AuditFlow {
    /// Begins an export, and enters it in the log.
    pub async fn export(
        &self,
        principal: &Principal,
        query: &ExportQuery,
        request: RequestId,
    ) -> Result<Export, FlowError> {
        let state = self.state(principal, query.epoch).await?;
        let reader = self.live.store().reader(principal.scope());
        let signed = reader
            .latest_checkpoint(state.log)
            .await?
            .ok_or_else(|| self.not_yet())?;
        let (from, to) = self.range(&state, &signed, query)?;
        let earlier = match query.since {
            None => None,
            Some(since) if since == 0 || since > signed.size => return Err(FlowError::Missing("since")),
            Some(since) => {
                let found = reader.checkpoint_of(state.log, since).await?;
                let note = found.ok_or(FlowError::Missing("since"))?.note;
                Some((note, reader.log_consistency(state.log, since, signed.size).await?))
            }
        };
        let left = if query.filters.is_empty() {
            Left::Range(from, to)
        } else {
            Left::Chosen(self.chosen(state.log, query, from, to).await?)
        };
        let is_full = left.kind() == Kind::Full;
        let tiles = reader.log_tiles(state.log, &tiles_for_root(from)).await?;
        let now_ms = self.live.now_ms();
        let head = Head {
            software: concat!("einklang ", env!("CARGO_PKG_VERSION")).to_owned(),
            created_at: rfc3339(now_ms),
            epoch: u64::try_from(state.log.epoch).unwrap_or(0),
            kind: left.kind(),
            content: query.content,
            filters: query.filters.clone(),
            from,
            to,
            frontier: if is_full {
                tiles.frontier(from).ok_or(GAP)?
            } else {
                Vec::new()
            },
            to_checkpoint: if is_full && to > 0 {
                reader.log_consistency(state.log, to, signed.size).await?
            } else {
                Vec::new()
            },
            checkpoint: signed.note.clone(),
            earlier,
        };
        let writer = ExportWriter::new(head).map_err(broken)?;
        self.note_export(principal, query, (from, to), &left, request)
            .await?;
        Ok(Export {
            live: Arc::clone(&self.live),
            signer: Arc::clone(&self.signer),
            log: state.log,
            size: signed.size,
            made_at_s: u64::try_from(now_ms.div_euclid(1_000)).unwrap_or(0),
            file_name: format!("audit-{}-{from}-{to}.tar", state.log.epoch),
            writer: Some(writer),
            ready: VecDeque::new(),
            left,
            is_ended: false,
        })
    }

    /// The indices, which have to be under the latest checkpoint.
    fn range(&self, state: &Epoch, signed: &Signed, query: &ExportQuery) -> Result<(u64, u64), FlowError> {
        let from = query.from.unwrap_or(0);
        let to = query.to.unwrap_or(signed.size);
        for (name, index) in [("from", from), ("to", to)] {
            if index > state.size {
                return Err(FlowError::Missing(name));
            }
        }
        if from >= to {
            return Err(FlowError::Invalid("to", "must be greater than from"));
        }
        if to > signed.size {
            return Err(self.not_yet());
        }
        if query
            .from_ms
            .zip(query.until_ms)
            .is_some_and(|(from, until)| from >= until)
        {
            return Err(FlowError::Invalid("to_time", "must be later than from_time"));
        }
        Ok((from, to))
    }

    /// The indices of the entries that fit the filters.
    async fn chosen(
        &self,
        log: LogKey,
        query: &ExportQuery,
        from: u64,
        to: u64,
    ) -> Result<VecDeque<u64>, FlowError> {
        let reader = self.live.store().reader(log.scope());
        let mut chosen = VecDeque::new();
        let mut next = from;
        while next < to {
            let after = next.checked_sub(1).map(|last| (log.epoch, last));
            let rows = reader
                .log_entries(log.tenant, Some(log.epoch), after, CHUNK)
                .await?;
            next = rows.last().ok_or(GAP)?.index + 1;
            for leaf in rows.into_iter().filter(|leaf| leaf.index < to) {
                let at_ms = millis_of(leaf.id);
                let in_time = query.from_ms.is_none_or(|from| from <= at_ms)
                    && query.until_ms.is_none_or(|until| at_ms < until);
                if in_time && query.filter.fits(&leaf.body) {
                    chosen.push_back(leaf.index);
                }
            }
            if chosen.len() as u64 > FILTERED_ROWS_MAX {
                return Err(FlowError::Invalid(
                    "to",
                    "more than 10,000 entries fit the filters: export a shorter range",
                ));
            }
        }
        Ok(chosen)
    }

    async fn note_export(
        &self,
        principal: &Principal,
        query: &ExportQuery,
        (from, to): (u64, u64),
        left: &Left,
        request: RequestId,
    ) -> Result<(), FlowError> {
        let told = |field, value: u64| Change {
            field,
            old: None,
            new: Some(value.to_string()),
        };
        let mut changes = vec![told("from", from), told("to", to)];
        if !query.filters.is_empty() {
            // By name only: what somebody looked for is theirs.
            let names: Vec<&str> = query.filters.keys().map(String::as_str).collect();
            changes.push(Change {
                field: "filters",
                old: None,
                new: Some(names.join(",")),
            });
        }
        let count = i64::try_from(left.count()).ok();
        self.note_look(principal, "audit.exported", request, |event| {
            event.changes = changes;
            event.count = count;
        })
        .await
    }
}

impl Export {
    /// The next bytes of the tar; none when it is whole.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, FlowError> {
        loop {
            if let Some(member) = self.ready.pop_front() {
                return Ok(Some(tar_member(&member, self.made_at_s)));
            }
            if self.left.count() > 0 {
                self.fill().await?;
            } else if let Some(writer) = self.writer.take() {
                self.finish(writer)?;
            } else if self.is_ended {
                return Ok(None);
            } else {
                self.is_ended = true;
                return Ok(Some(tar_end().to_vec()));
            }
        }
    }

    /// Writes some rows more.
    async fn fill(&mut self) -> Result<(), FlowError> {
        let reader = self.live.store().reader(self.log.scope());
        let writer = self.writer.as_mut().ok_or(GAP)?;
        match &mut self.left {
            Left::Range(from, to) => {
                // A tile's worth, so that the leaves' hashes come as the tile has them.
                let tile = *from / TILE_WIDTH;
                let begin = *from;
                let end = ((tile + 1) * TILE_WIDTH).min(*to);
                let id = TileId { level: 0, tile };
                let tiles = reader.log_tiles(self.log, &[id]).await?;
                let bodies = reader.log_bodies(self.log, begin, end).await?;
                let offset = usize::try_from(begin % TILE_WIDTH).map_err(|_| GAP)?;
                let hashes = tiles.get(id).and_then(|hashes| hashes.get(offset..)).ok_or(GAP)?;
                let count = usize::try_from(end - begin).map_err(|_| GAP)?;
                if bodies.len() != count || hashes.len() < count {
                    return Err(GAP.into());
                }
                for ((index, body), hash) in (begin..).zip(&bodies).zip(hashes) {
                    let whole = writer.push(index, body, Beside::Leaf(hash)).map_err(broken)?;
                    self.ready.extend(whole);
                }
                *from = end;
            }
            Left::Chosen(indices) => {
                let Some(index) = indices.pop_front() else {
                    return Ok(());
                };
                let leaf = reader.log_entry(self.log, index).await?.ok_or(GAP)?;
                let proof = reader.log_inclusion(self.log, index, self.size).await?;
                let whole = writer.push(index, &leaf.body, Beside::Proof(&proof));
                self.ready.extend(whole.map_err(broken)?);
            }
        }
        Ok(())
    }

    fn finish(&mut self, writer: ExportWriter) -> Result<(), FlowError> {
        let mut is_signed = true;
        let members = writer.finish(|bytes| {
            self.signer.sign(bytes).unwrap_or_else(|_| {
                is_signed = false;
                [0; 64]
            })
        });
        let members = members.map_err(broken)?;
        if !is_signed {
            return Err(FlowError::Refused(crate::domain::refusal::Reason::Unavailable));
        }
        self.ready.extend(members);
        Ok(())
    }
}

fn rfc3339(at_ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(at_ms)
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
