use std::collections::BTreeSet;

use proptest::{
    collection::vec,
    prelude::{any, prop_assert_eq, proptest},
};

use super::*;

/// Every path of this machine, with a name.
fn paths() -> Vec<(&'static str, Instructions)> {
    let named = [("avx512f", Instructions::avx512()), ("avx2", Instructions::avx2())];
    named
        .into_iter()
        .filter_map(|(name, found)| Some((name, found?)))
        .collect()
}

/// ROMix as the RFC writes it, slow and plain.
fn plain(block: &mut [u8], n: usize) {
    let mix = |block: &mut [u8]| {
        let mut x: [u8; 64] = block[block.len() - 64..].try_into().expect("64 bytes");
        let mut mixed = vec![0; block.len()];
        for (at, chunk) in block.chunks(64).enumerate() {
            x.iter_mut().zip(chunk).for_each(|(x, byte)| *x ^= byte);
            salsa(&mut x);
            let place = 64 * (at / 2) + at % 2 * (block.len() / 2);
            mixed[place..place + 64].copy_from_slice(&x);
        }
        block.copy_from_slice(&mixed);
    };
    let mut kept = Vec::new();
    for _ in 0..n {
        kept.push(block.to_vec());
        mix(block);
    }
    for _ in 0..n {
        let last = block.len() - 64;
        let place = u64::from_le_bytes(block[last..last + 8].try_into().expect("8 bytes")) % n as u64;
        let other = &kept[usize::try_from(place).expect("small")];
        block.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
        mix(block);
    }
}

fn salsa(block: &mut [u8; 64]) {
    let before: Vec<u32> = block
        .as_chunks()
        .0
        .iter()
        .map(|word| u32::from_le_bytes(*word))
        .collect();
    let mut x = before.clone();
    let mut quarter = |a: usize, b: usize, c: usize, d: usize| {
        for (to, one, other, by) in [(b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)] {
            x[to] ^= x[one].wrapping_add(x[other]).rotate_left(by);
        }
    };
    for _ in 0..4 {
        for (a, b, c, d) in [(0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11)] {
            quarter(a, b, c, d);
        }
        for (a, b, c, d) in [(0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14)] {
            quarter(a, b, c, d);
        }
    }
    for ((word, x), before) in block.as_chunks_mut().0.iter_mut().zip(x).zip(before) {
        *word = x.wrapping_add(before).to_le_bytes();
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex.replace([' ', '\n'], "")).expect("hex")
}

/// The vectors of RFC 7914, sections 8 and 10.
#[test]
fn salsa_and_romix_are_those_of_the_rfc() {
    let mut block: [u8; 64] = bytes(
        "7e879a214f3ec9867ca940e641718f26 baee555b8c61c1b50df8461 16dcd3b1d
         ee24f319df9b3d8514121e4b5ac5aa32 76021d2909c74829edebc68db8b8c25e",
    )
    .try_into()
    .expect("64 bytes");
    salsa(&mut block);
    assert_eq!(
        block.to_vec(),
        bytes(
            "a41f859c6608cc993b81cacb020cef05 044b2181a2fd337dfd7b1c6396682f29
             b4393168e3c9e6bcfe6bc5b7a06d96ba e424cc102c91745c24ad673dc7618f81"
        )
    );
    let input = bytes(
        "f7ce0b653d2d72a4108cf5abe912ffdd 777616dbbb27a70e8204f3ae2d0f6fad
         89f68f4811d1e87bcc3bd7400a9ffd29 094f0184639574f39ae5a1315217bcd7
         894991447213bb226c25b54da86370fb cd984380374666bb8ffcb5bf40c254b0
         67d27c51ce4ad5fed829c90b505a571b 7f4d1cad6a523cda770e67bceaaf7e89",
    );
    let output = bytes(
        "79ccc193629debca047f0b70604bf6b6 2ce3dd4a9626e355fafc6198e6ea2b46
         d58413673b99b029d665c357601fb426 a0b2f4bba200ee9f0a43d19b571a9c71
         ef1142e65d5a266fddca832ce59faa7c ac0b9cf1be2bffca300d01ee387619c4
         ae12fd4438f203a0e4e1c47ec314861f 4e9087cb33396a6873e8f9d2539a4b8e",
    );
    let mut mixed = input.clone();
    plain(&mut mixed, 16);
    assert_eq!(mixed, output, "the reference of these tests");
    for (name, instructions) in paths() {
        let mut memory = LaneMemory::default();
        let mut mixed = input.clone();
        romix(instructions, 16, &mut [&mut mixed], &mut memory).expect("memory");
        assert_eq!(mixed, output, "{name}");
    }
}

