//! Finding the indices of keys that are known by their public halves.

use std::{collections::BTreeSet, convert::Infallible, num::NonZeroU32, ops::RangeInclusive};

use sw_keys::{Mnemonic, ValidatorKeys};
use sw_spec::PublicKeyBytes;

use crate::{Progress, Stage, Workers, workers::map_in_parallel};

/// Which keys to look for, and how far.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// The mnemonic they may be derived from.
    pub mnemonic: &'a Mnemonic,
    /// The keys.
    pub public_keys: &'a BTreeSet<PublicKeyBytes>,
    /// After so many indices in a row without a key the search ends.
    pub max_gap: NonZeroU32,
    /// How much of the machine to use.
    pub workers: Workers,
}

/// A key of the mnemonic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundKey {
    /// Its derivation index.
    pub index: u32,
    /// Its public half.
    pub public_key: PublicKeyBytes,
}

/// What a search came to. That keys are missing says nothing against the mnemonic: they may lie behind a longer gap, or
/// be of another mnemonic of the same person.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SearchOutcome {
    /// The keys that were found, by ascending index.
    pub found: Vec<FoundKey>,
    /// The others, in ascending order.
    pub missing: Vec<PublicKeyBytes>,
    /// The last index that was looked at.
    pub last_index: u32,
}

/// Derives one key after the other, from index 0, until all are found or `max_gap` indices in a row are of none of them.
pub fn search(request: &Search<'_>, progress: &impl Progress) -> SearchOutcome {
    let keys = ValidatorKeys::new(&request.mnemonic.to_seed());
    let threads = request.workers.threads();
    progress.begin(Stage::Searching, 0);
    let chunk = u32::try_from(threads.get())
        .unwrap_or(u32::MAX)
        .saturating_mul(KEYS_OF_A_THREAD);
    let outcome = walk(request.public_keys, request.max_gap, chunk, |indices| {
        let indices: Vec<u32> = indices.collect();
        let derived = map_in_parallel(threads, &indices, |index| {
            let public_key = keys.key(*index).public_key().to_bytes();
            progress.advance(Stage::Searching);
            Ok::<_, Infallible>(public_key)
        });
        match derived {
            Ok(derived) => derived,
            Err(never) => match never {},
        }
    });
    progress.finish(Stage::Searching);
    outcome
}

/// The first `count` keys of a mnemonic that are not among `used`, by ascending index.
pub fn unused_keys(mnemonic: &Mnemonic, count: usize, used: &BTreeSet<PublicKeyBytes>) -> Vec<FoundKey> {
    let keys = ValidatorKeys::new(&mnemonic.to_seed());
    (0..=u32::MAX)
        .map(|index| FoundKey {
            index,
            public_key: keys.key(index).public_key().to_bytes(),
        })
        .filter(|key| !used.contains(&key.public_key))
        .take(count)
        .collect()
}

/// The search, whatever the keys are derived from: in chunks, but as if it were one index after the other.
fn walk(
    public_keys: &BTreeSet<PublicKeyBytes>,
    max_gap: NonZeroU32,
    chunk: u32,
    mut derive: impl FnMut(RangeInclusive<u32>) -> Vec<PublicKeyBytes>,
) -> SearchOutcome {
    let (mut wanted, mut found) = (public_keys.clone(), Vec::new());
    let (mut misses, mut next, mut last_index) = (0_u32, Some(0_u32), 0);
    while let Some(first) = next.filter(|_| !wanted.is_empty() && misses < max_gap.get()) {
        let count = chunk.min(max_gap.get().saturating_sub(misses)).max(1);
        let last = first.saturating_add(count - 1);
        for (index, public_key) in (first..=last).zip(derive(first..=last)) {
            if wanted.is_empty() {
                break;
            }
            last_index = index;
            if wanted.remove(&public_key) {
                misses = 0;
                found.push(FoundKey { index, public_key });
            } else {
                misses += 1;
            }
        }
        next = last.checked_add(1);
    }
    SearchOutcome {
        found,
        missing: wanted.into_iter().collect(),
        last_index,
    }
}

