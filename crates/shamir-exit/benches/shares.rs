//! A registration of ten validators among eleven oracles, as on mainnet.
#![expect(clippy::unwrap_used, reason = "a benchmark that meets a surprise should stop")]

use divan::Bencher;
use rand_core::UnwrapErr;
use sw_keys::{PublicKey, SecretKey, Signature};
use sw_shamir_exit::{EncryptedShare, ExitShare, OraclePublicKey, Threshold, check_shares, split_signature};
use sw_spec::{B256, Network};

const VALIDATORS: u8 = 10;
const ORACLES: u8 = 11;
const THRESHOLD: usize = 6;

struct Validator {
    root: B256,
    public_key: PublicKey,
    signature: Signature,
}

fn main() {
    divan::main();
}

fn validators() -> Vec<Validator> {
    let network = Network::Mainnet.spec();
    let validator = |number| {
        let key = SecretKey::from_bytes(&[number; 32]).unwrap();
        let root = network.exit_signing_root(u64::from(number));
        Validator {
            root,
            public_key: key.public_key(),
            signature: key.sign(&root),
        }
    };
    (1..=VALIDATORS).map(validator).collect()
}

fn oracles() -> Vec<OraclePublicKey> {
    let oracle = |number| {
        let secret = ecies::SecretKey::parse_slice(&[number; 32]).unwrap();
        OraclePublicKey::from_bytes(&ecies::PublicKey::from_secret_key(&secret).serialize()).unwrap()
    };
    (1..=ORACLES).map(oracle).collect()
}

fn threshold() -> Threshold {
    Threshold::new(THRESHOLD, usize::from(ORACLES)).unwrap()
}

fn split(validators: &[Validator]) -> Vec<Vec<ExitShare>> {
    let mut rng = UnwrapErr(getrandom::SysRng);
    let one = |validator: &Validator| {
        split_signature(
            &validator.signature,
            &validator.public_key,
            &validator.root,
            threshold(),
            &mut rng,
        )
        .unwrap()
    };
    validators.iter().map(one).collect()
}

fn seal(shares: &[Vec<ExitShare>], oracles: &[OraclePublicKey]) -> Vec<EncryptedShare> {
    let pairs = shares.iter().flat_map(|shares| shares.iter().zip(oracles));
    pairs
        .map(|(share, oracle)| EncryptedShare::seal(&share.signature, oracle).unwrap())
        .collect()
}

fn check(validators: &[Validator], shares: &[Vec<ExitShare>]) {
    let mut rng = UnwrapErr(getrandom::SysRng);
    for (validator, shares) in validators.iter().zip(shares) {
        check_shares(
            shares,
            threshold(),
            &validator.public_key.to_bytes(),
            &validator.root,
            &mut rng,
        )
        .unwrap();
    }
}

#[divan::bench]
fn ten_by_eleven_split_and_sealed(bencher: Bencher<'_, '_>) {
    let (validators, oracles) = (validators(), oracles());
    bencher.bench_local(|| seal(&split(&validators), &oracles));
}

#[divan::bench]
fn ten_by_eleven_split_checked_and_sealed(bencher: Bencher<'_, '_>) {
    let (validators, oracles) = (validators(), oracles());
    bencher.bench_local(|| {
        let shares = split(&validators);
        check(&validators, &shares);
        seal(&shares, &oracles)
    });
}

#[divan::bench]
fn ten_by_eleven_split(bencher: Bencher<'_, '_>) {
    let validators = validators();
    bencher.bench_local(|| split(&validators));
}

#[divan::bench]
fn ten_by_eleven_checked(bencher: Bencher<'_, '_>) {
    let validators = validators();
    let shares = split(&validators);
    bencher.bench_local(|| check(&validators, &shares));
}

#[divan::bench]
fn ten_by_eleven_sealed(bencher: Bencher<'_, '_>) {
    let (shares, oracles) = (split(&validators()), oracles());
    bencher.bench_local(|| seal(&shares, &oracles));
}
