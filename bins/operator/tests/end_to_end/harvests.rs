//! Harvests: one for each vote on rewards, and none beside it.

use alloy_primitives::I256;
use sw_devnet::{DevnetConfig, Harvested, VaultKind, contracts::interface::Keeper, person::RunningOperator};

use crate::setup::{PATIENCE, STOP, Setup, small};

const ETH: u128 = 1_000_000_000_000_000_000;
const HARVEST: &str = "--harvest-vault";
const GWEI: u128 = 1_000_000_000;

impl Setup {
    async fn harvests(&self) -> Vec<Harvested> {
        self.devnet.chain().harvests(self.vault).await.unwrap()
    }

    /// A vault with a validator, whose rewards the Keeper counts from then on, and its operator.
    async fn with_validator(kind: VaultKind, keys: usize, arguments: &[&str]) -> (Self, RunningOperator) {
        let config = DevnetConfig {
            signature_validity_period: 3600,
            ..small()
        };
        let setup = Self::of_kind(kind, config, keys).await;
        setup.upload_root().await;
        setup.devnet.stake(setup.vault, 32).await.unwrap();
        let running = setup.person.start(arguments).unwrap();
        setup.registered(1, &running).await;
        running.says("validator registered", PATIENCE).await.unwrap();
        (setup, running)
    }
}

/// Losses, and gains that 64 bits do not hold; the vault counts each once, and nothing is sent when there are none.
async fn each_vote_is_harvested_once(kind: VaultKind, mev_in_reward: u128) {
    let (setup, mut running) = Setup::with_validator(kind, 1, &[HARVEST]).await;
    let total = async || {
        setup
            .devnet
            .chain()
            .total_assets(setup.vault)
            .await
            .unwrap()
            .to::<u128>()
    };
    setup.blocks(3).await;
    assert_eq!(setup.sent().await, 1, "nothing is due");

    setup.devnet.reward(setup.vault, -3 * ETH as i128, 0).await.unwrap();
    let told = running.says("vault harvested", PATIENCE).await.unwrap();
    assert!(told.contains("cost="), "{told}");
    let before = running.says("harvesting the vault", PATIENCE).await.unwrap();
    assert!(
        before.contains("cost=\"at most 0.000") && before.contains(" ETH\""),
        "{before}"
    );
    assert_eq!(total().await, 29 * ETH);

    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));
    let mut running = setup.person.start(&[HARVEST]).unwrap();
    running.says("operator started", PATIENCE).await.unwrap();
    setup.blocks(3).await;
    assert_eq!(setup.sent().await, 2, "a restart is no reason:\n{}", running.log());

    setup
        .devnet
        .reward(setup.vault, 40 * ETH as i128, 20 * ETH)
        .await
        .unwrap();
    running.says("vault harvested", PATIENCE).await.unwrap();
    assert_eq!(total().await, (29 + 40 + 20) * ETH);
    setup.blocks(3).await;
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));
    assert_eq!(setup.sent().await, 3, "{}", running.log());
    let deltas: Vec<I256> = setup.harvests().await.iter().map(|each| each.assets_delta).collect();
    let gained = 40 * ETH + mev_in_reward;
    assert_eq!(
        deltas,
        [
            I256::try_from(-3 * ETH as i128).unwrap(),
            I256::try_from(gained).unwrap()
        ]
    );
}

#[tokio::test]
async fn each_vote_is_harvested_once_and_told_with_its_cost() {
    each_vote_is_harvested_once(VaultKind::DepositData, 20 * ETH).await;
}

#[tokio::test]
async fn a_vault_with_its_own_escrow_proves_the_consensus_reward_alone() {
    each_vote_is_harvested_once(VaultKind::OwnEscrow, 0).await;
}

#[tokio::test]
async fn a_harvest_waits_for_gas_says_so_once_and_fetches_its_file_once() {
    let (setup, mut running) = Setup::with_validator(VaultKind::DepositData, 1, &[HARVEST]).await;
    setup.devnet.set_base_fee(20 * GWEI).await;
    setup.blocks(2).await;
    setup.devnet.reward(setup.vault, ETH as i128, 0).await.unwrap();
    let told = running
        .says("the vault is not harvested reason=gas costs", PATIENCE)
        .await
        .unwrap();
    assert!(
        told.contains("INFO") && told.contains("the limit is 10.00 gwei"),
        "{told}"
    );
    setup.blocks(5).await;
    assert_eq!(setup.sent().await, 1);
    setup.devnet.release_base_fee().await;
    running.says("vault harvested", PATIENCE).await.unwrap();
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));
    assert_eq!(
        running.log().matches("the vault is not harvested").count(),
        1,
        "{}",
        running.log()
    );
    let keeper = setup.devnet.chain().addresses().keeper;
    let updates = setup
        .devnet
        .chain()
        .events::<Keeper::RewardsUpdated>(keeper)
        .await
        .unwrap();
    let cid = &updates.last().unwrap().0.rewardsIpfsHash;
    assert_eq!(setup.devnet.gateway().asked(cid), 1, "{cid}");
    assert_eq!(setup.harvests().await.len(), 1);
}

#[tokio::test]
async fn a_registration_that_brings_the_harvest_is_waited_for_also_after_a_restart() {
    let (setup, mut running) = Setup::with_validator(VaultKind::DepositData, 2, &[]).await;
    let devnet = &setup.devnet;
    devnet.reward(setup.vault, ETH as i128, ETH).await.unwrap();
    setup.blocks(3).await;
    assert_eq!(setup.sent().await, 1, "nobody asked for harvests:\n{}", running.log());
    // With the reward this is enough for a validator.
    devnet.hook_before_reply({
        let chain = std::sync::Arc::clone(devnet.chain());
        move |_| {
            let chain = std::sync::Arc::clone(&chain);
            async move {
                let set = chain
                    .rpc()
                    .request("evm_setIntervalMining", serde_json::json!([0]))
                    .await;
                let _: serde_json::Value = set.unwrap();
            }
        }
    });
    let mark = running.lines();
    devnet.stake(setup.vault, 31).await.unwrap();
    running.says_since(mark, "transaction sent", PATIENCE).await.unwrap();
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));

    let mut running = setup.person.start(&[HARVEST]).unwrap();
    let told = running.says("the vault is not harvested", PATIENCE).await.unwrap();
    assert!(
        told.contains("registration 0x") && told.contains("not yet mined"),
        "{told}"
    );
    devnet.before_reply().clear();
    devnet.resume_mining().await.unwrap();
    let registered = setup.registered(2, &running).await;
    setup.blocks(3).await;
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));
    let harvests = setup.harvests().await;
    assert!(
        matches!(&harvests[..], [one] if one.tx == registered[1].tx),
        "{harvests:?}"
    );
    assert_eq!(setup.sent().await, 2, "{}", running.log());
}
