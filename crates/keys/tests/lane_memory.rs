//! What derivations side by side take of the machine. Alone in its binary: it looks at the whole process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test code")]

use std::fs;

use sw_keys::{KdfParams, SecretString, Stretcher};

/// A stretcher that may derive four keys at once and is given one takes the memory of one.
#[test]
fn a_lane_that_is_not_used_takes_no_memory() {
    const EACH: u64 = 1 << 25;
    let params = KdfParams::Scrypt {
        n: EACH / 1024,
        r: 8,
        p: 1,
        dklen: 32,
        salt: vec![1; 32],
    };
    let before = most_resident();
    let mut stretcher = Stretcher::new(4 * EACH);
    stretcher.derive(&[(&params, &SecretString::from("password"))]);
    let taken = most_resident() - before;
    assert!((EACH / 2..2 * EACH).contains(&taken), "{taken} bytes for one of {EACH}");
}

/// The most that was resident, in bytes: `VmHWM` of proc(5).
fn most_resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().unwrap();
    kibibytes * 1024
}
