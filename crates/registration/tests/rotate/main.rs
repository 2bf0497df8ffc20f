//! The rotation duty over a world made of values: what it does when it should, and what it leaves when it should not.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that panics has failed"
)]

mod asking;
mod log;
mod overtaken;
mod rotating;
mod world;
