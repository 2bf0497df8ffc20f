//! The captured figures for deposits, trees and proofs, and what verifies proofs on chain, written anew.
#![expect(
    clippy::expect_used,
    reason = "test code: a vector that is missing or malformed must fail"
)]

mod contract;

use serde_json::Value;
use sw_deposit_data::{
    DepositDataFile, DepositEntry, RECORD_LENGTH, StandardTree, TreeError, ValidatorsTree, merge, standard_leaf,
};
use sw_keys::SecretKey;
use sw_spec::{
    Address, B256, DepositData, DepositMessage, Domain, ForkVersion, Gwei, Network, NetworkSpec, PublicKeyBytes,
    SignatureBytes, WithdrawalCredentials,
};
use sw_testkit::{array, bytes, fixture, fixture_on_one_line, list, text};

fn network(name: &str) -> NetworkSpec {
    let fork_version = match name {
        "goerli" => [0, 0, 0x10, 0x20],
        "holesky" => [1, 1, 0x70, 0],
        _ => [0; 4],
    };
    NetworkSpec {
        name: name.parse().expect("a name"),
        genesis_fork_version: ForkVersion(fork_version),
        ..Network::Mainnet.spec()
    }
}

fn vault(original: &Value) -> Address {
    text(&original["vault"]).parse().expect("an address")
}

fn keys(original: &Value) -> Vec<SecretKey> {
    let keys = list(&original["keys"]).iter();
    keys.map(|key| SecretKey::from_bytes(&array(&key["sk"])).expect("a key"))
        .collect()
}

/// The deposits of a network, signed here.
fn signed(original: &Value, name: &str) -> DepositDataFile {
    let keys = keys(original);
    let entries = keys
        .iter()
        .map(|key| DepositEntry::sign(key, vault(original), &network(name)));
    DepositDataFile::new(entries.collect())
}

fn root(value: &Value) -> B256 {
    B256::new(array(value))
}

fn roots(value: &Value) -> Vec<B256> {
    list(value).iter().map(root).collect()
}

fn numbers(value: &Value) -> Vec<usize> {
    list(value)
        .iter()
        .map(|number| usize::try_from(number.as_u64().expect("a number")).expect("small"))
        .collect()
}

fn booleans(value: &Value) -> Vec<bool> {
    list(value).iter().map(|flag| flag.as_bool().expect("a flag")).collect()
}

#[test]
fn deposits_are_those_of_the_original_byte_for_byte_on_every_network() {
    let original = fixture("original-v1.json");
    let on_one_line = fixture_on_one_line("original-v1.json");
    let domains = original["deposit_domain"].as_object().expect("a table");
    let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    let mut entries = 0;
    for (name, domain) in domains {
        let network = network(name);
        assert_eq!(Domain::deposit(network.genesis_fork_version).0, root(domain));
        let file = signed(&original, name);
        assert!(on_one_line.contains(&file.to_json()), "{name}: {}", file.to_json());
        let read = DepositDataFile::parse(original["deposit_data"][name].to_string().as_bytes()).expect("a file");
        assert_eq!(read, file);
        assert_eq!(DepositDataFile::parse(file.to_json().as_bytes()).expect("a file"), file);
        read.verify(vault(&original), &network, &mut rng).expect("sound");
        entries += read.entries().len();
    }
    assert_eq!((domains.len(), entries), (3, 15));
    let credentials = WithdrawalCredentials::execution(vault(&original));
    assert_eq!(credentials.0, root(&original["withdrawal_credentials"]));
}

#[test]
fn the_tree_is_that_of_the_original() {
    let original = fixture("original-v1.json");
    let (vault, expected) = (vault(&original), &original["tree"]);
    let file = signed(&original, "mainnet");
    let tree = ValidatorsTree::new(vault, &file).expect("a tree");
    assert_eq!(tree.root(), root(&expected["root"]));
    assert_eq!(tree.tree().nodes(), roots(&expected["tree"]));
    let leaf_nodes = numbers(&expected["leaf_tree_index"]);
    let leaves = roots(&expected["leaves"]);
    assert_eq!((tree.len(), leaves.len()), (5, 5));
    for (index, leaf) in leaves.iter().enumerate() {
        let node = tree.tree().leaf_node(index).expect("a leaf");
        assert_eq!(node, leaf_nodes[index]);
        assert_eq!(tree.tree().nodes()[node], *leaf);
        let entry = &file.entries()[index];
        assert_eq!(tree.public_key(index), Some(entry.public_key));
        assert_eq!(tree.signature(index), Some(entry.signature));
        assert_eq!(tree.position(&entry.public_key), Some(index));
        assert!(contract::verify(
            &tree.proof(index).expect("a proof"),
            tree.root(),
            *leaf
        ));
    }
    assert_eq!(
        tree.record(0).expect("a record").as_slice(),
        bytes(&expected["tx_validator_0"])
    );
    assert_eq!(
        (tree.record(5), tree.proof(5), tree.public_key(5), tree.signature(5)),
        (None, None, None, None)
    );

    for count in 1..=3 {
        let part = DepositDataFile::new(file.entries()[..count].to_vec());
        let tree = ValidatorsTree::new(vault, &part).expect("a tree");
        assert_eq!(tree.root(), root(&expected[format!("root_first_{count}")]), "{count}");
    }
    for name in ["goerli", "holesky"] {
        let tree = ValidatorsTree::new(vault, &signed(&original, name)).expect("a tree");
        assert_eq!(tree.root(), root(&expected[format!("{name}_root")]), "{name}");
    }
}

