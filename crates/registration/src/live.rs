//! The surroundings of a running operator: nodes, gateways, oracles and the wallet.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sw_chain_client::{
    Call, ConsensusClient, DepositTotals, EntryState, ExecutionClient, ExecutionError, FeeError, HotWallet, Offer,
    SendError, Snapshot, Unless, WaitError, Waiting,
};
use sw_oracle_client::{
    ApprovalError, ApprovalRequest, ApprovalSubject, ApprovalTimeouts, Approvals, Eip712Domain, OracleSet,
    request_approvals,
};
use sw_spec::{Address, NetworkSpec, PublicKeyBytes};

use crate::{
    DutyError, Harvest, NetworkValidators, NetworkView, Surroundings, WhyNot,
    in_step::follow_consensus,
    oracles::Oracles,
    register::{Mined, Purpose, Tended, View},
    rewards::Rewards,
    rotate::LastRotation,
    why::Cost,
};

/// The world as it is.
pub struct Live {
    /// The vault.
    pub vault: Address,
    /// Its network.
    pub network: NetworkSpec,
    /// Execution nodes.
    pub execution: ExecutionClient,
    /// Consensus nodes.
    pub consensus: ConsensusClient,
    /// The oracle set.
    pub oracles: Oracles,
    /// The last rewards that the oracles voted for.
    pub rewards: Rewards,
    /// The vault's last rotation of exit signatures.
    pub last_rotation: LastRotation,
    /// The network's validators.
    pub validators: NetworkValidators,
    /// Who sends.
    pub wallet: HotWallet,
    /// The client the oracles are asked with; it must not follow redirects.
    pub http: reqwest::Client,
    /// How long each oracle may take.
    pub approval_timeouts: ApprovalTimeouts,
    /// How long a tick waits for a transaction at most before it leaves it to the next one.
    pub transaction_timeout: Duration,
    /// The block of the last look, which everything that is sent is decided on at.
    pub looked_at: u64,
}

pub(crate) fn execution(what: &'static str) -> impl FnOnce(ExecutionError) -> DutyError {
    move |source| DutyError::Execution {
        what,
        source: Box::new(source),
    }
}

impl Live {
    /// The newest block of a node that is in step with the consensus chain.
    pub(crate) async fn newest_block(&mut self) -> Result<Snapshot, DutyError> {
        follow_consensus(&self.execution, &self.consensus, &self.network)
            .await
            .map_err(|source| DutyError::Consensus {
                what: "the head of the beacon chain",
                source: Box::new(source),
            })?;
        let pin = self.execution.head().await.map_err(execution("the newest block"))?;
        self.looked_at = pin.block().number;
        Ok(pin)
    }

    pub(crate) async fn gas_price_at(&self, pin: &Snapshot) -> Result<Result<u128, WhyNot>, DutyError> {
        match self.wallet.fees(pin).await {
            Ok(fees) => Ok(Ok(fees.max_fee_per_gas)),
            Err(FeeError::AboveLimit { needed, limit }) => Ok(Err(WhyNot::GasTooHigh { price: needed, limit })),
            Err(source) => Err(DutyError::Fees(Box::new(source))),
        }
    }

    pub(crate) async fn simulate_at(&self, pin: &Snapshot, call: &Call) -> Result<(), DutyError> {
        pin.simulate(self.wallet.address(), call)
            .await
            .map_err(|source| DutyError::Simulation(Box::new(source)))
    }

    pub(crate) async fn approvals(
        &self,
        set: &OracleSet,
        subject: &impl ApprovalSubject,
    ) -> Result<Approvals, ApprovalError> {
        let domain = Eip712Domain {
            chain_id: self.network.chain_id,
            keeper: self.network.contracts.keeper,
        };
        request_approvals(&self.http, set, subject, &domain, self.approval_timeouts).await
    }
}

#[async_trait]
impl Surroundings for Live {
    type Pin = Snapshot;

    async fn look(&mut self) -> Result<View<Snapshot>, DutyError> {
        let pin = self.newest_block().await?;
        let vault = pin
            .vault(self.vault, &self.network)
            .await
            .map_err(execution("the vault"))?;
        let state = pin
            .registration(self.vault, vault.version, &self.network, self.wallet.address())
            .await
            .map_err(execution("the vault's standing"))?;
        Ok(View {
            block: *pin.block(),
            pin,
            vault,
            state,
        })
    }

    async fn harvest(&mut self, view: &View<Snapshot>) -> Result<Option<Harvest>, DutyError> {
        let (root, mev_escrow) = (view.state.rewards_root, view.vault.mev_escrow);
        let params = self.rewards.params(&view.pin, root, self.vault, mev_escrow).await?;
        let Some(params) = params else { return Ok(None) };
        let withdrawable_assets = view
            .pin
            .withdrawable_after_harvest(self.vault, &params)
            .await
            .map_err(execution("the vault's assets after a harvest"))?;
        Ok(Some(Harvest {
            params,
            withdrawable_assets,
        }))
    }

