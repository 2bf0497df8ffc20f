//! Every way to alter the history of deposits, in what is stored and in what a decision reads anew.

use sw_chain_client::DepositEvent;
use sw_registration::{Duty, WhyNot};
use sw_spec::B256;
use sw_store::Deposits;

use crate::{
    STRANGER,
    nodes::{Scene, deposit, liar},
};

type Lie = fn(&mut Vec<DepositEvent>, usize);

/// Swaps what two deposits say, and leaves them where they are.
fn swap(told: &mut [DepositEvent], at: usize, with: usize) {
    told.swap(at, with);
    let (a, b) = (told[at].block, told[with].block);
    (told[at].block, told[with].block) = (b, a);
}

const LIES: [(&str, Lie); 10] = [
    ("dropped", |told, at| {
        told.remove(at);
    }),
    ("there twice", |told, at| told.insert(at, told[at].clone())),
    ("swapped with the one before", |told, at| swap(told, at, at - 1)),
    ("swapped with an old one", |told, at| swap(told, at, 1)),
    ("replaced by the one before", |told, at| {
        let block = told[at].block;
        told[at] = DepositEvent {
            block,
            index: told[at].index,
            ..told[at - 1].clone()
        };
    }),
    ("made up", |told, at| {
        told.insert(at, deposit(told[at].block, 0, 99, STRANGER, true))
    }),
    ("key", |told, at| told[at].public_key.0[5] ^= 4),
    ("credentials", |told, at| told[at].withdrawal_credentials.0[31] ^= 1),
    ("amount", |told, at| told[at].amount.0 -= 1),
    ("signature", |told, at| told[at].signature.0[95] ^= 1),
];

#[tokio::test]
async fn every_lie_is_found_out_before_a_decision_and_the_honest_endpoint_decides() {
    let mut found_out = 0;
    for (name, lie) in LIES {
        // In a block that is final, and in the tail; with the true indices, and counted anew.
        for (at, anew) in [(3, false), (3, true), (6, false), (6, true)] {
            let scene = Scene::new(200, 100, 2).await;
            for (block, key) in [
                (10, 10),
                (20, 11),
                (80, 12),
                (90, 13),
                (110, 14),
                (150, 15),
                (190, 10),
                (195, 16),
            ] {
                scene.chain().deposit(block, key, STRANGER, true);
            }
            scene.lies(0, move |told| {
                lie(told, at);
                if anew {
                    (0..).zip(told).for_each(|(index, deposit)| deposit.index = index);
                }
            });
            let validators = scene.validators();
            let mut duty = scene.duty(&validators);
            let scanned = duty.tick().await;
            let error = match scanned {
                Ok(_) => scene.view(&validators).await.unwrap_err(),
                Err(error) => {
                    assert_eq!(scene.database().checkpoint(), None, "{name}");
                    let view = scene.view(&validators).await.unwrap();
                    assert!(matches!(view, Err(WhyNot::ValidatorsNotScanned)), "{name}");
                    error
                }
            };
            assert_eq!(liar(&error), Some(scene.nodes[0].url.to_string()), "{name} at {at}");
            let asked = scene.node(0).asked_for_logs;
            duty.tick().await.unwrap();
            let view = scene.view(&validators).await.unwrap().unwrap();
            assert_eq!(view.next_index, 7, "{name} at {at}");
            assert_eq!(
                scene.node(0).asked_for_logs,
                asked,
                "{name}: the liar is not asked again"
            );
            found_out += 1;
        }
    }
    assert_eq!(found_out, 4 * LIES.len());
}

/// A liar that fails half-way leaves its lies to an honest endpoint, which goes on from there.
#[tokio::test]
async fn lies_that_somebody_else_would_have_to_answer_for_are_dropped_with_the_liar() {
    let scene = Scene::new(3_100, 3_000, 2).await;
    for (block, key) in [(10, 10), (500, 11), (1_500, 12), (2_500, 13)] {
        scene.chain().deposit(block, key, STRANGER, true);
    }
    (scene.node(0).longest, scene.node(0).broken_from) = (1_000, 2_000);
    scene.lies(0, |told| told[1].signature.0[9] ^= 1);
    let validators = scene.validators();
    let mut duty = scene.duty(&validators);
    duty.tick().await.unwrap_err();
    assert!(
        scene.database().checkpoint() >= Some(500),
        "the lie is stored, and not proven"
    );
    // Whether it was the last piece or one before shows when it comes out the same again.
    let mut found_out = 0;
    while scene.database().checkpoint().is_some() {
        let error = duty.tick().await.unwrap_err();
        found_out += usize::from(liar(&error).is_some());
    }
    assert!(found_out >= 2, "{found_out}");
    scene.node(0).lie = None;
    while duty.tick().await.is_err() {}
    assert_eq!(scene.view(&validators).await.unwrap().unwrap().next_index, 4);
}

