//! The proxy in front of the node, looked at over plain HTTP: each fault is really on the wire, and what geth refuses is
//! refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod chain;
mod faults;
mod kit;
mod logs;
mod strict;
