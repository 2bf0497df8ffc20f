//! What we make opens in the public tools of others, and what they make opens in ours.
//!
//! The tools are those of PyPI and npm, in the exact versions of `requirements.txt` and `package-lock.json` beside this file.
//! To renew the first: `pip-compile --generate-hashes --strip-extras --no-annotate --no-header requirements.in`, where
//! `requirements.in` holds the versions of eth-account, ethstaker-deposit and mnemonic.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that panics has failed"
)]

mod command_lines;
mod deposits;
mod keystores;
mod mnemonics;
mod passwords;
mod tools;
mod vault;
mod wallets;
