//! The harvest duty: the vault's rewards are counted as soon as the Keeper allows it.

use async_trait::async_trait;
use sw_chain_client::{Call, calls};
use sw_spec::{Address, U256};

use crate::{Duty, DutyError, Mined, Outcome, Purpose, Surroundings};

/// Sends `updateState` whenever the vault can harvest, for operators who were asked to (`--harvest-vault`).
///
/// A registration that finds a harvest due brings it along in any case.
pub struct HarvestVault<S> {
    surroundings: S,
    vault: Address,
}

impl<S: Surroundings> HarvestVault<S> {
    /// The duty for this vault.
    pub fn new(surroundings: S, vault: Address) -> Self {
        Self { surroundings, vault }
    }
}

#[async_trait]
impl<S: Surroundings> Duty for HarvestVault<S> {
    fn name(&self) -> &'static str {
        "harvest"
    }

    async fn tick(&mut self) -> Result<Outcome, DutyError> {
        let view = self.surroundings.look().await?;
        let tended = self.surroundings.tend(Purpose::Harvest, view.state.can_harvest).await?;
        tended.mined.iter().for_each(harvested);
        if let Some(&(tx, block)) = tended.reverted.first() {
            return Err(DutyError::Reverted { tx, block });
        }
        // The view may be from before that, when there was still something to harvest.
        if !tended.mined.is_empty() {
            return Ok(Outcome::Acted);
        }
        if let Some(why) = tended.blocked {
            tracing::debug!(reason = %why, "the vault is not harvested");
            return Ok(Outcome::Watched);
        }
        if !view.state.can_harvest {
            return Ok(Outcome::Watched);
        }
        let Some(harvest) = self.surroundings.harvest(&view).await? else {
            return Ok(Outcome::Watched);
        };
        if let Err(why) = self.surroundings.gas_price(&view).await? {
            tracing::debug!(reason = %why, "the vault is not harvested");
            return Ok(Outcome::Watched);
        }
        let call = Call {
            to: self.vault,
            data: calls::vault_update_state(&harvest.params),
            value: U256::ZERO,
        };
        self.surroundings.simulate(&view, &call).await?;
        match self.surroundings.send(Purpose::Harvest, &[], &call).await? {
            Ok(mined) => {
                harvested(&mined);
                Ok(Outcome::Acted)
            }
            Err(why) => {
                tracing::debug!(reason = %why, "the vault is not harvested yet");
                Ok(Outcome::Watched)
            }
        }
    }
}

fn harvested(mined: &Mined) {
    tracing::info!(tx = %mined.tx, block = mined.block, "vault harvested");
}
