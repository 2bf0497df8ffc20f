#![doc = include_str!("../README.md")]

mod create_keys;
mod create_wallet;
mod exit_validators;
mod initialize;
mod keystore_files;
mod mnemonic;
mod open_keys;
mod progress;
mod recover;
mod verify_deposit_data;
mod verify_keystores;
mod workers;

pub use create_keys::{CreateKeys, CreateKeysError, CreatedKeys, create_keys};
pub use create_wallet::{CreateWalletError, CreatedWallet, create_wallet};
pub use exit_validators::{
    Choice, ExitRules, KnownValidator, LeftOut, NotOffered, Refused, Selection, Withheld, choose_exits, sign_exit,
};
pub use initialize::{InitializeError, check_unused, initialize};
pub use keystore_files::{Passwords, SealError};
pub use mnemonic::{WrongMnemonic, check_mnemonic, same_phrase};
pub use open_keys::KeystoreKeys;
pub use progress::{NoProgress, Progress, Stage};
pub use recover::{
    FoundKey, Restore, RestoreError, Restored, Search, SearchOutcome, is_restored, present_config, restore, search,
    unused_keys,
};
pub use verify_deposit_data::verify_deposit_data;
pub use verify_keystores::{Verification, verify_keystores};
pub use workers::Workers;
