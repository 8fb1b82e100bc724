//! The server over HTTP, on both databases.
//!
//! Each file holds one capability; each test runs on SQLite and on PostgreSQL from the same text, against the parts that
//! `einklang serve` puts together, with a clock that the test moves. Every answer is also held against the OpenAPI
//! document, and every pair of operation and status that occurred is noted (`harness/contract.rs` says where).

#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "the figures of a run are shown with --nocapture"
)]

#[macro_use]
mod harness;

mod approval;
mod audit;
mod audit_bad;
mod audit_check;
mod audit_events;
mod audit_export;
mod audit_openings;
mod audit_outsider;
mod audit_push;
mod auth;
mod bad_input;
mod bad_values;
mod click;
mod click_signals;
mod click_tcf;
mod clock_jumps;
mod cmp_flow;
mod concurrency;
mod consent;
mod correction;
mod deadlines;
mod decision;
mod erasure;
mod evidence_packs;
mod explain;
mod holds;
mod hostile_tokens;
mod key_sources;
mod keys;
mod log_keeping;
mod looks;
mod oidc;
mod opendsr;
mod operator_grants;
mod order_of_checks;
mod outage;
mod policy;
mod policy_effects;
mod policy_shadow;
mod postback;
mod postback_modes;
mod purge;
mod reasons;
mod records;
mod retention;
mod roles;
mod second_wall;
mod signals;
mod subject_requests;
mod surface;
mod tokens;
