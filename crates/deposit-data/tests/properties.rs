//! Proofs of random selections, files of random bytes, and every fault of a file.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test code: what is not as expected must fail"
)]

mod contract;

use std::sync::LazyLock;

use proptest::prelude::*;
use sw_deposit_data::{
    Clash, DepositDataFile, DepositDataFileError, DepositEntry, EntryFault, Fault, MergeConflict, Place, RECORD_LENGTH,
    StandardTree, TreeError, ValidatorsTree, merge, merge_conflicts, standard_leaf,
};
use sw_keys::{SecretKey, SignedRoot, verify};
use sw_spec::{Address, B256, ForkVersion, Gwei, Network, PublicKeyBytes, SignatureBytes, WithdrawalCredentials};

const VAULT: Address = Address::repeat_byte(0x42);

/// Entries whose signatures nobody checks.
fn unsigned(count: usize) -> DepositDataFile {
    let entry = |number: usize| {
        let mut public_key = PublicKeyBytes([0; 48]);
        public_key.0[..8].copy_from_slice(&number.to_be_bytes());
        DepositEntry::from_signature(public_key, SignatureBytes([7; 96]), VAULT, &Network::Hoodi.spec())
    };
    DepositDataFile::new((0..count).map(entry).collect())
}

/// The leaves of [`TREE`], by index.
static LEAVES: LazyLock<Vec<B256>> = LazyLock::new(|| {
    let nodes = TREE.tree().nodes();
    (0..TREE.len())
        .map(|index| nodes[TREE.tree().leaf_node(index).expect("a leaf")])
        .collect()
});

static TREE: LazyLock<ValidatorsTree> =
    LazyLock::new(|| ValidatorsTree::new(VAULT, &unsigned(300)).expect("300 leaves"));

/// `DepositDataRegistry.registerValidators`: each record becomes a leaf with its index, and goes where `indexes` says.
fn leaves_on_chain(validators: &[u8], first_index: usize, indexes: &[usize]) -> Vec<B256> {
    let mut leaves = vec![B256::ZERO; indexes.len()];
    for (offset, (record, position)) in validators.chunks(RECORD_LENGTH).zip(indexes).enumerate() {
        let word = |value: usize| B256::from(alloy_primitives::U256::from(value));
        let encoded = [
            &word(64)[..],
            &word(first_index + offset)[..],
            &word(RECORD_LENGTH)[..],
            record,
            &[0; 16],
        ]
        .concat();
        leaves[*position] = standard_leaf(&encoded);
    }
    leaves
}

#[test]
fn an_empty_file_has_no_tree_and_a_wrong_selection_no_proof() {
    assert_eq!(ValidatorsTree::new(VAULT, &unsigned(0)).err(), Some(TreeError::Empty));
    let tree = ValidatorsTree::new(VAULT, &unsigned(3)).expect("a tree");
    assert_eq!(tree.multiproof(&[]), Err(TreeError::NothingSelected));
    assert_eq!(
        tree.multiproof(&[0, 3]),
        Err(TreeError::OutOfRange { position: 3, leaves: 3 })
    );
    assert_eq!(tree.multiproof(&[1, 0, 1]), Err(TreeError::SelectedTwice(1)));
}

#[test]
fn a_validator_that_stands_twice_is_found_at_its_first_place() {
    let entries = unsigned(2).entries().to_vec();
    let file = DepositDataFile::new([entries.clone(), entries.clone()].concat());
    let tree = ValidatorsTree::new(VAULT, &file).expect("a tree");
    assert_eq!(tree.len(), 4);
    assert_eq!(tree.position(&entries[1].public_key), Some(1));
    assert_eq!(tree.position(&PublicKeyBytes([0xff; 48])), None);
}

#[test]
fn ten_thousand_entries_have_a_tree() {
    let file = unsigned(10_000);
    let parsed = DepositDataFile::parse(file.to_json().as_bytes()).expect("a file");
    assert_eq!(parsed, file);
    let tree = ValidatorsTree::new(VAULT, &parsed).expect("a tree");
    let proof = tree.multiproof(&(9_990..10_000).collect::<Vec<_>>()).expect("a proof");
    let leaves = leaves_on_chain(&proof.validators, 9_990, &proof.indexes);
    assert_eq!(
        contract::process_multiproof(&proof.proof, &proof.flags, &leaves),
        Some(tree.root())
    );
}

