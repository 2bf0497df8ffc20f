//! Deposits folded into the deposit contract's tree: no altered history has the contract's count and root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "test code"
)]

use sw_chain_client::{B256, DepositEvent, DepositTotals, OutOfPlace, fold_deposits};
use sw_spec::{DepositTree, Gwei, PublicKeyBytes, SignatureBytes, hash_pair};
use sw_testkit::{array, fixture, list};

#[test]
fn the_roots_are_those_of_another_implementation() {
    let vectors = fixture("deposit_tree.json");
    let mut tree = DepositTree::new();
    let deposits = list(&vectors["deposits"]);
    assert_eq!(deposits.len(), 45);
    for (index, deposit) in (0..).zip(deposits) {
        let event = DepositEvent {
            public_key: PublicKeyBytes(array(&deposit["pubkey"])),
            withdrawal_credentials: B256::from(array::<32>(&deposit["withdrawal_credentials"])),
            amount: Gwei(deposit["amount"].as_u64().unwrap()),
            signature: SignatureBytes(array(&deposit["signature"])),
            index,
            block: index,
            transaction: B256::ZERO,
        };
        assert_eq!(
            event.data().root(),
            B256::from(array::<32>(&deposit["deposit_data_root"]))
        );
        fold_deposits(&mut tree, &[event]).unwrap();
        let root = B256::from(array::<32>(&deposit["deposit_root_after"]));
        assert_eq!(DepositTotals::from(&tree), DepositTotals { count: index + 1, root });
    }
}

fn deposit(index: u64) -> DepositEvent {
    let [a, b] = [1, 2].map(|salt| hash_pair(B256::left_padding_from(&index.to_be_bytes()), B256::repeat_byte(salt)));
    let bytes = [a, b, a, b].concat();
    DepositEvent {
        public_key: bytes[..48].try_into().unwrap(),
        withdrawal_credentials: b,
        amount: Gwei(32_000_000_000 - index),
        signature: bytes[32..].try_into().unwrap(),
        index,
        block: index / 3,
        transaction: B256::ZERO,
    }
}

/// One way to alter a history, at its second deposit.
type Lie = fn(&mut Vec<DepositEvent>, usize);

const LIES: [(&str, Lie); 10] = [
    ("dropped", |told, _| {
        told.remove(1);
    }),
    ("there twice", |told, _| told.insert(1, told[1].clone())),
    ("swapped with the next", |told, _| told.swap(1, 2)),
    ("moved to the end", |told, _| {
        let moved = told.remove(1);
        told.push(moved);
    }),
    ("replaced by the one before", |told, _| told[1] = told[0].clone()),
    ("made up", |told, salt| told.insert(1, deposit(1_000_000 + salt as u64))),
    ("key", |told, salt| told[1].public_key.0[salt % 48] ^= 1 << (salt % 8)),
    ("credentials", |told, salt| {
        told[1].withdrawal_credentials.0[salt % 32] ^= 1 << (salt % 8)
    }),
    ("amount", |told, salt| told[1].amount.0 ^= 1 << (salt % 64)),
    ("signature", |told, salt| {
        told[1].signature.0[salt % 96] ^= 1 << (salt % 8)
    }),
];

/// Each lie is told twice: with the indices of the honest deposits, and counted anew. `ALTERED_HISTORIES` says how many places.
#[test]
fn any_lie_about_any_one_of_100_000_deposits_shows_in_count_or_root() {
    const DEPOSITS: usize = 100_000;
    // What comes before an altered deposit is hashed once; by default most are near the end, which is cheap.
    let (wanted, spread) = match std::env::var("ALTERED_HISTORIES") {
        Ok(wanted) => (wanted.parse().unwrap(), DEPOSITS - 3),
        Err(_) => (38, 2_000),
    };
    let honest: Vec<DepositEvent> = (0..DEPOSITS as u64).map(deposit).collect();
    let scattered = (0..wanted).map(|number: usize| DEPOSITS - 4 - number.wrapping_mul(2_654_435_761) % spread);
    let mut places: Vec<usize> = scattered.chain([0, DEPOSITS - 4]).collect();
    places.sort_unstable();

    let (mut tree, mut folded) = (DepositTree::new(), 0);
    let before = places.iter().map(|place| {
        fold_deposits(&mut tree, &honest[std::mem::replace(&mut folded, *place)..*place]).unwrap();
        tree.clone()
    });
    let before: Vec<DepositTree> = before.collect();
    fold_deposits(&mut tree, &honest[folded..]).unwrap();
    let contract = DepositTotals::from(&tree);
    assert_eq!(contract.count, DEPOSITS as u64);

    for (number, (place, before)) in places.iter().zip(before).enumerate() {
        let (name, lie) = LIES[number % LIES.len()];
        let mut told = honest[*place..].to_vec();
        lie(&mut told, number);
        let totals = |told: &[DepositEvent]| {
            let mut tree = before.clone();
            fold_deposits(&mut tree, told).map(|()| DepositTotals::from(&tree))
        };
        assert_ne!(totals(&told), Ok(contract), "{name} after {place}");
        for (index, deposit) in (before.count()..).zip(&mut told) {
            deposit.index = index;
        }
        assert!(
            totals(&told).is_ok_and(|totals| totals != contract),
            "{name} after {place}"
        );
    }
    println!(
        "{} histories of {DEPOSITS} deposits, each altered once: all noticed",
        2 * places.len()
    );
}

#[test]
fn a_deposit_out_of_its_place_is_named() {
    let mut tree = DepositTree::new();
    let told = [deposit(0), deposit(2)];
    assert_eq!(fold_deposits(&mut tree, &told), Err(OutOfPlace { count: 1, index: 2 }));
}