#[test]
fn multiproofs_are_those_of_the_original() {
    let original = fixture("original-v1.json");
    let tree = ValidatorsTree::new(vault(&original), &signed(&original, "mainnet")).expect("a tree");
    let vectors = original["multiproofs"].as_object().expect("a table");
    for (selection, expected) in vectors {
        let selection: Vec<usize> = selection
            .split(',')
            .map(|index| index.parse().expect("a number"))
            .collect();
        let proof = tree.multiproof(&selection).expect("a proof");
        assert_eq!(proof.proof, roots(&expected["proof"]));
        assert_eq!(proof.flags, booleans(&expected["proof_flags"]));
        assert_eq!(proof.proof_indexes, numbers(&expected["proof_indexes"]));
        assert_eq!(proof.indexes, numbers(&expected["indexes"]));
        let records = proof
            .validators
            .chunks(RECORD_LENGTH)
            .map(<[u8]>::len)
            .collect::<Vec<_>>();
        assert_eq!(records, numbers(&expected["tx_validators_len"]));
        if let [single] = selection.as_slice() {
            assert_eq!(tree.proof(*single), Some(proof.proof));
        }
    }
    assert_eq!(vectors.len(), 5);
}

#[test]
fn the_tree_of_the_independent_parser_is_ours() {
    // stakewise/v3-deposit-data-parser: one entry, and the same entry twice.
    let entry = r#"{"pubkey": "914fc4d761c72c0053b6e71967caf594584d5eb648ecd924f7ad87570a385b66f37b5db8b34d666ca4d2ff9a785984fb",
        "signature": "0x96b89b259ced93598c35921f90bd235283a8dbea8d3a8e9e554079a3d682c3bb34332aa30e0df3bba53dad7e2e2183d20bd53360c3964c93fafb5f22e0c3eed5223008b916363644a6718d0197ab56c712878c579b0eda12ed165e46c3d7aaa3"}"#;
    let vault = "0xAC0F906E433d58FA868F936E8A43230473652885"
        .parse()
        .expect("an address");
    let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    let once = DepositDataFile::parse(format!("[{entry}]").as_bytes()).expect("a file");
    let twice = DepositDataFile::parse(format!("[{entry}, null, {entry}]").as_bytes()).expect("a file");
    for (file, expected) in [
        (
            &once,
            "0x9fc6a754977d4e69a51fb5bdbaef88bd46886ec783a8cab34e7963eb7d03aa62",
        ),
        (
            &twice,
            "0x228e354f00fc0e3c1d1460fd3d126c9093b3dce2f0c56a95398a62d4b3e055e7",
        ),
    ] {
        assert_eq!(
            ValidatorsTree::new(vault, file).expect("a tree").root().to_string(),
            expected
        );
    }
    once.verify(vault, &Network::Mainnet.spec(), &mut rng).expect("sound");
    assert!(twice.verify(vault, &Network::Mainnet.spec(), &mut rng).is_err());
}

#[test]
fn merging_is_that_of_the_original() {
    let original = fixture("original-v1.json");
    let two = DepositDataFile::new(signed(&original, "mainnet").entries()[..2].to_vec());
    let of = |merged: Result<String, _>| DepositDataFile::parse(merged.expect("lists").as_bytes()).expect("a file");
    let merged = of(merge(&[two.to_json(), two.to_json()]));
    assert_eq!(
        ValidatorsTree::new(vault(&original), &merged)
            .expect("a tree")
            .root()
            .to_string(),
        "0xa254b1d0b94922a87195d31fbf9ceab31ae1fb6302eb6670a1622964a4e8bd36"
    );
    let entry = |number: u8| {
        DepositEntry::from_signature(
            PublicKeyBytes([number; 48]),
            SignatureBytes([number; 96]),
            Address::ZERO,
            &Network::Mainnet.spec(),
        )
    };
    let file = |numbers: &[u8]| DepositDataFile::new(numbers.iter().map(|number| entry(*number)).collect()).to_json();
    assert_eq!(
        merge(&[file(&[1, 3]), file(&[2, 4])]).expect("lists"),
        file(&[1, 2, 3, 4])
    );
    assert_eq!(
        merge(&[file(&[1]), file(&[]), file(&[2, 3, 4])]).expect("lists"),
        file(&[1, 2, 3, 4])
    );
}

