//! Deposits that somebody else makes for the vault's keys.

use sw_registration::{Duty, ForeignDeposit};
use sw_spec::{B256, WithdrawalCredentials};

use crate::{
    STRANGER,
    nodes::{Scene, VAULT, ours, public_key, transaction},
};

/// Whose deposit, and whether its signature is valid.
const STEPS: [(bool, bool); 3] = [(true, false), (false, true), (true, true)];

fn permutations() -> Vec<[(bool, bool); 3]> {
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    orders.map(|order| order.map(|step| STEPS[step])).to_vec()
}

/// lidofinance/lido-council-daemon#183: an invalid deposit of ours is no reference for who was first.
#[tokio::test]
async fn a_valid_deposit_of_a_stranger_quarantines_the_key_whatever_came_before_or_after() {
    // In blocks that are final, in the tail, and on both sides.
    for blocks in [[10, 20, 30], [110, 120, 120], [99, 100, 101], [10, 120, 130]] {
        for steps in permutations() {
            let scene = Scene::new(200, 100, 1).await;
            scene.chain().deposit(5, 10, STRANGER, true);
            for (block, (own, signed)) in blocks.into_iter().zip(steps) {
                let to = if own { ours() } else { STRANGER };
                scene.chain().deposit(block, 2, to, signed);
            }
            let validators = scene.validators();
            scene.duty(&validators).tick().await.unwrap();
            let view = scene.view(&validators).await.unwrap().unwrap();
            let place = steps.iter().position(|(own, _)| !own).unwrap();
            let foreign = ForeignDeposit {
                validator: public_key(2),
                withdrawal_credentials: STRANGER,
                block: blocks[place],
                transaction: transaction(1 + place as u64),
            };
            assert_eq!(view.quarantined, [foreign], "{steps:?}");
            assert_eq!((view.deposited, view.next_index), (vec![public_key(2)], 2));
            let metrics = scene.metrics.render();
            assert!(
                metrics.contains("sw_operator_quarantined_keys{network=\"mainnet\"} 1"),
                "{metrics}"
            );
        }
    }
}

#[tokio::test]
async fn after_a_restart_the_credentials_of_a_stored_deposit_are_looked_up_in_its_block() {
    let scene = Scene::new(200, 100, 1).await;
    scene
        .chain()
        .deposit(10, 1, ours(), true)
        .deposit(20, 2, STRANGER, false)
        .deposit(20, 2, STRANGER, true)
        .deposit(20, 11, STRANGER, true);
    scene.duty(&scene.validators()).tick().await.unwrap();
    let validators = scene.validators();
    for _ in 0..2 {
        let view = scene.view(&validators).await.unwrap().unwrap();
        assert_eq!(view.deposited, [1, 2].map(public_key));
        let found: Vec<_> = view
            .quarantined
            .iter()
            .map(|foreign| (foreign.validator, foreign.block))
            .collect();
        assert_eq!(found, [(public_key(2), 20)]);
        assert_eq!(view.quarantined[0].transaction, transaction(2));
    }
    // The scan, and for each of two views the tail; the two stored deposits once.
    assert_eq!(scene.node(0).asked_for_logs, 1 + 2 + 2);
}

#[tokio::test]
async fn the_vault_s_own_deposits_strangers_keys_and_invalid_signatures_raise_no_alarm() {
    let scene = Scene::new(200, 100, 1).await;
    let compounding = WithdrawalCredentials::compounding(VAULT).0;
    for block in [50, 150] {
        scene
            .chain()
            .deposit(block, 1, ours(), true)
            .deposit(block, 2, compounding, true)
            .deposit(block, 3, B256::ZERO, false)
            .deposit(block, 30, STRANGER, true);
    }
    let validators = scene.validators();
    scene.duty(&validators).tick().await.unwrap();
    let view = scene.view(&validators).await.unwrap().unwrap();
    assert!(view.quarantined.is_empty(), "{view:?}");
    assert_eq!((view.deposited, view.next_index), ([1, 2].map(public_key).to_vec(), 3));
}

#[tokio::test]
async fn a_key_whose_foreign_deposit_is_reorganised_away_stays_in_quarantine() {
    let scene = Scene::new(200, 100, 1).await;
    scene.chain().deposit(150, 3, STRANGER, true);
    let validators = scene.validators();
    scene.duty(&validators).tick().await.unwrap();
    assert_eq!(scene.view(&validators).await.unwrap().unwrap().quarantined.len(), 1);
    scene.chain().deposits.clear();
    scene.chain().forked_from = Some(140);
    let view = scene.view(&validators).await.unwrap().unwrap();
    assert_eq!(
        (view.next_index, view.deposited, view.quarantined.len()),
        (0, vec![], 1)
    );
}

/// The alarm does not wait until the key's turn.
#[tokio::test]
async fn the_scan_finds_deposits_of_keys_that_are_not_next() {
    let scene = Scene::new(200, 100, 1).await;
    scene.chain().deposit(50, 3, STRANGER, true);
    let validators = scene.validators();
    scene.duty(&validators).tick().await.unwrap();
    assert!(
        scene
            .metrics
            .render()
            .contains("quarantined_keys{network=\"mainnet\"} 1")
    );
}
