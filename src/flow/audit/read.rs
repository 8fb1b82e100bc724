//! Reading a log: entries, proofs, checkpoints, keys.
//!
//! Promise: a caller reads the log of its own tenant, the server's operator that of the server, and nobody another's. What
//! is read is what is stored; nothing is decided here.

use std::sync::Arc;

use uuid::Uuid;

use super::proofs::Proofs;
use super::{CheckpointSigner, log_name};
use crate::audit::merkle::{Hash, leaf_hash};
use crate::audit::note::{key_id, public_pem, vkey};
use crate::domain::access::Principal;
use crate::domain::ids::{RequestId, TenantId};
use crate::domain::refusal::Reason;
use crate::domain::routing::TenantRoute;
use crate::flow::{FlowError, Live};
use crate::store::audit::LogKey;
pub use crate::store::audit::heads::Signed;
pub use crate::store::audit::read::{Epoch, Leaf};

/// How long it may take at most until a committed entry has its place and a checkpoint over it, in milliseconds: a place
/// within a second at the worst, and a checkpoint every second.
const SEQUENCED_WITHIN_MS: i64 = 2_000;

/// Reads logs.
#[derive(Clone)]
pub struct AuditFlow {
    pub(super) live: Arc<Live>,
    name: Arc<str>,
    pub(super) signer: Arc<dyn CheckpointSigner>,
    public: [u8; 32],
    proofs: Proofs,
}

/// How a caller names an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryRef {
    /// By its index in an epoch.
    Index(u64),
    /// By its id.
    Id(Uuid),
}

/// That an entry is in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// The origin of the log.
    pub origin: String,
    /// The entry.
    pub leaf: Leaf,
    /// Its hash.
    pub leaf_hash: Hash,
    /// The size of the tree.
    pub size: u64,
    /// The proof, from the leaf's sibling up.
    pub hashes: Vec<Hash>,
    /// The checkpoint of that size, if one was signed.
    pub checkpoint: Option<Signed>,
}

/// That a tree extends another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consistency {
    /// The origin of the log.
    pub origin: String,
    /// The epoch.
    pub epoch: i64,
    /// The sizes of the earlier and the later tree.
    pub sizes: [u64; 2],
    /// The proof.
    pub hashes: Vec<Hash>,
    /// The checkpoints of those sizes, as far as they were signed.
    pub checkpoints: [Option<Signed>; 2],
}

/// Which checkpoint is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointRef {
    /// The latest.
    Latest,
    /// The one of this size.
    Size(u64),
    /// The last one that was signed at this moment or before, in milliseconds since 1970.
    At(i64),
}

/// A checkpoint with its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The origin of the log.
    pub origin: String,
    /// The epoch.
    pub epoch: i64,
    /// The checkpoint.
    pub signed: Signed,
    /// Its root.
    pub root: Hash,
}

/// What verifies one epoch of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogVerifier {
    /// The epoch.
    pub epoch: i64,
    /// The origin, which is also the key's name.
    pub origin: String,
    /// The key in the form of C2SP signed-note.
    pub vkey: String,
    /// The key's id.
    pub key_id: [u8; 4],
    /// The public key (Ed25519).
    pub public: [u8; 32],
    /// The same as PEM.
    pub pem: String,
    /// When the epoch was opened, in milliseconds since 1970.
    pub since_ms: i64,
}

impl AuditFlow {
    /// Over the shared parts. `name` is the first part of every origin; the signer also signs exports.
    pub fn new(live: Arc<Live>, name: &str, signer: Arc<dyn CheckpointSigner>) -> Self {
        Self {
            live,
            name: name.into(),
            public: signer.public(),
            proofs: Proofs::default(),
            signer,
        }
    }

    /// One entry.
    pub async fn entry(
        &self,
        principal: &Principal,
        entry: EntryRef,
        epoch: Option<i64>,
    ) -> Result<Leaf, FlowError> {
        Ok(self.find(principal, entry, epoch).await?.1)
    }

    /// That an entry is in the tree of a size; of the latest checkpoint's if none is named.
    pub async fn prove(
        &self,
        principal: &Principal,
        entry: EntryRef,
        epoch: Option<i64>,
        size: Option<u64>,
    ) -> Result<Inclusion, FlowError> {
        let (state, leaf) = self.find(principal, entry, epoch).await?;
        self.prove_leaf(principal, state, leaf, size).await
    }

