use std::os::unix::fs::{PermissionsExt, symlink};

use alloy_primitives::Bytes;
use sw_spec::PublicKeyBytes;

use super::*;

fn entry(nonce: u64) -> JournalEntry {
    JournalEntry {
        kind: "register".to_owned(),
        keys: vec![PublicKeyBytes([nonce as u8; 48])],
        cancels: nonce == 9,
        from: Address::repeat_byte(1),
        chain_id: 1,
        nonce,
        hash: B256::left_padding_from(&nonce.to_be_bytes()),
        max_fee_per_gas: u128::from(u64::MAX) * 2,
        max_priority_fee_per_gas: 3,
        signed_at: Some(1000 + nonce),
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

/// As the first release wrote it.
const FORMAT_1: &str = concat!(
    r#"{"record":{"start":{"version":1,"address":"0x0101010101010101010101010101010101010101","chain_id":1,"nonce":7}},"sum":"8ebf1294174a15fe0017cade77d6761c"}"#,
    "\n",
    r#"{"record":{"intent":{"kind":"register","keys":[],"from":"0x0101010101010101010101010101010101010101","chain_id":1,"nonce":7,"hash":"0x0707070707070707070707070707070707070707070707070707070707070707","max_fee_per_gas":"0x2","raw":"0x0203"}},"sum":"f1ec8aae21dd8967bed6c18869df5152"}"#,
    "\n",
    r#"{"record":{"outcome":{"hash":"0x0707070707070707070707070707070707070707070707070707070707070707","state":"sent"}},"sum":"ba21731d54513cc0584fab5ecd21500d"}"#,
    "\n",
);

#[test]
fn the_first_format_is_read_and_brought_to_this_one_which_the_first_release_refuses() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    std::fs::write(&path, FORMAT_1).expect("writes");
    for look in 0..2 {
        let journal = Journal::open(&path).expect("opens");
        let entry = &journal.entries()[0];
        assert_eq!(
            (entry.nonce, entry.state, entry.cancels, entry.signed_at),
            (7, EntryState::Sent, false, None),
            "look {look}"
        );
        assert_eq!(journal.start(Address::repeat_byte(1), 1), Some(7));
    }
    let text = std::fs::read_to_string(&path).expect("reads");
    assert!(text.starts_with(r#"{"record":{"start":{"version":2,"#), "{text}");
    let names: Vec<_> = directory
        .path()
        .read_dir()
        .expect("lists")
        .map(|entry| entry.expect("there").file_name())
        .collect();
    assert_eq!(names, ["journal"]);
}

#[test]
fn a_later_format_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    filled(&path);
    let text = std::fs::read_to_string(&path).expect("reads");
    let record = text
        .lines()
        .next()
        .expect("a line")
        .replace(r#""version":2"#, r#""version":3"#);
    let record = record
        .split_once(r#","sum""#)
        .expect("a sum")
        .0
        .strip_prefix(r#"{"record":"#)
        .expect("a record");
    let sum = hex::encode(Sum::of(&Sum::default(), record).0);
    std::fs::write(&path, format!("{{\"record\":{record},\"sum\":\"{sum}\"}}\n")).expect("writes");
    assert!(matches!(
        Journal::open(&path),
        Err(JournalError::Newer { version: 3, .. })
    ));
}

const NONCES: u64 = 40;

fn block_of(nonce: u64) -> u64 {
    1000 + 5 * nonce
}

/// A journal of many blocks, with refusals between them.
fn long(path: &Path) -> Journal {
    let mut journal = Journal::open(path).expect("opens");
    journal.adopt(Address::repeat_byte(1), 1, 0).expect("adopts");
    for nonce in 0..NONCES {
        let mut refused = entry(nonce);
        refused.hash = B256::left_padding_from(&(0x1000 + nonce).to_be_bytes());
        refused.raw = Bytes::from(vec![4; 4000]);
        journal.intend(refused.clone()).expect("writes");
        journal.learn(refused.hash, EntryState::Rejected).expect("writes");
        journal.intend(entry(nonce)).expect("writes");
        let (block, success) = (block_of(nonce), true);
        journal
            .learn(entry(nonce).hash, EntryState::Mined { block, success })
            .expect("writes");
    }
    journal
}

#[test]
fn a_start_leaves_out_what_can_never_matter_again_and_accounts_for_every_nonce_still() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    drop(long(&path));
    let before = path.metadata().expect("exists").len();
    for _ in 0..2 {
        let journal = Journal::open(&path).expect("opens");
        assert!(path.metadata().expect("exists").len() * 2 < before);
        assert_eq!(journal.start(Address::repeat_byte(1), 1), Some(0));
        for nonce in 0..NONCES {
            let family: Vec<_> = journal.entries().iter().filter(|entry| entry.nonce == nonce).collect();
            let settled = block_of(nonce) + 64 <= block_of(NONCES - 1);
            assert_eq!(family.len(), if settled { 1 } else { 2 }, "{nonce}");
            let winner = family.last().expect("the one that was mined");
            assert_eq!(
                winner.state,
                EntryState::Mined {
                    block: block_of(nonce),
                    success: true
                }
            );
            assert_eq!(winner.raw.is_empty(), settled, "what may have to be put back is kept");
        }
        assert!(
            matches!(Journal::open(&path), Err(JournalError::InUse { .. })),
            "the new file is locked, too"
        );
    }
    let mode = path.metadata().expect("exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn refusals_do_not_make_it_grow_without_bound() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let mut journal = Journal::open(&path).expect("opens");
    journal.adopt(Address::repeat_byte(1), 1, 7).expect("adopts");
    let mut sent = entry(7);
    journal.intend(sent.clone()).expect("writes");
    journal.learn(sent.hash, EntryState::Sent).expect("writes");
    let mut largest = 0;
    for attempt in 0..200_u64 {
        let mut refused = entry(7);
        refused.hash = B256::left_padding_from(&(0x1000 + attempt).to_be_bytes());
        refused.raw = Bytes::from(vec![4; 40_000]);
        journal.intend(refused.clone()).expect("writes");
        journal.learn(refused.hash, EntryState::Rejected).expect("writes");
        largest = largest.max(path.metadata().expect("exists").len());
        sent.nonce = attempt;
    }
    assert!(largest < MOST_GROWTH * 3, "{largest}");
    assert!(journal.entries().len() < 150);
    let entries = journal.entries().to_vec();
    drop(journal);
    let journal = Journal::open(&path).expect("opens");
    assert_eq!(journal.entries()[0].hash, entry(7).hash, "what a node took stays");
    assert_eq!(journal.entries().last(), entries.last());
}

#[test]
fn a_process_that_waited_at_the_old_file_does_not_get_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let first = long(&path);
    let old = File::open(&path).expect("opens");
    drop(first);
    let journal = Journal::open(&path).expect("opens");
    old.try_lock().expect("nobody has the old file any more");
    let (ours, there) = (old.metadata().expect("is open"), path.metadata().expect("exists"));
    assert_ne!(ours.ino(), there.ino());
    assert!(matches!(Journal::open(&path), Err(JournalError::InUse { .. })));
    drop(journal);
}

#[test]
fn what_a_rewriting_that_was_cut_short_leaves_does_no_harm() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    drop(long(&path));
    std::fs::write(directory.path().join("journal.new"), b"half a rec").expect("writes");
    let journal = Journal::open(&path).expect("opens");
    assert_eq!(journal.entries().iter().filter(|entry| entry.nonce == 0).count(), 1);
    assert!(!directory.path().join("journal.new").exists());
}
