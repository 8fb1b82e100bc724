//! Einklang: server-to-server conversion tracking that enforces consent.
//!
//! Folders are promises. `domain` decides and does nothing else; `audit` turns events into bytes and roots; `store` is
//! the only SQL and commits nothing without a trail; `flow` gathers, decides and commits; `edge` is the only inbound
//! HTTP and `delivery` the only outbound; `identity` tells who a token stands for; `app` wires everything and decides
//! nothing. ARCHITECTURE.md is the map.

pub mod app;
pub mod audit;
pub mod delivery;
pub mod domain;
pub mod edge;
pub mod flow;
pub mod identity;
pub mod store;
