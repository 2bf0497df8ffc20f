//! AVX-512F: a register holds a row of four lanes.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_load_si512, _mm512_rol_epi32, _mm512_setzero_si512, _mm512_shuffle_epi32,
    _mm512_shuffle_i32x4, _mm512_store_si512, _mm512_xor_si512,
};

use zeroize::Zeroize;

use super::{Line, MAX_BLOCK_SIZE, mix::romix, prefetch};

type Vector = __m512i;

romix!("avx512f");

#[inline]
#[target_feature(enable = "avx512f")]
fn zero() -> Vector {
    _mm512_setzero_si512()
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add(a: Vector, b: Vector) -> Vector {
    _mm512_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor(a: Vector, b: Vector) -> Vector {
    _mm512_xor_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn rotate<const LEFT: i32, const RIGHT: i32>(row: Vector) -> Vector {
    _mm512_rol_epi32::<LEFT>(row)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn turn<const ORDER: i32>(row: Vector) -> Vector {
    _mm512_shuffle_epi32::<ORDER>(row)
}

/// Reads block `at` of each lane.
#[inline]
#[target_feature(enable = "avx512f")]
fn gather<const LANES: usize, const GROUPS: usize>(lines: &[Line], starts: [usize; LANES], at: usize) -> Block<GROUPS> {
    let mut rows = [zero(); 4];
    for (row, start) in rows.iter_mut().zip(starts) {
        *row = load(&lines[start + at]);
    }
    [transpose(rows); GROUPS]
}

/// Writes block `at` of each lane.
#[inline]
#[target_feature(enable = "avx512f")]
fn scatter<const LANES: usize, const GROUPS: usize>(
    block: &Block<GROUPS>,
    lines: &mut [Line],
    starts: [usize; LANES],
    at: usize,
) {
    let rows = transpose(block[0]);
    for (row, start) in rows.into_iter().zip(starts) {
        store(&mut lines[start + at], row);
    }
}

/// Lane `a` of row `b` becomes lane `b` of row `a`.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose([a, b, c, d]: [Vector; 4]) -> [Vector; 4] {
    let (ab, ab_high) = (_mm512_shuffle_i32x4::<0x44>(a, b), _mm512_shuffle_i32x4::<0xee>(a, b));
    let (cd, cd_high) = (_mm512_shuffle_i32x4::<0x44>(c, d), _mm512_shuffle_i32x4::<0xee>(c, d));
    [
        _mm512_shuffle_i32x4::<0x88>(ab, cd),
        _mm512_shuffle_i32x4::<0xdd>(ab, cd),
        _mm512_shuffle_i32x4::<0x88>(ab_high, cd_high),
        _mm512_shuffle_i32x4::<0xdd>(ab_high, cd_high),
    ]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(line: &Line) -> Vector {
    // SAFETY: a line has the size and the alignment of the vector.
    unsafe { _mm512_load_si512(line.0.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(line: &mut Line, row: Vector) {
    // SAFETY: a line has the size and the alignment of the vector.
    unsafe { _mm512_store_si512(line.0.as_mut_ptr().cast(), row) };
}
