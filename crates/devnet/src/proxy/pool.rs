//! The transactions that operators handed in, until they are mined: a pool that keeps what anvil throws away.
//!
//! Geth keeps a transaction whose fee cap is below the base fee and mines it when the fee has come down; anvil refuses
//! it, and forgets one it had. So what is waiting is kept here and given to anvil whenever it can be mined.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy::{
    consensus::{Transaction as _, TxEnvelope, transaction::SignerRecoverable},
    eips::Decodable2718,
};
use alloy_primitives::{Address, B256, Bytes, U64};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    lock,
    node::{Upstream, number},
};

/// A transaction that was handed in.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) raw: Bytes,
    pub(super) from: Address,
    pub(super) transaction: TxEnvelope,
}

impl Signed {
    pub(super) fn decode(raw: &Bytes) -> Option<Self> {
        let transaction = TxEnvelope::decode_2718_exact(raw).ok()?;
        Some(Self {
            raw: raw.clone(),
            from: transaction.recover_signer().ok()?,
            transaction,
        })
    }

    pub(super) fn hash(&self) -> B256 {
        *self.transaction.tx_hash()
    }

    /// What it tips, wei; a transaction of the old kind tips all it pays.
    pub(super) fn tip(&self) -> u128 {
        let tip = self.transaction.max_priority_fee_per_gas();
        tip.unwrap_or(self.transaction.max_fee_per_gas())
    }

    fn place(&self) -> (Address, u64) {
        (self.from, self.transaction.nonce())
    }
}

/// What waits to be mined, by sender and nonce.
#[derive(Debug)]
pub(crate) struct Pool {
    node: Upstream,
    state: Arc<Mutex<State>>,
    _tender: JoinSet<()>,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<(Address, u64), Signed>,
    /// The base fee that is held, wei.
    held_base_fee: Option<u128>,
    base_fee_before: Option<u128>,
}

impl Pool {
    /// Starts an empty pool in front of a node.
    pub(super) fn start(node: Upstream) -> Arc<Self> {
        let state = Arc::new(Mutex::new(State::default()));
        let mut tender = JoinSet::new();
        let (of_node, of_state) = (node.clone(), Arc::clone(&state));
        tender.spawn(async move {
            loop {
                // A node that fails now is asked again in a moment.
                let _ = tend(&of_node, &of_state).await;
                tokio::time::sleep(TEND).await;
            }
        });
        Arc::new(Self {
            node,
            state,
            _tender: tender,
        })
    }

    pub(super) fn node(&self) -> &Upstream {
        &self.node
    }

    /// Holds the base fee of every block to come.
    pub(crate) async fn hold_base_fee(&self, wei: u128) {
        let before = self.node.next_base_fee().await.unwrap_or_default();
        {
            let mut state = lock(&self.state);
            state.held_base_fee = Some(wei);
            state.base_fee_before.get_or_insert(before);
        }
        self.tend_now().await;
    }

    /// Gives the next block the base fee that was there before one was held.
    pub(crate) async fn release_base_fee(&self) {
        let before = {
            let mut state = lock(&self.state);
            state.held_base_fee = None;
            state.base_fee_before.take()
        };
        if let Some(before) = before {
            let _ = set_next_base_fee(&self.node, before).await;
        }
        self.tend_now().await;
    }

    /// Gives anvil what it can mine, at once.
    pub(crate) async fn tend_now(&self) {
        // A node that fails now is asked again in a moment.
        let _ = tend(&self.node, &self.state).await;
    }

    /// Takes a transaction in, in place of one with the same sender and nonce.
    pub(super) async fn put(&self, signed: Signed) {
        lock(&self.state).waiting.insert(signed.place(), signed);
        self.tend_now().await;
    }

    /// Takes a raw transaction in again after a reorganisation.
    pub(crate) async fn put_back(&self, raw: &Bytes) {
        if let Some(signed) = Signed::decode(raw) {
            self.put(signed).await;
        }
    }