#[tokio::test]
async fn a_lie_in_the_last_piece_does_not_cost_those_before() {
    let scene = Scene::new(3_100, 3_000, 2).await;
    for (block, key) in [(10, 10), (500, 11), (1_500, 12), (3_000, 13)] {
        scene.chain().deposit(block, key, STRANGER, true);
    }
    scene.node(0).longest = 1_000;
    scene.lies(0, |told| told[3].signature.0[9] ^= 1);
    let validators = scene.validators();
    let mut duty = scene.duty(&validators);
    let error = duty.tick().await.unwrap_err();
    assert_eq!(liar(&error), Some(scene.nodes[0].url.to_string()));
    assert!(scene.database().checkpoint() >= Some(1_500));
    duty.tick().await.unwrap();
    assert_eq!(scene.node(1).asked_for_logs, 1, "the last piece alone");
    assert_eq!(scene.view(&validators).await.unwrap().unwrap().next_index, 4);
}

/// A signature that the vault's key once made for another vault is public: a liar can put it into any block.
#[tokio::test]
async fn a_made_up_deposit_of_one_of_our_keys_is_no_reason_for_quarantine() {
    let scene = Scene::new(3_100, 3_000, 2).await;
    for (block, key) in [(10, 10), (500, 11), (1_500, 12), (2_500, 13)] {
        scene.chain().deposit(block, key, STRANGER, true);
    }
    scene.node(0).longest = 1_000;
    scene.lies(0, |told| told[1] = deposit(told[1].block, 1, 2, STRANGER, true));
    let validators = scene.validators();
    let mut duty = scene.duty(&validators);
    for _ in 0..2 {
        duty.tick().await.unwrap_err();
    }
    while duty.tick().await.is_err() {}
    let view = scene.view(&validators).await.unwrap().unwrap();
    assert_eq!((view.next_index, view.quarantined), (4, vec![]));
    assert!(
        !scene
            .metrics
            .render()
            .contains("quarantined_keys{network=\"mainnet\"} 1")
    );
}

#[tokio::test]
async fn lies_go_no_further_back_than_the_last_proof() {
    let scene = Scene::new(1_100, 1_000, 1).await;
    scene
        .chain()
        .deposit(10, 10, STRANGER, true)
        .deposit(1_100, 11, STRANGER, true);
    let validators = scene.validators();
    let mut duty = scene.duty(&validators);
    duty.tick().await.unwrap();
    (scene.chain().head, scene.chain().finalized) = (3_100, 3_000);
    scene.chain().deposit(2_900, 12, STRANGER, true);
    scene.node(0).longest = 500;
    scene.lies(0, |told| told[1].amount.0 += 1);
    // However often a single endpoint lies: the contract confirms what is stored.
    for _ in 0..5 {
        let error = duty.tick().await.unwrap_err();
        assert!(liar(&error).is_some(), "{error:?}");
        let index = scene.database();
        let anchor = index.anchor().unwrap();
        assert_eq!(
            (anchor.block, &anchor.deposits),
            (1_000, &Deposits::Tree(scene.chain().tree(1_000)))
        );
        assert!(index.contains(&crate::nodes::public_key(10)).unwrap());
    }
    scene.node(0).lie = None;
    while duty.tick().await.is_err() {}
    assert_eq!(scene.view(&validators).await.unwrap().unwrap().next_index, 3);
}

#[tokio::test]
async fn stored_history_that_no_endpoint_confirms_is_dropped_and_rebuilt() {
    let scene = Scene::new(1_100, 1_000, 2).await;
    for (block, key) in [(10, 10), (500, 11), (1_050, 12)] {
        scene.chain().deposit(block, key, STRANGER, true);
    }
    let mut other = scene.chain().clone();
    other.deposits[0].amount.0 += 1;
    let rows = [(crate::nodes::public_key(77), 10), (crate::nodes::public_key(78), 20)];
    let (hash, tree) = (B256::repeat_byte(3), other.tree(900));
    scene.database().insert_proven(&rows, 900, hash, tree).unwrap();
    let validators = scene.validators();
    let mut duty = scene.duty(&validators);
    for _ in 0..6 {
        assert_eq!(scene.database().checkpoint(), Some(900));
        let error = duty.tick().await.unwrap_err();
        assert!(liar(&error).is_some(), "{error:?}");
    }
    assert_eq!(
        (scene.database().checkpoint(), scene.database().count().unwrap()),
        (None, 0)
    );
    duty.tick().await.unwrap();
    assert_eq!(scene.view(&validators).await.unwrap().unwrap().next_index, 3);
}
