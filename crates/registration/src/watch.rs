//! The duties that only look: the head of the chain and the wallet.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use sw_chain_client::{ExecutionClient, HotWallet};
use sw_spec::NetworkSpec;

use crate::{Duty, DutyError, Metrics, Outcome, clock::ClockCheck, why::Ether};

/// Follows the newest block and the wallet's balance.
pub struct WatchChain {
    execution: ExecutionClient,
    wallet: HotWallet,
    network: NetworkSpec,
    metrics: Arc<Metrics>,
    warned: bool,
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
        Ok(Outcome::Watched)
    }
}
