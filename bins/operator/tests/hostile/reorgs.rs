//! A chain that changes its mind, up to thirty-two blocks deep, in the middle of registrations.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sw_devnet::{DevnetConfig, Dropped, contracts::interface::DepositContract};

use crate::{
    full,
    setup::{PATIENCE, STOP, Setup, small},
};

#[tokio::test]
async fn reorganisations_at_any_moment_leave_each_key_registered_once() {
    let rounds = full().unwrap_or(4);
    let config = DevnetConfig {
        // Nothing is final that a reorganisation can reach.
        slots_per_epoch: 32,
        ..small()
    };
    let setup = Setup::ready(config, rounds).await;
    let devnet = &setup.devnet;
    devnet.send_eth(setup.wallet.parse().unwrap(), 10).await.unwrap();
    devnet.mine(110).await.unwrap();
    let mut running = setup.person.start(&[]).unwrap();
    running.says("operator started", PATIENCE).await.unwrap();
    let mut random = Random(4);
    for round in 0..rounds {
        devnet.stake(devnet.vault(), 32).await.unwrap();
        tokio::time::sleep(Duration::from_millis(random.below(4000))).await;
        let depth = match round {
            0 => 32,
            _ => 1 + random.below(32),
        };
        let dropped = match round % 2 {
            0 => Dropped::Gone,
            _ => Dropped::BackInPool,
        };
        devnet.reorg_with(depth, dropped).await.unwrap();
        setup.registered(round + 1, &running).await;
    }
    // What is on chain now is what counts, not what was there once.
    let registered = setup.registered(rounds, &running).await;
    let keys: BTreeSet<_> = registered.iter().map(|each| &each.public_key).collect();
    assert_eq!((keys.len(), registered.len()), (rounds, rounds));
    let deposits = devnet
        .chain()
        .events::<DepositContract::DepositEvent>(devnet.deployment().deposit_contract)
        .await
        .unwrap();
    let mut times = BTreeMap::<String, usize>::new();
    for (deposit, _) in &deposits {
        *times.entry(deposit.pubkey.to_string()).or_default() += 1;
    }
    for key in keys {
        assert_eq!(times.get(key), Some(&1), "deposits of {key}");
    }
    assert_eq!(times.len(), rounds, "nobody else deposited");
    let transactions: BTreeSet<_> = registered.iter().map(|each| each.tx).collect();
    let nonce = devnet.chain().rpc().nonce(setup.wallet.parse().unwrap()).await.unwrap();
    assert!(
        nonce >= transactions.len() as u64,
        "nonce {nonce} after {} transactions",
        transactions.len()
    );
    let sent: BTreeSet<u64> = devnet.proxy().handed_in().iter().map(|each| each.nonce).collect();
    assert_eq!(sent, (0..nonce).collect(), "no nonce is left out and none waits");
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));
}

/// A linear congruential generator (Knuth's MMIX): the same moments in each run, as far as a busy machine lets them be.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}