#[test]
fn every_path_of_this_machine_is_run_and_no_other() {
    let run: BTreeSet<_> = paths().into_iter().map(|(name, _)| name).collect();
    // Another witness than the detection of the standard library.
    let Ok(flags) = std::fs::read_to_string("/proc/cpuinfo") else {
        return;
    };
    let has = |name: &&str| cfg!(target_arch = "x86_64") && flags.split_whitespace().any(|flag| flag == *name);
    let (expected, skipped): (BTreeSet<_>, BTreeSet<_>) = ["avx512f", "avx2"].into_iter().partition(has);
    assert_eq!(
        run, expected,
        "vectors skipped on this machine: {skipped:?}; the portable path always runs"
    );
}

proptest! {
    #[test]
    fn lanes_mix_as_the_rfc_does(
        log_n in 1..7_u32,
        r in 1..=MAX_BLOCK_SIZE,
        mut blocks in vec(vec(any::<u8>(), 128 * MAX_BLOCK_SIZE), 1..=9),
    ) {
        blocks.iter_mut().for_each(|block| block.truncate(128 * r));
        let mut expected = blocks.clone();
        expected.iter_mut().for_each(|block| plain(block, 1 << log_n));
        let mut memory = LaneMemory::default();
        for (name, instructions) in paths() {
            let mut mixed = blocks.clone();
            let mut streams: Vec<_> = mixed.iter_mut().map(Vec::as_mut_slice).collect();
            romix(instructions, 1 << log_n, &mut streams, &mut memory).expect("memory");
            prop_assert_eq!(&mixed, &expected, "{}", name);
        }
    }
}

#[test]
fn memory_is_kept_for_the_same_or_less_and_never_held_twice() {
    let mut memory = LaneMemory::default();
    assert_eq!(memory.bytes(), 0);
    memory.reserve(4, 16, 8).expect("memory");
    let first = memory.lines().as_ptr();
    assert_eq!((memory.bytes(), first.addr() % 64), (4 * 16 * 1024, 0));
    memory.reserve(2, 16, 8).expect("memory");
    memory.reserve(4, 16, 1).expect("memory");
    assert_eq!((memory.bytes(), memory.lines().as_ptr()), (4 * 16 * 1024, first));
    memory.reserve(1, 1 << 10, 8).expect("memory");
    assert_eq!(memory.bytes(), 1 << 20);
}

#[test]
fn memory_that_cannot_be_had_is_an_error_and_leaves_nothing_held() {
    for n in [usize::MAX, usize::MAX / 16 / 64, 1 << 50] {
        let mut memory = LaneMemory::default();
        memory.reserve(1, 2, 1).expect("memory");
        assert_eq!(memory.reserve(4, n, 8), Err(OutOfMemory));
        memory.reserve(1, 2, 1).expect("memory again");
    }
}

#[test]
fn everything_written_is_wiped_and_nothing_prints() {
    for (name, instructions) in paths() {
        let mut memory = LaneMemory::default();
        let mut blocks: [[u8; 1024]; 2] = [1, 2].map(|lane| std::array::from_fn(|at| (at * lane % 251) as u8));
        let [a, b] = &mut blocks;
        memory.reserve(4, 16, 8).expect("memory");
        romix(instructions, 16, &mut [a, b], &mut memory).expect("memory");
        let written = |memory: &LaneMemory| memory.lines().iter().filter(|line| line.0 != Line::ZERO.0).count();
        assert_eq!((memory.used, written(&memory)), (2 * 16 * 16, 2 * 16 * 16), "{name}");
        assert_eq!(format!("{memory:?}"), "LaneMemory { bytes: 65536, .. }");
        memory.wipe();
        assert_eq!(written(&memory), 0, "{name}");
    }
}
