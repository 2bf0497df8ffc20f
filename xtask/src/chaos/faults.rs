//! What everybody but the operator can do wrong.

use std::time::Duration;

use sw_devnet::{
    oracle::Fault,
    proxy::{Act, Chance, DepositField, ExecutionProxy, Rule, Victim},
};

use super::dice::Dice;

/// What an oracle does wrong.
pub(crate) fn of_oracle(dice: &mut Dice) -> Fault {
    let server_error = Act::Status {
        code: 500,
        retry_after: None,
    };
    let faults = [
        Fault::Down,
        Fault::Refuse("I would rather not".to_owned()),
        Fault::Slow(Duration::from_secs(2)),
        Fault::Slow(Duration::from_secs(60)),
        Fault::Wire(server_error),
        Fault::Wire(Act::Truncated),
        Fault::Wire(Act::Endless),
        Fault::Wire(Act::GzipBomb),
        Fault::Wire(Act::Trickle),
        Fault::Wire(Act::Redirect),
        Fault::BadSignature,
        Fault::AnothersSignature,
        Fault::Replayed,
        Fault::HighS,
        Fault::WrongCid,
        Fault::WrongDeadline,
    ];
    dice.one_of(&faults).unwrap_or_default()
}

/// What an execution endpoint does wrong with some of its requests.
pub(crate) fn of_node(dice: &mut Dice) -> Rule {
    let act = match dice.below(16) {
        0 | 1 => Act::LoseReply,
        2 => Act::LoseRequest,
        3 => Act::Hang(Duration::from_secs(20)),
        4 => Act::Status {
            code: 429,
            retry_after: Some(1),
        },
        5 => Act::Status {
            code: 502,
            retry_after: None,
        },
        6 => Act::RpcError {
            code: -32_603,
            message: "internal error".to_owned(),
        },
        7 => Act::RpcError {
            code: -32_005,
            message: "request limit reached".to_owned(),
        },
        8 => Act::Html,
        9 => Act::Truncated,
        10 => Act::WrongId,
        11 => Act::Redirect,
        12 => Act::Endless,
        13 => Act::GzipBomb,
        14 => Act::Trickle,
        _ => Act::Behind(dice.between(1, 8)),
    };
    let method = match dice.below(4) {
        0 | 1 => Some("eth_sendRawTransaction".to_owned()),
        2 => Some("eth_getTransactionReceipt".to_owned()),
        _ => None,
    };
    let chance = match dice.below(3) {
        0 => Chance::Always,
        _ => Chance::OneIn(u32::try_from(dice.between(2, 5)).unwrap_or(2)),
    };
    Rule { method, chance, act }
}

/// What an execution endpoint does wrong with deposits.
pub(crate) fn of_logs(dice: &mut Dice, proxy: &ExecutionProxy, deposits: u64) -> Rule {
    let field = dice.one_of(&DepositField::ALL);
    let deposit = dice.below(deposits);
    if let Some(field) = field {
        proxy.set_victim(Victim { deposit, field });
    }
    let acts = [Act::DropLog, Act::DoubleLog, Act::AlterLog, Act::ReorderLogs];
    Rule::everything(dice.one_of(&acts).unwrap_or(Act::DropLog))
}

/// What the gateway or the consensus node does wrong with some of its requests.
pub(crate) fn of_server(dice: &mut Dice) -> Rule {
    let acts = [
        Act::LoseReply,
        Act::Hang(Duration::from_secs(20)),
        Act::Status {
            code: 500,
            retry_after: None,
        },
        Act::Html,
        Act::Truncated,
    ];
    Rule {
        method: None,
        chance: Chance::OneIn(u32::try_from(dice.between(1, 3)).unwrap_or(1)),
        act: dice.one_of(&acts).unwrap_or(Act::Html),
    }
}
