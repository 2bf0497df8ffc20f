//! Shares of an exit signature: points of one polynomial in the exponent, at x = position + 1 (original-v1, 6.3).

use alloy::primitives::FixedBytes;
use bls12_381::{G1Affine, G1Projective, G2Affine, G2Projective, Scalar};

/// What is wrong with a validator's public shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PublicShareFault {
    /// Not a point of the subgroup, or the point at infinity.
    Point,
    /// Not on one polynomial of degree `threshold - 1`, or on one of a lower degree: fewer would recover then.
    Polynomial,
    /// The polynomial's constant term is another key.
    Key,
}

/// Checks that `shares` lie on one polynomial of degree `threshold - 1` whose value at 0 is `public_key`.
pub(super) fn check_public_shares(
    public_key: &FixedBytes<48>,
    shares: &[FixedBytes<48>],
    threshold: usize,
) -> Result<(), PublicShareFault> {
    let key = g1(public_key).ok_or(PublicShareFault::Point)?;
    let points = shares
        .iter()
        .map(g1)
        .collect::<Option<Vec<_>>>()
        .ok_or(PublicShareFault::Point)?;
    let Some((base, rest)) = points.split_at_checked(threshold).filter(|_| threshold > 0) else {
        return Err(PublicShareFault::Polynomial);
    };
    let xs: Vec<u64> = (1..=threshold as u64).collect();
    for (point, x) in rest.iter().zip(threshold as u64 + 1..) {
        if combine(base, &coefficients_at(&xs, x)) != *point {
            return Err(PublicShareFault::Polynomial);
        }
    }
    // The divided difference over all of the base is the leading coefficient.
    if combine(base, &leading_coefficients(&xs)) == G1Projective::identity() {
        return Err(PublicShareFault::Polynomial);
    }
    if combine(base, &coefficients_at(&xs, 0)) != key {
        return Err(PublicShareFault::Key);
    }
    Ok(())
}

/// Recovers the signature from shares at distinct positions.
pub(super) fn recover(shares: &[(usize, FixedBytes<96>)]) -> Option<FixedBytes<96>> {
    let xs: Vec<u64> = shares.iter().map(|(position, _)| *position as u64 + 1).collect();
    let mut sum = G2Projective::identity();
    for ((_, share), coefficient) in shares.iter().zip(coefficients_at(&xs, 0)) {
        let point: Option<G2Affine> = G2Affine::from_compressed(&share.0).into();
        sum += point? * coefficient;
    }
    Some(FixedBytes(G2Affine::from(sum).to_compressed()))
}

fn g1(bytes: &FixedBytes<48>) -> Option<G1Projective> {
    let point: Option<G1Affine> = G1Affine::from_compressed(&bytes.0).into();
    point
        .filter(|point| !bool::from(point.is_identity()))
        .map(G1Projective::from)
}

fn combine(points: &[G1Projective], coefficients: &[Scalar]) -> G1Projective {
    points
        .iter()
        .zip(coefficients)
        .map(|(point, coefficient)| point * coefficient)
        .sum()
}

/// The Lagrange coefficients of the value at `x`.
fn coefficients_at(xs: &[u64], x: u64) -> Vec<Scalar> {
    products(xs, |_, other| Scalar::from(x) - Scalar::from(other))
}

/// The coefficients of the polynomial's leading coefficient.
fn leading_coefficients(xs: &[u64]) -> Vec<Scalar> {
    products(xs, |_, _| Scalar::one())
}

/// For each x_j the product over m != j of `numerator(x_j, x_m) / (x_j - x_m)`.
fn products(xs: &[u64], numerator: impl Fn(u64, u64) -> Scalar) -> Vec<Scalar> {
    xs.iter()
        .map(|own| {
            xs.iter()
                .filter(|other| *other != own)
                .fold(Scalar::one(), |product, other| {
                    let difference = Scalar::from(*own) - Scalar::from(*other);
                    product * numerator(*own, *other) * difference.invert().unwrap_or_else(Scalar::zero)
                })
        })
        .collect()
}
