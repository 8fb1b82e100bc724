//! The `einklang` command.

use std::process::ExitCode;

use clap::Parser;
use einklang::app::cli::{Cli, run};

fn main() -> ExitCode {
    run(Cli::parse())
}
