//! Decisions only. Promise: no I/O, no clock, no randomness; times, ids, nonces and keys are arguments.
//!
//! Reading order: `refusal` (every answer), `policy`, `signal`, `tcf` and `gpp` (what arrived), `consent` (what it means),
//! `attribution` (the verdict), `token` and `keys` (how it is sealed), `event` (what the trail says of it).

pub mod access;
pub mod agent;
pub mod approval;
pub mod attribution;
mod bits;
pub mod campaign;
pub mod consent;
pub mod credential;
pub mod deadline;
pub mod draft;
pub mod erasure;
pub mod event;
pub mod explain;
pub mod gpp;
pub mod grant;
pub mod hold;
pub mod ids;
pub mod inspect;
pub mod journal;
pub mod key_life;
pub mod keyring;
pub mod keys;
pub mod landing;
pub mod look;
pub mod money;
pub mod object;
pub mod policy;
pub mod postback;
pub mod provision;
pub mod record;
pub mod refusal;
pub mod registry;
pub mod report;
pub mod retention;
pub mod routing;
pub mod scope;
pub mod signal;
pub mod signature;
pub mod stream;
pub mod subject_request;
pub mod tcf;
pub mod token;
