//! The harvest duty: the vault's rewards are counted as soon as the Keeper allows it.

use async_trait::async_trait;
use sw_chain_client::{Call, calls};
use sw_spec::{Address, U256};

use crate::{
    Duty, DutyError, Mined, Outcome, Purpose, Surroundings, View, WhyNot,
    why::{Cost, GweiOf},
};

/// Sends `updateState` whenever the vault can harvest, for operators who were asked to (`--harvest-vault`).
///
/// How often that is the Keeper decides: after each of the oracles' votes on rewards. A registration that finds a harvest
/// due brings it along in any case.
pub struct HarvestVault<S> {
    surroundings: S,
    vault: Address,
    /// What gas is paid in.
    symbol: String,
}

impl<S: Surroundings> HarvestVault<S> {
    /// The duty for this vault, whose wallet pays in the coin of this symbol.
    pub fn new(surroundings: S, vault: Address, symbol: String) -> Self {
        Self {
            surroundings,
            vault,
            symbol,
        }
    }

    /// The vault can be harvested: finds out how, and whether it may cost so much.
    async fn harvest(&mut self, view: &View<S::Pin>) -> Result<Outcome, DutyError> {
        // First what costs nothing: gas may be too high for days.
        if let Err(why) = self.surroundings.gas_price(view).await? {
            return Ok(Outcome::Idle(why));
        }
        let Some(harvest) = self.surroundings.harvest(view).await? else {
            return Ok(Outcome::Idle(WhyNot::NotInRewards { vault: self.vault }));
        };
        let call = Call {
            to: self.vault,
            data: calls::vault_update_state(&harvest.params),
            value: U256::ZERO,
        };
        self.surroundings.simulate(view, &call).await?;
        let offer = match self.surroundings.offer(view, &call).await? {
            Ok(offer) => offer,
            Err(why) => return Ok(Outcome::Idle(why)),
        };
        let (balance, needed) = (view.state.wallet_balance, offer.at_most());
        if balance < needed {
            return Ok(Outcome::Idle(WhyNot::WalletTooPoor {
                purpose: Purpose::Harvest,
                wallet: self.surroundings.wallet(),
                balance,
                needed,
                symbol: self.symbol.clone(),
            }));
        }
        tracing::info!(
            cost = format!("at most {} {}", Cost(offer.at_most()), self.symbol),
            gas = offer.gas_limit,
            gwei = %GweiOf(offer.fees.max_fee_per_gas),
            "harvesting the vault"
        );
        match self.surroundings.send(Purpose::Harvest, &[], &call).await? {
            Ok(mined) => {
                self.harvested(&mined);
                Ok(Outcome::Acted)
            }
            Err(why) => Ok(Outcome::Idle(why)),
        }
    }

    fn harvested(&self, mined: &Mined) {
        let cost = mined.cost.map(|cost| format!("{} {}", Cost(cost), self.symbol));
        tracing::info!(tx = %mined.tx, block = mined.block, cost, "vault harvested");
    }
}

#[async_trait]
impl<S: Surroundings> Duty for HarvestVault<S> {
    fn name(&self) -> &'static str {
        "harvest"
    }

    fn idle(&self) -> &'static str {
        "the vault is not harvested"
    }

    async fn tick(&mut self) -> Result<Outcome, DutyError> {
        let view = self.surroundings.look().await?;
        let tended = self.surroundings.tend(Purpose::Harvest, view.state.can_harvest).await?;
        tended.mined.iter().for_each(|mined| self.harvested(mined));
        if let Some(&(tx, block)) = tended.reverted.first() {
            return Err(DutyError::Reverted { tx, block });
        }
        // The view may be from before that, when there was still something to harvest.
        if !tended.mined.is_empty() {
            return Ok(Outcome::Acted);
        }
        match tended.blocked {
            _ if !view.state.can_harvest => Ok(Outcome::Watched),
            Some(why) => Ok(Outcome::Idle(why)),
            None => self.harvest(&view).await,
        }
    }
}
