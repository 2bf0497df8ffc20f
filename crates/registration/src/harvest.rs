//! What a vault earned since its last update: the parameters of `updateState`, from the oracles' rewards file.
//!
//! Source: StakeWise contracts, `IKeeperRewards.HarvestParams`; the file is the one named in `RewardsUpdated`.

use std::str::FromStr;

use serde::Deserialize;
use serde_json::value::RawValue;
use sw_chain_client::{HarvestParams, I160, U160};
use sw_spec::{Address, B256, NetworkSpec};

/// A rewards file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RewardsError {
    /// It is not the expected JSON.
    #[error("not a rewards file")]
    Malformed(#[source] serde_json::Error),
    /// An amount is no integer, or does not fit the contract's type.
    #[error("the vault's {member} is not an integer of the contract's size")]
    Amount {
        /// The member of the vault's entry.
        member: &'static str,
    },
}

#[derive(Deserialize)]
struct RewardsFile<'a> {
    #[serde(borrow)]
    vaults: Vec<VaultRewards<'a>>,
}

/// Amounts are integers of any size, as JSON numbers or as decimal text.
#[derive(Deserialize)]
struct VaultRewards<'a> {
    vault: Address,
    #[serde(borrow)]
    consensus_reward: &'a RawValue,
    #[serde(borrow)]
    unlocked_mev_reward: &'a RawValue,
    #[serde(borrow, default)]
    locked_mev_reward: Option<&'a RawValue>,
    proof: Vec<B256>,
}

/// Returns what to pass to `updateState` for `vault`, or `None` when the file does not list it.
///
/// A vault with its own MEV escrow is credited the consensus reward alone; one that shares the escrow has its MEV in the
/// file, and whether the reward counts it differs between networks.
///
/// # Errors
///
/// The file is malformed, or an amount does not fit `int160` and `uint160`.
pub fn harvest_params(
    file: &[u8],
    vault: Address,
    mev_escrow: Address,
    rewards_root: B256,
    network: &NetworkSpec,
) -> Result<Option<HarvestParams>, RewardsError> {
    let file: RewardsFile<'_> = serde_json::from_slice(file).map_err(RewardsError::Malformed)?;
    let Some(rewards) = file.vaults.into_iter().find(|rewards| rewards.vault == vault) else {
        return Ok(None);
    };
    let consensus = integer(rewards.consensus_reward, "consensus_reward")?;
    let unlocked = integer(rewards.unlocked_mev_reward, "unlocked_mev_reward")?;
    let locked = rewards
        .locked_mev_reward
        .map_or(Ok(0), |locked| integer(locked, "locked_mev_reward"))?;
    let (reward, unlocked) = if mev_escrow != network.contracts.shared_mev_escrow {
        (Some(consensus), 0)
    } else if network.rewards_include_mev {
        (
            consensus.checked_add(unlocked).and_then(|sum| sum.checked_add(locked)),
            unlocked,
        )
    } else {
        (Some(consensus), unlocked)
    };
    Ok(Some(HarvestParams {
        rewards_root,
        reward: reward
            .and_then(|reward| I160::try_from(reward).ok())
            .ok_or(RewardsError::Amount { member: "reward" })?,
        unlocked_mev_reward: U160::try_from(unlocked).map_err(|_| RewardsError::Amount {
            member: "unlocked_mev_reward",
        })?,
        proof: rewards.proof,
    }))
}

/// Wei of all the ETH there will ever be need 87 bits, so 127 bits and a sign are enough; more is refused, not wrapped.
fn integer(raw: &RawValue, member: &'static str) -> Result<i128, RewardsError> {
    i128::from_str(raw.get().trim_matches('"')).map_err(|_| RewardsError::Amount { member })
}

#[cfg(test)]
mod tests {
    use sw_spec::{Network, address, b256};

    use super::*;

    const VAULT: Address = address!("3320ad928c20187602a2B2C04EeAa813fA899468");
    const FILE: &str = r#"{"vaults":[
        {"vault":"0xAC0F906E433d58FA868F936E8A43230473652885","consensus_reward":1,"unlocked_mev_reward":1,"proof":[]},
        {"vault":"0x3320ad928c20187602a2B2C04EeAa813fA899468","consensus_reward":-30000000000000000001,
         "unlocked_mev_reward":"5","locked_mev_reward":7,
         "proof":["0x2222222222222222222222222222222222222222222222222222222222222222"]}]}"#;

    fn amounts(params: &HarvestParams) -> (i128, u128) {
        (
            params.reward.try_into().expect("small"),
            params.unlocked_mev_reward.to(),
        )
    }

    fn params(network: Network, mev_escrow: Address) -> HarvestParams {
        harvest_params(
            FILE.as_bytes(),
            VAULT,
            mev_escrow,
            B256::repeat_byte(1),
            &network.spec(),
        )
        .expect("a good file")
        .expect("the vault is listed")
    }

    #[test]
    fn a_shared_escrow_brings_its_mev_and_an_own_one_does_not() {
        let shared = params(Network::Mainnet, Network::Mainnet.spec().contracts.shared_mev_escrow);
        assert_eq!(amounts(&shared), (-30_000_000_000_000_000_001 + 12, 5));
        assert_eq!(
            shared.proof,
            [b256!(
                "2222222222222222222222222222222222222222222222222222222222222222"
            )]
        );
        let own = params(Network::Mainnet, Address::repeat_byte(9));
        assert_eq!(amounts(&own), (-30_000_000_000_000_000_001, 0));
        let gnosis = params(Network::Gnosis, Network::Gnosis.spec().contracts.shared_mev_escrow);
        assert_eq!(amounts(&gnosis), (-30_000_000_000_000_000_001, 5));
    }

    #[test]
    fn an_unlisted_vault_is_no_error_and_a_forged_amount_is() {
        let network = Network::Mainnet.spec();
        let read = |text: &str, vault| harvest_params(text.as_bytes(), vault, VAULT, B256::ZERO, &network);
        assert!(matches!(read(FILE, Address::repeat_byte(7)), Ok(None)));
        for amount in ["1.5", "\"0x10\"", &"9".repeat(60), "null"] {
            let forged = FILE.replace("-30000000000000000001", amount);
            assert!(
                matches!(read(&forged, VAULT), Err(RewardsError::Amount { .. })),
                "{amount}"
            );
        }
        assert!(matches!(read("<html>", VAULT), Err(RewardsError::Malformed(_))));
    }
}