/// A thread derives about a thousand keys in a second.
const KEYS_OF_A_THREAD: u32 = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sw_keys::Language;

    use super::*;
    use crate::NoProgress;

    /// A stand-in for derivation: a key for each index, and no two alike.
    fn key(index: u32) -> PublicKeyBytes {
        let mut bytes = [0x80; 48];
        bytes[44..].copy_from_slice(&index.to_be_bytes());
        PublicKeyBytes(bytes)
    }

    fn limit(max_gap: u32) -> NonZeroU32 {
        NonZeroU32::new(max_gap).expect("not zero")
    }

    fn foreign(number: u8) -> PublicKeyBytes {
        PublicKeyBytes([number; 48])
    }

    fn walked(indices: &[u32], max_gap: u32, chunk: u32) -> (Vec<u32>, SearchOutcome) {
        let wanted = indices.iter().copied().map(key).collect();
        let outcome = walk(&wanted, limit(max_gap), chunk, |range| range.map(key).collect());
        (outcome.found.iter().map(|found| found.index).collect(), outcome)
    }

    proptest! {
        #[test]
        fn every_key_is_found_whose_gap_is_within_the_limit(
            gaps in prop::collection::vec(0_u32..5000, 1..12),
            chunk in 1_u32..700,
        ) {
            let mut next = 0;
            let indices: Vec<u32> = gaps.iter().map(|gap| { let index = next + gap; next = index + 1; index }).collect();
            let longest = gaps.iter().copied().max().unwrap_or_default();
            let (found, outcome) = walked(&indices, longest + 1, chunk);
            prop_assert_eq!(&found, &indices);
            prop_assert!(outcome.missing.is_empty());
            prop_assert_eq!(Some(&outcome.last_index), indices.last());

            let (found, outcome) = walked(&indices, longest.max(1), chunk);
            let reached = gaps.iter().take_while(|gap| **gap < longest.max(1)).count();
            prop_assert_eq!(&found[..], &indices[..reached]);
            prop_assert_eq!(outcome.missing.len(), indices.len() - reached);
        }
    }

    #[test]
    fn a_search_for_nothing_looks_at_nothing_and_one_for_strangers_ends_at_the_limit() {
        assert_eq!(walked(&[], 1000, 64).1.last_index, 0);
        for chunk in [1, 64, 5000] {
            let wanted = BTreeSet::from([foreign(1), foreign(2)]);
            let mut derived = 0;
            let outcome = walk(&wanted, limit(1000), chunk, |range| {
                derived += range.clone().count();
                range.map(key).collect()
            });
            assert_eq!((outcome.last_index, derived), (999, 1000));
            assert_eq!(outcome.missing, [foreign(1), foreign(2)]);
            assert!(outcome.found.is_empty());
        }
    }

    #[test]
    fn keys_of_every_language_are_found_behind_a_gap() {
        for (number, language) in (1..).zip(Language::ALL) {
            let mnemonic = Mnemonic::from_entropy(language, &[number; 32]).expect("32 bytes");
            let keys = ValidatorKeys::new(&mnemonic.to_seed());
            let indices = [2, 3, 40];
            let public_keys = indices.map(|index| keys.key(index).public_key().to_bytes());
            let request = Search {
                mnemonic: &mnemonic,
                public_keys: &public_keys.into_iter().collect(),
                max_gap: limit(37),
                workers: Workers::new(std::num::NonZeroUsize::MIN),
            };
            let outcome = search(&request, &NoProgress);
            let found: Vec<_> = outcome.found.iter().map(|key| (key.index, key.public_key)).collect();
            assert_eq!(
                found,
                indices.into_iter().zip(public_keys).collect::<Vec<_>>(),
                "{language}"
            );
        }
    }
}
