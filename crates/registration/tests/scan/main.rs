//! The network's validators, read from nodes that fail, lag, leave things out and make things up.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod front_running;
mod lies;
mod nodes;

use nodes::{Scene, liar, ours, public_key};
use sw_registration::{Duty, WhyNot};
use sw_spec::{B256, DepositTree, ValidatorsDump};
use sw_store::Deposits;

const STRANGER: B256 = B256::repeat_byte(0xee);

#[tokio::test]
async fn a_scan_that_fails_on_the_way_goes_on_from_the_last_piece_and_proves_all_of_it() {
    let scene = Scene::new(9_100, 9_000, 1).await;
    for number in 0..20 {
        scene
            .chain()
            .deposit(number * 440, 10 + number as u8, STRANGER, number % 3 > 0);
    }
    (scene.node(0).longest, scene.node(0).broken_from) = (1_000, 6_000);
    scene.duty(&scene.validators()).tick().await.unwrap_err();
    let kept = scene.database();
    let checkpoint = kept.checkpoint().unwrap();
    assert!((4_000..6_000).contains(&checkpoint), "{checkpoint}");
    assert_eq!(kept.proven(), None);
    let tree = scene.chain().tree(checkpoint);
    assert_eq!(kept.scanned().unwrap().deposits, Deposits::Tree(tree));

    scene.node(0).broken_from = u64::MAX;
    let validators = scene.validators();
    assert!(matches!(
        scene.view(&validators).await,
        Ok(Err(WhyNot::ValidatorsNotScanned))
    ));
    scene.duty(&validators).tick().await.unwrap();
    assert_eq!(scene.database().proven(), Some((9_000, &scene.chain().tree(9_000))));
    let view = scene.view(&validators).await.unwrap().unwrap();
    assert_eq!((view.next_index, view.deposited), (13, vec![]));
}

#[tokio::test]
async fn a_decision_does_not_read_the_chain_from_its_beginning() {
    let scene = Scene::new(200_000, 199_000, 1).await;
    let validators = scene.validators();
    scene
        .database()
        .insert_proven(&[], 1, B256::ZERO, DepositTree::new())
        .unwrap();
    let view = scene.view(&scene.validators()).await.unwrap();
    assert!(matches!(view, Err(WhyNot::ValidatorsNotScanned)), "{view:?}");
    drop(validators);
    assert_eq!(scene.node(0).asked_for_logs, 0);
}

#[tokio::test]
async fn a_node_whose_logs_lag_behind_its_contracts_gives_no_index() {
    let scene = Scene::new(100, 50, 1).await;
    scene
        .chain()
        .deposit(60, 10, STRANGER, true)
        .deposit(90, 11, STRANGER, true);
    let validators = scene.validators();
    scene.duty(&validators).tick().await.unwrap();
    scene.lies(0, |told| told.truncate(1));
    let error = scene.view(&validators).await.unwrap_err();
    assert_eq!(liar(&error), Some(scene.nodes[0].url.to_string()));
    scene.node(0).lie = None;
    assert_eq!(scene.view(&validators).await.unwrap().unwrap().next_index, 2);
}

#[tokio::test]
async fn deposits_that_are_left_out_between_two_pieces_stop_the_scan_before_they_are_missed() {
    let scene = Scene::new(3_100, 3_000, 1).await;
    for (block, key) in [(10, 10), (20, 11), (1_500, 12), (2_500, 13)] {
        scene.chain().deposit(block, key, STRANGER, true);
    }
    scene.node(0).longest = 1_000;
    scene.lies(0, |told| {
        told.remove(2);
    });
    let error = scene.duty(&scene.validators()).tick().await.unwrap_err();
    assert!(liar(&error).is_some(), "{error:?}");
    let kept = scene.database().checkpoint().unwrap();
    assert!((20..2_500).contains(&kept), "{kept}");
}

/// A dump in its own CID, so that no gateway is needed.
fn inline_dump(last_block: u64) -> ValidatorsDump {
    let mut record = 7_u32.to_be_bytes().to_vec();
    record.extend([9; 48]);
    ValidatorsDump {
        cid: format!("f01550034{}", hex::encode(record)),
        last_block,
        required: false,
    }
}

#[tokio::test]
async fn a_scan_that_began_without_the_published_list_takes_it_when_it_can_be_had() {
    let mut scene = Scene::new(9_100, 9_000, 1).await;
    scene
        .database()
        .insert(&[], 100, Deposits::Tree(DepositTree::new()))
        .unwrap();
    scene.network.validators_dump = Some(inline_dump(8_000));
    scene.duty(&scene.validators()).tick().await.unwrap();
    let index = scene.database();
    assert_eq!((index.count().unwrap(), index.checkpoint()), (1, Some(9_000)));
    assert_eq!(scene.node(0).asked_for_logs, 1, "from block 8001 on");
}

