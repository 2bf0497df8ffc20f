//! Making shares: of a key, or of a signature and its public key.

use std::fmt;

use alloy_primitives::B256;
use bls12_381::Scalar;
use rand_core::CryptoRng;
use sw_keys::{PublicKey, SecretKey, Signature};
use sw_spec::{PublicKeyBytes, SignatureBytes};
use zeroize::Zeroizing;

use crate::{
    ShareIndex, Threshold,
    curve::{G1, G2, verifies},
    polynomial::SecretPolynomial,
};

/// Why nothing was split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// A share is zero, two are alike, or one is the whole: chance does not do this, a broken random generator does.
    #[error("the random generator gave shares that are zero, alike or the whole secret")]
    DegenerateShares,
    /// The signature is not the public key's signature of the root.
    #[error("the signature does not verify against the public key")]
    WrongSignature,
}

/// A share of a validator's secret key. It is wiped when dropped and has no `Debug`.
pub struct KeyShare {
    index: ShareIndex,
    secret: SecretKey,
    public_key: PublicKeyBytes,
}

/// A share of a validator's exit signature and of its public key: for one oracle.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ExitShare {
    /// Which share it is.
    pub index: ShareIndex,
    /// The public share, against which the signature share verifies like any BLS signature.
    pub public_key: PublicKeyBytes,
    /// The signature share. Only the oracle it is for may see it: a threshold of them is a valid exit.
    pub signature: SignatureBytes,
}

/// Leaves out the signature, which is for one oracle alone.
impl fmt::Debug for ExitShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExitShare")
            .field("index", &self.index)
            .field("public_key", &self.public_key)
            .finish_non_exhaustive()
    }
}

impl KeyShare {
    /// Which share it is.
    pub fn index(&self) -> ShareIndex {
        self.index
    }

    /// The share's public key.
    pub fn public_key(&self) -> PublicKeyBytes {
        self.public_key
    }

    /// Signs with the share.
    pub fn sign(&self, root: &B256) -> ExitShare {
        let signature = self.secret.sign(root).to_bytes();
        ExitShare {
            index: self.index,
            public_key: self.public_key,
            signature,
        }
    }
}

/// Splits a secret key, so that any `threshold` of the shares sign for it.
///
/// # Errors
/// A random generator that is not one.
pub fn split(
    key: &SecretKey,
    threshold: Threshold,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<KeyShare>, SplitError> {
    let polynomial = SecretPolynomial::random(scalar_of(key)?, threshold, rng);
    let share = |index| {
        let value = Zeroizing::new(polynomial.at(index));
        let mut bytes = Zeroizing::new(value.to_bytes());
        bytes.reverse();
        // Zero is the only value below the field's order that is no key.
        let secret = SecretKey::from_bytes(&bytes).map_err(|_| SplitError::DegenerateShares)?;
        let public_key = secret.public_key().to_bytes();
        Ok(KeyShare {
            index,
            secret,
            public_key,
        })
    };
    let shares = threshold.indexes().map(share).collect::<Result<Vec<_>, _>>()?;
    check_independent(
        shares.iter().map(KeyShare::public_key),
        key.public_key().to_bytes(),
        threshold,
    )?;
    Ok(shares)
}

/// Splits a signature of `root` and the public key it verifies against, both by one polynomial, so that the shares are
/// the same that a split of the secret key would give: a signer that only signs is enough.
///
/// With random `c`: share `x` of the signature is `signature + (c1 x + c2 x^2 + ..) hash(root)`, share `x` of the key is
/// `public_key + (c1 x + c2 x^2 + ..) generator`.
///
/// # Errors
/// A signature that does not verify, or a random generator that is not one.
pub fn split_signature(
    signature: &Signature,
    public_key: &PublicKey,
    root: &B256,
    threshold: Threshold,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<ExitShare>, SplitError> {
    let validator = public_key.to_bytes();
    let public_key = G1::decompress(&validator).ok_or(SplitError::WrongSignature)?;
    let signature = G2::decompress(&signature.to_bytes()).ok_or(SplitError::WrongSignature)?;
    let message = G2::hash(root);
    if !verifies(&public_key, &message, &signature) {
        return Err(SplitError::WrongSignature);
    }
    let mask = SecretPolynomial::random(Scalar::zero(), threshold, rng);
    let share = |index| {
        let mask = Zeroizing::new(mask.at(index));
        ExitShare {
            index,
            public_key: public_key.plus(&G1::generator().times(&mask)).compress(),
            signature: signature.plus(&message.times(&mask)).compress(),
        }
    };
    let shares = threshold.indexes().map(share).collect::<Vec<_>>();
    check_independent(shares.iter().map(|share| share.public_key), validator, threshold)?;
    Ok(shares)
}

/// Refuses shares that give away the secret or one another. With a threshold of 1 every share is the secret by design.
fn check_independent(
    shares: impl Iterator<Item = PublicKeyBytes>,
    validator: PublicKeyBytes,
    threshold: Threshold,
) -> Result<(), SplitError> {
    if threshold.threshold() == 1 {
        return Ok(());
    }
    let mut seen = vec![validator, G1::INFINITY.compress()];
    for share in shares {
        if seen.contains(&share) {
            return Err(SplitError::DegenerateShares);
        }
        seen.push(share);
    }
    Ok(())
}

fn scalar_of(key: &SecretKey) -> Result<Scalar, SplitError> {
    let mut bytes = key.expose_bytes();
    bytes.reverse();
    // A `SecretKey` lies between 1 and the field's order, so it is a scalar.
    Option::from(Scalar::from_bytes(&bytes)).ok_or(SplitError::DegenerateShares)
}
