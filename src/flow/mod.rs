//! Gather, decide, commit. Promise: one transaction for one decision; no HTTP, no SQL.
//!
//! Each capability has one small flow. What they share is [`Live`]: the store, the root keys, the present routing data
//! and the two things that only `app` may make, the clock and the supply of random bytes.

pub mod access;
pub mod agents;
pub mod audit;
pub mod click;
pub mod consent;
pub mod conversion;
pub mod erasure;
pub mod explain;
pub mod health;
pub mod identity;
pub mod journal;
pub mod keys;
pub mod ledger;
pub mod live;
pub mod looks;
pub mod objects;
pub mod provision;
pub mod records;
pub mod refusals;
pub mod report;
pub mod requests;
pub mod restore;
pub mod retention;
pub mod rotation;
pub mod signal;

pub use live::{Clock, Entropy, Live};

use crate::domain::draft::Fault;
use crate::domain::refusal::Reason;
use crate::store::StoreError;

/// Why a flow did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// It was decided not to; the reason is the answer.
    #[error("refused: {}", .0.code())]
    Refused(Reason),
    /// A parameter is wrong; the second text says how, in words of ours.
    #[error("parameter {0} is not acceptable")]
    Invalid(&'static str, &'static str),
    /// A parameter is well formed and clashes with another one, or with what is there.
    #[error("parameter {0} clashes with what is there")]
    Clash(&'static str, &'static str),
    /// A parameter names an object that the caller does not have.
    #[error("parameter {0} names nothing")]
    Missing(&'static str),
    /// A unique name is taken.
    #[error("{0} is taken")]
    Taken(&'static str),
    /// An audit entry is committed and will be in the signed log by this time, in milliseconds since 1970.
    #[error("not yet in the signed log")]
    NotYet(i64),
    /// The ledger failed.
    #[error("the store failed")]
    Store(#[source] StoreError),
}

impl From<StoreError> for FlowError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Taken(field) => FlowError::Taken(field),
            StoreError::Locked => FlowError::Refused(Reason::TenantLocked),
            other => FlowError::Store(other),
        }
    }
}

impl From<Fault> for FlowError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Form(field, words) => FlowError::Invalid(field, words),
            Fault::Clash(field, words) => FlowError::Clash(field, words),
        }
    }
}

impl From<Reason> for FlowError {
    fn from(reason: Reason) -> Self {
        FlowError::Refused(reason)
    }
}
