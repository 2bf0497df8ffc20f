//! Exit signatures after the oracles have changed.

use alloy_primitives::b256;
use serde_json::{Value, json};
use sw_devnet::{
    Devnet, DevnetConfig,
    oracle::{Fault, Recoverable},
    person::RunningOperator,
    proxy::{Act, Rule},
};

use crate::setup::{PATIENCE, STOP, Setup, small};

const UP_TO_DATE: &str = "exit signatures are up to date";
const ROTATED: &str = "exit signatures rotated";

/// Epochs are short, so that a rotation is final soon.
fn hasty(config: DevnetConfig) -> DevnetConfig {
    DevnetConfig {
        slots_per_epoch: 2,
        rotation_batch_limit: 2,
        ..config
    }
}

/// The Keeper's `ExitSignaturesUpdated` events.
async fn rotations(devnet: &Devnet) -> usize {
    let topic = b256!("00864475858b77001993c57b93686a71d9b05afd547263395177b71e912a9cc1");
    let filter = json!([{"address": devnet.deployment().keeper, "topics": [topic], "fromBlock": "0x0"}]);
    let logs: Vec<Value> = devnet.chain().rpc().request("eth_getLogs", filter).await.unwrap();
    logs.len()
}

/// How many transactions of the operator's wallet are in blocks.
async fn sent(setup: &Setup) -> u64 {
    setup
        .devnet
        .chain()
        .rpc()
        .nonce(setup.wallet.parse().unwrap())
        .await
        .unwrap()
}

/// An operator with so many registered validators, all of whose exits the oracles can recover.
async fn settled(setup: &Setup, count: usize, arguments: &[&str]) -> RunningOperator {
    setup.devnet.stake(setup.vault, 32 * count as u64).await.unwrap();
    let running = setup.person.start(arguments).unwrap();
    setup.registered(count, &running).await;
    running.says(UP_TO_DATE, PATIENCE).await.unwrap();
    assert_eq!(recoverable(setup).await.len(), count);
    running
}

async fn recoverable(setup: &Setup) -> Vec<Recoverable> {
    setup.devnet.recoverable(setup.vault).await.unwrap()
}

/// The operator's word that a batch was rotated, after the first `mark` lines.
async fn rotated_since(running: &RunningOperator, mark: usize) -> String {
    running.says_since(mark, ROTATED, PATIENCE).await.unwrap()
}

#[tokio::test]
async fn when_an_oracle_is_replaced_every_exit_is_made_anew_in_batches_while_registrations_go_on() {
    // The Node program is among those that must approve.
    let config = DevnetConfig {
        oracles: 3,
        validators_threshold: 3,
        recover_threshold: 2,
        ..DevnetConfig::default()
    };
    let setup = Setup::ready(hasty(config), 4).await;
    let devnet = &setup.devnet;
    let mut running = settled(&setup, 3, &[]).await;
    let mark = running.lines();
    let newcomer = devnet.replace_oracle(0).await.unwrap();
    assert_eq!(recoverable(&setup).await, [], "the new oracle cannot read any share");

    let first = rotated_since(&running, mark).await;
    assert!(first.contains("count=2"), "{first}");
    // The second batch has to wait; the next validator has not.
    devnet.stake(setup.vault, 32).await.unwrap();
    setup.registered(4, &running).await;
    let after_first = running.log().lines().position(|line| line == first).unwrap() + 1;
    let second = rotated_since(&running, after_first).await;
    assert!(second.contains("count=1"), "{second}");
    running.says_since(after_first, UP_TO_DATE, PATIENCE).await.unwrap();

    let recoverable = recoverable(&setup).await;
    assert_eq!(recoverable.len(), 4, "{recoverable:?}; it said:\n{}", running.log());
    assert!(recoverable.iter().all(|each| each.by == 3));
    assert_eq!((rotations(devnet).await, sent(&setup).await), (2, 4));
    let oracles = devnet.oracles();
    let new = oracles.iter().find(|oracle| oracle.address() == newcomer).unwrap();
    assert_eq!(new.rotations().len(), 2, "each batch was asked for once");
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));
}

/// Epochs in which the oracle lies: `ROTATION_LIES`, or a few.
fn rounds() -> u64 {
    let rounds = std::env::var("ROTATION_LIES").ok();
    rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(3)
}

