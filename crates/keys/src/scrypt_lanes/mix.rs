//! ROMix in vectors of any width. A macro, since a function for certain instructions cannot be generic over them.

/// ROMix over the vectors of the module it stands in, which has `Vector`, its arithmetic, `gather` and `scatter`.
macro_rules! romix {
    ($feature:literal) => {
        /// A block of every lane: for each group of lanes four rows.
        type Block<const GROUPS: usize> = [[Vector; 4]; GROUPS];

        /// Mixes the first `blocks` blocks of every lane, with `memory` for exactly `n` times as many.
        #[target_feature(enable = $feature)]
        pub(super) fn romix<const LANES: usize, const GROUPS: usize>(
            lanes: &mut [[Line; 2 * MAX_BLOCK_SIZE]; LANES],
            blocks: usize,
            memory: &mut [Line],
            n: usize,
        ) {
            let zero = [[[zero(); 4]; GROUPS]; 2 * MAX_BLOCK_SIZE];
            let (mut one, mut other) = (zero, zero);
            let (mut from, mut to) = (&mut one[..blocks], &mut other[..blocks]);
            let flat = lanes.as_flattened_mut();
            let starts: [usize; LANES] = std::array::from_fn(|lane| lane * 2 * MAX_BLOCK_SIZE);
            for (at, block) in from.iter_mut().enumerate() {
                *block = gather(flat, starts, at);
            }
            let starts: [usize; LANES] = std::array::from_fn(|lane| lane * blocks);
            for place in memory.chunks_exact_mut(LANES * blocks) {
                let mut x = from[blocks - 1];
                for (at, block) in from.iter().enumerate() {
                    scatter(block, place, starts, at);
                    xor_into(&mut x, block);
                    salsa(&mut x);
                    to[at / 2 + at % 2 * (blocks / 2)] = x;
                }
                std::mem::swap(&mut from, &mut to);
            }
            let mut last = [Line::ZERO; LANES];
            for _ in 0..n {
                scatter::<LANES, GROUPS>(&from[blocks - 1], &mut last, std::array::from_fn(|lane| lane), 0);
                // Integerify: `n` is a power of two below 2^32, so the first word tells.
                let mut starts = [0; LANES];
                for (lane, start) in starts.iter_mut().enumerate() {
                    *start = ((last[lane].0[0] as usize & (n - 1)) * LANES + lane) * blocks;
                }
                for at in 0..blocks {
                    for start in starts {
                        prefetch(&memory[start + at]);
                    }
                }
                let mut x = from[blocks - 1];
                xor_into(&mut x, &gather(memory, starts, blocks - 1));
                for (at, block) in from.iter().enumerate() {
                    xor_into(&mut x, block);
                    xor_into(&mut x, &gather(memory, starts, at));
                    salsa(&mut x);
                    to[at / 2 + at % 2 * (blocks / 2)] = x;
                }
                std::mem::swap(&mut from, &mut to);
            }
            let starts: [usize; LANES] = std::array::from_fn(|lane| lane * 2 * MAX_BLOCK_SIZE);
            for (at, block) in from.iter().enumerate() {
                scatter(block, flat, starts, at);
            }
            last.zeroize();
            one.zeroize();
            other.zeroize();
        }

        #[inline]
        #[target_feature(enable = $feature)]
        fn xor_into<const GROUPS: usize>(block: &mut Block<GROUPS>, other: &Block<GROUPS>) {
            for (rows, others) in block.iter_mut().zip(other) {
                for (row, other) in rows.iter_mut().zip(others) {
                    *row = xor(*row, *other);
                }
            }
        }

        /// Salsa20/8 (RFC 7914, section 3) on diagonals: a round works on rows, and turning them makes columns of rows.
        #[inline]
        #[target_feature(enable = $feature)]
        fn salsa<const GROUPS: usize>(block: &mut Block<GROUPS>) {
            let before = *block;
            for _ in 0..4 {
                step::<7, 25, 1, 0, 3, GROUPS>(block);
                step::<9, 23, 2, 1, 0, GROUPS>(block);
                step::<13, 19, 3, 2, 1, GROUPS>(block);
                step::<18, 14, 0, 3, 2, GROUPS>(block);
                for rows in &mut *block {
                    *rows = [
                        rows[0],
                        turn::<0x93>(rows[1]),
                        turn::<0x4e>(rows[2]),
                        turn::<0x39>(rows[3]),
                    ];
                }
                step::<7, 25, 3, 0, 1, GROUPS>(block);
                step::<9, 23, 2, 3, 0, GROUPS>(block);
                step::<13, 19, 1, 2, 3, GROUPS>(block);
                step::<18, 14, 0, 1, 2, GROUPS>(block);
                for rows in &mut *block {
                    *rows = [
                        rows[0],
                        turn::<0x39>(rows[1]),
                        turn::<0x4e>(rows[2]),
                        turn::<0x93>(rows[3]),
                    ];
                }
            }
            for (rows, before) in block.iter_mut().zip(before) {
                for (row, before) in rows.iter_mut().zip(before) {
                    *row = add(*row, before);
                }
            }
        }

        /// Row `TO` is mixed with the sum of rows `A` and `B`, rotated to the left. `RIGHT` is 32 less `LEFT`.
        #[inline]
        #[target_feature(enable = $feature)]
        fn step<
            const LEFT: i32,
            const RIGHT: i32,
            const TO: usize,
            const A: usize,
            const B: usize,
            const GROUPS: usize,
        >(
            block: &mut Block<GROUPS>,
        ) {
            for rows in block {
                rows[TO] = xor(rows[TO], rotate::<LEFT, RIGHT>(add(rows[A], rows[B])));
            }
        }
    };
}

pub(super) use romix;
