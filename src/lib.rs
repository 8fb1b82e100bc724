//! Einklang.
