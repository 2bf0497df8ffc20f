//! How many blocks of logs an endpoint serves at once, learned from its errors.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use alloy_primitives::Address;

/// The range that works, for each contract: a busy one fills an answer sooner.
#[derive(Default)]
pub(crate) struct LearnedRanges(Mutex<HashMap<Address, Range>>);

#[derive(Clone, Copy)]
struct Range {
    blocks: u64,
    /// A range of twice the size failed: it is not tried again before many successes.
    limited: bool,
    successes: u32,
}

impl LearnedRanges {
    /// The number of blocks to ask for; at least one.
    pub(crate) fn blocks(&self, contract: Address) -> u64 {
        self.ranges().get(&contract).map_or(FIRST_RANGE, |range| range.blocks)
    }

    /// A range of this many blocks was served.
    pub(crate) fn served(&self, contract: Address, blocks: u64) {
        let mut ranges = self.ranges();
        let range = ranges.entry(contract).or_insert(Range {
            blocks: FIRST_RANGE,
            limited: false,
            successes: 0,
        });
        if blocks < range.blocks {
            return;
        }
        range.successes = range.successes.saturating_add(1);
        if !range.limited || range.successes >= SUCCESSES_BEFORE_GROWTH {
            *range = Range {
                blocks: range.blocks.saturating_mul(2).min(LONGEST_RANGE),
                limited: false,
                successes: 0,
            };
        }
    }

    /// A range of this many blocks failed. Returns whether a smaller one can be tried.
    pub(crate) fn failed(&self, contract: Address, blocks: u64) -> bool {
        if blocks <= 1 {
            return false;
        }
        self.ranges().insert(
            contract,
            Range {
                blocks: blocks / 2,
                limited: true,
                successes: 0,
            },
        );
        true
    }

    fn ranges(&self) -> MutexGuard<'_, HashMap<Address, Range>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const FIRST_RANGE: u64 = 10_000;
const LONGEST_RANGE: u64 = 1_000_000;
/// A provider's limit is run into once in so many requests, so that less than one request in a hundred is wasted.
const SUCCESSES_BEFORE_GROWTH: u32 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: Address = Address::ZERO;

    /// Scans with a provider that serves `limit` blocks at once; returns how many requests failed.
    fn scan(ranges: &LearnedRanges, limit: u64, requests: usize) -> usize {
        let mut failures = 0;
        for _ in 0..requests {
            let blocks = ranges.blocks(CONTRACT);
            assert!(blocks > 0);
            if blocks > limit {
                failures += 1;
                assert!(ranges.failed(CONTRACT, blocks));
            } else {
                ranges.served(CONTRACT, blocks);
            }
        }
        failures
    }

    #[test]
    fn a_provider_s_limit_is_learned_and_seldom_run_into() {
        let ranges = LearnedRanges::default();
        assert!(scan(&ranges, 2_000, 3) >= 2);
        assert!((1_000..=2_000).contains(&ranges.blocks(CONTRACT)));
        assert!(scan(&ranges, 2_000, 10_000) < 100);
    }

    #[test]
    fn a_range_is_never_empty() {
        let ranges = LearnedRanges::default();
        while ranges.failed(CONTRACT, ranges.blocks(CONTRACT)) {}
        assert_eq!(ranges.blocks(CONTRACT), 1);
        assert!(!ranges.failed(CONTRACT, 1));
    }

    #[test]
    fn without_a_limit_ranges_grow() {
        let ranges = LearnedRanges::default();
        scan(&ranges, u64::MAX, 20);
        assert_eq!(ranges.blocks(CONTRACT), LONGEST_RANGE);
    }

    #[test]
    fn a_short_tail_says_nothing_about_longer_ranges() {
        let ranges = LearnedRanges::default();
        for _ in 0..200 {
            ranges.served(CONTRACT, 1);
        }
        assert_eq!(ranges.blocks(CONTRACT), FIRST_RANGE);
    }
}
