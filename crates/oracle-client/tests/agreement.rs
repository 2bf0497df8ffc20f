//! What is agreed to be outdated, apart from how the answers came in.
#![allow(clippy::indexing_slicing, reason = "a test that meets a surprise should fail")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use alloy::primitives::Address;
use proptest::{collection, option, prelude::*};
use support::{set_recovering, signer};
use sw_oracle_client::{OracleSet, Outdated, OutdatedAnswer, Standing};

/// What the oracle at a position says.
fn says(position: usize, synced_to: Option<u64>, indexes: impl IntoIterator<Item = u64>) -> Arc<OutdatedAnswer> {
    let indexes = indexes.into_iter().collect();
    answer(position, Standing::Answered { synced_to, indexes })
}

fn answer(position: usize, standing: Standing) -> Arc<OutdatedAnswer> {
    Arc::new(OutdatedAnswer {
        oracle: ADDRESSES[position],
        standing,
        failures: Vec::new(),
    })
}

/// Deriving keys takes far longer than counting.
static ADDRESSES: LazyLock<Vec<Address>> =
    LazyLock::new(|| (0..12).map(|position| signer(position).address()).collect());
static SETS: Mutex<BTreeMap<(usize, usize, usize), Arc<OracleSet>>> = Mutex::new(BTreeMap::new());

fn oracles(count: usize, needed: usize, recover: usize) -> Arc<OracleSet> {
    let mut sets = SETS.lock().unwrap_or_else(PoisonError::into_inner);
    let set = sets.entry((count, needed, recover));
    let make = || Arc::new(set_recovering(&vec![Vec::new(); count], needed, recover));
    Arc::clone(set.or_insert_with(make))
}

/// As many oracles as mainnet has.
fn eleven() -> Arc<OracleSet> {
    oracles(11, 8, 6)
}

const UPDATED: u64 = 100;

fn indexes() -> impl Strategy<Value = BTreeSet<u64>> {
    collection::btree_set(prop_oneof![0_u64..12, any::<u64>()], 0..8)
}

/// Anything an oracle may say or not say, near the truth and far from it.
fn anything() -> impl Strategy<Value = Standing> {
    let block = prop_oneof![UPDATED - 2..=UPDATED + 2, any::<u64>()];
    prop_oneof![
        6 => (option::of(block), indexes()).prop_map(|(synced_to, indexes)| Standing::Answered { synced_to, indexes }),
        1 => Just(Standing::NoAnswer),
        1 => Just(Standing::NotAwaited),
    ]
}

/// Oracles, approvals needed, shares that recover an exit.
fn thresholds() -> impl Strategy<Value = (usize, usize, usize)> {
    (1_usize..=7)
        .prop_flat_map(|count| (Just(count), 1..=count))
        .prop_flat_map(|(count, needed)| (Just(count), Just(needed), 1..=needed))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Each case is a round.
    #[test]
    fn one_liar_of_eleven_changes_nothing(liar in 0_usize..11, lie in anything(), truth in indexes()) {
        let answers = (0..11).map(|position| {
            if position == liar {
                answer(position, lie.clone())
            } else {
                says(position, Some(UPDATED), truth.iter().copied())
            }
        });
        let outdated = Outdated { answers: answers.collect() };
        prop_assert_eq!(outdated.agreed(Some(UPDATED), &eleven()).ok(), Some(truth));
    }
}

