//! What oracles say, and the documents that tell of them.

use alloy::signers::{SignerSync, local::PrivateKeySigner};
use alloy_primitives::{Address, B256};
use sw_oracle_client::{ApprovalRequest, ApprovalSubject, Eip712Domain, ProtocolConfig, fuzzing, recover_signer};
use sw_registration::harvest_params;
use sw_spec::{Network, address};

use crate::{Target, Verdict};

const CID: &str = "bafkreibwnvl4z2hwnrnh3oeuxe4pbnv5yqyjdmdiyxk3zmn2j5hxjxnqfi";
const DEADLINE: u64 = 1_700_000_600;
const VAULT: Address = address!("3320ad928c20187602a2B2C04EeAa813fA899468");

fn request() -> ApprovalRequest {
    ApprovalRequest {
        validator_index: 1,
        vault: VAULT,
        validators_registry_root: B256::repeat_byte(0xaa),
        public_keys: Vec::new(),
        deposit_signatures: Vec::new(),
        public_key_shards: Vec::new(),
        exit_signature_shards: Vec::new(),
        deadline: DEADLINE,
        proof: Vec::new(),
        proof_flags: Vec::new(),
        proof_indexes: Vec::new(),
        validators: vec![7; 176],
    }
}

pub(super) fn answer() -> Target {
    let domain = Eip712Domain {
        chain_id: 1,
        keeper: Address::repeat_byte(6),
    };
    let request = request();
    let signers: Vec<_> = (1..=2)
        .filter_map(|byte| PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).ok())
        .collect();
    let corpus = signers
        .iter()
        .filter_map(|signer| signer.sign_hash_sync(&request.digest(&domain, CID)).ok())
        .map(|signature| {
            format!(
                r#"{{"ipfs_hash":"{CID}","signature":"0x{}","deadline":{DEADLINE},"more":[{{}}]}}"#,
                hex::encode(signature.as_bytes())
            )
            .into_bytes()
        })
        .collect();
    let oracle = signers.first().map(PrivateKeySigner::address).unwrap_or_default();
    Target::new(
        "oracle-answer",
        corpus,
        &["\"ipfs_hash\":", "\"deadline\":1700000600,", "0x"],
        move |input| {
            let Ok(vote) = fuzzing::vote(input, oracle, &request, &domain) else {
                return Ok(Verdict::Refused);
            };
            let digest = request.digest(&domain, &vote.ipfs_hash);
            if (vote.oracle, vote.deadline) != (oracle, DEADLINE)
                || recover_signer(&digest, &vote.signature) != Ok(oracle)
            {
                return Err("a vote that its oracle did not give".to_owned());
            }
            Ok(Verdict::Accepted)
        },
    )
}

pub(super) fn outdated() -> Target {
    let corpus = [
        r#"{"exit_signature_block_number":19000000,"validators":[{"index":123},{"index":4},{"index":123}]}"#,
        r#"{"exit_signature_block_number": null, "validators": []}"#,
        r#"{"validators":[{"index":18446744073709551615,"pubkey":"0xab"}],"exit_signature_block_number":0,"more":[{}]}"#,
    ];
    Target::new(
        "oracle-outdated",
        corpus.map(|text| text.as_bytes().to_vec()).to_vec(),
        &[
            "\"exit_signature_block_number\":",
            "\"index\":",
            "{\"index\":7},",
            "18446744073709551616",
            "-1",
            "1e3",
        ],
        |input| {
            let Ok((synced_to, indexes)) = fuzzing::outdated(input) else {
                return Ok(Verdict::Refused);
            };
            // Whatever was read must stand there, digit for digit.
            let text = String::from_utf8_lossy(input);
            let stands = |number: &u64| text.contains(&number.to_string());
            if !synced_to.iter().chain(indexes.iter().take(8)).all(stands) {
                return Err(format!("numbers that nobody wrote: {synced_to:?}, {indexes:?}"));
            }
            if indexes.len() > text.matches("index").count() + text.matches('\\').count() {
                return Err(format!("{} indexes, more than there are members", indexes.len()));
            }
            Ok(Verdict::Accepted)
        },
    )
}

pub(super) fn words() -> Target {
    let corpus = vec![
        b"<html>\r\n<title>502 Bad Gateway</title>\x1b[31m</html>".to_vec(),
        br#"{"error": "invalid proof"}"#.to_vec(),
    ];
    Target::new(
        "oracle-words",
        corpus,
        &["\u{2028}", "\u{85}", "\u{1b}[2J", "\u{0}"],
        |input| {
            let shown = fuzzing::shown(input);
            if shown.chars().count() > 300 || shown.chars().any(|letter| letter.is_control() || letter == '\u{2028}') {
                return Err(format!("words that do not fit on a line: {shown:?}"));
            }
            Ok(Verdict::Accepted)
        },
    )
}

pub(super) fn protocol_config() -> Target {
    let keys = (1..=2).filter_map(|byte| PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).ok());
    let oracles: Vec<_> = keys
        .map(|key| {
            format!(
                r#"{{"public_key":"0x{}","endpoints":["https://a.example/","http://user:pw@b.example:80/x"]}}"#,
                hex::encode(key.public_key())
            )
        })
        .collect();
    let rest = r#""exit_signature_recover_threshold":1,"signature_validity_period":3600,"validators_approval_batch_limit":10,"validators_exit_rotation_batch_limit":20,"rewards_threshold":6"#;
    let corpus = vec![
        format!(r#"{{"oracles":[{}],{rest}}}"#, oracles.join(",")).into_bytes(),
        format!(
            r#"{{{rest},"oracles":[{}]}}"#,
            oracles
                .concat()
                .replace("endpoints\":[", "endpoint\":")
                .replace("/\",\"http://user:pw@b.example:80/x\"]", "\"")
        )
        .into_bytes(),
    ];
    let corpus = corpus
        .into_iter()
        .filter(|document| ProtocolConfig::parse(document).is_ok())
        .collect();
    Target::new(
        "protocol-config",
        corpus,
        &["\"endpoint\":\"http://x\",", "\"endpoints\":null,", "\"\",", "{},"],
        |input| {
            let Ok(config) = ProtocolConfig::parse(input) else {
                return Ok(Verdict::Refused);
            };
            if config.oracles.is_empty()
                || config.oracle_addresses().len() > 255
                || config.signature_validity_period == 0
            {
                return Err("a configuration without sense".to_owned());
            }
            Ok(Verdict::Accepted)
        },
    )
}

pub(super) fn rewards() -> Target {
    let network = Network::Mainnet.spec();
    let corpus = vec![
        format!(
            r#"{{"vaults":[{{"vault":"{VAULT}","consensus_reward":-30000000000000000001,"unlocked_mev_reward":"5","locked_mev_reward":7,"proof":["{}"]}}]}}"#,
            B256::repeat_byte(0x22),
        )
        .into_bytes(),
        format!(r#"{{"vaults":[{{"vault":"{VAULT}","consensus_reward":1,"unlocked_mev_reward":1,"proof":[]}}],"x":{{}}}}"#).into_bytes(),
    ];
    Target::new(
        "rewards",
        corpus,
        &[
            "\"locked_mev_reward\":null,",
            "170141183460469231731687303715884105727",
            "-",
        ],
        move |input| {
            let mut accepted = false;
            for escrow in [network.contracts.shared_mev_escrow, Address::ZERO] {
                accepted |= matches!(harvest_params(input, VAULT, escrow, B256::ZERO, &network), Ok(Some(_)));
            }
            Ok(accepted.into())
        },
    )
}