#[test]
fn compounding_deposits_have_the_captured_roots_and_signatures() {
    let original = fixture("original-v1.json");
    let contracts = fixture("contracts.json");
    let vectors = &contracts["deposit_0x02"];
    let network = network(text(&vectors["network"]));
    let credentials = WithdrawalCredentials::compounding(text(&vectors["vault"]).parse().expect("an address"));
    assert_eq!(credentials.0, root(&vectors["withdrawal_credentials"]));
    let keys = keys(&original);
    for entry in list(&vectors["entries"]) {
        let key = &keys[usize::try_from(entry["key"].as_u64().expect("a number")).expect("small")];
        let message = DepositMessage {
            public_key: PublicKeyBytes(array(&entry["public_key"])),
            withdrawal_credentials: credentials,
            amount: Gwei(entry["amount_gwei"].as_u64().expect("a number")),
        };
        assert_eq!(key.public_key().to_bytes(), message.public_key);
        assert_eq!(message.root(), root(&entry["deposit_message_root"]));
        let signature = key.sign(&message.signing_root(network.genesis_fork_version)).to_bytes();
        assert_eq!(signature.as_ref(), bytes(&entry["signature"]));
        assert_eq!(
            DepositData { message, signature }.root(),
            root(&entry["deposit_data_root"])
        );
        let funding = DepositData {
            message,
            signature: SignatureBytes([0; 96]),
        };
        assert_eq!(
            funding.root(),
            root(&entry["deposit_data_root_with_zero_signature (funding)"])
        );
    }
    assert_eq!(list(&vectors["entries"]).len(), 2);
}

#[test]
fn trees_and_proofs_are_those_of_the_openzeppelin_library() {
    let vectors = fixture("oz_vectors_1_50.json");
    let (mut proofs, mut multiproofs) = (0, 0);
    for (count, vector) in (1..).zip(list(&vectors)) {
        let encoded: Vec<Vec<u8>> = list(&vector["leaves"]).iter().map(encode).collect();
        let leaves: Vec<B256> = encoded.iter().map(|leaf| standard_leaf(leaf)).collect();
        assert_eq!(leaves.len(), count);
        assert_eq!(leaves, roots(&vector["leafHashes"]));
        let tree = StandardTree::new(&leaves).expect("a tree");
        assert_eq!(tree.root(), root(&vector["root"]));
        assert_eq!(tree.nodes(), roots(&vector["tree"]));
        assert_eq!(tree.leaf_count(), count);
        let leaf_nodes: Vec<usize> = (0..count).filter_map(|leaf| tree.leaf_node(leaf)).collect();
        assert_eq!(leaf_nodes, numbers(&vector["indices"]));
        for (position, expected) in list(&vector["proofs"]).iter().enumerate() {
            let proof = tree.proof(position).expect("a proof");
            assert_eq!(proof, roots(expected));
            assert!(contract::verify(&proof, tree.root(), leaves[position]));
            proofs += 1;
        }
        let proof = tree.multiproof(&numbers(&vector["sel"])).expect("a proof");
        let expected = &vector["mp"];
        assert_eq!(proof.proof, roots(&expected["proof"]));
        assert_eq!(proof.flags, booleans(&expected["flags"]));
        let in_order: Vec<B256> = proof.leaves.iter().map(|leaf| leaves[*leaf]).collect();
        assert_eq!(
            contract::process_multiproof(&proof.proof, &proof.flags, &in_order),
            Some(tree.root())
        );
        let order: Vec<Vec<u8>> = list(&expected["leaves"]).iter().map(encode).collect();
        assert_eq!(
            proof
                .leaves
                .iter()
                .map(|leaf| encoded[*leaf].clone())
                .collect::<Vec<_>>(),
            order
        );
        multiproofs += 1;
    }
    assert_eq!((proofs, multiproofs), (1275, 50));
}

#[test]
fn trees_of_strings_are_those_of_the_library() {
    // Leaf type ['string'], as in the original's tests.
    for (values, expected) in [
        (
            vec!["a"],
            "0x9c15a6a0eaeed500fd9eed4cbeab71f797cefcc67bfd46683e4d2e6ff7f06d1c",
        ),
        (
            vec!["a", "b"],
            "0xfa914d99a18dc32d9725b3ef1c50426deb40ec8d0885dac8edcc5bfd6d030016",
        ),
        (
            vec!["a", "b", "c"],
            "0xf2129b5a697531ef818f644564a6552b35c549722385bc52aa7fe46c0b5f46b1",
        ),
    ] {
        let leaves: Vec<B256> = values
            .into_iter()
            .map(|value| standard_leaf(&[&word(32)[..], &word(value.len()), &padded(value.as_bytes())].concat()))
            .collect();
        assert_eq!(StandardTree::new(&leaves).expect("a tree").root().to_string(), expected);
    }
    assert_eq!(StandardTree::new(&[]), Err(TreeError::Empty));
}

/// `abi.encode(bytes, uint256)` of a leaf of the OpenZeppelin vectors.
fn encode(leaf: &Value) -> Vec<u8> {
    let value = bytes(&leaf[0]);
    let number = text(&leaf[1]).parse().expect("a small number");
    [&word(64)[..], &word(number), &word(value.len()), &padded(&value)].concat()
}

fn word(value: usize) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&(value as u64).to_be_bytes());
    word
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(32), 0);
    padded
}
