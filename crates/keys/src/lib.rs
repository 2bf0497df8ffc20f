#![doc = include_str!("../README.md")]

mod batch;
mod bls;
mod cipher;
mod derivation;
mod kdf;
mod kdf_json;
mod keystore;
mod keystore_json;
mod language;
mod mnemonic;
mod password;
mod scrypt_lanes;
mod stretcher;
mod wallet_file;
mod wallet_key;

pub use batch::{SignedRoot, verify, verify_batch};
pub use bls::{InvalidPoint, InvalidSecretKey, PublicKey, SecretKey, Signature};
pub use derivation::{InvalidSeedLength, KeyPath, ParseKeyPathError, Seed, ValidatorKeys, derive};
pub use kdf::{DerivedKey, KdfError, KdfParams};
pub use kdf_json::KdfJsonError;
pub use keystore::{Keystore, KeystoreError};
pub use language::{Language, ParseLanguageError};
pub use mnemonic::{InvalidEntropyLength, Mnemonic, MnemonicError};
pub use password::generate_password;
pub use secrecy::{ExposeSecret, SecretString};
pub use stretcher::Stretcher;
pub use wallet_file::{WalletFile, WalletFileError};
pub use wallet_key::{InvalidWalletKey, WalletKey};