    /// Forgets a transaction, as if it had never come.
    pub(crate) async fn forget(&self, hash: B256) {
        lock(&self.state).waiting.retain(|_, signed| signed.hash() != hash);
        let _ = self.node.call("anvil_dropTransaction", &json!([hash])).await;
    }

    /// What waits with this sender and nonce.
    pub(super) fn at(&self, from: Address, nonce: u64) -> Option<Signed> {
        lock(&self.state).waiting.get(&(from, nonce)).cloned()
    }

    fn by_hash(&self, hash: B256) -> Option<Signed> {
        let state = lock(&self.state);
        state.waiting.values().find(|signed| signed.hash() == hash).cloned()
    }

    /// What the pool knows better than anvil.
    pub(super) async fn answer(&self, method: &str, params: &Value) -> Option<Value> {
        let first = || params.get(0).cloned().unwrap_or_default();
        match method {
            "eth_getTransactionByHash" | "eth_getRawTransactionByHash" => {
                let signed = self.by_hash(serde_json::from_value(first()).ok()?)?;
                // Once it is in a block, the node knows more about it.
                match self.node.call(method, params).await {
                    Ok(known) if !known.is_null() => Some(known),
                    _ if method == "eth_getRawTransactionByHash" => Some(json!(signed.raw)),
                    _ => pending(&signed),
                }
            }
            "eth_getTransactionCount" if params.get(1).and_then(Value::as_str) == Some("pending") => {
                let from: Address = serde_json::from_value(first()).ok()?;
                let mut next = self.node.call(method, params).await.ok().as_ref().and_then(number)?;
                while self.at(from, next).is_some() {
                    next += 1;
                }
                Some(json!(U64::from(next)))
            }
            _ => None,
        }
    }
}

/// A transaction that is in no block, as nodes show it.
fn pending(signed: &Signed) -> Option<Value> {
    let mut shown = serde_json::to_value(&signed.transaction).ok()?;
    let members = shown.as_object_mut()?;
    members.insert("from".to_owned(), json!(signed.from));
    members.insert(
        "gasPrice".to_owned(),
        json!(format!("{:#x}", signed.transaction.max_fee_per_gas())),
    );
    for name in ["blockHash", "blockNumber", "transactionIndex"] {
        members.insert(name.to_owned(), Value::Null);
    }
    Some(shown)
}

/// Lets go of what is mined, and gives anvil what it does not have and can mine.
async fn tend(node: &Upstream, state: &Mutex<State>) -> Result<(), Value> {
    let (waiting, held) = {
        let state = lock(state);
        (state.waiting.values().cloned().collect::<Vec<_>>(), state.held_base_fee)
    };
    if let Some(held) = held
        && node.next_base_fee().await? != held
    {
        set_next_base_fee(node, held).await?;
    }
    for signed in waiting {
        let count = node
            .call("eth_getTransactionCount", &json!([signed.from, "latest"]))
            .await?;
        if number(&count).is_some_and(|next| next > signed.transaction.nonce()) {
            let mut state = lock(state);
            let same = state
                .waiting
                .get(&signed.place())
                .is_some_and(|there| there.hash() == signed.hash());
            if same {
                state.waiting.remove(&signed.place());
            }
            continue;
        }
        let known = node.call("eth_getTransactionByHash", &json!([signed.hash()])).await?;
        let base_fee = held.unwrap_or(node.next_base_fee().await?);
        if known.is_null() && signed.transaction.max_fee_per_gas() >= base_fee {
            // What anvil refuses now waits for another block.
            let _ = node.call(super::SEND, &json!([signed.raw])).await;
        }
    }
    Ok(())
}

async fn set_next_base_fee(node: &Upstream, wei: u128) -> Result<(), Value> {
    let fee = json!([format!("{wei:#x}")]);
    node.call("anvil_setNextBlockBaseFeePerGas", &fee).await.map(drop)
}

const TEND: Duration = Duration::from_millis(50);