#[tokio::test]
async fn a_list_that_the_chain_cannot_replace_is_waited_for_and_any_other_is_done_without() {
    for (required, checkpoint) in [(true, None), (false, Some(3_000))] {
        let mut scene = Scene::new(3_100, 3_000, 1).await;
        scene.network.validators_dump = Some(ValidatorsDump {
            cid: "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o".to_owned(),
            last_block: 2_000,
            required,
        });
        let ticked = scene.duty(&scene.validators()).tick().await;
        assert_eq!((ticked.is_err(), scene.database().checkpoint()), (required, checkpoint));
    }
}

/// The contracts of Ethereum and of Gnosis keep their tree in different places.
#[tokio::test]
async fn after_a_published_list_the_tree_is_the_contract_s_own_and_everything_new_is_proven() {
    for layout in [(0, 32), (33, 65)] {
        let mut scene = Scene::new(9_100, 9_000, 1).await;
        scene.chain().layout = layout;
        for (block, key) in [(10, 10), (20, 11), (8_500, 12), (8_600, 13), (9_050, 14)] {
            scene.chain().deposit(block, key, STRANGER, true);
        }
        scene.network.validators_dump = Some(inline_dump(8_000));
        let validators = scene.validators();
        let mut duty = scene.duty(&validators);
        duty.tick().await.unwrap();
        assert_eq!(scene.database().proven(), Some((9_000, &scene.chain().tree(9_000))));
        // The one of the list, two of the scan, one of the tail.
        assert_eq!(scene.view(&validators).await.unwrap().unwrap().next_index, 4);

        (scene.chain().head, scene.chain().finalized) = (9_200, 9_100);
        scene.lies(0, |told| told[4].amount.0 += 1);
        let error = duty.tick().await.unwrap_err();
        assert!(liar(&error).is_some(), "{error:?}");
        assert_eq!(scene.database().checkpoint(), Some(9_000));
    }
}

#[tokio::test]
async fn a_contract_whose_storage_is_unknown_is_read_from_its_first_deposit() {
    let mut scene = Scene::new(1_100, 1_000, 1).await;
    scene.chain().layout = (7, 70);
    scene
        .chain()
        .deposit(10, 10, STRANGER, true)
        .deposit(990, 11, STRANGER, true);
    scene.network.validators_dump = Some(inline_dump(800));
    let validators = scene.validators();
    let mut duty = scene.duty(&validators);
    for _ in 0..3 {
        let error = duty.tick().await.unwrap_err();
        assert!(liar(&error).is_some(), "{error:?}");
    }
    assert_eq!(scene.database().checkpoint(), None);
    duty.tick().await.unwrap();
    assert_eq!(scene.view(&validators).await.unwrap().unwrap().next_index, 2);
}

#[tokio::test]
async fn a_deposit_of_a_block_that_is_reorganised_away_does_not_count_and_the_one_in_its_place_does() {
    let scene = Scene::new(120, 50, 1).await;
    scene
        .chain()
        .deposit(40, 10, STRANGER, true)
        .deposit(110, 1, ours(), true);
    let validators = scene.validators();
    scene.duty(&validators).tick().await.unwrap();
    let view = scene.view(&validators).await.unwrap().unwrap();
    assert_eq!((view.next_index, view.deposited), (2, vec![public_key(1)]));
    let before = scene.snapshot().await;
    let totals = scene.chain().totals();
    {
        let mut chain = scene.chain();
        chain.deposits.pop();
        chain.forked_from = Some(100);
        chain.deposit(105, 2, ours(), true).deposit(111, 10, STRANGER, true);
    }
    let view = scene.view(&validators).await.unwrap().unwrap();
    assert_eq!((view.next_index, view.deposited), (2, vec![public_key(2)]));
    assert!(view.quarantined.is_empty());
    // A decision on the block that is gone ends with that block, and nobody is called a liar.
    let error = validators.view(&before, &[public_key(1)], totals).await.unwrap_err();
    assert!(liar(&error).is_none(), "{error:?}");
    assert_eq!(scene.view(&validators).await.unwrap().unwrap().next_index, 2);
}

#[tokio::test]
async fn while_nothing_becomes_final_the_proof_is_that_of_the_head() {
    let scene = Scene::new(2_000, 1_000, 1).await;
    for (block, key) in [(10, 10), (999, 11), (1_500, 12)] {
        scene.chain().deposit(block, key, STRANGER, true);
    }
    scene.node(0).state_from = 1_900;
    let validators = scene.validators();
    scene.duty(&validators).tick().await.unwrap();
    assert_eq!(scene.database().proven(), Some((1_000, &scene.chain().tree(1_000))));
    assert_eq!(scene.view(&validators).await.unwrap().unwrap().next_index, 3);
}
