//! Names everything, decides nothing: configuration, the command line, wiring, timers, telemetry.
//!
//! The clock and the supply of random bytes are made here and nowhere else; everything below gets them as arguments.

pub mod apply;
pub mod audit;
pub mod audit_guard;
pub mod audit_key;
pub mod backup;
pub mod bench;
pub mod cli;
pub mod config;
pub mod consent;
pub mod demo;
pub mod doctor;
pub mod erase;
pub mod erasure_journal;
pub mod first_run;
pub mod key_file;
pub mod keys;
pub mod migrate;
pub mod opendsr_key;
pub mod production;
pub mod purge;
pub mod registries;
pub mod root_command;
pub mod root_key;
pub mod serve;
pub mod signal;
pub mod system;
pub mod telemetry;
pub mod token_key;
pub mod wire;
