//! The shipped program on a whole network: what registers, what must not, and what it says.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that panics has failed"
)]

mod deposit_data;
mod drop_in;
mod exits;
mod front_runs;
mod harvests;
mod recovers;
mod refused;
mod registers;
mod rotates;
mod runs;
mod setup;
mod v1;
