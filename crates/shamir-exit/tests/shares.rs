//! What shares do, and what is caught before they leave.
#![expect(clippy::unwrap_used, reason = "a test that meets a surprise should fail")]

use std::convert::Infallible;

use proptest::prelude::*;
use rand_core::{CryptoRng, TryCryptoRng, TryRng, UnwrapErr};
use sw_keys::SecretKey;
use sw_shamir_exit::{
    EncryptedShare, ExitShare, OpenError, OraclePublicKey, ParseOracleKeyError, RecoverError, ShareFault, ShareIndex,
    SplitError, Threshold, check_shares, recover_public_key, recover_signature, split, split_signature,
};
use sw_spec::{B256, PublicKeyBytes, SignatureBytes};

const ROOT: B256 = B256::repeat_byte(0x5a);

fn rng() -> impl CryptoRng {
    UnwrapErr(getrandom::SysRng)
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_bytes(&[seed; 32]).unwrap()
}

fn shares_of(key: &SecretKey, threshold: Threshold) -> Vec<ExitShare> {
    split_signature(&key.sign(&ROOT), &key.public_key(), &ROOT, threshold, &mut rng()).unwrap()
}

fn check(shares: &[ExitShare], threshold: Threshold, key: &SecretKey) -> Result<(), ShareFault> {
    check_shares(shares, threshold, &key.public_key().to_bytes(), &ROOT, &mut rng())
}

#[test]
fn a_share_does_not_print_its_signature() {
    let [share, ..] = shares_of(&key(7), Threshold::new(2, 3).unwrap())[..] else {
        unreachable!()
    };
    let shown = format!("{share:?}");
    assert!(shown.contains(&share.public_key.to_string()), "{shown}");
    assert!(!shown.contains(&hex::encode(&share.signature.0[..8])), "{shown}");
}

fn recovered(shares: &[ExitShare]) -> (SignatureBytes, PublicKeyBytes) {
    let signatures = shares
        .iter()
        .map(|share| (share.index, share.signature))
        .collect::<Vec<_>>();
    let public_keys = shares
        .iter()
        .map(|share| (share.index, share.public_key))
        .collect::<Vec<_>>();
    (
        recover_signature(&signatures).unwrap(),
        recover_public_key(&public_keys).unwrap(),
    )
}

fn index(number: usize) -> ShareIndex {
    ShareIndex::new(number).unwrap()
}

/// A generator that always gives the same byte.
struct Stuck(u8);

