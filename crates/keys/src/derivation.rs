//! From a seed to validator keys.
//!
//! Sources: EIP-2333 (the tree of keys), EIP-2334 (its paths).

use std::{fmt, str::FromStr};

use blst::min_pk;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::SecretKey;

/// The secret from which every key of a mnemonic is derived: 64 bytes for a BIP-39 phrase.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Seed {
    bytes: [u8; Seed::MAX_LENGTH],
    length: usize,
}

/// A seed outside the 32 to 64 bytes that EIP-2333 and BIP-32 both allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a seed has 32 to 64 bytes, got {0}")]
pub struct InvalidSeedLength(usize);

impl Seed {
    const MIN_LENGTH: usize = 32;
    const MAX_LENGTH: usize = 64;

    /// Takes the bytes of a seed.
    ///
    /// # Errors
    /// When there are fewer than 32 bytes or more than 64.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidSeedLength> {
        let length = bytes.len();
        let mut seed = Self {
            bytes: [0; Self::MAX_LENGTH],
            length,
        };
        match seed.bytes.get_mut(..length) {
            Some(target) if length >= Self::MIN_LENGTH => target.copy_from_slice(bytes),
            _ => return Err(InvalidSeedLength(length)),
        }
        Ok(seed)
    }

    pub(crate) fn from_array(bytes: &[u8; Self::MAX_LENGTH]) -> Self {
        Self {
            bytes: *bytes,
            length: Self::MAX_LENGTH,
        }
    }

    /// The bytes of the seed.
    pub fn expose_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// A path through the tree of keys, such as `m/12381/3600/0/0/0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyPath(Vec<u32>);

/// A text that is not a path of EIP-2334.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a path such as `m/12381/3600/0/0/0`, got `{0}`")]
pub struct ParseKeyPathError(String);

impl KeyPath {
    /// The path of a validator's signing key, as every staking tool derives it: `m/12381/3600/<index>/0/0`.
    pub fn validator(index: u32) -> Self {
        let [purpose, coin] = VALIDATORS;
        Self(vec![purpose, coin, index, 0, 0])
    }
}

impl FromStr for KeyPath {
    type Err = ParseKeyPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParseKeyPathError(text.chars().take(80).collect());
        let mut parts = text.split('/');
        if parts.next() != Some("m") {
            return Err(refused());
        }
        let mut indexes = Vec::new();
        for part in parts {
            let plain = part.bytes().all(|byte| byte.is_ascii_digit());
            match part.parse() {
                Ok(index) if plain && indexes.len() < MAX_DEPTH => indexes.push(index),
                _ => return Err(refused()),
            }
        }
        Ok(Self(indexes))
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("m")?;
        self.0.iter().try_for_each(|index| write!(f, "/{index}"))
    }
}

/// Derives the key at `path` (EIP-2333).
pub fn derive(seed: &Seed, path: &KeyPath) -> SecretKey {
    SecretKey::from_blst(descend(master(seed), &path.0))
}

/// The validator keys of a seed: the three steps they share are taken once.
pub struct ValidatorKeys {
    parent: min_pk::SecretKey,
}

impl ValidatorKeys {
    /// Derives the common parent `m/12381/3600`.
    pub fn new(seed: &Seed) -> Self {
        Self {
            parent: descend(master(seed), &VALIDATORS),
        }
    }

    /// The signing key at `m/12381/3600/<index>/0/0`.
    pub fn key(&self, index: u32) -> SecretKey {
        SecretKey::from_blst(descend(self.parent.derive_child_eip2333(index), &[0, 0]))
    }

    /// The path of [`ValidatorKeys::key`].
    pub fn path(index: u32) -> KeyPath {
        KeyPath::validator(index)
    }
}

impl fmt::Debug for ValidatorKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ValidatorKeys(..)")
    }
}

#[expect(
    clippy::expect_used,
    reason = "blst refuses only seeds under 32 bytes, which `Seed` cannot hold"
)]
fn master(seed: &Seed) -> min_pk::SecretKey {
    min_pk::SecretKey::derive_master_eip2333(seed.expose_bytes()).expect("a seed of 32 bytes or more")
}

fn descend(from: min_pk::SecretKey, indexes: &[u32]) -> min_pk::SecretKey {
    indexes.iter().fold(from, |key, index| key.derive_child_eip2333(*index))
}

/// EIP-2334: purpose 12381 (the curve), coin type 3600 (Ethereum's consensus layer).
const VALIDATORS: [u32; 2] = [12381, 3600];

/// Deeper than any path in use; each step costs a tenth of a millisecond.
const MAX_DEPTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_written() {
        for text in ["m", "m/0", "m/12381/3600/0/0/0", "m/4294967295"] {
            assert_eq!(text.parse::<KeyPath>().expect("a path").to_string(), text);
        }
        assert_eq!(KeyPath::validator(7).to_string(), "m/12381/3600/7/0/0");
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let deep = format!("m{}", "/1".repeat(MAX_DEPTH + 1));
        for text in [
            "",
            "12381/3600",
            "m/",
            "m/0'",
            "m/+1",
            "m/4294967296",
            "M/0",
            "m/ 1",
            deep.as_str(),
        ] {
            assert!(text.parse::<KeyPath>().is_err(), "{text}");
        }
    }

    #[test]
    fn seeds_outside_32_to_64_bytes_are_refused() {
        for length in [0, 31, 65] {
            assert_eq!(
                Seed::from_bytes(&vec![1; length]).err(),
                Some(InvalidSeedLength(length))
            );
        }
        assert_eq!(Seed::from_bytes(&[1; 33]).expect("allowed").expose_bytes(), [1; 33]);
    }
}
