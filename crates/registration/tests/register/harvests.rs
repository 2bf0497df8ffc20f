//! A harvest by itself: when it is due, and what is told when it is not sent.

use std::sync::Arc;

use sw_chain_client::{HarvestParams, I160, U160, calls};
use sw_registration::{Duty, Harvest, HarvestVault, Mined, Outcome, WhyNot};
use sw_spec::{B256, U256};

use crate::{Fake, VAULT, WALLET, duty, idle, on_its_way};

#[tokio::test]
async fn a_harvest_is_sent_when_the_keeper_allows_it_and_only_then() {
    let (_, world, _) = duty();
    let mut harvest = HarvestVault::new(Fake(Arc::clone(&world)), VAULT, "ETH".to_owned());
    assert_eq!(harvest.tick().await.unwrap(), Outcome::Watched);
    let params = HarvestParams {
        rewards_root: B256::repeat_byte(3),
        reward: I160::try_from(-5).unwrap(),
        unlocked_mev_reward: U160::from(0),
        proof: Vec::new(),
    };
    {
        let mut world = world.lock().unwrap();
        world.state.can_harvest = true;
        world.tended.blocked = Some(on_its_way());
        world.harvest = Some(Harvest {
            params: params.clone(),
            withdrawable_assets: U256::ZERO,
        });
    }
    assert_eq!(idle(harvest.tick().await), on_its_way());
    {
        let mut world = world.lock().unwrap();
        world.tended.blocked = None;
        world.tended.mined.push(Mined {
            tx: B256::repeat_byte(2),
            block: 10,
            keys: Vec::new(),
            cost: None,
        });
    }
    assert_eq!(
        harvest.tick().await.unwrap(),
        Outcome::Acted,
        "what was sent before is mined"
    );
    assert!(
        world.lock().unwrap().sent.is_empty(),
        "and the view is from before that"
    );
    assert_eq!(harvest.tick().await.unwrap(), Outcome::Acted);
    let world = world.lock().unwrap();
    assert_eq!(
        (world.sent[0].1.to, &world.sent[0].1.data),
        (VAULT, &calls::vault_update_state(&params))
    );
}

#[tokio::test]
async fn a_harvest_that_the_keeper_does_not_ask_for_any_more_is_not_wanted() {
    let (_, world, _) = duty();
    let mut harvest = HarvestVault::new(Fake(Arc::clone(&world)), VAULT, "ETH".to_owned());
    for wanted in [true, false] {
        {
            let mut world = world.lock().unwrap();
            world.state.can_harvest = wanted;
            world.tended.blocked = Some(on_its_way());
        }
        let outcome = if wanted {
            Outcome::Idle(on_its_way())
        } else {
            Outcome::Watched
        };
        assert_eq!(
            harvest.tick().await.unwrap(),
            outcome,
            "nothing is told of what is not due"
        );
        assert_eq!(world.lock().unwrap().wanted, Some(wanted));
    }
}

#[tokio::test]
async fn a_harvest_at_too_high_a_price_is_told_before_its_file_is_fetched() {
    let (_, world, _) = duty();
    let mut harvest = HarvestVault::new(Fake(Arc::clone(&world)), VAULT, "ETH".to_owned());
    {
        let mut world = world.lock().unwrap();
        world.state.can_harvest = true;
        world.gas_limit_reached = true;
        world.no_gateway = true;
    }
    assert!(matches!(idle(harvest.tick().await), WhyNot::GasTooHigh { .. }));
    world.lock().unwrap().gas_limit_reached = false;
    harvest.tick().await.expect_err("no gateway has the file");
    world.lock().unwrap().no_gateway = false;
    let unlisted = idle(harvest.tick().await);
    assert_eq!(unlisted, WhyNot::NotInRewards { vault: VAULT });
    assert!(world.lock().unwrap().sent.is_empty());
}

#[tokio::test]
async fn a_harvest_that_the_wallet_cannot_pay_is_told_and_not_announced_at_every_block() {
    let (_, world, _) = duty();
    let mut harvest = HarvestVault::new(Fake(Arc::clone(&world)), VAULT, "ETH".to_owned());
    {
        let mut world = world.lock().unwrap();
        world.state.can_harvest = true;
        world.harvest = Some(Harvest {
            params: HarvestParams {
                rewards_root: B256::repeat_byte(3),
                reward: I160::try_from(5).unwrap(),
                unlocked_mev_reward: U160::from(0),
                proof: Vec::new(),
            },
            withdrawable_assets: U256::ZERO,
        });
        // What the offer of 100,000 gas takes, but for one wei.
        world.state.wallet_balance = U256::from(100_000_u64 * 2_000_000_000 - 1);
    }
    let why = idle(harvest.tick().await).to_string();
    assert!(
        why.contains(&format!(
            "the wallet {WALLET} holds 0.0001 ETH, a harvest may cost 0.0002"
        )),
        "{why}"
    );
    assert!(world.lock().unwrap().sent.is_empty());
    world.lock().unwrap().state.wallet_balance += U256::from(1);
    assert_eq!(harvest.tick().await.unwrap(), Outcome::Acted);
}
