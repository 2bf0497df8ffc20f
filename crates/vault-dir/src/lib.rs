#![doc = include_str!("../README.md")]

mod batch;
mod batch_move;
mod config;
mod counter_blocks;
mod derivations;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod inventory;
mod keystore_files;
mod keystore_index;
mod keystore_password;
mod lock;
mod open_keystore;
mod open_many;
mod private_file;
mod replacement;
mod secret_file;
mod shared_iv;
mod staging;
mod vault_dir;

pub use batch::{Batch, BatchError, Committed};
pub use config::{ConfigError, VaultConfig};
pub use derivations::Opening;
pub use inventory::StatedKey;
pub use keystore_index::{IndexError, KeystoreFault, KeystoreIndex, ListedKeystore};
pub use keystore_password::{LikelyCause, PasswordSource};
pub use lock::{LockError, VaultLock};
pub use open_keystore::OpenKeystoreError;
pub use private_file::{Overwrite, WriteError, create_private_dir, write_private};
pub use replacement::{Replaced, Replacement};
pub use secret_file::{PasswordFileError, ReadSecretError, load_or_create_password, read_secret_file};
pub use sw_keys::{ExposeSecret, SecretString};
pub use vault_dir::VaultDir;
