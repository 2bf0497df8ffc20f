//! The oracles that are both in the configuration and on chain.

use std::time::Duration;

use alloy_primitives::Address;
use sw_shamir_exit::{EncryptedShare, ExitShare, OraclePublicKey, SealError, ShareIndex, Threshold, ThresholdError};

use crate::{OracleInfo, ProtocolConfig};

/// What the Keeper says of the oracles, read at one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnChainOracles {
    /// The Keeper's `isOracle` for the addresses of the configuration.
    pub is_oracle: Vec<(Address, bool)>,
    /// The Keeper's `validatorsMinOracles`.
    pub validators_min_oracles: u64,
    /// The Keeper's `rewardsMinOracles`.
    pub rewards_min_oracles: u64,
}

/// Oracles that shares may be sealed to: **each of them is an oracle on chain**.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OracleSet {
    config: ProtocolConfig,
    exit_threshold: Threshold,
    approvals_needed: usize,
}

/// Why configuration and chain do not make a set of oracles.
///
/// The operator can do nothing about any of these: it waits for the next configuration or for the Keeper.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OracleSetError {
    /// The configuration names keys that are not the Keeper's oracles: what they can read, anybody may.
    #[error("the oracle configuration names keys that are not oracles on chain: {}", joined(.0))]
    NotOnChain(Vec<Address>),
    /// The configuration names a key twice, which would give one oracle two shares.
    #[error("the oracle configuration names oracle {0} twice")]
    Duplicate(Address),
    /// The Keeper asks for no approval, or for more than there are oracles.
    #[error("the keeper asks for {needed} approvals of {oracles} oracles to {purpose}")]
    KeeperThreshold {
        /// What the approvals are for.
        purpose: &'static str,
        /// How many it asks for.
        needed: u64,
        /// How many oracles there are.
        oracles: usize,
    },
    /// The exit threshold is impossible.
    #[error("the oracle configuration's exit signature threshold is impossible")]
    ExitThreshold(#[source] ThresholdError),
    /// More oracles are needed for an exit than for a registration.
    #[error("an exit needs {exit} oracles, more than the {validators} that approve a registration")]
    ExitAboveValidators {
        /// Oracles for an exit.
        exit: usize,
        /// Oracles for a registration.
        validators: usize,
    },
}

/// Shares could not be sealed to the oracles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealSharesError {
    /// The shares are not one for each oracle, in order.
    #[error("the {shares} shares are not one for each of the {oracles} oracles, in order")]
    NotOneForEach {
        /// How many shares there are.
        shares: usize,
        /// How many oracles there are.
        oracles: usize,
    },
    /// A share could not be encrypted.
    #[error("cannot encrypt a share to oracle {oracle}")]
    Seal {
        /// The oracle.
        oracle: Address,
        /// What went wrong.
        #[source]
        source: SealError,
    },
}

impl OracleSet {
    /// Joins the configuration with what the Keeper says.
    ///
    /// # Errors
    /// Anything that makes the two disagree, first of all a key that is not an oracle on chain.
    pub fn new(config: ProtocolConfig, on_chain: &OnChainOracles) -> Result<Self, OracleSetError> {
        let addresses = config.oracle_addresses();
        let known = |address: &Address| on_chain.is_oracle.contains(&(*address, true));
        let strangers = addresses
            .iter()
            .filter(|address| !known(address))
            .copied()
            .collect::<Vec<_>>();
        if !strangers.is_empty() {
            return Err(OracleSetError::NotOnChain(strangers));
        }
        let oracles = addresses.len();
        for (position, address) in addresses.iter().enumerate() {
            if addresses.iter().take(position).any(|earlier| earlier == address) {
                return Err(OracleSetError::Duplicate(*address));
            }
        }
        let approvals_needed = reachable("register validators", on_chain.validators_min_oracles, oracles)?;
        reachable("update rewards", on_chain.rewards_min_oracles, oracles)?;
        let exit_threshold =
            Threshold::new(config.exit_signature_recover_threshold, oracles).map_err(OracleSetError::ExitThreshold)?;
        if exit_threshold.threshold() > approvals_needed {
            let exit = exit_threshold.threshold();
            return Err(OracleSetError::ExitAboveValidators {
                exit,
                validators: approvals_needed,
            });
        }
        Ok(Self {
            config,
            exit_threshold,
            approvals_needed,
        })
    }

    /// How an exit signature is split among the oracles.
    pub fn exit_threshold(&self) -> Threshold {
        self.exit_threshold
    }

    /// How many oracles must approve a registration or a rotation.
    pub fn approvals_needed(&self) -> usize {
        self.approvals_needed
    }

    /// The oracles, in the order of their shares.
    pub fn oracles(&self) -> &[OracleInfo] {
        &self.config.oracles
    }

    /// The most validators in a registration.
    pub fn batch_limit(&self) -> usize {
        self.config.validators_approval_batch_limit
    }

    /// The most validators in a rotation of exit signatures.
    pub fn rotation_batch_limit(&self) -> usize {
        self.config.validators_exit_rotation_batch_limit
    }

    /// How long an approval may be valid: what a deadline lies after the pinned block.
    pub fn validity_period(&self) -> Duration {
        Duration::from_secs(self.config.signature_validity_period)
    }

    /// Encrypts each of a validator's shares to the oracle that holds its index.
    ///
    /// # Errors
    /// Shares that are not one for each oracle, in order, or a failing cipher.
    pub fn seal(&self, shares: &[ExitShare]) -> Result<Vec<EncryptedShare>, SealSharesError> {
        let oracles = self.oracles();
        let in_order = |(position, share): (usize, &ExitShare)| Some(share.index) == ShareIndex::of_position(position);
        if shares.len() != oracles.len() || !shares.iter().enumerate().all(in_order) {
            return Err(SealSharesError::NotOneForEach {
                shares: shares.len(),
                oracles: oracles.len(),
            });
        }
        let seal = |share: &ExitShare, oracle: &OraclePublicKey| {
            EncryptedShare::seal(&share.signature, oracle).map_err(|source| SealSharesError::Seal {
                oracle: oracle.address(),
                source,
            })
        };
        shares
            .iter()
            .zip(oracles)
            .map(|(share, oracle)| seal(share, &oracle.public_key))
            .collect()
    }
}

fn reachable(purpose: &'static str, needed: u64, oracles: usize) -> Result<usize, OracleSetError> {
    usize::try_from(needed)
        .ok()
        .filter(|needed| (1..=oracles).contains(needed))
        .ok_or(OracleSetError::KeeperThreshold {
            purpose,
            needed,
            oracles,
        })
}

fn joined(addresses: &[Address]) -> String {
    addresses.iter().map(Address::to_string).collect::<Vec<_>>().join(", ")
}
