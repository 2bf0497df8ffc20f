//! A tenth of all calls fails, in ways that happen by chance. An endpoint that redirects is left alone for half a minute, and one
//! that limits rates is asked once a second from then on: these are no failed calls, and have tests of their own.

use std::time::Duration;

use sw_devnet::{
    Devnet,
    oracle::Fault,
    proxy::{Act, Chance, ExecutionProxy, Rule, Rules},
};

use crate::chaos::{dice::Dice, faults};

/// From now on fails a tenth of the calls to both execution endpoints, the consensus node and the gateway.
pub(super) fn begin(devnet: &Devnet, second: &ExecutionProxy, seed: u64) {
    let wire = wire();
    let node: Vec<Act> = wire.iter().cloned().chain(of_nodes()).collect();
    script(devnet.proxy().rules(), seed, None, &node);
    script(second.rules(), !seed, None, &node);
    script(devnet.beacon().rules(), seed.rotate_left(16), None, &wire);
    // The oracles store their documents in the same place.
    script(devnet.gateway().rules(), seed.rotate_left(32), Some("/ipfs/"), &wire);
}

/// Everybody behaves again.
pub(super) fn end(devnet: &Devnet, second: &ExecutionProxy) {
    for rules in [
        devnet.proxy().rules(),
        second.rules(),
        devnet.beacon().rules(),
        devnet.gateway().rules(),
    ] {
        rules.clear();
    }
    for oracle in devnet.oracles() {
        oracle.set_fault(Fault::None);
    }
}

/// Draws anew which oracles are faulty in this slot, and how: each in one of ten slots.
pub(super) fn of_oracles(devnet: &Devnet, dice: &mut Dice) -> u64 {
    let mut faulty = 0;
    for oracle in devnet.oracles() {
        // Drawn for everybody: who is faulty has no say in what others do.
        let (fault, strikes) = (faults::of_oracle(dice), dice.below(10) == 0);
        faulty += u64::from(strikes);
        oracle.set_fault(if strikes { fault } else { Fault::None });
    }
    faulty
}

/// How many calls have failed so far, but for those to oracles.
pub(super) fn struck(devnet: &Devnet, second: &ExecutionProxy) -> u64 {
    let rules = [
        devnet.proxy().rules(),
        second.rules(),
        devnet.beacon().rules(),
        devnet.gateway().rules(),
    ];
    rules.into_iter().map(Rules::struck).sum()
}

/// One call in ten, and each of the acts as often as the others.
fn script(rules: &Rules, seed: u64, method: Option<&str>, acts: &[Act]) {
    rules.seed(seed);
    for act in acts {
        rules.push(Rule {
            method: method.map(str::to_owned),
            chance: Chance::OneIn(u32::try_from(acts.len() * 10).unwrap_or(u32::MAX)),
            act: act.clone(),
        });
    }
}

fn wire() -> Vec<Act> {
    let status = |code| Act::Status {
        code,
        retry_after: None,
    };
    vec![
        Act::LoseReply,
        Act::LoseRequest,
        Act::Hang(Duration::from_secs(20)),
        status(500),
        status(503),
        Act::Html,
        Act::Truncated,
    ]
}

fn of_nodes() -> Vec<Act> {
    let error = |code, message: &str| Act::RpcError {
        code,
        message: message.to_owned(),
    };
    vec![error(-32_603, "internal error"), Act::WrongId, Act::Behind(2)]
}
