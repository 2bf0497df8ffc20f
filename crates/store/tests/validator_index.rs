//! The index against the rules of the original and against damaged files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::{collections::HashSet, fs, path::PathBuf};

use proptest::prelude::*;
use rusqlite::Connection;
use sw_spec::{B256, DepositTree, NetworkName, PublicKeyBytes};
use sw_store::{Deposits, DumpError, SetAside, StoreError, ValidatorIndex};
use tempfile::TempDir;

fn network() -> NetworkName {
    "hoodi".parse().unwrap()
}

fn key(byte: u8) -> PublicKeyBytes {
    PublicKeyBytes([byte; 48])
}

fn scratch() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("operator.db");
    (dir, path)
}

fn dump(records: &[(u32, PublicKeyBytes)]) -> Vec<u8> {
    records
        .iter()
        .flat_map(|(block, key)| [block.to_be_bytes().as_slice(), key.as_ref()].concat())
        .collect()
}

/// original-v1 16.9, "DB index".
#[test]
fn the_next_index_counts_the_rows_and_the_latest_keys_once_each() {
    let (_dir, path) = scratch();
    let mut index = ValidatorIndex::open(&path, &network()).unwrap();
    index
        .insert(&[(key(0xaa), 1), (key(0xbb), 2)], 2, Deposits::Unknown)
        .unwrap();
    assert_eq!(index.count_with(&[]).unwrap(), 2);
    assert_eq!(index.count_with(&[key(0xcc), key(0xaa)]).unwrap(), 3);
    assert_eq!(index.count_with(&[key(0xcc), key(0xcc), key(0xaa)]).unwrap(), 3);
    assert_eq!(index.count().unwrap(), 2, "asking stores nothing");
}

#[test]
fn rows_and_checkpoint_are_there_after_reopening() {
    let (_dir, path) = scratch();
    let mut index = ValidatorIndex::open(&path, &network()).unwrap();
    assert_eq!(index.checkpoint(), None);
    assert_eq!(
        index
            .insert(&[(key(1), 5), (key(1), 6), (key(2), 6)], 100, Deposits::Unknown)
            .unwrap(),
        2
    );
    assert_eq!(index.insert(&[(key(2), 101)], 200, Deposits::Unknown).unwrap(), 0);
    drop(index);
    let index = ValidatorIndex::open(&path, &network()).unwrap();
    assert_eq!(index.checkpoint(), Some(200));
    assert!(index.contains(&key(1)).unwrap() && index.contains(&key(2)).unwrap());
    assert!(!index.contains(&key(3)).unwrap());
}

#[test]
fn a_checkpoint_without_validators_is_progress_and_never_goes_back() {
    let (_dir, path) = scratch();
    let mut index = ValidatorIndex::open(&path, &network()).unwrap();
    index.insert(&[], 500, Deposits::Unknown).unwrap();
    index.insert(&[(key(1), 3)], 400, Deposits::Unknown).unwrap();
    assert_eq!(index.checkpoint(), Some(500));
    drop(index);
    assert_eq!(ValidatorIndex::open(&path, &network()).unwrap().checkpoint(), Some(500));
}

#[test]
fn a_validator_after_its_checkpoint_is_refused() {
    let (_dir, path) = scratch();
    let mut index = ValidatorIndex::open(&path, &network()).unwrap();
    let error = index
        .insert(&[(key(1), 9), (key(2), 11)], 10, Deposits::Unknown)
        .unwrap_err();
    assert!(matches!(
        error,
        StoreError::AfterCheckpoint {
            block: 11,
            checkpoint: 10
        }
    ));
    assert!(matches!(
        index.insert(&[], u64::MAX, Deposits::Unknown),
        Err(StoreError::BlockOutOfRange(u64::MAX))
    ));
    assert_eq!((index.count().unwrap(), index.checkpoint()), (0, None));
}

#[test]
fn networks_share_a_file_and_nothing_else() {
    let (_dir, path) = scratch();
    let mut hoodi = ValidatorIndex::open(&path, &network()).unwrap();
    let mut devnet = ValidatorIndex::open(&path, &"devnet_2".parse().unwrap()).unwrap();
    hoodi.insert(&[(key(1), 1)], 7, Deposits::Unknown).unwrap();
    devnet
        .insert(&[(key(1), 2), (key(2), 2)], 9, Deposits::Unknown)
        .unwrap();
    assert_eq!((hoodi.count().unwrap(), devnet.count().unwrap()), (1, 2));
}

