//! The only inbound HTTP. Promise: requests become values, values become answers; nothing is decided here.

pub mod audit;
pub mod audit_check;
pub mod auth;
mod bearer;
pub mod click;
pub mod consent;
pub mod contract;
pub mod correction;
pub mod explain;
mod explain_answer;
pub mod health;
pub mod inbound;
pub mod listener;
pub mod objects;
pub mod openapi;
pub mod pairs;
pub mod postback;
pub mod postback_schema;
pub mod problem;
pub mod records;
pub mod report;
pub mod request;
pub mod retention;
pub mod router;
pub mod signal;
pub mod time;
pub mod token;
