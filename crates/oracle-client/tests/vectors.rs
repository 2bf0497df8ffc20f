//! The original operator's figures, the contract's digests, and the request as it is sent.

mod support;

use alloy::primitives::{Address, B256, keccak256};
use sw_oracle_client::{ApprovalSubject, Eip712Domain, Vote, recover_signer, tally};
use sw_testkit::{array, bytes, fixture, fixture_text, list, text};

#[test]
fn votes_are_counted_as_the_original_counts_them() {
    let vectors = &fixture("original-v1.json")["approvals"];
    let columns = list(&vectors["addresses"])
        .iter()
        .zip(list(&vectors["signatures"]))
        .zip(list(&vectors["hashes"]));
    let votes = columns.map(|((address, signature), hash)| Vote {
        oracle: text(address).parse::<Address>().unwrap(),
        ipfs_hash: text(hash).to_owned(),
        deadline: 1,
        signature: [u8::from_str_radix(text(signature).strip_suffix("*65").unwrap(), 16).unwrap(); 65],
    });
    let votes = votes.collect::<Vec<_>>();
    assert_eq!(votes.len(), 4);

    let threshold = usize::try_from(vectors["threshold"].as_u64().unwrap()).unwrap();
    let quorum = tally(&votes, threshold).unwrap();
    assert_eq!(quorum.ipfs_hash, text(&vectors["result_ipfs"]));
    assert_eq!(vectors["length"], quorum.signatures.len());
    let first_bytes = quorum
        .signatures
        .chunks(65)
        .map(|signature| u64::from(signature[0]))
        .collect::<Vec<_>>();
    let expected = list(&vectors["result_first_bytes"])
        .iter()
        .map(|byte| byte.as_u64().unwrap())
        .collect::<Vec<_>>();
    assert_eq!(first_bytes, expected);
    assert!(quorum.signers.is_sorted());

    // Where the original raised: it named neither case properly.
    assert!(vectors["not_enough"].is_string() && vectors["empty"].is_string());
    assert_eq!(tally(&votes, 4), Err(3));
    assert_eq!(tally(&[], threshold), Err(0));
}

/// Each oracle has one vote for a registration, however often it is handed in.
#[test]
fn an_oracle_that_votes_twice_counts_once() {
    let vote = |oracle: u8, ipfs_hash: &str| Vote {
        oracle: Address::repeat_byte(oracle),
        ipfs_hash: ipfs_hash.to_owned(),
        deadline: 1,
        signature: [oracle; 65],
    };
    let mut votes = vec![vote(1, "a"), vote(1, "a"), vote(1, "a"), vote(2, "b")];
    assert_eq!(tally(&votes, 2), Err(1));
    votes.push(vote(3, "b"));
    let quorum = tally(&votes, 2).unwrap();
    assert_eq!(
        (quorum.ipfs_hash.as_str(), quorum.signers),
        ("b", [2, 3].map(Address::repeat_byte).to_vec())
    );
}

#[test]
fn digests_are_those_of_the_keeper() {
    let vectors = fixture("original-v1.json");
    let (eip712, register) = (&vectors["eip712"], &vectors["register"]);
    let domain = Eip712Domain {
        chain_id: eip712["chain_id"].as_u64().unwrap(),
        keeper: text(&eip712["verifying_contract"]).parse().unwrap(),
    };
    assert_eq!(domain, support::domain());
    let request = support::request(5);
    assert_eq!(
        request.validators_registry_root.as_slice(),
        bytes(&register["registry_root"])
    );
    assert_eq!(register["deadline"], request.deadline);

    let digest = |name: &str| B256::from(array::<32>(&eip712[name]));
    assert_eq!(
        request.digest(&domain, text(&register["ipfs"])),
        digest("register_digest")
    );
    assert_eq!(
        support::rotation(5).digest(&domain, text(&register["ipfs"])),
        digest("update_digest_nonce3")
    );
    assert_eq!(domain.separator(), digest("domain_separator"));

    let registration = "KeeperValidators(bytes32 validatorsRegistryRoot,address vault,bytes validators,string exitSignaturesIpfsHash,uint256 deadline)";
    let update = "KeeperValidators(address vault,string exitSignaturesIpfsHash,uint256 nonce,uint256 deadline)";
    assert_eq!(keccak256(registration), digest("register_typehash"));
    assert_eq!(keccak256(update), digest("update_typehash"));
    assert_eq!(eip712.as_object().unwrap().len(), 7, "every figure above was checked");
}

#[test]
fn an_oracles_signature_recovers_to_its_address() {
    let vectors = &fixture("contracts.json")["oracle_signature"];
    let domain = support::domain();
    assert_eq!(vectors["domain"]["chainId"], domain.chain_id);
    assert_eq!(text(&vectors["domain"]["verifyingContract"]), domain.keeper.to_string());
    assert_eq!(
        (text(&vectors["domain"]["name"]), text(&vectors["domain"]["version"])),
        ("KeeperOracles", "1")
    );

    let request = support::request(5);
    let digests = [
        ("registration (keys 1,2)", request.digest(&domain, support::CID)),
        ("rotation (nonce 3)", support::rotation(5).digest(&domain, support::CID)),
    ];
    let mut checked = 0;
    for (name, digest) in digests {
        let vector = &vectors[name];
        assert_eq!(digest.as_slice(), bytes(&vector["digest"]), "{name}");
        let signer = recover_signer(&digest, &array(&vector["signature"])).unwrap();
        assert_eq!(signer.to_string(), text(&vector["signer"]), "{name}");
        assert_ne!(
            recover_signer(&B256::ZERO, &array(&vector["signature"])),
            Ok(signer),
            "{name}"
        );
        checked += 1;
    }
    assert_eq!(checked, vectors.as_object().unwrap().len() - 1);
    assert_eq!(checked, 2);
}

#[test]
fn the_requests_are_sent_as_recorded() {
    let registration = support::request(5).to_json();
    assert_eq!(registration, fixture_text("approval_request.json").trim_end());
    let rotation = support::rotation(5).to_json();
    assert_eq!(rotation, fixture_text("rotation_request.json").trim_end());
}

#[test]
fn the_recorded_requests_have_the_members_of_the_protocol_in_order() {
    let registration = [
        "validator_index",
        "vault_address",
        "validators_root",
        "public_keys",
        "deposit_signatures",
        "public_key_shards",
        "exit_signature_shards",
        "deadline",
        "proof",
        "proof_flags",
        "proof_indexes",
        "validators_manager_signature",
    ];
    let rotation = [
        "vault_address",
        "public_keys",
        "public_key_shards",
        "exit_signature_shards",
        "deadline",
    ];
    for (file, members) in [
        ("approval_request.json", &registration[..]),
        ("rotation_request.json", &rotation),
    ] {
        let document = fixture_text(file);
        let places = members
            .iter()
            .map(|member| document.find(&format!("\"{member}\":")).unwrap());
        assert!(places.is_sorted(), "{file}");
        let recorded = fixture(file);
        assert_eq!(recorded.as_object().unwrap().len(), members.len(), "{file}");
        assert_eq!(
            text(&recorded["vault_address"]),
            "0x3320ad928c20187602a2B2C04EeAa813fA899468"
        );
        assert_eq!(list(&recorded["exit_signature_shards"][1]).len(), 5);
        assert_eq!(text(&recorded["exit_signature_shards"][1][4]).len(), 2 + 386);
    }
    assert!(fixture("approval_request.json")["validators_manager_signature"].is_null());
}