    pub(super) async fn prove_leaf(
        &self,
        principal: &Principal,
        state: Epoch,
        leaf: Leaf,
        size: Option<u64>,
    ) -> Result<Inclusion, FlowError> {
        let reader = self.live.store().reader(principal.scope());
        let checkpoint = match size {
            None => reader.latest_checkpoint(state.log).await?,
            Some(size) if size == 0 || size > state.size => return Err(FlowError::Missing("size")),
            Some(size) if size <= leaf.index => {
                return Err(FlowError::Invalid(
                    "size",
                    "must be greater than the entry's index",
                ));
            }
            Some(size) => reader.checkpoint_of(state.log, size).await?,
        };
        let size = match (size, &checkpoint) {
            (Some(size), _) => size,
            (None, Some(signed)) if signed.size > leaf.index => signed.size,
            // It has its place, and the next checkpoint is about to be signed.
            (None, _) => return Err(self.not_yet()),
        };
        let hashes = self
            .proofs
            .inclusion(&reader, state.log, leaf.index, size)
            .await?;
        Ok(Inclusion {
            origin: self.origin(principal, &state)?,
            leaf_hash: leaf_hash(&leaf.body),
            leaf,
            size,
            hashes,
            checkpoint,
        })
    }

    /// That the tree of one size extends the one of a smaller size.
    pub async fn consistency(
        &self,
        principal: &Principal,
        epoch: Option<i64>,
        sizes: [u64; 2],
    ) -> Result<Consistency, FlowError> {
        let [old, new] = sizes;
        if old == 0 {
            return Err(FlowError::Invalid(
                "from",
                "must be at least 1: every tree extends the empty one",
            ));
        }
        if old > new {
            return Err(FlowError::Invalid("to", "must not be less than from"));
        }
        let state = self.state(principal, epoch).await?;
        if new > state.size {
            let name = if old > state.size { "from" } else { "to" };
            return Err(FlowError::Missing(name));
        }
        let reader = self.live.store().reader(principal.scope());
        let hashes = self.proofs.consistency(&reader, state.log, old, new).await?;
        let checkpoints = [
            reader.checkpoint_of(state.log, old).await?,
            reader.checkpoint_of(state.log, new).await?,
        ];
        Ok(Consistency {
            origin: self.origin(principal, &state)?,
            epoch: state.log.epoch,
            sizes,
            hashes,
            checkpoints,
        })
    }

    /// A checkpoint.
    pub async fn checkpoint(
        &self,
        principal: &Principal,
        epoch: Option<i64>,
        which: CheckpointRef,
    ) -> Result<Shown, FlowError> {
        let reader = self.live.store().reader(principal.scope());
        let (state, signed) = match which {
            CheckpointRef::At(at_ms) => {
                let epochs = reader.log_epochs(principal.tenant).await?;
                let found = reader.checkpoint_at(principal.tenant, epoch, at_ms).await?;
                let (log, signed) = found.ok_or(FlowError::Missing("at"))?;
                let state = epochs.into_iter().find(|state| state.log == log);
                (state.ok_or(FlowError::Refused(Reason::NotFound))?, signed)
            }
            CheckpointRef::Size(size) => {
                let state = self.state(principal, epoch).await?;
                let found = reader.checkpoint_of(state.log, size).await?;
                (state, found.ok_or(FlowError::Missing("size"))?)
            }
            CheckpointRef::Latest => {
                let state = self.state(principal, epoch).await?;
                let found = reader.latest_checkpoint(state.log).await?;
                (state, found.ok_or(FlowError::Refused(Reason::NotFound))?)
            }
        };
        let tiles = crate::audit::tiles::tiles_for_root(signed.size);
        let tiles = reader.log_tiles(state.log, &tiles).await?;
        let root = tiles.root(signed.size).ok_or(super::GAP)?;
        Ok(Shown {
            origin: self.origin(principal, &state)?,
            epoch: state.log.epoch,
            signed,
            root,
        })
    }

