//! The key of the hot wallet: secp256k1, derived by BIP-32 along BIP-44's path.

use std::fmt;

use alloy_primitives::{Address, keccak256};
use hmac::{Hmac, KeyInit, Mac};
use k256::{NonZeroScalar, elliptic_curve::sec1::ToEncodedPoint};
use sha2::Sha512;
use zeroize::Zeroizing;

use crate::Seed;

/// The secret key that pays for the operator's transactions.
///
/// It is wiped when dropped, cannot be cloned, compared or serialized, and never prints itself.
pub struct WalletKey(k256::SecretKey);

/// 32 bytes that are not a secp256k1 secret key: zero, or not below the order of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the 32 bytes are not a wallet key: zero, or not below the group's order")]
pub struct InvalidWalletKey;

impl WalletKey {
    /// Derives the first Ethereum account of a seed: `m/44'/60'/0'/0/0` (BIP-44).
    pub fn derive(seed: &Seed) -> Self {
        let mut node = ExtendedKey::master(seed);
        for step in [
            Step::Hardened(44),
            Step::Hardened(60),
            Step::Hardened(0),
            Step::Normal(0),
            Step::Normal(0),
        ] {
            node = node.child(step);
        }
        Self(node.key)
    }

    /// Reads a key from 32 big-endian bytes.
    ///
    /// # Errors
    /// When the number is zero or not below the order of the group.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, InvalidWalletKey> {
        k256::SecretKey::from_bytes(bytes.into())
            .map(Self)
            .map_err(|_| InvalidWalletKey)
    }

    /// The key as 32 big-endian bytes, wiped when dropped.
    pub fn expose_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// The account's address: the last 20 bytes of the Keccak-256 of its public key.
    pub fn address(&self) -> Address {
        let point = self.0.public_key().to_encoded_point(false);
        let (_prefix, coordinates) = point.as_bytes().split_at(1);
        Address::from_word(keccak256(coordinates))
    }
}

impl fmt::Debug for WalletKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WalletKey(..)")
    }
}

/// A node of BIP-32's tree.
struct ExtendedKey {
    key: k256::SecretKey,
    chain_code: Zeroizing<[u8; 32]>,
}

#[derive(Clone, Copy)]
enum Step {
    Hardened(u32),
    Normal(u32),
}

impl ExtendedKey {
    /// BIP-32, "Master key generation".
    fn master(seed: &Seed) -> Self {
        let (key, chain_code) = hmac_halves(b"Bitcoin seed", &[seed.expose_bytes()]);
        Self {
            key: in_range(k256::SecretKey::from_bytes((&*key).into()).ok()),
            chain_code,
        }
    }

    /// BIP-32, "Private parent key to private child key".
    fn child(&self, step: Step) -> Self {
        let (tweak, chain_code) = match step {
            Step::Hardened(index) => {
                let parent = Zeroizing::new(self.key.to_bytes());
                hmac_halves(&*self.chain_code, &[&[0], &parent, &(index | 1 << 31).to_be_bytes()])
            }
            Step::Normal(index) => {
                let parent = self.key.public_key().to_encoded_point(true);
                hmac_halves(&*self.chain_code, &[parent.as_bytes(), &index.to_be_bytes()])
            }
        };
        let tweak = Zeroizing::new(in_range(NonZeroScalar::try_from(tweak.as_slice()).ok()));
        let sum = Zeroizing::new(**tweak + *self.key.to_nonzero_scalar());
        let key = in_range(Option::<NonZeroScalar>::from(NonZeroScalar::new(*sum)));
        Self {
            key: k256::SecretKey::from(key),
            chain_code,
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "BIP-32: with a chance below 2^-127 a step has no key, whatever the seed"
)]
fn in_range<T>(scalar: Option<T>) -> T {
    scalar.expect("a scalar between 1 and the order of the group")
}

fn hmac_halves(key: &[u8], parts: &[&[u8]]) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("any length");
    parts.iter().for_each(|part| mac.update(part));
    let output = Zeroizing::new(<[u8; 64]>::from(mac.finalize().into_bytes()));
    let (mut left, mut right) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
    let (first, second) = output.split_at(32);
    left.copy_from_slice(first);
    right.copy_from_slice(second);
    (left, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_that_of_bip_32() {
        // BIP-32, test vector 1, chain m/0'/1/2'.
        let seed: [u8; 16] = hex::decode_to_array("000102030405060708090a0b0c0d0e0f").expect("16 bytes");
        let (key, chain_code) = hmac_halves(b"Bitcoin seed", &[&seed]);
        let mut node = ExtendedKey {
            key: k256::SecretKey::from_bytes((&*key).into()).expect("a key"),
            chain_code,
        };
        assert_eq!(
            hex::encode(node.key.to_bytes()),
            "e8f32e723decf4051aefac8e2c93c9c5b214313817cdb01a1494b917c8436b35"
        );
        for (step, key, chain_code) in [
            (
                Step::Hardened(0),
                "edb2e14f9ee77d26dd93b4ecede8d16ed408ce149b6cd80b0715a2d911a0afea",
                "47fdacbd0f1097043b78c63c20c34ef4ed9a111d980047ad16282c7ae6236141",
            ),
            (
                Step::Normal(1),
                "3c6cb8d0f6a264c91ea8b5030fadaa8e538b020f0a387421a12de9319dc93368",
                "2a7857631386ba23dacac34180dd1983734e444fdbf774041578e9b6adb37c19",
            ),
            (
                Step::Hardened(2),
                "cbce0d719ecf7431d88e6a89fa1483e02e35092af60c042b1df2ff59fa424dca",
                "04466b9cc8e161e966409ca52986c584f07e9dc81f735db683c3ff6ec7b1503f",
            ),
        ] {
            node = node.child(step);
            assert_eq!(
                (hex::encode(node.key.to_bytes()), hex::encode(*node.chain_code)),
                (key.into(), chain_code.into())
            );
        }
    }

    #[test]
    fn zero_is_no_wallet_key_and_a_key_does_not_print_itself() {
        assert_eq!(WalletKey::from_bytes(&[0; 32]).err(), Some(InvalidWalletKey));
        assert_eq!(WalletKey::from_bytes(&[0xff; 32]).err(), Some(InvalidWalletKey));
        let key = WalletKey::from_bytes(&[0x11; 32]).expect("a key");
        assert_eq!(format!("{key:?} {:?}", key.expose_bytes()[0]), "WalletKey(..) 17");
    }
}