#[tokio::test]
async fn an_oracle_that_lies_about_outdated_exits_causes_no_request_and_no_transaction() {
    let config = DevnetConfig {
        oracles: 11,
        node_oracle: false,
        replicas: Vec::new(),
        validators_threshold: 8,
        recover_threshold: 6,
        slots_per_epoch: 1,
        ..DevnetConfig::default()
    };
    let setup = Setup::ready(config, 1).await;
    let devnet = &setup.devnet;
    let mut running = settled(&setup, 1, &["--log-level", "debug"]).await;
    let index = recoverable(&setup).await[0].index;
    let mark = running.lines();
    let oracles = devnet.oracles();
    let liar = &oracles[4];
    liar.set_fault(Fault::Outdated(vec![index, 0, 9_999]));
    let heard = running
        .says_since(mark, "too few oracles call these outdated", PATIENCE)
        .await;
    assert!(heard.unwrap().contains(&liar.address().to_string()));

    let head = async || {
        let block = devnet.chain().rpc().block(None).await.unwrap().unwrap();
        block.number.to::<u64>()
    };
    let end = head().await + rounds();
    while head().await < end {
        let lines = running.lines();
        running
            .says_since(lines, "asked for outdated exit signatures", PATIENCE)
            .await
            .unwrap();
    }
    for oracle in &oracles {
        assert_eq!(oracle.rotations(), [""; 0], "{}", oracle.address());
    }
    assert_eq!((rotations(devnet).await, sent(&setup).await), (0, 1));
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));
}

/// Killed after the journal entry, before any node has it; then with the transaction on its way.
#[tokio::test]
async fn killed_with_a_rotation_in_the_journal_and_started_again_it_rotates_once() {
    let setup = Setup::ready(hasty(small()), 1).await;
    let devnet = &setup.devnet;
    let mut running = settled(&setup, 1, &[]).await;

    let lost = Rule::always("eth_sendRawTransaction", Act::LoseRequest);
    devnet.proxy().rules().push(lost);
    devnet.replace_oracle(0).await.unwrap();
    running
        .says("asking the oracles to approve new ones", PATIENCE)
        .await
        .unwrap();
    let journal = setup.person.vault_dir().join("transactions.journal");
    let is_journalled = || {
        std::fs::read_to_string(&journal)
            .unwrap()
            .contains("\"kind\":\"rotate\"")
    };
    while !is_journalled() {
        tokio::task::yield_now().await;
    }
    running.kill().await.unwrap();
    assert_eq!((rotations(devnet).await, sent(&setup).await), (0, 1));
    devnet.pause_mining().await.unwrap();
    devnet.proxy().rules().clear();

    // The second run hands it out, and is killed while it waits.
    let mut running = setup.person.start(&[]).unwrap();
    running.says("sending it again", PATIENCE).await.unwrap();
    while devnet.proxy().handed_in().len() < 2 {
        tokio::task::yield_now().await;
    }
    running.kill().await.unwrap();
    devnet.resume_mining().await.unwrap();

    let mut running = setup.person.start(&[]).unwrap();
    let said = rotated_since(&running, 0).await;
    assert!(said.contains("count=1"), "{said}");
    running.says(UP_TO_DATE, PATIENCE).await.unwrap();
    assert_eq!((rotations(devnet).await, sent(&setup).await), (1, 2));
    assert_eq!(recoverable(&setup).await.len(), 1);
    assert_eq!(running.log().matches(ROTATED).count(), 1);
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));
}

const GWEI: u128 = 1_000_000_000;

#[tokio::test]
async fn a_rotation_that_is_stuck_past_its_deadline_is_cancelled_and_a_new_one_goes_through() {
    let setup = Setup::ready(hasty(small()), 1).await;
    let (devnet, proxy) = (&setup.devnet, setup.devnet.proxy());
    devnet.set_base_fee(GWEI).await;
    let mut running = settled(&setup, 1, &["--max-fee-per-gas-gwei", "10"]).await;
    let mark = running.lines();
    // The price rises between the oracles' checks and the operator's sending.
    let chain = std::sync::Arc::clone(devnet.chain());
    devnet.hook_before_reply(move |_| {
        let chain = std::sync::Arc::clone(&chain);
        async move {
            let _: Value = chain.rpc().request("evm_setIntervalMining", json!([0])).await.unwrap();
        }
    });
    devnet.replace_oracle(0).await.unwrap();
    running.says_since(mark, "transaction sent", PATIENCE).await.unwrap();
    devnet.before_reply().clear();
    // More than the limit: it cannot be replaced. The blocks are a second apart, and the approval is good for sixty.
    devnet.set_base_fee(20 * GWEI).await;
    devnet.mine(70).await.unwrap();
    assert_eq!(rotations(devnet).await, 0, "nobody pays twenty:\n{}", running.log());
    devnet.set_base_fee(4 * GWEI).await;
    devnet.resume_mining().await.unwrap();
    running.says_since(mark, "has become useless", PATIENCE).await.unwrap();
    running.says_since(mark, "cancelled", PATIENCE).await.unwrap();
    rotated_since(&running, mark).await;
    running.says_since(mark, UP_TO_DATE, PATIENCE).await.unwrap();
    assert_eq!((rotations(devnet).await, sent(&setup).await), (1, 3));
    assert_eq!(recoverable(&setup).await.len(), 1);
    assert!(proxy.handed_in().iter().all(|each| each.max_fee_per_gas <= 10 * GWEI));
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));
}
