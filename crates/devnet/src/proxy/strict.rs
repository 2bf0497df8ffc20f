//! What geth does not take into its pool (go-ethereum, `core/txpool`).

use alloy::consensus::Transaction as _;
use alloy_primitives::{Bytes, U256};
use serde_json::{Value, json};

use super::{
    Outcome, Pool, error,
    node::{Upstream, number, quantity},
    pool::Signed,
};

/// Takes a raw transaction into the pool, or refuses it in geth's words.
pub(super) async fn hand_in(pool: &Pool, params: &Value) -> Outcome {
    let raw = params.get(0).cloned().unwrap_or_default();
    let raw: Bytes = serde_json::from_value(raw).map_err(|cause| error(-32602, &cause.to_string()))?;
    let signed = Signed::decode(&raw).ok_or_else(|| refused("transaction type not supported"))?;
    let node = pool.node();
    let next = node
        .call("eth_getTransactionCount", &json!([signed.from, "latest"]))
        .await?;
    let next = number(&next).unwrap_or_default();
    let there = in_pool(pool, &signed).await?;
    if there.as_ref().is_some_and(|there| there.hash == json!(signed.hash())) && signed.transaction.nonce() >= next {
        return Err(refused("already known"));
    }
    check_alone(node, &signed).await?;
    check_state(node, &signed, next).await?;
    if let Some(there) = there.filter(|_| signed.transaction.nonce() >= next) {
        there.outbid_by(&signed)?;
    }
    let hash = signed.hash();
    pool.put(signed).await;
    Ok(json!(hash))
}

/// What can be said of a transaction without its account.
async fn check_alone(node: &Upstream, signed: &Signed) -> Result<(), Value> {
    let transaction = &signed.transaction;
    let chain = node.call("eth_chainId", &json!([])).await?;
    let chain = number(&chain);
    if transaction.chain_id().is_some_and(|own| Some(own) != chain) {
        return Err(refused("invalid sender"));
    }
    let (cap, tip) = (transaction.max_fee_per_gas(), signed.tip());
    if tip > cap {
        return Err(refused("max priority fee per gas higher than max fee per gas"));
    }
    if tip == 0 {
        return Err(refused(
            "transaction gas price below minimum: gas tip cap 0, minimum needed 1",
        ));
    }
    let block = node.call("eth_getBlockByNumber", &json!(["latest", false])).await?;
    let block_limit = block.get("gasLimit").and_then(number).unwrap_or(u64::MAX);
    if transaction.gas_limit() > block_limit {
        return Err(refused("exceeds block gas limit"));
    }
    let least = intrinsic_gas(transaction.input(), transaction.is_create());
    if transaction.gas_limit() < least {
        let gas = transaction.gas_limit();
        return Err(refused(&format!(
            "intrinsic gas too low: gas {gas}, minimum needed {least}"
        )));
    }
    Ok(())
}

async fn check_state(node: &Upstream, signed: &Signed, next: u64) -> Result<(), Value> {
    let transaction = &signed.transaction;
    let nonce = transaction.nonce();
    if nonce < next {
        return Err(refused(&format!("nonce too low: next nonce {next}, tx nonce {nonce}")));
    }
    let balance = node.quantity("eth_getBalance", json!([signed.from, "latest"])).await?;
    let gas = U256::from(transaction.gas_limit()) * U256::from(transaction.max_fee_per_gas());
    let cost = gas.saturating_add(transaction.value());
    if balance < cost {
        let overshot = cost - balance;
        let message = format!(
            "insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, overshot {overshot}"
        );
        return Err(refused(&message));
    }
    Ok(())
}

/// What already waits with a sender and a nonce.
struct Waiting {
    hash: Value,
    cap: u128,
    tip: u128,
}

impl Waiting {
    /// Both fees must be a tenth higher.
    fn outbid_by(&self, signed: &Signed) -> Result<(), Value> {
        let enough = |old: u128, new: u128| new > old && new >= old.saturating_mul(110) / 100;
        match enough(self.cap, signed.transaction.max_fee_per_gas()) && enough(self.tip, signed.tip()) {
            true => Ok(()),
            false => Err(refused("replacement transaction underpriced")),
        }
    }
}

/// Looks where the proxies keep transactions, and in anvil's own pool: somebody may have sent one there.
async fn in_pool(pool: &Pool, signed: &Signed) -> Result<Option<Waiting>, Value> {
    let nonce = signed.transaction.nonce();
    if let Some(there) = pool.at(signed.from, nonce) {
        return Ok(Some(Waiting {
            hash: json!(there.hash()),
            cap: there.transaction.max_fee_per_gas(),
            tip: there.tip(),
        }));
    }
    let content = pool.node().call("txpool_content", &json!([])).await?;
    let of_sender = |part: &str| {
        let accounts = content.get(part)?.as_object()?;
        let (_, all) = accounts
            .iter()
            .find(|(address, _)| address.eq_ignore_ascii_case(&signed.from.to_string()))?;
        all.get(nonce.to_string()).cloned()
    };
    let Some(there) = of_sender("pending").or_else(|| of_sender("queued")) else {
        return Ok(None);
    };
    let fee = |name: &str| there.get(name).or_else(|| there.get("gasPrice")).and_then(quantity);
    Ok(Some(Waiting {
        hash: there.get("hash").cloned().unwrap_or_default(),
        cap: fee("maxFeePerGas").unwrap_or_default(),
        tip: fee("maxPriorityFeePerGas").unwrap_or_default(),
    }))
}

/// What a transaction costs before anything runs: 21,000, creation, its data (EIP-2028), and no less than the floor
/// of EIP-7623.
fn intrinsic_gas(data: &[u8], creates: bool) -> u64 {
    let zeros = data.iter().filter(|byte| **byte == 0).count() as u64;
    let tokens = zeros + 4 * (data.len() as u64 - zeros);
    let creation = if creates {
        32_000 + 2 * (data.len() as u64).div_ceil(32)
    } else {
        0
    };
    21_000 + (4 * tokens + creation).max(10 * tokens)
}

fn refused(message: &str) -> Value {
    error(-32000, message)
}