impl TryRng for Stuck {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes([self.0; 4]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes([self.0; 8]))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        to.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Stuck {}

/// A threshold of at most 20 of at most 30, and an order of the shares.
fn any_threshold() -> impl Strategy<Value = (Threshold, Vec<usize>)> {
    (1_usize..=30)
        .prop_flat_map(|total| (1..=total.min(20), Just(total)))
        .prop_flat_map(|(threshold, total)| {
            let order = Just((0..total).collect::<Vec<_>>()).prop_shuffle();
            (Just(Threshold::new(threshold, total).unwrap()), order)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_threshold_of_the_shares_recover_and_fewer_do_not(
        (threshold, order) in any_threshold(),
        seed in 1_u8..=100,
        of_key in any::<bool>(),
    ) {
        let key = key(seed);
        let shares = if of_key {
            split(&key, threshold, &mut rng()).unwrap().iter().map(|share| share.sign(&ROOT)).collect()
        } else {
            shares_of(&key, threshold)
        };
        prop_assert_eq!(check(&shares, threshold, &key), Ok(()));
        let whole = (key.sign(&ROOT).to_bytes(), key.public_key().to_bytes());
        let chosen = order.iter().map(|place| shares[*place]).collect::<Vec<_>>();
        let enough = threshold.threshold();
        prop_assert_eq!(recovered(&chosen[..enough]), whole);
        prop_assert_eq!(recovered(&chosen), whole);
        if enough > 1 {
            let (signature, public_key) = recovered(&chosen[..enough - 1]);
            prop_assert_ne!(signature, whole.0);
            prop_assert_ne!(public_key, whole.1);
        }
    }

    #[test]
    fn a_share_with_any_bit_changed_is_caught(
        (threshold, order) in any_threshold(),
        byte in 0_usize..144,
        bit in 0_u8..8,
    ) {
        let key = key(7);
        let mut shares = shares_of(&key, threshold);
        let changed = &mut shares[order[0]];
        let named = changed.index;
        match byte.checked_sub(48) {
            None => changed.public_key.0[byte] ^= 1 << bit,
            Some(byte) => changed.signature.0[byte] ^= 1 << bit,
        }
        let fault = check(&shares, threshold, &key).unwrap_err();
        let names_it = [ShareFault::PublicKey(named), ShareFault::Signature(named), ShareFault::Unverified(named)];
        prop_assert!(names_it.contains(&fault), "{fault}");
    }

    #[test]
    fn an_honest_looking_share_that_is_off_the_polynomial_is_caught(
        (threshold, order) in any_threshold(),
        seed in 20_u8..=100,
    ) {
        let key = key(7);
        let mut shares = shares_of(&key, threshold);
        let (stranger, changed) = (self::key(seed), &mut shares[order[0]]);
        changed.public_key = stranger.public_key().to_bytes();
        changed.signature = stranger.sign(&ROOT).to_bytes();
        let all_are_needed = threshold.threshold() == threshold.total();
        let expected = if all_are_needed { ShareFault::OtherValidator } else { ShareFault::NotOnePolynomial };
        prop_assert_eq!(check(&shares, threshold, &key), Err(expected));
    }
}

#[test]
fn the_first_shares_recovering_is_not_enough() {
    let (key, threshold) = (key(9), Threshold::new(3, 5).unwrap());
    let mut shares = shares_of(&key, threshold);
    let other = shares_of(&key, threshold);
    shares[4] = other[4];
    assert_eq!(
        recovered(&shares[..3]),
        (key.sign(&ROOT).to_bytes(), key.public_key().to_bytes())
    );
    assert_eq!(check(&shares, threshold, &key), Err(ShareFault::NotOnePolynomial));
}

#[test]
fn shares_of_another_threshold_are_caught() {
    let key = key(9);
    let threshold = |threshold| Threshold::new(threshold, 5).unwrap();
    let shares = shares_of(&key, threshold(3));
    assert_eq!(check(&shares, threshold(2), &key), Err(ShareFault::NotOnePolynomial));
    assert_eq!(check(&shares, threshold(4), &key), Err(ShareFault::LowDegree));
    assert_eq!(check(&shares, threshold(5), &key), Err(ShareFault::LowDegree));
}

#[test]
fn shares_of_another_validator_or_message_are_caught() {
    let (own, threshold) = (key(9), Threshold::new(2, 4).unwrap());
    let shares = shares_of(&key(10), threshold);
    assert_eq!(check(&shares, threshold, &own), Err(ShareFault::OtherValidator));
    let other_root = B256::repeat_byte(1);
    let public_key = key(10).public_key().to_bytes();
    let fault = check_shares(&shares, threshold, &public_key, &other_root, &mut rng()).unwrap_err();
    assert_eq!(fault, ShareFault::Unverified(index(1)));
}

#[test]
fn shares_out_of_place_are_caught() {
    let (key, threshold) = (key(9), Threshold::new(2, 3).unwrap());
    let shares = shares_of(&key, threshold);
    assert_eq!(
        check(&shares[..2], threshold, &key),
        Err(ShareFault::Count { expected: 3, actual: 2 })
    );
    assert_eq!(
        check(&[], threshold, &key),
        Err(ShareFault::Count { expected: 3, actual: 0 })
    );
    let repeated = [shares[0], shares[0], shares[2]];
    let fault = ShareFault::Order {
        expected: index(2),
        actual: index(1),
    };
    assert_eq!(check(&repeated, threshold, &key), Err(fault));
    let mut swapped = shares.clone();
    swapped.swap(0, 1);
    swapped[0].index = index(1);
    swapped[1].index = index(2);
    assert_eq!(check(&swapped, threshold, &key), Err(ShareFault::NotOnePolynomial));
}

#[test]
fn signatures_exchanged_between_shares_are_caught() {
    let (key, threshold) = (key(9), Threshold::new(2, 3).unwrap());
    let mut shares = shares_of(&key, threshold);
    (shares[0].signature, shares[1].signature) = (shares[1].signature, shares[0].signature);
    assert_eq!(check(&shares, threshold, &key), Err(ShareFault::Unverified(index(1))));
}

#[test]
fn the_point_at_infinity_is_no_share_and_no_validator() {
    let (key, threshold) = (key(9), Threshold::new(2, 3).unwrap());
    let mut infinity = PublicKeyBytes([0; 48]);
    infinity.0[0] = 0xc0;
    let mut no_signature = SignatureBytes([0; 96]);
    no_signature.0[0] = 0xc0;
    let mut shares = shares_of(&key, threshold);
    let fault = check_shares(&shares, threshold, &infinity, &ROOT, &mut rng());
    assert_eq!(fault, Err(ShareFault::ValidatorKey));
    shares[1].signature = no_signature;
    assert_eq!(check(&shares, threshold, &key), Err(ShareFault::Signature(index(2))));
    shares[1].public_key = infinity;
    assert_eq!(check(&shares, threshold, &key), Err(ShareFault::PublicKey(index(2))));
}

#[test]
fn a_stuck_generator_does_not_make_the_check_pass() {
    let (key, threshold) = (key(9), Threshold::new(2, 3).unwrap());
    let mut shares = shares_of(&key, threshold);
    let public_key = key.public_key().to_bytes();
    assert_eq!(
        check_shares(&shares, threshold, &public_key, &ROOT, &mut Stuck(0)),
        Ok(())
    );
    shares[2].signature = shares[1].signature;
    let fault = check_shares(&shares, threshold, &public_key, &ROOT, &mut Stuck(0));
    assert_eq!(fault, Err(ShareFault::Unverified(index(3))));
}

#[test]
fn a_stuck_generator_splits_nothing() {
    let (key, threshold) = (key(9), Threshold::new(3, 5).unwrap());
    assert_eq!(
        split(&key, threshold, &mut Stuck(0)).map(|shares| shares.len()),
        Err(SplitError::DegenerateShares)
    );
    let shares = split_signature(&key.sign(&ROOT), &key.public_key(), &ROOT, threshold, &mut Stuck(0));
    assert_eq!(shares, Err(SplitError::DegenerateShares));
}

#[test]
fn a_signature_that_does_not_verify_is_not_split() {
    let (own, threshold) = (key(9), Threshold::new(3, 5).unwrap());
    for (signer, root) in [(key(10), ROOT), (key(9), B256::ZERO)] {
        let shares = split_signature(&signer.sign(&root), &own.public_key(), &ROOT, threshold, &mut rng());
        assert_eq!(shares, Err(SplitError::WrongSignature));
    }
}

#[test]
fn every_size_from_one_to_255_works() {
    let key = key(11);
    let whole = (key.sign(&ROOT).to_bytes(), key.public_key().to_bytes());
    for (threshold, total) in [(1, 1), (1, 3), (3, 3), (1, 255), (170, 255), (255, 255)] {
        let threshold = Threshold::new(threshold, total).unwrap();
        let shares = shares_of(&key, threshold);
        assert_eq!(shares.len(), total);
        assert_eq!(check(&shares, threshold, &key), Ok(()), "{threshold}");
        assert_eq!(
            recovered(&shares[total - threshold.threshold()..]),
            whole,
            "{threshold}"
        );
        if threshold.threshold() == 1 {
            assert!(
                shares.iter().all(|share| (share.signature, share.public_key) == whole),
                "{threshold}"
            );
        }
    }
}

#[test]
fn what_cannot_be_recovered_from_is_named() {
    let signature = key(1).sign(&ROOT).to_bytes();
    assert_eq!(recover_signature(&[]), Err(RecoverError::NoShares));
    assert_eq!(
        recover_signature(&[(index(2), signature); 2]),
        Err(RecoverError::Repeated(index(2)))
    );
    let malformed = SignatureBytes([0xff; 96]);
    let shares = [(index(1), signature), (index(3), malformed)];
    assert_eq!(recover_signature(&shares), Err(RecoverError::Malformed(index(3))));
    assert_eq!(
        recover_public_key(&[(index(4), PublicKeyBytes([0; 48]))]),
        Err(RecoverError::Malformed(index(4)))
    );
}

#[test]
fn a_sealed_share_opens_for_its_oracle_alone() {
    let (secret, other) = ([1; 32], [2; 32]);
    let public_key = ecies::PublicKey::from_secret_key(&ecies::SecretKey::parse_slice(&secret).unwrap());
    let oracle = OraclePublicKey::from_bytes(&public_key.serialize()).unwrap();
    let signature = key(1).sign(&ROOT).to_bytes();
    let sealed = EncryptedShare::seal(&signature, &oracle).unwrap();
    assert_eq!(sealed.open(&secret), Ok(signature));
    assert_eq!(sealed.open(&other), Err(OpenError::Decrypt));
    assert_eq!(sealed.open(&[0; 32]), Err(OpenError::Decrypt));
    for place in [0, 1, 64, 65, 81, 97, 192] {
        let mut altered = *sealed.as_bytes();
        altered[place] ^= 1;
        assert_eq!(
            EncryptedShare::from(altered).open(&secret),
            Err(OpenError::Decrypt),
            "byte {place}"
        );
    }
}

#[test]
fn an_oracle_key_is_a_point_of_the_curve() {
    let good = "1b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f70beaf8f588b541507fed6a642c5ab42dfdf8120a7f639de5122d47a69a8e8d1";
    let parsed: OraclePublicKey = good.parse().unwrap();
    assert_eq!(format!("0x04{good}").parse(), Ok(parsed));
    let off_curve = good.replace("e8d1", "e8d2");
    assert_eq!(
        off_curve.parse::<OraclePublicKey>(),
        Err(ParseOracleKeyError::NotOnCurve)
    );
    assert_eq!(
        "0".repeat(128).parse::<OraclePublicKey>(),
        Err(ParseOracleKeyError::NotOnCurve)
    );
    assert_eq!(
        format!("05{good}").parse::<OraclePublicKey>(),
        Err(ParseOracleKeyError::NotOnCurve)
    );
    assert_eq!("0x".parse::<OraclePublicKey>(), Err(ParseOracleKeyError::Length(0)));
    assert_eq!("00".parse::<OraclePublicKey>(), Err(ParseOracleKeyError::Length(1)));
    assert_eq!(
        "ab".repeat(100).parse::<OraclePublicKey>(),
        Err(ParseOracleKeyError::Length(100))
    );
    assert_eq!(
        "zz".parse::<OraclePublicKey>(),
        Err(ParseOracleKeyError::NotHexadecimal)
    );
}
