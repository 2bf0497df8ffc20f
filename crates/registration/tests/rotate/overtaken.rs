//! What changes while the oracles are asked.

use std::sync::Arc;

use sw_registration::{DutyError, Outcome, WhyNot};

use crate::world::{FIRST, Ground, World, oracle_set};

/// Something that happens to the world.
type Change = fn(&mut World);

fn another_rotates(world: &mut World) {
    world.rotated(1_000);
}

fn another_config(world: &mut World) {
    world.set.as_mut().unwrap().1 = "Qm2".to_owned();
}

fn another_set(world: &mut World) {
    world.set.as_mut().unwrap().0 = Arc::new(oracle_set("http://127.0.0.1:2"));
}

fn inconsistent(world: &mut World) {
    let detail = "a stranger".to_owned();
    world.set = Err(WhyNot::OraclesChanging { detail });
}

#[tokio::test]
async fn nothing_is_sent_when_something_changed_while_the_oracles_were_asked() {
    let cases: [(Change, &str); 4] = [
        (
            another_rotates,
            "the last rotation of the vault's exit signatures changed while",
        ),
        (another_config, "the oracle set changed while"),
        (another_set, "the oracle set changed while"),
        (inconsistent, "the oracle set is not consistent"),
    ];
    for (change, told) in cases {
        // It is the same whether they approved before, or refuse because they have seen it first.
        for refuse in [false, true] {
            let mut ground = Ground::ready();
            ground.change(|world| {
                world.all_claim(None, &[FIRST]);
                world.meanwhile = change;
                world.oracles_refuse = refuse;
            });
            let why = ground.idle().await.to_string();
            assert!(why.contains(told), "{why}");
            assert_eq!(ground.counts(), (1, 1, 0), "{why}");
        }
    }
}

#[tokio::test]
async fn of_two_operators_of_a_vault_one_rotates_and_the_other_notices() {
    let mut ground = Ground::ready();
    ground.change(|world| {
        world.all_claim(None, &[FIRST, FIRST + 1]);
        world.meanwhile = another_rotates;
    });
    assert!(matches!(ground.idle().await, WhyNot::Overtaken { .. }));
    assert_eq!(ground.idle().await, WhyNot::RotationNotFinal { block: 1_000 });
    ground.change(|world| {
        world.meanwhile = |_| {};
        world.finalized = 1_000;
        world.all_claim(Some(1_000), &[]);
    });
    assert_eq!(ground.idle().await, WhyNot::UpToDate);
    assert_eq!(ground.counts(), (2, 1, 0), "what the other did is not done again");
}

#[tokio::test]
async fn oracles_that_refuse_while_nothing_changed_are_an_error_and_are_asked_again() {
    let mut ground = Ground::ready();
    ground.change(|world| {
        world.all_claim(None, &[FIRST]);
        world.oracles_refuse = true;
    });
    let error = ground.tick().await.expect_err("no approval");
    assert!(matches!(error, DutyError::Approvals(_)), "{error}");
    ground.change(|world| world.oracles_refuse = false);
    assert_eq!(ground.tick().await.unwrap(), Outcome::Acted);
    assert_eq!(ground.counts(), (1, 2, 1));
}
