//! How many blocks of logs an endpoint serves at once, learned from its errors.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use alloy_primitives::Address;

use crate::learned::{Learned, Limit};

/// The range that works, for each contract: a busy one fills an answer sooner.
#[derive(Default)]
pub(crate) struct LearnedRanges(Mutex<BTreeMap<Address, Range>>);

struct Range {
    learned: Learned,
    /// The longest that was served in this run, of short tails too.
    longest: u64,
}

impl Range {
    fn new(learned: Learned) -> Self {
        Self { learned, longest: 0 }
    }
}

impl LearnedRanges {
    /// Goes on from what an earlier run has learned.
    pub(crate) fn remembered(limits: BTreeMap<Address, Limit>) -> Self {
        let range = |limit: Limit| Range::new(Learned::remembered(limit.between(1, LONGEST_RANGE)));
        let limits = limits.into_iter();
        Self(Mutex::new(
            limits.map(|(contract, limit)| (contract, range(limit))).collect(),
        ))
    }

    /// What to remember.
    pub(crate) fn limits(&self) -> BTreeMap<Address, Limit> {
        let ranges = self.ranges();
        let limits = ranges.iter();
        limits
            .filter_map(|(contract, range)| Some((*contract, range.learned.limit()?)))
            .collect()
    }

    /// The number of blocks to ask for; at least one.
    pub(crate) fn blocks(&self, contract: Address) -> u64 {
        let ranges = self.ranges();
        ranges
            .get(&contract)
            .map_or(FIRST_RANGE, |range| range.learned.trying())
    }

    /// Whether a range of at least this many blocks was served in this run.
    pub(crate) fn has_served(&self, contract: Address, blocks: u64) -> bool {
        self.ranges()
            .get(&contract)
            .is_some_and(|range| range.longest >= blocks)
    }

    /// A range of this many blocks was served.
    pub(crate) fn served(&self, contract: Address, blocks: u64) {
        let mut ranges = self.ranges();
        let range = ranges.entry(contract).or_insert_with(guess);
        range.longest = range.longest.max(blocks);
        range.learned.served(blocks, LONGEST_RANGE);
    }

    /// A range of this many blocks failed. Returns whether a smaller one can be tried.
    pub(crate) fn failed(&self, contract: Address, blocks: u64) -> bool {
        self.ranges()
            .entry(contract)
            .or_insert_with(guess)
            .learned
            .failed(blocks)
    }

    fn ranges(&self) -> MutexGuard<'_, BTreeMap<Address, Range>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn guess() -> Range {
    Range::new(Learned::from_guess(FIRST_RANGE))
}

const FIRST_RANGE: u64 = 10_000;
const LONGEST_RANGE: u64 = 1_000_000;
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
        let mut asked = Vec::new();
        loop {
            asked.push(ranges.blocks(CONTRACT));
            if !ranges.failed(CONTRACT, ranges.blocks(CONTRACT)) {
                break;
            }
        }
        assert_eq!((asked.iter().min(), asked.last()), (Some(&1), Some(&1)));
        assert!(asked.len() < 20);
    }

    /// Timeouts while a node is down say nothing of ranges.
    #[test]
    fn an_outage_teaches_nothing() {
        let ranges = LearnedRanges::default();
        scan(&ranges, 2_000, 1_000);
        let learned = ranges.blocks(CONTRACT);
        assert!(learned >= 1_000);
        while ranges.failed(CONTRACT, ranges.blocks(CONTRACT)) {}
        assert!(ranges.limits()[&CONTRACT].served >= 1_000, "what is remembered");
        assert!(ranges.blocks(CONTRACT) >= 1_000, "{}", ranges.blocks(CONTRACT));
        scan(&ranges, 2_000, 10);
        assert!(ranges.blocks(CONTRACT) >= 1_000, "{}", ranges.blocks(CONTRACT));
    }

    #[test]
    fn a_memory_that_makes_no_sense_is_soon_unlearned() {
        let limits = [
            (1, Some(2)),
            (u64::MAX, None),
            (5, Some(3)),
            (1, Some(u64::MAX)),
            (7, Some(0)),
        ];
        for (served, refused) in limits {
            let ranges = LearnedRanges::remembered(BTreeMap::from([(CONTRACT, Limit { served, refused })]));
            scan(&ranges, 10_000, 1_000);
            let blocks = ranges.blocks(CONTRACT);
            assert!((2_500..=10_000).contains(&blocks), "{served}, {refused:?}: {blocks}");
        }
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
