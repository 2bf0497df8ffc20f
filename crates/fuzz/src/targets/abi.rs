//! What contracts return, log and revert with, as a node hands it on.

use alloy_primitives::{B256, keccak256};
use sw_chain_client::{Address, HarvestParams, I160, U160, decode_revert, fuzzing::Reply};
use sw_spec::Network;

use super::nodes::{CONTRACT, client, now, snapshot};
use crate::{Target, Verdict};

/// The first topic of an event.
pub(super) fn topic(signature: &str) -> B256 {
    keccak256(signature)
}

/// The data of a `DepositEvent`.
pub(super) fn deposit_data(index: u64) -> Vec<u8> {
    let amount = 32_000_000_000_u64.to_le_bytes();
    let index = index.to_le_bytes();
    let parts: [&[u8]; 5] = [&[0xab; 48], &[1; 32], &amount, &[0xcd; 96], &index];
    abi(&parts.map(Part::Bytes))
}

/// A value as the ABI has it: a word in its place, or bytes behind an offset.
enum Part<'a> {
    Word(u64),
    Bytes(&'a [u8]),
}

fn word(number: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word.iter_mut()
        .rev()
        .zip(number.to_le_bytes())
        .for_each(|(byte, digit)| *byte = digit);
    word
}

fn abi(parts: &[Part<'_>]) -> Vec<u8> {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Word(number) => head.extend(word(*number)),
            Part::Bytes(bytes) => {
                head.extend(word((parts.len() * 32 + tail.len()) as u64));
                tail.extend(word(bytes.len() as u64));
                tail.extend(*bytes);
                tail.resize(tail.len().next_multiple_of(32), 0);
            }
        }
    }
    head.extend(tail);
    head
}

/// A list of dynamic values, each already encoded.
fn list_of(members: &[Vec<u8>]) -> Vec<u8> {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    for member in members {
        head.extend(word((members.len() * 32 + tail.len()) as u64));
        tail.extend(member);
    }
    [word(32).to_vec(), word(members.len() as u64).to_vec(), head, tail].concat()
}

fn aggregated(returned: &[Vec<u8>]) -> Vec<u8> {
    let results: Vec<_> = returned
        .iter()
        .map(|data| abi(&[Part::Word(1), Part::Bytes(data)]))
        .collect();
    list_of(&results)
}

const EVENTS: [&str; 6] = [
    "DepositEvent(bytes,bytes,bytes,bytes,bytes)",
    "ConfigUpdated(string)",
    "RewardsUpdated(address,bytes32,uint256,uint64,uint64,string)",
    "ValidatorRegistered(bytes)",
    "V2ValidatorRegistered(bytes,uint256)",
    "ExitSignaturesUpdated(address,address,uint256,string)",
];

/// The first byte says which event; the rest is its data.
pub(super) fn events() -> Target {
    let cid = b"QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o";
    let mut corpus = vec![
        deposit_data(5),
        abi(&[Part::Bytes(cid)]),
        abi(&[Part::Word(1), Part::Word(2), Part::Word(3), Part::Bytes(cid)]),
        abi(&[Part::Bytes(&[0xab; 48])]),
        abi(&[Part::Bytes(&[0xab; 48]), Part::Word(32_000_000_000)]),
        abi(&[Part::Word(4), Part::Bytes(cid)]),
    ];
    for (index, data) in corpus.iter_mut().enumerate() {
        data.insert(0, index as u8);
    }
    Target::new("abi-events", corpus, &[], |input| {
        let Some((which, data)) = input.split_first() else {
            return Ok(Verdict::Refused);
        };
        let which = usize::from(*which) % EVENTS.len();
        let second = match which {
            2 => Some(B256::repeat_byte(9)),
            5 => Some(CONTRACT.into_word()),
            _ => None,
        };
        let indexed = second.map_or_else(String::new, |second| format!(",\"0x{:064x}\",\"{second}\"", 1));
        let log = format!(
            r#"[{{"address":"{CONTRACT}","topics":["{}"{indexed}],"data":"0x{}","blockNumber":"0x5a","blockHash":"{}","transactionHash":"{}","logIndex":"0x1"}}]"#,
            topic(EVENTS.get(which).copied().unwrap_or_default()),
            hex::encode(data),
            B256::repeat_byte(1),
            B256::repeat_byte(2),
        );
        let client = client(move |method| (method == "eth_getLogs").then(|| Reply::Result(log.clone().into_bytes())));
        let snapshot = snapshot(&client)?;
        let accepted = match which {
            0 => now(snapshot.deposit_events(CONTRACT, 80, 100))?.is_ok(),
            1 => now(snapshot.last_config_cid(CONTRACT, 80, 100))?.is_ok(),
            2 => now(snapshot.last_rewards(CONTRACT, 80, 100))?.is_ok(),
            5 => now(snapshot.last_exit_signatures_update(CONTRACT, CONTRACT, 80, 100))?.is_ok(),
            _ => now(snapshot.validator_registered_events(CONTRACT, 80, 100))?.is_ok(),
        };
        Ok(accepted.into())
    })
}

