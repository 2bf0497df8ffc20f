//! Calldata, errors and the signed transaction, byte by byte as other implementations make them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::collections::BTreeSet;

use serde_json::Value;
use sw_chain_client::{Address, B256, Bytes, Call, HarvestParams, I160, KeeperParams, U160, calls, decode_revert};
use sw_testkit::{array, bytes, fixture, list, text};

fn hash(value: &Value) -> B256 {
    B256::from(array::<32>(value))
}

fn hashes(value: &Value) -> Vec<B256> {
    list(value).iter().map(hash).collect()
}

fn address(value: &Value) -> Address {
    text(value).parse().unwrap()
}

/// The record of a validator in a registration: public key, signature, deposit data root; with an amount, 184 bytes.
fn record(entry: &Value, amount_gwei: Option<u64>, signature: &[u8], root: B256) -> Vec<u8> {
    let mut record = [bytes(&entry["pubkey"]), signature.to_vec(), root.to_vec()].concat();
    record.extend(amount_gwei.map(u64::to_be_bytes).into_iter().flatten());
    record
}

struct Inputs {
    contracts: Value,
    original: Value,
}

impl Inputs {
    fn load() -> Self {
        Self {
            contracts: fixture("contracts.json"),
            original: fixture("original-v1.json"),
        }
    }

    fn calldata(&self, name: &str) -> Bytes {
        bytes(&self.contracts["calldata"][name]).into()
    }

    fn vault(&self) -> Address {
        address(&self.original["vault"])
    }

    fn old_record(&self, key: usize) -> Vec<u8> {
        let entry = &self.original["deposit_data"]["mainnet"][key];
        record(
            entry,
            None,
            &bytes(&entry["signature"]),
            hash(&entry["deposit_data_root"]),
        )
    }

    fn approval(&self, validators: Vec<u8>) -> KeeperParams {
        let register = &self.original["register"];
        KeeperParams {
            validators_registry_root: hash(&register["registry_root"]),
            deadline: register["deadline"].as_u64().unwrap(),
            validators: validators.into(),
            signatures: bytes(&register["signatures"]).into(),
            ipfs_hash: text(&register["ipfs"]).to_owned(),
        }
    }

    /// `registerValidators` lists the records in the order of the multiproof.
    fn approval_of_keys_1_and_2(&self) -> (KeeperParams, Vec<usize>, Vec<bool>, Vec<B256>) {
        let multiproof = &self.original["multiproofs"]["1,2"];
        let indexes: Vec<usize> = list(&multiproof["indexes"])
            .iter()
            .map(|i| i.as_u64().unwrap() as usize)
            .collect();
        let flags = list(&multiproof["proof_flags"])
            .iter()
            .map(|flag| flag.as_bool().unwrap())
            .collect();
        let records = [self.old_record(1), self.old_record(2)].concat();
        (self.approval(records), indexes, flags, hashes(&multiproof["proof"]))
    }

    fn proof_of_key_0(&self) -> Vec<B256> {
        hashes(&self.original["multiproofs"]["0"]["proof"])
    }

    fn harvest(&self) -> HarvestParams {
        let harvest = &self.contracts["calldata"]["inputs"]["harvest"];
        HarvestParams {
            rewards_root: hash(&harvest["rewards_root"]),
            reward: I160::from_dec_str(text(&harvest["reward"])).unwrap(),
            unlocked_mev_reward: text(&harvest["unlocked_mev_reward"]).parse::<U160>().unwrap(),
            proof: hashes(&harvest["proof"]),
        }
    }

    fn new_record(&self, key: usize, zero_signature: bool) -> Vec<u8> {
        let entry = &self.contracts["deposit_0x02"]["entries"][key];
        let (signature, root) = if zero_signature {
            (vec![0; 96], "deposit_data_root_with_zero_signature (funding)")
        } else {
            (bytes(&entry["signature"]), "deposit_data_root")
        };
        let amount = entry["amount_gwei"].as_u64();
        let entry = serde_json::json!({ "pubkey": entry["public_key"], "root": entry[root] });
        record(&entry, amount, &signature, hash(&entry["root"]))
    }
}

