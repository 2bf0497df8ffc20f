//! Secret polynomials over the scalar field, and interpolation at zero.

use bls12_381::Scalar;
use rand_core::CryptoRng;
use vsss_rs::{IdentifierPrimeField, Polynomial as _, PrimeFieldShare};
use zeroize::Zeroize;

use crate::{ShareIndex, Threshold};

/// A polynomial of degree `threshold - 1` with random coefficients above a given constant. Wiped when dropped.
pub(crate) struct SecretPolynomial {
    coefficients: Vec<PrimeFieldShare<Scalar>>,
}

impl SecretPolynomial {
    #[expect(
        clippy::expect_used,
        reason = "`fill` fails only when there are fewer places than asked to be filled"
    )]
    pub(crate) fn random(constant: Scalar, threshold: Threshold, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut coefficients = Vec::<PrimeFieldShare<Scalar>>::create(threshold.threshold());
        coefficients
            .fill(&IdentifierPrimeField(constant), rng, threshold.threshold())
            .expect("there is a place for each coefficient");
        Self { coefficients }
    }

    pub(crate) fn at(&self, index: ShareIndex) -> Scalar {
        self.coefficients
            .evaluate(&IdentifierPrimeField(place(index)), self.coefficients.len())
            .0
    }
}

impl Drop for SecretPolynomial {
    fn drop(&mut self) {
        self.coefficients.zeroize();
    }
}

/// The field element of a share's index.
pub(crate) fn place(index: ShareIndex) -> Scalar {
    Scalar::from(u64::from(index.get()))
}

/// The Lagrange weights at zero: the value there is the sum of the weights times the values at `indexes`.
///
/// The indexes are distinct.
pub(crate) fn weights_at_zero(indexes: &[ShareIndex]) -> Vec<Scalar> {
    let weight = |own: &ShareIndex| {
        let others = indexes.iter().filter(|other| *other != own).map(|other| place(*other));
        let (numerator, denominator) = others.fold((Scalar::one(), Scalar::one()), |(over, under), other| {
            (over * other, under * (other - place(*own)))
        });
        numerator * inverse(denominator)
    };
    indexes.iter().map(weight).collect()
}

/// The inverse of a product of differences of distinct places, which is not zero.
pub(crate) fn inverse(scalar: Scalar) -> Scalar {
    Option::from(scalar.invert()).unwrap_or_default()
}

/// A scalar that is uniform but for a bias of 2^-256.
pub(crate) fn random_scalar(rng: &mut (impl CryptoRng + ?Sized)) -> Scalar {
    let mut wide = [0; 64];
    rng.fill_bytes(&mut wide);
    Scalar::from_bytes_wide(&wide)
}
