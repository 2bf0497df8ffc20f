//! scrypt's memory-hard part, ROMix (RFC 7914, section 5), for several derivations side by side.
//!
//! Salsa20/8 works on four rows of 128 bits. A wider vector holds the same row of several independent derivations, its
//! lanes, so that one instruction serves them all. What scrypt mixes besides, PBKDF2, is not here.
#![expect(
    unsafe_code,
    reason = "vector loads and stores, and calls of functions for instructions found at run time"
)]
#![deny(unsafe_op_in_unsafe_fn)]
#![expect(
    clippy::indexing_slicing,
    reason = "indices stay below `2 * r` blocks and `n` places of them; checked all the same, at no cost that shows"
)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod mix;
#[cfg(test)]
mod tests;

use std::{alloc, fmt};

use zeroize::{DefaultIsZeroes, Zeroize, Zeroizing};

/// How many derivations run side by side at most.
pub(crate) const MAX_LANES: usize = 4;
/// The largest block size `r` that is mixed here: every wallet's.
pub(crate) const MAX_BLOCK_SIZE: usize = 8;

/// Vector instructions that this machine has. A value exists only where they were found, which is what makes calling
/// functions built for them sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instructions(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Instructions {
    /// The fastest that this machine has.
    pub(crate) fn best() -> Option<Self> {
        Self::avx512().or_else(Self::avx2)
    }

    /// AVX-512F: one register for four lanes.
    pub(crate) fn avx512() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") {
            return Some(Self(Kind::Avx512));
        }
        None
    }

    /// AVX2: one register for two lanes.
    pub(crate) fn avx2() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            return Some(Self(Kind::Avx2));
        }
        None
    }
}

/// What ROMix needs is not to be had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

/// The memory that lanes fill: kept from one run to the next, wiped when dropped.
#[derive(Default)]
pub(crate) struct LaneMemory {
    /// Lines, and what is before the first that is aligned like one.
    words: Vec<u128>,
    /// How many lines have been written.
    used: usize,
}

impl LaneMemory {
    /// The memory that is held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.lines())
    }

    fn lines(&self) -> &[Line] {
        // SAFETY: a line is four of these words, and every value of them is one.
        unsafe { self.words.align_to() }.1
    }

    fn lines_mut(&mut self) -> &mut [Line] {
        // SAFETY: a line is four of these words, and every value of either is one of the other.
        unsafe { self.words.align_to_mut() }.1
    }

    /// Makes room for `lanes` derivations. The system gives the pages when they are written, not before.
    pub(crate) fn reserve(&mut self, lanes: usize, n: usize, r: usize) -> Result<(), OutOfMemory> {
        let lines = [n, 2, r]
            .into_iter()
            .try_fold(lanes, usize::checked_mul)
            .ok_or(OutOfMemory)?;
        if lines > self.lines().len() {
            self.wipe();
            // The old goes before the new comes: never both.
            self.words = Vec::new();
            let words = lines.checked_mul(4).and_then(|words| words.checked_add(3));
            self.words = zeroed(words.ok_or(OutOfMemory)?).ok_or(OutOfMemory)?;
        }
        Ok(())
    }

    fn wipe(&mut self) {
        let used = self.used;
        self.lines_mut()[..used].zeroize();
        self.used = 0;
    }
}

impl Drop for LaneMemory {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl fmt::Debug for LaneMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneMemory")
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

/// Sixty-four bytes of one lane: a block of Salsa20, its words in the order in which the rows hold them.
#[repr(C, align(64))]
#[derive(Clone, Copy, Default)]
struct Line([u32; 16]);

impl DefaultIsZeroes for Line {}

impl Line {
    const ZERO: Self = Self([0; 16]);

    /// Reads a block: row `k` of the line is diagonal `k` of the matrix that Salsa20 works on.
    fn read(&mut self, block: &[u8; 64]) {
        let (words, _) = block.as_chunks();
        for (at, word) in self.0.iter_mut().enumerate() {
            *word = u32::from_le_bytes(words[at * 5 % 16]);
        }
    }