    async fn validators(
        &mut self,
        view: &View<Snapshot>,
        keys: &[PublicKeyBytes],
    ) -> Result<Result<NetworkView, WhyNot>, DutyError> {
        let totals = DepositTotals {
            count: view.state.deposit_count,
            root: view.state.deposit_root,
        };
        self.validators.view(&view.pin, keys, totals).await
    }

    async fn oracles(&mut self, view: &View<Snapshot>) -> Result<Result<(Arc<OracleSet>, String), WhyNot>, DutyError> {
        let state = &view.state;
        self.oracles
            .load(&view.pin, state.validators_min_oracles, state.rewards_min_oracles)
            .await
    }

    async fn gas_price(&mut self, view: &View<Snapshot>) -> Result<Result<u128, WhyNot>, DutyError> {
        self.gas_price_at(&view.pin).await
    }

    fn wallet(&self) -> Address {
        self.wallet.address()
    }

    async fn tend(&mut self, purpose: Purpose, useful: bool) -> Result<Tended, DutyError> {
        let tended = self.wallet.tend(purpose.as_str(), useful).await;
        let tended = tended.map_err(|source| DutyError::Send(Box::new(source)))?;
        let mut found = Tended::default();
        for entry in tended.mined {
            match entry.state {
                EntryState::Mined { block, success: true } => found.mined.push(Mined {
                    tx: entry.hash,
                    block,
                    keys: entry.keys,
                    cost: None,
                }),
                EntryState::Mined { block, success: false } => found.reverted.push((entry.hash, block)),
                _ => {}
            }
        }
        let is_in_its_way = |other: &Waiting| purpose.unless().contains(&other.kind.as_str());
        let waiting = tended.waiting.or(tended.beside.into_iter().find(is_in_its_way));
        found.blocked = match (tended.refused, waiting) {
            (Some(message), _) => Some(WhyNot::TransactionRefused { message }),
            (None, waiting) => waiting.map(|waiting| WhyNot::TransactionPending {
                waiting: Box::new(waiting),
            }),
        };
        Ok(found)
    }

    async fn approve(&mut self, set: &OracleSet, request: &ApprovalRequest) -> Result<Approvals, ApprovalError> {
        self.approvals(set, request).await
    }

    async fn offer(&mut self, view: &View<Snapshot>, call: &Call) -> Result<Result<Offer, WhyNot>, DutyError> {
        match self.wallet.offer(&view.pin, call).await {
            Ok(offer) => Ok(Ok(offer)),
            Err(SendError::Fees(FeeError::AboveLimit { needed, limit })) => {
                Ok(Err(WhyNot::GasTooHigh { price: needed, limit }))
            }
            Err(SendError::Fees(source)) => Err(DutyError::Fees(Box::new(source))),
            Err(source) => Err(DutyError::Send(Box::new(source))),
        }
    }

    async fn simulate(&mut self, view: &View<Snapshot>, call: &Call) -> Result<(), DutyError> {
        self.simulate_at(&view.pin, call).await
    }

    async fn send(
        &mut self,
        purpose: Purpose,
        keys: &[PublicKeyBytes],
        call: &Call,
    ) -> Result<Result<Mined, WhyNot>, DutyError> {
        let unless = Unless {
            kinds: purpose.unless(),
            decided_at: self.looked_at,
        };
        let sent = match self.wallet.send_unless(unless, purpose.as_str(), keys, call).await {
            Ok(sent) => sent,
            Err(SendError::Overtaken { hash: tx, block }) => return Ok(Err(WhyNot::DoneMeanwhile { tx, block })),
            Err(SendError::InFlight { kind, hash, nonce }) if kind != purpose.as_str() => {
                let waiting = Box::new(Waiting::new(&kind, hash, nonce, 0));
                return Ok(Err(WhyNot::TransactionPending { waiting }));
            }
            Err(source) => return Err(DutyError::Send(Box::new(source))),
        };
        let cost = format!("at most {} {}", Cost(sent.at_most()), self.network.wallet_symbol);
        tracing::info!(tx = %sent.hash, count = keys.len(), kind = purpose.as_str(), cost, "transaction sent");
        let slot = Duration::from_secs(self.network.seconds_per_slot);
        let patience = self.transaction_timeout.min(slot.saturating_mul(SLOTS_TO_WAIT));
        match self.wallet.wait_mined(&sent, patience).await {
            Ok(mined) if mined.success => Ok(Ok(Mined {
                tx: sent.hash,
                block: mined.block,
                keys: keys.to_vec(),
                cost: mined.cost,
            })),
            Ok(mined) => Err(DutyError::Reverted {
                tx: sent.hash,
                block: mined.block,
            }),
            Err(WaitError::NotMined { .. }) => Ok(Err(WhyNot::TransactionPending {
                waiting: Box::new(Waiting::from(&sent)),
            })),
            Err(source) => Err(DutyError::Wait(Box::new(source))),
        }
    }
}

/// Most transactions are mined in the next block or the one after; others are tended from tick to tick.
const SLOTS_TO_WAIT: u32 = 3;
