//! The next keys are opened ahead.

use std::sync::Mutex;

use sw_registration::{Duty, DutyError, Outcome, WhyNot};
use sw_spec::U256;

use crate::{ETH, World, duty_with, idle};

fn poor(world: &Mutex<World>) {
    world.lock().unwrap().state.withdrawable_assets = U256::from(31 * ETH);
}

#[tokio::test]
async fn the_next_keys_are_opened_while_the_vault_waits_for_assets_each_once() {
    let (mut duty, world, tree, opened) = duty_with(None);
    poor(&world);
    let mut ahead = duty.open_ahead();
    ahead.tick().await.unwrap();
    assert!(opened.lock().unwrap().is_empty(), "nobody knows what is next yet");
    assert!(matches!(idle(duty.tick().await), WhyNot::NotEnoughAssets { .. }));
    assert!(
        opened.lock().unwrap().is_empty(),
        "the registration itself opens nothing"
    );
    for _ in 0..3 {
        ahead.tick().await.unwrap();
        duty.tick().await.unwrap();
    }
    let next: Vec<_> = (1..5).map(|position| tree.public_key(position).unwrap()).collect();
    assert_eq!(*opened.lock().unwrap(), next, "not the one that is registered");

    world.lock().unwrap().state.withdrawable_assets = U256::from(70 * ETH);
    assert_eq!(duty.tick().await.unwrap(), Outcome::Acted);
    assert_eq!(opened.lock().unwrap().len(), 4, "the keys were ready");
}

#[tokio::test]
async fn keys_that_are_registered_are_forgotten_and_no_others() {
    let (mut duty, world, tree, opened) = duty_with(None);
    let mut ahead = duty.open_ahead();
    poor(&world);
    duty.tick().await.unwrap();
    ahead.tick().await.unwrap();
    world.lock().unwrap().state.deposit_data_index = 3;
    duty.tick().await.unwrap();
    ahead.tick().await.unwrap();
    assert_eq!(opened.lock().unwrap().len(), 4);
    // As after a chain that went back: what was let go of is opened again, what was kept is not.
    world.lock().unwrap().state.deposit_data_index = 2;
    duty.tick().await.unwrap();
    ahead.tick().await.unwrap();
    assert_eq!(opened.lock().unwrap()[4..], [tree.public_key(2).unwrap()]);
}

#[tokio::test]
async fn no_more_keys_are_opened_than_a_registration_takes() {
    let (mut duty, world, _, opened) = duty_with(None);
    // The oracles' config, which the duty has read by then, has a limit of three.
    world.lock().unwrap().state.wallet_balance = U256::ZERO;
    assert!(matches!(idle(duty.tick().await), WhyNot::WalletTooPoor { .. }));
    let mut ahead = duty.open_ahead();
    ahead.tick().await.unwrap();
    assert_eq!(opened.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_key_that_does_not_open_is_tried_once_and_holds_up_no_other() {
    let (mut duty, world, tree, opened) = duty_with(Some(2));
    poor(&world);
    let mut ahead = duty.open_ahead();
    for _ in 0..3 {
        duty.tick().await.unwrap();
        ahead.tick().await.unwrap();
    }
    assert_eq!(opened.lock().unwrap().len(), 4);
    world.lock().unwrap().state.withdrawable_assets = U256::from(33 * ETH);
    assert_eq!(
        duty.tick().await.unwrap(),
        Outcome::Acted,
        "the one before it registers"
    );
    world.lock().unwrap().state.deposit_data_index = 2;
    let error = duty.tick().await.expect_err("its own turn");
    assert!(
        matches!(&error, DutyError::Signer { validator, .. } if *validator == tree.public_key(2).unwrap()),
        "{error}"
    );
}
