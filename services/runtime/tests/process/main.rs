//! The life of a process, seen from outside: exit codes, what is printed, signals, ports. The test program starts itself
//! again as the program under test (see `child`).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests"
)]

mod actions;
mod child;
mod host;
mod serving;
