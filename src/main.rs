//! The `einklang` command.
fn main() {}
