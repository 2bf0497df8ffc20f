//! What ends with a validator on chain.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::Value;
use sw_devnet::{DevnetConfig, oracle::Fault};

use crate::setup::{PATIENCE, STOP, Setup};

#[tokio::test]
async fn nothing_is_registered_unless_every_oracle_agrees_the_node_program_among_them() {
    let all = DevnetConfig {
        oracles: 4,
        validators_threshold: 4,
        recover_threshold: 3,
        ..DevnetConfig::default()
    };
    let setup = Setup::ready(all, 3).await;
    let node = setup
        .devnet
        .oracles()
        .into_iter()
        .find(|oracle| Some(oracle.address()) == setup.devnet.node_oracle_address());
    let node = node.expect("one oracle is the Node program");
    node.set_fault(Fault::Down);
    setup.devnet.stake(setup.devnet.vault(), 64).await.unwrap();
    let mut running = setup.person.start(&[]).unwrap();
    let said = running.says("the oracles did not approve", PATIENCE).await.unwrap();
    assert!(said.contains("3 of the 4 oracles needed approved"), "{said}");
    running
        .says(&format!("oracle {}: no approval", node.address()), PATIENCE)
        .await
        .unwrap();
    assert_eq!(setup.count().await, 0);

    node.set_fault(Fault::None);
    let registered = setup.registered(2, &running).await;
    let signers = setup.devnet.approval_signers(registered[0].tx).await.unwrap();
    assert_eq!(signers.len(), 4);
    assert!(
        signers.contains(&node.address()),
        "{signers:?} without {}",
        node.address()
    );
    assert!(signers.is_sorted(), "the Keeper takes signers in ascending order");
    assert_eq!(registered[0].tx, registered[1].tx, "both together");
    let request = setup.devnet.oracles()[0].requests().pop().unwrap();
    let recorded = sw_testkit::fixture_text("recorded_request.json");
    assert_eq!(
        shape(&request),
        shape(recorded.trim()),
        "the request, to record anew if it may change: {request}"
    );
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));
}

/// A request with every hexadecimal digit after `0x`, and every number, replaced by `#`: what is left are its members,
/// their order, their types and the lengths of their values.
fn shape(request: &str) -> String {
    let mut shape = String::new();
    let mut rest = request;
    while let Some(character) = rest.chars().next() {
        let in_text = rest
            .strip_prefix("0x")
            .map(|digits| digits.trim_start_matches(|digit: char| digit.is_ascii_hexdigit()));
        if let Some(after) = in_text {
            shape.push_str(&"#".repeat(rest.len() - after.len()));
            rest = after;
        } else if character.is_ascii_digit() {
            shape.push('#');
            rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
        } else {
            shape.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    shape.replace("true", "flag").replace("false", "flag")
}

/// Moves the chain in the worst moment of the first request, and expects that nothing stale is sent and the next try
/// registers.
async fn overtaken_once(index_moves: bool, reason: &str) {
    let setup = Setup::ready(DevnetConfig::default(), 2).await;
    let (chain, requests) = (Arc::clone(setup.devnet.chain()), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&requests);
    setup.devnet.hook_before_reply(move |_| {
        let (chain, first) = (Arc::clone(&chain), count.fetch_add(1, Ordering::SeqCst) == 0);
        async move {
            if !first {
            } else if index_moves {
                chain.foreign_deposit().await.unwrap();
            } else {
                chain.invalid_deposit().await.unwrap();
            }
        }
    });
    setup.devnet.stake(setup.devnet.vault(), 32).await.unwrap();
    let running = setup.person.start(&["--log-level", "debug"]).unwrap();
    running.says(reason, PATIENCE).await.unwrap();
    let registered = setup.registered(1, &running).await;
    assert_eq!(registered.len(), 1);
    assert!(
        requests.load(Ordering::SeqCst) >= 2,
        "the approval of the first request was not used"
    );
    assert_eq!(
        setup.sent().await,
        1,
        "one transaction was ever sent:\n{}",
        running.log()
    );
    let sent: Vec<Value> = setup.devnet.oracles()[0]
        .requests()
        .iter()
        .map(|request| serde_json::from_str(request).unwrap())
        .collect();
    let (first, last) = (sent.first().unwrap(), sent.last().unwrap());
    assert_ne!(first["validators_root"], last["validators_root"]);
    assert_eq!(first["validator_index"] != last["validator_index"], index_moves);
}

#[tokio::test]
async fn a_deposit_root_that_moves_while_the_oracles_answer_costs_a_round_and_nothing_else() {
    overtaken_once(
        false,
        "the deposit contract's root changed while the oracles were asked",
    )
    .await;
}

#[tokio::test]
async fn a_validator_index_that_moves_while_the_oracles_answer_costs_a_round_and_nothing_else() {
    overtaken_once(true, "the deposit contract's root changed while the oracles were asked").await;
}

#[tokio::test]
async fn a_due_harvest_is_part_of_the_registration() {
    let setup = Setup::ready(DevnetConfig::default(), 3).await;
    let (vault, eth) = (setup.devnet.vault(), 1_000_000_000_000_000_000_u128);
    setup.devnet.stake(vault, 32).await.unwrap();
    let mut running = setup.person.start(&[]).unwrap();
    setup.registered(1, &running).await;
    // 31 ETH alone are too few: what the vault earned has to be counted, twice, so that an update is required as well.
    setup.devnet.stake(vault, 31).await.unwrap();
    setup
        .devnet
        .reward(vault, 500_000_000_000_000_000, eth / 2)
        .await
        .unwrap();
    setup
        .devnet
        .reward(vault, 500_000_000_000_000_000, eth / 2)
        .await
        .unwrap();
    let registered = setup.registered(2, &running).await;
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));
    let harvests = setup.devnet.chain().harvests(vault).await.unwrap();
    assert!(
        matches!(&harvests[..], [one] if one.tx == registered[1].tx),
        "{harvests:?}"
    );
    assert_eq!(setup.sent().await, 2, "a transaction each:\n{}", running.log());
}

#[tokio::test]
async fn one_oracle_with_a_bad_signature_is_left_out_and_does_not_stop_the_rest() {
    let setup = Setup::ready(DevnetConfig::default(), 1).await;
    let liar = &setup.devnet.oracles()[0];
    liar.set_fault(Fault::BadSignature);
    setup.devnet.stake(setup.devnet.vault(), 32).await.unwrap();
    let running = setup.person.start(&["--log-level", "debug"]).unwrap();
    let registered = setup.registered(1, &running).await;
    let signers = setup.devnet.approval_signers(registered[0].tx).await.unwrap();
    assert!(!signers.contains(&liar.address()));
    running.says("a signature of", PATIENCE).await.unwrap();
}

#[tokio::test]
async fn exits_of_registered_validators_can_be_recovered_by_the_oracles() {
    let setup = Setup::ready(DevnetConfig::default(), 2).await;
    setup.devnet.stake(setup.devnet.vault(), 64).await.unwrap();
    let running = setup.person.start(&[]).unwrap();
    let registered = setup.registered(2, &running).await;
    let recovered = setup.devnet.oracles()[0].recovered_exits();
    let keys: Vec<String> = recovered.iter().map(|exit| exit.public_key.to_string()).collect();
    for each in &registered {
        assert!(keys.contains(&each.public_key), "no exit of {}", each.public_key);
    }
}
