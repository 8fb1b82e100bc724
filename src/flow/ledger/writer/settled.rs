//! What comes of a batch: its answers, or why there are none.

use tokio::sync::oneshot;

use super::super::Unavailable;
use super::super::command::Reply;
use crate::store::{Store, StoreError};

/// A batch that was written.
pub(super) struct Settled {
    /// The answers.
    pub(super) replies: Vec<Result<Reply, Unavailable>>,
    /// The places of those that erased somebody.
    pub(super) erasing: Vec<usize>,
}

/// Why a batch was not written.
pub(super) enum Failed {
    /// The database.
    Store(StoreError),
    /// The journal could not be written: what would have erased may not be, by its place.
    Journal(Vec<usize>),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Failed::Store(error)
    }
}

/// Answers that wait until old pages hold nothing of those who were erased any more.
pub(super) type Waiting = Vec<(
    oneshot::Sender<Result<Reply, Unavailable>>,
    Result<Reply, Unavailable>,
)>;

/// The rows are gone for every reader; this removes what old pages of the file may still hold, beside the batches that
/// follow. The commit stands whatever becomes of that, so the answers do too; what failed is tried again by a timer.
pub(super) async fn scrub_and_answer(store: Store, waiting: Waiting) {
    if let Err(error) = store.scrub().await {
        tracing::warn!(%error, "old pages of erased rows could not be removed yet");
    }
    answer(waiting);
}

/// Answers everyone. A caller that went away does not need its answer.
pub(super) fn answer(waiting: Waiting) {
    for (answer, reply) in waiting {
        let _ = answer.send(reply);
    }
}

/// Counts what came of a batch; clicks, which most of them are, together.
pub(super) fn count_replies(replies: &[Result<Reply, Unavailable>]) {
    let mut tracked = 0;
    for reply in replies {
        match reply {
            Ok(Reply::Tracked) => tracked += 1,
            other => count_reply(other),
        }
    }
    if tracked > 0 {
        metrics::counter!("einklang_clicks_total", "outcome" => "tracked").increment(tracked);
    }
}

/// Metrics carry outcomes and reasons, and nothing of a tenant or a person.
fn count_reply(reply: &Result<Reply, Unavailable>) {
    match reply {
        Ok(Reply::Tracked) => metrics::counter!("einklang_clicks_total", "outcome" => "tracked").increment(1),
        Ok(Reply::Counted) => {
            metrics::counter!("einklang_clicks_total", "outcome" => "untracked").increment(1);
        }
        Ok(Reply::Verdict(answer)) => {
            let (outcome, reason) = (answer.outcome.code(), answer.reason.code());
            metrics::counter!("einklang_postbacks_total", "outcome" => outcome, "reason" => reason)
                .increment(1);
        }
        // Nothing happened.
        Ok(Reply::Found(_)) => {}
        Ok(Reply::Consent { .. } | Reply::Amended(_) | Reply::Erased { .. } | Reply::Restricted { .. }) => {
            metrics::counter!("einklang_changes_total").increment(1);
        }
        Err(Unavailable) => metrics::counter!("einklang_commands_failed_total").increment(1),
    }
}
