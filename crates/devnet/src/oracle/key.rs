//! An oracle's secp256k1 key: its address on the Keeper, what shares are sealed to, what approvals are signed with.

use std::fmt;

use alloy::{
    primitives::{Address, B256, FixedBytes, keccak256},
    signers::{SignerSync, local::PrivateKeySigner},
};

/// The length of a sealed exit signature share: ephemeral key 65, nonce 16, tag 16, signature 96 (original-v1, 6.4).
pub(super) const SEALED_SHARE: usize = 193;

/// The key of one oracle. Those of the devnet are known to everybody.
#[derive(Clone)]
pub struct OracleKey(PrivateKeySigner);

impl OracleKey {
    /// The key of the devnet's oracle at `position`: the same in each run.
    pub fn of_devnet(position: usize) -> Self {
        let mut secret = keccak256(format!("sw-devnet oracle {position}"));
        loop {
            match Self::from_bytes(&secret) {
                Ok(key) => return key,
                Err(_) => secret = keccak256(secret),
            }
        }
    }

    /// A key from its 32 bytes.
    ///
    /// # Errors
    ///
    /// The bytes are zero or not below the order of the curve.
    pub fn from_bytes(secret: &B256) -> Result<Self, InvalidOracleKey> {
        PrivateKeySigner::from_bytes(secret)
            .map(Self)
            .map_err(|_| InvalidOracleKey)
    }

    /// The 32 bytes of the secret.
    pub fn expose_bytes(&self) -> B256 {
        self.0.to_bytes()
    }

    /// The address the Keeper knows it by.
    pub fn address(&self) -> Address {
        self.0.address()
    }

    /// The public key as the protocol config has it: 0x and 128 hex digits, without the leading 04.
    pub fn public_key(&self) -> String {
        let point = self.0.credential().verifying_key().to_encoded_point(false);
        hex::encode_prefixed(point.as_bytes().get(1..).unwrap_or_default())
    }

    /// Opens a share sealed to this key (ECIES as in original-v1, 6.4); anything but 96 bytes inside is refused.
    pub fn open(&self, sealed: &FixedBytes<SEALED_SHARE>) -> Option<FixedBytes<96>> {
        let opened = ecies::decrypt(self.expose_bytes().as_slice(), sealed.as_slice()).ok()?;
        FixedBytes::try_from(opened.as_slice()).ok()
    }

    /// Signs a digest: r, s and v of 27 or 28.
    pub(super) fn sign(&self, digest: &B256) -> Option<FixedBytes<65>> {
        self.0
            .sign_hash_sync(digest)
            .ok()
            .map(|signature| FixedBytes(signature.as_bytes()))
    }
}

impl fmt::Debug for OracleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OracleKey").field(&self.address()).finish()
    }
}

/// 32 bytes that are no secp256k1 secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these 32 bytes are no secp256k1 secret key")]
pub struct InvalidOracleKey;
