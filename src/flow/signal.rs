//! Looking into a signal: the one thing that this takes from the server is the time. Nothing is stored.

use std::sync::Arc;

use super::{FlowError, Live};
use crate::domain::inspect::{BadQuestion, Question, Report, answer};

/// Answers questions about signals.
#[derive(Clone)]
pub struct SignalFlow {
    live: Arc<Live>,
}

impl SignalFlow {
    /// Over the shared parts.
    pub fn new(live: Arc<Live>) -> Self {
        Self { live }
    }

    /// Answers a question; a TC string that comes without a time is judged at the present one.
    pub fn decode(&self, question: &Question) -> Result<Report, FlowError> {
        let now_s = self.live.now_ms().div_euclid(1_000);
        answer(question, now_s).map_err(|BadQuestion(member)| {
            FlowError::Invalid(member, "holds a time or an id that cannot be read")
        })
    }
}