#[test]
fn registrations_through_the_registry_and_by_the_manager_are_encoded_as_the_contracts_expect() {
    let inputs = Inputs::load();
    let vault = inputs.vault();
    let harvest = inputs.harvest();
    let update = calls::registry_update_vault_state(vault, &harvest);
    let single =
        calls::registry_register_validator(vault, &inputs.approval(inputs.old_record(0)), &inputs.proof_of_key_0());
    let (approval, indexes, flags, proof) = inputs.approval_of_keys_1_and_2();
    let several = calls::registry_register_validators(vault, &approval, &indexes, &flags, &proof);
    let root = hash(&inputs.original["tree"]["root"]);
    let with_amounts = inputs.approval([inputs.new_record(0, false), inputs.new_record(1, false)].concat());
    let funding = [inputs.new_record(0, true), inputs.new_record(1, true)].concat();
    let key = |index: usize| bytes(&inputs.original["keys"][index]["pk"]);
    let withdrawal = [
        key(0),
        1_000_000_000_u64.to_be_bytes().to_vec(),
        key(1),
        0_u64.to_be_bytes().to_vec(),
    ]
    .concat();
    let signatures = bytes(&inputs.original["register"]["signatures"]);
    let keeper = address(&inputs.contracts["oracle_signature"]["domain"]["verifyingContract"]);
    let min_oracles: Bytes = vec![0x20, 0x3e, 0xfb, 0x5e].into();
    let can_harvest = [vec![0xfb, 0x70, 0x26, 0x1a], vault.into_word().to_vec()].concat();
    let reads = [
        (Call::new(keeper, can_harvest.into()), false),
        (Call::new(keeper, min_oracles), false),
    ];

    let encoded = [
        ("vault.updateState", calls::vault_update_state(&harvest)),
        ("ddr.updateVaultState", update.clone()),
        ("ddr.registerValidator (key 0)", single.clone()),
        ("ddr.registerValidators (keys 1,2)", several),
        (
            "ddr.multicall [updateVaultState, registerValidator]",
            calls::registry_multicall(&[update, single]),
        ),
        (
            "ddr.setDepositDataRoot",
            calls::registry_set_deposit_data_root(vault, root),
        ),
        (
            "vault_v5.registerValidators (key 0, 176 bytes, manager signature 5a*65)",
            calls::vault_register_validators(&inputs.approval(inputs.old_record(0)), &[0x5a; 65]),
        ),
        (
            "vault_v5.registerValidators (keys 0,1 as 184 bytes with 32 and 33 ETH, empty manager signature)",
            calls::vault_register_validators(&with_amounts, &[]),
        ),
        (
            "vault_v5.fundValidators (keys 0,1 as 184 bytes with zero deposit signatures, empty manager signature)",
            calls::vault_fund_validators(&funding, &[]),
        ),
        (
            "vault_v5.withdrawValidators (key 0: 1 ETH, key 1: full exit)",
            calls::vault_withdraw_validators(&withdrawal, &[]),
        ),
        (
            "vault_v5.consolidateValidators (key 0 into key 1)",
            calls::vault_consolidate_validators(&[key(0), key(1)].concat(), &[], &[]),
        ),
        (
            "keeper.updateExitSignatures",
            calls::keeper_update_exit_signatures(
                vault,
                inputs.approval(Vec::new()).deadline,
                text(&inputs.original["register"]["ipfs"]),
                &signatures,
            ),
        ),
        (
            "multicall3.aggregate3 [keeper.canHarvest(vault), keeper.validatorsMinOracles()] allowFailure=false",
            calls::multicall3_aggregate3(&reads),
        ),
    ];
    for (name, data) in &encoded {
        assert_eq!(data, &inputs.calldata(name), "{name}");
    }
    let named: BTreeSet<_> = encoded.iter().map(|(name, _)| *name).collect();
    let all = inputs.contracts["calldata"].as_object().unwrap();
    assert_eq!(named.len(), 13);
    assert_eq!(
        named.len() + 1,
        all.len(),
        "every calldata of the file, besides `inputs`"
    );
}

#[test]
fn registrations_at_vaults_of_version_1_are_encoded_as_the_original_does() {
    let inputs = Inputs::load();
    let register = &inputs.original["register"];
    let (approval, indexes, flags, proof) = inputs.approval_of_keys_1_and_2();
    let harvest = HarvestParams {
        rewards_root: B256::repeat_byte(0xbb),
        reward: I160::try_from(-5).unwrap(),
        unlocked_mev_reward: U160::from(7),
        proof: vec![B256::repeat_byte(0xcc)],
    };
    let update = calls::vault_update_state(&harvest);
    let withdrawable: Bytes = bytes(&register["withdrawableAssets"]).into();
    let vectors = [
        (
            "single_index0",
            calls::vault_v1_register_validator(&inputs.approval(inputs.old_record(0)), &inputs.proof_of_key_0()),
        ),
        (
            "multi_index1_2",
            calls::vault_v1_register_validators(&approval, &indexes, &flags, &proof),
        ),
        ("update_state", update.clone()),
        ("multicall_us_wa", calls::vault_multicall(&[update, withdrawable])),
        (
            "update_exit_signatures",
            calls::keeper_update_exit_signatures(
                inputs.vault(),
                approval.deadline,
                &approval.ipfs_hash,
                &approval.signatures,
            ),
        ),
    ];
    for (name, data) in &vectors {
        assert_eq!(data, &Bytes::from(bytes(&register[*name])), "{name}");
    }
    assert_eq!(vectors.len(), 5);
}

#[test]
fn every_error_of_the_contracts_is_known_by_name_with_its_arguments() {
    let contracts = fixture("contracts.json");
    let declared: BTreeSet<&str> = contracts
        .as_object()
        .unwrap()
        .values()
        .filter_map(|contract| contract.get("errors").and_then(Value::as_object))
        .flat_map(|errors| errors.keys().map(|declaration| declaration.split('(').next().unwrap()))
        .collect();
    let encoded = fixture("custom_errors.json");
    let (mut read, mut arguments_read) = (0, 0);
    let mut known = BTreeSet::new();
    for error in encoded["errors"].as_array().unwrap() {
        let name = text(&error["error"]).split('(').next().unwrap();
        let revert = decode_revert(&bytes(&error["data"]));
        assert_eq!(revert.name.as_deref(), Some(name));
        let arguments = error["arguments"].as_object().unwrap();
        assert_eq!(revert.detail.is_some(), !arguments.is_empty(), "{revert}");
        for (argument, value) in arguments {
            let (quoted, plain) = (format!("{argument}: {value}"), format!("{argument}: {}", text(value)));
            let shown = revert.to_string().to_lowercase();
            let told = [quoted, plain].iter().any(|told| shown.contains(&told.to_lowercase()));
            assert!(told, "{argument} of {revert}");
            arguments_read += 1;
        }
        known.insert(name);
        read += 1;
    }
    assert_eq!(known, declared);
    assert_eq!((read, arguments_read), (81, 13));
}