#[test]
fn a_database_of_the_original_opens_and_goes_on_after_its_highest_block() {
    let (_dir, path) = scratch();
    let original = Connection::open(&path).unwrap();
    original
        .execute_batch(&format!(
            "CREATE TABLE hoodi_network_validators (public_key VARCHAR(98) UNIQUE NOT NULL, block_number INTEGER NOT NULL);
             CREATE TABLE hoodi_checkpoints (checkpoint_validators INTEGER NOT NULL, checkpoint_v2_validators INTEGER NOT NULL);
             INSERT INTO hoodi_checkpoints VALUES (42, 42);
             INSERT INTO hoodi_network_validators VALUES ('{}', 30), ('{}', 20);",
            key(0xaa),
            key(0xbb)
        ))
        .unwrap();
    drop(original);
    let mut index = ValidatorIndex::open(&path, &network()).unwrap();
    assert_eq!((index.checkpoint(), index.count().unwrap()), (Some(30), 2));
    assert!(index.contains(&key(0xaa)).unwrap());
    index.insert(&[(key(0xcc), 31)], 40, Deposits::Unknown).unwrap();
    drop(index);

    let original = Connection::open(&path).unwrap();
    let newest: (String, i64) = original
        .query_row(
            "SELECT * FROM hoodi_network_validators ORDER BY block_number DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(newest, (key(0xcc).to_string(), 31));
}

#[test]
fn a_dump_is_stored_once_and_covers_its_last_block() {
    let (_dir, path) = scratch();
    let mut index = ValidatorIndex::open(&path, &network()).unwrap();
    let bytes = dump(&[(3, key(1)), (3, key(2)), (8, key(1)), (9, key(3))]);
    assert_eq!(index.import_dump(&bytes, 20).unwrap(), 3);
    assert_eq!(index.import_dump(&bytes, 20).unwrap(), 0);
    assert_eq!((index.count().unwrap(), index.checkpoint()), (3, Some(20)));
}

#[test]
fn a_short_or_disordered_dump_stores_nothing() {
    let (_dir, path) = scratch();
    let mut index = ValidatorIndex::open(&path, &network()).unwrap();
    let good = dump(&[(3, key(1)), (9, key(2))]);
    let refused = |index: &mut ValidatorIndex, bytes: &[u8], last| match index.import_dump(bytes, last) {
        Err(StoreError::Dump(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&mut index, &[], 20), DumpError::Length { length: 0 });
    assert_eq!(refused(&mut index, &good[..103], 20), DumpError::Length { length: 103 });
    assert_eq!(
        refused(&mut index, &good, 8),
        DumpError::PastTheEnd {
            record: 1,
            block: 9,
            last_block: 8
        }
    );
    let reversed = dump(&[(9, key(2)), (3, key(1))]);
    assert_eq!(
        refused(&mut index, &reversed, 20),
        DumpError::Descending {
            record: 1,
            block: 3,
            previous: 9
        }
    );
    assert_eq!((index.count().unwrap(), index.checkpoint()), (0, None));
}

#[test]
fn a_file_that_is_no_database_is_refused_by_name_and_with_the_way_out() {
    let (_dir, path) = scratch();
    fs::write(
        &path,
        "<html>this is not SQLite, but it is long enough to look like a header ......</html>".repeat(20),
    )
    .unwrap();
    let error = ValidatorIndex::open(&path, &network()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }));
    let message = error.to_string();
    assert!(
        message.contains("operator.db") && message.contains("delete it"),
        "{message}"
    );
}

#[test]
fn a_missing_directory_is_refused_with_its_cause() {
    let (_dir, path) = scratch();
    let path = path.join("missing/operator.db");
    let error = ValidatorIndex::open(&path, &network()).unwrap_err();
    assert!(matches!(error, StoreError::Unusable { .. }), "{error:?}");
    assert!(std::error::Error::source(&error).is_some());
}

