//! The proof that a batch of shares is what it should be, before it leaves.

use alloy_primitives::B256;
use bls12_381::Scalar;
use rand_core::CryptoRng;
use sw_spec::PublicKeyBytes;

use crate::{
    ExitShare, ShareIndex, Threshold,
    curve::{G1, G2, verifies},
    polynomial::{inverse, place, random_scalar},
};

/// What is wrong with a set of shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShareFault {
    /// There are not as many shares as there should be.
    #[error("there are {actual} shares instead of {expected}")]
    Count {
        /// How many there should be.
        expected: usize,
        /// How many there are.
        actual: usize,
    },
    /// A share is not the next one in order: its index is missing, repeated or too high.
    #[error("share {actual} is in the place of share {expected}")]
    Order {
        /// The index that belongs there.
        expected: ShareIndex,
        /// The index found there.
        actual: ShareIndex,
    },
    /// The validator's public key is not a point of its group.
    #[error("the validator's public key is not a point on the curve")]
    ValidatorKey,
    /// A public share is not a point of its group.
    #[error("the public key of share {0} is not a point on the curve")]
    PublicKey(ShareIndex),
    /// A signature share is not a point of its group.
    #[error("the signature of share {0} is not a point on the curve")]
    Signature(ShareIndex),
    /// A signature share does not verify against its public share.
    #[error("the signature of share {0} does not verify against its public key")]
    Unverified(ShareIndex),
    /// The shares are not on one polynomial of the threshold's degree: which of them are used would decide what is recovered.
    #[error("the shares do not lie on one polynomial of the threshold's degree")]
    NotOnePolynomial,
    /// The shares lie on a polynomial of a lower degree: fewer oracles than the threshold could exit the validator.
    #[error("fewer shares than the threshold recover the signature")]
    LowDegree,
    /// The shares are consistent, and recover the key and signature of somebody else.
    #[error("the shares recover another public key than the validator's")]
    OtherValidator,
}

/// Proves that any `threshold` of these shares recover the validator's own signature of `root`, and that fewer do not.
///
/// `shares` are all shares in the order of their indexes. Four facts are shown:
///
/// 1. Each signature share verifies against its public share. All are checked at once in a random linear combination
///    with 64-bit weights; when it fails they are checked one by one to name the one that is wrong.
/// 2. The validator's public key and the public shares lie on one polynomial of degree `threshold - 1`: their inner
///    product with a random word of the dual Reed-Solomon code is zero (SCRAPE, Cascudo and David 2017). It is not
///    enough that the first `threshold` recover the key, since an oracle quorum may use any.
/// 3. So the signature shares lie on the same polynomial, and what they recover is the validator's signature: by the
///    first fact each is its public share's discrete logarithm times the same point, and a BLS signature is unique.
/// 4. The polynomial's leading coefficient, computed from the first `threshold` shares, is not zero.
///
/// A false set passes with a probability of 2^-64, if `rng` is unpredictable.
///
/// # Errors
/// The first thing found wrong.
pub fn check_shares(
    shares: &[ExitShare],
    threshold: Threshold,
    validator: &PublicKeyBytes,
    root: &B256,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<(), ShareFault> {
    check_order(shares, threshold)?;
    let validator = G1::decompress(validator).ok_or(ShareFault::ValidatorKey)?;
    let points = shares.iter().map(Points::read).collect::<Result<Vec<_>, _>>()?;
    check_signatures(&points, root, rng)?;

    let shares = points
        .iter()
        .map(|share| (place(share.index), share.public_key))
        .collect::<Vec<_>>();
    let with_secret = std::iter::once(&(Scalar::zero(), validator))
        .chain(&shares)
        .copied()
        .collect::<Vec<_>>();
    if !on_one_polynomial(&with_secret, threshold, rng) {
        let consistent = on_one_polynomial(&shares, threshold, rng);
        return Err(if consistent {
            ShareFault::OtherValidator
        } else {
            ShareFault::NotOnePolynomial
        });
    }
    let enough = shares.iter().take(threshold.threshold()).copied().collect::<Vec<_>>();
    let leading = divided_difference(&enough, |_| Scalar::one());
    if leading == G1::INFINITY {
        Err(ShareFault::LowDegree)
    } else {
        Ok(())
    }
}

struct Points {
    index: ShareIndex,
    public_key: G1,
    signature: G2,
}

impl Points {
    fn read(share: &ExitShare) -> Result<Self, ShareFault> {
        Ok(Self {
            index: share.index,
            public_key: G1::decompress(&share.public_key).ok_or(ShareFault::PublicKey(share.index))?,
            signature: G2::decompress(&share.signature).ok_or(ShareFault::Signature(share.index))?,
        })
    }
}

fn check_order(shares: &[ExitShare], threshold: Threshold) -> Result<(), ShareFault> {
    if shares.len() != threshold.total() {
        return Err(ShareFault::Count {
            expected: threshold.total(),
            actual: shares.len(),
        });
    }
    for (expected, share) in threshold.indexes().zip(shares) {
        if share.index != expected {
            return Err(ShareFault::Order {
                expected,
                actual: share.index,
            });
        }
    }
    Ok(())
}

fn check_signatures(shares: &[Points], root: &B256, rng: &mut (impl CryptoRng + ?Sized)) -> Result<(), ShareFault> {
    let message = G2::hash(root);
    let (public_key, signature) = shares
        .iter()
        .fold((G1::INFINITY, G2::INFINITY), |(keys, signatures), share| {
            let weight = rng.next_u64();
            (
                keys.plus(&share.public_key.times_u64(weight)),
                signatures.plus(&share.signature.times_u64(weight)),
            )
        });
    if verifies(&public_key, &message, &signature) {
        return Ok(());
    }
    let wrong = shares
        .iter()
        .find(|share| !verifies(&share.public_key, &message, &share.signature));
    wrong.map_or(Ok(()), |share| Err(ShareFault::Unverified(share.index)))
}

/// Tells whether a polynomial of degree `threshold - 1` passes through all `points`, whose places are distinct.
fn on_one_polynomial(points: &[(Scalar, G1)], threshold: Threshold, rng: &mut (impl CryptoRng + ?Sized)) -> bool {
    let Some(freedom) = points.len().checked_sub(threshold.threshold()) else {
        return true;
    };
    let dual = (0..freedom).map(|_| random_scalar(rng)).collect::<Vec<_>>();
    let word = |place: &Scalar| {
        dual.iter()
            .rev()
            .fold(Scalar::zero(), |value, coefficient| value * place + coefficient)
    };
    divided_difference(points, word) == G1::INFINITY
}

/// The divided difference of the points, each times a factor: the sum of `factor * point / product of differences`.
fn divided_difference(points: &[(Scalar, G1)], factor: impl Fn(&Scalar) -> Scalar) -> G1 {
    points.iter().fold(G1::INFINITY, |sum, (place, point)| {
        let differences = points
            .iter()
            .filter(|(other, _)| other != place)
            .map(|(other, _)| place - other);
        let weight = inverse(differences.fold(Scalar::one(), |product, difference| product * difference));
        sum.plus(&point.times(&(weight * factor(place))))
    })
}
