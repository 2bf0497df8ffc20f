//! Some hundred inputs for each target, and proof that the fuzzer finds what it looks for.
//!
//! FUZZ_INPUTS sets how many; `cargo xtask fuzz` runs a million of each.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use sw_fuzz::{Memory, NAMES, Target, Verdict, run, target};

/// What is allocated is counted for the whole process: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn inputs() -> u32 {
    std::env::var("FUZZ_INPUTS").map_or(1_000, |inputs| inputs.parse().unwrap())
}

#[test]
fn every_target_stands_mutated_and_random_inputs() {
    let _alone = alone();
    for name in NAMES {
        let report = run(&target(name).unwrap(), inputs(), 4).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(report.inputs, u64::from(inputs()), "{name}");
        assert!(
            report.accepted > 0,
            "{name}: nothing was accepted, so nothing beyond the first check was reached"
        );
    }
}

#[test]
fn every_corpus_is_read() {
    let _alone = alone();
    for name in NAMES {
        let target = target(name).unwrap();
        assert!(!target.corpus().is_empty(), "{name}");
        let accepted = target
            .corpus()
            .iter()
            .filter(|input| target.check(input).unwrap() == Verdict::Accepted);
        assert!(accepted.count() > 0, "{name}: no entry of the corpus is read");
    }
}

fn planted(check: impl Fn(&[u8]) -> Result<Verdict, String> + 'static) -> String {
    let target = Target::new("planted", vec![br#"{"count":7}"#.to_vec()], &[], check).within(Memory {
        base: 4_096,
        per_byte: 8,
    });
    run(&target, 20_000, 1).unwrap_err().to_string()
}

#[test]
fn a_panic_a_wrong_acceptance_and_memory_out_of_proportion_are_found() {
    let _alone = alone();
    let panics = planted(|input| {
        let text = String::from_utf8_lossy(input).into_owned();
        let number = text
            .split(':')
            .nth(1)
            .and_then(|rest| rest.trim_end_matches('}').parse::<u64>().ok());
        assert!(number != Some(18_446_744_073_709_551_615), "a bug");
        Ok(Verdict::Refused)
    });
    assert!(
        panics.contains("a bug") && panics.contains("18446744073709551615"),
        "{panics}"
    );
    let accepts = planted(|input| {
        if input.starts_with(b"{{") {
            Err("wrong".to_owned())
        } else {
            Ok(Verdict::Refused)
        }
    });
    assert!(accepts.contains("wrong"), "{accepts}");
    let swells = planted(|input| {
        let claimed = input.iter().filter(|byte| **byte == b'[').count();
        drop(std::hint::black_box(vec![0_u8; claimed * 4_096]));
        Ok(Verdict::Refused)
    });
    assert!(swells.contains("bytes of memory for an input of"), "{swells}");
}
