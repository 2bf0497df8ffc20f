//! Signature shares that only their oracle can read.

use std::fmt;

use sw_spec::SignatureBytes;

use crate::OraclePublicKey;

/// A signature share encrypted to one oracle.
///
/// ECIES on secp256k1 as `eciespy` does it by default: ephemeral public key (65 bytes, uncompressed), nonce (16), tag
/// (16), AES-256-GCM ciphertext (96); the AES key is HKDF-SHA256 of the ephemeral key and the shared point.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptedShare([u8; Self::LENGTH]);

/// A share could not be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The cipher refused the oracle's key.
    #[error("cannot encrypt to the oracle's public key")]
    Encrypt,
    /// The result is not in the form oracles read: something in this process changed the settings of the `ecies` crate.
    #[error("the encryption is set up for another format than the oracles'")]
    Format,
}

/// An encrypted share could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is for somebody else, or was altered.
    #[error("the share is not encrypted to this key, or was altered")]
    Decrypt,
    /// What it contains is not a signature.
    #[error("the share does not contain a signature")]
    NotASignature,
}

impl EncryptedShare {
    /// The number of bytes.
    pub const LENGTH: usize = EPHEMERAL_KEY + NONCE + TAG + SignatureBytes::LENGTH;

    /// Encrypts a signature share to an oracle.
    ///
    /// The `ecies` crate draws the ephemeral key and the nonce from the operating system; no generator can be passed in.
    ///
    /// # Errors
    /// The cipher fails, or makes something else than what oracles read.
    pub fn seal(signature: &SignatureBytes, oracle: &OraclePublicKey) -> Result<Self, SealError> {
        let sealed = ecies::encrypt(oracle.as_bytes(), &signature.0).map_err(|_| SealError::Encrypt)?;
        let sealed = <[u8; Self::LENGTH]>::try_from(sealed).map_err(|_| SealError::Format)?;
        if sealed.first() == Some(&UNCOMPRESSED) {
            Ok(Self(sealed))
        } else {
            Err(SealError::Format)
        }
    }

    /// Decrypts the share with the oracle's secret key.
    ///
    /// # Errors
    /// Another oracle's share, an altered one, or one that holds no signature.
    pub fn open(&self, secret: &[u8; 32]) -> Result<SignatureBytes, OpenError> {
        let opened = ecies::decrypt(secret, &self.0).map_err(|_| OpenError::Decrypt)?;
        SignatureBytes::try_from(opened.as_slice()).map_err(|_| OpenError::NotASignature)
    }

    /// The bytes, in the order of the wire.
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl From<[u8; EncryptedShare::LENGTH]> for EncryptedShare {
    fn from(bytes: [u8; EncryptedShare::LENGTH]) -> Self {
        Self(bytes)
    }
}

/// Writes the form oracles take: `0x` and 386 lower-case digits.
impl fmt::Display for EncryptedShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for EncryptedShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const EPHEMERAL_KEY: usize = 65;
const NONCE: usize = 16;
const TAG: usize = 16;
/// The first byte of an uncompressed point (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;
