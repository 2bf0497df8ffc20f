//! The index against the rules of the original and against damaged files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
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
    index
        .insert_proven(&rows, 1_000, B256::repeat_byte(4), tree(3))
        .unwrap();
    drop(index);
    (keys, fs::read(&path).unwrap())
}

/// What a damaged file says is right, or it is set aside and nothing is said (so that the chain is read again).
/// Returns whether it was set aside.
fn gives_right_answers_or_is_rebuilt(bytes: &[u8], keys: &[PublicKeyBytes], position: usize) -> bool {
    let (_dir, damaged) = scratch();
    fs::write(&damaged, bytes).unwrap();
    let opened = ValidatorIndex::open_or_rebuild(&damaged, &network()).and_then(|(mut index, set_aside)| {
        assert!(index.proven().is_none(), "byte {position}");
        let later = index.verify_or_rebuild()?;
        Ok((index, set_aside.or(later)))
    });
    let (index, set_aside) = match opened {
        Ok(opened) => opened,
        Err(error) => panic!("byte {position}: {error}: {:?}", std::error::Error::source(&error)),
    };
    let all = keys.len() as u64;
    assert_eq!(index.count_with(keys).unwrap(), all, "byte {position}");
    if index.count().unwrap() == 0 {
        assert_eq!((index.checkpoint(), index.proven()), (None, None), "byte {position}");
    } else {
        assert_eq!(index.count().unwrap(), all, "byte {position}");
        assert!(
            keys.iter()
                .zip(1..)
                .all(|(key, block)| index.block_of(key).unwrap() == Some(block)),
            "byte {position}"
        );
        match index.proven() {
            Some(proven) => assert_eq!(proven, (1_000, &tree(3)), "byte {position}"),
            // Our table's name was hit: what is left is a database of the original, which has no proof.
            None => assert_eq!(index.scanned().unwrap().deposits, Deposits::Unknown, "byte {position}"),
        }
    }
    if let Some(SetAside { kept, finding }) = &set_aside {
        assert!(
            fs::read(kept).unwrap() == bytes,
            "byte {position}: it is kept as it was"
        );
        assert!(!finding.is_empty(), "byte {position}");
    }
    set_aside.is_some()
}

