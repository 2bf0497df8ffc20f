//! What a transaction offers for gas, and what it never offers.

use alloy_primitives::{U64, U256};
use serde::Deserialize;

use crate::{ExecutionError, Snapshot, endpoints::Failed, rpc::CallError};

/// What a transaction may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeLimits {
    /// No transaction is signed that offers more for a unit of gas, in wei.
    pub max_fee_per_gas: u128,
    /// The least tip that the network's block builders look at, in wei.
    pub min_priority_fee: u128,
}

/// What a transaction offers, in wei for a unit of gas (EIP-1559).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fees {
    /// The base fee of the block they were computed at.
    pub base_fee: u128,
    /// The most it pays.
    pub max_fee_per_gas: u128,
    /// The tip.
    pub max_priority_fee_per_gas: u128,
}

/// Fees that cannot be offered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeeError {
    /// Gas costs as much as the user allows, or more.
    #[error("gas costs {} gwei, and the limit is {} gwei", gwei(*.needed), gwei(*.limit))]
    AboveLimit {
        /// Base fee and tip, in wei.
        needed: u128,
        /// The limit, in wei.
        limit: u128,
    },
    /// The market could not be asked.
    #[error("the gas price is not known")]
    Execution(#[source] ExecutionError),
}

impl FeeError {
    /// Whether time may cure it.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::AboveLimit { .. } => true,
            Self::Execution(error) => error.is_retryable(),
        }
    }
}

impl FeeLimits {
    /// Leaves room for the base fee to double, as far as the limit allows.
    pub(crate) fn offer(&self, base_fee: u128, tip: u128) -> Result<Fees, FeeError> {
        // After empty blocks the market's tip is nothing, and geth takes no transaction that tips nothing.
        let tip = tip.max(self.min_priority_fee).max(1);
        let needed = base_fee.saturating_add(tip);
        let limit = self.max_fee_per_gas;
        if needed >= limit {
            return Err(FeeError::AboveLimit { needed, limit });
        }
        let max_fee_per_gas = base_fee.saturating_add(needed).min(limit);
        Ok(Fees {
            base_fee,
            max_fee_per_gas,
            max_priority_fee_per_gas: tip,
        })
    }

    /// What replaces a transaction that offers `old`, fee and tip: an eighth more of both, as every node takes it (geth asks for
    /// a tenth, some for more), or what the market asks if that is more.
    pub(crate) fn raise(&self, old: (u128, u128), base_fee: u128, tip: u128) -> Result<Fees, FeeError> {
        let market = self.offer(base_fee, tip)?;
        let (fee, tip) = (an_eighth_more(old.0), an_eighth_more(old.1));
        let limit = self.max_fee_per_gas;
        if fee > limit {
            return Err(FeeError::AboveLimit { needed: fee, limit });
        }
        Ok(Fees {
            base_fee,
            max_fee_per_gas: market.max_fee_per_gas.max(fee),
            max_priority_fee_per_gas: market.max_priority_fee_per_gas.max(tip),
        })
    }
}

fn an_eighth_more(wei: u128) -> u128 {
    wei.saturating_add(wei.div_ceil(8).max(1))
}

impl Snapshot {
    /// The tip that the market pays for being in the next blocks.
    ///
    /// The mean over ten blocks of the 80th percentile of what was paid; the node's own suggestion where the history is
    /// not served.
    pub(crate) async fn market_tip(&self) -> Result<u128, ExecutionError> {
        let node = &self.endpoint.client;
        let params = (U64::from(BLOCKS), U64::from(self.block().number), [PERCENTILE]);
        let history = match node.call::<_, FeeHistory>("eth_feeHistory", params).await {
            Ok(history) => mean_reward(&history.reward.unwrap_or_default()),
            Err(CallError::Answer(_)) => None,
            Err(CallError::Fault(fault)) => return Err(self.fail(Failed::Endpoint(fault))),
        };
        if let Some(tip) = history {
            return Ok(tip);
        }
        let tip: U256 = self.ask("eth_maxPriorityFeePerGas", ()).await?;
        Ok(tip.saturating_to())
    }
}

