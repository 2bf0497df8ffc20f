//! Verifying many signatures for little more than the price of their hashes to the curve.

use alloy_primitives::B256;
use blst::{BLST_ERROR, blst_scalar, min_pk};
use rand_core::CryptoRng;
use sw_spec::{PublicKeyBytes, SignatureBytes};

use crate::{PublicKey, Signature, bls::CIPHERSUITE};

/// A claim: this key signed this root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedRoot {
    /// Who is said to have signed.
    pub public_key: PublicKeyBytes,
    /// What is said to be signed.
    pub root: B256,
    /// The signature.
    pub signature: SignatureBytes,
}

/// Whether the claim holds. A key or signature that is no point of the curve makes it false.
pub fn verify(claim: &SignedRoot) -> bool {
    match (
        PublicKey::try_from(&claim.public_key),
        Signature::try_from(&claim.signature),
    ) {
        (Ok(key), Ok(signature)) => signature.verify(&claim.root, &key),
        _ => false,
    }
}

/// Returns for each claim whether it holds.
///
/// One random linear combination answers for all of them; only when it fails are its halves asked, down to the claims
/// that are false. The 64-bit coefficients must be unpredictable to whoever made the signatures: a set with a false
/// claim passes with a chance of 2^-64.
pub fn verify_batch(claims: &[SignedRoot], rng: &mut (impl CryptoRng + ?Sized)) -> Vec<bool> {
    let mut verdicts = vec![false; claims.len()];
    let points: Vec<Points<'_>> = claims
        .iter()
        .enumerate()
        .filter_map(|(position, claim)| Points::decompress(position, claim))
        .collect();
    mark_valid(&points, rng, &mut verdicts);
    verdicts
}

/// A claim whose points are on the curve; their subgroups are checked with the pairing.
struct Points<'a> {
    position: usize,
    root: &'a [u8],
    public_key: min_pk::PublicKey,
    signature: min_pk::Signature,
}

impl<'a> Points<'a> {
    fn decompress(position: usize, claim: &'a SignedRoot) -> Option<Self> {
        Some(Self {
            position,
            root: claim.root.as_slice(),
            public_key: min_pk::PublicKey::uncompress(claim.public_key.as_bytes()).ok()?,
            signature: min_pk::Signature::uncompress(claim.signature.as_bytes()).ok()?,
        })
    }

    fn holds(&self) -> bool {
        self.signature
            .verify(true, self.root, CIPHERSUITE, &[], &self.public_key, true)
            == BLST_ERROR::BLST_SUCCESS
    }
}

fn mark_valid(points: &[Points<'_>], rng: &mut (impl CryptoRng + ?Sized), verdicts: &mut [bool]) {
    let all_hold = match points {
        [] => return,
        [single] => single.holds(),
        _ => combination_holds(points, rng),
    };
    if all_hold {
        for point in points {
            if let Some(verdict) = verdicts.get_mut(point.position) {
                *verdict = true;
            }
        }
    } else if points.len() > 1 {
        let (left, right) = points.split_at(points.len() / 2);
        mark_valid(left, rng, verdicts);
        mark_valid(right, rng, verdicts);
    }
}

fn combination_holds(points: &[Points<'_>], rng: &mut (impl CryptoRng + ?Sized)) -> bool {
    let roots: Vec<&[u8]> = points.iter().map(|point| point.root).collect();
    let keys: Vec<&min_pk::PublicKey> = points.iter().map(|point| &point.public_key).collect();
    let signatures: Vec<&min_pk::Signature> = points.iter().map(|point| &point.signature).collect();
    let coefficients: Vec<blst_scalar> = points.iter().map(|_| coefficient(rng)).collect();
    min_pk::Signature::verify_multiple_aggregate_signatures(
        &roots,
        CIPHERSUITE,
        &keys,
        true,
        &signatures,
        true,
        &coefficients,
        COEFFICIENT_BITS,
    ) == BLST_ERROR::BLST_SUCCESS
}

/// A coefficient other than zero, which would leave its claim out of the sum.
fn coefficient(rng: &mut (impl CryptoRng + ?Sized)) -> blst_scalar {
    let mut scalar = blst_scalar { b: [0; 32] };
    loop {
        let value = rng.next_u64();
        if value != 0 {
            scalar.b[..8].copy_from_slice(&value.to_le_bytes());
            return scalar;
        }
    }
}

/// As in the consensus clients: the cost of the multiplications grows with it, the chance of a forgery halves with each.
const COEFFICIENT_BITS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;

    fn claims(count: u8) -> Vec<SignedRoot> {
        (1..=count)
            .map(|number| {
                let key = SecretKey::from_bytes(&[number; 32]).expect("a key");
                let root = B256::repeat_byte(number);
                SignedRoot {
                    public_key: key.public_key().to_bytes(),
                    root,
                    signature: key.sign(&root).to_bytes(),
                }
            })
            .collect()
    }

    fn rng() -> impl CryptoRng {
        rand_core::UnwrapErr(getrandom::SysRng)
    }

    #[test]
    fn a_sound_batch_holds() {
        for count in [0, 1, 2, 33] {
            assert_eq!(
                verify_batch(&claims(count), &mut rng()),
                vec![true; usize::from(count)],
                "{count}"
            );
        }
    }

    #[test]
    fn exactly_the_false_claims_are_named() {
        let mut claims = claims(20);
        claims[3].root = B256::ZERO;
        claims[7].public_key.0[1] ^= 1;
        claims[11].signature = SignatureBytes([0; 96]);
        claims[19].signature = claims[18].signature;
        let mut infinite = SignatureBytes([0; 96]);
        infinite.0[0] = 0xc0;
        claims[0].signature = infinite;
        let verdicts = verify_batch(&claims, &mut rng());
        let bad: Vec<usize> = (0..20).filter(|position| !verdicts[*position]).collect();
        assert_eq!(bad, [0, 3, 7, 11, 19]);
        for (claim, verdict) in claims.iter().zip(verdicts) {
            assert_eq!(verify(claim), verdict);
        }
    }

    #[test]
    fn errors_that_cancel_out_in_a_plain_sum_are_found() {
        let mut claims = claims(2);
        let (first, second) = (claims[0].signature, claims[1].signature);
        claims[0].signature = second;
        claims[1].signature = first;
        assert_eq!(verify_batch(&claims, &mut rng()), [false, false]);
    }

    #[test]
    fn keys_outside_the_subgroup_are_found_in_a_batch() {
        let mut claims = claims(4);
        let mut outside = PublicKeyBytes([0; 48]);
        outside.0[0] = 0x80;
        outside.0[47] = 4;
        claims[2].public_key = outside;
        assert_eq!(verify_batch(&claims, &mut rng()), [true, true, false, true]);
    }
}