/// How many cases: few by default, because every one writes a file.
fn cases(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Reliability E3. `DAMAGED_DATABASES` says how many.
#[test]
fn a_flipped_byte_or_a_lost_end_never_gives_a_wrong_answer() {
    let (keys, sound) = sound_database(400);
    let wanted = cases("DAMAGED_DATABASES", 100);
    let mut set_aside = 0;
    for sample in 0..wanted {
        let mut bytes = sound.clone();
        let position = sample.wrapping_mul(2_654_435_761) % bytes.len();
        if sample % 5 == 0 {
            bytes.truncate(position);
        } else {
            bytes[position] ^= 1 << (sample % 8);
        }
        set_aside += usize::from(gives_right_answers_or_is_rebuilt(&bytes, &keys, position));
    }
    println!("{wanted} damaged databases: {set_aside} set aside and begun anew, the rest right");
    assert!(set_aside > wanted / 2, "{set_aside} of {wanted}");
}

/// `CHANGED_BYTES` says how many; there are less than 2,000 that are not zero.
#[test]
fn no_single_byte_of_a_small_database_can_change_unnoticed() {
    let (keys, sound) = sound_database(3);
    let used: Vec<usize> = (0..sound.len()).filter(|position| sound[*position] != 0).collect();
    let wanted = cases("CHANGED_BYTES", 100);
    let mut tried = 0;
    for position in used.iter().copied().step_by((used.len() / wanted).max(1)) {
        let mut bytes = sound.clone();
        bytes[position] ^= 1 << (position % 8);
        gives_right_answers_or_is_rebuilt(&bytes, &keys, position);
        tried += 1;
    }
    assert!(tried >= wanted.min(used.len()), "{tried} of {}", used.len());
}

#[test]
fn a_changed_row_is_noticed_even_by_somebody_who_knows_sqlite() {
    for change in [
        "DELETE FROM hoodi_network_validators WHERE block_number = 2",
        "UPDATE hoodi_network_validators SET block_number = 4 - block_number WHERE block_number < 4",
        "INSERT INTO hoodi_network_validators SELECT replace(public_key, '5a', '5b'), 7 FROM hoodi_network_validators LIMIT 1",
        "UPDATE hoodi_network_validators SET public_key = replace(public_key, '5a', '5b') WHERE block_number = 1",
        "UPDATE hoodi_deposit_history SET validators = validators + 1",
        "UPDATE hoodi_deposit_history SET tree = zeroblob(1032)",
        "UPDATE hoodi_deposit_history SET anchor_block_number = block_number - 1",
        "UPDATE hoodi_deposit_history SET deposits = NULL, tree = NULL",
    ] {
        let (_, sound) = sound_database(5);
        let (_dir, path) = scratch();
        fs::write(&path, sound).unwrap();
        let changed = Connection::open(&path).unwrap();
        assert!(changed.execute(change, []).unwrap() > 0, "{change}");
        drop(changed);
        let error = ValidatorIndex::open(&path, &network()).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{change}: {error}");
    }
}

#[test]
fn a_damaged_database_is_kept_under_another_name_and_the_new_one_works() {
    let (dir, path) = scratch();
    for number in 1..=12 {
        fs::write(&path, format!("no database, number {number}").repeat(100)).unwrap();
        let (mut index, set_aside) = ValidatorIndex::open_or_rebuild(&path, &network()).unwrap();
        let kept = set_aside.unwrap().kept;
        assert!(
            fs::read_to_string(&kept)
                .unwrap()
                .starts_with(&format!("no database, number {number}"))
        );
        index.insert(&[(key(1), 1)], 7, Deposits::Unknown).unwrap();
        drop(index);
        let (index, set_aside) = ValidatorIndex::open_or_rebuild(&path, &network()).unwrap();
        assert_eq!((index.checkpoint(), set_aside), (Some(7), None));
    }
    // The first damaged file is there for whoever wants to know, and a disk that damages files is not filled with them.
    assert!(
        fs::read_to_string(dir.path().join("operator.db.damaged"))
            .unwrap()
            .contains("number 1no")
    );
    assert!(fs::read_dir(dir.path()).unwrap().count() < 15);
}

#[test]
fn the_database_of_another_program_is_set_aside_untouched() {
    let (_dir, path) = scratch();
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch("CREATE TABLE songs (name TEXT); INSERT INTO songs VALUES ('x')")
        .unwrap();
    drop(other);
    let before = fs::read(&path).unwrap();
    let (index, set_aside) = ValidatorIndex::open_or_rebuild(&path, &network()).unwrap();
    let set_aside = set_aside.unwrap();
    assert!(set_aside.finding.contains("another program"), "{set_aside:?}");
    assert_eq!((fs::read(set_aside.kept).unwrap(), index.checkpoint()), (before, None));
}

fn tree(deposits: u64) -> DepositTree {
    let mut tree = DepositTree::new();
    for _ in 0..deposits {
        tree.push(B256::repeat_byte(7)).unwrap();
    }
    tree
}

#[test]
fn what_is_not_proven_is_dropped_and_what_is_proven_stays() {
    let (_dir, path) = scratch();
    let mut index = ValidatorIndex::open(&path, &network()).unwrap();
    index.insert(&[(key(1), 3)], 5, Deposits::Tree(tree(1))).unwrap();
    assert_eq!(index.proven(), None);
    assert_eq!(index.drop_unproven().unwrap(), 1);
    assert_eq!((index.checkpoint(), index.count().unwrap()), (None, 0));

    index
        .insert_proven(&[(key(1), 3)], 10, B256::repeat_byte(1), tree(2))
        .unwrap();
    index
        .insert(&[(key(2), 11), (key(1), 12)], 20, Deposits::Tree(tree(4)))
        .unwrap();
    index.insert(&[(key(3), 30)], 30, Deposits::Tree(tree(5))).unwrap();
    drop(index);
    let mut index = ValidatorIndex::open(&path, &network()).unwrap();
    assert_eq!((index.proven(), index.checkpoint()), (None, Some(30)));
    assert_eq!(index.scanned().unwrap().deposits, Deposits::Tree(tree(5)));
    assert_eq!(index.drop_unproven().unwrap(), 2);
    drop(index);
    let mut index = ValidatorIndex::open(&path, &network()).unwrap();
    assert_eq!(index.proven(), Some((10, &tree(2))));
    assert_eq!(index.anchor().unwrap().hash, Some(B256::repeat_byte(1)));
    assert_eq!((index.block_of(&key(1)).unwrap(), index.count().unwrap()), (Some(3), 1));
    assert_eq!((index.clear().unwrap(), index.anchor()), (1, None));
    drop(index);
    assert_eq!(ValidatorIndex::open(&path, &network()).unwrap().checkpoint(), None);
}

#[test]
fn what_comes_without_a_tree_is_kept_and_never_called_proven() {
    let (_dir, path) = scratch();
    let mut index = ValidatorIndex::open(&path, &network()).unwrap();
    index.import_dump(&dump(&[(3, key(1)), (9, key(2))]), 20).unwrap();
    index.insert(&[(key(3), 25)], 30, Deposits::Count(77)).unwrap();
    drop(index);
    let mut index = ValidatorIndex::open(&path, &network()).unwrap();
    assert_eq!(index.scanned().unwrap().deposits.count(), Some(77));
    assert_eq!(index.proven(), None);
    assert_eq!(index.drop_unproven().unwrap(), 1);
    assert_eq!(
        (index.checkpoint(), index.proven(), index.count().unwrap()),
        (Some(20), None, 2)
    );
}

/// What the original adds to a database of ours is read again, with proof.
#[test]
fn rows_that_the_original_added_after_us_go_and_ours_stay() {
    let (_dir, path) = scratch();
    let mut index = ValidatorIndex::open(&path, &network()).unwrap();
    index.insert_proven(&[(key(1), 3)], 10, B256::ZERO, tree(1)).unwrap();
    drop(index);
    let original = Connection::open(&path).unwrap();
    let row = format!("INSERT INTO hoodi_network_validators VALUES ('{}', 11)", key(9));
    original.execute(&row, []).unwrap();
    drop(original);
    let index = ValidatorIndex::open(&path, &network()).unwrap();
    assert_eq!((index.proven(), index.count().unwrap()), (Some((10, &tree(1))), 1));
}

/// `ROWS` says how many.
#[test]
fn opening_does_not_read_the_rows_and_it_says_how_long_that_takes() {
    let rows = cases("ROWS", 2_000) as u64;
    let (_dir, path) = scratch();
    let mut index = ValidatorIndex::open(&path, &network()).unwrap();
    let rows: Vec<_> = (0..rows)
        .map(|number| {
            let bytes = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().repeat(6);
            (PublicKeyBytes::try_from(bytes.as_slice()).unwrap(), number / 4)
        })
        .collect();
    index
        .insert_proven(&rows, rows.len() as u64, B256::ZERO, tree(1))
        .unwrap();
    drop(index);
    let start = std::time::Instant::now();
    let (mut index, _) = ValidatorIndex::open_or_rebuild(&path, &network()).unwrap();
    println!("{} rows opened in {:?}", rows.len(), start.elapsed());
    assert_eq!(index.proven(), None, "before they are verified");
    let start = std::time::Instant::now();
    assert_eq!(index.verify_or_rebuild().unwrap(), None);
    println!("and verified in {:?}", start.elapsed());
    assert!(index.proven().is_some());
    assert_eq!(index.count().unwrap(), rows.len() as u64);
}

#[test]
fn rows_that_were_changed_are_put_aside_before_anything_is_written_or_called_proven() {
    let (_, sound) = sound_database(5);
    let (_dir, path) = scratch();
    fs::write(&path, sound).unwrap();
    let changed = Connection::open(&path).unwrap();
    changed
        .execute("DELETE FROM hoodi_network_validators WHERE block_number = 2", [])
        .unwrap();
    drop(changed);
    let (mut index, set_aside) = ValidatorIndex::open_or_rebuild(&path, &network()).unwrap();
    assert_eq!((set_aside, index.proven()), (None, None));
    let error = index.insert(&[(key(1), 1_001)], 1_001, Deposits::Unknown).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    let kept = index.verify_or_rebuild().unwrap().expect("it is damaged").kept;
    assert!(kept.exists());
    assert_eq!((index.count().unwrap(), index.checkpoint()), (0, None));
    index.insert(&[(key(1), 3)], 5, Deposits::Unknown).unwrap();
    drop(index);
    assert_eq!(ValidatorIndex::open(&path, &network()).unwrap().checkpoint(), Some(5));
}

#[test]
fn the_index_can_move_to_another_thread() {
    let (_dir, path) = scratch();
    let index = ValidatorIndex::open(&path, &network()).unwrap();
    assert_eq!(std::thread::spawn(move || index.count().unwrap()).join().unwrap(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases("STORE_CASES", 16) as u32))]

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