#[test]
fn every_fault_of_every_entry_is_reported() {
    let network = Network::Hoodi.spec();
    let key = |number: u8| SecretKey::from_bytes(&[number; 32]).expect("a key");
    let sound: Vec<DepositEntry> = (1..=9)
        .map(|number| DepositEntry::sign(&key(number), VAULT, &network))
        .collect();
    let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    DepositDataFile::new(sound.clone())
        .verify(VAULT, &network, &mut rng)
        .expect("sound");

    let mut entries = sound.clone();
    let mut expected = Vec::new();
    let mut expect = |index: usize, public_key, fault| {
        expected.push(EntryFault {
            index,
            public_key,
            fault,
        })
    };
    let other_vault = WithdrawalCredentials::execution(Address::ZERO);
    let compounding = WithdrawalCredentials::compounding(VAULT);
    entries[0].withdrawal_credentials = Some(other_vault);
    expect(0, sound[0].public_key, Fault::OtherVault(other_vault));
    entries[1].amount = Some(Gwei(31_000_000_000));
    expect(1, sound[1].public_key, Fault::OtherAmount(Gwei(31_000_000_000)));
    entries[2].fork_version = Some(ForkVersion([9; 4]));
    entries[2].network_name = Some("mainnet".to_owned());
    expect(2, sound[2].public_key, Fault::OtherForkVersion(ForkVersion([9; 4])));
    expect(2, sound[2].public_key, Fault::OtherNetwork("mainnet".to_owned()));
    entries[3] = sound[1].clone();
    expect(3, sound[1].public_key, Fault::Duplicate { first: 1 });
    entries[4].deposit_message_root = Some(B256::ZERO);
    entries[4].deposit_data_root = Some(B256::ZERO);
    expect(4, sound[4].public_key, Fault::OtherMessageRoot(B256::ZERO));
    expect(4, sound[4].public_key, Fault::OtherDataRoot(B256::ZERO));
    // Signed for another network, but stated to be for this one.
    let elsewhere = DepositEntry::sign(&key(6), VAULT, &Network::Mainnet.spec());
    entries[5] = DepositEntry::from_signature(elsewhere.public_key, elsewhere.signature, VAULT, &network);
    expect(5, sound[5].public_key, Fault::BadSignature);
    // Only the public key and the signature, which are right.
    entries[6] = DepositEntry {
        withdrawal_credentials: None,
        amount: None,
        deposit_message_root: None,
        deposit_data_root: None,
        fork_version: None,
        network_name: None,
        deposit_cli_version: None,
        ..entries[6].clone()
    };
    entries[7].withdrawal_credentials = Some(compounding);
    expect(7, sound[7].public_key, Fault::OtherVault(compounding));

    let error = DepositDataFile::new(entries)
        .verify(VAULT, &network, &mut rng)
        .expect_err("faults");
    assert_eq!(error.faults, expected);
    let message = error.to_string();
    assert!(
        message.starts_with("7 of 9 deposits are not sound: entry 0 (0x"),
        "{message}"
    );
    assert!(message.ends_with("; and 6 more"), "{message}");
}

#[test]
fn a_validator_is_found_twice_however_its_key_is_written() {
    let network = Network::Hoodi.spec();
    let entry = DepositEntry::sign(&SecretKey::from_bytes(&[1; 32]).expect("a key"), VAULT, &network);
    let plain = DepositDataFile::new(vec![entry.clone()]).to_json();
    let digits = hex::encode(entry.public_key.as_bytes());
    for other in [
        digits.clone(),
        digits.to_uppercase(),
        format!("0x{digits}"),
        format!("0x{}", digits.to_uppercase()),
    ] {
        let twice = merge(&[plain.clone(), plain.replace(&digits, &other)]).expect("lists");
        let file = DepositDataFile::parse(twice.as_bytes()).expect("a file");
        let error = file
            .verify_with(VAULT, &network, |claims| vec![true; claims.len()])
            .expect_err("a duplicate");
        let faults: Vec<_> = error.faults.iter().map(|found| (found.index, &found.fault)).collect();
        assert_eq!(faults, [(1, &Fault::Duplicate { first: 0 })], "{other}");
    }
}