fn mean_reward(rewards: &[Vec<U256>]) -> Option<u128> {
    let sum = rewards
        .iter()
        .filter_map(|block| block.first())
        .fold(U256::ZERO, |sum, tip| sum.saturating_add(*tip));
    let blocks = U256::from(rewards.iter().filter(|block| !block.is_empty()).count());
    sum.checked_div(blocks).map(|mean| mean.saturating_to())
}

pub(super) fn gwei(wei: u128) -> String {
    let text = format!("{}.{:09}", wei / 1_000_000_000, wei % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `eth_feeHistory` (execution-apis).
#[derive(Debug, Deserialize)]
struct FeeHistory {
    reward: Option<Vec<Vec<U256>>>,
}

const BLOCKS: u64 = 10;
const PERCENTILE: u8 = 80;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GWEI: u128 = 1_000_000_000;

    fn limits(limit: u128, least: u128) -> FeeLimits {
        FeeLimits {
            max_fee_per_gas: limit * GWEI,
            min_priority_fee: least * GWEI,
        }
    }

    #[test]
    fn the_offer_leaves_room_for_the_base_fee_to_double_up_to_the_limit() {
        let offered = limits(10, 0).offer(2 * GWEI, GWEI).expect("within the limit");
        assert_eq!(
            (offered.max_fee_per_gas, offered.max_priority_fee_per_gas),
            (5 * GWEI, GWEI)
        );
        let offered = limits(10, 0).offer(8 * GWEI, GWEI).expect("within the limit");
        assert_eq!(
            (offered.max_fee_per_gas, offered.max_priority_fee_per_gas),
            (10 * GWEI, GWEI)
        );
    }

    #[test]
    fn at_the_limit_nothing_is_offered() {
        let error = limits(10, 0)
            .offer(8 * GWEI, 2 * GWEI + 1)
            .expect_err("above the limit");
        assert_eq!(
            error.to_string(),
            "gas costs 10.000000001 gwei, and the limit is 10 gwei"
        );
        assert!(limits(10, 0).offer(8 * GWEI, 2 * GWEI).is_err());
    }

    #[test]
    fn the_network_s_least_tip_is_paid() {
        let offered = limits(2, 1).offer(7, 0).expect("within the limit");
        assert_eq!(offered.max_priority_fee_per_gas, GWEI);
    }

    #[test]
    fn a_market_that_tips_nothing_is_tipped_one_wei() {
        let offered = limits(10, 0).offer(7, 0).expect("within the limit");
        assert_eq!(offered.max_priority_fee_per_gas, 1);
    }

    #[test]
    fn the_mean_counts_the_blocks_that_say_something() {
        let block = |tip: u64| vec![U256::from(tip)];
        assert_eq!(mean_reward(&[block(10), vec![], block(20)]), Some(15));
        assert_eq!(mean_reward(&[vec![]]), None);
        assert_eq!(mean_reward(&[]), None);
        assert_eq!(mean_reward(&[vec![U256::MAX], vec![U256::MAX]]), Some(u128::MAX));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn no_offer_exceeds_the_limit(base: u128, tip: u128, limit: u128, least: u128) {
            let limits = FeeLimits { max_fee_per_gas: limit, min_priority_fee: least };
            for (base, tip) in [(base, tip), (base >> 70, tip >> 70)] {
                if let Ok(offered) = limits.offer(base, tip) {
                    prop_assert!(offered.max_fee_per_gas <= limit);
                    prop_assert!(offered.max_priority_fee_per_gas <= offered.max_fee_per_gas);
                    prop_assert!(offered.max_fee_per_gas >= base.saturating_add(tip));
                }
            }
        }
    }
}
