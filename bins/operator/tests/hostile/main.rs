//! The shipped program among oracles that lie, chains that change their mind, and providers that give little.
//!
//! `HOSTILE_FULL=<n>` repeats each case that many times and prints what it took; without it, each is there once.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that panics has failed, and the full count is a report"
)]

mod deposits;
mod fees;
mod oracles;
mod provider;
mod reorgs;
#[path = "../end_to_end/setup.rs"]
#[allow(dead_code, reason = "the end-to-end tests use the rest")]
mod setup;

/// How often each case is to be repeated, if at all.
fn full() -> Option<usize> {
    std::env::var("HOSTILE_FULL").ok()?.parse().ok()
}