    fn write(&self, block: &mut [u8; 64]) {
        let (words, _) = block.as_chunks_mut();
        for (at, word) in self.0.iter().enumerate() {
            words[at * 5 % 16] = word.to_le_bytes();
        }
    }
}

/// Zeroed words, or none if the system gives no memory. (`Vec` can only abort, or write every page twice. So would the
/// allocator for a type that is aligned like a line: pages that are zeroes as they come it has for small alignments only.)
fn zeroed(words: usize) -> Option<Vec<u128>> {
    let layout = alloc::Layout::array::<u128>(words).ok()?;
    if words == 0 {
        return Some(Vec::new());
    }
    // SAFETY: the size of the layout is not zero.
    let memory = unsafe { alloc::alloc_zeroed(layout) };
    if memory.is_null() {
        return None;
    }
    // SAFETY: the global allocator gave this memory for the layout of so many words, and zero is one.
    Some(unsafe { Vec::from_raw_parts(memory.cast(), words, words) })
}

/// Mixes each of `streams`, blocks of `128 * r` bytes of independent derivations, in place: four side by side, and what is
/// left over in fewer lanes, which take less than idle ones do.
///
/// `n` is a power of two, and `r` at most [`MAX_BLOCK_SIZE`].
pub(crate) fn romix(
    instructions: Instructions,
    n: usize,
    streams: &mut [&mut [u8]],
    memory: &mut LaneMemory,
) -> Result<(), OutOfMemory> {
    match streams {
        [] => Ok(()),
        [a] => lanes::<1, 1>(instructions, n, [a], memory),
        [a, b] => lanes::<2, 1>(instructions, n, [a, b], memory),
        [a, b, c] => lanes::<3, 2>(instructions, n, [a, b, c], memory),
        [a, b, c, d, rest @ ..] => {
            lanes::<4, 2>(instructions, n, [a, b, c, d], memory)?;
            romix(instructions, n, rest, memory)
        }
    }
}

/// `PAIRS` is half of `LANES`, rounded up.
fn lanes<const LANES: usize, const PAIRS: usize>(
    instructions: Instructions,
    n: usize,
    streams: [&mut [u8]; LANES],
    memory: &mut LaneMemory,
) -> Result<(), OutOfMemory> {
    let mut lanes = Zeroizing::new([[Line::ZERO; 2 * MAX_BLOCK_SIZE]; LANES]);
    let blocks = streams[0].len() / 64;
    memory.reserve(LANES, n, blocks / 2)?;
    for (lane, stream) in lanes.iter_mut().zip(&streams) {
        for (line, block) in lane[..blocks].iter_mut().zip(stream.as_chunks().0) {
            line.read(block);
        }
    }
    let used = LANES * n * blocks;
    memory.used = memory.used.max(used);
    let filled = &mut memory.lines_mut()[..used];
    mix::<LANES, PAIRS>(instructions, &mut lanes, blocks, filled, n);
    for (lane, stream) in lanes.iter().zip(streams) {
        for (line, block) in lane[..blocks].iter().zip(stream.as_chunks_mut().0) {
            line.write(block);
        }
    }
    Ok(())
}

#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(unused_variables, reason = "there are no instructions")
)]
fn mix<const LANES: usize, const PAIRS: usize>(
    instructions: Instructions,
    lanes: &mut [[Line; 2 * MAX_BLOCK_SIZE]; LANES],
    blocks: usize,
    memory: &mut [Line],
    n: usize,
) {
    match instructions.0 {
        // SAFETY: the value says that AVX-512F was found.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => unsafe { avx512::romix::<LANES, 1>(lanes, blocks, memory, n) },
        // SAFETY: the value says that AVX2 was found.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => unsafe { avx2::romix::<LANES, PAIRS>(lanes, blocks, memory, n) },
    }
}

#[cfg(target_arch = "x86_64")]
fn prefetch(line: &Line) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: SSE is part of x86-64, and the hint takes any address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(line).cast()) };
}
