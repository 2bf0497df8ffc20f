//! The duties that only look: the head of the chain and the wallet.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use sw_chain_client::{ExecutionClient, FeeError, HotWallet};
use sw_spec::{NetworkSpec, U256};

use crate::{Duty, DutyError, Metrics, Outcome, clock::ClockCheck, register::GAS_OF_ONE, why::Ether};

/// Follows the newest block and the wallet's balance.
pub struct WatchChain {
    execution: ExecutionClient,
    wallet: HotWallet,
    network: NetworkSpec,
    metrics: Arc<Metrics>,
    warned: bool,
    runway: Runway,
    clock: ClockCheck,
}

impl WatchChain {
    /// The duty over these clients.
    pub fn new(execution: ExecutionClient, wallet: HotWallet, network: NetworkSpec, metrics: Arc<Metrics>) -> Self {
        Self {
            execution,
            wallet,
            network,
            metrics,
            warned: false,
            runway: Runway::default(),
            clock: ClockCheck::default(),
        }
    }
}

#[async_trait]
impl Duty for WatchChain {
    fn name(&self) -> &'static str {
        "watch chain"
    }

    async fn tick(&mut self) -> Result<Outcome, DutyError> {
        let failed = |what| {
            move |source| DutyError::Execution {
                what,
                source: Box::new(source),
            }
        };
        let snapshot = self.execution.head().await.map_err(failed("the newest block"))?;
        self.metrics
            .block_number
            .set(f64::from(u32::try_from(snapshot.block().number).unwrap_or(u32::MAX)));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.clock.look(now, snapshot.block(), self.network.seconds_per_slot);
        let wallet = self.wallet.address();
        let balance = snapshot.balance(wallet).await.map_err(failed("the wallet's balance"))?;
        self.metrics.wallet_balance.set(f64::from(balance));
        let low = balance < self.network.wallet_min_balance;
        if low && !self.warned {
            tracing::warn!(
                %wallet,
                balance = %Ether(balance),
                minimum = %Ether(self.network.wallet_min_balance),
                "the wallet is low; registrations stop when it cannot pay for gas"
            );
        }
        self.warned = low;
        let price = match self.wallet.fees(&snapshot).await {
            Ok(fees) => fees.max_fee_per_gas,
            // What a registration would cost at most, once it is sent.
            Err(FeeError::AboveLimit { limit, .. }) => limit,
            Err(source) => return Err(DutyError::Fees(Box::new(source))),
        };
        if let Some(registrations) = self.runway.ends(balance, price) {
            tracing::warn!(
                %wallet,
                balance = %Ether(balance),
                registrations,
                "at today's price of gas the wallet pays for few more registrations; send it some"
            );
        }
        Ok(Outcome::Watched)
    }
}

/// Whether the wallet still pays for a few registrations.
#[derive(Debug, Default)]
struct Runway {
    short: bool,
}

impl Runway {
    /// How many registrations are left when they have just become too few. The price moves up and down, so that one more than
    /// that is needed before it is said again.
    fn ends(&mut self, balance: U256, price: u128) -> Option<u64> {
        let cost = U256::from(price).saturating_mul(U256::from(GAS_OF_ONE));
        let left: u64 = balance.checked_div(cost).unwrap_or(U256::MAX).saturating_to();
        let was_short = self.short;
        self.short = left < FEW || was_short && left == FEW;
        (self.short && !was_short).then_some(left)
    }
}

const FEW: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_than_three_registrations_are_told_once_each_time_they_become_so_few() {
        let price = 2_000_000_000;
        let cost = U256::from(price) * U256::from(GAS_OF_ONE);
        let mut runway = Runway::default();
        let mut told = |quarters: u64| runway.ends(cost * U256::from(quarters) / U256::from(4), price);
        assert_eq!(
            [20, 12, 11, 10, 3, 12, 11].map(&mut told),
            [None, None, Some(2), None, None, None, None]
        );
        assert_eq!(
            [15, 11].map(&mut told),
            [None, None],
            "the price went down and up a little"
        );
        assert_eq!([16, 1, 0].map(&mut told), [None, Some(0), None]);
        assert_eq!(Runway::default().ends(U256::from(1), 0), None, "gas for nothing");
    }
}
