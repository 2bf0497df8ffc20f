//! The Beacon API follows the chain, holds to the consensus rules, and words its answers as each client does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod chain;
mod clients;
mod exits;
mod kit;
mod statuses;
