//! The key an oracle signs with and receives shares under.

use std::{fmt, str::FromStr};

use alloy_primitives::Address;

/// An oracle's secp256k1 public key: a point that was checked to lie on the curve.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OraclePublicKey([u8; 64]);

/// A text or bytes that are no oracle's public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseOracleKeyError {
    /// The text is not hexadecimal.
    #[error("an oracle's public key is hexadecimal text")]
    NotHexadecimal,
    /// The length fits no encoding.
    #[error("an oracle's public key has 64, 65 or 33 bytes, not {0}")]
    Length(usize),
    /// The point is not on the curve, or its encoding is not one.
    #[error("an oracle's public key is not a point on the curve")]
    NotOnCurve,
}

impl OraclePublicKey {
    /// Reads the 64 bytes of the coordinates, or the point as SEC 1 encodes it in 65 or 33 bytes.
    ///
    /// # Errors
    /// Another length, or a point that is not on the curve.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParseOracleKeyError> {
        if !matches!(bytes.len(), 33 | 64 | 65) {
            return Err(ParseOracleKeyError::Length(bytes.len()));
        }
        let point = ecies::PublicKey::parse_slice(bytes, None).map_err(|_| ParseOracleKeyError::NotOnCurve)?;
        let [_, coordinates @ ..] = point.serialize();
        Ok(Self(coordinates))
    }

    /// The coordinates, without the leading 04 of SEC 1.
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// The address the oracle is known by on chain: the last 20 bytes of the hash of the coordinates.
    pub fn address(&self) -> Address {
        Address::from_raw_public_key(&self.0)
    }
}

/// Accepts either case, with or without `0x`, in any of the three encodings.
impl FromStr for OraclePublicKey {
    type Err = ParseOracleKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > 2 + 2 * 65 {
            return Err(ParseOracleKeyError::Length(text.len() / 2));
        }
        let bytes = hex::decode(text).map_err(|_| ParseOracleKeyError::NotHexadecimal)?;
        Self::from_bytes(&bytes)
    }
}

/// Writes the form of the protocol's configuration: `0x` and 128 lower-case digits.
impl fmt::Display for OraclePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for OraclePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
