//! What becomes of derivations where the system refuses memory: fewer side by side, then an error, never an abort.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "test code: a surprise must fail")]

use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sw_keys::{DerivedKey, KdfError, KdfParams, Keystore, SecretKey, SecretString, Stretcher};

const LANE: u64 = 64 << 20;

/// Set for a process that is to have a limit, to how many lanes fit below it.
const FITTING: &str = "FITTING_LANES";

#[test]
fn refused_memory_means_fewer_lanes_and_then_an_error() {
    if let Ok(fitting) = std::env::var(FITTING) {
        return below_a_limit(fitting.parse().unwrap());
    }
    for fitting in [0, 1, 2] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "refused_memory_means_fewer_lanes_and_then_an_error"])
            .env(FITTING, fitting.to_string())
            .output()
            .unwrap();
        assert!(output.status.success(), "{fitting}: {output:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("1 passed"), "{fitting}: {said}");
    }
}

fn below_a_limit(fitting: u64) {
    let params = KdfParams::Scrypt {
        n: 1 << 16,
        r: 8,
        p: 1,
        dklen: 32,
        salt: vec![7; 32],
    };
    let passwords = ["one", "two", "three"].map(SecretString::from);
    let jobs: Vec<_> = passwords.iter().map(|password| (&params, password)).collect();
    let mut stretcher = Stretcher::new(1 << 30);
    let whole = getrlimit(Resource::As);
    let limit = reserved() + fitting * LANE + LANE / 2;
    setrlimit(
        Resource::As,
        Rlimit {
            current: Some(limit),
            ..whole
        },
    )
    .unwrap();
    let keys = stretcher.derive(&jobs);
    let alone = params.derive(&passwords[0]);
    // What a failed assertion allocates has to fit as well.
    setrlimit(Resource::As, whole).unwrap();
    // Three of these lanes, which were refused, take less than one of the usual cost.
    assert_eq!(stretcher.lanes(), 1);
    if fitting == 0 {
        let refused = KdfError::OutOfMemory { bytes: 64 << 20 };
        assert_eq!(alone.err(), Some(refused));
        assert!(keys.iter().all(|key| key.as_ref().err() == Some(&refused)), "{keys:?}");
    } else {
        for (key, (params, password)) in keys.into_iter().zip(jobs) {
            assert!(are_equal(&key.unwrap(), &params.derive(password).unwrap()));
        }
    }
}

/// The address space of this process, in bytes.
fn reserved() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib << 10
}

fn are_equal(one: &DerivedKey, other: &DerivedKey) -> bool {
    let key = SecretKey::from_bytes(&[3; 32]).unwrap();
    let path = "m/12381/3600/0/0/0".parse().unwrap();
    let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    Keystore::encrypt_with(one, &key, &path, &mut rng)
        .decrypt_with(other)
        .is_ok()
}
