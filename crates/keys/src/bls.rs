//! BLS12-381 keys and signatures in the proof-of-possession scheme of the consensus layer.
//!
//! Source: consensus specs, `phase0/beacon-chain.md`, "BLS signatures". The arithmetic is blst's.

use std::fmt;

use alloy_primitives::B256;
use blst::{BLST_ERROR, min_pk};
use sw_spec::{PublicKeyBytes, SignatureBytes};
use zeroize::Zeroizing;

/// The ciphersuite of the consensus layer, which is also the domain separation tag of its hash to the curve.
pub(crate) const CIPHERSUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// A BLS secret key: a scalar between 1 and the order of the group.
///
/// It is wiped when dropped, cannot be cloned, compared or serialized, and never prints its scalar.
pub struct SecretKey(min_pk::SecretKey);

/// 32 bytes that are not a BLS secret key: zero, or not below the order of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the 32 bytes are not a BLS secret key: zero, or not below the group's order")]
pub struct InvalidSecretKey;

impl SecretKey {
    /// Reads a key from 32 big-endian bytes.
    ///
    /// # Errors
    /// When the number is zero or not below the order of the group.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, InvalidSecretKey> {
        min_pk::SecretKey::from_bytes(bytes)
            .map(Self)
            .map_err(|_| InvalidSecretKey)
    }

    pub(crate) fn from_blst(key: min_pk::SecretKey) -> Self {
        Self(key)
    }

    /// The key as 32 big-endian bytes, wiped when dropped.
    pub fn expose_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// Returns the public key.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.sk_to_pk())
    }

    /// Signs a signing root.
    pub fn sign(&self, root: &B256) -> Signature {
        Signature(self.0.sign(root.as_slice(), CIPHERSUITE, &[]))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// A public key known to be a point of G1's subgroup other than infinity (`KeyValidate` of the BLS draft).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(min_pk::PublicKey);

/// A signature known to be a point of G2's subgroup other than infinity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(min_pk::Signature);

/// Why bytes do not name a usable point of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPoint {
    /// The bytes are not a compressed point at all.
    #[error("not the compressed encoding of a point")]
    Encoding,
    /// No point of the curve has this coordinate.
    #[error("the point is not on the curve")]
    NotOnCurve,
    /// The point is on the curve but outside the prime-order subgroup.
    #[error("the point is not in the curve's subgroup")]
    NotInSubgroup,
    /// The point at infinity, under which anything could be signed.
    #[error("the point is infinity")]
    Infinity,
}

impl From<BLST_ERROR> for InvalidPoint {
    fn from(error: BLST_ERROR) -> Self {
        match error {
            BLST_ERROR::BLST_POINT_NOT_ON_CURVE => Self::NotOnCurve,
            BLST_ERROR::BLST_POINT_NOT_IN_GROUP => Self::NotInSubgroup,
            BLST_ERROR::BLST_PK_IS_INFINITY => Self::Infinity,
            _ => Self::Encoding,
        }
    }
}

impl PublicKey {
    /// The compressed point.
    pub fn to_bytes(&self) -> PublicKeyBytes {
        PublicKeyBytes(self.0.compress())
    }
}

impl TryFrom<&PublicKeyBytes> for PublicKey {
    type Error = InvalidPoint;

    fn try_from(bytes: &PublicKeyBytes) -> Result<Self, InvalidPoint> {
        Ok(Self(min_pk::PublicKey::key_validate(bytes.as_bytes())?))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_bytes(), f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Signature {
    /// The compressed point.
    pub fn to_bytes(&self) -> SignatureBytes {
        SignatureBytes(self.0.compress())
    }

    /// Whether `key` signed `root`.
    pub fn verify(&self, root: &B256, key: &PublicKey) -> bool {
        self.0.verify(false, root.as_slice(), CIPHERSUITE, &[], &key.0, false) == BLST_ERROR::BLST_SUCCESS
    }
}

impl TryFrom<&SignatureBytes> for Signature {
    type Error = InvalidPoint;

    fn try_from(bytes: &SignatureBytes) -> Result<Self, InvalidPoint> {
        Ok(Self(min_pk::Signature::sig_validate(bytes.as_bytes(), true)?))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_bytes(), f)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFINITY: u8 = 0xc0;

    #[test]
    fn zero_and_the_group_order_are_no_secret_keys() {
        let order = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";
        let order: [u8; 32] = hex::decode_to_array(order).expect("32 bytes");
        assert_eq!(SecretKey::from_bytes(&[0; 32]).err(), Some(InvalidSecretKey));
        assert_eq!(SecretKey::from_bytes(&order).err(), Some(InvalidSecretKey));
        let mut below = order;
        below[31] = 0;
        assert_eq!(*SecretKey::from_bytes(&below).expect("order - 1").expose_bytes(), below);
    }

    #[test]
    fn a_secret_key_does_not_print_itself() {
        let key = SecretKey::from_bytes(&[0x11; 32]).expect("a key");
        assert_eq!(format!("{key:?}"), "SecretKey(..)");
    }

    #[test]
    fn infinity_is_neither_a_public_key_nor_a_signature() {
        let mut key = PublicKeyBytes([0; 48]);
        key.0[0] = INFINITY;
        assert_eq!(PublicKey::try_from(&key), Err(InvalidPoint::Infinity));
        let mut signature = SignatureBytes([0; 96]);
        signature.0[0] = INFINITY;
        assert_eq!(Signature::try_from(&signature), Err(InvalidPoint::Infinity));
    }

    #[test]
    fn bytes_that_are_no_point_are_refused() {
        assert_eq!(
            PublicKey::try_from(&PublicKeyBytes([0; 48])),
            Err(InvalidPoint::Encoding)
        );
        assert_eq!(
            Signature::try_from(&SignatureBytes([0xff; 96])),
            Err(InvalidPoint::Encoding)
        );
        // x = 4 is on the curve and outside the subgroup; x = 1 is on no point of the curve.
        let with_x = |x: u8| {
            let mut bytes = PublicKeyBytes([0; 48]);
            bytes.0[0] = 0x80;
            bytes.0[47] = x;
            PublicKey::try_from(&bytes)
        };
        assert_eq!(with_x(4), Err(InvalidPoint::NotInSubgroup));
        assert_eq!(with_x(1), Err(InvalidPoint::NotOnCurve));
    }

    #[test]
    fn a_signature_verifies_for_its_key_and_root_only() {
        let key = SecretKey::from_bytes(&[0x11; 32]).expect("a key");
        let other = SecretKey::from_bytes(&[0x22; 32]).expect("a key");
        let root = B256::repeat_byte(7);
        let signature = Signature::try_from(&key.sign(&root).to_bytes()).expect("round trip");
        assert!(signature.verify(&root, &key.public_key()));
        assert!(!signature.verify(&root, &other.public_key()));
        assert!(!signature.verify(&B256::ZERO, &key.public_key()));
    }
}
