//! No secret leaves by accident: not by what is said or written, and not by what stays in memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod memory;
mod planted;

mod sinks;
mod vault;
