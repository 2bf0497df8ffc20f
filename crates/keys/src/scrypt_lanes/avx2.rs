//! AVX2: a register holds a row of two lanes, and two groups of registers are worked on in turn.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_load_si256, _mm256_or_si256, _mm256_permute2x128_si256, _mm256_setzero_si256,
    _mm256_shuffle_epi32, _mm256_slli_epi32, _mm256_srli_epi32, _mm256_store_si256, _mm256_xor_si256,
};

use zeroize::Zeroize;

use super::{Line, MAX_BLOCK_SIZE, mix::romix, prefetch};

type Vector = __m256i;

romix!("avx2");

#[inline]
#[target_feature(enable = "avx2")]
fn zero() -> Vector {
    _mm256_setzero_si256()
}

#[inline]
#[target_feature(enable = "avx2")]
fn add(a: Vector, b: Vector) -> Vector {
    _mm256_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor(a: Vector, b: Vector) -> Vector {
    _mm256_xor_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn rotate<const LEFT: i32, const RIGHT: i32>(row: Vector) -> Vector {
    _mm256_or_si256(_mm256_slli_epi32::<LEFT>(row), _mm256_srli_epi32::<RIGHT>(row))
}

#[inline]
#[target_feature(enable = "avx2")]
fn turn<const ORDER: i32>(row: Vector) -> Vector {
    _mm256_shuffle_epi32::<ORDER>(row)
}

/// Reads block `at` of each lane.
#[inline]
#[target_feature(enable = "avx2")]
fn gather<const LANES: usize, const GROUPS: usize>(lines: &[Line], starts: [usize; LANES], at: usize) -> Block<GROUPS> {
    let mut block = [[zero(); 4]; GROUPS];
    for (rows, pair) in block.iter_mut().zip(starts.chunks(2)) {
        let mut halves = [[zero(); 2]; 2];
        for (halves, start) in halves.iter_mut().zip(pair) {
            *halves = load(&lines[start + at]);
        }
        *rows = swap(halves);
    }
    block
}

/// Writes block `at` of each lane.
#[inline]
#[target_feature(enable = "avx2")]
fn scatter<const LANES: usize, const GROUPS: usize>(
    block: &Block<GROUPS>,
    lines: &mut [Line],
    starts: [usize; LANES],
    at: usize,
) {
    for (rows, pair) in block.iter().zip(starts.chunks(2)) {
        let [a, b, c, d] = swap([[rows[0], rows[2]], [rows[1], rows[3]]]);
        for (halves, start) in [[a, c], [b, d]].into_iter().zip(pair) {
            store(&mut lines[start + at], halves);
        }
    }
}

/// From two lines two rows of each, and back.
#[inline]
#[target_feature(enable = "avx2")]
fn swap([[a, b], [c, d]]: [[Vector; 2]; 2]) -> [Vector; 4] {
    [
        _mm256_permute2x128_si256::<0x20>(a, c),
        _mm256_permute2x128_si256::<0x31>(a, c),
        _mm256_permute2x128_si256::<0x20>(b, d),
        _mm256_permute2x128_si256::<0x31>(b, d),
    ]
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(line: &Line) -> [Vector; 2] {
    let (low, high) = line.0.split_at(8);
    // SAFETY: each half of a line has the size and the alignment of the vector.
    unsafe {
        [
            _mm256_load_si256(low.as_ptr().cast()),
            _mm256_load_si256(high.as_ptr().cast()),
        ]
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(line: &mut Line, [a, b]: [Vector; 2]) {
    let (low, high) = line.0.split_at_mut(8);
    // SAFETY: each half of a line has the size and the alignment of the vector.
    unsafe {
        _mm256_store_si256(low.as_mut_ptr().cast(), a);
        _mm256_store_si256(high.as_mut_ptr().cast(), b);
    }
}
