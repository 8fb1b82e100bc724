//! The only SQL. Promise: no commit without a trail, every statement names its tenant, and whoever reads or manages says
//! for whom.
//!
//! Two kinds of access share one set of pools. The hot path (clicks, postbacks, consent changes) goes through
//! [`tx::Batch`]: one transaction for everything that has queued up, one prepared statement per table. Everything else
//! goes through [`tx::Tx`] and sea-orm. On SQLite each has a connection of its own and a fair lock lets one of them write
//! at a time.

mod approvals;
pub mod audit;
pub mod backup;
pub mod batch;
mod campaigns;
mod cause;
pub mod cells;
mod checkpoint;
pub mod condition;
pub mod connect;
pub mod conversions;
pub mod erasures;
mod grants;
pub mod held;
mod holds;
mod hosts;
mod kept;
pub mod key_use;
pub mod keys;
pub mod lanes;
mod months;
pub mod objects;
pub mod policies;
mod primary;
pub mod purge;
pub mod records;
pub mod remains;
pub mod replay;
pub mod reports;
pub mod requests;
pub mod retention;
pub mod roots;
pub mod rotation;
pub mod routing;
mod rows;
pub mod scoped;
mod shops;
mod tenants;
mod tokens;
pub mod tx;
pub mod users;
pub mod volume;
pub mod wall;

pub use connect::{Store, StoreError};
