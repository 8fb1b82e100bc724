//! The audit log's mathematics. Promise: the same events give the same bytes and the same root; no I/O.
//!
//! Read `leaf` for the canonical bytes of an event, then `merkle` for the tree over them (RFC 6962, section 2.1).
//! Sequencing, checkpoints and proofs are not here yet: entries are rows, written in the transaction of the decision
//! that they record.

pub mod leaf;
pub mod merkle;
