//! Rotation in the surroundings of a running operator.

use std::sync::Arc;

use async_trait::async_trait;
use sw_chain_client::{BeaconValidator, Call, ConsensusError, ExecutionError, ExitSignaturesUpdate, Snapshot};
use sw_oracle_client::{ApprovalError, Approvals, OracleSet, Outdated, RotationRequest, ask_outdated};
use sw_spec::{Address, NetworkSpec, PublicKeyBytes, U256};

use super::{RotationSurroundings, RotationView};
use crate::{DutyError, Live, Mined, Purpose, Surroundings, Tended, WhyNot, last_event::LastEvent, live::execution};

/// The `ExitSignaturesUpdated` event of the moment.
pub struct LastRotation {
    keeper: Address,
    event: LastEvent<ExitSignaturesUpdate>,
}

impl LastRotation {
    /// Nothing is read before the first use.
    pub fn new(network: &NetworkSpec) -> Self {
        Self {
            keeper: network.contracts.keeper,
            event: LastEvent::new(network.contracts.keeper_block),
        }
    }

    /// The last rotation of a vault at the snapshot's block, at which the Keeper counts `count` of them.
    async fn load(
        &mut self,
        snapshot: &Snapshot,
        vault: Address,
        count: U256,
    ) -> Result<Option<ExitSignaturesUpdate>, ExecutionError> {
        let (keeper, head) = (self.keeper, snapshot.block().number);
        let search = async |from, to| {
            let update = snapshot.last_exit_signatures_update(keeper, vault, from, to).await?;
            Ok(update.map(|update| (update.clone(), update.block)))
        };
        let update = self.event.at(head, search).await?.map(|(update, _)| update.clone());
        if update.as_ref().is_none_or(|update| update.is_last_of(count)) {
            return Ok(update);
        }
        // Another one counts on chain: what was found earlier has been undone, or a later one was left out.
        self.event.forget();
        Ok(self.event.at(head, search).await?.map(|(update, _)| update.clone()))
    }
}

fn consensus(what: &'static str) -> impl FnOnce(ConsensusError) -> DutyError {
    move |source| DutyError::Consensus {
        what,
        source: Box::new(source),
    }
}

#[async_trait]
impl RotationSurroundings for Live {
    type Pin = Snapshot;

    async fn look(&mut self) -> Result<RotationView<Snapshot>, DutyError> {
        let pin = self.newest_block().await?;
        let state = pin
            .rotation(self.vault, &self.network, self.wallet.address())
            .await
            .map_err(execution("the Keeper's word on the vault"))?;
        Ok(RotationView {
            block: *pin.block(),
            pin,
            state,
        })
    }

    async fn last_rotation(
        &mut self,
        view: &RotationView<Snapshot>,
    ) -> Result<Option<ExitSignaturesUpdate>, DutyError> {
        self.last_rotation
            .load(&view.pin, self.vault, view.state.nonce)
            .await
            .map_err(execution("the last rotation of exit signatures"))
    }

    async fn finalized(&mut self) -> Result<u64, DutyError> {
        let finalized = self.consensus.finalized().await;
        Ok(finalized.map_err(consensus("the finalized block"))?.block_number)
    }

    async fn oracles(
        &mut self,
        view: &RotationView<Snapshot>,
    ) -> Result<Result<(Arc<OracleSet>, String), WhyNot>, DutyError> {
        let state = &view.state;
        self.oracles
            .load(&view.pin, state.validators_min_oracles, state.rewards_min_oracles)
            .await
    }

    async fn outdated(&mut self, set: &OracleSet, updated: Option<u64>) -> Outdated {
        ask_outdated(&self.http, set, self.vault, updated, self.approval_timeouts).await
    }

    async fn validators(&mut self, indexes: &[u64]) -> Result<Vec<BeaconValidator>, DutyError> {
        let validators = self.consensus.validators_by_index(indexes).await;
        validators.map_err(consensus("the vault's validators"))
    }

    async fn gas_price(&mut self, view: &RotationView<Snapshot>) -> Result<Result<u128, WhyNot>, DutyError> {
        self.gas_price_at(&view.pin).await
    }

    fn wallet(&self) -> Address {
        self.wallet.address()
    }

    async fn tend(&mut self) -> Result<Tended, DutyError> {
        Surroundings::tend(self, Purpose::Rotate, true).await
    }

    async fn approve(&mut self, set: &OracleSet, request: &RotationRequest) -> Result<Approvals, ApprovalError> {
        self.approvals(set, request).await
    }

    async fn simulate(&mut self, view: &RotationView<Snapshot>, call: &Call) -> Result<(), DutyError> {
        self.simulate_at(&view.pin, call).await
    }

    async fn send(&mut self, keys: &[PublicKeyBytes], call: &Call) -> Result<Result<Mined, WhyNot>, DutyError> {
        Surroundings::send(self, Purpose::Rotate, keys, call).await
    }
}
