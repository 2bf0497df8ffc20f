//! A base fee that rises twentyfold while a registration waits to be mined.

use std::collections::BTreeSet;

use sw_devnet::DevnetConfig;

use crate::setup::{PATIENCE, STOP, Setup, small};

const GWEI: u128 = 1_000_000_000;
/// `--max-fee-per-gas-gwei`, which is also the default.
const CAP: u128 = 10;

#[tokio::test]
async fn a_base_fee_twenty_times_as_high_never_makes_it_pay_more_than_the_cap() {
    let config = DevnetConfig {
        // The approval outlives the two hundred blocks, so the transaction stays worth sending.
        signature_validity_period: 3600,
        ..small()
    };
    let setup = Setup::ready(config, 1).await;
    let (devnet, proxy) = (&setup.devnet, setup.devnet.proxy());
    devnet.set_base_fee(GWEI).await;
    devnet.mine(1).await.unwrap();
    let mut running = setup
        .person
        .start(&["--max-fee-per-gas-gwei", &CAP.to_string()])
        .unwrap();
    running.says("operator started", PATIENCE).await.unwrap();
    // The price rises between the oracles' checks and the operator's sending.
    pause_once_the_oracles_were_asked(devnet);
    devnet.stake(devnet.vault(), 32).await.unwrap();
    running.says("transaction sent", PATIENCE).await.unwrap();
    devnet.before_reply().clear();
    devnet.set_base_fee(20 * GWEI).await;
    for _ in 0..10 {
        devnet.mine(20).await.unwrap();
        // Time for the operator to see the price and to do something foolish.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    assert_eq!(setup.count().await, 0, "nobody pays twenty");
    assert!(!proxy.handed_in().is_empty());

    devnet.release_base_fee().await;
    let head = devnet
        .chain()
        .rpc()
        .block(None)
        .await
        .unwrap()
        .unwrap()
        .number
        .to::<u64>();
    for _ in 0..3 {
        if setup.count().await == 0 {
            devnet.mine(1).await.unwrap();
        }
    }
    let registered = devnet.registered(devnet.vault()).await.unwrap();
    assert_eq!(
        registered.len(),
        1,
        "not within three blocks; it said:\n{}",
        running.log()
    );
    assert!(registered[0].block <= head + 3);
    devnet.resume_mining().await.unwrap();
    running.says("validator registered", PATIENCE).await.unwrap();
    let handed_in = proxy.handed_in();
    let nonces: BTreeSet<u64> = handed_in.iter().map(|each| each.nonce).collect();
    assert_eq!(
        nonces,
        BTreeSet::from([0]),
        "one transaction, however often it was replaced"
    );
    for each in &handed_in {
        assert!(each.max_fee_per_gas <= CAP * GWEI, "{} wei", each.max_fee_per_gas);
    }
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));
}

#[tokio::test]
async fn a_registration_that_a_deposit_overtook_while_it_was_stuck_is_cancelled_and_the_next_goes_through() {
    let setup = Setup::ready(small(), 1).await;
    let (devnet, proxy) = (&setup.devnet, setup.devnet.proxy());
    devnet.set_base_fee(GWEI).await;
    devnet.mine(1).await.unwrap();
    let mut running = setup
        .person
        .start(&["--max-fee-per-gas-gwei", &CAP.to_string()])
        .unwrap();
    running.says("operator started", PATIENCE).await.unwrap();
    pause_once_the_oracles_were_asked(devnet);
    devnet.stake(devnet.vault(), 32).await.unwrap();
    running.says("transaction sent", PATIENCE).await.unwrap();
    devnet.before_reply().clear();
    devnet.set_base_fee(4 * GWEI).await;
    let (deposited, mined) = tokio::join!(devnet.foreign_deposit(), async {
        for _ in 0..3 {
            devnet.mine(1).await?;
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
        Ok::<_, sw_devnet::DevnetError>(())
    });
    deposited.unwrap();
    mined.unwrap();
    assert_eq!(setup.count().await, 0, "it offers less than the base fee");
    devnet.resume_mining().await.unwrap();
    running.says("has become useless", PATIENCE).await.unwrap();
    running.says("cancelled", PATIENCE).await.unwrap();
    let registered = setup.registered(1, &running).await;
    running.says("validator registered", PATIENCE).await.unwrap();
    let handed_in = proxy.handed_in();
    let last = handed_in.iter().rfind(|each| each.nonce == 1).unwrap();
    assert_eq!(registered[0].tx, last.hash, "a new approval, a new transaction");
    let nonces: BTreeSet<u64> = handed_in.iter().map(|each| each.nonce).collect();
    assert_eq!(nonces, BTreeSet::from([0, 1]), "no gap, and nothing beyond");
    assert!(handed_in.iter().all(|each| each.max_fee_per_gas <= CAP * GWEI));
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));
}

/// What happens between the oracles' checks and the operator's sending comes into no block.
fn pause_once_the_oracles_were_asked(devnet: &sw_devnet::Devnet) {
    let chain = std::sync::Arc::clone(devnet.chain());
    devnet.hook_before_reply(move |_| {
        let chain = std::sync::Arc::clone(&chain);
        async move {
            let interval = serde_json::json!([0]);
            let _: serde_json::Value = chain.rpc().request("evm_setIntervalMining", interval).await.unwrap();
        }
    });
}
