use proptest::{
    collection::vec,
    prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest},
    sample::select,
};

use super::*;

const MIB: u64 = 1 << 20;

/// The portable path, and every other that this machine has.
fn paths() -> Vec<Option<Instructions>> {
    let mut paths = vec![None];
    paths.extend(
        [Instructions::avx512(), Instructions::avx2()]
            .into_iter()
            .filter(Option::is_some),
    );
    paths
}

fn scrypt(n: u64, r: u32, p: u32, salt: &[u8]) -> KdfParams {
    KdfParams::Scrypt {
        n,
        r,
        p,
        dklen: 32,
        salt: salt.to_vec(),
    }
}

/// A derivation, and the first half of the published key: that of 32 bytes is the beginning of that of 64.
type Vector = (KdfParams, SecretString, &'static str);

/// RFC 7914, section 12, but for the last.
fn of_the_rfc() -> [Vector; 3] {
    [
        (
            scrypt(16, 1, 1, b""),
            SecretString::from(""),
            "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442",
        ),
        (
            scrypt(1 << 10, 8, 16, b"NaCl"),
            SecretString::from("password"),
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162",
        ),
        (
            scrypt(1 << 14, 8, 1, b"SodiumChloride"),
            SecretString::from("pleaseletmein"),
            "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2",
        ),
    ]
}

/// Five of the usual cost, the first of them EIP-2335's. The keys are those of Python's `hashlib.scrypt`.
fn of_the_usual_cost() -> [Vector; 5] {
    let salt = hex::decode("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3").expect("hex");
    let usual = |number: u8| {
        (
            scrypt(1 << 18, 8, 1, &[number; 32]),
            SecretString::from(format!("password {number}")),
        )
    };
    [
        (
            (scrypt(1 << 18, 8, 1, &salt), SecretString::from("𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑")),
            "5a333a68da73d7912df0bb55be74fdf110af60082a6a387b9847bbad4aa49f87",
        ),
        (
            usual(0),
            "91639ecad6688289f89e0e73dc0fab1cefb862f828f07a7c35170932c8fd3327",
        ),
        (
            usual(1),
            "ef20fa1157532b57355d85a4c9756ff63f3966923a6328c4da4801bddb7bc014",
        ),
        (
            usual(2),
            "470a0baa28977e260355e446ee9ba0b6c4812c13157a610d425c565c17329588",
        ),
        (
            usual(3),
            "11852a0a542c9855cd8ec247c55bd7ee542f9b1f5a6048f07f414aae9e1d37dd",
        ),
    ]
    .map(|((params, password), key)| (params, password, key))
}

fn derived(stretcher: &mut Stretcher, vectors: &[Vector]) {
    let jobs: Vec<_> = vectors.iter().map(|(params, password, _)| (params, password)).collect();
    let keys = stretcher.derive(&jobs);
    assert_eq!(keys.len(), vectors.len());
    for (key, (params, _, expected)) in keys.into_iter().zip(vectors) {
        let key = key.expect("parameters of a vector");
        assert_eq!(
            hex::encode(key.stretched().0.as_flattened()),
            *expected,
            "{stretcher:?} {params:?}"
        );
        assert_eq!(key.params(), params);
    }
}

#[test]
fn keys_are_those_of_the_rfc_on_every_path() {
    for path in paths() {
        for memory in [0, 32 * MIB, 1024 * MIB] {
            derived(&mut Stretcher::with(path, memory), &of_the_rfc());
        }
    }
}

/// In one test, since each takes a gibibyte.
#[test]
fn keys_of_the_usual_and_of_the_highest_cost_are_those_of_others() {
    for path in paths() {
        let Some(instructions) = path else {
            derived(&mut Stretcher::with(None, 0), &of_the_usual_cost()[..1]);
            continue;
        };
        let mut stretcher = Stretcher::with(path, 1024 * MIB);
        derived(&mut stretcher, &of_the_usual_cost());
        assert_eq!((stretcher.lanes(), stretcher.memory.bytes() as u64), (4, 1024 * MIB));
        if Instructions::best() == Some(instructions) {
            let rfc = (
                scrypt(1 << 20, 8, 1, b"SodiumChloride"),
                SecretString::from("pleaseletmein"),
                "2101cb9b6a511aaeaddbbe09cf70f881ec568d574a2ffd4dabe5ee9820adaa47",
            );
            derived(&mut stretcher, &[rfc]);
            assert_eq!(stretcher.memory.bytes() as u64, 1024 * MIB);
        }
    }
}

/// A cost that is quick, or parameters that lanes do not take or nobody takes.
fn params() -> impl Strategy<Value = KdfParams> {
    let cost = prop_oneof![
        4 => select(vec![(1 << 12, 8), (1 << 6, 8), (2, 8), (1 << 12, 1), (2, 1), (1 << 5, 3)]),
        1 => select(vec![(1 << 4, 9), (3, 8), (1 << 40, 8), (2, 0)]),
    ];
    let scrypt = (cost, 1..=3_u32, vec(any::<u8>(), 0..40)).prop_map(|((n, r), p, salt)| scrypt(n, r, p, &salt));
    let pbkdf2 = (0..3_u32, vec(any::<u8>(), 0..40)).prop_map(|(c, salt)| KdfParams::Pbkdf2 { c, dklen: 32, salt });
    prop_oneof![6 => scrypt, 1 => pbkdf2]
}

fn password() -> impl Strategy<Value = String> {
    prop_oneof![".{0,12}", Just("𝔱𝔢𝔰𝔱\u{7f}".to_owned())]
}

/// A job, and the key that the `scrypt` crate derives.
fn job((params, password): &(KdfParams, String)) -> (&KdfParams, SecretString, Result<DerivedKey, KdfError>) {
    let password = SecretString::from(password.as_str());
    let expected = params.derive(&password);
    (params, password, expected)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Any number of jobs of any costs, in any memory: every path gives, in order, what the `scrypt` crate gives.
    #[test]
    fn keys_are_those_of_the_scrypt_crate(
        calls in vec(vec((params(), password()), 0..=9), 1..=2),
        memory in select(vec![0, 1 << 15, 4 * MIB, 9 * MIB, 13 * MIB, 1024 * MIB]),
    ) {
        let calls: Vec<Vec<_>> = calls.iter().map(|call| call.iter().map(job).collect()).collect();
        for path in paths() {
            let mut stretcher = Stretcher::with(path, memory);
            for call in &calls {
                let jobs: Vec<_> = call.iter().map(|(params, password, _)| (*params, password)).collect();
                let keys = stretcher.derive(&jobs);
                prop_assert_eq!(keys.len(), jobs.len());
                for (key, (params, _, expected)) in keys.into_iter().zip(call) {
                    prop_assert_eq!(key.as_ref().err(), expected.as_ref().err());
                    if let (Ok(key), Ok(expected)) = (key, expected) {
                        prop_assert_eq!(&*key.stretched().0, &*expected.stretched().0);
                        prop_assert_eq!(key.params(), *params);
                    }
                }
            }
            let costs = calls.iter().flatten().filter_map(|(params, ..)| match **params {
                KdfParams::Scrypt { n, r, .. } if params.check().is_ok() && r <= 8 => Some(128 * n * u64::from(r)),
                _ => None,
            });
            let largest = costs.max().filter(|_| path.is_some()).unwrap_or(0);
            let held = stretcher.memory.bytes() as u64;
            // Lanes were used wherever they could be, and took no more than they may.
            prop_assert!((largest..=memory.max(largest)).contains(&held), "{held} of {memory} for {largest}");
            prop_assert!(memory < 4 * largest || held >= 4 * largest, "{held} of {memory} for {largest}");
        }
    }
}

#[test]
fn lanes_are_as_many_as_the_memory_holds() {
    for (memory, lanes) in [
        (0, 1),
        (511, 1),
        (512, 2),
        (767, 2),
        (768, 3),
        (1023, 3),
        (1024, 4),
        (1 << 20, 4),
    ] {
        for path in paths() {
            let stretcher = Stretcher::with(path, memory * MIB);
            assert_eq!(
                stretcher.lanes(),
                if path.is_some() { lanes } else { 1 },
                "{stretcher:?}"
            );
            assert_eq!(
                stretcher.memory.bytes(),
                0,
                "nothing is taken before the first derivation"
            );
        }
    }
    assert_eq!(Stretcher::with(Instructions::best(), u64::MAX).limit, u64::MAX);
}

#[test]
fn memory_is_kept_from_one_call_to_the_next() {
    for path in paths() {
        let mut stretcher = Stretcher::with(path, 4 * MIB);
        let (params, password) = (scrypt(1 << 10, 8, 1, b"salt"), SecretString::from("password"));
        stretcher.derive(&[(&params, &password)]);
        let first = format!("{stretcher:?}");
        stretcher.derive(&[(&params, &password); 4]);
        assert_eq!(format!("{stretcher:?}"), first);
        assert_eq!(
            stretcher.memory.bytes() as u64,
            if path.is_some() { 4 * MIB } else { 0 }
        );
    }
}
