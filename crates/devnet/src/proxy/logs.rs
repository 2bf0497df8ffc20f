//! Deposit logs that are not what the chain says, in the same way wherever logs are shown.

use alloy_primitives::{B256, Bytes, b256};
use serde_json::{Value, json};

use super::{Outcome, node::Upstream, rules::Act};

/// The deposit event that a node lies about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Victim {
    /// Its index: how many deposits there were before it.
    pub deposit: u64,
    /// What of it differs under [`Act::AlterLog`].
    pub field: DepositField,
}

/// A field of `DepositEvent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DepositField {
    /// The validator's public key.
    PublicKey,
    /// The withdrawal credentials.
    Credentials,
    /// The amount, Gwei.
    #[default]
    Amount,
    /// The deposit signature.
    Signature,
    /// The index.
    Index,
}

impl DepositField {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::PublicKey,
        Self::Credentials,
        Self::Amount,
        Self::Signature,
        Self::Index,
    ];

    /// Where its bytes start in the ABI encoding of five `bytes` of 48, 32, 8, 96 and 8 bytes: five offsets of 32
    /// bytes, then each member's length and its bytes, filled up to 32.
    fn start(self) -> usize {
        match self {
            Self::PublicKey => 192,
            Self::Credentials => 288,
            Self::Amount => 352,
            Self::Signature => 416,
            Self::Index => INDEX,
        }
    }
}

/// What is done to the victim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tamper {
    Drop,
    Double,
    Alter,
    Reorder,
}

impl Tamper {
    pub(super) fn of(act: &Act) -> Option<Self> {
        match act {
            Act::DropLog => Some(Self::Drop),
            Act::DoubleLog => Some(Self::Double),
            Act::AlterLog => Some(Self::Alter),
            Act::ReorderLogs => Some(Self::Reorder),
            _ => None,
        }
    }
}

/// Does that to every list of logs in a method's result.
pub(super) async fn tampered(
    node: &Upstream,
    method: &str,
    mut result: Value,
    tamper: Tamper,
    victim: Victim,
) -> Outcome {
    let swapped = match tamper {
        Tamper::Reorder => swapped(node, victim.deposit).await?,
        _ => None,
    };
    let lists: Vec<&mut Value> = match method {
        "eth_getLogs" | "eth_getFilterLogs" | "eth_getFilterChanges" => vec![&mut result],
        "eth_getTransactionReceipt" => result.get_mut("logs").into_iter().collect(),
        "eth_getBlockReceipts" => match result.as_array_mut() {
            Some(receipts) => receipts
                .iter_mut()
                .filter_map(|receipt| receipt.get_mut("logs"))
                .collect(),
            None => Vec::new(),
        },
        _ => Vec::new(),
    };
    for list in lists {
        if let Some(logs) = list.as_array_mut() {
            tamper_list(logs, tamper, victim, swapped.as_ref());
        }
    }
    Ok(result)
}

fn tamper_list(logs: &mut Vec<Value>, tamper: Tamper, victim: Victim, swapped: Option<&(Value, Value)>) {
    match tamper {
        Tamper::Drop => logs.retain(|log| index_of(log) != Some(victim.deposit)),
        Tamper::Double => {
            if let Some(place) = logs.iter().position(|log| index_of(log) == Some(victim.deposit))
                && let Some(again) = logs.get(place).cloned()
            {
                logs.insert(place + 1, again);
            }
        }
        Tamper::Alter => {
            for log in logs.iter_mut().filter(|log| index_of(log) == Some(victim.deposit)) {
                let data = data_of(log).map(|data| altered(&data, victim.field));
                log["data"] = json!(data);
            }
        }
        Tamper::Reorder => {
            let Some((first, second)) = swapped else { return };
            for log in logs {
                match index_of(log) {
                    Some(index) if index == victim.deposit => log["data"] = second.clone(),
                    Some(index) if index == victim.deposit + 1 => log["data"] = first.clone(),
                    _ => {}
                }
            }
        }
    }
}

fn altered(data: &Bytes, field: DepositField) -> Bytes {
    let mut bytes = data.to_vec();
    if let Some(byte) = bytes.get_mut(field.start()) {
        *byte ^= 1;
    }
    bytes.into()
}

/// The data of the victim and of the deposit after it, when both are there.
async fn swapped(node: &Upstream, deposit: u64) -> Result<Option<(Value, Value)>, Value> {
    let all = json!([{"fromBlock": "0x0", "toBlock": "latest", "topics": [DEPOSIT_EVENT]}]);
    let logs = node.call("eth_getLogs", &all).await?;
    let find = |index: u64| {
        let log = logs.as_array()?.iter().find(|log| index_of(log) == Some(index))?;
        log.get("data").cloned()
    };
    Ok(find(deposit).zip(find(deposit + 1)))
}

/// The index of a deposit event; other logs have none.
fn index_of(log: &Value) -> Option<u64> {
    let topic: B256 = serde_json::from_value(log.get("topics")?.get(0)?.clone()).ok()?;
    if topic != DEPOSIT_EVENT {
        return None;
    }
    let data = data_of(log)?;
    let index = data.get(INDEX..INDEX + 8)?;
    Some(u64::from_le_bytes(index.try_into().ok()?))
}

fn data_of(log: &Value) -> Option<Bytes> {
    serde_json::from_value(log.get("data")?.clone()).ok()
}

/// `DepositEvent(bytes,bytes,bytes,bytes,bytes)` of the deposit contract.
const DEPOSIT_EVENT: B256 = b256!("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");
const INDEX: usize = 544;
