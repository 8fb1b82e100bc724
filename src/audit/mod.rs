//! The audit log's mathematics. Promise: the same events give the same bytes and the same root; no I/O.
//!
//! Read `leaf` for the canonical bytes of an event, `merkle` for the tree over them (RFC 6962, section 2.1), `tiles` for
//! how a tree is kept in pieces of 256 hashes and how proofs are made of them, `growth` for what appending changes.
//! `note` signs a state of the tree, `bundle` and `proof` are what a stranger's program reads, and `export` is a piece of
//! a log that proves itself offline, `pack` is what it says of a period. `check` compares a stored log with itself.

pub mod bundle;
pub mod certificate;
pub mod check;
pub mod export;
pub mod frontier;
pub mod growth;
pub mod guard;
pub mod leaf;
pub mod merkle;
pub mod note;
pub mod pack;
pub mod proof;
pub mod tiles;