    /// What verifies the log, epoch by epoch, or one of them.
    pub async fn keys(
        &self,
        principal: &Principal,
        epoch: Option<i64>,
    ) -> Result<Vec<LogVerifier>, FlowError> {
        let epochs = match epoch {
            None => {
                self.live
                    .store()
                    .reader(principal.scope())
                    .log_epochs(principal.tenant)
                    .await?
            }
            Some(_) => vec![self.state(principal, epoch).await?],
        };
        let verifier = |state: Epoch| {
            let origin = self.origin(principal, &state)?;
            Ok(LogVerifier {
                epoch: state.log.epoch,
                vkey: vkey(&origin, &self.public),
                key_id: key_id(&origin, &self.public),
                public: self.public,
                pem: public_pem(&self.public),
                since_ms: state.opened_at_ms,
                origin,
            })
        };
        epochs.into_iter().map(verifier).collect()
    }

    /// The caller's tenant. The operator has none.
    pub(super) fn tenant(&self, principal: &Principal) -> Result<Arc<TenantRoute>, FlowError> {
        let routing = self.live.routing();
        let found = routing.tenants.get(&principal.tenant).map(Arc::clone);
        found.ok_or(FlowError::Refused(Reason::NotFound))
    }

    /// The part of an origin that names the caller's log.
    pub(super) fn log_text(&self, principal: &Principal) -> Result<String, FlowError> {
        if principal.tenant == 0 {
            return Ok("server".to_owned());
        }
        let tenant = self.tenant(principal)?;
        Ok(TenantId(tenant.tenant.object.id).to_string())
    }

    /// An epoch of the caller's log; the latest if none is named.
    pub(super) async fn state(&self, principal: &Principal, epoch: Option<i64>) -> Result<Epoch, FlowError> {
        let mut epochs = self
            .live
            .store()
            .reader(principal.scope())
            .log_epochs(principal.tenant)
            .await?;
        match epoch {
            None => epochs.pop().ok_or(FlowError::Refused(Reason::NotFound)),
            Some(epoch) => {
                let found = epochs.into_iter().find(|state| state.log.epoch == epoch);
                found.ok_or(FlowError::Missing("epoch"))
            }
        }
    }

    /// The epoch of an entry that was found.
    pub(super) async fn state_of(&self, principal: &Principal, log: LogKey) -> Result<Epoch, FlowError> {
        self.state(principal, Some(log.epoch)).await
    }

    pub(super) async fn find(
        &self,
        principal: &Principal,
        entry: EntryRef,
        epoch: Option<i64>,
    ) -> Result<(Epoch, Leaf), FlowError> {
        let reader = self.live.store().reader(principal.scope());
        match entry {
            EntryRef::Index(index) => {
                let state = self.state(principal, epoch).await?;
                let found = reader.log_entry(state.log, index).await?;
                Ok((state, found.ok_or(FlowError::Refused(Reason::NotFound))?))
            }
            EntryRef::Id(_) if epoch.is_some() => Err(FlowError::Invalid(
                "epoch",
                "stands with an index, not with an id",
            )),
            EntryRef::Id(id) => {
                let Some(leaf) = reader.log_entry_named(principal.tenant, id).await? else {
                    let is_waiting = reader.is_entered(principal.tenant, id).await?;
                    return Err(if is_waiting {
                        self.not_yet()
                    } else {
                        FlowError::Refused(Reason::NotFound)
                    });
                };
                Ok((self.state_of(principal, leaf.log).await?, leaf))
            }
        }
    }

    pub(super) fn not_yet(&self) -> FlowError {
        FlowError::NotYet(self.live.now_ms() + SEQUENCED_WITHIN_MS)
    }

    /// An origin is fixed when an epoch is first signed; until then it is what it will be.
    pub(super) fn origin(&self, principal: &Principal, state: &Epoch) -> Result<String, FlowError> {
        if let Some(origin) = &state.origin {
            return Ok(origin.clone());
        }
        let log = log_name(&self.name, &self.log_text(principal)?);
        Ok(format!("{log}/{}", state.log.epoch))
    }

    /// Enters that somebody looked, before anything is shown.
    pub(super) async fn note_look(
        &self,
        principal: &Principal,
        action: &'static str,
        request: RequestId,
        fill: impl FnOnce(&mut crate::domain::event::AuditEvent),
    ) -> Result<(), FlowError> {
        let mut event = self
            .live
            .event(principal.tenant, action, &principal.actor(), "shown");
        event.request_id = Some(request.to_string());
        fill(&mut event);
        let tx = self.live.store().begin(principal.scope()).await?;
        Ok(tx.commit_with(&event.into()).await?)
    }
}