proptest! {
    #[test]
    fn fewer_liars_than_recover_an_exit_add_no_index(
        (count, needed, recover) in thresholds(),
        truth in indexes(),
        lies in collection::vec(anything(), 7),
        // Honest oracles that are behind, or down.
        behind in collection::vec(any::<bool>(), 7),
        updated in prop_oneof![Just(None), Just(Some(UPDATED))],
    ) {
        let liars = recover - 1;
        let answers = (0..count).map(|position| match (position < liars, behind[position]) {
            (true, _) => answer(position, lies[position].clone()),
            (false, true) => says(position, Some(UPDATED - 1), truth.iter().copied().skip(1)),
            (false, false) => says(position, Some(UPDATED), truth.iter().copied()),
        });
        let outdated = Outdated { answers: answers.collect() };
        if let Ok(agreed) = outdated.agreed(updated, &oracles(count, needed, recover)) {
            prop_assert!(agreed.is_subset(&truth), "{:?}", agreed);
        }
    }

    #[test]
    fn the_silent_hide_nothing_while_enough_honest_ones_speak(
        (count, needed, recover) in thresholds(),
        truth in indexes(),
        lies in collection::vec(anything(), 7),
        liars in 0_usize..=7,
        silent in 0_usize..=7,
    ) {
        let honest = count.saturating_sub(liars);
        let silent = silent.min(honest.saturating_sub(recover));
        let answers = (0..count).map(|position| {
            if position < silent {
                answer(position, Standing::NoAnswer)
            } else if position < honest {
                says(position, Some(UPDATED), truth.iter().copied())
            } else {
                answer(position, lies[position].clone())
            }
        });
        let outdated = Outdated { answers: answers.collect() };
        let agreed = outdated.agreed(Some(UPDATED), &oracles(count, needed, recover));
        match &agreed {
            Ok(agreed) if honest >= recover => prop_assert!(agreed.is_superset(&truth), "{:?}", agreed),
            Ok(_) => {}
            Err(not_agreed) => prop_assert!(not_agreed.synced < needed),
        }
        prop_assert!(agreed.is_ok() || honest - silent < needed);
    }

    #[test]
    fn something_is_agreed_exactly_when_enough_are_synced(
        (count, needed, recover) in thresholds(),
        said in collection::vec(anything(), 7),
        updated in option::of(UPDATED - 1..=UPDATED + 1),
    ) {
        let is_synced = |standing: &Standing| match (standing, updated) {
            (Standing::Answered { .. }, None) => true,
            (Standing::Answered { synced_to: Some(block), .. }, Some(updated)) => *block >= updated,
            _ => false,
        };
        let synced = said[..count].iter().filter(|standing| is_synced(standing)).count();
        let answers = said[..count].iter().cloned().enumerate();
        let outdated = Outdated { answers: answers.map(|(position, standing)| answer(position, standing)).collect() };
        match outdated.agreed(updated, &oracles(count, needed, recover)) {
            Ok(agreed) => {
                prop_assert!(synced >= needed);
                for index in agreed {
                    let names = |standing: &&Standing| is_synced(standing)
                        && matches!(standing, Standing::Answered { indexes, .. } if indexes.contains(&index));
                    prop_assert!(said[..count].iter().filter(names).count() >= recover);
                }
            }
            Err(not_agreed) => {
                prop_assert!(synced < needed);
                prop_assert_eq!((not_agreed.needed, not_agreed.synced), (needed, synced));
                prop_assert_eq!(not_agreed.missing.len(), count - synced);
            }
        }
    }
}

#[test]
fn an_oracle_has_one_voice_and_a_stranger_has_none() {
    let set = oracles(3, 2, 2);
    let mut answers = vec![says(0, None, [7]), says(0, None, [7]), says(9, None, [7])];
    let alone = Outdated {
        answers: answers.clone(),
    };
    assert_eq!(alone.agreed(None, &set).expect_err("one of two").synced, 1);
    answers.push(says(1, None, [8]));
    let outdated = Outdated { answers };
    assert_eq!(outdated.agreed(None, &set).expect("two of two"), BTreeSet::new());
}

#[test]
fn who_is_missing_is_said_in_a_line_each() {
    let set = oracles(5, 4, 3);
    let outdated = Outdated {
        answers: vec![
            says(0, Some(120), [7]),
            says(1, Some(119), [7]),
            says(2, None, [7]),
            answer(3, Standing::NotAwaited),
            answer(4, Standing::NoEndpoint),
        ],
    };
    let not_agreed = outdated.agreed(Some(120), &set).expect_err("one of four");
    assert_eq!(
        not_agreed.to_string(),
        "1 of the 4 oracles needed told which exit signatures are outdated, as of block 120 or later"
    );
    let lines: Vec<_> = not_agreed.missing.iter().map(ToString::to_string).collect();
    let of = |position: usize| ADDRESSES[position];
    let expected = [
        format!("{}: synced to block 119", of(1)),
        format!("{}: synced to no block", of(2)),
        format!("{}: not waited for any longer", of(3)),
        format!("{}: no endpoint to ask", of(4)),
    ];
    assert_eq!(lines, expected);
    // Nothing ever changed: there is nothing to be synced to.
    let not_agreed = outdated.agreed(None, &set).expect_err("three of four");
    assert_eq!(
        not_agreed.to_string(),
        "3 of the 4 oracles needed told which exit signatures are outdated"
    );
}