#[test]
fn members_of_the_wrong_type_are_refused() {
    let network = Network::Hoodi.spec();
    let entry = DepositEntry::sign(&SecretKey::from_bytes(&[1; 32]).expect("a key"), VAULT, &network);
    let json = DepositDataFile::new(vec![entry]).to_json();
    let sound: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let members = sound[0].as_object().expect("an entry");
    assert_eq!(members.len(), 9);
    let wrong = [
        "null",
        "true",
        "-1",
        "1.5",
        "1e30",
        "[]",
        "{}",
        "\"\"",
        "\"zz\"",
        "18446744073709551616",
    ];
    let mut refused = 0;
    for (member, stated) in members {
        for value in wrong {
            let text = json.replacen(&format!("\"{member}\": {stated}"), &format!("\"{member}\": {value}"), 1);
            assert_ne!(text, json);
            let Ok(file) = DepositDataFile::parse(text.as_bytes()) else {
                refused += 1;
                continue;
            };
            // What need not be there may be null, and a name may be any text.
            let optional = !matches!(member.as_str(), "pubkey" | "signature") && value == "null";
            let name = matches!(member.as_str(), "network_name" | "deposit_cli_version") && value.starts_with('"');
            assert!(optional || name, "{member}: {value}");
            let holds = file.verify_with(VAULT, &network, |claims| vec![true; claims.len()]);
            assert_eq!(holds.is_err(), name && member == "network_name", "{member}: {value}");
        }
    }
    assert_eq!(refused, 9 * wrong.len() - 7 - 4);
}

#[test]
fn files_that_do_not_go_together_are_named_with_both_places() {
    let entry = |number: u8, vault| {
        let (key, signature) = (PublicKeyBytes([number; 48]), SignatureBytes([number; 96]));
        DepositEntry::from_signature(key, signature, vault, &Network::Hoodi.spec())
    };
    let bare = |number: u8| DepositEntry {
        withdrawal_credentials: None,
        fork_version: None,
        ..entry(number, VAULT)
    };
    let mut of_mainnet = entry(6, VAULT);
    of_mainnet.fork_version = Some(ForkVersion([0; 4]));
    let files = [
        DepositDataFile::new(vec![bare(1), entry(2, VAULT), entry(3, VAULT)]),
        DepositDataFile::new(vec![entry(2, VAULT), bare(4), of_mainnet]),
        DepositDataFile::new(vec![entry(5, Address::ZERO), entry(7, Address::ZERO), bare(7)]),
    ];
    assert_eq!(merge_conflicts(&files[..1]), []);
    let place = |file, entry| Place { file, entry };
    let conflict = |first, second, clash| MergeConflict { first, second, clash };
    let credentials = WithdrawalCredentials::execution;
    assert_eq!(
        merge_conflicts(&files),
        [
            conflict(place(0, 1), place(1, 0), Clash::SameValidator(PublicKeyBytes([2; 48]))),
            conflict(
                place(0, 1),
                place(1, 2),
                Clash::OtherNetwork(ForkVersion([0x10, 0, 0x09, 0x10]), ForkVersion([0; 4]))
            ),
            conflict(
                place(0, 1),
                place(2, 0),
                Clash::OtherVault(credentials(VAULT), credentials(Address::ZERO))
            ),
            conflict(place(2, 1), place(2, 2), Clash::SameValidator(PublicKeyBytes([7; 48]))),
        ]
    );
}

