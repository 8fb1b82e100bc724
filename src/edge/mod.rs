//! The only inbound HTTP. Promise: requests become values, values become answers; nothing is decided here.

pub mod auth;
pub mod contract;
pub mod listener;
pub mod problem;
pub mod report;
pub mod request;
