use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn entry(nonce: u64) -> JournalEntry {
    JournalEntry {
        kind: "register".to_owned(),
        keys: vec![PublicKeyBytes([nonce as u8; 48])],
        from: Address::repeat_byte(1),
        chain_id: 1,
        nonce,
        hash: B256::repeat_byte(nonce as u8),
        max_fee_per_gas: u128::from(u64::MAX) * 2,
        raw: Bytes::from(vec![2, 3]),
        state: EntryState::Intended,
    }
}

fn filled(path: &Path) -> Vec<JournalEntry> {
    let mut journal = Journal::open(path).expect("opens");
    journal.adopt(Address::repeat_byte(1), 1, 7).expect("adopts");
    for nonce in 7..10 {
        journal.intend(entry(nonce)).expect("writes");
    }
    journal.learn(entry(7).hash, EntryState::Sent).expect("writes");
    journal
        .learn(
            entry(7).hash,
            EntryState::Mined {
                block: 5,
                success: false,
            },
        )
        .expect("writes");
    journal.learn(entry(8).hash, EntryState::Rejected).expect("writes");
    journal.entries().to_vec()
}

#[test]
fn what_was_written_is_read_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("transactions.journal");
    let written = filled(&path);
    let journal = Journal::open(&path).expect("opens");
    assert_eq!(journal.entries(), written);
    assert_eq!(
        journal.entries()[0].state,
        EntryState::Mined {
            block: 5,
            success: false
        }
    );
    assert_eq!(journal.entries()[2].raw, Bytes::from(vec![2, 3]));
    assert_eq!(journal.start(Address::repeat_byte(1), 1), Some(7));
    assert_eq!(journal.start(Address::repeat_byte(1), 2), None);
    let mode = path.metadata().expect("exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_is_known_is_not_written_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    filled(&path);
    let length = path.metadata().expect("exists").len();
    Journal::open(&path)
        .expect("opens")
        .learn(entry(8).hash, EntryState::Rejected)
        .expect("nothing to write");
    assert_eq!(path.metadata().expect("exists").len(), length);
}

#[test]
fn a_second_process_is_kept_out_until_the_first_is_gone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let first = Journal::open(&path).expect("opens");
    assert!(matches!(Journal::open(&path), Err(JournalError::InUse { .. })));
    drop(first);
    Journal::open(&path).expect("opens");
}

#[test]
fn a_symbolic_link_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    symlink(directory.path().join("elsewhere"), &path).expect("a link");
    assert!(matches!(
        Journal::open(&path),
        Err(JournalError::Io { action: "open", .. })
    ));
}

#[test]
fn a_torn_last_line_is_dropped_wherever_it_is_torn() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let written = filled(&path);
    let text = std::fs::read(&path).expect("reads");
    let last_line = text[..text.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .expect("several lines")
        + 1;
    let mut tried = 0;
    for end in (last_line..text.len()).step_by(5) {
        std::fs::write(&path, &text[..end]).expect("writes");
        let mut journal = Journal::open(&path).expect("opens");
        assert_eq!(journal.entries()[0], written[0]);
        assert_eq!(
            journal.entries()[1].state,
            EntryState::Intended,
            "the rejection of the second is lost"
        );
        journal.intend(entry(10)).expect("writes");
        drop(journal);
        assert_eq!(Journal::open(&path).expect("opens").entries().len(), written.len() + 1);
        tried += 1;
    }
    assert!(tried > 20);
}

#[test]
fn every_other_damage_is_an_error_that_names_the_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    filled(&path);
    let text = std::fs::read(&path).expect("reads");
    let mut tried = 0;
    for position in (0..text.len()).filter(|position| text[*position] != b'\n') {
        let mut damaged = text.clone();
        damaged[position] ^= 1;
        if damaged[position] == b'\n' {
            continue;
        }
        std::fs::write(&path, damaged).expect("writes");
        let line = text[..position].iter().filter(|byte| **byte == b'\n').count() + 1;
        assert!(
            matches!(Journal::open(&path), Err(JournalError::Corrupt { line: named, .. }) if named == line),
            "byte {position}"
        );
        tried += 1;
    }
    assert!(tried > 1000);
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    for left_out in 0..lines.len() - 1 {
        let rest: Vec<u8> = lines
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != left_out)
            .flat_map(|(_, line)| line.to_vec())
            .collect();
        std::fs::write(&path, rest).expect("writes");
        assert!(
            matches!(Journal::open(&path), Err(JournalError::Corrupt { .. })),
            "without line {left_out}"
        );
    }
}
