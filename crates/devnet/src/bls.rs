//! BLS keys and signatures of the beacon chain, by blst directly.

use alloy_primitives::{B256, FixedBytes};
use blst::{
    BLST_ERROR,
    min_pk::{PublicKey, SecretKey, Signature},
};

/// The proof-of-possession ciphersuite of the consensus specs.
pub const CIPHERSUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// A validator key of somebody who is not under test.
pub struct ForeignKey(SecretKey);

impl ForeignKey {
    /// Draws a key from the operating system's randomness.
    ///
    /// # Errors
    ///
    /// The operating system has no randomness to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut material = [0; 32];
        getrandom::fill(&mut material)?;
        SecretKey::key_gen(&material, &[])
            .map(Self)
            .map_err(|_| getrandom::Error::UNEXPECTED)
    }

    /// The compressed public key.
    pub fn public_key(&self) -> FixedBytes<48> {
        FixedBytes(self.0.sk_to_pk().to_bytes())
    }

    /// Signs a 32-byte signing root.
    pub fn sign(&self, root: B256) -> FixedBytes<96> {
        FixedBytes(self.0.sign(root.as_slice(), CIPHERSUITE, &[]).to_bytes())
    }
}

/// Whether `signature` is the one of `public_key` over `root`; points off the curve or outside the subgroup are not.
pub fn verify(public_key: &FixedBytes<48>, root: B256, signature: &FixedBytes<96>) -> bool {
    let Ok(public_key) = PublicKey::key_validate(public_key.as_slice()) else {
        return false;
    };
    let Ok(signature) = Signature::sig_validate(signature.as_slice(), true) else {
        return false;
    };
    signature.verify(false, root.as_slice(), CIPHERSUITE, &[], &public_key, false) == BLST_ERROR::BLST_SUCCESS
}
