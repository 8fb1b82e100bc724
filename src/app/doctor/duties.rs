//! What the law sets a time for: requests of people, and how long anything is kept.

use std::sync::Arc;

use super::{Sheet, State};
use crate::app::cli::chain;
use crate::app::system::SystemClock;
use crate::domain::scope::TenantScope;
use crate::flow::retention::RetentionFlow;
use crate::flow::{Clock, Live};
use crate::store::Store;

/// Nothing is kept beyond its time, and no hold beyond its review.
pub(super) async fn retention(live: Arc<Live>, sheet: &mut Sheet) {
    let flow = RetentionFlow::new(live);
    match flow.overdue().await {
        Ok(overdue) if overdue.is_empty() => {
            sheet.note("retention", State::Ok, "Nothing is kept beyond its time.");
        }
        Ok(overdue) => {
            let first = overdue.first();
            let first = first.map(|one| format!("{} of {}", one.class.code(), one.tenant));
            let sentence = format!(
                "{} classes of data are kept beyond their time, the first: {}. A server that runs purges once a day; if one \
                 does, look into its log. Run: einklang purge",
                overdue.len(),
                first.unwrap_or_default()
            );
            sheet.note("retention", State::Failed, sentence);
        }
        Err(error) => sheet.note("retention", State::Failed, chain(&error)),
    }
    match flow.overdue_reviews().await {
        Ok(0) => sheet.note("holds", State::Ok, "No hold waits for its review."),
        Ok(due) => {
            let sentence = format!(
                "{due} holds are past their review. Lift them, or make new ones with a later review."
            );
            sheet.note("holds", State::Warning, sentence);
        }
        Err(error) => sheet.note("holds", State::Failed, chain(&error)),
    }
}

/// The law's deadline, not ours.
pub(super) async fn requests(store: &Store, clock: &SystemClock, sheet: &mut Sheet) {
    match store
        .reader(TenantScope::Server)
        .case_counts(None, clock.now_ms())
        .await
    {
        Ok(counts) if counts.overdue > 0 => {
            let sentence = format!(
                "{} requests of people are overdue, {} more are due within a week. The role privacy finds them with \
                 GET /v1/subject-requests?overdue=true.",
                counts.overdue, counts.due_soon
            );
            sheet.note("subject_requests", State::Failed, sentence);
        }
        Ok(counts) if counts.due_soon > 0 => {
            let sentence = format!("{} requests of people are due within a week.", counts.due_soon);
            sheet.note("subject_requests", State::Warning, sentence);
        }
        Ok(_) => sheet.note("subject_requests", State::Ok, "No request of a person's is late."),
        Err(error) => sheet.note("subject_requests", State::Failed, chain(&error)),
    }
}
