//! The keeper of the logs: gives entries their places and signs what has grown.
//!
//! Any node may run one; all of them see the same trees. A head that does not extend what was signed last is not signed:
//! the log then opens a new epoch, whose first entry names the last checkpoint and the reason.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use super::{CheckpointSigner, Guard, SignerFailed, log_name};
use crate::audit::guard::{Remembered, Standing, standing};
use crate::audit::merkle::{Hash, verify_consistency};
use crate::audit::note::{Checkpoint, note, open_note};
use crate::domain::event::{Actor, Change};
use crate::domain::ids::TenantId;
use crate::domain::scope::TenantScope;
use crate::flow::{FlowError, Live};
use crate::store::audit::LogKey;
use crate::store::audit::heads::{Head, Signed, ToKeep};

/// How long after a checkpoint the next one of the same log is signed, at the earliest: so much less than a
/// second that, with the looks in between, there is one every second while there is traffic.
const SIGN_EVERY_MS: i64 = 700;
/// How often it is looked for logs that have grown.
const LOOK_EVERY_MS: i64 = 200;
/// After so many placed entries PostgreSQL is asked to tidy the table of those that wait.
const TIDY_EVERY: u64 = 50_000;

/// Keeps the logs.
pub struct LogKeeper {
    live: Arc<Live>,
    name: String,
    signer: Arc<dyn CheckpointSigner>,
    guard: Arc<dyn Guard>,
    untidied: AtomicU64,
    looked_at_ms: AtomicI64,
}

/// What is about to be signed.
struct Due {
    head: Head,
    log: String,
    means: Means,
}

/// What signing a head means.
struct Means {
    remembered: Remembered,
    /// The hashes that no full tile holds yet.
    edge: Vec<Hash>,
}

/// Why a log does not go on in its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// Entries that were signed are missing.
    Rewound,
    /// Entries that were signed are not what they were.
    Contradicted,
}

impl Broken {
    fn code(self) -> &'static str {
        match self {
            Broken::Rewound => "rewound",
            Broken::Contradicted => "contradicted",
        }
    }
}

impl LogKeeper {
    /// Over the shared parts. `name` is the first part of every origin.
    pub fn new(
        live: Arc<Live>,
        name: String,
        signer: Arc<dyn CheckpointSigner>,
        guard: Arc<dyn Guard>,
    ) -> Self {
        Self {
            live,
            name,
            signer,
            guard,
            untidied: AtomicU64::new(0),
            looked_at_ms: AtomicI64::new(0),
        }
    }

    /// One round: everything that waits finds its place, and what is due is signed.
    pub async fn round(&self) -> Result<(), FlowError> {
        self.place().await?;
        let now_ms = self.live.now_ms();
        if (now_ms - self.looked_at_ms.load(Relaxed)).abs() < LOOK_EVERY_MS {
            return Ok(());
        }
        self.looked_at_ms.store(now_ms, Relaxed);
        self.sign(SIGN_EVERY_MS).await
    }

    /// Thins out checkpoints of days that are long over.
    pub async fn thin(&self) -> Result<u64, FlowError> {
        Ok(self.live.store().thin_checkpoints(self.live.now_ms()).await?)
    }

    /// The last round before the server stops: everything is placed and signed.
    pub async fn finish(&self) -> Result<(), FlowError> {
        self.place().await?;
        self.sign(0).await
    }

    async fn place(&self) -> Result<(), FlowError> {
        loop {
            let round = self.live.store().sequence().await?;
            if round.placed > 0 {
                metrics::counter!("einklang_audit_entries_placed_total").increment(round.placed);
                metrics::histogram!("einklang_audit_merge_delay_seconds").record(round.waited_s);
            }
            if self.untidied.fetch_add(round.placed, Relaxed) + round.placed >= TIDY_EVERY {
                self.untidied.store(0, Relaxed);
                self.live.store().tidy_pending().await?;
            }
            if !round.more {
                return Ok(());
            }
        }
    }

    /// Signs every log that has grown and whose last checkpoint is at least so old.
    async fn sign(&self, min_age_ms: i64) -> Result<(), FlowError> {
        let now_ms = self.live.now_ms();
        let mut due = Vec::new();
        for head in self.live.store().reader(TenantScope::Server).log_heads().await? {
            let Some(tenant) = self.tenant_text(head.log.tenant) else {
                // Made a moment ago: routing data will know it soon.
                continue;
            };
            let fresh =
                |signed: &Signed| signed.size == head.size || (now_ms - signed.at_ms).abs() < min_age_ms;
            let log = log_name(&self.name, &tenant);
            let last = self.guard.last(&log);
            // A head that fell behind is looked at even though nothing new is to be signed.
            let behind = standing(head.log.epoch, head.size, last) == Standing::Behind;
            if head.size == 0 || (!behind && head.signed.as_ref().is_some_and(fresh)) {
                continue;
            }
            match self.examine(&head, &log, last).await? {
                Ok(means) => due.push(Due { head, log, means }),
                Err((broken, last)) => self.open_epoch(&head, &log, broken, last).await?,
            }
        }
        self.keep(due, now_ms).await
    }

