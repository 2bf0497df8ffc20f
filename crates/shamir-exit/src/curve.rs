//! The few group operations on BLS12-381 that blst offers as C functions only.
//!
//! Points come in through blst's checked types, so every `G1` and `G2` here lies on its curve and in its subgroup.
#![expect(
    unsafe_code,
    reason = "multiplying or hashing to a given point is not in blst's safe interface"
)]

use alloy_primitives::B256;
use bls12_381::Scalar;
use blst::{blst_fp12, blst_p1, blst_p2, min_pk};
use sw_spec::{PublicKeyBytes, SignatureBytes};

/// The proof-of-possession ciphersuite of Ethereum (consensus specs, `phase0/beacon-chain.md`, BLS signatures).
const CIPHERSUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// The number of bits of the order of the groups.
const SCALAR_BITS: usize = 255;

/// A point of the group that public keys are in.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct G1(blst_p1);

/// A point of the group that signatures are in.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct G2(blst_p2);

impl G1 {
    pub(crate) const INFINITY: Self = Self(blst_p1 {
        x: ZERO,
        y: ZERO,
        z: ZERO,
    });

    /// Reads a public key: a point on the curve, in the subgroup, not at infinity.
    pub(crate) fn decompress(bytes: &PublicKeyBytes) -> Option<Self> {
        let point = min_pk::PublicKey::key_validate(&bytes.0).ok()?;
        Some(Self(min_pk::AggregatePublicKey::from_public_key(&point).into()))
    }

    pub(crate) fn compress(&self) -> PublicKeyBytes {
        PublicKeyBytes(self.to_affine().compress())
    }

    pub(crate) fn generator() -> Self {
        // SAFETY: blst returns the address of a constant.
        Self(unsafe { *blst::blst_p1_generator() })
    }

    /// Multiplies in constant time, so that the scalar may be a secret.
    pub(crate) fn times(&self, scalar: &Scalar) -> Self {
        self.times_le_bytes(&zeroize::Zeroizing::new(scalar.to_bytes()), SCALAR_BITS)
    }

    pub(crate) fn times_u64(&self, scalar: u64) -> Self {
        self.times_le_bytes(&widened(scalar), 64)
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        let mut sum = min_pk::AggregatePublicKey::from(self.0);
        sum.add_aggregate(&other.0.into());
        Self(sum.into())
    }

    fn times_le_bytes(&self, scalar: &[u8; 32], bits: usize) -> Self {
        let mut product = blst_p1::default();
        // SAFETY: the three pointers are to live values, and `bits` is at most the 256 bits that `scalar` has.
        unsafe { blst::blst_p1_mult(&mut product, &self.0, scalar.as_ptr(), bits) };
        Self(product)
    }

    fn to_affine(self) -> min_pk::PublicKey {
        min_pk::AggregatePublicKey::from(self.0).to_public_key()
    }
}

impl G2 {
    pub(crate) const INFINITY: Self = Self(blst_p2 {
        x: ZERO_2,
        y: ZERO_2,
        z: ZERO_2,
    });

    /// Reads a signature: a point on the curve, in the subgroup, not at infinity.
    pub(crate) fn decompress(bytes: &SignatureBytes) -> Option<Self> {
        let point = min_pk::Signature::sig_validate(&bytes.0, true).ok()?;
        Some(Self(min_pk::AggregateSignature::from_signature(&point).into()))
    }

    pub(crate) fn compress(&self) -> SignatureBytes {
        SignatureBytes(self.to_affine().compress())
    }

    /// The point that a signature of `root` is a multiple of.
    pub(crate) fn hash(root: &B256) -> Self {
        let mut point = blst_p2::default();
        // SAFETY: every pointer is to live memory of the length beside it; there is no augmentation.
        unsafe {
            blst::blst_hash_to_g2(
                &mut point,
                root.as_ptr(),
                root.len(),
                CIPHERSUITE.as_ptr(),
                CIPHERSUITE.len(),
                std::ptr::null(),
                0,
            );
        }
        Self(point)
    }

    /// Multiplies in constant time, so that the scalar may be a secret.
    pub(crate) fn times(&self, scalar: &Scalar) -> Self {
        self.times_le_bytes(&zeroize::Zeroizing::new(scalar.to_bytes()), SCALAR_BITS)
    }

    pub(crate) fn times_u64(&self, scalar: u64) -> Self {
        self.times_le_bytes(&widened(scalar), 64)
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        let mut sum = min_pk::AggregateSignature::from(self.0);
        sum.add_aggregate(&other.0.into());
        Self(sum.into())
    }

    fn times_le_bytes(&self, scalar: &[u8; 32], bits: usize) -> Self {
        let mut product = blst_p2::default();
        // SAFETY: the three pointers are to live values, and `bits` is at most the 256 bits that `scalar` has.
        unsafe { blst::blst_p2_mult(&mut product, &self.0, scalar.as_ptr(), bits) };
        Self(product)
    }

    fn to_affine(self) -> min_pk::Signature {
        min_pk::AggregateSignature::from(self.0).to_signature()
    }
}

/// Tells whether `signature` is what `public_key` makes of the message that hashes to `message`.
pub(crate) fn verifies(public_key: &G1, message: &G2, signature: &G2) -> bool {
    if *public_key == G1::INFINITY {
        return false;
    }
    let claimed = blst_fp12::miller_loop(&signature.to_affine().into(), &G1::generator().to_affine().into());
    let expected = blst_fp12::miller_loop(&message.to_affine().into(), &public_key.to_affine().into());
    blst_fp12::finalverify(&claimed, &expected)
}

const ZERO: blst::blst_fp = blst::blst_fp { l: [0; 6] };
const ZERO_2: blst::blst_fp2 = blst::blst_fp2 { fp: [ZERO, ZERO] };

fn widened(scalar: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&scalar.to_le_bytes());
    bytes
}
