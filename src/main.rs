//! The `einklang` command.

use std::process::ExitCode;

use clap::Parser;
use einklang::app::cli::{Cli, run};

/// A click makes some dozens of small allocations on one thread and frees them on another, which this one is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run(Cli::parse())
}