fn sound_database(validators: u16) -> (Vec<PublicKeyBytes>, Vec<u8>) {
    let (_dir, path) = scratch();
    let keys: Vec<PublicKeyBytes> = (0..validators)
        .map(|number| {
            let mut bytes = [0x5a; 48];
            bytes[..2].copy_from_slice(&number.wrapping_mul(31).to_be_bytes());
            PublicKeyBytes(bytes)
        })
        .collect();
    let mut index = ValidatorIndex::open(&path, &network()).unwrap();
    let rows: Vec<_> = keys.iter().zip(1..).map(|(key, block)| (*key, block)).collect();
    index.insert(&rows, 1_000, Deposits::Unknown).unwrap();
    drop(index);
    (keys, fs::read(&path).unwrap())
}

/// What a damaged file says is right, or less than it knew (so that the chain is read again), or an error.
/// Returns whether it was an error.
fn opens_with_right_answers_or_not_at_all(bytes: &[u8], keys: &[PublicKeyBytes], position: usize) -> bool {
    let (_dir, damaged) = scratch();
    fs::write(&damaged, bytes).unwrap();
    let answers = ValidatorIndex::open(&damaged, &network()).and_then(|index| {
        Ok((
            index.count_with(keys)?,
            index.count()?,
            index.contains(&keys[1])?,
            index.checkpoint(),
        ))
    });
    match answers {
        Ok((with_all, stored, known, checkpoint)) => {
            let all = keys.len() as u64;
            assert_eq!(with_all, all, "byte {position}");
            let complete = stored == all && known && checkpoint.is_some_and(|block| (all..=1_000).contains(&block));
            assert!(
                complete || (stored == 0 && checkpoint.is_none()),
                "byte {position}: {stored} {checkpoint:?}"
            );
            false
        }
        Err(StoreError::Damaged { .. } | StoreError::Unusable { .. }) => true,
        Err(other) => panic!("byte {position}: {other}"),
    }
}

/// Reliability E3, in small.
#[test]
fn a_flipped_byte_or_a_lost_end_never_gives_a_wrong_answer() {
    let (keys, sound) = sound_database(400);
    let mut refused = 0;
    for sample in 0..200usize {
        let mut bytes = sound.clone();
        let position = sample.wrapping_mul(2_654_435_761) % bytes.len();
        if sample % 5 == 0 {
            bytes.truncate(position);
        } else {
            bytes[position] ^= 1 << (sample % 8);
        }
        refused += usize::from(opens_with_right_answers_or_not_at_all(&bytes, &keys, position));
    }
    assert!(refused > 100, "{refused} of 200");
}

#[test]
fn no_single_byte_of_a_small_database_can_change_unnoticed() {
    let (keys, sound) = sound_database(3);
    let mut tried = 0;
    for position in 0..sound.len() {
        if sound[position] == 0 {
            continue;
        }
        let mut bytes = sound.clone();
        bytes[position] ^= 1 << (position % 8);
        opens_with_right_answers_or_not_at_all(&bytes, &keys, position);
        tried += 1;
    }
    assert!(tried > 800, "{tried}");
}

#[test]
fn the_index_can_move_to_another_thread() {
    let (_dir, path) = scratch();
    let index = ValidatorIndex::open(&path, &network()).unwrap();
    assert_eq!(std::thread::spawn(move || index.count().unwrap()).join().unwrap(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_count_is_that_of_a_set(batches in prop::collection::vec(prop::collection::vec(0u8..40, 0..20), 0..6), tail in prop::collection::vec(0u8..60, 0..20)) {
        let (_dir, path) = scratch();
        let mut index = ValidatorIndex::open(&path, &network()).unwrap();
        let mut expected: HashSet<u8> = HashSet::new();
        for (block, batch) in (1..).zip(&batches) {
            let rows: Vec<_> = batch.iter().map(|byte| (key(*byte), block)).collect();
            index.insert(&rows, block, Deposits::Unknown).unwrap();
            expected.extend(batch);
        }
        prop_assert_eq!(index.count().unwrap(), expected.len() as u64);
        expected.extend(&tail);
        let tail: Vec<_> = tail.iter().map(|byte| key(*byte)).collect();
        prop_assert_eq!(index.count_with(&tail).unwrap(), expected.len() as u64);
    }

    #[test]
    fn any_bytes_are_a_list_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (_dir, path) = scratch();
        let mut index = ValidatorIndex::open(&path, &network()).unwrap();
        let accepted = index.import_dump(&bytes, u64::from(u32::MAX)).is_ok();
        prop_assert!(accepted || index.count().unwrap() == 0);
    }
}