/// What `aggregate3` returns for the reads of a registration.
pub(super) fn multicall() -> Target {
    let address = |byte: u8| [&[0; 12][..], &[byte; 20]].concat();
    let number = |number: u64| word(number).to_vec();
    let registration = [
        number(9),
        number(0),
        address(7),
        number(1),
        number(2),
        number(9),
        abi(&[Part::Bytes(&77_u64.to_le_bytes())]),
        number(1),
        number(0),
        number(1),
        number(8),
        number(6),
        number(9),
        number(1),
    ];
    let vault = [
        number(5),
        number(1),
        address(1),
        address(2),
        address(3),
        number(0),
        number(1),
    ];
    let corpus = vec![
        aggregated(&registration),
        aggregated(&vault),
        aggregated(&[number(3), number(1), number(8), number(6), number(9)]),
        aggregated(&[number(1), number(0)]),
    ];
    let network = Network::Mainnet.spec();
    Target::new("abi-multicall", corpus, &[], move |input| {
        let client = returning(input);
        let snapshot = snapshot(&client)?;
        let of_registry = now(snapshot.registration(CONTRACT, 5, &network, CONTRACT))?.is_ok();
        let of_vault = now(snapshot.registration(CONTRACT, 1, &network, CONTRACT))?.is_ok();
        let vault = now(snapshot.vault(CONTRACT, &network))?.is_ok();
        let rotation = now(snapshot.rotation(CONTRACT, &network, CONTRACT))?.is_ok();
        let oracles = now(snapshot.are_oracles(&network, &[Address::ZERO, CONTRACT]))?.is_ok();
        Ok((of_registry || of_vault || vault || rotation || oracles).into())
    })
}

/// What `multicall` of a vault returns.
pub(super) fn results() -> Target {
    let bytes = |data: &[u8]| [word(data.len() as u64).to_vec(), data.to_vec()].concat();
    let corpus = vec![list_of(&[bytes(&[]), bytes(&word(32))])];
    Target::new("abi-results", corpus, &[], |input| {
        let client = returning(input);
        let harvest = HarvestParams {
            rewards_root: B256::ZERO,
            reward: I160::ZERO,
            unlocked_mev_reward: U160::ZERO,
            proof: Vec::new(),
        };
        Ok(now(snapshot(&client)?.withdrawable_after_harvest(CONTRACT, &harvest))?
            .is_ok()
            .into())
    })
}

fn returning(data: &[u8]) -> sw_chain_client::ExecutionClient {
    let result = format!("\"0x{}\"", hex::encode(data)).into_bytes();
    client(move |method| (method == "eth_call").then(|| Reply::Result(result.clone())))
}

pub(super) fn revert() -> Target {
    let reverted = |signature: &str, parts: &[Part<'_>]| [&keccak256(signature)[..4], &abi(parts)].concat();
    let corpus = vec![
        reverted("Error(string)", &[Part::Bytes(b"out of stock")]),
        reverted("Panic(uint256)", &[Part::Word(0x11)]),
        reverted("InsufficientBalance(uint256,uint256)", &[Part::Word(1), Part::Word(2)]),
        reverted("StringTooLong(string)", &[Part::Bytes(b"a long text")]),
        reverted("NotHarvested()", &[]),
    ];
    Target::new("revert", corpus, &["\n", "\u{1b}[31m"], |input| {
        let revert = decode_revert(input);
        let shown = revert.to_string();
        if shown.len() > 4_096 || shown.chars().any(char::is_control) {
            return Err(format!(
                "a reason of {} bytes, or with control characters: {shown:?}",
                shown.len()
            ));
        }
        Ok(revert.name.is_some().into())
    })
}
