//! A running operator is killed, stopped and refused its disk, at random moments and at chosen ones; then it is simply started again.
//!
//! Who judges shares nothing with the program: the chain's events, and the journal read as JSON. `cargo xtask kills` runs all of it;
//! without KILLS_FULL the counts are small.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod calls;
mod chaos;
mod frugal;
mod ground;
mod harvests;
mod moments;
mod seconds;
#[path = "../end_to_end/setup.rs"]
#[expect(dead_code, reason = "shared with the tests from end to end")]
mod setup;
mod soak;
mod stops;
mod traced;