#[test]
fn what_is_not_a_deposit_data_file_says_where() {
    let refused = |text: &str| {
        let error = DepositDataFile::parse(text.as_bytes()).expect_err("refused");
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(matches!(error, DepositDataFileError::Malformed(_)));
        cause
    };
    let words = "walnut zebra trumpet";
    for secret in [
        format!(r#""{words}""#),
        format!(r#"["{words}"]"#),
        format!(r#"[{{"pubkey": "{words}", "signature": "{words}"}}]"#),
    ] {
        let said = refused(&secret);
        assert!(said.contains("expected ") && !said.contains("walnut"), "{said}");
    }
    let good = unsigned(2).to_json();
    assert!(refused("").starts_with("EOF"));
    assert!(refused("{}").contains("expected a list of deposits"));
    assert!(refused(&format!("{good}]")).contains("trailing characters"));
    for element in ["1", "\"two\"", "true", "[]", "[\"90\", \"01\", 32000000000, \"89\"]"] {
        let cause = refused(&format!("[{element}]"));
        assert!(cause.contains("expected a deposit at line 1"), "{element}: {cause}");
    }
    assert!(refused(&good.replace("signature", "signatur")).contains("missing field `signature`"));
    assert!(refused(&good.replacen("0000", "00", 1)).contains("expected 48 bytes"));
    let fork = "\"fork_version\": \"10000910\"";
    let cause = refused(&good.replace(fork, "\"fork_version\": \"100009\""));
    assert!(cause.starts_with("`fork_version` of element 0 is malformed"), "{cause}");
    assert_eq!(DepositDataFile::parse(b"[]").expect("a file").entries(), []);
}

/// A sound entry, what it claims, and the file.
static SOUND: LazyLock<(DepositEntry, SignedRoot, String)> = LazyLock::new(|| {
    let network = Network::Hoodi.spec();
    let entry = DepositEntry::sign(&SecretKey::from_bytes(&[1; 32]).expect("a key"), VAULT, &network);
    let claim = SignedRoot {
        public_key: entry.public_key,
        root: entry
            .deposit_data(VAULT)
            .message
            .signing_root(network.genesis_fork_version),
        signature: entry.signature,
    };
    assert!(verify(&claim));
    let json = DepositDataFile::new(vec![entry.clone()]).to_json();
    (entry, claim, json)
});

/// Whether a file of one entry passes. That the sound entry's own claim holds need not be computed each time.
fn passes(file: &DepositDataFile) -> bool {
    let holds = |claim: &SignedRoot| *claim == SOUND.1 || verify(claim);
    file.verify_with(VAULT, &Network::Hoodi.spec(), |claims| {
        claims.iter().map(holds).collect()
    })
    .is_ok()
}

/// Whether what an entry states is what the sound entry states, as far as it states it.
fn says_the_same(entry: &DepositEntry) -> bool {
    fn agrees<T: PartialEq>(stated: &Option<T>, sound: &Option<T>) -> bool {
        stated.is_none() || stated == sound
    }
    let sound = &SOUND.0;
    entry.public_key == sound.public_key
        && entry.signature == sound.signature
        && agrees(&entry.withdrawal_credentials, &sound.withdrawal_credentials)
        && agrees(&entry.amount, &sound.amount)
        && agrees(&entry.deposit_message_root, &sound.deposit_message_root)
        && agrees(&entry.deposit_data_root, &sound.deposit_data_root)
        && agrees(&entry.fork_version, &sound.fork_version)
        && agrees(&entry.network_name, &sound.network_name)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// The 257 bytes that an entry states, in the order of the file.
    #[test]
    fn a_mutant_of_any_byte_that_an_entry_states_is_caught(position in 0_usize..257, flip in 1..=u8::MAX) {
        let mut entry = SOUND.0.clone();
        let (mut amount, mut name) = (entry.amount.expect("stated").0.to_le_bytes(), *b"hoodi");
        let stated: [&mut [u8]; 8] = [
            &mut entry.public_key.0,
            &mut entry.withdrawal_credentials.as_mut().expect("stated").0.0,
            &mut amount,
            &mut entry.signature.0,
            &mut entry.deposit_message_root.as_mut().expect("stated").0,
            &mut entry.deposit_data_root.as_mut().expect("stated").0,
            &mut entry.fork_version.as_mut().expect("stated").0,
            &mut name,
        ];
        let mut bytes: Vec<&mut u8> = stated.into_iter().flatten().collect();
        prop_assert_eq!(bytes.len(), 257);
        *bytes[position] ^= flip;
        entry.amount = Some(Gwei(u64::from_le_bytes(amount)));
        entry.network_name = Some(String::from_utf8_lossy(&name).into_owned());
        prop_assert!(!says_the_same(&entry));
        prop_assert!(!passes(&DepositDataFile::new(vec![entry])));
    }

    #[test]
    fn a_file_with_any_one_byte_changed_passes_only_if_it_says_the_same(position in any::<usize>(), byte in any::<u8>()) {
        let mut bytes = SOUND.2.clone().into_bytes();
        let position = position % bytes.len();
        bytes[position] = byte;
        if let Ok(file) = DepositDataFile::parse(&bytes) && passes(&file) {
            prop_assert!(file.entries().len() == 1 && says_the_same(&file.entries()[0]));
        }
    }
}

proptest! {
    #[test]
    fn merging_keeps_every_element_in_its_turn(
        files in prop::collection::vec(prop::collection::vec(prop::option::weighted(0.8, "[ -~]{0,12}"), 0..8), 0..5),
    ) {
        let texts: Vec<String> = files.iter().map(|file| serde_json::json!(file).to_string()).collect();
        let merged = merge(&texts).expect("lists");
        let mut expected = Vec::new();
        for turn in 0..8 {
            expected.extend(files.iter().filter_map(|file| file.get(turn)?.clone()));
        }
        let read: Vec<String> = serde_json::from_str(&merged).expect("strings");
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn any_selection_in_any_order_is_proved_to_the_contract(
        selection in prop::sample::subsequence((0..300_usize).collect::<Vec<_>>(), 1..40).prop_shuffle(),
    ) {
        let proof = TREE.multiproof(&selection).expect("a proof");
        let in_order: Vec<B256> = proof.proof_indexes.iter().map(|index| LEAVES[*index]).collect();
        prop_assert_eq!(contract::process_multiproof(&proof.proof, &proof.flags, &in_order), Some(TREE.root()));
        prop_assert!(in_order.is_sorted());
        for (registered, position) in selection.iter().zip(&proof.indexes) {
            prop_assert_eq!(proof.proof_indexes[*position], *registered);
        }
        let records: Vec<u8> = selection.iter().flat_map(|index| TREE.record(*index).expect("a record")).collect();
        prop_assert_eq!(&proof.validators, &records);
        let mut moved = in_order.clone();
        moved[0] = B256::ZERO;
        prop_assert_ne!(contract::process_multiproof(&proof.proof, &proof.flags, &moved), Some(TREE.root()));
    }

    #[test]
    fn the_next_validators_are_proved_as_the_registry_computes_their_leaves(first in 0_usize..300, count in 1_usize..30) {
        let selection: Vec<usize> = (first..300.min(first + count)).collect();
        let proof = TREE.multiproof(&selection).expect("a proof");
        let leaves = leaves_on_chain(&proof.validators, first, &proof.indexes);
        prop_assert_eq!(contract::process_multiproof(&proof.proof, &proof.flags, &leaves), Some(TREE.root()));
        let single = leaves_on_chain(&TREE.record(first).expect("a record"), first, &[0]);
        prop_assert!(contract::verify(&TREE.proof(first).expect("a proof"), TREE.root(), single[0]));
    }

    #[test]
    fn the_root_does_not_depend_on_the_order_of_the_leaves(
        leaves in prop::collection::vec(prop::array::uniform32(any::<u8>()).prop_map(B256::new), 1..60),
        seed in any::<usize>(),
    ) {
        let mut turned = leaves.clone();
        turned.rotate_left(seed % leaves.len());
        let tree = StandardTree::new(&leaves).expect("a tree");
        prop_assert_eq!(StandardTree::new(&turned).expect("a tree").root(), tree.root());
        for (position, leaf) in leaves.iter().enumerate() {
            prop_assert!(contract::verify(&tree.proof(position).expect("a proof"), tree.root(), *leaf));
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), text in ".{0,200}") {
        let _ = DepositDataFile::parse(&bytes);
        let _ = DepositDataFile::parse(text.as_bytes());
    }

    #[test]
    fn a_damaged_file_is_refused_or_read_without_a_panic(position in any::<usize>(), byte in any::<u8>()) {
        let mut bytes = unsigned(2).to_json().into_bytes();
        let position = position % bytes.len();
        bytes[position] = byte;
        if let Ok(file) = DepositDataFile::parse(&bytes) {
            let again = DepositDataFile::parse(file.to_json().as_bytes()).expect("what we write");
            prop_assert_eq!(again, file);
        }
    }
}