    /// Whether a head extends what was signed last, with what signing it means; or why it does not.
    async fn examine(
        &self,
        head: &Head,
        log: &str,
        last: Option<Remembered>,
    ) -> Result<Result<Means, (Broken, Remembered)>, FlowError> {
        let reader = self.live.store().reader(TenantScope::Server);
        // Another node may have signed more than this one remembers, and a new node remembers nothing.
        let last = match (last, self.kept(head, log)) {
            (Some(guarded), Some(kept)) if kept.epoch == guarded.epoch && kept.size > guarded.size => {
                Some(kept)
            }
            (None, kept) => kept,
            (guarded, _) => guarded,
        };
        let edge = reader.log_edge(head.log, head.size).await?;
        let remembered = Remembered {
            epoch: head.log.epoch,
            size: head.size,
            root: edge.root(),
        };
        let means = Means {
            remembered,
            edge: edge.levels.into_iter().next().unwrap_or_default(),
        };
        let Some(last) = last else {
            return Ok(Ok(means));
        };
        Ok(match standing(head.log.epoch, head.size, Some(last)) {
            Standing::New => Ok(means),
            Standing::Behind => Err((Broken::Rewound, last)),
            Standing::Extends => {
                let proof = reader.log_consistency(head.log, last.size, head.size).await?;
                let extends = verify_consistency(last.size, head.size, &last.root, &remembered.root, &proof);
                extends.map(|()| means).map_err(|_| (Broken::Contradicted, last))
            }
        })
    }

    /// The latest checkpoint in the database, if this server's key signed it.
    fn kept(&self, head: &Head, log: &str) -> Option<Remembered> {
        let epoch = head.log.epoch;
        let origin = format!("{log}/{epoch}");
        let text = open_note(&head.signed.as_ref()?.note, &origin, &self.signer.public()).ok()?;
        let Checkpoint { size, root, .. } = Checkpoint::parse(&text).ok()?;
        Some(Remembered { epoch, size, root })
    }

    /// Remembers, then signs, then keeps: a crash in between leaves nothing signed that is not remembered.
    async fn keep(&self, due: Vec<Due>, now_ms: i64) -> Result<(), FlowError> {
        if due.is_empty() {
            return Ok(());
        }
        let remembered: Vec<_> = due
            .iter()
            .map(|due| (due.log.clone(), due.means.remembered))
            .collect();
        if self.guard.remember(&remembered) == Err(SignerFailed) {
            metrics::counter!("einklang_audit_signing_failed_total").increment(1);
            return Ok(());
        }
        let mut kept = Vec::with_capacity(due.len());
        for Due { head, log, means } in due {
            let Means { remembered, edge } = means;
            let origin = format!("{log}/{}", head.log.epoch);
            let checkpoint = Checkpoint {
                origin: origin.clone(),
                size: remembered.size,
                root: remembered.root,
            };
            let text = checkpoint.text();
            let Ok(signature) = self.signer.sign(text.as_bytes()) else {
                metrics::counter!("einklang_audit_signing_failed_total").increment(1);
                continue;
            };
            let signed = Signed {
                size: remembered.size,
                at_ms: now_ms,
                note: note(&text, &origin, &self.signer.public(), &signature),
            };
            kept.push(ToKeep {
                log: head.log,
                origin,
                signed,
                edge,
            });
        }
        metrics::counter!("einklang_audit_checkpoints_total").increment(kept.len() as u64);
        Ok(self.live.store().keep_checkpoints(&kept).await?)
    }

    async fn open_epoch(
        &self,
        head: &Head,
        log: &str,
        broken: Broken,
        last: Remembered,
    ) -> Result<(), FlowError> {
        tracing::error!(
            log,
            reason = broken.code(),
            signed_size = last.size,
            size = head.size,
            "the audit log does not extend what was signed; a new epoch opens"
        );
        metrics::counter!("einklang_audit_epochs_opened_total", "reason" => broken.code()).increment(1);
        let tenant = head.log.tenant;
        let mut event = self.live.event(tenant, "log.opened", &Actor::Server, "opened");
        event.reason = Some(broken.code());
        let told = [
            ("last_epoch", last.epoch.to_string()),
            ("last_size", last.size.to_string()),
            ("last_root", hex::encode(last.root)),
        ];
        event.changes = told
            .into_iter()
            .map(|(field, value)| Change {
                field,
                new: None,
                old: Some(value),
            })
            .collect();
        let next = LogKey {
            tenant,
            epoch: last.epoch.max(head.log.epoch) + 1,
        };
        let store = self.live.store();
        store.open_epoch(next, &event.into(), self.live.now_ms()).await?;
        Ok(())
    }

    /// The tenant's part of an origin.
    fn tenant_text(&self, number: i64) -> Option<String> {
        if number == 0 {
            return Some("server".to_owned());
        }
        let routing = self.live.routing();
        let tenant = routing.tenants.get(&number)?;
        Some(TenantId(tenant.tenant.object.id).to_string())
    }

    /// Enters that the server started or stopped, in the server's own log.
    pub async fn note_server(&self, action: &'static str, outcome: &'static str) -> Result<(), FlowError> {
        let mut event = self.live.event(0, action, &Actor::Server, outcome);
        let database = if self.live.store().is_postgres() {
            "postgresql"
        } else {
            "sqlite"
        };
        let told = [("database", database), ("version", env!("CARGO_PKG_VERSION"))];
        event.changes = told
            .into_iter()
            .map(|(field, value)| Change {
                field,
                new: Some(value.to_owned()),
                old: None,
            })
            .collect();
        let tx = self.live.store().begin(TenantScope::Server).await?;
        Ok(tx.commit_with(&event.into()).await?)
    }
}
